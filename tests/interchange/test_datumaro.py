"""Tests of interchange/datumaro.py: what its JSON means, and what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.interchange.projects import read_maps, write_project
from warprefine.core.classes import ClassSet
from warprefine.core.errors import WarpRefineError
from warprefine.core.tensors import VOID
from warprefine.jobs.export_labels import ExportSettings, export_labels
from warprefine.jobs.import_labels import ImportReport, ImportSettings, import_labels

pytest.importorskip("pycocotools", reason="not installed: extra [formats]")
BOX = {"type": "polygon", "label_id": 0, "points": [1, 1, 3, 1, 3, 2, 1, 2], "z_order": 0}
MASK = {"type": "mask", "label_id": 1, "rle": {"size": [3, 4], "counts": [3, 2, 7]}, "z_order": 1}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A data set of one frame of 3 x 4 pixels."""
    classes = ClassSet(names=("road", "car"), colors=((1, 1, 1), (2, 2, 2)), file_ids=(7, 9))
    labels = np.array([[0, 1, 0, VOID]] * 3, np.uint8)
    return write_project(tmp_path / "project", classes, {"drive": {"000003": labels}})


def item(*annotations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An item with some annotations."""
    return {"id": "drive/000003", "annotations": list(annotations)} | changes


def imported(project: Path, *items: dict[str, Any], **changes: Any) -> tuple[np.ndarray, ImportReport]:
    """The label map after an import into a new folder."""
    labels = [{"name": "road"}, {"name": "car"}]
    told = {"categories": {"label": {"labels": labels}}, "items": list(items)} | changes
    path = project.parent / "export" / "annotations" / "default.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told))
    target = project.parent / "new"
    report = import_labels("datumaro", path.parents[1], target, settings=ImportSettings(frames=project))
    return read_maps(target)["drive"]["000003"], report


def test_shapes_with_a_larger_z_order_lie_on_top(project: Path) -> None:
    """Whatever their order in the file; what has no area is counted, and items without areas too."""
    labels, report = imported(
        project, item(MASK, BOX, {"type": "bbox"}, {"type": "label"}), item(id="drive/x"), item(id="drive/y")
    )

    assert labels.tolist() == [[VOID, 1, VOID, VOID], [VOID, 1, 0, VOID], [VOID] * 4]
    assert [note.partition(": ")[2] for note in report.notes] == [
        "annotations that label no pixel are left out: 1 of type 'bbox', 1 of type 'label'",
        "2 items have no mask and no polygon and get no label map",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "frame_000003"},
        {"id": "x", "video_frame": {"video_path": "videos/drive.mp4", "frame_index": 3}},
        {"id": "x", "image": {"path": "drive/000003.png", "size": [3, 4]}},
    ],
)
def test_frames_are_found_by_number_and_by_path(project: Path, changes: dict[str, Any]) -> None:
    """As CVAT names frames of videos, as datumaro has them, and by the path of the picture."""
    assert imported(project, item(MASK, **changes))[0][0, 1] == 1


@pytest.mark.parametrize(
    ("items", "changes", "told"),
    [
        ([], {"items": {}}, "has items = {}; expected a list"),
        ([], {"categories": {"label": {"labels": [{"name": "a"}] * 2}}}, "has the name 'a' of another label"),
        (
            [],
            {
                "categories": {
                    "label": {"labels": []},
                    "mask": {"colormap": [{"label_id": 0, "r": 1, "g": 2, "b": 300}]},
                }
            },
            "has the colour (1, 2, 300); expected numbers from 0 to 255",
        ),
        (
            [item(BOX | {"label_id": 2})],
            {},
            "annotation 0 (polygon) has label_id = 2; expected one of the 2 labels",
        ),
        ([item(BOX | {"label_id": None})], {}, "has no 'label_id'"),
        ([item(BOX | {"points": [1, 1, 3]})], {}, "is a polygon of 3 numbers"),
        ([item(MASK | {"rle": {"size": [3, 4]}})], {}, "has an rle without counts"),
        ([item(MASK | {"rle": {"size": [4, 3], "counts": [12]}})], {}, "has an RLE of size [4, 3] (h, w)"),
        ([item(MASK, image={"size": [3]})], {}, "has size = [3]; expected [height, width]"),
        ([item(MASK, image={"size": [4, 3]})], {}, "is 4 x 3 (h x w), but the frame drive/000003 is 3 x 4"),
        ([item(MASK), item(MASK)], {}, "are both the frame drive/000003"),
    ],
)
def test_what_is_no_datumaro_json_is_refused(
    project: Path, items: list[dict[str, Any]], changes: dict[str, Any], told: str
) -> None:
    """In one line that names the place."""
    with pytest.raises(WarpRefineError) as caught:
        imported(project, *items, **changes)

    assert told in str(caught.value)
    assert not (project.parent / "new").exists()


def test_an_export_counts_labels_from_0_and_says_so(project: Path) -> None:
    """Each region is a mask with `--instances`."""
    report = export_labels(
        "datumaro", project, project.parent / "out", settings=ExportSettings(instances=True)
    )

    told = json.loads((project.parent / "out" / "annotations" / "train.json").read_text())
    assert [one["label_id"] for one in told["items"][0]["annotations"]] == [0, 0, 1]
    assert told["items"][0]["id"] == "drive/000003"
    assert report.notes == ("the ids of the classes, 7, 9, are left out: Datumaro counts labels from 0",)
