"""`bcpnet train`: a recipe, or an interrupted run of one."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from bcpnet.cli.common import Flag, Status, duration
from bcpnet.cli.complain import complain
from bcpnet.cli.data_check import quick_check
from bcpnet.data import DATASETS, Dataset, open_dataset
from bcpnet.data.seen import seen, split_name
from bcpnet.errors import UsageError
from bcpnet.training.history import best_evaluation, last_evaluation
from bcpnet.training.memory import keep_memory
from bcpnet.training.recipes import RECIPES, Recipe, recipe
from bcpnet.training.resume import check_run, saved_recipe

if TYPE_CHECKING:
    from bcpnet.training.fit import Progress

_LOWEST = 3  # classes named at the end
_FORMER = "--dataset"  # what --data was called once, and may still be
_OVERVIEW = """usage: bcpnet train RECIPE --root DIR --out RUN [options]
       bcpnet train --resume RUN

The recipes:

{recipes}

bcpnet train RECIPE --help lists a recipe's options and their values, for example --epochs, --batch and --data.
Ctrl-C saves a run; --resume RUN goes on with it, with its own recipe and data."""


@dataclass(frozen=True)
class RecipeOptions(Recipe):
    """A recipe as the command line shows it."""

    dataset: Annotated[str, arg(name="data", metavar=f"{{{','.join(DATASETS)}}}")] = "camvid"
    root: Annotated[str, arg(metavar="PATH")] = "none"


@dataclass(frozen=True)
class Train:
    """Train a recipe. For example:

    bcpnet train streets --out runs/first --epochs 20

    Ctrl-C saves the run; `bcpnet train --resume runs/first` goes on with it.

    Attributes:
        out: folder for the run: recipe.json, last.safetensors, best.safetensors, history.jsonl, pictures, TensorBoard
            files.
        resume: go on with the run in --out (the same as `bcpnet train --resume RUN`, which needs no recipe).
        devices: how many GPUs (or CPU processes) to train on.
        accelerator: what to train on; auto = a GPU where there is one.
        recipe: what is trained, and how. The values are the recipe's own; each can be set.
    """

    out: Path
    recipe: RecipeOptions
    resume: Flag = False
    devices: int = 1
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"

    @staticmethod
    def defaults(words: list[str]) -> tuple[Train | None, list[str]]:
        """Takes the recipe's name, or --resume RUN, off the arguments, and its values as defaults.

        None after --help without a recipe.
        """
        from tyro import MISSING_NONPROP

        name = words[0] if words else ""
        if name in ("-h", "--help"):
            width = max(map(len, RECIPES))
            recipes = "\n".join(f"  {known:{width}}  {make.__doc__}" for known, make in RECIPES.items())
            print(_OVERVIEW.format(recipes=recipes))
            return None, []
        words = ["--data" + word.removeprefix(_FORMER) if word.partition("=")[0] == _FORMER else word for word in words]
        _check_words(words)
        if name == "--resume":
            run = Path(words[1])
            return Train(run, RecipeOptions(**vars(saved_recipe(run))), resume=True), words[2:]
        return Train(MISSING_NONPROP, RecipeOptions(**vars(recipe(name)))), words[1:]


def run(options: Train) -> int:
    """Trains, with a line of progress."""
    what = _with_own_options(Recipe(**vars(options.recipe)))
    if what.pretrained == "required":
        raise UsageError(
            "this recipe starts from pre-trained encoder weights: add --pretrained FILE.safetensors "
            "(`bcpnet pretrained` fetches one), or --pretrained none to start from random ones"
        )
    if what.teacher == "required":
        raise UsageError("this recipe learns from a teacher: add --teacher, weights of bcpnet or the folder of a run")
    if what.unlabelled == "required":
        raise UsageError("this recipe learns from images without labels: add --unlabelled DIR")
    train = _open(what, what.train_split)
    val = None if what.val_split == "none" else _open(what, what.val_split)
    check_run(what, options.out, options.resume)  # before what takes longer
    if os.environ.get("LOCAL_RANK", "0") == "0":  # not again in the other processes of --devices
        quick_check({what.train_split: train} | ({} if val is None else {what.val_split: val}))

    keep_memory()  # before PyTorch is there
    from bcpnet.training.fit import RunInterruptedError, fit
    from bcpnet.training.trained_on import trained_on

    if val is not None and seen(trained_on(what, train.classes), split_name(what.dataset, what.val_split, val.classes)):
        complain(
            f"the weights that this run starts or learns from were trained on val-split {what.val_split}: its scores "
            "will be too high"
        )
    try:
        with Status() as status:
            reading = "reading the images"
            status.show(reading if what.teacher == "none" else f"{reading}, and what the teacher sees in them")
            fit(
                what,
                train,
                val,
                options.out,
                resume=options.resume,
                devices=options.devices,
                accelerator=options.accelerator,
                report=lambda progress: status.show(_line(progress), always=progress.step == progress.steps),
            )
    except RunInterruptedError as stop:
        complain(f"{stop}; go on with: bcpnet train --resume {options.out}{_machine(options)}")
        return 130
    last = last_evaluation(options.out)
    if last is not None:
        print(_scores(last))
        print(f"sample pictures in {options.out / 'samples'}")
    print(f"weights in {options.out / 'last.safetensors'}, curve in {options.out / 'history.jsonl'}")
    best = best_evaluation(options.out)
    if best is not None:
        told = f"highest val mIoU {100 * best['miou']:.2f} %, after epoch {best['epoch']}"
        print(f"{told}: best.safetensors. A score that weights were chosen by is optimistic")
    return 0


def _check_words(words: list[str]) -> None:
    """Raises UsageError for what tyro would only call unknown or missing."""
    name, *rest = words or [""]
    if name == "--resume" and (not rest or rest[0].startswith("-")):
        raise UsageError("--resume needs the folder of the run: bcpnet train --resume RUN")
    if not name or (name.startswith("-") and name != "--resume"):
        raise UsageError(
            f"name the recipe first: bcpnet train RECIPE ..., one of {', '.join(RECIPES)}; or an interrupted run: "
            "bcpnet train --resume RUN"
        )
    for word, value in pairwise(rest):
        if word == "--resume" and not value.startswith("-"):
            raise UsageError(f"a run has its recipe: leave out {name!r}, as in: bcpnet train --resume {value}")


def _open(what: Recipe, split: str) -> Dataset:
    return open_dataset(what.dataset, None if what.root == "none" else Path(what.root), split)


def _with_own_options(what: Recipe) -> Recipe:
    """Without the options that a recipe has for its own network, where --network names another and none was set."""
    recipes = [make() for make in RECIPES.values()]
    if any((what.network, what.options) == (own.network, own.options) for own in recipes):
        return what
    return replace(what, options={}) if any(what.options == own.options for own in recipes) else what


def _machine(options: Train) -> str:
    """The options that the folder of a run does not hold, where they were set."""
    devices = "" if options.devices == 1 else f" --devices {options.devices}"
    return devices + ("" if options.accelerator == "auto" else f" --accelerator {options.accelerator}")


def _scores(evaluation: dict[str, Any]) -> str:
    """A line of the history: mIoU and the classes with the lowest IoU."""
    found = [(iou, name) for name, iou in evaluation.get("iou", {}).items() if iou is not None]
    lowest = ", ".join(f"{name} {100 * iou:.1f}" for iou, name in sorted(found)[:_LOWEST])
    told = f"val mIoU {100 * evaluation['miou']:.2f} % after epoch {evaluation['epoch']}"
    return f"{told}; lowest: {lowest}" if lowest else told


def _line(progress: Progress) -> str:
    miou = "" if progress.miou is None else f", val mIoU {100 * progress.miou:.2f} %"
    return (
        f"epoch {progress.epoch}/{progress.epochs}, step {progress.step}/{progress.steps}, loss {progress.loss:.3f}"
        f"{miou}, {progress.images_per_s:.1f} images/s, {duration(progress.eta_s)} to go"
    )
