"""Tells where in a video too little road is in sight: python road_share.py clip.mp4 0.2"""

import sys
from contextlib import closing

import bcpnet

video, least = sys.argv[1], float(sys.argv[2])
segmenter = bcpnet.load("camvid", threads=1)
frames = short = 0
with closing(segmenter.stream(video, workers=2)) as results:
    for result in results:
        share = result.shares()["road"]
        if share < least:
            print(f"frame {frames}: {share:.0%} road")
            short += 1
        frames += 1
print(f"{short} of {frames} frames have less than {least:.0%} road")
