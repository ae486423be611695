"""`bcpnet paper`: the paper's comparison, measured here; a document, its pictures, and the JSON they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from bcpnet.cli.common import Flag, Number, OptionalPath, Sizes, Status, parse_size
from bcpnet.data import open_dataset
from bcpnet.data.base import Sample
from bcpnet.errors import InputError, UsageError
from bcpnet.machine import check_threads
from bcpnet.storage.files import write_bytes

if TYPE_CHECKING:  # it needs PyTorch
    from bcpnet.paper.run import Plan

Names = Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]", help_behavior_hint="")]

_QUICK_NETWORKS = ("dfanet_b", "edanet", "enet", "bcpnet")
_QUICK_SIZES = ("360x640", "512x1024")


@dataclass(frozen=True)
class Paper:
    """Measure what BCPNet's paper compares: every system it names, its tables and figures, beside what it printed.

    bcpnet paper --quick

    All of it takes about forty minutes on two cores. What the results file holds already is not measured again: an
    interrupted run goes on, and a finished one writes its document anew.

    Attributes:
        out: folder of paper.md and, in paper/, its pictures; docs, with --quick paper-quick.
        results: the JSON; results/paper.json, with --quick paper.json beside paper.md.
        quick: two minutes: small networks, two sizes, few frames.
        networks: rows to measure; all. A wrong name gets the list.
        sizes: heights and widths of frames to time; the eight of the paper's Table 2.
        threads: CPU threads; by default each runtime's choice.
        limit: seconds that one frame may take; a slower network is not timed at that size, nor at larger ones.
        camvid: CamVid's folder: Figure 4 of one of its images, and a Figure 5 that is not to be published.
        fresh: measure everything, whatever the results file holds.
    """

    out: OptionalPath = None
    results: OptionalPath = None
    quick: Flag = False
    networks: Names = ()
    sizes: Annotated[Sizes, arg(help_behavior_hint="")] = ()
    threads: Number = None
    limit: float = 60.0
    camvid: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    fresh: Flag = False


def run(options: Paper) -> int:
    """Measures, then writes."""
    from bcpnet.paper import pictures  # first: without Matplotlib all else is in vain
    from bcpnet.paper.document import PICTURES, document, verdict
    from bcpnet.paper.recorded import read_elsewhere
    from bcpnet.paper.results import new_results, read_results, save_results
    from bcpnet.paper.run import measure

    plan = _plan(options)
    photograph = None if options.camvid is None else _photograph(options.camvid)
    out = options.out or Path("paper-quick" if options.quick else "docs")
    path = options.results or (out / "paper.json" if options.quick else Path("results", "paper.json"))
    results = None if options.fresh else read_results(path)
    if results is None:
        results = new_results(plan.settings())
    with Status() as status:
        pictures.draw_figures(results, photograph, out / PICTURES)
        measure(plan, results, path, lambda step: status.show(step, always=True))
        pictures.draw_plots(results, out / PICTURES)
        read_elsewhere(results)
        save_results(path, results)
        write_bytes(out / "paper.md", document(results).encode())
    print("\n".join([*verdict(results), f"{out / 'paper.md'}, from {path}"]))
    return 0


def _plan(options: Paper) -> Plan:
    """Raises UsageError for what cannot be measured."""
    from bcpnet.paper.measure import Effort, variants
    from bcpnet.paper.published import TABLE_2_SIZES
    from bcpnet.paper.run import Plan

    rows = variants()
    for name in options.networks:
        if name not in rows:
            raise UsageError(f"unknown network {name!r}: choose from {', '.join(rows)}")
    check_threads(options.threads)
    if not 0 < options.limit < 1e6:
        raise UsageError(f"a limit of {options.limit:g} s: need more than 0, less than a million")
    quick = tuple(name for name in rows if name in _QUICK_NETWORKS)
    networks = options.networks or (quick if options.quick else tuple(rows))
    sizes = options.sizes or (_QUICK_SIZES if options.quick else TABLE_2_SIZES)
    sizes = tuple("{}x{}".format(*parse_size(size)) for size in sizes)
    effort = Effort(limit_s=options.limit, threads=options.threads)
    if options.quick:
        effort = Effort(10, 0.5, 1.0, options.limit, options.threads)
    return Plan(rows, tuple(dict.fromkeys(networks)), sizes, effort, options.quick)


def _photograph(root: Path) -> Sample:
    """The middle one of CamVid's validation images. Raises InputError where there is none with a label."""
    images = open_dataset("camvid", root, "val")
    if not len(images):
        raise InputError(f"{root}: no images in CamVid's val split")
    return images[len(images) // 2]
