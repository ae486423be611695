"""Fonts that have the letters of a text: Pillow's own, or one of those installed here."""

from __future__ import annotations

import os
import sys
import unicodedata
import warnings
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from bcpnet.drawing.text import font_of
from bcpnet.errors import InputWarning

_SUFFIXES = (".otf", ".ttc", ".ttf")
_NO_LETTER = "\U0010ffff"  # in no font: drawn as what a font has for letters that it lacks
_PLAINEST_LAST = (
    "bold", "black", "heavy", "light", "thin", "italic", "oblique", "condensed", "narrow", "mono", "serif", "math",
    "emoji",
)  # fmt: skip
_MISSING = (
    "no font here has all letters of the names: those letters are drawn as their numbers in Unicode; "
    "install a font that has them (Debian, Ubuntu: apt install fonts-noto-core fonts-noto-cjk)"
)


def letters_of(text: str, size: float) -> tuple[str, ImageFont.FreeTypeFont]:
    """The text and a font at `size` pixels that has its letters.

    Pillow's own has those of English. Where no font here has them all, those that Pillow's lacks are written as their
    numbers in Unicode ("U+9053"), so that different names stay different, and an InputWarning says what to install.
    """
    plain = font_of(size)
    lacking = _lacking(text, plain)
    if not lacking:
        return text, plain
    path = _installed_font_with(frozenset(filter(_is_drawn, text)))
    if path is not None:
        return text, ImageFont.truetype(path, size)
    warnings.warn(_MISSING, InputWarning, stacklevel=1)  # of one place: Python shows it once
    is_numbered = {letter: letter in lacking or not (_is_drawn(letter) or letter.isspace()) for letter in text}
    words = (f" U+{ord(letter):04X} " if is_numbered[letter] else letter for letter in text)
    return " ".join("".join(words).split()), plain


def font_folders() -> list[Path]:
    """Where this system keeps fonts, those of the user first."""
    home = os.environ.get("HOME") or os.environ.get("USERPROFILE")
    if sys.platform == "win32":
        own, shared = "AppData/Local/Microsoft/Windows/Fonts", [f"{os.environ.get('WINDIR', 'C:/Windows')}/Fonts"]
    elif sys.platform == "darwin":
        own, shared = "Library/Fonts", ["/Library/Fonts", "/System/Library/Fonts"]
    else:
        own = ".local/share/fonts"
        data = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
        shared = [f"{folder}/fonts" for folder in data.split(":") if folder]
    return [Path(folder) for folder in ([f"{home}/{own}", f"{home}/.fonts"] if home else []) + shared]


@lru_cache(maxsize=256)
def _installed_font_with(letters: frozenset[str]) -> str | None:
    """The plainest font file here that has all the letters."""
    for path in _installed_fonts():
        try:
            font = ImageFont.truetype(path, 16)
            if not _lacking(letters, font):
                return path
        except (OSError, ValueError):  # no font, whatever its name
            continue
    return None


@lru_cache(maxsize=1)
def _installed_fonts() -> tuple[str, ...]:
    """Files, plain ones before bold, slanted and special ones."""
    found = {
        os.path.join(folder, name)  # noqa: PTH118 - thousands of them
        for top in font_folders()
        for folder, _, names in os.walk(top)
        for name in names
        if name.lower().endswith(_SUFFIXES)
    }
    return tuple(sorted(found, key=lambda path: (sum(word in path.lower() for word in _PLAINEST_LAST), path)))


def _lacking(text: Iterable[str], font: ImageFont.FreeTypeFont) -> set[str]:
    """The letters that the font draws as those it does not have."""
    nothing = _drawn(_NO_LETTER, font)
    return {letter for letter in set(text) if _is_drawn(letter) and _drawn(letter, font) == nothing}


def _is_drawn(letter: str) -> bool:
    """Whether it is seen by itself: no blank, no accent upon another, nothing that only joins or directs."""
    return unicodedata.category(letter)[0] not in "CMZ"


def _drawn(letter: str, font: ImageFont.FreeTypeFont) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)
