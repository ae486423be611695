"""Where a download lies until it is complete. Downloads themselves are tested with what is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcpnet.storage.fetch import part_beside


def test_it_is_hidden_beside_the_file_and_the_same_next_time() -> None:
    assert part_beside(Path("a/x.safetensors")) == Path("a/.x.safetensors.part")
    assert part_beside(Path("camvid"), ".zip.part") == Path(".camvid.zip.part")


@pytest.mark.parametrize("name", ["x" * 255, "字" * 85, "y" * 250])
def test_names_as_long_as_can_be(name: str, tmp_path: Path) -> None:
    part = part_beside(tmp_path / name)
    part.touch()
    assert part == part_beside(tmp_path / name) != part_beside(tmp_path / f"z{name[1:]}")
    assert part.name[0] == "."
    assert part.suffix == ".part"
