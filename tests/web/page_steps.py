"""What a person does on the page, for its tests."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

FRAMES = "Number(document.querySelector('#stage').dataset.frames || 0)"


def visit(page: Any, address: str) -> None:
    """Opens the page, and waits until its buttons do something."""
    page.open(address)
    page.wait("document.querySelector('#legend button') !== null")


def opened(page: Any, path: Path) -> None:
    """Chooses a picture or a video, and waits for its first result."""
    before = page.evaluate(FRAMES)
    page.choose_file("#file", path)
    page.wait(f"{FRAMES} > {before} && document.querySelector('#busy').hidden", 120)


def saved(page: Any, button: str, name: str) -> Path:
    """The file that a button gives."""
    path = page.downloads / name
    path.unlink(missing_ok=True)
    page.click(button)
    for _ in range(600):
        if path.is_file():
            return path  # Chromium gives it this name when it is whole
        time.sleep(0.05)
    raise TimeoutError(f"no file {name}; errors: {page.errors}")


def saved_class_map(page: Any, stem: str) -> npt.NDArray[np.uint8]:
    """The class map of the picture that is shown."""
    with Image.open(saved(page, "#save-map", f"{stem}.png")) as image:
        assert image.mode == "L"
        return np.array(image)


def select(page: Any, selector: str, value: str) -> None:
    """Picks an entry of a list."""
    change = "element.dispatchEvent(new Event('change'))"
    page.evaluate(f"(element => {{ element.value = {value!r}; {change}; }})(document.querySelector({selector!r}))")


def choose(page: Any, selector: str, value: str) -> None:
    """Picks an entry of a list, and waits for the result that follows."""
    before = page.evaluate(FRAMES)
    select(page, selector, value)
    page.wait(f"{FRAMES} > {before} && document.querySelector('#busy').hidden", 120)


def real_errors(page: Any) -> list[str]:
    """What the page complained of, but for the one question whether a server is there."""
    return [error for error in page.errors if not error.endswith("/readyz")]
