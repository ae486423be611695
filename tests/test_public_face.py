"""What a user of `import bcpnet` sees: Tab, help, the examples in docstrings."""

from __future__ import annotations

import doctest
import pydoc
import rlcompleter
from pathlib import Path

import numpy as np
import pytest
from media_files import write_clip
from PIL import Image

import bcpnet
from bcpnet import errors, segmentation, segmenter

FUNCTIONS = {"load", "open_source", "read_zones"}
NAMES = {"InputError", "Region", "Segmentation", "Segmenter", "UsageError", "Zone"} | FUNCTIONS


def test_public_names() -> None:
    assert set(dir(bcpnet)) == NAMES | {"__version__"}
    assert bcpnet.Segmenter is segmenter.Segmenter
    assert bcpnet.Segmentation is segmentation.Segmentation is segmenter.Segmentation
    assert (bcpnet.InputError, bcpnet.UsageError) == (errors.InputError, errors.UsageError)
    assert bcpnet.load is segmenter.load
    assert bcpnet.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        bcpnet.segment  # noqa: B018


def test_tab_offers_them_and_nothing_else() -> None:
    completer = rlcompleter.Completer({"bcpnet": bcpnet})
    offered = set()
    while word := completer.complete("bcpnet.", len(offered)):
        offered.add(word.rstrip("()").removeprefix("bcpnet."))
    assert offered == NAMES


def test_help_shows_them_and_no_helper() -> None:
    text = pydoc.plain(pydoc.render_doc(bcpnet))
    assert all(f"class {name}" in text for name in NAMES - FUNCTIONS)
    assert "load(weights" in text
    for name in ("import_module", "TYPE_CHECKING", "annotations", "_Feature"):
        assert name not in text.replace("__annotations__", "")


@pytest.mark.parametrize(
    "what",
    [
        bcpnet,
        bcpnet.load,
        bcpnet.open_source,
        bcpnet.Segmentation,
        bcpnet.Segmentation.regions,
        bcpnet.Segmentation.to_coco,
        bcpnet.Segmenter.batch,
        bcpnet.Segmenter.stream,
    ],
    ids=["bcpnet", "load", "open_source", "Segmentation", "regions", "to_coco", "batch", "stream"],
)
def test_examples_run(what: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((720, 960, 3), 128, np.uint8)).save("street.jpg")
    write_clip(tmp_path / "drive.mp4", 2)
    examples = doctest.DocTestFinder(recurse=False).find(what, "example", globs={"bcpnet": bcpnet, "np": np})
    assert sum(len(example.examples) for example in examples) > 0
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for example in examples:
        assert runner.run(example).failed == 0
