"""Figures 4 and 5: what the weights that ship make of one image. Figure 4 needs PyTorch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bcpnet.data.base import Sample
from bcpnet.drawing.pictures import Picture, draw_errors
from bcpnet.frames.preprocess import network_size_hw, preprocess
from bcpnet.labels import CAMVID, IGNORE
from bcpnet.networks.checkpoint import load_checkpoint
from bcpnet.networks.frames import normalise
from bcpnet.paper.results import SHIPPED
from bcpnet.segmenter import load
from bcpnet.weights import path_of

_TILE_WIDTH = 420

Heat = npt.NDArray[np.float32]


def layer3_responses(image: Picture) -> tuple[Heat, Heat]:
    """Figure 4: Layer-3 (stride 8) of the encoder, and the same level as BCP's last path leaves it.

    Of each the mean of the absolute values over the channels, h x w. Neither has an activation behind it, so a channel
    responds as much with -1 as with 1.
    """
    network, metadata = load_checkpoint(path_of(SHIPPED, ".safetensors"))
    entered: list[Tensor] = []
    left: list[Tensor] = []
    bcp = network.get_submodule("bcp")
    bcp.register_forward_pre_hook(lambda _, features: entered.extend(features))
    bcp.get_submodule("down2.3").register_forward_hook(lambda _, __, feature: left.append(feature))
    frame = preprocess(image, network_size_hw(image.shape[:2], metadata.short_side))
    with torch.inference_mode():
        network(normalise(torch.from_numpy(frame).permute(2, 0, 1)[None]))
    (after,) = left
    before = next(feature for feature in entered if feature.shape[-2:] == after.shape[-2:])
    return _response(before), _response(after)


def draw_results(sample: Sample) -> tuple[Picture, float]:
    """Figure 5: image, label, prediction and errors in one picture; and the pixel accuracy, 0..1."""
    assert sample.label is not None
    predicted = load(SHIPPED)(sample.image).class_map
    counted = sample.label != IGNORE
    accuracy = float((predicted == sample.label)[counted].mean())
    return draw_errors(sample.image, sample.label, predicted, CAMVID.palette(), _TILE_WIDTH), accuracy


def _response(feature: Tensor) -> Heat:
    response: Heat = feature[0].abs().mean(0).numpy()
    return response
