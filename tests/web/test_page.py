"""The page in a real browser: Debian's Chromium without a screen."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_server import serve_folder
from page_steps import FRAMES, choose, opened, real_errors, saved, saved_class_map, select, visit
from PIL import Image

import bcpnet
from bcpnet.benchmark.scenes import write_clip
from bcpnet.data.streets import Streets
from bcpnet.drawing.clear_colours import clear_colours
from bcpnet.labels import CAMVID


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two synthetic streets, of which the second must be made smaller for the network."""
    folder = tmp_path_factory.mktemp("scenes")
    paths = [folder / "low.png", folder / "high.png"]
    for path, size in zip(paths, ((360, 640), (720, 1280)), strict=True):
        Image.fromarray(Streets("test", size, 1)[0].image).save(path)
    return paths


@pytest.fixture
def shown(page: Any, address: str, scenes: list[Path]) -> Iterator[Any]:
    """The page with the first street; afterwards it must have had no errors. Loads only once what takes long."""
    page.errors.clear()
    page.resize(1440, 900)
    if page.evaluate("location.href") != address:
        visit(page, address)
    if page.evaluate("document.querySelector('#weights').value") != "camvid":
        choose(page, "#weights", "camvid")
    page.evaluate("document.querySelector('[value=classes]').click()")
    page.evaluate("document.activeElement.blur()")
    page.point(0, 0)
    opened(page, scenes[0])
    yield page
    assert real_errors(page) == []


def text(page: Any, selector: str) -> str:
    return page.evaluate(f"document.querySelector({selector!r}).textContent.trim()")


def agreement(page: Any, path: Path, weights: str = "camvid") -> float:
    """Share of the pixels with the class that Python gives, in ONNX Runtime as the page."""
    expected = bcpnet.load(weights, backend="onnxruntime", threads=1)(path).class_map
    class_map = saved_class_map(page, path.stem)
    assert class_map.shape == expected.shape
    return float(np.mean(class_map == expected))


def test_class_maps_are_those_of_python(shown: Any, scenes: list[Path]) -> None:
    assert agreement(shown, scenes[0]) >= 0.999
    opened(shown, scenes[1])
    assert agreement(shown, scenes[1]) >= 0.999
    choose(shown, "#weights", "camvid-int8")
    assert agreement(shown, scenes[1], "camvid-int8") >= 0.999


@pytest.mark.slow
def test_ten_photographs_have_the_class_maps_of_python(shown: Any, camvid_root: Path) -> None:
    photographs = sorted((camvid_root / "val" / "images").iterdir())[::10][:10]
    assert len(photographs) == 10
    for photograph in photographs:
        opened(shown, photograph)
        assert agreement(shown, photograph) >= 0.999, photograph.name


def test_shares_and_legend(shown: Any, scenes: list[Path]) -> None:
    shares = bcpnet.load("camvid", backend="onnxruntime", threads=1)(scenes[0]).shares()
    rows = shown.evaluate("[...document.querySelectorAll('#legend button')].map(row => row.innerText.split('\\n'))")
    assert [name for name, _ in rows] == list(shares)
    for name, share in rows:
        assert float(share.strip("<% ")) == pytest.approx(100 * shares[name], abs=0.11), name


def test_pointing_names_the_class(shown: Any, scenes: list[Path]) -> None:
    class_map = saved_class_map(shown, scenes[0].stem)
    names = shown.evaluate("[...document.querySelectorAll('.name')].map(name => name.textContent)")
    shown.evaluate("scrollTo(0, 0)")
    box = shown.evaluate(
        "(b => [b.x, b.y, b.width, b.height])(document.querySelector('canvas').getBoundingClientRect())"
    )
    for y, x in ((20, 320), (340, 320), (180, 30)):
        shown.point(box[0] + (x + 0.5) / 640 * box[2], box[1] + (y + 0.5) / 360 * box[3])
        name = names[class_map[y, x]]
        shown.wait(f"document.querySelector('#tip').textContent.startsWith({name!r})", 10)
        assert text(shown, ".marked .name") == name


def test_works_by_keyboard(shown: Any) -> None:
    shown.evaluate("document.querySelector('#stage').focus()")
    shown.press("ArrowRight")
    assert not shown.evaluate("document.querySelector('#tip').hidden")
    reached = []
    for _ in range(24):
        shown.press("Tab")
        reached.append(shown.evaluate("document.activeElement.id || document.activeElement.className || 'legend'"))
    assert {"opacity", "open", "camera", "save-map", "save-overlay", "weights", "lines"} <= set(reached)
    assert shown.evaluate("document.querySelector('#tip').hidden")


def overlay_pixels(page: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Opacity of the overlay at each pixel."""
    code = """(canvas => {
        const { width, height } = canvas;
        const rgba = canvas.getContext('2d').getImageData(0, 0, width, height).data;
        return [height, width, Array.from(rgba.filter((_, i) => i % 4 === 3)).join(' ')];
    })(document.querySelectorAll('#stage canvas')[1])"""
    height, width, values = page.evaluate(code)
    return np.array(values.split(), np.uint8).reshape(height, width)


def test_a_class_in_the_legend_is_highlighted(shown: Any, scenes: list[Path]) -> None:
    road = saved_class_map(shown, scenes[0].stem) == 3
    assert (overlay_pixels(shown) == 255).all()
    shown.evaluate("document.querySelectorAll('#legend button')[3].focus()")
    opacity = overlay_pixels(shown)
    assert (opacity[road] == 255).all()
    assert (opacity[~road] < 255).all()


def test_confidence_is_that_of_python(shown: Any, scenes: list[Path]) -> None:
    shown.click("[value=confidence] + span")
    confidence = bcpnet.load("camvid", backend="onnxruntime", threads=1)(scenes[0]).confidence
    expected = np.minimum(2 * (255 - confidence.astype(int)), 255)
    assert np.mean(np.abs(overlay_pixels(shown) - expected) <= 4) >= 0.999
    assert float(text(shown, "#mean").strip("mean %")) == pytest.approx(confidence.mean() / 2.55, abs=0.1)


def test_the_overlay_file_has_picture_and_colours(shown: Any, scenes: list[Path]) -> None:
    shown.evaluate("(e => { e.value = 0; e.oninput(); })(document.querySelector('#opacity'))")
    with Image.open(saved(shown, "#save-overlay", "low_overlay.png")) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), np.asarray(Image.open(scenes[0])))
    shown.evaluate("(e => { e.value = 1; e.oninput(); })(document.querySelector('#opacity'))")
    colours = np.array(clear_colours(CAMVID.names), np.uint8)
    with Image.open(saved(shown, "#save-overlay", "low_overlay.png")) as image:
        expected = colours[saved_class_map(shown, "low")]
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), expected)


@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 568), (820, 1180), (1440, 900)])
def test_fits_the_screen(shown: Any, width: int, height: int) -> None:
    shown.resize(width, height, phone=width < 800)
    shown.wait(f"document.documentElement.clientWidth <= {width}")
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.evaluate("document.querySelector('#stage').getBoundingClientRect().bottom") <= height


def test_plays_a_video(shown: Any, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, (180, 320), 25)
    opened(shown, clip)
    shown.wait(f"{FRAMES} > 4", 120)
    shown.wait("!document.querySelector('#rate').hidden", 60)
    assert saved_class_map(shown, "clip").shape == (180, 320)
    shown.click("#pause")
    shown.wait("document.querySelector('video').paused")


@pytest.mark.parametrize("name", ["broken.png", "broken.mp4"])
def test_says_what_is_wrong_with_a_file(page: Any, address: str, tmp_path: Path, name: str) -> None:
    visit(page, address)
    (tmp_path / name).write_bytes(b"nothing of the kind")
    page.choose_file("#file", tmp_path / name)
    page.wait("!document.querySelector('#error').hidden")
    assert text(page, "#error").startswith("“broken” is no ")
    assert not page.evaluate("document.querySelector('#welcome').hidden")


def test_says_that_there_is_no_camera(page: Any, address: str) -> None:
    visit(page, address)
    page.click("#camera-first")
    page.wait("!document.querySelector('#error').hidden")
    assert "camera" in text(page, "#error").lower()


def test_one_thread_without_isolation(page: Any, dist: Path, scenes: list[Path]) -> None:
    with serve_folder(dist, isolated=False) as address:
        visit(page, address)
        opened(page, scenes[0])
        assert text(page, "#where") == "CPU, 1 thread"
        assert "One thread only" in text(page, "#unit-hint")


def test_runs_on_the_server_where_there_is_one(page: Any, dist: Path, scenes: list[Path]) -> None:
    segmenter = bcpnet.load("camvid", threads=1)
    asked = []

    def answer(method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes] | None:
        if (method, path) == ("GET", "/readyz"):
            return 200, {}, b"ready"
        if method == "GET":
            return None
        asked.append(path)
        if len(asked) == 1:
            return 503, {"Retry-After": "1"}, b"busy"
        file = io.BytesIO()
        result = segmenter(np.asarray(Image.open(io.BytesIO(body)).convert("RGB")))
        Image.fromarray(result.confidence if "confidence" in path else result.class_map).save(file, "PNG")
        return 200, {"Content-Type": "image/png"}, file.getvalue()

    page.errors.clear()
    with serve_folder(dist, answer=answer) as address:
        visit(page, address)
        page.wait("[...document.querySelectorAll('#unit option')].some(option => option.value === 'server')")
        select(page, "#unit", "server")
        opened(page, scenes[0])
        np.testing.assert_array_equal(saved_class_map(page, "low"), segmenter(scenes[0]).class_map)
        assert text(page, "#where") == "server"
        assert "server" in text(page, "#privacy")
        wanted = [f"/v1/segment?model=camvid&output={output}" for output in ("ids", "confidence")]
        assert sorted(asked) == sorted([*wanted, asked[0]])  # the first was refused, and asked for again
    assert all("503" in error for error in page.errors), page.errors
