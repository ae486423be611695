"""Who may import whom, and what gets loaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bcpnet

SOURCE = Path(bcpnet.__file__).parent

# Module or package -> what it may import of bcpnet, beside itself. The longest name that fits counts.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "": ("segmenter",),  # bcpnet/__init__.py
    "__main__": ("cli",),
    "backends": ("machine", "metadata", "native", "weights"),
    "backends.native": ("backends.base", "machine", "metadata", "native"),
    "backends.auto": ("backends", "machine", "native", "preprocess", "weights"),
    "backends.cuda_fp16": ("backends.base", "checkpoint", "gpu", "metadata"),
    "backends.openvino": ("backends.base", "backends.onnxruntime", "metadata"),
    "backends.pytorch": ("backends.base", "checkpoint", "metadata", "networks"),
    "benchmark": (
        "backends",
        "data",
        "machine",
        "media",
        "pipeline",
        "prediction",
        "preprocess",
        "segmenter",
        "video",
        "weights",
    ),
    "benchmark.networks": (
        "backends",
        "benchmark",
        "checkpoint",
        "export",
        "labels",
        "metadata",
        "networks",
        "weights",
    ),
    "checkpoint": ("metadata", "networks"),
    "class_map": ("backends", "upsample"),
    "cli": ("",),  # everything; nobody imports it
    "data": ("fetch", "images", "labels"),
    "draw": ("overlay",),
    "errors": (),
    "evaluation": ("backends", "data", "labels", "metrics", "pipeline", "preprocess", "upsample"),
    "export": ("backends", "checkpoint", "metadata", "networks", "preprocess"),
    "fetch": (),
    "files": (),
    "gpu": ("networks", "preprocess"),
    "images": ("native",),
    "labels": (),
    "machine": (),
    "media": ("images", "video"),
    "metadata": ("labels", "preprocess"),
    "metrics": (),
    "native": (),
    "networks": ("preprocess",),
    "overlay": ("native",),
    "paper": (
        "benchmark",
        "checkpoint",
        "data",
        "draw",
        "images",
        "labels",
        "machine",
        "metadata",
        "networks",
        "preprocess",
        "segmenter",
        "weights",
    ),
    "pipeline": ("machine",),
    "prediction": ("draw", "media", "pipeline", "segmenter", "submission"),
    "preprocess": ("native",),
    "qdq": (),
    "quantise": ("backends", "metadata", "preprocess", "qdq"),
    "segmenter": ("backends", "draw", "images", "labels", "metadata", "pipeline", "preprocess", "upsample"),
    "submission": ("labels",),
    "training": (
        "backends",
        "checkpoint",
        "data",
        "fetch",
        "labels",
        "metadata",
        "metrics",
        "networks",
        "pipeline",
        "preprocess",
        "upsample",
        "weights",
    ),
    "upsample": ("native",),
    "video": (),
    "weights": (),
}
EVERYONE_MAY_IMPORT = ("errors", "files")

# Packages of the base install, and of the extras: which modules may import them.
MAY_USE: dict[str, tuple[str, ...]] = {
    "numpy": ("",),
    "PIL": ("",),
    "yaml": ("data",),
    "av": ("video",),
    "tyro": ("cli",),
    "onnxruntime": ("backends", "benchmark.macs", "class_map", "quantise"),
    "openvino": ("backends.openvino",),
    "torch": (
        "backends.cuda_fp16",
        "backends.pytorch",
        "benchmark.networks",
        "benchmark.usual",
        "checkpoint",
        "export",
        "gpu",
        "networks",
        "paper.figures",
        "paper.rates",
        "training",
    ),
    "matplotlib": ("paper.plots",),
    "triton": ("gpu",),
    "safetensors": ("checkpoint", "networks", "training"),
    "onnx_ir": ("class_map", "export", "qdq", "quantise"),
    "lightning_fabric": ("training",),
    "tensorboard": ("training",),
    "tflite": ("networks.encoders.tflite_file",),
}
EXTRAS = (
    "torch",
    "lightning_fabric",
    "matplotlib",
    "openvino",
    "onnx",
    "onnx_ir",
    "onnxscript",
    "safetensors",
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


@pytest.mark.parametrize(
    ("module", "source", "forbidden"),
    [
        ("segmenter", "from bcpnet import export, draw", ["bcpnet.export"]),
        ("upsample", "import numpy as np\nfrom bcpnet.labels import IGNORE", ["bcpnet.labels.IGNORE"]),
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
    "module", ["segmenter", "evaluation", "data", "media", "benchmark", "submission", "cli.main", "paper.document"]
)
def test_the_base_install_is_enough_for(module: str) -> None:
    loaded = _loaded_by(f"import bcpnet.{module}")
    assert "bcpnet" in loaded
    assert not set(EXTRAS) & loaded
