"""What a run starts from: weights that bcpnet trained, for the same classes or others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fake_training import CLASSES, tiny_recipe
from random_networks import random_images, random_network

from bcpnet.checkpoint import save_checkpoint
from bcpnet.errors import InputError, UsageError
from bcpnet.metadata import Metadata
from bcpnet.networks import build
from bcpnet.networks.encoders.mobilenet_v2 import SLIM
from bcpnet.training.initial import make_network

IMAGES = random_images(2, 3, 64, 64)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "trained.safetensors"
    save_checkpoint(path, random_network("bcpnet", len(CLASSES)), Metadata("bcpnet", {}, CLASSES, 32))
    return path


def test_the_same_network_goes_on_where_the_other_ended(weights: Path) -> None:
    started = make_network(tiny_recipe(pretrained=str(weights)), len(CLASSES), IMAGES).state_dict()
    trained = random_network("bcpnet", len(CLASSES)).state_dict()
    assert started.keys() == trained.keys()
    assert all(torch.equal(started[name], tensor) for name, tensor in trained.items())


@pytest.mark.parametrize(
    ("classes", "options", "new"),
    [(7, {}, ("head.",)), (3, {"finest": 2}, ("head.", "bcp.down2.2", "bcp.down2.3", "bcp.lateral.2"))],
)
def test_what_is_new_starts_at_random(
    weights: Path, classes: int, options: dict[str, object], new: tuple[str, ...]
) -> None:
    recipe = tiny_recipe(pretrained=str(weights), options=options)
    started = make_network(recipe, classes, IMAGES).state_dict()
    trained = random_network("bcpnet", len(CLASSES)).state_dict()
    torch.manual_seed(recipe.seed)
    random = build("bcpnet", classes, **options).state_dict()
    for name, tensor in started.items():
        fits = name in trained and trained[name].shape == tensor.shape
        assert torch.equal(tensor, trained[name] if fits else random[name]), name
        assert fits or name.startswith(new)


def test_narrower_blocks_start_from_the_strongest_channels(tmp_path: Path) -> None:
    """What the wide network's projections do not read can be left out: both compute the same."""
    wide = random_network("bcpnet", len(CLASSES), encoder="mobilenet_v2_050")
    state = wide.state_dict()
    for block, kept in SLIM.items():
        state[f"encoder.blocks.{block}.project.0.weight"][:, kept:] = 0
    path = tmp_path / "wide.safetensors"
    save_checkpoint(path, wide, Metadata("bcpnet", {"encoder": "mobilenet_v2_050"}, CLASSES, 32))
    recipe = tiny_recipe(pretrained=str(path), options={"encoder": "mobilenet_v2_050_slim"})
    narrow = make_network(recipe, len(CLASSES), IMAGES).eval()
    with torch.inference_mode():
        torch.testing.assert_close(narrow(IMAGES), wide.eval()(IMAGES), atol=1e-4, rtol=1e-4)


def test_a_resumed_run_reads_no_weights(tmp_path: Path) -> None:
    make_network(tiny_recipe(pretrained=str(tmp_path / "gone.safetensors")), 3, None)


def test_weights_that_ship_are_named() -> None:
    options = {"encoder": "mobilenet_v2_050"}
    network = make_network(tiny_recipe(pretrained="camvid", options=options), 3, IMAGES)
    assert network.state_dict()["encoder.stem.0.weight"].shape == (16, 3, 3, 3)
    with pytest.raises(UsageError, match="unknown weights 'camvit'"):
        make_network(tiny_recipe(pretrained="camvit", options=options), 3, IMAGES)


def test_another_network_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trained\.safetensors: weights of network bcpnet"):
        make_network(tiny_recipe(pretrained=str(weights), network="sq"), 3, IMAGES)
    with pytest.raises(InputError, match="pickled weights are never loaded"):
        make_network(tiny_recipe(pretrained=str(tmp_path / "weights.pth")), 3, IMAGES)
