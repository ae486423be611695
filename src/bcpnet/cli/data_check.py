"""`bcpnet data check`: what is wrong with a dataset, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from bcpnet.cli.common import Name, Number, OptionalPath, Status, require_apart
from bcpnet.cli.complain import complain
from bcpnet.data import DATASETS, Dataset, open_dataset, splits_of
from bcpnet.data.check import Check, Problem, check
from bcpnet.data.check_page import page, share, verdict
from bcpnet.data.files import FileDataset
from bcpnet.errors import InputError, UsageError
from bcpnet.pipeline import divide_threads
from bcpnet.storage.files import require_writable, write_bytes

_FILES, _SIZES = 3, 5  # on the screen: of a problem, of a split
_IGNORED = "do not count"


@dataclass(frozen=True)
class DataCheck:
    """Check a dataset: read every image and label file once, and say what is wrong. For example:

    bcpnet data check --data folder --root my.yaml --html check.html

    It tells of files that are missing or broken, sizes that differ, values that are not named, classes without pixels,
    near-duplicates between splits, and drives in two splits. Exit code 1 if something is wrong; warnings leave it at 0.

    Attributes:
        data: which dataset it is; `folder` is one of your own.
        root: the dataset's folder; for `folder`, its YAML file.
        split: only this one; by default all that there are.
        json: file to write everything to, as JSON.
        html: file to write a page to, with small pictures in it.
        threads: CPU threads, by default one per core.
    """

    data: Annotated[str, arg(metavar=f"{{{','.join(DATASETS)}}}")]
    root: OptionalPath = None
    split: Name = None
    json: OptionalPath = None
    html: OptionalPath = None
    threads: Number = None


def run(options: DataCheck) -> int:
    """Checks and prints; returns 1 where there are errors."""
    require_apart([options.json, options.html], [options.root])
    for path in (options.json, options.html):
        if path is not None:
            require_writable(path)
    splits = _open(options)
    workers, _ = divide_threads(options.threads, None)
    with Status() as status:
        found = check(splits, workers=workers, report=lambda done, total: status.show(f"image {done} of {total}"))
    print(_table(found))
    for problem in found.problems:
        print(f"\n{_told(problem)}")
    print(f"\n{verdict(found)}")
    if options.json is not None:
        write_bytes(options.json, (json.dumps(found.as_dict(), indent=2) + "\n").encode())
        print(f"all of it in {options.json}")
    if options.html is not None:
        title = f"bcpnet data check: {options.data}, {options.root}"
        write_bytes(options.html, page(title, found, splits).encode("utf-8", "replace"))
        print(f"with pictures in {options.html}")
    return int(bool(found.errors))


def quick_check(splits: dict[str, Dataset]) -> None:
    """The check before a training, of a split's every file and of as much of its pixels as takes seconds.

    Warns of what may be wrong. Raises InputError for what is.
    """
    files = {name: dataset for name, dataset in splits.items() if isinstance(dataset, FileDataset)}
    workers, _ = divide_threads(None, None)
    with Status(seconds=5) as status:
        found = check(files, quick=True, workers=workers, report=lambda done, n: status.show(f"checking {done} of {n}"))
    for name, dataset in files.items():
        bare = [item.image for item in dataset.items if item.label is None]
        if bare:
            others = f"; so it is with {len(bare)} of {len(dataset)} images of {name}" if len(bare) > 1 else ""
            raise InputError(f"{bare[0]}: has no label{others}: choose a split that has labels")
    for problem in found.problems:
        if problem.severity == "warning":
            complain(_told(problem))
    if found.errors:
        first = found.errors[0]
        where = first.files[0] if first.files else first.split
        count = f"; so it is with {len(first.files)} files of {first.split}" if len(first.files) > 1 else ""
        more = "; `bcpnet data check` tells more" if len(found.errors) > 1 else ""
        raise InputError(f"{where}: {first.what}{count}{more}")


def _open(options: DataCheck) -> dict[str, FileDataset]:
    """The splits; those that are not there are told of, unless none is."""
    names = [options.split] if options.split else splits_of(options.data, options.root)
    splits: dict[str, FileDataset] = {}
    absent: dict[str, InputError] = {}
    for name in names:
        try:
            dataset = open_dataset(options.data, options.root, name, complete=False)
        except InputError as error:
            if isinstance(error, UsageError) or options.split or options.data == "folder":
                raise
            absent[name] = error
            continue
        if not isinstance(dataset, FileDataset):
            raise UsageError(f"{options.data} has no files: there is nothing to check")
        splits[name] = dataset
    if not splits:
        raise next(iter(absent.values()))
    for name, why in absent.items():
        complain(f"{name}: left out: {why}")
    return splits


def _table(found: Check) -> str:
    """A line for each split, then the share of each class in the pixels that count."""
    lines = []
    for name, facts in found.splits.items():
        sizes = ", ".join(list(facts.sizes)[:_SIZES]) + (", ..." if len(facts.sizes) > _SIZES else "")
        lines.append(f"{name}: {facts.images} images, {facts.labelled} with labels; {sizes or 'none can be read'}")
    names = next(iter(found.splits.values())).pixels
    width = max(map(len, [*names, _IGNORED]))
    lines.append(f"\n{'pixels of':{width}}" + "".join(f"  {name:>9}" for name in found.splits))
    for name in names:
        shares = (share(facts.pixels[name], sum(facts.pixels.values())) for facts in found.splits.values())
        lines.append(f"{name:{width}}" + "".join(f"  {text:>9}" for text in shares))
    shares = (share(facts.ignored, facts.ignored + sum(facts.pixels.values())) for facts in found.splits.values())
    return "\n".join([*lines, f"{_IGNORED:{width}}" + "".join(f"  {text:>9}" for text in shares)])


def _told(problem: Problem) -> str:
    """What is wrong on one line, and below it some of the files."""
    together = 2 if problem.kind == "duplicate" else 1
    groups = [" and ".join(problem.files[at : at + together]) for at in range(0, len(problem.files), together)]
    files = groups[:_FILES] + ([f"and {len(groups) - _FILES} more"] if len(groups) > _FILES else [])
    return "\n    ".join([f"{problem.severity}, {problem.split}: {problem.what}", *files])
