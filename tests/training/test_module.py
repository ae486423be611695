"""What is trained: its optimizer, its average, and the state that brings all of it back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fake_training import CLASSES, tiny_recipe
from full_disk import full_disk
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from random_networks import random_images
from torch import nn

from bcpnet.errors import InputError
from bcpnet.training.initial_weights import make_network
from bcpnet.training.module import Trained, make_optimizer
from bcpnet.training.recipes import Recipe


def _small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def _step(trained: Trained, seed: int = 0) -> None:
    loss = trained.wrapped(random_images(2, 3, 8, 8, seed=seed)).square().mean()
    trained.fabric.backward(loss)
    trained.optimizer.step()
    trained.optimizer.zero_grad()
    trained.end_step(loss.detach())


def test_the_average_forgets_its_start() -> None:
    """Each value is averaged with weights that add to one, those of old ones falling; counts are just counts."""
    trained = Trained(Fabric(accelerator="cpu"), tiny_recipe(ema_decay=0.9), _small())
    assert trained.average is not None
    bias = trained.network[2].bias
    values, expected = [], torch.zeros(2)
    for step in range(40):
        _step(trained, step)
        values.append(bias.detach().clone())
        decay = 0 if step == 0 else min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * values[-1]
        torch.testing.assert_close(trained.evaluated[2].bias.detach(), expected)
    assert trained.evaluated is not trained.network
    assert trained.evaluated[1].num_batches_tracked == 40
    assert not torch.equal(trained.evaluated[1].running_mean, trained.network[1].running_mean)


def test_without_an_average_the_network_counts() -> None:
    trained = Trained(Fabric(accelerator="cpu"), tiny_recipe(), _small())
    assert trained.average is None
    assert trained.evaluated is trained.network


def test_decay_of_the_optimizers() -> None:
    network = _small()
    sgd = make_optimizer(Recipe(weight_decay=0.01), network)
    assert [group["weight_decay"] for group in sgd.param_groups] == [0.01]
    assert sgd.param_groups[0]["momentum"] == 0.9
    adamw = make_optimizer(Recipe(optimizer="adamw", lr=2e-3, weight_decay=0.01), network)
    decayed, free = adamw.param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.01, 0)
    assert [p.ndim for p in decayed["params"]] == [4, 4]
    assert {p.ndim for p in free["params"]} == {1}
    assert len(decayed["params"]) + len(free["params"]) == len(list(network.parameters()))


def test_initial_weights_follow_from_the_seed() -> None:
    def weights(seed: int) -> torch.Tensor:
        return torch.cat(
            [p.detach().flatten() for p in make_network(tiny_recipe(seed=seed), CLASSES, None).parameters()]
        )

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize("half", [False, True])
def test_a_state_brings_everything_back(half: bool, tmp_path: Path) -> None:
    """With float16 that is the loss scale too, which grows and shrinks as training goes."""
    recipe = tiny_recipe(ema_decay=0.9)

    def new() -> Trained:
        plugins = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", growth_interval=2)) if half else None
        return Trained(Fabric(accelerator="cpu", plugins=plugins), recipe, _small())

    one, other = new(), new()
    for step in range(3):
        _step(one, step)
    one.best_miou, one.seconds = 0.25, 3.5
    one.clear_losses(1.5, 2)
    one.save(tmp_path / "state.pt", "data")
    other.load(tmp_path / "state.pt", "data")
    assert (other.step, other.best_miou) == (3, 0.25)
    assert (other.loss_sum, other.loss_steps, other.seconds) == (1.5, 2, 3.5)
    if half:
        scaler = other.fabric.strategy.precision.scaler
        assert scaler.get_scale() == 2 * 65536
    for step in range(3, 6):
        _step(one, step)
        _step(other, step)
    for name, value in one.network.state_dict().items():
        assert torch.equal(other.network.state_dict()[name], value)
    assert other.average is not None
    for name, value in one.average.state_dict().items():
        assert torch.equal(other.average.state_dict()[name], value)


def test_a_state_from_before_all_was_kept(tmp_path: Path) -> None:
    """PyTorch's class once averaged, and had a prefix and a count of its own."""
    trained, other = (Trained(Fabric(accelerator="cpu"), tiny_recipe(ema_decay=0.9), _small()) for _ in range(2))
    _step(trained)
    trained.save(tmp_path / "state.pt", "data")
    state = torch.load(tmp_path / "state.pt")
    for name in ("data", "precision", "loss_sum", "loss_steps", "seconds"):
        del state[name]
    state["average"] = {"n_averaged": torch.tensor(1)} | {f"module.{k}": v for k, v in state["average"].items()}
    torch.save(state, tmp_path / "state.pt")
    other.load(tmp_path / "state.pt", "data")
    assert trained.average is not None
    assert other.average is not None
    for name, value in trained.average.state_dict().items():
        assert torch.equal(other.average.state_dict()[name], value)


def test_losses_wait_until_they_are_read() -> None:
    trained = Trained(Fabric(accelerator="cpu"), tiny_recipe(), _small())
    losses = [0.1, 0.7, 1e-9]
    for loss in losses:
        trained.end_step(torch.tensor(loss))
    assert trained.loss_steps == 3
    assert trained.last_loss == float(torch.tensor(losses[-1]))
    assert trained.loss_sum == sum(float(torch.tensor(loss)) for loss in losses)
    trained.end_step(torch.tensor(2.0))
    assert trained.last_loss == 2
    trained.clear_losses()
    assert (trained.loss_sum, trained.loss_steps) == (0, 0)
    assert trained.last_loss == 2


def test_full_disk_leaves_the_older_state(tmp_path: Path) -> None:
    trained = Trained(Fabric(accelerator="cpu"), tiny_recipe(), _small())
    path = tmp_path / "state.pt"
    trained.save(path, "data")
    older = path.read_bytes()
    trained.step = 5
    with full_disk(), pytest.raises(InputError, match=r"state\.pt: cannot write: ."):
        trained.save(path, "data")
    assert path.read_bytes() == older
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]
