"""Tests of interchange/supervisely.py, v7_darwin.py and encord.py."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.interchange.reading import read
from warprefine.core.errors import WarpRefineError
from warprefine.interchange.embedded import packed_png_text, unpacked
from warprefine.interchange.v7_darwin import darwin_polygon

pytest.importorskip("pycocotools", reason="not installed: extra [formats]")
META = {"classes": [{"title": "car", "color": "#010203"}, {"title": "road", "color": "?"}]}
BITMAP = packed_png_text(np.array([[True, False], [True, True]]))


def sly(kind: str, title: str = "road", **geometry: Any) -> dict[str, Any]:
    """An object of Supervisely."""
    return {"classTitle": title, "geometryType": kind} | geometry


def picture(*objects: dict[str, Any]) -> dict[str, object]:
    """A project of one picture."""
    told = {"size": {"height": 3, "width": 4}, "objects": list(objects)}
    return {"p/meta.json": META, "p/a/ann/0.png.json": told}


def rings(exterior: list[Any], *interior: list[Any]) -> dict[str, Any]:
    """The points of a shape."""
    return {"exterior": exterior, "interior": list(interior)}


def test_supervisely_draws_later_objects_on_top_with_holes_and_lines(tmp_path: Path) -> None:
    """Classes have the order and the colours of meta.json."""
    whole = rings([[0, 0], [3, 0], [3, 2], [0, 2]], [[1, 1], [2, 1], [2, 1]])
    imported, (labels,) = read(
        "supervisely",
        tmp_path,
        picture(
            sly("polygon", points=whole),
            sly("rectangle", "car", points=rings([[0, 0], [0, 1]])),
            sly("bitmap", "car", bitmap={"origin": [2, 1], "data": BITMAP}),
            sly("line", "car", points=rings([[0, 2], [1, 2]])),
            sly("point", "car", points=rings([[3, 0]])),
        ),
    )

    assert [(one.name, one.color) for one in imported.classes] == [("car", (1, 2, 3)), ("road", None)]
    assert labels.tolist() == [[0, 1, 1, 1], [0, 255, 0, 1], [0, 0, 0, 0]]
    assert imported.frames[0].name == "p/a/0.png"
    assert "1 points" in " ".join(imported.notes)


def test_supervisely_without_meta_has_the_classes_that_occur(tmp_path: Path) -> None:
    """It says so."""
    files = picture(sly("rectangle", "new", points=rings([[0, 0], [0, 1]])))
    del files["p/meta.json"]

    imported, _ = read("supervisely", tmp_path, files)

    assert [one.name for one in imported.classes] == ["new"]
    assert "no meta.json" in imported.notes[0]


def video(**figure: Any) -> dict[str, object]:
    """A video project of Supervisely with one figure on frame 7."""
    shape = {"objectId": 5, "geometryType": "rectangle", "geometry": {"points": rings([[0, 0], [3, 0]])}}
    told = {
        "objects": [{"id": 5, "classTitle": "road"}],
        "frames": [{"index": 7, "figures": [shape | figure]}],
    }
    return {"meta.json": META, "ds/ann/drive.mp4.json": told}


def test_figures_of_a_video_are_on_the_frame_of_their_index(tmp_path: Path) -> None:
    """Objects are found by key or by id."""
    imported, (labels,) = read("supervisely-video", tmp_path, video())

    assert (imported.frames[0].video, imported.frames[0].index) == ("drive.mp4", 7)
    assert labels[0].tolist() == [1, 1, 1, 1]


def darwin(*annotations: dict[str, Any], **item: Any) -> dict[str, object]:
    """A Darwin JSON file of a picture."""
    slot = {"type": "image", "width": 4, "height": 3}
    told = {"name": "0.png", "path": "/a", "slots": [slot]} | item
    return {"a/0.json": {"version": "2.0", "item": told, "annotations": list(annotations)}}


def path(*corners: tuple[float, float]) -> list[dict[str, float]]:
    """A path of a polygon."""
    return [{"x": x, "y": y} for x, y in corners]


SQUARE = {"name": "road", "polygon": {"paths": [path((0, 0), (3.6, 0), (3.6, 2), (0, 2))]}}
DENSE = {"dense_rle": [0, 4, 1, 2, 0, 6], "mask_annotation_ids_mapping": {"m": 1}}
MASK = {"id": "m", "name": "car", "mask": {"sparse_rle": None}}


def layer(**changes: Any) -> dict[str, Any]:
    """The raster layer of a picture."""
    return {"id": "l", "name": "__raster_layer__", "raster_layer": DENSE | changes}


def test_v7_draws_polygons_and_the_masks_of_its_layer(tmp_path: Path) -> None:
    """Corners outside are moved into the picture; boxes have no area."""
    box = {"name": "sign", "bounding_box": {"x": 0, "y": 0, "w": 1, "h": 1}}
    imported, (labels,) = read("v7-darwin", tmp_path, darwin(SQUARE, MASK, layer(), box))

    assert [one.name for one in imported.classes] == ["road", "car"]
    assert imported.frames[0].name == "a/0.png"
    assert labels.tolist() == [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert "1 boxes" in " ".join(imported.notes)


def test_a_polygon_of_v7_that_leaves_the_picture_is_cut_where_its_box_says_so(tmp_path: Path) -> None:
    """As darwin-py does, which has a larger picture then."""
    slanted = {"name": "road", "polygon": {"paths": [path((0, 0), (8, 0), (0, 8))]}}
    wide = slanted | {"bounding_box": {"x": 0, "y": 0, "w": 8, "h": 8}}
    _, (moved,) = read("v7-darwin", tmp_path / "1", darwin(slanted))
    _, (cut,) = read("v7-darwin", tmp_path / "2", darwin(wide))

    assert (cut == 0).all()
    assert (moved == 255).any()


def test_paths_of_v7_inside_others_are_holes() -> None:
    """Their edges belong to the polygon."""
    outer = np.array([[0.0, 0], [6, 0], [6, 6], [0, 6]])
    inner = np.array([[2.0, 2], [4, 2], [4, 4], [2, 4]])
    mask = darwin_polygon([outer, inner], (7, 7))
    assert not mask[3, 3]
    assert mask.sum() == 48


def test_paths_of_a_polygon_have_different_numbers_of_corners() -> None:
    """A triangle may lie in a square; drawn often, as types of lists are checked at random places."""
    square, triangle = [[0, 0], [6, 0], [6, 6], [0, 6]], [[1, 1], [5, 1], [1, 5]]

    masks = [darwin_polygon([np.array(square, float), np.array(triangle, float)], (7, 7)) for _ in range(30)]

    assert not masks[-1][2, 2]
    assert masks[-1][5, 5]


def encord(labels: Mapping[str, Any], kind: str = "image/png", title: str = "a/0.png") -> dict[str, object]:
    """A label row of Encord."""
    unit = {"data_title": title, "data_type": kind, "width": 4, "height": 3, "labels": labels}
    return {"rows.json": [{"data_title": "row", "data_units": {"hash": unit}}]}


def thing(name: str = "road", **shape: Any) -> dict[str, Any]:
    """An object of Encord."""
    return {"name": name, "color": "#040506"} | shape


HALF = {"0": {"x": 0.0, "y": 0.0}, "1": {"x": 0.5, "y": 0.0}, "2": {"x": 0.5, "y": 1}, "3": {"x": 0, "y": 1}}
STRIP = {"top": 1, "left": 0, "height": 1, "width": 4, "rleString": "13"}


def test_encord_draws_polygons_and_bitmasks_of_pictures_and_videos(tmp_path: Path) -> None:
    """Runs of a bitmask follow rows; rings inside others are holes; boxes have no area."""
    objects = [thing(polygon=HALF), thing("car", bitmask=STRIP), thing(boundingBox={})]
    imported, (labels,) = read("encord", tmp_path / "1", encord({"objects": objects}))
    hole = [[[0, 0, 1, 0, 1, 1, 0, 1], [0, 0, 0.5, 0, 0.5, 1, 0, 1]]]
    film, (frame,) = read(
        "encord",
        tmp_path / "2",
        encord({"12": {"objects": [thing(polygons=hole)]}, "13": {"objects": []}}, "video/mp4", "drive.mp4"),
    )

    assert [(one.name, one.color) for one in imported.classes] == [("road", (4, 5, 6)), ("car", (4, 5, 6))]
    assert labels.tolist() == [[0, 0, 255, 255], [0, 1, 1, 1], [0, 0, 255, 255]]
    assert (imported.frames[0].name, list(imported.frames[0].also)) == ("row/a/0.png", ["a/0.png"])
    assert "1 boxes" in imported.notes[0]
    assert [(one.video, one.index) for one in film.frames] == [("drive.mp4", 12)]
    assert frame[0].tolist() == [255, 255, 0, 0]


def spoiled(name: str = "road", **bitmask: Any) -> dict[str, object]:
    """A label row with a bitmask that is not right."""
    return encord({"objects": [thing(name, bitmask=STRIP | bitmask)]})


def broken(data: str) -> dict[str, object]:
    """A picture of Supervisely with a bitmap that is not right."""
    return picture(sly("bitmap", bitmap={"origin": [0, 0], "data": data}))


MISTAKES: dict[str, tuple[str, dict[str, object], str]] = {
    "sly nothing": ("supervisely", {"a.txt": "x"}, "holds no annotations"),
    "sly class": ("supervisely", picture(sly("bitmap", "tree")), "'tree', which p/meta.json does not list"),
    "sly origin": ("supervisely", picture(sly("bitmap", bitmap={"origin": [0.5, 1], "data": ""})), "origin"),
    "sly pairs": ("supervisely", picture(sly("polygon", points=rings([1, 2]))), "no pairs"),
    "sly object": ("supervisely", video(objectId=6), "an object that the file does not list"),
    "sly unpack": ("supervisely", broken("AAAA"), "does not unpack"),
    "sly short": (
        "supervisely",
        broken(base64.b64encode(zlib.compress(b"x" * 99)[:-5]).decode()),
        "cut short",
    ),
    "sly outside": (
        "supervisely",
        picture(sly("bitmap", bitmap={"origin": [3, 0], "data": BITMAP})),
        "reaches out of the frame",
    ),
    "v7 nothing": ("v7-darwin", {"a.txt": "x"}, "holds no JSON file"),
    "v7 video": ("v7-darwin", darwin({"name": "a", "frames": {"0": {}}}), "is of a video"),
    "v7 film": ("v7-darwin", darwin(SQUARE, slots=[{"type": "video"}]), "the type 'video'"),
    "v7 slots": ("v7-darwin", darwin(SQUARE, slots=[{}, {}]), "has 2 slots"),
    "v7 sparse": ("v7-darwin", darwin(MASK | {"mask": {"sparse_rle": [1]}}), "sparse_rle"),
    "v7 no layer": ("v7-darwin", darwin(MASK), "masks, but no __raster_layer__"),
    "v7 paths": ("v7-darwin", darwin({"name": "a", "polygon": {"paths": [3]}}), "paths that are no lists"),
    "v7 unknown": ("v7-darwin", darwin(layer()), "annotation 'm', which the file does not list"),
    "v7 runs": ("v7-darwin", darwin(MASK, layer(dense_rle=[1])), "no list of value and length"),
    "v7 sum": ("v7-darwin", darwin(MASK, layer(dense_rle=[1, 5])), "dense_rle of 5 pixels; expected 12"),
    "v7 value": ("v7-darwin", darwin(MASK, layer(dense_rle=[2, 12])), "has the value 2"),
    "encord nothing": ("encord", {"a.txt": "x"}, "holds no JSON file"),
    "encord kind": ("encord", {"a.json": "3"}, "holds a int"),
    "encord frame": ("encord", encord({"x": {}}, "video/mp4"), "labels of the frame 'x'"),
    "encord data": ("encord", encord({}, "audio/wav"), "the type 'audio/wav'"),
    "encord box": ("encord", spoiled(top=-1), "expected a box in the picture"),
    "encord runs": ("encord", spoiled(rleString="1"), "RLE of 1 pixels; expected 4"),
    "encord outside": ("encord", spoiled(top=3), "reaches out of the frame"),
    "encord polygons": ("encord", encord({"objects": [thing(polygons=[3])]}), "no lists of rings"),
    "encord polygon": ("encord", encord({"objects": [thing(polygon="x")]}), "no list of points"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_read_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    """Each message says where, what was found, what was expected."""
    kind, files, words = MISTAKES[name]
    with pytest.raises(WarpRefineError, match=words) as caught:
        read(kind, tmp_path, files)
    assert "\n" not in str(caught.value)


def test_masks_that_unpack_to_far_too_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is unpacked than a bound."""
    monkeypatch.setattr("warprefine.interchange.embedded._MOST_BYTES", 1000)
    with pytest.raises(WarpRefineError, match="more than 0 MiB"):
        unpacked(zlib.compress(b"0" * 5000), where="a mask")
