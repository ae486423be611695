"""What a run starts from: weights that bcpnet trained, for the same classes or others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fake_training import CLASSES, tiny_recipe
from random_networks import random_images, random_network
from torch import Tensor, nn

from bcpnet.errors import InputError, UsageError
from bcpnet.labels import CAMVID, CITYSCAPES, ClassSet, classes_within
from bcpnet.metadata import Metadata
from bcpnet.networks import build
from bcpnet.networks.checkpoint import save_checkpoint
from bcpnet.networks.encoders.mobilenet_v2 import LEAN
from bcpnet.training.initial_weights import make_network

IMAGES = random_images(2, 3, 64, 64)


def _class_set(*names: str) -> ClassSet:
    return ClassSet("some", names, ((0, 0, 0),) * len(names))


SEVEN = _class_set(*"abcdefg")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "trained.safetensors"
    save_checkpoint(path, random_network("bcpnet", len(CLASSES)), Metadata("bcpnet", {}, CLASSES, 32))
    return path


def test_the_same_network_goes_on_where_the_other_ended(weights: Path) -> None:
    started = make_network(tiny_recipe(pretrained=str(weights)), CLASSES, IMAGES).state_dict()
    trained = random_network("bcpnet", len(CLASSES)).state_dict()
    assert started.keys() == trained.keys()
    assert all(torch.equal(started[name], tensor) for name, tensor in trained.items())


@pytest.mark.parametrize(
    ("classes", "options", "new"),
    [(SEVEN, {}, ("head.",)), (CLASSES, {"finest": 2}, ("head.", "bcp.down2.2", "bcp.down2.3", "bcp.lateral.2"))],
)
def test_what_is_new_starts_at_random(
    weights: Path, classes: ClassSet, options: dict[str, object], new: tuple[str, ...]
) -> None:
    recipe = tiny_recipe(pretrained=str(weights), options=options)
    started = make_network(recipe, classes, IMAGES).state_dict()
    trained = random_network("bcpnet", len(CLASSES)).state_dict()
    torch.manual_seed(recipe.seed)
    random = build("bcpnet", len(classes), **options).state_dict()
    for name, tensor in started.items():
        fits = name in trained and trained[name].shape == tensor.shape
        assert torch.equal(tensor, trained[name] if fits else random[name]), name
        assert fits or name.startswith(new)


def _logits(network: nn.Module) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = network.eval()(IMAGES)
    return logits


def _saved(folder: Path, classes: ClassSet) -> tuple[nn.Module, str]:
    """A network for those classes that was trained, and its weights."""
    network = random_network("bcpnet", len(classes))
    path = folder / f"of_{len(classes)}.safetensors"
    save_checkpoint(path, network, Metadata("bcpnet", {}, classes, 32))
    return network, str(path)


def test_a_head_for_coarser_classes_says_the_mean_of_what_the_finer_said(tmp_path: Path) -> None:
    """It is linear, and so is all that comes after it: of logits the same holds as of weights."""
    trained, path = _saved(tmp_path, CITYSCAPES)
    fine, coarse = _logits(trained), _logits(make_network(tiny_recipe(pretrained=path), CAMVID, IMAGES))
    expected = torch.stack([fine[:, ids].mean(1) for ids in classes_within(CAMVID, CITYSCAPES)], 1)
    torch.testing.assert_close(coarse, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_classes_are_known_by_name_wherever_they_stand(tmp_path: Path) -> None:
    trained, path = _saved(tmp_path, SEVEN)
    recipe = tiny_recipe(pretrained=path)
    network = make_network(recipe, _class_set("new", "g", "newer", "a"), IMAGES)
    before, now = _logits(trained), _logits(network)
    torch.testing.assert_close(now[:, [1, 3]], before[:, [6, 0]], rtol=1e-4, atol=1e-5 * float(before.abs().max()))
    # What it does not know starts at random.
    torch.manual_seed(recipe.seed)
    random = build("bcpnet", 4).state_dict()
    for name in ("head.weight", "head.bias"):
        assert torch.equal(network.state_dict()[name][[0, 2]], random[name][[0, 2]])


def test_the_same_classes_by_another_name_or_colour_are_the_same(weights: Path) -> None:
    other = ClassSet("other", CLASSES.names, ((9, 9, 9),) * 3)
    started = make_network(tiny_recipe(pretrained=str(weights)), other, IMAGES).state_dict()
    trained = random_network("bcpnet", len(CLASSES)).state_dict()
    assert all(torch.equal(started[name], tensor) for name, tensor in trained.items())


@pytest.mark.parametrize("count", [3, 7, 16])
def test_only_the_head_is_put_in_another_order(count: int, tmp_path: Path) -> None:
    """Though a network has sums of three parts and layers of sixteen channels, which are no classes."""
    names = [f"class {index}" for index in range(count)]
    trained, path = _saved(tmp_path, _class_set(*names))
    now = _logits(make_network(tiny_recipe(pretrained=path), _class_set(*reversed(names)), IMAGES))
    before = _logits(trained).flip(1)
    torch.testing.assert_close(now, before, rtol=1e-4, atol=1e-5 * float(before.abs().max()))


def test_narrower_blocks_start_from_the_strongest_channels(tmp_path: Path) -> None:
    """What the wide network's projections do not read can be left out: both compute the same."""
    wide = random_network("bcpnet", len(CLASSES), encoder="mobilenet_v2_050")
    state = wide.state_dict()
    for block, kept in LEAN.items():
        state[f"encoder.blocks.{block}.project.0.weight"][:, kept:] = 0
    path = tmp_path / "wide.safetensors"
    save_checkpoint(path, wide, Metadata("bcpnet", {"encoder": "mobilenet_v2_050"}, CLASSES, 32))
    recipe = tiny_recipe(pretrained=str(path), options={"encoder": "mobilenet_v2_050_lean"})
    narrow = make_network(recipe, CLASSES, IMAGES).eval()
    with torch.inference_mode():
        torch.testing.assert_close(narrow(IMAGES), wide.eval()(IMAGES), atol=1e-4, rtol=1e-4)


def test_a_resumed_run_reads_no_weights(tmp_path: Path) -> None:
    make_network(tiny_recipe(pretrained=str(tmp_path / "gone.safetensors")), CLASSES, None)


def test_weights_that_ship_are_named() -> None:
    options = {"encoder": "mobilenet_v2_050"}
    network = make_network(tiny_recipe(pretrained="camvid", options=options), CLASSES, IMAGES)
    assert network.state_dict()["encoder.stem.0.weight"].shape == (16, 3, 3, 3)
    with pytest.raises(UsageError, match="unknown weights 'camvit'"):
        make_network(tiny_recipe(pretrained="camvit", options=options), CLASSES, IMAGES)


def test_another_network_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trained\.safetensors: weights of network bcpnet"):
        make_network(tiny_recipe(pretrained=str(weights), network="sq"), CLASSES, IMAGES)
    with pytest.raises(InputError, match="pickled weights are never loaded"):
        make_network(tiny_recipe(pretrained=str(tmp_path / "weights.pth")), CLASSES, IMAGES)
