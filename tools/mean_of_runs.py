"""The mean of the weights that several seeds of one recipe ended with: one network, often better than each of them.

    python tools/mean_of_runs.py OUT.safetensors RUN RUN [RUN ...]

"Model soup", uniform (Wortsman et al. 2022). It needs runs that start from the same trained weights; the means of runs
from different random weights are noise, which the score of the result shows at once.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bcpnet.metadata import Metadata
from bcpnet.networks.checkpoint import load_checkpoint, save_checkpoint

_SEED = re.compile(r"\bseed (\d+)")


def read_recipe(run: Path) -> dict[str, Any]:
    """What a run was asked for. Raises SystemExit where there is none with weights."""
    if missing := [name for name in ("recipe.json", "last.safetensors") if not (run / name).is_file()]:
        raise SystemExit(f"{run}: no run of `bcpnet train`: it has no {' and no '.join(missing)}")
    recipe = dict(json.loads((run / "recipe.json").read_text()))
    recipe.pop("root", None)  # where the data lay on that machine is nobody's business
    return recipe | {"unlabelled": Path(recipe.get("unlabelled", "none")).name}


def mean_of_runs(runs: list[Path]) -> tuple[nn.Module, Metadata]:
    """The mean of the last weights of `runs`, batch norm statistics included; of one run, its weights as they are.

    Raises SystemExit unless the runs have different seeds and nothing else is different.
    """
    recipes = [read_recipe(run) for run in runs]
    seeds = [recipe.pop("seed") for recipe in recipes]
    checkpoints = [load_checkpoint(run / "last.safetensors") for run in runs]
    alike = [replace(metadata, provenance=_SEED.sub("", metadata.provenance)) for _, metadata in checkpoints]
    if (
        len(set(seeds)) < len(seeds)
        or any(each != recipes[0] for each in recipes)
        or any(each != alike[0] for each in alike)
    ):
        raise SystemExit(f"{', '.join(map(str, runs))}: a mean is of runs that differ in their seed, and in that alone")
    network, metadata = checkpoints[0]
    if len(runs) == 1:
        return network, metadata
    states = [each.state_dict() for each, _ in checkpoints]
    mean = {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(own.dtype)
        for name, own in states[0].items()
    }
    network.load_state_dict(mean)
    told = f"mean of seeds {', '.join(map(str, seeds[:-1]))} and {seeds[-1]}"
    return network, replace(metadata, provenance=_SEED.sub(told, metadata.provenance, count=1))


def main() -> None:
    """Writes the mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT.safetensors")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    options = parser.parse_args()
    network, metadata = mean_of_runs(options.runs)
    save_checkpoint(options.out, network, metadata)
    print(f"{options.out}: {metadata.provenance}")


if __name__ == "__main__":
    main()
