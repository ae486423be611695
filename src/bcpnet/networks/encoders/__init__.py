"""Backbones. To add one: a file here and a line in ENCODERS.

An encoder maps N 3 H W to features at strides 4, 8, 16 and 32 and tells their `channels`, and the widths BCP
lifts the last three to first (`lifted`, or None).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bcpnet.networks.encoders.mobilenet_v2 import LEAN, MobileNetV2
from bcpnet.networks.encoders.mobilenet_v3_small import MobileNetV3Small

Encoder = MobileNetV2 | MobileNetV3Small

ENCODERS: dict[str, Callable[[], Encoder]] = {
    "mobilenet_v3_small": MobileNetV3Small,
    "mobilenet_v2_050": partial(MobileNetV2, 0.5),
    "mobilenet_v2_050_lean": partial(MobileNetV2, 0.5, LEAN),
    "mobilenet_v2_100": partial(MobileNetV2, 1.0),
}
