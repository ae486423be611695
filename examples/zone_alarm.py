"""Tells when someone is in a zone of a video: python zone_alarm.py clip.mp4 zones.yaml

The zones are in a file such as this:

size: 720x1280        # height x width of the picture in which the corners were measured
zones:
  crossing: [[300, 420], [980, 420], [1200, 719], [80, 719]]     # x, y of each corner, in pixels
"""

import sys
from contextlib import closing

import bcpnet

LEAST_SHARE, FRAMES = 0.01, 3  # of the zone's pixels; in a row

video, zones = sys.argv[1:]
segmenter = bcpnet.load("camvid", threads=1)
seen = dict.fromkeys(bcpnet.read_zones(zones), 0)
with closing(segmenter.stream(video, workers=2)) as results:
    for frame, result in enumerate(results):
        for zone in seen:
            shares = result.shares(zone)
            someone = shares["pedestrian"] + shares["bicyclist"] >= LEAST_SHARE
            seen[zone] = seen[zone] + 1 if someone else 0
            if seen[zone] == FRAMES:
                print(f"frame {frame}: someone is in zone {zone.name}")
