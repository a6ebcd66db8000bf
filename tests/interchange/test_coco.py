"""Tests of interchange/coco.py: what a COCO file means, and what is none."""

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

pytest.importorskip("pycocotools", reason="not installed: extra [formats]")
BOX = [[1, 1, 3, 1, 3, 2, 1, 2]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A data set of one frame of 3 x 4 pixels."""
    classes = ClassSet(names=("road", "car"), colors=((1, 1, 1), (2, 2, 2)))
    labels = np.array([[0, 1, 0, VOID]] * 3, np.uint8)
    return write_project(tmp_path / "project", classes, {"drive": {"000": labels}})


def content(**changes: Any) -> dict[str, Any]:
    """A file of one image with one annotation."""
    annotation = {"id": 5, "image_id": 1, "category_id": 7, "segmentation": BOX, "iscrowd": 0}
    return {
        "images": [{"id": 1, "file_name": "drive/000.png", "width": 4, "height": 3}],
        "categories": [{"id": 7, "name": "road"}, {"id": 9, "name": "car"}],
        "annotations": [annotation],
    } | changes


def imported(project: Path, told: dict[str, Any]) -> tuple[np.ndarray, ImportReport]:
    """The label map after an import into a new folder."""
    path = project.parent / "a.json"
    path.write_text(json.dumps(told))
    target = project.parent / "new"
    report = import_labels("coco", path, target, settings=ImportSettings(frames=project))
    return read_maps(target)["drive"]["000"], report


def test_later_annotations_lie_on_top(project: Path) -> None:
    """Boxes alone label nothing, and images without annotations are no label maps."""
    told = content()
    first = told["annotations"][0]
    told["annotations"] += [
        first | {"id": 6, "category_id": 9, "segmentation": {"size": [3, 4], "counts": [3, 2, 7]}},
        first | {"id": 7, "segmentation": []},
    ]
    told["images"].append({"id": 2, "file_name": "drive/999.png"})

    labels, report = imported(project, told)

    assert labels.tolist() == [[VOID, 1, VOID, VOID], [VOID, 1, 0, VOID], [VOID] * 4]
    assert report.notes[:2] == (
        "a.json: 1 annotations have an empty segmentation (boxes alone), which label no pixel",
        "a.json: 1 images have no annotation and get no label map",
    )


def test_the_files_of_a_split_are_read_together(project: Path, tmp_path: Path) -> None:
    """If they have the same categories; a captions file beside them is none of them."""
    folder = tmp_path / "annotations"
    folder.mkdir()
    other = content(images=[{"id": 1, "file_name": "drive/001.png"}])
    (folder / "instances_train.json").write_text(json.dumps(content()))
    (folder / "instances_val.json").write_text(json.dumps(other))
    (folder / "captions_val.json").write_text("{}")
    settings = ImportSettings(frames=_frames(tmp_path / "frames"))

    report = import_labels("coco", folder, tmp_path / "new", settings=settings)
    other["categories"] = [{"id": 7, "name": "car"}, {"id": 9, "name": "road"}]
    (folder / "instances_val.json").write_text(json.dumps(other))

    assert report.labels == {"drive": 2}
    assert (read_maps(tmp_path / "new")["drive"]["001"] == read_maps(tmp_path / "new")["drive"]["000"]).all()
    with pytest.raises(WarpRefineError, match=r"instances_val\.json.* gives the id 7 to .car., and"):
        import_labels("coco", folder, tmp_path / "other", settings=settings)


def _frames(folder: Path) -> Path:
    """Two frames of a video."""
    (folder / "drive").mkdir(parents=True)
    for stem in ("000", "001"):
        Image.new("RGB", (4, 3)).save(folder / "drive" / f"{stem}.png")
    return folder


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"images": None}, "a.json has no 'images'; expected a list"),
        (
            {"categories": [{"id": 7, "name": "a"}, {"id": 7, "name": "b"}]},
            "has the id 7 of another category",
        ),
        (
            {"annotations": [{"image_id": 3, "category_id": 7}]},
            "is of the image_id 3, which images does not have",
        ),
        (
            {"annotations": [{"image_id": 1, "category_id": 8}]},
            "has the category_id 8, which categories does not",
        ),
        (
            {"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]},
            "has the id of another image",
        ),
        (
            {"images": [{"id": 1, "file_name": "a"}, {"id": 2, "file_name": "a"}]},
            "has the file_name 'a' of image 1",
        ),
        ({"annotations": []}, r"has no labelled frame; expected instances\.json"),
    ],
)
def test_files_that_contradict_themselves_are_refused(
    changes: dict[str, Any], told: str, project: Path
) -> None:
    """The message names the entry; nothing is written."""
    with pytest.raises(WarpRefineError, match=told):
        imported(project, content(**changes))

    assert not (project.parent / "new").exists()


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ([1, 1, 3, 1], r"has segmentation = \[1, 1, 3, 1\]; expected a list of polygons"),
        ("x", "has segmentation = 'x'"),
        ([[1, 1, 3, 1]], r"annotation 5 of image 1 'drive/000\.png' is a polygon of 4 numbers"),
        ({"size": [4, 3], "counts": [12]}, r"an RLE of size \[4, 3\] \(h, w\), but the frame is \[3, 4\]"),
        ({"size": [3], "counts": [12]}, r"has size = \[3\]; expected \[height, width\]"),
        ({"size": [3, 4], "counts": 12}, "has counts = 12; expected a text or a list"),
        ({"size": [3, 4], "counts": [11]}, "an RLE of 11 pixels; expected 12"),
    ],
)
def test_shapes_that_are_none_are_refused(shape: object, told: str, project: Path) -> None:
    """Before pycocotools reads beyond its memory."""
    annotation = content()["annotations"][0] | {"segmentation": shape}

    with pytest.raises(WarpRefineError, match=told):
        imported(project, content(annotations=[annotation]))


def test_categories_have_the_ids_and_colours_of_the_classes(project: Path, tmp_path: Path) -> None:
    """And each region is an annotation of its own if the user says so."""
    export_labels("coco", project, tmp_path / "plain")
    export_labels(
        "coco",
        project,
        tmp_path / "regions",
        settings=ExportSettings(instances=True, split=0.5, pictures=True),
    )

    plain = json.loads((tmp_path / "plain" / "annotations" / "instances_train.json").read_text())
    regions = json.loads((tmp_path / "regions" / "annotations" / "instances_train.json").read_text())
    assert plain["categories"][1] == {"id": 1, "name": "car", "supercategory": "", "color": [2, 2, 2]}
    assert [(one["category_id"], one["area"]) for one in plain["annotations"]] == [(0, 6), (1, 3)]
    assert [(one["category_id"], one["area"]) for one in regions["annotations"]] == [(0, 3), (0, 3), (1, 3)]
    assert (tmp_path / "regions" / "images" / "drive" / "000.png").is_file()
    assert (tmp_path / "regions" / "annotations" / "instances_val.json").is_file()
