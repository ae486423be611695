"""Who may import whom, and what gets loaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bcpnet

SOURCE = Path(bcpnet.__file__).parent

# The rooms of the house, from the top floor down: nobody opens a door upward, or to a neighbour on the same floor,
# but where DOORS_ON_A_FLOOR has one.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("paper",),
    ("benchmark",),
    ("prediction", "serving"),
    ("evaluation", "formats", "onnx", "segmenter"),
    ("backends", "training"),
    ("gpu",),
    ("networks", "segmentation"),
    ("data", "metadata", "regions"),
    ("frames", "media", "drawing", "pipeline"),
    ("native", "machine", "weights"),
    ("storage",),
    ("labels", "metrics"),
    ("errors",),
)
DOORS_ON_A_FLOOR = {"training": ("backends",)}

# Room -> the rooms below that it opens. The longest name that fits counts.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "": ("media.open_source", "regions", "segmentation", "segmenter"),  # bcpnet/__init__.py
    "__main__": ("cli",),
    "cli": ("",),  # everything; nobody imports it
    "paper": (
        "benchmark", "data", "drawing", "frames", "labels", "machine", "media", "metadata", "networks", "segmenter",
        "weights",
    ),
    "benchmark": (
        "backends", "data", "frames", "machine", "media", "pipeline", "prediction", "segmenter", "weights",
    ),
    "benchmark.ceilings": ("benchmark", "machine", "native"),
    "benchmark.stability": ("data", "frames", "metrics", "segmenter"),
    "benchmark.networks": ("backends", "benchmark", "labels", "metadata", "networks", "onnx.export", "weights"),
    "serving": ("machine", "media.class_map_png", "media.images", "segmentation", "segmenter", "weights"),
    "prediction": ("drawing", "labels", "media", "pipeline", "regions", "segmentation", "segmenter"),
    "formats": ("backends", "data", "frames", "metadata"),
    "evaluation": ("backends", "data", "frames", "labels", "metrics", "pipeline"),
    "onnx": ("backends", "frames", "metadata"),
    "onnx.export": ("backends", "frames", "metadata", "networks", "onnx.signature"),
    "segmenter": ("backends", "frames", "labels", "media", "metadata", "pipeline", "segmentation"),
    "segmentation": ("drawing", "frames", "labels", "media.images", "regions"),
    "backends": ("machine", "metadata", "native", "weights"),
    "backends.auto": ("backends", "frames", "machine", "native", "weights"),
    "backends.cuda_fp16": ("backends.base", "gpu", "metadata", "networks.checkpoint"),
    "backends.native": ("backends.base", "machine", "metadata", "native"),
    "backends.openvino": ("backends.base", "backends.onnxruntime", "metadata"),
    "backends.pytorch": ("backends.base", "metadata", "networks"),
    "training": (
        "backends", "data", "drawing", "frames", "labels", "media.images", "metadata", "metrics", "networks",
        "pipeline", "storage", "weights",
    ),
    "gpu": ("frames", "networks"),
    "networks": ("frames", "metadata"),
    "data": ("labels", "media.images", "storage"),
    "metadata": ("frames", "labels"),
    "regions": ("labels", "native"),
    "regions.zones": ("storage.yaml_file",),
    "frames": ("native",),
    "media": ("native",),
    "media.cityscapes_submission": ("labels", "media.images"),
    "drawing": ("native",),
    "pipeline": ("machine",),
    "native": (),
    "machine": (),
    "weights": (),
    "storage": (),
    "labels": (),
    "metrics": (),
    "errors": (),
}  # fmt: skip
EVERYONE_MAY_IMPORT = ("errors", "storage.damaged", "storage.files")

# Packages of the base install, and of the extras: which modules may import them.
MAY_USE: dict[str, tuple[str, ...]] = {
    "numpy": ("",),
    "PIL": ("",),
    "yaml": ("storage",),
    "av": ("media.live", "media.video"),
    "tyro": ("cli",),
    "onnxruntime": ("backends", "benchmark.macs", "formats", "onnx.class_map", "onnx.quantise"),
    "openvino": ("backends.openvino",),
    "torch": (
        "backends.cuda_fp16",
        "backends.pytorch",
        "benchmark.networks",
        "benchmark.baseline",
        "networks",
        "onnx.export",
        "gpu",
        "networks",
        "paper.figures",
        "paper.rates",
        "training",
    ),
    "matplotlib": ("paper.plots",),
    "starlette": ("serving",),
    "uvicorn": ("serving",),
    "h11": ("serving",),
    "multipart": ("serving",),
    "pyarrow": ("prediction.batch",),
    "ray": ("prediction.batch.on_ray",),
    "supervision": ("regions.detections", "segmentation"),
    "triton": ("gpu",),
    "safetensors": ("networks", "training"),
    "onnx_ir": ("formats", "onnx"),
    "lightning_fabric": ("training",),
    "tensorboard": ("training",),
    "tflite": ("networks.encoders.tflite_file",),
    "ai_edge_litert": ("formats",),
    "flatbuffers": ("formats",),
    "ncnn": ("formats",),
    "pnnx": ("formats",),
}
EXTRAS = (
    "ai_edge_litert",
    "flatbuffers",
    "ncnn",
    "pnnx",
    "starlette",
    "uvicorn",
    "h11",
    "multipart",
    "websockets",
    "torch",
    "lightning_fabric",
    "matplotlib",
    "openvino",
    "onnx",
    "onnx_ir",
    "onnxscript",
    "pyarrow",
    "ray",
    "safetensors",
    "supervision",
    "tensorboard",
    "tflite",
    "triton",
)


def _within(module: str, package: str) -> bool:
    return not package or module == package or module.startswith(f"{package}.")


def _imports(source: str) -> set[str]:
    """Full names of all that is imported, at the top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide where things come from"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _forbidden(module: str, source: str) -> list[str]:
    """What `module` (without "bcpnet.") imports against the tables."""
    rules = [name for name in MAY_IMPORT if module == name or (name and _within(module, name))]
    assert rules, f"bcpnet.{module} is in no line of MAY_IMPORT: add what it may import"
    rule = max(rules, key=len)
    allowed = (*MAY_IMPORT[rule], *EVERYONE_MAY_IMPORT)
    found = []
    for name in sorted(_imports(source)):
        top, _, rest = name.partition(".")
        if top == "bcpnet":
            is_own = bool(rule) and _within(rest, rule)
            permitted = is_own or any(_within(rest, package) for package in allowed)
        else:
            permitted = top in sys.stdlib_module_names or any(
                _within(module, package) for package in MAY_USE.get(top, ())
            )
        if not permitted:
            found.append(name)
    return found


def _modules() -> dict[str, str]:
    """Name without "bcpnet." -> source."""
    modules = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        modules[".".join(part for part in parts if part != "__init__")] = path.read_text(encoding="utf-8")
    return modules


@pytest.mark.parametrize("module", sorted(_modules()))
def test_imports_only_what_it_may(module: str) -> None:
    assert _forbidden(module, _modules()[module]) == []


def test_nobody_imports_upward() -> None:
    floor_of = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    rooms = {module.partition(".")[0] for module in _modules()} - {""}
    assert rooms == set(floor_of)
    for module, source in _modules().items():
        room = module.partition(".")[0]
        for name in _imports(source) if room else ():
            other = name.removeprefix("bcpnet.").partition(".")[0]
            if name.startswith("bcpnet.") and other in floor_of and other != room:
                below = floor_of[other] > floor_of[room]
                assert below or other in DOORS_ON_A_FLOOR.get(room, ()), f"{module} imports {name}, upward"


def test_the_house_has_few_doors() -> None:
    assert len([path for path in SOURCE.iterdir() if path.is_file() and path.suffix != ".so"]) <= 12
    assert len([path for path in SOURCE.iterdir() if path.name != "__pycache__"]) <= 32
    for path in SOURCE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path}: say in a sentence what lives there"


@pytest.mark.parametrize(
    ("module", "source", "forbidden"),
    [
        ("segmenter", "from bcpnet.onnx import export\nfrom bcpnet.frames import upsample", ["bcpnet.onnx.export"]),
        ("frames.upsample", "import numpy as np\nfrom bcpnet.labels import IGNORE", ["bcpnet.labels.IGNORE"]),
        ("data.camvid", "def f():\n    import torch.nn", ["torch.nn"]),
        ("backends.onnxruntime", "from bcpnet.networks import build", ["bcpnet.networks.build"]),
        ("backends.pytorch", "import torch\nfrom bcpnet.networks import build", []),
        ("metrics", "from bcpnet.cli import main", ["bcpnet.cli.main"]),
    ],
)
def test_the_tables_forbid(module: str, source: str, forbidden: list[str]) -> None:
    assert _forbidden(module, source) == forbidden


def _loaded_by(code: str) -> set[str]:
    """Top-level packages in sys.modules after `code` ran in a Python of its own."""
    script = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split())


def test_import_bcpnet_loads_nothing_heavy() -> None:
    heavy = {*EXTRAS, "numpy", "PIL", "onnxruntime", "av", "yaml", "tyro"}
    assert not heavy & _loaded_by("import bcpnet")


@pytest.mark.parametrize(
    "module", ["segmenter", "evaluation.evaluate", "data", "media.sources", "benchmark", "cli.main", "paper.document"]
)
def test_the_base_install_is_enough_for(module: str) -> None:
    loaded = _loaded_by(f"import bcpnet.{module}")
    assert "bcpnet" in loaded
    assert not set(EXTRAS) & loaded
