"""Segments one image with the files of `bcpnet export --format ncnn --size 540x960`, in NCNN, NumPy and Pillow.

python run_ncnn.py street.param 540x960 street.jpg class_map.png
"""

import sys

import ncnn
import numpy as np
from PIL import Image

graph, size, source, out = sys.argv[1:]
height, width = map(int, size.split("x"))
net = ncnn.Net()
net.load_param(graph)
net.load_model(graph.removesuffix(".param") + ".bin")

image = Image.open(source).convert("RGB")
resized = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
extractor = net.create_extractor()
extractor.input("in0", ncnn.Mat.from_pixels(resized, ncnn.Mat.PixelType.PIXEL_RGB, width, height))
logits = np.array(extractor.extract("out0")[1])  # classes, rows, columns

planes = [Image.fromarray(plane).resize(image.size, Image.Resampling.BILINEAR) for plane in logits]
class_map = np.argmax(planes, axis=0).astype(np.uint8)
Image.fromarray(class_map).save(out)
print(", ".join(f"class {index} {np.mean(class_map == index):.1%}" for index in np.unique(class_map)))
