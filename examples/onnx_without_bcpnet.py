"""Segments one image with a file of `bcpnet export`, in plain ONNX Runtime, NumPy and Pillow.

python onnx_without_bcpnet.py camvid.onnx street.jpg class_map.png
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

weights, source, out = sys.argv[1:]
session = onnxruntime.InferenceSession(weights)
metadata = json.loads(session.get_modelmeta().custom_metadata_map["bcpnet"])

image = Image.open(source).convert("RGB")
scale = metadata["short_side"] / min(image.size)  # to the size that the network was trained for
resized = image.resize([round(side * scale / 8) * 8 for side in image.size], Image.Resampling.BILINEAR)
(output,) = session.run(None, {"frames": np.asarray(resized)[np.newaxis]})

if output.ndim == 4:  # logits of every class, smaller than the image
    planes = [Image.fromarray(plane).resize(image.size, Image.Resampling.BILINEAR) for plane in output[0]]
    class_map = np.argmax(planes, axis=0).astype(np.uint8)
else:  # written with --class-map: class ids already
    class_map = np.asarray(Image.fromarray(output[0]).resize(image.size, Image.Resampling.NEAREST))

Image.fromarray(class_map).save(out)
names = metadata["classes"]["names"]
print(", ".join(f"{names[index]} {np.mean(class_map == index):.1%}" for index in np.unique(class_map)))
