"""Segments one image with an ONNX file of `bcpnet export --size 540x960`, in ONNX Runtime, NumPy and Pillow.

python run_fixed_onnx.py street.onnx street.jpg class_map.png
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

weights, source, out = sys.argv[1:]
session = onnxruntime.InferenceSession(weights)
_, height, width, _ = session.get_inputs()[0].shape
names = json.loads(session.get_modelmeta().custom_metadata_map["bcpnet"])["classes"]["names"]

image = Image.open(source).convert("RGB")
resized = image.resize((width, height), Image.Resampling.BILINEAR)
logits = session.run(None, {"frames": np.asarray(resized)[np.newaxis]})[0][0]  # classes, rows, columns

planes = [Image.fromarray(plane).resize(image.size, Image.Resampling.BILINEAR) for plane in logits]
class_map = np.argmax(planes, axis=0).astype(np.uint8)
Image.fromarray(class_map).save(out)
print(", ".join(f"{names[index]} {np.mean(class_map == index):.1%}" for index in np.unique(class_map)))
