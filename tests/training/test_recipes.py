"""Recipes: the paper's to the letter, all of them complete, contradictions refused."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.data import DATASETS
from bcpnet.errors import UsageError
from bcpnet.networks import build
from bcpnet.training import batches
from bcpnet.training.module import learning_rate
from bcpnet.training.recipes import RECIPES, Recipe, recipe

# Section 4.3.1: the same for both datasets, and what differs.
PAPER = {
    "network": "bcpnet",
    "options": {"encoder": "mobilenet_v3_small", "bcp": True, "pooling": "max3", "finest": 3},
    "pretrained": "none",
    "optimizer": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 0.00001,
    "power": 0.9,
    "epochs": 200,
    "flip": True,
    "scale_min": 0.5,
    "scale_max": 2.0,
    # Not in the paper, so not in its recipes.
    "jitter": 0.0,
    "warmup_steps": 0,
    "class_weights": "none",
    "ohem": 1.0,
    "ema_decay": 0.0,
}
OF_DATASET = {
    "camvid-paper": {"dataset": "camvid", "short_side": 720, "crop_h": 720, "crop_w": 720, "batch": 48},
    "cityscapes-paper": {"dataset": "cityscapes", "short_side": 1024, "crop_h": 1024, "crop_w": 1024, "batch": 36},
}


@pytest.mark.parametrize("name", OF_DATASET)
def test_the_papers_recipes(name: str) -> None:
    values = json.loads(recipe(name).to_json())
    expected = {**PAPER, **OF_DATASET[name]}
    assert {key: values[key] for key in expected} == expected
    # The paper's own network: every option is BCPNet's default.
    assert sum(p.numel() for p in build("bcpnet", 19, **recipe(name).options).parameters()) == 607_826


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_complete(name: str) -> None:
    values = recipe(name)
    assert values.dataset in DATASETS
    build(values.network, 11, **values.options)
    assert values.train_split != values.val_split
    assert Recipe(**json.loads(values.to_json())) == values


def test_a_recipe_is_made_anew_each_time() -> None:
    for name in RECIPES:
        recipe(name).options["encoder"] = "other"
    assert all(recipe(name).options["encoder"] != "other" for name in RECIPES)


def test_unknown_recipe() -> None:
    with pytest.raises(UsageError, match="unknown recipe 'kitti': choose one of camvid, camvid-teacher, "):
        recipe("kitti")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch": 10, "micro_batch": 4}, "batch 10 is not a multiple of micro-batch 4"),
        ({"batch": 4, "micro_batch": 8}, "batch 4 is not a multiple of micro-batch 8"),
        ({"batch": 0, "micro_batch": 1}, "batch 0"),
        ({"micro_batch": 0}, "micro-batch 0"),
        ({"scale_min": 2.0, "scale_max": 1.0}, "scale-min 2.0 and scale-max 1.0"),
        ({"scale_min": 0.0}, "scale-min 0.0"),
        ({"crop_w": 31}, "crop 360x31.*at least 32x32"),
        ({"short_side": 8}, "short-side 8.*at least 32x32"),
        ({"ohem": 0.0}, "ohem 0.0"),
        ({"ohem": 1.5}, "ohem 1.5"),
        ({"epochs": 0}, "epochs"),
        ({"eval_epochs": 0}, "eval-epochs"),
        ({"ema_decay": 1.0}, "ema-decay 1.0"),
        ({"jitter": 1.5}, "jitter 1.5"),
        ({"lr": 0.0}, "lr 0.0"),
        ({"momentum": -0.1}, "momentum -0.1"),
        ({"weight_decay": -1.0}, "weight-decay -1.0"),
        ({"warmup_steps": -1}, "warmup-steps -1"),
        ({"workers": -1}, "workers -1"),
        ({"lr": float("nan")}, "lr nan: need a finite number"),
        ({"scale_max": float("inf")}, "scale-max inf: need a finite number"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**63}, "seed 9223372036854775808"),
        ({"unlabelled": "streets", "unlabelled_batch": 2}, "unlabelled streets: images without labels need a teacher"),
        ({"unlabelled": "streets", "teacher": "camvid"}, "unlabelled and unlabelled-batch go together"),
        ({"unlabelled_batch": 2, "teacher": "camvid"}, "unlabelled and unlabelled-batch go together"),
        ({"unlabelled": "streets", "unlabelled_batch": 8}, r"unlabelled-batch 8: need 0 to batch - 1 \(7\)"),
        ({"unlabelled": "streets", "unlabelled_batch": -1}, "unlabelled-batch -1: need 0 to batch - 1"),
    ],
)
def test_contradictions(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Recipe(**fields)


@given(samples=st.integers(1, 500), labelled=st.integers(1, 20), unlabelled=st.integers(0, 20))
def test_an_epoch_is_a_pass_over_what_is_labelled(samples: int, labelled: int, unlabelled: int) -> None:
    """The steps are those of a run without the others, whose batches are that much smaller."""
    batch = labelled + unlabelled
    folder = {"unlabelled": "streets", "teacher": "camvid"} if unlabelled else {}
    steps = Recipe(batch=batch, micro_batch=batch, unlabelled_batch=unlabelled, **folder).steps_per_epoch(samples)
    assert steps >= 1
    assert steps == 1 or steps * labelled <= samples
    assert samples < (steps + 1) * labelled
    assert steps == batches.steps_per_epoch(samples, labelled)  # by which samples are dealt


def test_poly_learning_rate_of_the_paper() -> None:
    values = Recipe()
    rates = [learning_rate(values, step, 1000) for step in range(1000)]
    assert rates[0] == 0.1
    assert rates[500] == pytest.approx(0.1 * 0.5**0.9)
    assert all(after < before for before, after in pairwise(rates))
    assert rates[-1] > 0


def test_warm_up_rises_to_the_poly_curve() -> None:
    plain, warmed = Recipe(), Recipe(warmup_steps=10)
    rates = [learning_rate(warmed, step, 1000) for step in range(12)]
    assert rates[0] == pytest.approx(0.1 / 11)
    assert all(before < after for before, after in pairwise(rates[:11]))
    assert rates[10:] == [learning_rate(plain, step, 1000) for step in (10, 11)]
