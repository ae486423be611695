"""What BCPNet's paper (Hao, Zhou, Guo 2020, arXiv 2005.11034) prints of itself and of twelve other systems.

Parameters and FLOPs are its Table 1, milliseconds and frames a second its Table 2, accuracy its Tables 3 and 4, the
ablation its Table 5. Sizes are height x width.

Its FRRN is FRRN B: 71.8 % on Cityscapes is that network's figure (Pohlen et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

TITLE = "Bi-direction Context Propagation Network for Real-time Semantic Segmentation"
GPU = "TITAN X"  # caption of Table 2: all its figures
TABLE_1_SIZES = ("360x640", "713x713", "512x1024", "768x1536", "1024x1024", "1024x2048")
TABLE_2_SIZES = (
    "360x640", "512x1024", "720x960", "720x1280", "768x1536", "1080x1920", "1024x1024", "1024x2048",
)  # fmt: skip


class Speed(NamedTuple):
    """One cell of Table 2."""

    ms: float
    fps: float


@dataclass(frozen=True)
class System:
    """One system as the paper prints it.

    Attributes:
        title: its name there.
        source: authors and year of its own paper.
        parameters_m: millions of parameters; None = not given.
        gflops: 1e9 operations, or multiply-adds, by size; the paper does not say which.
        speed: by size.
        cityscapes: mIoU on the test set, %; None = not given.
        camvid: the same on CamVid's.
    """

    title: str
    source: str
    parameters_m: float | None = None
    gflops: dict[str, float] = field(default_factory=dict)
    speed: dict[str, Speed] = field(default_factory=dict)
    cityscapes: float | None = None
    camvid: float | None = None


# By name in `bcpnet.networks.NETWORKS`, in the order of Table 1.
PUBLISHED: dict[str, System] = {
    "deeplab": System(
        "DeepLab", "Chen et al. 2017", 262.1, {"512x1024": 457.8},
        {"512x1024": Speed(4000, 0.25)},  # the frame rate stands in section 2.1
        camvid=61.6,
    ),
    "pspnet": System("PSPNet", "Zhao et al. 2017", 250.8, {"713x713": 412.2}),
    "sq": System(
        "SQ", "Treml et al. 2016", None, {"1024x2048": 270}, {"1024x2048": Speed(60, 16.7)}, cityscapes=59.8
    ),
    "frrn_a": System("FRRN A", "Pohlen et al. 2017"),
    "frrn_b": System(
        "FRRN B", "Pohlen et al. 2017", None, {"512x1024": 235}, {"512x1024": Speed(469, 2.1)}, cityscapes=71.8
    ),
    "fcn8s": System(
        "FCN-8s", "Long et al. 2015", None, {"512x1024": 136.2}, {"512x1024": Speed(500, 2)}, cityscapes=63.1
    ),
    "two_column": System(
        "Two-column", "Wu et al. 2017", None, {"512x1024": 57.2}, {"512x1024": Speed(68, 14.7)}, cityscapes=72.9
    ),
    "bisenet2": System(
        "BiSeNet, ResNet-18", "Yu et al. 2018", 49, {"768x1536": 55.3},
        {
            "360x640": Speed(8, 129.4), "720x1280": Speed(21, 47.9), "768x1536": Speed(21, 45.7),
            "1080x1920": Speed(43, 23),
        },
        cityscapes=74.7, camvid=68.7,
    ),
    "bisenet1": System(
        "BiSeNet, Xception-39", "Yu et al. 2018", 5.8, {"768x1536": 14.8},
        {
            "360x640": Speed(5, 203.5), "720x1280": Speed(12, 82.3), "768x1536": Speed(13, 72.3),
            "1080x1920": Speed(24, 41.4),
        },
        cityscapes=68.4, camvid=65.6,
    ),
    "segnet": System(
        "SegNet", "Badrinarayanan et al. 2017", 29.5, {"360x640": 286},
        {"360x640": Speed(69, 14.6), "720x1280": Speed(289, 3.5), "1080x1920": Speed(637, 1.6)},
        cityscapes=56.1, camvid=46.4,
    ),
    "icnet": System(
        "ICNet", "Zhao et al. 2018", 26.5, {"1024x2048": 28.3},
        {"720x960": Speed(36, 27.8), "1024x2048": Speed(33, 30.3)},
        cityscapes=69.5, camvid=67.1,
    ),
    "dfanet_a": System(
        "DFANet-A", "Li et al. 2019", 7.8, {"1024x1024": 3.4},
        {"720x960": Speed(8, 120), "1024x1024": Speed(10, 100)},
        cityscapes=71.3, camvid=64.7,
    ),
    "dfanet_b": System(
        "DFANet-B", "Li et al. 2019", 4.8, {"1024x1024": 2.1},
        {"720x960": Speed(6, 160), "1024x1024": Speed(8, 120)},
        cityscapes=67.1, camvid=59.3,
    ),
    "edanet": System(
        "EDANet", "Lo et al. 2019", 0.68, {"512x1024": 8.97}, {"512x1024": Speed(12.3, 81.3)},
        cityscapes=67.3, camvid=66.4,
    ),
    "enet": System(
        "ENet", "Paszke et al. 2016", 0.4, {"360x640": 3.8},
        {"360x640": Speed(7, 135.4), "720x1280": Speed(21, 46.8), "1080x1920": Speed(46, 21.6)},
        cityscapes=58.3, camvid=51.3,
    ),
    "bcpnet": System(
        "BCPNet", "Hao et al. 2020", 0.61,
        {
            "360x640": 0.51, "713x713": 1.12, "512x1024": 1.13, "768x1536": 2.53, "1024x1024": 2.25,
            "1024x2048": 4.50,
        },
        {
            "360x640": Speed(1.7, 585.9), "512x1024": Speed(4, 250.4), "720x960": Speed(5.5, 181),
            "720x1280": Speed(7.4, 134.8), "768x1536": Speed(9.8, 102.6), "1080x1920": Speed(18.2, 55),
            "1024x1024": Speed(8.6, 116.2), "1024x2048": Speed(18.2, 55),
        },
        cityscapes=68.4, camvid=67.8,
    ),
}  # fmt: skip


class Ablation(NamedTuple):
    """One row of Table 5, on Cityscapes' validation set.

    Attributes:
        variant: what `results/ablation-table5.json` calls it.
        crop: of training, in pixels.
        pooling: of the context.
        bcp: whether BCP is there.
        parameters_m: millions of parameters.
        miou: in %.
    """

    variant: str
    crop: str
    pooling: str
    bcp: bool
    parameters_m: float
    miou: float


ABLATION = (
    Ablation("no-bcp", "768x768", "-", False, 0.43, 58.891),
    Ablation("max3", "768x768", "3x3 max", True, 0.61, 67.842),
    Ablation("avg3", "768x768", "3x3 avg", True, 0.61, 67.311),
    Ablation("max5", "768x768", "5x5 max", True, 0.61, 65.763),
    Ablation("max3-large", "1024x1024", "3x3 max", True, 0.61, 68.626),
)
