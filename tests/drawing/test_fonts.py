"""Names in any letters: drawn by a font that has them, or told apart all the same, and said once."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import ImageFont

from bcpnet.drawing import fonts
from bcpnet.drawing.fonts import font_folders, letters_of
from bcpnet.drawing.pictures import contact_sheet, draw_confusion, overlay_with_contours, with_legend
from bcpnet.drawing.text import font_of, shorten
from bcpnet.errors import InputWarning

ENGLISH = ("road", "traffic sign", "car 2", "wall/fence", "(other)")
NAMES = ("道路", "天空", "небо", "авто", "そら", "みち", "شارع", "سماء", "हिन्दी", "हन्दी", "Straße", "Strasse", "ไทย")


@pytest.fixture
def _no_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without a font, such as a slim container."""
    monkeypatch.setattr(fonts, "font_folders", lambda: [])
    fonts._installed_fonts.cache_clear()
    fonts._installed_font_with.cache_clear()
    yield
    fonts._installed_fonts.cache_clear()
    fonts._installed_font_with.cache_clear()


@pytest.mark.parametrize("name", ENGLISH)
def test_english_is_drawn_by_pillows_own_font(name: str) -> None:
    text, font = letters_of(name, 14)
    assert text == name
    assert font.getname() == font_of(14).getname()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_a_font_that_is_chosen_has_every_letter(name: str) -> None:
    text, font = letters_of(name, 14)
    if text == name and isinstance(font.path, str):  # else it is Pillow's own
        for number in range(getattr(TTFont(font.path, fontNumber=0).reader, "numFonts", 1) or 1):
            table = TTFont(font.path, fontNumber=number).getBestCmap()
            assert all(ord(letter) in table for letter in name if letter.isalpha())


@pytest.mark.skipif(not any(Path("/usr/share/fonts").rglob("DejaVuSans.ttf")), reason="no such font here")
def test_cyrillic_and_arabic_with_dejavu() -> None:
    for name in ("небо", "شارع"):
        text, font = letters_of(name, 14)
        assert text == name
        assert font.getname() != font_of(14).getname()


@pytest.mark.usefixtures("_no_fonts")
def test_without_a_font_the_numbers_of_the_letters_and_once_what_to_install() -> None:
    with pytest.warns(InputWarning, match=r"apt install fonts-noto-core fonts-noto-cjk"):
        assert letters_of("道路 A", 14)[0] == "U+9053 U+8DEF A"
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("default")
        texts = {letters_of(name, 14)[0] for name in NAMES}
    assert len(texts) == len(NAMES)
    assert all(text.isascii() for text in texts - {"Straße"})
    assert len(given) == 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_no_fonts")
def test_different_names_look_different_everywhere_without_a_font() -> None:
    _different_names_look_different()


@pytest.mark.filterwarnings("ignore")
def test_different_names_look_different_everywhere_with_the_fonts_here() -> None:
    _different_names_look_different()


def _different_names_look_different() -> None:
    image, class_map = np.zeros((240, 400, 3), np.uint8), np.full((240, 400), 255, np.uint8)
    colours = [(9, 9, 9)]
    for one, other in itertools.combinations(NAMES, 2):
        for picture in (
            lambda name: with_legend(image, [name], colours),
            lambda name: overlay_with_contours(image, class_map, [name], colours),
            lambda name: contact_sheet([(name, image)]),
            lambda name: draw_confusion(np.array([[1]]), [name]),
        ):
            assert not np.array_equal(picture(one), picture(other)), (one, other)


def test_folders_need_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "USERPROFILE", "XDG_DATA_DIRS", "WINDIR"):
        monkeypatch.delenv(variable, raising=False)
    assert all(folder.is_absolute() for folder in font_folders())


def test_files_that_are_no_fonts_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.ttf").write_bytes(b"no font")
    (tmp_path / "b.otf").symlink_to(tmp_path / "nowhere")
    monkeypatch.setattr(fonts, "font_folders", lambda: [tmp_path, tmp_path / "none"])
    fonts._installed_fonts.cache_clear()
    fonts._installed_font_with.cache_clear()
    with pytest.warns(InputWarning):
        assert letters_of("道", 14)[0] == "U+9053"
    fonts._installed_fonts.cache_clear()
    fonts._installed_font_with.cache_clear()


@pytest.mark.parametrize("text", ["", "a", "road", "a long name of many words", "WiiiiWWWW" * 30])
@pytest.mark.parametrize("width", [0, 5, 30, 100, 1000])
def test_shorten_keeps_as_much_as_fits(text: str, width: int) -> None:
    font = font_of(14)
    short = shorten(text, font, width)
    if font.getlength(text) <= width:
        assert short == text
        return
    assert short.endswith("…")
    assert text.startswith(short[:-1])
    assert font.getlength(short) <= width or short == "…"
    longer = text[: len(short)]
    assert font.getlength(longer + "…") > width or longer.endswith(" ")


def test_a_text_of_any_length_is_shortened_at_once() -> None:
    font: ImageFont.FreeTypeFont = font_of(14)
    assert len(shorten("x" * 3_000_000, font, 200)) < 40
