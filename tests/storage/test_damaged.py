"""Every exception that a library has, or names in a `raise`, is either damage or listed here with the reason."""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.errors import InputError
from bcpnet.storage.damaged import Library, damage, damage_told, reason, shortened

# Library -> where its exception classes are. A package is walked with all its modules.
PLACES: dict[Library, tuple[str, ...]] = {
    "PIL": ("PIL",),
    "av": ("av",),
    "json": ("json",),
    "numpy": ("numpy.exceptions", "numpy.lib.format"),
    "onnxruntime": ("onnxruntime.capi.onnxruntime_pybind11_state",),
    "openvino": ("openvino._pyopenvino",),
    "pyarrow": ("pyarrow.lib",),
    "safetensors": ("safetensors._safetensors_rust", "safetensors.torch"),
    "tarfile": ("tarfile",),
    "tflite": ("tflite",),
    "torch": ("torch.serialization", "torch._weights_only_unpickler"),
    "yaml": ("yaml",),
    "zipfile": ("zipfile",),
}
NO_DAMAGE = {
    "PIL.ImageCms.PyCMSError",  # colour management, which no decoder calls
    "zipfile.LargeZipFile",  # of writing
}
WALKED_NOT = ("__main__", "PIL.report", "PIL.ImageQt")  # print, or need what is not installed

# Sources that decode -> names in a `raise` that are no damage.
SOURCES: dict[Library, tuple[str, tuple[str, ...]]] = {
    "PIL": ("*Image*.py", ("PyCMSError", "ImportError", "Exception", "error", "e", "exc")),
    "json": ("decoder.py", ()),
    "safetensors": ("torch.py", ("ImportError", "e")),
    "torch": ("serialization.py", ("e",)),
    "yaml": ("*.py", ()),
}
# `raise Exception` stands in modules that no decoder calls.
MODULES_THAT_DECODE_NOTHING = {
    "ImageCms.py",
    "ImageGrab.py",
    "ImageMath.py",
    "ImageShow.py",
    "ImageTk.py",
    "ImageQt.py",
}


def walked(place: str) -> Iterator[object]:
    module = importlib.import_module(place)
    yield module
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{place}.", onerror=lambda _: None):
        if not found.name.endswith(WALKED_NOT):
            try:
                yield importlib.import_module(found.name)
            except ImportError:
                continue


@pytest.mark.parametrize("library", get_args(Library))
def test_each_exception_class_is_damage_or_is_listed(library: Library) -> None:
    pytest.importorskip(library)
    kinds = {
        kind
        for place in PLACES[library]
        for module in walked(place)
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, Exception)
        and not issubclass(kind, Warning)
        and kind.__module__.partition(".")[0] == library
        and f"{kind.__module__}.{kind.__qualname__}" not in NO_DAMAGE
    }
    assert kinds or library in ("tflite", "torch")
    assert {kind for kind in kinds if not issubclass(kind, damage(library))} == set()


@pytest.mark.parametrize("library", SOURCES)
def test_each_exception_that_a_decoder_raises_by_name_is_damage(library: Library) -> None:
    pytest.importorskip(library)
    pattern, others = SOURCES[library]
    spec = importlib.util.find_spec(library)
    assert spec is not None
    assert spec.origin is not None
    names = set()
    for path in Path(spec.origin).parent.glob(pattern):
        if path.name in MODULES_THAT_DECODE_NOTHING:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and node.exc is not None:
                raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                names.add(raised.attr if isinstance(raised, ast.Attribute) else getattr(raised, "id", ""))
    own = {kind.__name__ for kind in damage(library)}
    assert len(names) > 1 or library == "json"
    for name in names - set(others) - own:
        kind = getattr(builtins, name, None)
        # A class of the library's own is looked at by the test above.
        assert kind is None or issubclass(kind, damage(library)), f"{library} raises {name}"


def test_nothing_is_damage_that_is_a_wish_to_stop_or_a_missing_library() -> None:
    for library in get_args(Library):
        pytest.importorskip(library)
        for kind in (KeyboardInterrupt, SystemExit, GeneratorExit, ImportError, InputError):
            assert not issubclass(kind, damage(library)), (library, kind)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("first\nsecond\t third"), "first second third"),
        (ValueError(""), ""),
        (ValueError("bell \x07, escape \x1b[31m"), "bell �, escape �[31m"),
        (MemoryError(), "not enough memory"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (FileNotFoundError(2, "No such file or directory", "x"), "No such file or directory"),
        (KeyError("name"), "'name'"),
    ],
)
def test_a_reason_is_one_line(error: Exception, said: str) -> None:
    assert reason(error) == said


@given(st.text())
def test_any_text_becomes_one_printable_short_line(text: str) -> None:
    for said in (shortened(text), shortened(text * 1000)):
        assert said.isprintable()
        assert len(said) <= 200
    if text.isprintable() and text == " ".join(text.split()) and len(text) <= 200:
        assert shortened(text) == text


def test_damage_is_told_with_the_file_and_other_errors_pass(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with (
        pytest.raises(InputError, match=r"x\.json: not JSON \(Expecting value") as caught,
        damage_told(path, "json", "not JSON"),
    ):
        json.loads("")
    assert str(caught.value).startswith(f"{path}: ")
    with (
        pytest.raises(InputError, match=r"x\.json: not JSON \(nested too deeply\)"),
        damage_told(path, "json", "not JSON"),
    ):
        json.loads("[" * 100_000)
    with pytest.raises(InputError, match=r"x\.json: cannot read: No such file"), damage_told(path, "PIL", "damaged"):
        path.read_bytes()
    with pytest.raises(InputError, match=r"x\.json: not JSON$"), damage_told(path, "json", "not JSON"):
        raise ValueError
    with pytest.raises(ZeroDivisionError), damage_told(path, "json", "not JSON"):
        print(1 / 0)
