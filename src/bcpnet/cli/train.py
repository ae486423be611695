"""`bcpnet train`: a recipe, or an interrupted run of one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bcpnet.cli.common import Flag, OptionalPath, Status, duration
from bcpnet.cli.complain import complain
from bcpnet.data import open_dataset
from bcpnet.errors import UsageError
from bcpnet.training.memory import keep_memory
from bcpnet.training.recipes import RECIPES, Recipe, recipe

if TYPE_CHECKING:
    from bcpnet.training.fit import Progress


@dataclass(frozen=True)
class Train:
    """Train a recipe: the values below are its own, and each can be set. For example:

    bcpnet train streets --out runs/first --epochs 20

    Ctrl-C saves; the same command with --resume goes on.

    Attributes:
        out: folder for the run: recipe.json, last.safetensors, best.safetensors, history.jsonl, TensorBoard files.
        root: the dataset's folder; for `folder`, its YAML file; none for `streets`.
        resume: go on with the run in --out.
        devices: how many GPUs (or CPU processes) to train on.
        accelerator: auto, cpu or cuda.
        recipe: what is trained, and how.
    """

    out: Path
    recipe: Recipe
    root: OptionalPath = None
    resume: Flag = False
    devices: int = 1
    accelerator: str = "auto"

    @staticmethod
    def defaults(words: list[str]) -> tuple[Train | None, list[str]]:
        """Takes the recipe's name off the arguments and its values as defaults; None after --help without a recipe."""
        from tyro import MISSING_NONPROP

        name = words[0] if words else ""
        if name in ("-h", "--help"):
            print(_overview())
            return None, []
        if not name or name.startswith("-"):
            raise UsageError(f"name the recipe first: bcpnet train RECIPE ...; recipes: {', '.join(RECIPES)}")
        return Train(MISSING_NONPROP, recipe(name)), words[1:]


def run(options: Train) -> int:
    """Trains, with a line of progress."""
    what = _with_own_options(options.recipe)
    if what.pretrained == "required":
        raise UsageError(
            "this recipe starts from pre-trained encoder weights: add --pretrained FILE.safetensors, "
            "or --pretrained none to start from random ones"
        )
    if what.teacher == "required":
        raise UsageError("this recipe learns from a teacher: add --teacher FILE.safetensors")
    if what.unlabelled == "required":
        raise UsageError("this recipe learns from images without labels: add --unlabelled DIR")
    train = open_dataset(what.dataset, options.root, what.train_split)
    val = None if what.val_split == "none" else open_dataset(what.dataset, options.root, what.val_split)

    keep_memory()  # before PyTorch is there
    from bcpnet.training.fit import RunInterruptedError, fit

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
        complain(f"{stop}; go on with the same command and --resume")
        return 130
    print(f"weights in {options.out / 'last.safetensors'}, curve in {options.out / 'history.jsonl'}")
    return 0


def _with_own_options(what: Recipe) -> Recipe:
    """Without the options that a recipe has for its own network, where --network names another and none was set."""
    recipes = [make() for make in RECIPES.values()]
    if any((what.network, what.options) == (own.network, own.options) for own in recipes):
        return what
    return replace(what, options={}) if any(what.options == own.options for own in recipes) else what


def _overview() -> str:
    width = max(map(len, RECIPES))
    recipes = "\n".join(f"  {name:{width}}  {make.__doc__}" for name, make in RECIPES.items())
    return (
        f"usage: bcpnet train RECIPE --root DIR --out RUN [options]\n\n{recipes}\n\n"
        "bcpnet train RECIPE --help tells its options and their values."
    )


def _line(progress: Progress) -> str:
    miou = "" if progress.miou is None else f", val mIoU {100 * progress.miou:.2f}"
    return (
        f"epoch {progress.epoch}/{progress.epochs}, step {progress.step}/{progress.steps}, loss {progress.loss:.3f}"
        f"{miou}, {progress.images_per_s:.1f} images/s, {duration(progress.eta_s)} to go"
    )
