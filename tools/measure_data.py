"""Does training wait for its data? Images/s of batches alone and of training, into results/data-NAME.json.

    python tools/measure_data.py RECIPE [--root DIR] [--from-disk]

Batches alone are everything that happens before the network: sampling, decoding where the split does not fit in
memory (`--from-disk` forces that), augmentation.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from bcpnet.data import open_dataset
from bcpnet.machine import describe_machine
from bcpnet.storage.files import write_bytes
from bcpnet.training import batches as batches_module
from bcpnet.training.augment import augment
from bcpnet.training.batches import Batches, Examples, RunSampler
from bcpnet.training.fit import Progress, fit
from bcpnet.training.recipes import recipe

RESULTS = Path(__file__).resolve().parents[1] / "results"
WARMUP, STEPS = 5, 40


def main() -> None:
    """Measures both and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--from-disk", action="store_true")
    options = parser.parse_args()
    what = replace(recipe(options.recipe), pretrained="none", val_split="none", epochs=10**6, save_seconds=10**6)
    train = open_dataset(what.dataset, options.root, what.train_split)
    if options.from_disk:
        batches_module._MEMORY_BYTES = 0

    source = Batches(Examples(train, what.short_side), torch.device("cpu"), what.workers)
    sampler = RunSampler(len(train), what.batch, what.images_at_once(), range(WARMUP + STEPS), what.seed)
    generator = torch.Generator().manual_seed(0)
    scale, crop_hw = (what.scale_min, what.scale_max), (what.crop_h, what.crop_w)
    began = 0.0
    for index, examples in enumerate(source.run(sampler)):
        augment(
            examples, short_side=what.short_side, crop_hw=crop_hw, scale=scale, flip=what.flip, jitter=what.jitter,
            generator=generator,
        )  # fmt: skip
        if index == WARMUP - 1:
            began = time.perf_counter()
    data_images_per_s = STEPS * what.batch / (time.perf_counter() - began)

    times: list[float] = []

    def stop_after(progress: Progress) -> None:
        del progress
        times.append(time.perf_counter())
        if len(times) == WARMUP + STEPS:
            raise StopIteration

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(StopIteration):
        fit(what, train, None, Path(folder) / "run", accelerator="cpu", report=stop_after)
    training_images_per_s = STEPS * what.batch / (times[-1] - times[WARMUP - 1])

    suffix = "-from-disk" if options.from_disk else ""
    result = {
        "command": f"python tools/measure_data.py {options.recipe}{' --from-disk' if options.from_disk else ''}",
        "images": len(train),
        "threads": torch.get_num_threads(),
        "data_images_per_s": round(data_images_per_s, 1),
        "training_images_per_s": round(training_images_per_s, 1),
        "ratio": round(data_images_per_s / training_images_per_s, 1),
        "machine": describe_machine(),
    }
    write_bytes(RESULTS / f"data-{options.recipe}{suffix}.json", (json.dumps(result, indent=2) + "\n").encode())
    print(json.dumps({key: value for key, value in result.items() if key != "machine"}))


if __name__ == "__main__":
    main()
