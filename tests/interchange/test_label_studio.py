"""Tests of interchange/label_studio*.py: what an export means, and what is none."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.interchange.projects import write_project
from tests.interchange.reading import read
from warprefine.core.classes import ClassSet
from warprefine.core.errors import WarpRefineError
from warprefine.interchange.embedded import png_text
from warprefine.interchange.label_studio_brush import brush_of_mask, opacity_of_brush
from warprefine.interchange.label_studio_task import picture_name
from warprefine.jobs.export_labels import export_labels

pytest.importorskip("pycocotools", reason="not installed: extra [formats]")
MASK = np.array([[True, False, False, True], [False] * 4, [True] * 4])
CONFIG = """<View><Image name="i" value="$still"/><BrushLabels name="tag" toName="i">
<Label value="car" background="red"/><Label value="long" alias="road" background="#010203"/>
</BrushLabels></View>"""


def region(**changes: Any) -> dict[str, Any]:
    """A brush stroke; `changes` are those of its value."""
    value = {"format": "rle", "rle": brush_of_mask(MASK), "brushlabels": ["road"]} | changes
    return {"id": "r", "from_name": "tag", "value": value, "original_width": 4, "original_height": 3}


def task(*results: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A task with one annotation."""
    return {
        "id": 1,
        "data": {"image": "a/0.png"},
        "annotations": [{"id": 2, "result": list(results)}],
    } | changes


def annotation(label: str, **changes: Any) -> dict[str, Any]:
    """An annotation of one stroke."""
    return {"id": 3, "result": [region(brushlabels=[label])]} | changes


def test_a_stroke_labels_what_is_at_least_half_opaque(tmp_path: Path) -> None:
    """Its fourth channel counts; what lies later in the file is on top."""
    box = region(rle=None, x=0, y=0, width=25, height=100, rectanglelabels=["car"], brushlabels=None)
    box = {
        **box,
        "id": "s",
        "value": {k: v for k, v in box["value"].items() if v is not None and k != "format"},
    }

    imported, (labels,) = read("label-studio", tmp_path, {"a.json": [task(region(), box)]})

    assert [one.name for one in imported.classes] == ["road", "car"]
    assert labels.tolist() == [[1, 255, 255, 0], [1, 255, 255, 255], [1, 0, 0, 0]]
    assert any("several tags" not in note for note in (*imported.notes, ""))


def test_the_configuration_beside_the_tasks_orders_classes_and_gives_colours(tmp_path: Path) -> None:
    """An alias is what the export holds; the picture is in the field that the configuration names."""
    told = task(region(), data={"image": "not this.png", "still": "a/0.png"})

    imported, (labels,) = read("label-studio", tmp_path, {"a.json": [told], "label_config.xml": CONFIG})

    assert [(one.name, one.color) for one in imported.classes] == [("car", (255, 0, 0)), ("road", (1, 2, 3))]
    assert labels[0, 0] == 1
    assert imported.frames[0].name == "a/0.png"


def test_of_several_annotations_the_ground_truth_counts_else_the_last(tmp_path: Path) -> None:
    """Cancelled ones do not count, whenever they are from; old exports count seconds."""
    times = [{"updated_at": "2024-01-02T00:00:00Z"}, {"updated_at": "2024-01-03T00:00:00Z"}]
    first, last = annotation("road", **times[0]), annotation("car", **times[1])
    cancelled = annotation("pole", was_cancelled=True, updated_at="2025-01-01T00:00:00Z")
    marked = [first | {"ground_truth": True}, last]
    old = [annotation("road", created_at=10), annotation("car", created_at=20)]

    def label(made: list[dict[str, Any]], **changes: Any) -> str:
        imported, (labels,) = read("label-studio", tmp_path, {"a.json": [task(annotations=made, **changes)]})
        return imported.classes[labels[0, 0]].name

    assert label([last, first, cancelled]) == "car"
    assert label(marked) == "road"
    assert label(old) == "car"


def test_json_min_has_a_record_for_each_annotation(tmp_path: Path) -> None:
    """The last one of a task counts; a shape whose label is in a field of its own is one region."""
    shape = {"points": [[0, 0], [100, 0], [100, 50]], "original_width": 4, "original_height": 3}
    told = [
        {"id": 1, "image": "a/0.png", "updated_at": f"2024-01-0{day}T00:00:00Z", "poly": [shape]}
        | {"label": [shape | {"labels": [label]}], "annotator": 1}
        for day, label in ((3, "road"), (2, "car"))
    ]

    imported, (labels,) = read("label-studio", tmp_path, {"a.json": told})

    assert [one.name for one in imported.classes] == ["road"]
    assert (labels == 0).any()
    assert not any("no label" in note for note in imported.notes)


def test_what_labels_no_pixel_is_noted(tmp_path: Path) -> None:
    """Regions without label, labels without area, and tasks without annotation."""
    no_area = region(
        rle=None, x=1.0, y=1.0, width=1.0, keypointlabels=["road"], brushlabels=None, labels=["road"]
    )
    no_area["value"] = {key: value for key, value in no_area["value"].items() if value is not None}
    told = [
        task(region(), {**region(brushlabels=[]), "id": "x"}, {**no_area, "id": "y"}),
        task(annotations=[]),
    ]

    imported, _ = read("label-studio", tmp_path, {"a.json": told})

    notes = " ".join(imported.notes)
    assert len(imported.frames) == 1
    assert "1 regions have no label" in notes
    assert "1 results with labels have no area" in notes
    assert "1 tasks have no annotation" in notes


BITMASK = {"imageDataURL": "data:image/png;base64," + png_text(np.ones((2, 2), bool)), "labels": ["road"]}
MISTAKES: dict[str, tuple[object, str]] = {
    "no list": ("3", "holds a int; expected a list of tasks"),
    "several of one time": (
        [task(annotations=[annotation("road", updated_at="2024-01-02T00:00:00Z")] * 2)],
        "several annotations .2. of the same time",
    ),
    "several without time": ([task(annotations=[annotation("road")] * 2)], "without a time"),
    "sizes": ([task(region(), {**region(), "id": "s", "original_width": 9})], "several sizes"),
    "labels": ([task(region(brushlabels=["road", "car"]))], "'road', 'car'; expected one"),
    "label no text": ([task(region(brushlabels=[3]))], "brushlabels that are no texts"),
    "video": ([task(region(), data={"video": "a/b.mp4"})], "about a video"),
    "video result": ([task(region(sequence=[]))], "is of a video"),
    "rotated": ([task({**region(), "image_rotation": 90})], "image_rotation = 90"),
    "no picture": ([task(region(), data={"name": "x"})], "has no picture"),
    "two pictures": ([task(region(), data={"x": "1.png", "y": "2.png"})], "has the pictures x, y"),
    "format": ([task(region(format="png"))], "expected 'rle'"),
    "no bytes": ([task(region(rle=[300]))], "other values than bytes"),
    "other size": ([task(region(rle=[0, 0, 0, 9] * 4))], "rle of 9 values; expected 48"),
    "words": ([task(region(rle=[0, 0, 0, 48, 0, 0, 0, 0]))], "1 bits a value"),
    "cut short": ([task(region(rle=brush_of_mask(MASK)[:-3]))], "damaged after"),
    "percent": (
        [task({"value": {"x": 1e9, "y": 0, "width": 1, "height": 1, "labels": ["road"]}})],
        "x = 1e.09; expected percent",
    ),
    "points": ([task({"value": {"points": [1, 2, 3], "labels": ["road"]}})], "points that are no pairs"),
    "url": ([task({"value": {"imageDataURL": "http://x", "labels": ["road"]}})], "expected data:image/png"),
    "mask size": ([task({"value": BITMASK})], "mask of 2 x 2, but the frame is 3 x 4"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_read_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    """Each message says where, what was found, what was expected."""
    content, words = MISTAKES[name]
    with pytest.raises(WarpRefineError, match=words) as caught:
        read("label-studio", tmp_path, {"a.json": content})
    assert "\n" not in str(caught.value)


def test_an_export_of_masks_alone_names_no_pictures(tmp_path: Path) -> None:
    """The JSON export has the masks as well."""
    with pytest.raises(WarpRefineError, match="only their tasks do"):
        read("label-studio", tmp_path, {"task-5-annotation-5-by-1-tag-road-0.png": b""})


@pytest.mark.parametrize(
    ("config", "words"),
    [("<Other/>", "expected <View>"), (CONFIG.replace('"road"', '"street"'), "does not list")],
)
def test_a_configuration_that_does_not_fit_is_refused(config: str, words: str, tmp_path: Path) -> None:
    """It is another file, or lacks a label of the tasks."""
    told = task(region(), data={"still": "a/0.png"})
    with pytest.raises(WarpRefineError, match=words):
        read("label-studio", tmp_path, {"a.json": [told], "label_config.xml": config})


def test_class_names_that_xml_cannot_hold_are_refused(tmp_path: Path) -> None:
    """Nothing is changed silently."""
    classes = ClassSet(names=("a\x01b",), colors=((1, 1, 1),))
    project = write_project(tmp_path / "p", classes, {"v": {"0": np.zeros((2, 2), np.uint8)}})
    with pytest.raises(WarpRefineError, match="XML cannot hold"):
        export_labels("label-studio", project, tmp_path / "out")


def test_frames_without_labels_are_tasks_that_wait(tmp_path: Path) -> None:
    """They have no annotation."""
    maps = {"v": {"0": np.zeros((2, 2), np.uint8), "1": np.full((2, 2), 255, np.uint8)}}
    project = write_project(tmp_path / "p", ClassSet(names=("a",), colors=((1, 1, 1),)), maps)

    export_labels("label-studio", project, tmp_path / "out")

    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text(encoding="utf-8"))
    assert [len(one["annotations"]) for one in tasks] == [1, 0]


def test_long_runs_are_split() -> None:
    """No size of a run holds more than 65,536 bytes."""
    mask = np.zeros((300, 300), bool)
    mask[100:290] = True

    assert ((opacity_of_brush(brush_of_mask(mask), mask.shape, where="a stroke") == 255) == mask).all()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("s3://bucket/cam 2/000.png", "/cam 2/000.png"),
        ("https://host/a/b%20c.png?token=x", "/a/b c.png"),
        ("C:\\data\\a\\0.png", "C:/data/a/0.png"),
        ("/tasks/3/presign/?fileuri=" + base64.urlsafe_b64encode(b"s3://b/v/7.png").decode(), "/v/7.png"),
        ("/data/upload/12345678-a__0.png", "a__0.png"),
    ],
)
def test_a_picture_is_named_by_the_path_in_its_address(address: str, name: str) -> None:
    """Of a bucket, of the web, of Windows, of signed addresses and of uploads."""
    assert picture_name(address)[0] == name
