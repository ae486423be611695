"""Segments one image with a .tflite file of `bcpnet export --format litert`, in LiteRT, NumPy and Pillow.

python run_litert.py street.tflite street.jpg class_map.png
"""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

weights, source, out = sys.argv[1:]
segment = Interpreter(weights).get_signature_runner()
_, height, width, _ = segment.get_input_details()["frames"]["shape"]
file = schema.Model.GetRootAs(Path(weights).read_bytes())
texts = {entry.Name(): file.Buffers(entry.Buffer()) for entry in map(file.Metadata, range(file.MetadataLength()))}
names = json.loads(texts[b"bcpnet"].DataAsNumpy().tobytes())["classes"]["names"]

image = Image.open(source).convert("RGB")
resized = image.resize((width, height), Image.Resampling.BILINEAR)
logits = segment(frames=np.asarray(resized)[np.newaxis])["logits"][0]  # rows, columns, classes

planes = [Image.fromarray(plane).resize(image.size, Image.Resampling.BILINEAR) for plane in np.moveaxis(logits, 2, 0)]
class_map = np.argmax(planes, axis=0).astype(np.uint8)
Image.fromarray(class_map).save(out)
print(", ".join(f"{names[index]} {np.mean(class_map == index):.1%}" for index in np.unique(class_map)))
