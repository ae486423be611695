"""What is trained: network, optimizer, moving average, and the step they have reached; saved and restored as one."""

from __future__ import annotations

import copy
import math
import zipfile
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from bcpnet.errors import InputError
from bcpnet.storage.damaged import damage
from bcpnet.storage.files import atomic_path
from bcpnet.training.recipe import Recipe


def make_optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """SGD on everything, as the paper; AdamW with decay on matrices and kernels only."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, recipe.lr)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The "poly" policy (paper, section 4.3.1) after a linear warm-up: a function of the step alone."""
    warmup = min(1.0, (step + 1) / (recipe.warmup_steps + 1))
    return float(recipe.lr * warmup * (1 - step / steps) ** recipe.power)


def _forgetting(floor: float, count: int) -> float:
    """How much the newest of `count` values weighs in a moving average: first nearly all, at last `floor`."""
    return max(floor, 9 / (10 + count))


@torch.no_grad()
def move(average: nn.Module, network: nn.Module, weight: float) -> None:
    """Moves parameters and buffers of `average` by `weight` of the way to those of `network`; counts are copied."""
    own, other = (list(chain(module.parameters(), module.buffers())) for module in (average, network))
    floats = [index for index, tensor in enumerate(own) if tensor.is_floating_point()]
    torch._foreach_lerp_([own[index] for index in floats], [other[index] for index in floats], weight)
    counts = sorted(set(range(len(own))) - set(floats))
    if counts:
        torch._foreach_copy_([own[index] for index in counts], [other[index] for index in counts])


class Trained:
    """Network, optimizer and moving average at one step of a run.

    Attributes:
        fabric: where and with which precision it runs.
        network: the plain network, on Fabric's device.
        wrapped: the network as Fabric runs it: mixed precision, gradients averaged over devices.
        optimizer: as Fabric steps it.
        average: the exponential moving average of the network, parameters and buffers, or None.
        step: optimizer steps done.
        best_miou: of the evaluations so far; -1 before the first.
        loss_steps: number of steps since the last line of the history; none right after a line.
        seconds: trained so far, over all interruptions.
    """

    def __init__(self, fabric: Fabric, recipe: Recipe, network: nn.Module) -> None:
        """At step 0."""
        self.fabric = fabric
        self.network = network.to(fabric.device)
        optimizer = make_optimizer(recipe, self.network)
        self.average = copy.deepcopy(self.network).requires_grad_(False) if recipe.ema_decay > 0 else None
        self._ema_decay = recipe.ema_decay
        self.wrapped, self.optimizer = fabric.setup(self.network, optimizer)
        if hasattr(self.network, "forward_with_auxiliary"):
            self.wrapped.mark_forward_method("forward_with_auxiliary")
        self._norms = [(norm, norm.momentum) for norm in self.network.modules() if isinstance(norm, nn.BatchNorm2d)]
        self.step = 0
        self.best_miou = -1.0
        self._last_loss = 0.0
        self.clear_losses()
        self.seconds = 0.0

    @property
    def evaluated(self) -> nn.Module:
        """The network that counts: the average where there is one."""
        return self.network if self.average is None else self.average

    @property
    def loss_sum(self) -> float:
        """Of the steps since the last line of the history, on the first device. Waits for them."""
        self._read_losses()
        return self._loss_sum

    @property
    def last_loss(self) -> float:
        """Of the last step. Waits for it."""
        self._read_losses()
        return self._last_loss

    def require_finite(self) -> None:
        """Raises InputError where a loss since the last line of the history is infinite or no number."""
        if not math.isfinite(self.loss_sum):
            raise InputError(f"step {self.step}: the loss is no longer a finite number; lower --lr")

    def end_step(self, loss: Tensor) -> None:
        """After the optimizer's step: the moving average takes its part, and `loss` is kept without waiting for it."""
        if self.average is not None:
            weight = 1.0 if self.step == 0 else _forgetting(1 - self._ema_decay, self.step)
            move(self.average, self.network, weight)
        self.step += 1
        self.loss_steps += 1
        self._unread.append(loss)

    def clear_losses(self, loss_sum: float = 0.0, loss_steps: int = 0) -> None:
        """Begins a line of the history, or goes on with one."""
        self._unread: list[Tensor] = []
        self._loss_sum, self.loss_steps = loss_sum, loss_steps

    def _read_losses(self) -> None:
        for loss in torch.stack(self._unread).tolist() if self._unread else ():
            self._loss_sum += loss
            self._last_loss = loss
        self._unread = []

    def warm_batch_norm(self) -> None:
        """Sets the momentum of every batch norm for this step: high at first, then its own.

        BCP's 0.01 would need hundreds of steps to leave the initial statistics, and short runs evaluate as noise.
        """
        for norm, momentum in self._norms:
            if momentum is not None:
                norm.momentum = _forgetting(momentum, self.step)

    def save(self, path: Path, data: str) -> None:
        """Writes everything a run needs to go on, whole or not at all; `data` tells what it is trained on.

        Raises InputError where it cannot.
        """
        state: dict[str, Any] = {
            "data": data,
            "step": self.step,
            "best_miou": self.best_miou,
            "loss_sum": self.loss_sum,
            "loss_steps": self.loss_steps,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),  # the loss scale of float16
        }
        with atomic_path(path) as temporary:
            try:
                torch.save(state, temporary)
            except RuntimeError as error:  # PyTorch's writer reports a full disk so
                raise InputError(f"{path}: cannot write: {_line(error)}") from error

    def load(self, path: Path, data: str) -> None:
        """Restores what `save` wrote. Raises InputError for a missing or broken file, or one of other data."""
        _require_whole(path)
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            before = state.get("data", data)
            if before != data:
                raise InputError(f"{path}: this run was trained on {before}; now there are {data}")
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.average is not None:
                saved = {name.removeprefix("module."): value for name, value in state["average"].items()}
                saved.pop("n_averaged", None)  # with the prefix, of states from when PyTorch's class averaged
                self.average.load_state_dict(saved)
            if state.get("precision"):
                self.fabric.strategy.precision.load_state_dict(state["precision"])
            self.step, self.best_miou = state["step"], state["best_miou"]
            self.clear_losses(state.get("loss_sum", 0.0), state.get("loss_steps", 0))
            self.seconds = state.get("seconds", 0.0)
        except FileNotFoundError as error:
            raise InputError(
                f"{path}: nothing to resume from: the run ended before it was first saved; remove its folder and start "
                "again without --resume"
            ) from error
        except damage("torch") as error:  # the file may hold anything
            raise InputError(f"{path}: cannot resume from it: {_line(error)}") from error


def _require_whole(path: Path) -> None:
    """Raises InputError where bytes of the file have changed: torch.load does not look at the checksums in it."""
    if not path.exists():
        return  # which `load` tells
    then = f"train on from the last weights: --pretrained {path.parent} --out NEW"
    damaged = f"{path}: cannot resume from it: damaged; {then}"
    try:
        with zipfile.ZipFile(path) as file:
            name = file.testzip()
    except damage("zipfile") as error:
        raise InputError(damaged) from error
    except OSError as error:
        raise InputError(f"{path}: cannot read: {error.strerror or error}") from error
    if name is not None:
        raise InputError(damaged)


def _line(error: Exception) -> str:
    """The first line of an error's message, or its name where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
