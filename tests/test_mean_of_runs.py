"""tools/mean_of_runs.py: every tensor is the mean of the runs' own, and nothing but their seeds may differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from fake_training import Shades, tiny_recipe
from tools_here import load_tool
from torch import nn

from bcpnet.networks.checkpoint import load_checkpoint
from bcpnet.training.fit import fit


@pytest.fixture(scope="module")
def mean_of_runs() -> Any:
    return load_tool("mean_of_runs").mean_of_runs


def _trained(run: Path, **changes: Any) -> Path:
    fit(tiny_recipe(epochs=1, **changes), Shades(16), None, run)
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [_trained(folder / f"seed-{seed}", seed=seed) for seed in (3, 5, 8)]


def _state(network: nn.Module) -> dict[str, torch.Tensor]:
    return network.state_dict()


def test_every_tensor_is_the_mean(mean_of_runs: Any, runs: list[Path]) -> None:
    network, metadata = mean_of_runs(runs)
    own = [load_checkpoint(run / "last.safetensors") for run in runs]
    states = [_state(each) for each, _ in own]
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])
    for name, tensor in _state(network).items():
        assert tensor.dtype == states[0][name].dtype
        torch.testing.assert_close(tensor * 3, states[0][name] + states[1][name] + states[2][name])
    assert metadata.provenance == own[0][1].provenance.replace("seed 3", "mean of seeds 3, 5 and 8")
    assert "mean of seeds 3, 5 and 8" in metadata.provenance


def test_one_run_stays_as_it_is(mean_of_runs: Any, runs: list[Path]) -> None:
    network, metadata = mean_of_runs(runs[1:2])
    own, own_metadata = load_checkpoint(runs[1] / "last.safetensors")
    assert metadata == own_metadata
    for name, tensor in _state(network).items():
        assert torch.equal(tensor, _state(own)[name])


def test_what_is_no_seed_apart_is_refused(mean_of_runs: Any, runs: list[Path], tmp_path: Path) -> None:
    other_rate = _trained(tmp_path / "rate", seed=4, lr=1e-4)
    for several in ([runs[0], runs[0]], [runs[0], other_rate]):
        with pytest.raises(SystemExit, match="differ in their seed, and in that alone"):
            mean_of_runs(several)


def test_a_folder_without_a_run_is_named(mean_of_runs: Any, runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no run of `bcpnet train`: it has no recipe\.json and no last\.safetensors"):
        mean_of_runs([runs[0], tmp_path])
