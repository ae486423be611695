"""The recipes: plain functions that return a complete configuration. To add one: a function and a line in RECIPES."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bcpnet.errors import UsageError
from bcpnet.training.recipe import Recipe

__all__ = ["RECIPES", "Recipe", "recipe"]


# Spelled out, so that each can be set on the command line: the switches of the paper's Table 5.
_PAPER_NETWORK = {"encoder": "mobilenet_v3_small", "bcp": True, "pooling": "max3", "finest": 3}


def camvid() -> Recipe:
    """Ours for CamVid, its images resized to 540: narrow MobileNetV2, level 2 classified, AdamW, Lovász loss."""
    return Recipe(
        options={
            **_PAPER_NETWORK, "encoder": "mobilenet_v2_050_lean", "width": 48, "finest": 2, "finest_width": 16,
        },
        pretrained="required",
        short_side=540,
        scale_max=1.5,
        jitter=0.3,
        epochs=80,
        optimizer="adamw",
        lr=2e-3,
        weight_decay=0.02,
        warmup_steps=100,
        class_weights="log",
        lovasz=0.5,
        ema_decay=0.998,
        eval_epochs=8,
    )  # fmt: skip


def camvid_streets() -> Recipe:
    """What ships: `camvid` that also learns what teachers see in streets without labels; smaller crops, longer."""
    return replace(
        camvid(),
        crop_h=272,
        crop_w=368,
        batch=16,
        epochs=120,
        teacher="required",
        unlabelled="required",
        unlabelled_batch=8,
    )


def camvid_original() -> Recipe:
    """The paper's own network, from random weights, otherwise as `camvid-streets`."""
    return replace(camvid_streets(), options=dict(_PAPER_NETWORK), pretrained="none", epochs=200, eval_epochs=20)


def camvid_paper() -> Recipe:
    """Section 4.3.1 of the paper for CamVid: crop 720x720 of the original frames, batch 48, SGD 0.1, 200 epochs."""
    return Recipe(
        options=dict(_PAPER_NETWORK), short_side=720, crop_h=720, crop_w=720, batch=48, micro_batch=8, eval_epochs=10
    )


def cityscapes() -> Recipe:
    """Ours for Cityscapes: as `camvid`, crop 768x768, batch 16, 300 epochs. For a GPU; no figure was measured."""
    return replace(
        camvid(),
        dataset="cityscapes",
        short_side=1024,
        scale_max=2.0,
        crop_h=768,
        crop_w=768,
        batch=16,
        epochs=300,
        warmup_steps=500,
        ema_decay=0.999,
        precision="bf16-mixed",
        eval_epochs=10,
        workers=8,
    )


def cityscapes_paper() -> Recipe:
    """Section 4.3.1 of the paper for Cityscapes: crop 1024x1024, batch 36, SGD 0.1, 200 epochs."""
    return Recipe(
        dataset="cityscapes",
        options=dict(_PAPER_NETWORK),
        short_side=1024,
        crop_h=1024,
        crop_w=1024,
        batch=36,
        micro_batch=4,
        eval_epochs=10,
    )


def streets() -> Recipe:
    """A first training that needs no download: synthetic streets, two minutes on two cores."""
    return Recipe(
        dataset="streets",
        options=dict(_PAPER_NETWORK),
        short_side=180,
        crop_h=180,
        crop_w=240,
        scale_min=0.75,
        scale_max=1.5,
        epochs=14,
        optimizer="adamw",
        lr=4e-3,
        weight_decay=0.02,
        warmup_steps=20,
        ema_decay=0.98,
        eval_epochs=4,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "camvid": camvid,
    "camvid-streets": camvid_streets,
    "camvid-original": camvid_original,
    "camvid-paper": camvid_paper,
    "cityscapes": cityscapes,
    "cityscapes-paper": cityscapes_paper,
    "streets": streets,
}


def recipe(name: str) -> Recipe:
    """The recipe called `name`. Raises UsageError listing the names if there is none."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}: choose one of {', '.join(RECIPES)}")
    return RECIPES[name]()
