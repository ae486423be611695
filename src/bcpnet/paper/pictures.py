"""All pictures of the document, drawn anew from the results and from what the shipped weights make of an image."""

from __future__ import annotations

from pathlib import Path

from bcpnet.data.base import Sample
from bcpnet.data.streets import Streets
from bcpnet.media.images import save_image
from bcpnet.paper import plots
from bcpnet.paper.figures import draw_results, layer3_responses
from bcpnet.paper.results import Results, accuracy_size, timed_sizes

_STREET_HW = (360, 480)
_STREET = 3  # of the test split


def draw_plots(results: Results, folder: Path) -> None:
    """What was measured: accuracy.png, latency.png, figure2.png. Raises InputError where they cannot be written."""
    size = accuracy_size(results)
    if size is not None:
        plots.accuracy_over_latency(results, size, folder / "accuracy.png")
    if timed_sizes(results):
        plots.latency_over_size(results, folder / "latency.png")
    if results["rates"]:
        plots.rates(results, folder / "figure2.png")


def draw_figures(results: Results, photograph: Sample | None, folder: Path) -> None:
    """figure4.png and figure5.jpg, and what the document says of them.

    Args:
        results: gets "figure4" and "figure5".
        photograph: of CamVid, with its label: Figure 4 is then of it, and figure5-camvid.jpg is drawn too, which is
            not to be published. Without one, an earlier Figure 4 of a photograph stays.
        folder: for the pictures.

    Raises:
        InputError: they cannot be written.
    """
    street = Streets("test", _STREET_HW)[_STREET]
    earlier = results["figure4"]
    if photograph is not None or not (earlier and earlier["photograph"] and (folder / "figure4.png").exists()):
        sample = photograph or street
        plots.heat_maps(*layer3_responses(sample.image), folder / "figure4.png")
        image = "a synthetic street" if photograph is None else f"CamVid's validation image {photograph.name}"
        results["figure4"] = {"image": image, "photograph": photograph is not None}
    picture, right = draw_results(street)
    save_image(folder / "figure5.jpg", picture)
    results["figure5"] = {"image": "a synthetic street", "pixel_accuracy": right}
    if photograph is not None:
        save_image(folder / "figure5-camvid.jpg", draw_results(photograph)[0])
