"""The check of a dataset: every image and label file is read, and what is wrong is told with what to do about it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from typing import Any, Literal

import numpy as np

from bcpnet.data.camvid import Camvid, drive_of
from bcpnet.data.duplicates import near_duplicates
from bcpnet.data.files import FileDataset
from bcpnet.data.look import Look, glance, look, seems_cut

_QUICK_PIXELS = 1_000_000_000  # decoded of each split in a quick check: 20 seconds on two cores

# What to do about each kind of fault in a file.
_DO = {
    "missing": "mount or copy what it should be, or take the pair out of the split",
    "broken": "copy or make the file anew, or take the pair out of the split",
    "size": "make the label at its image's size",
    "value": "mend the label, or name the value in the YAML file, under classes, ids or ignore",
    "orientation": "if the label does not fit the image as viewers show it, turn the label",
    "empty": "label it, or take the pair out of the split",
}
_WARNINGS = ("orientation", "empty")
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """Something that is wrong ("error"), or may be meant so ("warning").

    Attributes:
        severity: see above.
        kind: "missing", "broken", "size", "value", "orientation", "empty", "class", "duplicate", "drive".
        split: where; two with "and" between where it is about both.
        what: what is wrong and what to do, without the names of files.
        files: which ones; for duplicates in pairs.
    """

    severity: Severity
    kind: str
    split: str
    what: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitFacts:
    """What a split consists of.

    Attributes:
        images: how many.
        labelled: how many of them have a label file.
        decoded: how many were decoded, label and all; the figures below are of these.
        sizes: images by size, "WIDTHxHEIGHT".
        pixels: by class, in the labels.
        ignored: pixels in the labels that do not count.
    """

    images: int
    labelled: int
    decoded: int
    sizes: dict[str, int]
    pixels: dict[str, int]
    ignored: int


@dataclass(frozen=True)
class Check:
    """What a check has found.

    Attributes:
        splits: facts by split.
        problems: errors first.
    """

    splits: dict[str, SplitFacts]
    problems: list[Problem]

    @property
    def errors(self) -> list[Problem]:
        """What is wrong for certain."""
        return [problem for problem in self.problems if problem.severity == "error"]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def check(
    splits: Mapping[str, FileDataset],
    *,
    quick: bool = False,
    workers: int = 1,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Check:
    """Looks at every image and label file of the splits, `workers` at a time.

    A quick check opens every file, which tells missing ones and wrong sizes, and decodes those that lack their end; and
    of each split as many samples, evenly spread, as have a thousand megapixels in all. It does not compare images.

    Args:
        splits: the datasets by name, opened with complete=False.
        quick: see above.
        workers: threads.
        report: called with the number of samples done and of all.
    """
    total = sum(map(len, splits.values()))
    looks: dict[str, list[Look]] = {}
    with ThreadPoolExecutor(workers) as pool:
        try:
            done = 0
            for name, dataset in splits.items():
                looks[name] = []
                for one in pool.map(partial(_look, dataset, _decoded(dataset, quick)), range(len(dataset))):
                    looks[name].append(one)
                    done += 1
                    report(done, total)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    facts = {name: _facts(splits[name], looks[name]) for name in splits}
    problems = [problem for name in splits for problem in _of_files(name, looks[name])]
    problems += _of_classes(facts, quick)
    if not quick:
        for first, second in combinations(splits, 2):
            problems += _duplicates(splits, looks, first, second)
            problems += _drives(splits, first, second)
    return Check(facts, sorted(problems, key=lambda problem: problem.severity))


def _decoded(dataset: FileDataset, quick: bool) -> set[int]:
    """Which samples are decoded."""
    size_wh = glance(dataset, 0).size_wh if quick and len(dataset) else None
    most = max(1, _QUICK_PIXELS // (size_wh[0] * size_wh[1])) if size_wh else len(dataset)
    return {round(place) for place in np.linspace(0, len(dataset) - 1, min(most, len(dataset)))}


def _look(dataset: FileDataset, decoded: set[int], index: int) -> Look:
    seen = None if index in decoded else glance(dataset, index)
    if seen is not None and (seen.faults or not any(map(seems_cut, dataset.items[index].files))):
        return seen
    return look(dataset, index)


def _facts(dataset: FileDataset, looks: list[Look]) -> SplitFacts:
    sizes = Counter(f"{seen.size_wh[0]}x{seen.size_wh[1]}" for seen in looks if seen.size_wh)
    pixels = sum((seen.pixels for seen in looks if seen.pixels is not None), np.zeros(len(dataset.classes) + 1, int))
    return SplitFacts(
        images=len(dataset),
        labelled=sum(item.label is not None for item in dataset.items),
        decoded=sum(seen.thumbnail is not None for seen in looks),
        sizes=dict(sizes.most_common()),
        pixels=dict(zip(dataset.classes.names, pixels[:-1].tolist(), strict=True)),
        ignored=int(pixels[-1]),
    )


def _of_files(split: str, looks: list[Look]) -> Iterator[Problem]:
    """The faults of single files, the same ones together."""
    files: dict[tuple[str, str], list[str]] = defaultdict(list)
    for seen in looks:
        for fault in seen.faults:
            files[fault.kind, fault.what].append(str(fault.path))
    for (kind, what), paths in files.items():
        severity: Severity = "warning" if kind in _WARNINGS else "error"
        yield Problem(severity, kind, split, f"{what}: {_DO[kind]}", tuple(paths))


def _of_classes(facts: dict[str, SplitFacts], quick: bool) -> Iterator[Problem]:
    """Classes without pixels. A network can be trained all the same, but for a class that is alone."""
    known = {name: split for name, split in facts.items() if sum(split.pixels.values()) + split.ignored}
    absent = {name: [each for each, count in split.pixels.items() if not count] for name, split in known.items()}
    nowhere = [each for each in next(iter(absent.values()), []) if all(each in others for others in absent.values())]
    for name, split in known.items():
        present = [each for each, count in split.pixels.items() if count]
        seen = f"the {split.decoded} labels that were decoded"
        if len(present) < 2:
            lone = f"only {present[0]} has" if present else "no class has"
            what = f"{lone} pixels that count in {seen}: there is nothing to tell it from"
            severity: Severity = "error" if split.decoded == split.images else "warning"
            yield Problem(severity, "class", name, what + _hint(split, present, absent[name]))
        elif here := [each for each in absent[name] if each not in nowhere]:
            yield Problem("warning", "class", name, f"no pixel of {', '.join(here)} in {seen}")
    if nowhere and all(len(split.pixels) - len(absent[name]) > 1 for name, split in known.items()):
        whole = not quick and all(split.decoded == split.images for split in known.values())
        first = next(iter(known))
        what = f"no pixel of {', '.join(nowhere)} in any label that was decoded{_hint(known[first], [], nowhere)}"
        yield Problem("error" if whole else "warning", "class", " and ".join(known), what)


def _hint(split: SplitFacts, present: list[str], absent: list[str]) -> str:
    """What may be the cause: masks of 0 and 255, of which 255 does not count."""
    if not split.ignored or not absent:
        return ""
    share = split.ignored / (split.ignored + sum(split.pixels.values()))
    ids = f"0: {present[0]}, 255: {absent[0]}" if len(present) == len(absent) == 1 else f"255: {absent[0]}, ..."
    return f"; {share:.1%} of the pixels do not count: if 255 in the masks is {absent[0]}, write ids: {{{ids}}}"


def _duplicates(
    splits: Mapping[str, FileDataset], looks: dict[str, list[Look]], one: str, other: str
) -> Iterator[Problem]:
    seen = {
        name: [(str(item.image), look.thumbnail) for item, look in zip(splits[name].items, looks[name], strict=True)]
        for name in (one, other)
    }
    ones, others = ([(path, small) for path, small in seen[name] if small is not None] for name in (one, other))
    pairs = list(near_duplicates([small for _, small in ones], [small for _, small in others]))
    if pairs:
        files = [path for first, second in pairs for path in (ones[first][0], others[second][0])]
        count = "a pair" if len(pairs) == 1 else f"{len(pairs)} pairs"
        what = f"{count} of images that are nearly the same, so scores would be too high: keep them in one split"
        yield Problem("error", "duplicate", f"{one} and {other}", what, tuple(files))


def _drives(splits: Mapping[str, FileDataset], one: str, other: str) -> Iterator[Problem]:
    """Images of one drive in two splits, where the names tell the drives."""
    drives = {name: {_drive(dataset, item.name) for item in dataset.items} for name, dataset in splits.items()}
    known = set.union(*drives.values())
    both = drives[one] & drives[other]
    if both and "" not in known and len(known) > 1:
        what = f"images of {'one drive' if len(both) == 1 else f'{len(both)} drives'}, by their names, are in both"
        told = f"{what} ({', '.join(sorted(both)[:5])}): streets that were trained on score higher"
        yield Problem("warning", "drive", f"{one} and {other}", told)


def _drive(dataset: FileDataset, name: str) -> str:
    """What stands before the last number of a name; "" where nothing does."""
    return drive_of(name) if isinstance(dataset, Camvid) else re.sub(r"(^|[\W_]+[a-zA-Z]?)?\d+$", "", name)
