"""Recipes: the paper's to the letter, all of them complete, contradictions refused."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.data import DATASETS
from bcpnet.errors import InputError, UsageError
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
    with pytest.raises(UsageError, match="unknown recipe 'nonsense': choose one of camvid, camvid-streets, "):
        recipe("nonsense")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch": 13, "micro_batch": 8}, r"batch 13 has no equal parts of 2 to 8 images a device \(micro-batch 8\)"),
        ({"batch": 0, "micro_batch": 1}, "batch 0"),
        ({"micro_batch": -1}, "micro-batch -1"),
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
        ({"batch": 10**12}, "batch 1000000000000: need 1 to 65536"),
        ({"epochs": 10**25}, "epochs at most 1000000"),
        ({"crop_w": 16_385}, "at most 16384 pixels a side"),
        ({"short_side": 10**9}, "at most 16384 pixels a side"),
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


@given(share=st.integers(1, 60), devices=st.integers(1, 4), micro_batch=st.integers(0, 70))
def test_a_batch_goes_through_in_the_largest_equal_parts(share: int, devices: int, micro_batch: int) -> None:
    try:
        part = Recipe(batch=share * devices, micro_batch=micro_batch).images_at_once(devices)
    except UsageError:
        assert micro_batch > 1
        return
    assert share % part == 0
    assert part <= (micro_batch or share)
    assert not [size for size in range(part + 1, share + 1) if share % size == 0 and size <= (micro_batch or share)]
    assert part > 1 or 1 in (share, micro_batch)


def test_a_smaller_batch_needs_no_micro_batch() -> None:
    for make in RECIPES.values():
        small = replace(make(), batch=4, unlabelled_batch=min(make().unlabelled_batch, 2))
        assert small.images_at_once() == 4
    assert recipe("camvid-paper").images_at_once() == 8
    assert Recipe(batch=65_536, micro_batch=0).images_at_once() == 65_536
    with pytest.raises(UsageError, match="batch 4 is not a multiple of 3 devices"):
        Recipe(batch=4).images_at_once(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[1]", "cannot be read"),
        ('{"batch": "8"}', "cannot be read: batch is '8'"),
        ('{"batch": true}', "cannot be read: batch is True"),
        ('{"batch": 8.0}', "cannot be read: batch is 8.0"),
        ('{"epochs": [1]}', "cannot be read: epochs is "),
        ('{"root": null}', "cannot be read: root is None"),
        ('{"options": "x"}', "cannot be read: options is 'x'"),
        ("[" * 10**5, "cannot be read"),
        ('{"batch": 0}', "batch 0: need 1 to 65536"),
        ('{"zoom": 2, "depth": 1}', "this version does not know depth, zoom"),
    ],
)
def test_what_is_no_recipe(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^recipe.json: {message}"):
        Recipe.from_json(text, "recipe.json")


@pytest.mark.parametrize("name", RECIPES)
def test_json_and_back(name: str) -> None:
    assert Recipe.from_json(recipe(name).to_json(), "here") == recipe(name)


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
