"""What every network keeps to: any size, any mode, every weight trained, saved, folded and exported alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_networks import random_frames, random_images, random_network, rescaled
from torch import nn

from bcpnet.backends.onnxruntime import OnnxRuntimeBackend
from bcpnet.labels import CAMVID
from bcpnet.metadata import Metadata
from bcpnet.networks import NETWORKS, build
from bcpnet.networks.checkpoint import load_checkpoint, save_checkpoint
from bcpnet.networks.encoders import ENCODERS
from bcpnet.networks.fold import fold
from bcpnet.networks.frames import normalise
from bcpnet.onnx.export import _PARITY_SHAPES, export_onnx

# Network -> the options that every test below runs with. A new network adds a line.
VARIANTS: dict[str, list[dict[str, object]]] = {
    "bcpnet": [
        *({"encoder": encoder} for encoder in ENCODERS),
        {"bcp": False},
        {"pooling": "avg3"},
        {"pooling": "max5"},
        {"encoder": "mobilenet_v2_050_lean", "finest": 2, "finest_width": 16},
        {"finest": 2},
    ],
    "bisenet1": [{}],
    "bisenet2": [{}],
    "deeplab": [{}],
    "dfanet_a": [{}],
    "dfanet_b": [{}],
    "edanet": [{}],
    "enet": [{}],
    "espnetv2": [{}, {"scale": 1.5}],
    "fcn8s": [{}],
    "frrn_a": [{}],
    "frrn_b": [{}],
    "icnet": [{}],
    "pspnet": [{}],
    "segnet": [{}],
    "sq": [{}],
    "two_column": [{}],
}
CLASSES = len(CAMVID)
SIZES = [(32, 32), (33, 47), (97, 131)]

CASES = [
    pytest.param(name, options, id="-".join([name, *map(str, options.values())]))
    for name, variants in VARIANTS.items()
    for options in variants
]
# Exports take long. Left out are networks whose every operation is in another case; every run exports some of the rest.
_LIKE_ANOTHER = {"bcpnet-mobilenet_v2_100", "bcpnet-2", "dfanet_b", "espnetv2-1.5", "frrn_a"}
_IN_EVERY_RUN = {"bcpnet-mobilenet_v3_small", "bcpnet-mobilenet_v2_050_lean-2-16"}
# Large networks, seconds for each test: every run tries their sizes, `make test-slow` the rest.
_LARGE = {"deeplab", "fcn8s", "frrn_a", "frrn_b", "pspnet", "segnet"}


def _slow(case: Any) -> Any:
    return pytest.param(*case.values, id=case.id, marks=pytest.mark.slow)


EXPORTED = [case if case.id in _IN_EVERY_RUN else _slow(case) for case in CASES if case.id not in _LIKE_ANOTHER]

every_network = pytest.mark.parametrize(("name", "options"), [_slow(c) if c.id in _LARGE else c for c in CASES])


def test_no_network_is_left_out() -> None:
    assert set(VARIANTS) == set(NETWORKS)
    assert {case.id for case in CASES} >= _IN_EVERY_RUN | _LIKE_ANOTHER | _LARGE


def _network(name: str, options: dict[str, object]) -> nn.Module:
    network = random_network(name, CLASSES, **options)
    return network if name == "bcpnet" else rescaled(network)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_any_size_batch_and_mode(name: str, options: dict[str, object]) -> None:
    network = _network(name, options)
    for size in SIZES:
        for batch in (1, 2):
            images = random_images(batch, 3, *size)
            with torch.no_grad():
                trained, evaluated = network.train()(images), network.eval()(images)
            assert evaluated.shape[:2] == (batch, CLASSES)
            assert all(1 <= side <= whole for side, whole in zip(evaluated.shape[2:], size, strict=True))
            for logits in (trained, evaluated):
                assert logits.shape == evaluated.shape
                assert logits.dtype == torch.float32
                assert logits.isfinite().all()


@every_network
def test_a_backward_pass_reaches_every_weight(name: str, options: dict[str, object]) -> None:
    network = build(name, CLASSES, **options).train()
    with_auxiliary = getattr(network, "forward_with_auxiliary", None)
    images = random_images(2, 3, 97, 131)
    logits, auxiliary = (network(images), []) if with_auxiliary is None else with_auxiliary(images)
    for each in (logits, *auxiliary):
        assert each.shape[:2] == (2, CLASSES)
        each.square().mean().backward(retain_graph=True)
    without = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert without == []
    # A convolution's bias in front of a batch norm is the only thing that may do nothing.
    idle = [key for key, p in network.named_parameters() if p.grad is not None and p.ndim > 1 and not p.grad.any()]
    assert idle == []


@every_network
def test_evaluation_repeats_and_ignores_the_rest_of_the_batch(name: str, options: dict[str, object]) -> None:
    network = _network(name, options)
    images = random_images(2, 3, 97, 131)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.inference_mode():
        both, again = network(images), network(images)
        singles = torch.cat([network(images[:1]), network(images[1:])])
    assert torch.equal(both, again)
    assert (both - singles).abs().max() <= 1e-5 * both.abs().max()
    assert (both[0] - both[1]).abs().max() > 0.01 * both.abs().max()
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@every_network
def test_saved_and_loaded_it_is_the_same_to_the_bit(name: str, options: dict[str, object], tmp_path: Path) -> None:
    network = _network(name, options)
    metadata = Metadata(name, options, CAMVID, 360)
    save_checkpoint(tmp_path / "network.safetensors", network, metadata)
    loaded, read = load_checkpoint(tmp_path / "network.safetensors")
    assert read == metadata
    assert not loaded.training
    images = random_images(1, 3, 33, 47)
    with torch.inference_mode():
        assert torch.equal(loaded(images), network(images))


@every_network
def test_folding_changes_no_logit(name: str, options: dict[str, object]) -> None:
    network = _network(name, options).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    folded = fold(network)
    assert network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    network.eval()
    for size in SIZES:
        images = random_images(2, 3, *size)
        with torch.inference_mode():
            expected, logits = network(images), folded(images)
        assert (logits - expected).abs().max() <= 1e-4 * max(1.0, expected.abs().max().item())


@pytest.mark.parametrize(("name", "options"), EXPORTED)
def test_exported_it_says_the_same(
    name: str, options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = _network(name, options)
    if name != "bcpnet":  # the largest of export's own shapes takes the big ones minutes in float64
        monkeypatch.setattr("bcpnet.onnx.export._PARITY_SHAPES", _PARITY_SHAPES[:2])
    difference = export_onnx(network, Metadata(name, options, CAMVID, 360), tmp_path / "network.onnx")
    assert difference < 1e-4
    backend = OnnxRuntimeBackend(tmp_path / "network.onnx", threads=1)
    for batch, size in ((1, (33, 47)), (3, (64, 200))):
        frames = random_frames(batch, *size, 3)
        with torch.inference_mode():
            expected = network(normalise(frames.permute(0, 3, 1, 2))).numpy()
        np.testing.assert_allclose(backend(frames.numpy()), expected, rtol=0, atol=1e-4 * np.abs(expected).max())
