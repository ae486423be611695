"""Recipes: plain functions that return a complete configuration. To add one: a function and a line in RECIPES."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from bcpnet.errors import UsageError


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is trained; saved as recipe.json beside the weights.

    Attributes:
        dataset: camvid, cityscapes, folder or streets.
        train_split: the split trained on.
        val_split: the split evaluated on while training; "none" for no evaluation.
        network: its name; `bcpnet info NETWORK` tells what it costs.
        options: keyword arguments of the network.
        pretrained: safetensors file with encoder weights (`mobilenet_v2_*`), weights of bcpnet to go on from (a name
            that ships or a .safetensors file), "none" to start from random ones, or "required" to insist on being told.
        short_side: short side, in pixels, that images are resized to for evaluation and prediction.
        crop_h: height of the training crops, in pixels.
        crop_w: their width.
        scale_min: images are scaled by a random factor, at least this, before the crop.
        scale_max: and at most this.
        flip: mirror half of the images left to right.
        jitter: strength of brightness, contrast, saturation and colour-cast jitter; 0 for none.
        batch: images per optimizer step, over all devices.
        micro_batch: images per forward pass and device; gradients accumulate up to `batch`.
        epochs: passes over the training split (an incomplete last batch is dropped; see `unlabelled`).
        optimizer: "sgd" or "adamw".
        lr: initial learning rate.
        momentum: of SGD (AdamW keeps its 0.9, 0.999).
        weight_decay: on weights of more than one dimension with AdamW; on everything with SGD, as the paper.
        power: exponent of the "poly" schedule, lr * (1 - step / steps) ** power.
        warmup_steps: steps over which the learning rate first rises linearly.
        class_weights: of the cross-entropy: "none", "log" = 1 / ln(1.1 + frequency), or "median" = median frequency
            / frequency, from the training split's pixel counts.
        ohem: share of the hardest pixels that count in the loss (1 = all).
        lovasz: weight of the Lovász-softmax loss beside the cross-entropy; 0 for none.
        teacher: weights of bcpnet (as with `pretrained`) whose class probabilities are learnt beside the labels;
            several with commas between; the soft_labels.npy of a run with the same images, for it to serve again;
            "none", or "required" to insist on being told.
        distil: weight of the loss on them.
        unlabelled: folder of images without labels, which the teacher's class probabilities are learnt on;
            "none", or "required" to insist on being told.
        unlabelled_batch: how many images of `batch` are of that folder.
        aux_weight: weight of the auxiliary heads' losses, for networks that have them.
        ema_decay: decay of the moving average of the weights, which is what gets evaluated and saved; 0 for none.
        precision: "32-true", "bf16-mixed" or "16-mixed".
        eval_epochs: epochs between evaluations.
        save_seconds: a resumable state is saved at least this often.
        workers: processes that read images, for datasets too large to be kept in memory.
        seed: of everything random.
    """

    dataset: str = "camvid"
    train_split: str = "train"
    val_split: str = "val"
    network: str = "bcpnet"
    options: dict[str, Any] = field(default_factory=dict)
    pretrained: str = "none"
    short_side: int = 360
    crop_h: int = 360
    crop_w: int = 480
    scale_min: float = 0.5
    scale_max: float = 2.0
    flip: bool = True
    jitter: float = 0.0
    batch: int = 8
    micro_batch: int = 8
    epochs: int = 200
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-5
    power: float = 0.9
    warmup_steps: int = 0
    class_weights: Literal["none", "log", "median"] = "none"
    ohem: float = 1.0
    lovasz: float = 0.0
    teacher: str = "none"
    distil: float = 1.0
    unlabelled: str = "none"
    unlabelled_batch: int = 0
    aux_weight: float = 0.4
    ema_decay: float = 0.0
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    eval_epochs: int = 1
    save_seconds: int = 60
    workers: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UsageError where fields contradict each other."""
        for name, value in asdict(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise UsageError(f"{name.replace('_', '-')} {value}: need a finite number")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"seed {self.seed}: need 0 to 2**63 - 1")
        if self.batch < 1 or self.micro_batch < 1 or self.batch % self.micro_batch:
            raise UsageError(f"batch {self.batch} is not a multiple of micro-batch {self.micro_batch}")
        if not 0 <= self.unlabelled_batch < self.batch:
            raise UsageError(f"unlabelled-batch {self.unlabelled_batch}: need 0 to batch - 1 ({self.batch - 1})")
        if (self.unlabelled == "none") != (self.unlabelled_batch == 0):
            raise UsageError("unlabelled and unlabelled-batch go together: a folder, and images of each batch from it")
        if self.unlabelled != "none" and self.teacher == "none":
            raise UsageError(f"unlabelled {self.unlabelled}: images without labels need a teacher")
        if not 0 < self.scale_min <= self.scale_max:
            raise UsageError(f"scale-min {self.scale_min} and scale-max {self.scale_max}: need 0 < min <= max")
        if min(self.crop_h, self.crop_w, self.short_side) < 32:
            raise UsageError(
                f"crop {self.crop_h}x{self.crop_w}, short-side {self.short_side}: networks need at least 32x32"
            )
        if not 0 < self.ohem <= 1:
            raise UsageError(f"ohem {self.ohem}: a share of the pixels, 0 < ohem <= 1")
        if self.epochs < 1 or self.eval_epochs < 1:
            raise UsageError("epochs and eval-epochs must be at least 1")
        if not 0 <= self.ema_decay < 1:
            raise UsageError(f"ema-decay {self.ema_decay}: need 0 <= decay < 1")
        if not 0 <= self.jitter <= 1:
            raise UsageError(f"jitter {self.jitter}: need 0 <= jitter <= 1")
        if self.lr <= 0:
            raise UsageError(f"lr {self.lr}: must be above 0")
        for name in (
            "momentum",
            "weight_decay",
            "power",
            "warmup_steps",
            "lovasz",
            "distil",
            "aux_weight",
            "save_seconds",
            "workers",
        ):
            if getattr(self, name) < 0:
                raise UsageError(f"{name.replace('_', '-')} {getattr(self, name)}: cannot be below 0")

    def steps_per_epoch(self, samples: int) -> int:
        """Optimizer steps in a pass over so many labelled samples."""
        return max(1, samples // (self.batch - self.unlabelled_batch))

    def to_json(self) -> str:
        """Readable JSON, one field a line."""
        return json.dumps(asdict(self), indent=2) + "\n"


# Spelled out, so that each can be set on the command line: the switches of the paper's Table 5.
_PAPER_NETWORK = {"encoder": "mobilenet_v3_small", "bcp": True, "pooling": "max3", "finest": 3}


def camvid() -> Recipe:
    """Ours for CamVid, its images resized to 540: narrow MobileNetV2, level 2 classified, AdamW, Lovász loss."""
    return Recipe(
        options={**_PAPER_NETWORK, "encoder": "mobilenet_v2_050_slim", "finest": 2, "finest_width": 16},
        pretrained="required",
        short_side=540,
        scale_max=1.5,
        jitter=0.3,
        epochs=80,
        optimizer="adamw",
        lr=2e-3,
        weight_decay=0.02,
        warmup_steps=100,
        lovasz=0.5,
        ema_decay=0.998,
        eval_epochs=8,
    )


def camvid_teacher() -> Recipe:
    """A network of four times the size, images resized to 720: to learn from, it does not ship."""
    options = {"encoder": "mobilenet_v2_100", "width": 128, "finest_width": 64}
    ours = camvid()
    return replace(ours, options={**ours.options, **options}, short_side=720, epochs=60)


def camvid_distilled() -> Recipe:
    """As `camvid`, with soft labels of a teacher."""
    return replace(camvid(), teacher="required")


def camvid_streets() -> Recipe:
    """A leaner `camvid` that also learns what teachers see in streets without labels; crops of a quarter."""
    ours = camvid()
    return replace(
        ours,
        options={**ours.options, "encoder": "mobilenet_v2_050_lean", "width": 48},
        crop_h=272,
        crop_w=368,
        batch=16,
        micro_batch=16,
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
        micro_batch=16,
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
    "camvid-teacher": camvid_teacher,
    "camvid-distilled": camvid_distilled,
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
