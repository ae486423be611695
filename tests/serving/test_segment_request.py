"""POST /v1/segment: what comes out is what bcpnet makes of the image, in every form; what is bad is told."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest
from media_files import scene
from PIL import Image
from service_here import PICTURE, client_of, encoded, new_service, pixels

from bcpnet.labels import CAMVID
from bcpnet.segmenter import Segmenter
from bcpnet.serving.bounds import Bounds
from bcpnet.serving.models import Models

ADDRESS = "/v1/segment"


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("JPEG", {"quality": 90}), ("WEBP", {}), ("BMP", {}), ("GIF", {})]
)
def test_ids_are_the_class_map(kind: str, options: dict[str, Any], client: Any, segmenter: Segmenter) -> None:
    file = encoded(kind=kind, **options)
    done = client.post(ADDRESS, content=file, headers={"Accept": "image/png"})
    assert (done.status_code, done.headers["content-type"]) == (200, "image/png")
    picture = Image.open(io.BytesIO(done.content))
    assert (picture.mode, picture.size) == ("L", PICTURE.shape[1::-1])
    expected = segmenter(Image.open(io.BytesIO(file))).class_map
    np.testing.assert_array_equal(np.asarray(picture), expected)


def test_every_output(client: Any, segmenter: Segmenter) -> None:
    result = segmenter(PICTURE)

    def output(name: str) -> bytes:
        done = client.post(f"{ADDRESS}?output={name}", content=encoded())
        assert done.status_code == 200, done.text
        return bytes(done.content)

    np.testing.assert_array_equal(pixels(output("ids")), result.class_map)
    palette = Image.open(io.BytesIO(output("palette")))
    np.testing.assert_array_equal(np.asarray(palette), result.class_map)
    np.testing.assert_array_equal(np.asarray(palette.convert("RGB")), np.asarray(result.colour_map()))
    np.testing.assert_array_equal(pixels(output("confidence")), result.confidence)
    overlay = pixels(output("overlay")).astype(int)
    assert np.abs(overlay - np.asarray(result.overlay()).astype(int)).mean() < 8  # JPEG


@pytest.mark.parametrize("output", ["json", "polygons"])
def test_masks_give_back_every_pixel(output: str, client: Any, segmenter: Segmenter) -> None:
    masks_of = pytest.importorskip("pycocotools.mask", reason="reads COCO's masks")
    result = segmenter(PICTURE)
    answer = client.post(f"{ADDRESS}?output={output}", content=encoded()).json()
    (image,) = answer["images"]
    height, width = result.class_map.shape
    assert (answer["model"], image["height"], image["width"]) == ("camvid", height, width)
    assert image["shares"] == pytest.approx(result.shares(), abs=1e-6)
    assert image["confidence"] == pytest.approx(result.confidence.mean() / 255, abs=1e-6)
    class_map = np.full((height, width), 255, np.uint8)
    for mask in image["masks"]:
        code = mask["segmentation"]
        if output == "json":
            assert mask["area"] == (result.class_map == CAMVID.names.index(mask["class"])).sum()
            class_map[masks_of.decode(code).astype(bool)] = CAMVID.names.index(mask["class"])
        else:
            assert masks_of.decode(masks_of.merge(masks_of.frPyObjects(code, height, width))).sum() == mask["area"]
    if output == "json":
        np.testing.assert_array_equal(class_map, result.class_map)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "image/png"),
        ("*/*", "image/png"),
        ("application/json", "application/json"),
        ("image/jpeg", "image/jpeg"),
        ("image/png;q=0.5, application/json", "application/json"),
        ("text/html, image/*;q=0.1", "image/png"),
        ("image/jpeg;q=0, application/json;q=0.1", "application/json"),
    ],
)
def test_accept(accept: str | None, media_type: str, client: Any) -> None:
    done = client.post(ADDRESS, content=encoded(), headers={} if accept is None else {"Accept": accept})
    assert done.headers["content-type"] == media_type


def test_a_bad_image_does_not_hurt_the_others(client: Any, segmenter: Segmenter) -> None:
    pictures = [scene(index, 40 + index, 60) for index in range(3)]
    files = [
        encoded(pictures[0]),
        b"not an image",
        encoded(pictures[1], "JPEG", quality=95)[:-200],
        encoded(pictures[2]),
    ]
    parts = [("image", (f"{index}.png", file)) for index, file in enumerate(files)]
    images = client.post(ADDRESS, files=parts, headers={"Accept": "application/json"}).json()["images"]
    assert [set(image) == {"error"} for image in images] == [False, True, True, False]
    assert [image["height"] for image in images if "height" in image] == [40, 42]
    archive = zipfile.ZipFile(io.BytesIO(client.post(ADDRESS, files=parts).content))
    assert archive.namelist() == ["0.png", "1.json", "2.json", "3.png"]
    np.testing.assert_array_equal(pixels(archive.read("3.png")), segmenter(pictures[2]).class_map)


def test_one_part_is_one_image(client: Any) -> None:
    done = client.post(ADDRESS, files={"image": encoded()})
    assert done.headers["content-type"] == "image/png"


def test_where_no_image_is_good_the_request_is_refused(client: Any) -> None:
    done = client.post(ADDRESS, files=[("a", b"x"), ("b", b"y")], headers={"Accept": "application/json"})
    assert done.status_code == 422
    assert set(done.json()) == {"error"}


@pytest.mark.parametrize(
    ("query", "body", "headers", "status"),
    [
        ("", b"", {}, 400),
        ("", b"not an image", {}, 422),
        ("", encoded(kind="TIFF"), {}, 422),
        ("", encoded()[:60], {}, 422),
        ("?output=video", encoded(), {}, 400),
        ("?model=yours", encoded(), {}, 404),
        ("", encoded(), {"Accept": "text/html"}, 406),
        ("", encoded(), {"Content-Encoding": "gzip"}, 415),
        ("", encoded(), {"Content-Type": "multipart/form-data"}, 400),
        ("", b"--x\r\nnonsense", {"Content-Type": "multipart/form-data; boundary=x"}, 400),
        ("", b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 400),
        ("", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", {}, 422),
    ],
)
def test_what_is_wrong_is_told(query: str, body: bytes, headers: dict[str, str], status: int, client: Any) -> None:
    done = client.post(ADDRESS + query, content=body, headers=headers)
    assert done.status_code == status
    assert set(done.json()) == {"error"}
    assert "Traceback" not in done.text
    assert done.json()["error"].count("\n") == 0


def test_a_picture_stored_sideways_comes_upright(client: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    done = client.post(ADDRESS, content=encoded(kind="JPEG", exif=exif))
    assert pixels(done.content).shape == (61, 45)


def test_several_models(segmenter: Segmenter) -> None:
    from bcpnet.serving.models import open_models

    client = client_of(new_service(open_models(("camvid", "camvid-int8"), None, segmenter.size_hw)))
    names = [model["name"] for model in client.get("/v1/models").json()["models"]]
    assert names == ["camvid", "camvid-int8"]
    for name in names:
        done = client.post(f"{ADDRESS}?model={name}&output=json", content=encoded())
        assert done.json()["model"] == name


def test_models_say_their_classes(client: Any) -> None:
    (model,) = client.get("/v1/models").json()["models"]
    assert [entry["name"] for entry in model["classes"]] == list(CAMVID.names)
    assert [tuple(entry["colour"]) for entry in model["classes"]] == list(CAMVID.colours)


def test_the_stages_are_told(client: Any) -> None:
    stages = dict(
        entry.split(";dur=") for entry in client.post(ADDRESS, content=encoded()).headers["server-timing"].split(", ")
    )
    assert set(stages) == {"decode", "pre", "network", "post", "encode"}
    assert all(float(ms) >= 0 for ms in stages.values())


def test_a_fault_of_ours_shows_no_traceback(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise AssertionError("secret")

    monkeypatch.setattr("bcpnet.serving.segment.decode", fails)
    done = client_of(new_service(models, Bounds())).post(ADDRESS, content=encoded())
    assert done.status_code == 500
    assert "secret" not in done.text
    assert done.headers["x-request-id"] in done.json()["error"]
