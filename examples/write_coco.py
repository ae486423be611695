"""Labels images and writes a COCO file of them: python write_coco.py coco.json a.jpg b.jpg ..."""

import json
import sys
from pathlib import Path

import bcpnet

target, *images = sys.argv[1:]
segmenter = bcpnet.load("camvid")
dataset = None
for image in images:
    result = segmenter(image).with_min_confidence(0.5)  # where it is less sure, no class
    dataset = result.to_coco(Path(image).name, polygons=True, into=dataset)
Path(target).write_text(json.dumps(dataset))
print(f"{len(dataset['annotations'])} regions in {len(dataset['images'])} images")
