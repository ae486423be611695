"""The check of a dataset as one HTML file with small pictures in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from bcpnet.data.check import Check, Problem
from bcpnet.data.files import FileDataset
from bcpnet.errors import InputError
from bcpnet.labels import IGNORE, ClassSet
from bcpnet.media.images import read_image

_WIDTH = 240  # pixels, of a picture
_SAMPLES = 6  # of each split
_PICTURES, _FILES, _OPEN = 8, 1000, 4  # of each problem: at most, and as many files as are shown at once

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>bcpnet data check</title><style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1100px; padding: 0 1em }
body { color: #222; background: #fff }
h1 { font-size: 1.5em } h2 { font-size: 1.2em; margin-top: 2em }
table { border-collapse: collapse } td, th { padding: .15em .8em; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left; padding-left: 0 }
.swatch { display: inline-block; width: 1em; height: 1em; margin-right: .5em }
.swatch { vertical-align: -.15em; border: 1px solid #999 }
.problem { border-left: 4px solid #d9a400; padding: .1em 0 .1em 1em; margin: 1.5em 0 }
.problem.error { border-color: #c62828 } .problem p { margin: .3em 0 }
.pictures { display: flex; flex-wrap: wrap; gap: .8em } figure { margin: 0; width: 240px }
figure img { width: 100%; display: block } figcaption, .files { font-size: .8em; color: #555; overflow-wrap: anywhere }
</style></head><body>
"""


def page(title: str, check: Check, splits: Mapping[str, FileDataset]) -> str:
    """The page: what is wrong, with pictures of some of the files, the share of each class, and samples of each split.

    Args:
        title: what was checked.
        check: what was found.
        splits: the datasets that were checked.
    """
    places = {str(item.image): (data, index) for data in splits.values() for index, item in enumerate(data.items)}
    places |= {str(item.label): (data, index) for data in splits.values() for index, item in enumerate(data.items)}
    parts = [_HEAD, f"<h1>{escape(title)}</h1>", f"<p>{escape(verdict(check))}</p>"]
    parts += [_problem(problem, places) for problem in check.problems]
    parts += ["<h2>Pixels</h2>", _table(check, splits)]
    for name, dataset in splits.items():
        facts = check.splits[name]
        sizes = ", ".join(f"{count} of {size}" for size, count in list(facts.sizes.items())[:5])
        chosen = {round(place) for place in np.linspace(0, len(dataset) - 1, _SAMPLES)} if len(dataset) else set()
        figures = "".join(_sample(dataset, index) for index in sorted(chosen))
        parts += [
            f"<h2>{escape(name)}: {facts.images} images, {facts.labelled} with labels</h2>",
            f"<p>{escape(sizes)}</p><div class=pictures>{figures}</div>",
        ]
    return "\n".join([*parts, "</body></html>\n"])


def verdict(check: Check) -> str:
    """One line: how much is wrong in how many images."""
    images = sum(facts.images for facts in check.splits.values())
    errors, warnings = len(check.errors), len(check.problems) - len(check.errors)
    found = [f"{count} {what}{'' if count == 1 else 's'}" for count, what in ((errors, "error"), (warnings, "warning"))]
    return f"{' and '.join(found)} in {images} images" if check.problems else f"nothing wrong in {images} images"


def _problem(problem: Problem, places: dict[str, tuple[FileDataset, int]]) -> str:
    figures = ""
    if problem.kind == "duplicate":
        figures = "".join(_figure(_small(Path(path)), path) for path in problem.files[:_PICTURES])
    elif problem.files:
        figures = "".join(_sample(*places[path]) for path in problem.files[:_PICTURES] if path in places)
    files = "".join(f"<div class=files>{escape(path)}</div>" for path in problem.files[:_FILES])
    count = "1 file" if len(problem.files) == 1 else f"{len(problem.files)} files"
    opened = " open" if len(problem.files) <= _OPEN else ""
    return (
        f'<div class="problem {problem.severity}"><p><b>{problem.severity}, {escape(problem.split)}</b></p>'
        f"<p>{escape(problem.what)}</p><div class=pictures>{figures}</div>"
        + (f"<details{opened}><summary>{count}</summary>{files}</details>" if files else "")
        + "</div>"
    )


def _table(check: Check, splits: Mapping[str, FileDataset]) -> str:
    """Share of each class in the pixels of each split that count, and of those that do not in all."""
    classes = next(iter(splits.values())).classes
    head = "".join(f"<th>{escape(name)}</th>" for name in check.splits)
    rows = [f"<tr><th>class</th>{head}</tr>"]
    for name, colour in zip(classes.names, classes.colours, strict=True):
        swatch = f'<span class=swatch style="background: rgb{colour}"></span>'
        shares = (share(facts.pixels[name], sum(facts.pixels.values())) for facts in check.splits.values())
        rows.append(f"<tr><td>{swatch}{escape(name)}</td>{''.join(f'<td>{text}</td>' for text in shares)}</tr>")
    shares = (share(facts.ignored, facts.ignored + sum(facts.pixels.values())) for facts in check.splits.values())
    rows.append(f"<tr><td>do not count</td>{''.join(f'<td>{text}</td>' for text in shares)}</tr>")
    return f"<table>{''.join(rows)}</table>"


def share(part: int, total: int) -> str:
    """ "12.3 %"; "-" of nothing, "none" where there is none of something."""
    return "-" if not total else "none" if not part else f"{100 * part / total:.2f} %"


def _sample(dataset: FileDataset, index: int) -> str:
    """An image under the colours of its label."""
    item = dataset.items[index]
    picture = _small(item.image)
    if picture is None or item.label is None:
        return _figure(picture, item.name)
    try:
        label = Image.fromarray(dataset.read_label(item.label)).resize(picture.size, Image.Resampling.NEAREST)
    except InputError:
        return _figure(picture, f"{item.name}, its label cannot be read")
    return _figure(_blended(picture, np.asarray(label), dataset.classes), item.name)


def _small(path: Path) -> Image.Image | None:
    try:
        image = Image.fromarray(read_image(path))
    except InputError:
        return None
    return image.resize((_WIDTH, max(1, round(_WIDTH * image.height / image.width))), Image.Resampling.BOX)


def _blended(picture: Image.Image, label: npt.NDArray[np.uint8], classes: ClassSet) -> Image.Image:
    pixels = np.asarray(picture)
    mean = (pixels.astype(np.uint16) + classes.palette()[label]) // 2
    return Image.fromarray(np.where((label == IGNORE)[..., None], pixels, mean).astype(np.uint8))


def _figure(picture: Image.Image | None, caption: str) -> str:
    if picture is None:
        return f"<figure><figcaption>{escape(caption)}, which cannot be read</figcaption></figure>"
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=80)
    source = f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
    return f'<figure><img alt="" src="{source}"><figcaption>{escape(caption)}</figcaption></figure>'
