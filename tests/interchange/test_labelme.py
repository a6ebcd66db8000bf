"""Tests of interchange/labelme.py and x_anylabeling.py."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.interchange.cases import INTERCHANGE, find_cases
from tests.interchange.projects import read_maps, send, write_project
from tests.interchange.reading import read
from warprefine.core.classes import ClassSet
from warprefine.core.errors import WarpRefineError
from warprefine.core.tensors import VOID
from warprefine.interchange.embedded import png_text
from warprefine.jobs.export_labels import export_labels
from warprefine.jobs.import_labels import import_labels


def shape(kind: str | None, points: list[Any], label: str = "road", **more: Any) -> dict[str, Any]:
    """A shape of a file."""
    return {"label": label, "shape_type": kind, "points": points} | more


def content(*shapes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A file of a picture of 3 x 4 pixels."""
    return {"shapes": list(shapes), "imagePath": "0.png", "imageHeight": 3, "imageWidth": 4} | changes


TRIANGLE = shape("polygon", [[0, 0], [1.7, 0], [0, 1]])


def test_later_shapes_lie_on_top_and_ignored_ones_are_void(tmp_path: Path) -> None:
    """A file without the kind of its shapes has polygons."""
    files = content(
        shape(None, [[0, 0], [3, 0], [3, 2], [0, 2]]),
        shape("rectangle", [[3, 2], [2, 1]], "car"),
        shape("rectangle", [[1, 1], [1, 1]], "__ignore__"),
        shape("point", [[0, 0]], "car"),
    )

    imported, (labels,) = read("labelme", tmp_path, {"a/0.json": files})

    names = [one.name for one in imported.classes]
    assert names == ["road", "car", "__ignore__"]
    assert imported.classes[2].is_void
    assert labels.tolist() == [[0, 0, 0, 0], [0, 2, 1, 1], [0, 0, 1, 1]]
    assert "1 lines, points" in " ".join(imported.notes)


def test_labels_txt_orders_the_classes(tmp_path: Path) -> None:
    """Those that no shape has come along."""
    imported, _ = read("labelme", tmp_path, {"a/0.json": content(TRIANGLE), "labels.txt": "car\nroad\n"})
    assert [one.name for one in imported.classes] == ["car", "road"]


def test_files_of_x_anylabeling_are_known_by_their_keys(tmp_path: Path) -> None:
    """Corners are cut to whole pixels there, and drawn by Pillow's rule in labelme."""
    slanted = shape("polygon", [[0, 0], [3.9, 0], [3.9, 0.9], [0, 2.9]])
    _, (own,) = read("labelme", tmp_path / "1", {"a/0.json": content(slanted)})
    _, (known,) = read("labelme", tmp_path / "2", {"a/0.json": content(slanted, checked=False)})
    _, (told,) = read("x-anylabeling", tmp_path / "3", {"a/0.json": content(slanted)})
    _, (keys,) = read("labelme", tmp_path / "4", {"a/0.json": content(slanted | {"kie_linking": []})})

    assert (known == told).all()
    assert (keys == told).all()
    assert (own != told).any()


def test_a_flat_folder_is_named_after_itself_or_a_video(tmp_path: Path) -> None:
    """Folders in imagePath come before it, as they are nearer to the picture."""
    imported, _ = read("labelme", tmp_path / "cam", {"0.json": content(TRIANGLE)})
    spelled = content(TRIANGLE, imagePath="..\\cam 2\\0.png")
    other, _ = read("labelme", tmp_path / "b", {"labels/0.json": spelled})

    assert (imported.frames[0].name, list(imported.frames[0].also)) == ("cam/0.png", ["0.png"])
    assert other.frames[0].name == "labels/cam 2/0.png"


@pytest.mark.parametrize(("kind", "ending"), [("PNG", ".png"), ("JPEG", ".jpg")])
def test_pictures_inside_the_files_become_the_frames(tmp_path: Path, kind: str, ending: str) -> None:
    """Labelme puts them there unless told otherwise; then no other folder of frames is needed."""
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (200, 10, 10)).save(file, kind)
    text = base64.b64encode(file.getvalue()).decode()
    (tmp_path / "in" / "drive").mkdir(parents=True)
    (tmp_path / "in" / "drive" / "0.json").write_text(json.dumps(content(TRIANGLE, imageData=text)))

    report = import_labels("labelme", tmp_path / "in", tmp_path / "data")

    assert report.labels == {"drive": 1}
    frame = tmp_path / "data" / "videos" / "drive" / "frames" / f"0{ending}"
    assert frame.read_bytes() == file.getvalue()


MISTAKES: dict[str, tuple[dict[str, object], str]] = {
    "nothing": ({"a.txt": "x"}, "holds no JSON file"),
    "no shapes": ({"a/0.json": {}}, "has no 'shapes'"),
    "other picture": ({"a/0.json": content(TRIANGLE, imagePath="7.png")}, "named after, '0'"),
    "pairs": ({"a/0.json": content(shape("polygon", [1, 2, 3]))}, "no pairs"),
    "two points": ({"a/0.json": content(shape("polygon", [[0, 0], [1, 1]]))}, "at least 3 points"),
    "circle": ({"a/0.json": content(shape("circle", [[0, 0]]))}, "a circle of 1 points; expected 2"),
    "kind": ({"a/0.json": content(shape("star", [[0, 0]]))}, "shape_type 'star'; expected one of"),
    "mask": (
        {"a/0.json": content(shape("mask", [[0, 0], [0, 0]], mask=png_text(np.ones((2, 1), bool))))},
        "mask of 2 x 1 in a box of 1 x 1",
    ),
    "base64": ({"a/0.json": content(shape("mask", [[0, 0], [0, 0]], mask="ä"))}, "no base64 text"),
    "no picture": ({"a/0.json": content(shape("mask", [[0, 0], [0, 0]], mask="AAAA"))}, "no picture"),
    "outside": (
        {"a/0.json": content(shape("mask", [[4, 0], [4, 0]], mask=png_text(np.ones((1, 1), bool))))},
        "reaches out of the frame of 3 x 4",
    ),
    "embedded": (
        {"a/0.json": content(TRIANGLE, imageData=png_text(np.ones((1, 1), bool)))},
        "imageHeight and imageWidth of 3 x 4, but its imageData is 1 x 1",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_read_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    """Each message says where, what was found, what was expected."""
    files, words = MISTAKES[name]
    with pytest.raises(WarpRefineError, match=words) as caught:
        read("labelme", tmp_path, files)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["_background_", " road", "a\nb"])
def test_class_names_that_labels_txt_cannot_hold_are_refused(name: str, tmp_path: Path) -> None:
    """A line is a name, and two names are void."""
    classes = ClassSet(names=(name,), colors=((1, 1, 1),))
    project = write_project(tmp_path / "p", classes, {"v": {"0": np.zeros((2, 2), np.uint8)}})
    with pytest.raises(WarpRefineError, match="cannot be written to labels"):
        export_labels("labelme", project, tmp_path / "out")


def test_void_inside_a_region_survives_polygons(tmp_path: Path) -> None:
    """X-AnyLabeling knows no holes: the region is cut beside the void."""
    labels = np.zeros((7, 7), np.uint8)
    labels[2:5, 2:5] = VOID
    labels[3, 3] = 1
    classes = ClassSet(names=("road", "car"), colors=((1, 1, 1), (2, 2, 2)))
    project = write_project(tmp_path / "p", classes, {"v": {"0": labels}})

    back, _ = send("x-anylabeling", project, tmp_path)

    assert (read_maps(back)["v"]["0"] == labels).all()


@pytest.mark.parametrize("kind", ["polygons", "from_masks", "rotation_and_line"])
def test_cases_of_x_anylabeling_are_the_same_if_read_as_labelme(kind: str) -> None:
    """Nobody needs to know which of both has written a file."""
    cases = [case for case in find_cases() if case.name == f"real_tools/x_anylabeling/{kind}"]
    if not cases:
        pytest.skip(f"no cases at {INTERCHANGE}")
    drawn = [read(name, cases[0].source, {})[1] for name in ("labelme", "x-anylabeling")]
    assert all((one == other).all() for one, other in zip(*drawn, strict=True))
