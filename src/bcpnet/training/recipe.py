"""A recipe: everything that decides what is trained. Saved beside the weights, as recipe.json."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from bcpnet.errors import InputError, UsageError
from bcpnet.storage.damaged import damage_told, shortened
from bcpnet.weights import shipped

_MOST_BATCH = 65_536
_MOST_EPOCHS = 1_000_000
_SIDES = 32, 16_384  # pixels, as of the weights' metadata


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is trained; saved as recipe.json beside the weights.

    Attributes:
        dataset: the dataset's name.
        root: the dataset's folder; for `folder`, its YAML file; "none" for `streets`, which needs none.
        train_split: the split trained on.
        val_split: the split evaluated on while training; "none" for no evaluation.
        network: its name (a wrong one gets the list); `bcpnet info NETWORK` tells what it costs.
        options: keyword arguments of the network.
        pretrained: safetensors file with encoder weights (`mobilenet_v2_*`), weights of bcpnet to start from (a name
            that ships, a .safetensors file or the folder of a run), "none" to start from random ones, or "required"
            to insist on being told.
        short_side: short side, in pixels, that images are resized to for evaluation and prediction.
        crop_h: height of the training crops, in pixels.
        crop_w: their width.
        scale_min: images are scaled by a random factor, at least this, before the crop.
        scale_max: and at most this.
        flip: mirror half of the images left to right.
        jitter: strength of brightness, contrast, saturation and colour-cast jitter; 0 for none.
        batch: images per optimizer step, over all devices.
        micro_batch: images per forward pass and device, at most; 0 for the whole batch. Where memory is short: a larger
            batch goes through the network in equal parts, whose gradients add up.
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
            several with commas between; or the soft_labels.npy of a run with the same images, to use it again;
            "none", or "required" to insist on being told.
        distil: weight of the loss on them.
        unlabelled: folder of images without labels, which the teacher's class probabilities are learnt on,
            and nowhere else; "none", or "required" to insist on being told.
        unlabelled_batch: how many images of `batch` are of that folder.
        aux_weight: weight of the auxiliary heads' losses, for networks that have them.
        ema_decay: decay of the moving average of the weights, which is what gets evaluated and saved; 0 for none.
        precision: "32-true", "bf16-mixed" or "16-mixed".
        eval_epochs: epochs between evaluations.
        save_seconds: a resumable state is saved at least this often.
        workers: threads that read images ahead, for datasets too large to be kept in memory; 0 for none.
        seed: of everything random.
    """

    dataset: str = "camvid"
    root: str = "none"
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
    micro_batch: int = 0
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
        if not 1 <= self.batch <= _MOST_BATCH:
            raise UsageError(f"batch {self.batch}: need 1 to {_MOST_BATCH}")
        if self.micro_batch < 0:
            raise UsageError(f"micro-batch {self.micro_batch}: need 1 or more, or 0 for the whole batch")
        self.images_at_once()
        if not 0 <= self.unlabelled_batch < self.batch:
            raise UsageError(f"unlabelled-batch {self.unlabelled_batch}: need 0 to batch - 1 ({self.batch - 1})")
        if (self.unlabelled == "none") != (self.unlabelled_batch == 0):
            raise UsageError("unlabelled and unlabelled-batch go together: a folder, and images of each batch from it")
        if self.unlabelled != "none" and self.teacher == "none":
            raise UsageError(f"unlabelled {self.unlabelled}: images without labels need a teacher")
        if not 0 < self.scale_min <= self.scale_max:
            raise UsageError(f"scale-min {self.scale_min} and scale-max {self.scale_max}: need 0 < min <= max")
        sides = self.crop_h, self.crop_w, self.short_side
        if min(sides) < _SIDES[0] or max(sides) > _SIDES[1]:
            raise UsageError(
                f"crop {self.crop_h}x{self.crop_w}, short-side {self.short_side}: networks need at least 32x32, "
                f"and at most {_SIDES[1]} pixels a side"
            )
        if not 0 < self.ohem <= 1:
            raise UsageError(f"ohem {self.ohem}: a share of the pixels, 0 < ohem <= 1")
        if not 1 <= self.epochs <= _MOST_EPOCHS or self.eval_epochs < 1:
            raise UsageError(
                f"epochs and eval-epochs must be at least 1, epochs at most {_MOST_EPOCHS}; "
                f"they are {self.epochs} and {self.eval_epochs}"
            )
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

    def images_at_once(self, devices: int = 1) -> int:
        """Images per forward pass on each of `devices`: the largest equal part of its share within `micro_batch`.

        Raises UsageError where the batch has no such parts.
        """
        share, rest = divmod(self.batch, devices)
        if rest:
            raise UsageError(f"batch {self.batch} is not a multiple of {devices} devices")
        most = min(share, self.micro_batch or share)
        part = next(size for size in range(most, 0, -1) if share % size == 0)
        if part == 1 < most:
            raise UsageError(
                f"batch {self.batch} has no equal parts of 2 to {most} images a device (micro-batch "
                f"{self.micro_batch}): choose another batch, or micro-batch 0 for all at once"
            )
        return part

    def with_absolute_paths(self) -> Recipe:
        """The same, for a run that goes on from another working folder. Names of weights that ship stay."""
        return replace(
            self,
            root=_absolute(self.root),
            pretrained=_absolute_weights(self.pretrained),
            teacher=",".join(map(_absolute_weights, self.teacher.split(","))),
            unlabelled=_absolute(self.unlabelled),
        )

    def to_json(self) -> str:
        """Readable JSON, one field a line."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @staticmethod
    def from_json(text: str, where: str) -> Recipe:
        """Reads what `to_json` wrote, of earlier versions too; `where` names the file in errors.

        Raises InputError for anything else.
        """
        with damage_told(where, "json", "cannot be read"):
            values = json.loads(text)
        try:
            values = dict(values)
            unknown = values.keys() - {known.name for known in fields(Recipe)}
            if unknown:
                raise InputError(f"{where}: this version does not know {', '.join(sorted(unknown))}")
            for name, value in values.items():
                _require_kind(name, value)
            return Recipe(**values)
        except UsageError as error:
            raise InputError(f"{where}: {error}") from error
        except (ValueError, TypeError) as error:
            raise InputError(f"{where}: cannot be read: {error}") from error


def _require_kind(name: str, value: object) -> None:
    """Raises TypeError where a field has a value of another kind than its default."""
    kind = type(getattr(Recipe, name, {}))  # of options, a table, the class has no default
    if type(value) is not kind and (kind, type(value)) != (float, int):
        raise TypeError(f"{name} is {shortened(repr(value))}, need a value of the kind {kind.__name__}")


def _absolute(path: str) -> str:
    return path if path in ("none", "required") else str(Path(path).absolute())


def _absolute_weights(text: str) -> str:
    """A file or folder made absolute; a name, be it wrong, as it is."""
    path = Path(text)
    return _absolute(text) if text not in shipped() and (path.suffix or path.exists()) else text
