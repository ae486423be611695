"""docs/serve.md: its Python and its curl commands do what they say; its tables are the service's own."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image
from service_here import PICTURE, Server

from bcpnet.cli import main
from bcpnet.cli.serve import Serve
from bcpnet.segmenter import Segmenter
from bcpnet.serving.formats import Output
from bcpnet.serving.uploads import FORMATS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "serve.md").read_text()


def blocks(language: str) -> list[str]:
    """The code in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the images of the page, the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("street", "first", "second"):
        Image.fromarray(PICTURE).save(tmp_path / f"{name}.jpg", quality=95)
    return tmp_path


@pytest.mark.parametrize("code", blocks("py"))
def test_python(code: str, desk: Path, server: Server, segmenter: Segmenter) -> None:
    if "tritonclient" in code:
        pytest.importorskip("tritonclient.http", reason="Triton's client is not installed")
    names: dict[str, Any] = {}
    exec(compile(code.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}"), "serve.md", "exec"), names)
    if "class_map" in names:
        np.testing.assert_array_equal(names["class_map"], segmenter(desk / "street.jpg").class_map)
    else:
        assert names["class_maps"].shape == (1, 360, 640)


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="no curl here")
def test_curl(desk: Path, server: Server, segmenter: Segmenter) -> None:
    (desk / "token").write_text("0123456789abcdef")
    commands = re.findall(r"^curl .*$", "".join(blocks("sh")), re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        own = re.sub(r"http://[A-Z0-9.]+:8000", server.address, command)
        ran = subprocess.run(["bash", "-c", f"{own} --silent --show-error --fail"], capture_output=True, check=True)
        if "-o street.png" in command:
            np.testing.assert_array_equal(np.asarray(Image.open("street.png")), segmenter("street.jpg").class_map)
        else:
            assert ran.stdout.count(b'"masks"') == 2


def test_commands_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("bcpnet.cli.serve"), "run", lambda _: 0)
    commands = re.findall(r"(?:^|`)(bcpnet serve[^`\n]*)", PAGE, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        assert main(command.split()[1:]) == 0


def test_tables() -> None:
    assert re.findall(r"^\| `([a-z]+)` \|", PAGE, re.MULTILINE) == list(get_args(Output))
    options = {field.name.replace("_", "-") for field in fields(Serve)}
    assert set(re.findall(r"`--([a-z-]+)", PAGE)) - {"triton"} <= options
    read = re.search(r"^JPEG, (.*) are read\.", PAGE, re.MULTILINE)
    assert read is not None
    assert [name.upper() for name in re.split(r", | and ", f"JPEG, {read[1]}")] == list(FORMATS)
