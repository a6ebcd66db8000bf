"""Tests of interchange/coco_panoptic.py: what segments mean, and what is no COCO panoptic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.interchange.projects import read_maps, write_project
from warprefine.core.classes import ClassSet
from warprefine.core.errors import WarpRefineError
from warprefine.core.tensors import VOID
from warprefine.jobs.export_labels import ExportSettings, export_labels
from warprefine.jobs.import_labels import ImportReport, ImportSettings, import_labels

LABELS = np.array([[0, 1, 0, VOID]] * 3, np.uint8)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A data set of one frame of 3 x 4 pixels."""
    classes = ClassSet(names=("road", "car"), colors=((1, 1, 1), (2, 2, 2)), file_ids=(7, 0))
    return write_project(tmp_path / "project", classes, {"drive": {"000": LABELS}})


def content(**changes: Any) -> dict[str, Any]:
    """A file of one image with two segments."""
    segments = [{"id": 70000, "category_id": 7}, {"id": 300, "category_id": 9, "iscrowd": 1}]
    return {
        "images": [{"id": 1, "file_name": "drive/000.jpg"}],
        "categories": [{"id": 7, "name": "road", "color": [1, 2, 3]}, {"id": 9, "name": "car"}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
    } | changes


def imported(project: Path, told: dict[str, Any], ids: np.ndarray) -> tuple[np.ndarray, ImportReport]:
    """The label map after an import into a new folder."""
    folder = project.parent / "export"
    (folder / "panoptic_val").mkdir(parents=True, exist_ok=True)
    channels = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1).astype(np.uint8)
    Image.fromarray(channels).save(folder / "panoptic_val" / "a.png")
    (folder / "panoptic_val.json").write_text(json.dumps(told))
    target = project.parent / "new"
    (project / "classes.toml").unlink(missing_ok=True)
    report = import_labels("coco-panoptic", folder, target, settings=ImportSettings(frames=project))
    return read_maps(target)["drive"]["000"], report


def test_ids_of_segments_are_red_green_and_blue(project: Path) -> None:
    """0 is void, crowds count, and images without annotation are no label maps."""
    told = content()
    told["images"].append({"id": 2, "file_name": "drive/999.jpg"})

    labels, report = imported(project, told, np.array([[70000, 300, 0, 0]] * 3))

    assert labels.tolist() == [[0, 1, VOID, VOID]] * 3
    assert (report.classes.colors[0], report.classes.ids) == ((1, 2, 3), (7, 9))
    assert report.notes == ("panoptic_val.json: 1 images have no annotation and get no label map",)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"categories": [{"id": 7, "name": "a"}, {"id": 7, "name": "b"}]},
            "has the id 7 of another category",
        ),
        ({"categories": [{"id": 7, "name": "a"}, {"id": 8, "name": "a"}]}, "has the name 'a' of another"),
        (
            {"categories": [{"id": 7, "name": "a", "color": [1]}]},
            "has color = [1]; expected [red, green, blue]",
        ),
        ({"images": [{"id": 1, "file_name": "drive/000.png"}] * 2}, "has the id of another image"),
        ({"annotations": [{"image_id": 4}]}, "is of the image_id 4, which images does not have"),
        ({"annotations": content()["annotations"] * 2}, "is the second one of image 1"),
        (
            {"annotations": [{"image_id": 1, "file_name": "../b.png"}]},
            "annotation '../b.png' is not there: '../b.png' is missing in panoptic_val",
        ),
        (
            {
                "annotations": [
                    {"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 1, "category_id": 1}]}
                ]
            },
            "has the category_id 1, which categories does not have",
        ),
        (
            {
                "annotations": [
                    {"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 1, "category_id": 7}] * 2}
                ]
            },
            "has the id of another segment",
        ),
        (
            {
                "annotations": [
                    {"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 0, "category_id": 7}]}
                ]
            },
            "has the id 0, which is for pixels without a label",
        ),
    ],
)
def test_what_is_no_coco_panoptic_is_refused(project: Path, changes: dict[str, Any], told: str) -> None:
    """In one line that names the place."""
    with pytest.raises(WarpRefineError) as caught:
        imported(project, content(**changes), np.zeros((3, 4), int))

    assert told in str(caught.value)
    assert not (project.parent / "new").exists()


def test_a_segment_that_is_not_listed_is_refused(project: Path) -> None:
    """With its place, and those that are."""
    with pytest.raises(
        WarpRefineError, match=r"has the segment 5 at x=0, y=0, .* expected one of 70000, 300"
    ):
        imported(project, content(), np.full((3, 4), 5))


@pytest.mark.parametrize(("instances", "segments"), [(False, 2), (True, 3)])
def test_an_export_has_a_segment_for_each_class_or_region(
    project: Path, instances: bool, segments: int
) -> None:
    """Category ids begin at 1: readers take 0 for no class."""
    report = export_labels(
        "coco-panoptic",
        project,
        project.parent / "out",
        settings=ExportSettings(instances=instances, split=0.5),
    )

    told = json.loads((project.parent / "out" / "annotations" / "panoptic_train.json").read_text())
    (annotation,) = told["annotations"]
    assert [category["id"] for category in told["categories"]] == [8, 1]
    assert [one["area"] for one in annotation["segments_info"]] == [6, 3] if segments == 2 else [3, 3, 3]
    assert annotation["segments_info"][-1] == {
        "id": segments, "category_id": 1, "iscrowd": 0, "bbox": [1, 0, 1, 3], "area": 3
    }  # fmt: skip
    assert report.notes == ("ids of categories are one larger than those of the classes, as 0 is none there",)
    assert (project.parent / "out" / "annotations" / "panoptic_val.json").is_file()


def test_files_of_several_splits_are_read_together(project: Path) -> None:
    """A category of both is one class."""
    folder = project.parent / "export"
    for number, split in enumerate(("train", "val")):
        (folder / f"panoptic_{split}").mkdir(parents=True)
        Image.new("RGB", (4, 3), (44, 1, 0)).save(folder / f"panoptic_{split}" / "a.png")
        told = content(images=[{"id": 1, "file_name": f"{'drive' if number else 'second'}/000.jpg"}])
        (folder / f"panoptic_{split}.json").write_text(json.dumps(told))
    write_project(
        project, ClassSet(names=("road", "car"), colors=((1, 1, 1), (2, 2, 2))), {"second": {"000": LABELS}}
    )

    import_labels("coco-panoptic", folder, project.parent / "new", settings=ImportSettings(frames=project))

    maps = read_maps(project.parent / "new")
    assert {video: np.unique(maps[video]["000"]).tolist() for video in maps} == {"drive": [1], "second": [1]}
