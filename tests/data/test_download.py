"""Fetching CamVid from a local server: whole, interrupted, wrong; the real digests against the real labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_server import Server, pack, running
from fake_data import CAMVID_NAMES, Samples, assert_equal_samples, make_camvid

from bcpnet.data import download
from bcpnet.data.camvid import Camvid
from bcpnet.data.download import Content, digest, fetch_camvid
from bcpnet.errors import InputError, UsageError


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("bcpnet.storage.fetch._WAITS_S", (0.0, 0.0))
    with running() as server:
        yield server


@pytest.fixture
def upstream(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Samples:
    """A small CamVid on the server, and the digests that go with it in place of the real ones."""
    tree = tmp_path / "upstream"
    samples = make_camvid(tree, "segnet")
    server.archive = pack(tree)
    content = {}
    for split, names in CAMVID_NAMES.items():
        labels = None if split == "test" else digest(tree / f"{split}annot", labels=True)
        content[split] = Content(len(names), digest(tree / split, labels=False), labels)
    monkeypatch.setattr(download, "CAMVID_CONTENT", content)
    return samples


def fetch(server: Server, root: Path) -> list[str]:
    """What `fetch_camvid` reported."""
    lines: list[str] = []
    fetch_camvid(root, base_url=server.url, report=lines.append)
    return lines


def assert_fetched(root: Path, samples: Samples) -> None:
    for split, expected in samples.items():
        dataset = Camvid(root, split)
        assert dataset.layout == "segnet"
        assert_equal_samples(dataset, expected)
    assert sorted(path.name for path in root.iterdir()) == [
        "test", "testannot", "train", "trainannot", "val", "valannot",
    ]  # fmt: skip
    assert not list(root.parent.glob(".*")), "something was left behind"


def test_fetch_and_nothing_to_do_the_second_time(server: Server, upstream: Samples, tmp_path: Path) -> None:
    root = tmp_path / "data" / "camvid"
    assert fetch(server, root)[-1] == f"CamVid is at {root}: 4 train, 2 val, 2 test"
    assert_fetched(root, upstream)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert fetch(server, root) == [f"CamVid is already at {root}: nothing to do"]
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert len(server.requests) == 1


def test_an_empty_folder_is_filled(server: Server, upstream: Samples, tmp_path: Path) -> None:
    root = tmp_path / "data" / "camvid"
    root.mkdir(parents=True)
    fetch(server, root)
    assert_fetched(root, upstream)


def test_a_dropped_connection_is_taken_up_where_it_broke_off(server: Server, upstream: Samples, tmp_path: Path) -> None:
    root = tmp_path / "data" / "camvid"
    server.cuts = [1000, 2000, 500, 500, 500]  # more often than it tries without progress
    lines = fetch(server, root)
    assert server.requests == [None, "bytes=1000-", "bytes=3000-", "bytes=3500-", "bytes=4000-", "bytes=4500-"]
    assert sum("trying again" in line for line in lines) == 5
    assert_fetched(root, upstream)


def test_the_next_call_goes_on_from_what_the_last_one_got(server: Server, upstream: Samples, tmp_path: Path) -> None:
    root = tmp_path / "data" / "camvid"
    server.cuts = [3000, 0, 0, 0]
    with pytest.raises(InputError, match=r"dropped .*run the command again, it goes on from .*camvid\.zip\.part"):
        fetch(server, root)
    assert not root.exists()
    server.cuts = []
    fetch(server, root)
    assert server.requests[-1] == "bytes=3000-"
    assert_fetched(root, upstream)


def test_a_server_without_ranges_starts_over(server: Server, upstream: Samples, tmp_path: Path) -> None:
    root = tmp_path / "data" / "camvid"
    server.ranges, server.cuts = False, [3000, 2000]
    fetch(server, root)
    assert_fetched(root, upstream)


@pytest.mark.usefixtures("upstream")
def test_a_server_that_always_breaks_off_there_is_given_up(server: Server, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, [3000] * 100
    with pytest.raises(InputError, match="the connection dropped"):
        fetch(server, tmp_path / "camvid")
    assert len(server.requests) < 10


def test_a_download_that_was_complete_is_not_fetched_again(server: Server, upstream: Samples, tmp_path: Path) -> None:
    root = tmp_path / "data" / "camvid"
    root.parent.mkdir()
    (root.parent / ".camvid.zip.part").write_bytes(server.archive)
    fetch(server, root)
    assert server.requests == [f"bytes={len(server.archive)}-"]
    assert_fetched(root, upstream)


def test_a_part_longer_than_the_archive_is_dropped(server: Server, upstream: Samples, tmp_path: Path) -> None:
    root = tmp_path / "data" / "camvid"
    root.parent.mkdir()
    (root.parent / ".camvid.zip.part").write_bytes(bytes(len(server.archive) + 1))
    fetch(server, root)
    assert_fetched(root, upstream)


def test_a_busy_server_is_asked_again(server: Server, upstream: Samples, tmp_path: Path) -> None:
    root = tmp_path / "data" / "camvid"
    server.statuses = [503, 429]
    assert "the server answered 429 Too Many Requests; trying again in 0 s" in fetch(server, root)
    assert_fetched(root, upstream)


def swap_label(tree: Path, how: str) -> None:
    label = tree / "valannot" / "0016E5_08159.png"
    other = tree / "valannot" / "0016E5_07959.png"
    match how:
        case "other labels":
            label.write_bytes(other.read_bytes())
        case "no label":
            label.unlink()
        case "renamed":
            label.rename(label.with_name("0016E5_08158.png"))
        case "not ids":
            label.write_bytes((tree / "val" / "0016E5_08159.png").read_bytes())
        case "a page":
            label.write_bytes(b"<html>log in here</html>")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("other labels", "labels of val have the wrong checksum"),
        ("no label", r"valannot is not the 2 files it must be \(1 files\)"),
        ("renamed", "valannot is not the 2 files it must be"),
        ("not ids", r"0016E5_08159\.png: label is RGB"),
        ("a page", r"0016E5_08159\.png: not an image"),
    ],
)
def test_wrong_content_is_refused(server: Server, upstream: Samples, tmp_path: Path, how: str, message: str) -> None:
    whole = server.archive
    swap_label(tmp_path / "upstream", how)
    server.archive = pack(tmp_path / "upstream")
    root = tmp_path / "data" / "camvid"
    with pytest.raises(InputError, match=message):
        fetch(server, root)
    assert not list(root.parent.iterdir())
    server.archive = whole
    fetch(server, root)
    assert_fetched(root, upstream)


@pytest.mark.usefixtures("upstream")
def test_a_damaged_archive_is_refused(server: Server, tmp_path: Path) -> None:
    flipped = bytearray(server.archive)
    flipped[len(flipped) // 3] ^= 255
    for archive in (bytes(flipped), b"<html>log in here</html>", b""):
        server.archive = archive
        with pytest.raises(InputError, match="damaged"):
            fetch(server, tmp_path / "data" / "camvid")
        assert not list((tmp_path / "data").iterdir())


@pytest.mark.usefixtures("upstream")
def test_not_found(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"elsewhere/archive/.*: the server answered 404"):
        fetch_camvid(tmp_path / "camvid", base_url=f"{server.url}/elsewhere", report=str)
    assert len(server.requests) == 1


def test_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bcpnet.storage.fetch._WAITS_S", (0.0, 0.0))
    closed = Server()
    closed.server_close()
    lines: list[str] = []
    with pytest.raises(InputError, match=r"no connection \(.*refused.*check the network") as caught:
        fetch_camvid(tmp_path / "camvid", base_url=closed.url, report=lines.append)
    assert len(lines) == 2
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("upstream")
def test_a_full_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_bytes(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(InputError, match="camvid: cannot write: No space left on device"):
        fetch(server, tmp_path / "data" / "camvid")
    assert [path.name for path in (tmp_path / "data").iterdir()] == [".camvid.zip.part"]


@pytest.mark.usefixtures("upstream")
def test_wrong_calls(server: Server, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    for root in (tmp_path / "mine", tmp_path / "mine" / "letter.txt", tmp_path / "loop", Path("/")):
        with pytest.raises(InputError, match="holds something other than the whole of CamVid"):
            fetch(server, root)
    with pytest.raises(InputError, match="cannot write"):
        fetch(server, tmp_path / "mine" / "letter.txt" / "camvid")
    for address in ("file:///etc", "http://", "http://[bad", "http://host/ü", "http://host:99999", "camvid"):
        with pytest.raises(UsageError, match="need a http"):
            fetch_camvid(tmp_path / "camvid", base_url=address, report=str)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "x"


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_digests_are_those_of_the_real_labels(camvid_root: Path, split: str) -> None:
    labels = camvid_root / split / "labels"
    content = download.CAMVID_CONTENT[split]
    assert len(list(labels.iterdir())) == content.images
    assert digest(labels, labels=False) == content.names_sha256
    assert digest(labels, labels=True) == content.labels_sha256


def test_the_digest_of_the_real_test_names(camvid_root: Path) -> None:
    names = sorted(path.stem for path in (camvid_root / "test" / "images").iterdir())
    content = download.CAMVID_CONTENT["test"]
    assert len(names) == content.images
    assert hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest() == content.names_sha256
