"""`bcpnet train --network OTHER`: a recipe's network options are not another network's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_training import Shades
from torch import nn

from bcpnet.cli import train
from bcpnet.errors import UsageError
from bcpnet.networks import NETWORKS
from bcpnet.training import fit
from bcpnet.training.initial_weights import make_network
from bcpnet.training.recipes import Recipe, recipe


def _built(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Recipe:
    """What the command line trains for recipe `streets` with `changes`; its network can be built."""
    fitted: list[Recipe] = []
    monkeypatch.setattr(train, "open_dataset", lambda *_: Shades(1))
    monkeypatch.setattr(fit, "fit", lambda what, *_, **__: fitted.append(what))
    assert train.run(train.Train(Path("unused"), replace(recipe("streets"), **changes))) == 0
    make_network(fitted[0], Shades.classes, None)
    return fitted[0]


@pytest.fixture(autouse=True)
def _other(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(num_classes: int, *, kernel: int = 1) -> nn.Module:
        return nn.Conv2d(3, num_classes, kernel)

    monkeypatch.setitem(NETWORKS, "other", other)


def test_it_has_its_own_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _built(monkeypatch, network="other").options == {}


def test_options_that_were_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _built(monkeypatch, network="other", options={"kernel": 3}).options == {"kernel": 3}
    with pytest.raises(UsageError, match=r"network other: .*encoder"):
        _built(monkeypatch, network="other", options={"encoder": "mobilenet_v2_100"})


def test_the_recipes_own_network_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _built(monkeypatch) == recipe("streets")
