"""Tests of interchange/yolo_data.py, yolo_seg.py and ultralytics_semantic.py: what their files mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.interchange.projects import read_maps, send, write_project
from warprefine.core.classes import ClassSet
from warprefine.core.errors import WarpRefineError
from warprefine.core.tensors import VOID
from warprefine.interchange.imported import ImportOptions
from warprefine.jobs.export_labels import ExportSettings, export_labels
from warprefine.jobs.import_labels import ImportReport, ImportSettings, import_labels

yaml = pytest.importorskip("yaml", reason="not installed: extra [formats]")
LABELS = np.array([[0, 1, 0, VOID]] * 3, np.uint8)
BOX = "1 0 0 0.5 0 0.5 0.5 0 0.5\n"


def project_of(folder: Path, *names: str, labels: np.ndarray = LABELS) -> Path:
    """A data set of one frame of 3 x 4 pixels."""
    colors = tuple((number, 1, 1) for number in range(1, len(names) + 1))
    classes = ClassSet(names=names, colors=colors)
    return write_project(folder / "project", classes, {"drive": {"000": labels}})


def imported(
    name: str, folder: Path, told: str | None, *, names: tuple[str, ...] = ()
) -> tuple[list[list[int]], ImportReport]:
    """The label map after an import of folder/export with some data.yaml into a new folder."""
    project = project_of(folder, "road", "car")
    (project / "classes.toml").unlink()
    (folder / "export").mkdir(exist_ok=True)
    if told is not None:
        (folder / "export" / "data.yaml").write_text(told)
    settings = ImportSettings(frames=project, options=ImportOptions(names=names))
    report = import_labels(name, folder / "export", folder / "new", settings=settings)
    return read_maps(folder / "new")["drive"]["000"].tolist(), report


def write_lines(folder: Path, lines: str) -> None:
    """Write the label file of the frame."""
    path = folder / "export" / "labels" / "train" / "drive" / "000.txt"
    path.parent.mkdir(parents=True)
    path.write_text(lines)


def write_mask(folder: Path, pixels: list[int], place: str = "masks/train/drive") -> None:
    """Write the mask of the frame."""
    path = folder / "export" / place / "000.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.array([pixels] * 3, np.uint8)).save(path)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("names: [a, b", "data.yaml is no YAML file that can be read"),
        ("names: &a [x, *a]", "data.yaml has aliases, or more than 20 levels"),
        ("- a", "data.yaml holds ['a']; expected a data.yaml with the names"),
        ("nc: 2", "data.yaml has names = None; expected a list, or a mapping from 0"),
        ("names: {1: a}", "data.yaml has names = {1: 'a'}"),
        ("names: [no]", "data.yaml has False among its names; expected texts; write it in quotes there"),
        ("names: [a, a]", "data.yaml lists the class 'a' twice"),
        ("names: " + "[" * 2000, "data.yaml has aliases, or more than 20 levels"),
        ("names:\n  " + "- " * 30 + "a", "data.yaml has aliases, or more than 20 levels"),
    ],
)
def test_a_data_yaml_that_names_no_classes_is_refused(told: str, expected: str, tmp_path: Path) -> None:
    """In one line that names the file."""
    write_lines(tmp_path, BOX)

    with pytest.raises(WarpRefineError) as caught:
        imported("yolo-seg", tmp_path, told)

    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_smaller_polygons_lie_on_larger_ones(tmp_path: Path) -> None:
    """Whatever their order in the file, as ultralytics paints them; numbers may be names."""
    write_lines(tmp_path, BOX.replace("0.5", "0.3") + "\n0 0 0 0.9 0 0.9 0.9 0 0.9\n")

    labels, report = imported("yolo-seg", tmp_path, "names: [road, 7]")

    assert (labels, report.classes.names) == ([[1, 1, 0, 0], [0] * 4, [0] * 4], ("road", "7"))


def test_names_may_be_told_where_there_is_no_data_yaml(tmp_path: Path) -> None:
    """Empty label files say nothing, and give no label map."""
    write_lines(tmp_path, BOX)
    (tmp_path / "export" / "labels" / "train" / "drive" / "001.txt").write_text("\n")

    labels, report = imported("yolo-seg", tmp_path, None, names=("road", "car"))

    assert labels[0] == [1, 1, 1, VOID]
    assert report.notes[0].startswith("1 label files are empty")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("x 0 0 1 0 1 1", "000.txt, line 2, is 'x 0 0 1 0 1 1'; expected the index of a class and x y"),
        ("2 0 0 1 0 1 1", "has the class 2; expected an index of the 2 classes that data.yaml names"),
        ("0.5 0 0 1 0 1 1", "has the class 0.5"),
        ("nan 0 0 1 0 1 1", "has the class nan"),
        ("1 0.5 0.5 1 1", "has 5 numbers: a box of an object"),
        ("1 0 0 1 0 1", "has 5 numbers after the class; expected x and y of at least 3 corners"),
        ("1 0 0", "has 2 numbers after the class"),
        ("1 0 0 40 0 1 1", "has the coordinate 40; expected parts of the width and height"),
        ("1 0 0 nan 0 1 1", "has the coordinate nan"),
    ],
)
def test_lines_that_are_no_polygons_are_refused(line: str, told: str, tmp_path: Path) -> None:
    """With the file and the line."""
    write_lines(tmp_path, f"{BOX}{line}\n")

    with pytest.raises(WarpRefineError) as caught:
        imported("yolo-seg", tmp_path, "names: [road, car]")

    assert told in str(caught.value)


def test_folders_without_labels_are_refused(tmp_path: Path) -> None:
    """With what was expected."""
    with pytest.raises(WarpRefineError, match=r"holds no label file; expected labels/train/VIDEO/STEM.txt"):
        imported("yolo-seg", tmp_path, "names: [road]")
    with pytest.raises(
        WarpRefineError, match=r"holds no PNG in masks_dir = 'masks'; .* of the format yolo-seg"
    ):
        imported("ultralytics-semantic", tmp_path, "names: [road]")
    (tmp_path / "export" / "data.yaml").unlink()
    with pytest.raises(WarpRefineError, match=r"holds no data.yaml, which names the classes"):
        imported("yolo-seg", tmp_path, None)
    with pytest.raises(WarpRefineError, match=r"holds no data.yaml; .* as index-png with --names"):
        imported("ultralytics-semantic", tmp_path, None)


def test_frames_without_labels_are_left_out_of_yolo(tmp_path: Path) -> None:
    """A picture without label file is one of background to ultralytics; void in a hole stays void."""
    hole = np.zeros((3, 4), np.uint8)
    hole[1, 1] = VOID
    project = project_of(tmp_path, "road", "car", labels=hole)
    Image.new("RGB", (4, 3)).save(project / "videos" / "drive" / "frames" / "001.png")

    report = export_labels("yolo-seg", project, tmp_path / "out", settings=ExportSettings(frames="all"))
    back, _ = send("yolo-seg", project, tmp_path)

    told = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert told == {"train": "images/train", "val": "images/train", "nc": 2, "names": {0: "road", 1: "car"}}
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["000.png"]
    assert report.notes == ("1 frames have no labels and are left out, as they would be background",)
    assert (read_maps(back)["drive"]["000"] == hole).all()


@pytest.mark.parametrize(
    ("told", "pixels", "expected"),
    [
        ("names: [road, car]", [0, 1, 255, 0], [0, 1, VOID, 0]),
        ("names: [road]", [0, 1, 255, 1], [VOID, 0, VOID, 0]),
        ("names: [road, car]\nlabel_mapping: {-1: 0, 0: ignore_label, 7: 1, 9: '0', 8: null}", [0, 7, 8, 9],
         [VOID, 1, VOID, 0]),
    ],
)  # fmt: skip
def test_values_are_indices_after_label_mapping(
    told: str, pixels: list[int], expected: list[int], tmp_path: Path
) -> None:
    """A value that it lacks stands for itself; a single class is 1, as ultralytics has it."""
    write_mask(tmp_path, pixels)

    assert imported("ultralytics-semantic", tmp_path, told)[0][0] == expected


def test_masks_lie_where_data_yaml_says(tmp_path: Path) -> None:
    """In a folder of any depth."""
    write_mask(tmp_path, [1, 1, 0, 0], "a/b/train/drive")

    assert imported("ultralytics-semantic", tmp_path, "names: [road, car]\nmasks_dir: a/b/")[0][0] == [
        1,
        1,
        0,
        0,
    ]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("label_mapping: [1]", "has label_mapping = [1]; expected pixel values with indices of classes"),
        ("label_mapping: {a: 1}", "has label_mapping = {'a': 1}"),
        ("label_mapping: {1: 300}", "has label_mapping = {1: 300}"),
        ("label_mapping: {0: 5}", "holds the value 0 at x=0, y=0; expected those that data.yaml lists"),
    ],
)
def test_a_mapping_that_means_nothing_is_refused(told: str, expected: str, tmp_path: Path) -> None:
    """In one line."""
    write_mask(tmp_path, [0] * 4)

    with pytest.raises(WarpRefineError) as caught:
        imported("ultralytics-semantic", tmp_path, f"names: [road, car]\n{told}")

    assert expected in str(caught.value)


def test_a_single_class_is_written_as_1(tmp_path: Path) -> None:
    """0 is the background of a single class for ultralytics, and void is ignored."""
    project = project_of(tmp_path, "road", labels=LABELS * 0)
    export_labels("ultralytics-semantic", project, tmp_path / "out", settings=ExportSettings(split=0.5))

    (mask,) = (tmp_path / "out" / "masks").rglob("*.png")
    assert np.unique(Image.open(mask)).tolist() == [1]
    assert yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())["val"] == "images/val"
