"""YAML files within bounds: every value that YAML can write is read, or refused in one line of bounded length."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_data import make_folder
from fuzz.yaml_files import fuzz
from hypothesis import given
from hypothesis import strategies as st

from bcpnet.data.folder import Folder
from bcpnet.errors import InputError
from bcpnet.storage.yaml_file import SchemaError, load_yaml, plain, shown

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-300, 300) | st.floats(allow_nan=False) | st.text(max_size=20) | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


def _load(folder: Path, text: str | bytes) -> Any:
    path = folder / "file.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_yaml(path)


@given(_VALUES)
def test_what_pyyaml_writes_is_read_as_pyyaml_reads_it(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    text = yaml.safe_dump(value)
    assert _load(tmp_path_factory.getbasetemp(), text) == yaml.safe_load(text)


def test_aliases_and_merges_are_what_they_stand_for(tmp_path: Path) -> None:
    text = "a: &a {x: 1}\nb: *a\nc: {<<: *a, y: [*a, *a]}"
    assert _load(tmp_path, text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "value",
    [
        "2001-13-45", "2001-01-01T00:00:00+99:99", "0x_", "0b_", "!!int ''", "!!int abc", "!!float x", "!!bool x",
        "!!timestamp x", "!!null [a]", "!!binary 'A'", "!!set [a]", "!!omap {a: b}", "!own x",
        "!!python/name:os.system x", "=", "? [a]", "? {a: b}\n: c", "9" * 5000, "1" + ":59" * 300, "*a", "&a [*a]",
        "&a {b: *a}", "&a {*a : 1}", "{<<: x}", "[" * 3000, "{a: " * 50, "{1: a, true: b}", "'\\", "@",
        "--- a\n--- b",
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_one_line(tmp_path: Path, value: str) -> None:
    with pytest.raises(SchemaError, match=r"^line \d+: not the YAML it should be: ") as caught:
        _load(tmp_path, f"name: {value}" if "---" not in value else value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def _explosion(levels: int, merge: bool) -> str:
    """Nine times as many values a level, in a few bytes more."""
    lines = ["k0: &a0 {a: b}" if merge else "k0: &a0 [a, b]"]
    for level in range(1, levels):
        aliases = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"k{level}: &a{level} " + (f"{{<<: [{aliases}]}}" if merge else f"[{aliases}]"))
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "taken_for"), [("010", 8), ("-012", -10), ("00.5", 0.5), ("1:30", 90), ("0_1", 1), ("{064: a}", 52)]
)
def test_numbers_that_yaml_takes_for_others_are_refused(tmp_path: Path, text: str, taken_for: float) -> None:
    assert str(taken_for) in str(yaml.safe_load(text))
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(
        SchemaError, match=rf"^line 1: .*YAML takes '[-0-9_.:]+' for {taken_for}: write {taken_for}, or"
    ):
        load_yaml(tmp_path / "x.yaml")


@pytest.mark.parametrize("text", ["0", "-0", "0.5", "100", "0x10", "08", "1e5", "'010'", "2001-01-01 01:02:03"])
def test_other_numbers_are_as_pyyaml_reads_them(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    assert load_yaml(tmp_path / "x.yaml") == yaml.safe_load(text)


def test_a_key_replaces_what_a_merge_brings_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: &a {images: x, masks: y}\nb: {<<: *a, images: z}\nc: {masks: w, <<: *a}")
    assert load_yaml(tmp_path / "x.yaml")["b"] == {"images": "z", "masks": "y"}
    assert load_yaml(tmp_path / "x.yaml")["c"] == {"images": "x", "masks": "w"}
    (tmp_path / "x.yaml").write_text("a: &a {images: x}\nb: {<<: *a, images: z, images: z}")
    with pytest.raises(SchemaError, match=r"line 2: .*a key is there twice"):
        load_yaml(tmp_path / "x.yaml")


@pytest.mark.parametrize("merge", [False, True])
def test_aliases_cannot_explode(tmp_path: Path, merge: bool) -> None:
    assert len(_load(tmp_path, _explosion(3, merge=False))) == 3
    for levels in (8, 200):
        with pytest.raises(SchemaError, match="more than 10000 values"):
            _load(tmp_path, _explosion(levels, merge))


@pytest.mark.parametrize("text", ["[" + "a, " * 20_000 + "]", "- a\n" * 20_000, "- &a x\n" + "- *a\n" * 20_000])
def test_many_values_are_too_many(tmp_path: Path, text: str) -> None:
    with pytest.raises(SchemaError, match="more than 10000 values"):
        _load(tmp_path, text)


def test_large_files_are_not_read_at_all(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="larger than 256 KiB"):
        _load(tmp_path, "#" * (1 << 18) + "#")
    if Path("/dev/zero").exists():
        with pytest.raises(SchemaError, match="larger than 256 KiB"):
            load_yaml(Path("/dev/zero"))
    with pytest.raises(InputError, match="cannot read"):
        load_yaml(Path("a\0b"))


@pytest.mark.parametrize(
    "value",
    [
        ["x" * 10**6], list(range(10**5)), {n: [n] * 100 for n in range(1000)}, "a\nb\x1b[31m", "\ud800", b"\0" * 10**5,
        16**10_000, -(16**10_000), float("nan"), {(1, 2): {3}}, None,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_values_in_messages_are_short_and_printable(value: Any) -> None:
    for text in (shown(value), plain(value)):
        assert len(text) <= 200
        assert text.isprintable()


def test_numbers_beyond_what_python_prints(tmp_path: Path) -> None:
    path, _ = make_folder(tmp_path)
    for number in ("0x" + "f" * 90, "0x" + "f" * 8000):
        path.write_text(path.read_text().replace("masks: index", f"masks: index\nids: {{{number}: road}}"))
        with pytest.raises(InputError) as caught:
            Folder(path, "train")
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"images": "a**b/*.png"}, r"splits\.train\.images: 'a\*\*b/\*\.png': \*\* stands for folders"),
        ({"images": "."}, r"splits\.train\.images: \. is a folder"),
        ({"images": "**/**/**/**/*.png"}, "more than 3 times"),
        ({"images": "a/" * 400 + "*.png"}, "more than 64 folders"),
        ({"images": "a\0b"}, r"images: 'a\\x00b' has letters that cannot be printed"),
        ({"images": "*.png", "masks": "{stem}\n.png"}, "masks: .* letters that cannot be printed"),
        ({"images": "train/*.png", "masks": "m" * 300 + "{stem}.png"}, r"mmm.*frame0\.png: no such label file"),
        ({"images": "train/*.png", "masks": "m" * 1001 + "{stem}"}, r"masks: longer than 1000 letters"),
        ({"images": "i" * 300 + "/*.png"}, "iii"),
    ],
)
def test_names_that_no_file_can_have(tmp_path: Path, entry: dict[str, str], message: str) -> None:
    path, _ = make_folder(tmp_path)
    description = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(description | {"splits": {"train": entry}}))
    with pytest.raises(InputError, match=message) as caught:
        Folder(path, "train")
    assert "\n" not in str(caught.value)


def test_a_surrogate_is_no_letter(tmp_path: Path) -> None:
    path, _ = make_folder(tmp_path)
    path.write_text(path.read_text().replace("name: fake", 'name: "\\ud800"'))
    with pytest.raises(InputError, match=r"name: '\\ud800' has letters") as caught:
        Folder(path, "train")
    str(caught.value).encode()


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    for name, why in (
        ("pipe.yaml", "a pipe, not a file"),
        ("loop.yaml", "Too many levels of symbolic links"),
        (".", "Is a directory"),
        ("x" * 300, "File name too long"),
        ("gone.yaml/x", "No such file"),
    ):
        with pytest.raises(InputError, match=f"cannot read: {why}"):
            load_yaml(tmp_path / name)


def test_damaged_files_by_the_hundred() -> None:
    """`python tests/fuzz/yaml_files.py --count 10000` tries more."""
    counts, faults = fuzz(150, seed=len(sys.version))
    assert faults == []
    assert counts["files"] == 150
