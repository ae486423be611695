"""Blurs everyone in an image: python blur_persons.py street.jpg blurred.png"""

import sys

import numpy as np
from PIL import Image, ImageFilter

import bcpnet

PERSONS = {"pedestrian", "bicyclist", "person", "rider"}  # what CamVid and Cityscapes call them

source, target = sys.argv[1:]
result = bcpnet.load("camvid")(source)
mask = Image.fromarray(result.mask(*PERSONS & set(result.classes.names))).convert("L")
# The network draws edges to within a few pixels: take some around each person, too.
mask = mask.filter(ImageFilter.MaxFilter(2 * (max(mask.size) // 200) + 1))
image = Image.fromarray(result.image)
blurred = image.filter(ImageFilter.GaussianBlur(max(image.size) / 60))
Image.composite(blurred, image, mask).save(target)
print(f"{np.mean(np.asarray(mask) > 0):.1%} of the image is blurred")
