"""Tests of interchange/roboflow_masks.py: what _classes.csv means, and names of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.interchange.projects import read_maps, send, write_project
from warprefine.core.classes import ClassSet
from warprefine.core.errors import WarpRefineError
from warprefine.core.tensors import VOID
from warprefine.jobs.export_labels import ExportSettings, export_labels
from warprefine.jobs.import_labels import ImportReport, ImportSettings, import_labels

LABELS = np.array([[0, 1, 0, VOID]] * 3, np.uint8)


def project_of(folder: Path, *names: str) -> Path:
    """A data set of one frame of 3 x 4 pixels."""
    colors = tuple((number, 1, 1) for number in range(1, len(names) + 1))
    return write_project(folder / "project", ClassSet(names=names, colors=colors), {"drive": {"000": LABELS}})


def imported(
    folder: Path, lines: str, pixels: list[int], *, name: str = "000_png.rf.0aF3_mask.png"
) -> tuple[list[int], ImportReport]:
    """The first row of the label map after an import into a new folder."""
    project = project_of(folder, "road", "car")
    (project / "classes.toml").unlink()
    export = folder / "export" / "train"
    export.mkdir(parents=True)
    (export / "_classes.csv").write_text(lines, encoding="utf-8")
    Image.fromarray(np.array([pixels] * 3, np.uint8)).save(export / name)
    report = import_labels(
        "roboflow-masks", folder / "export", folder / "new", settings=ImportSettings(frames=project)
    )
    return read_maps(folder / "new")["drive"]["000"][0].tolist(), report


@pytest.mark.parametrize(
    "name", ["000_png.rf.0aF3_mask.png", "drive__000_JPG.rf.12_mask.PNG", "drive_000_mask.png"]
)
def test_values_are_those_of_the_list(name: str, tmp_path: Path) -> None:
    """With or without the heading, with blanks, quotes and blank lines; background is void."""
    labels, report = imported(
        tmp_path, '0, background\n\n7, "a ""b"", c"\n3,car\n', [7, 3, 0, 255], name=name
    )

    assert (report.classes.names, labels) == (('a "b", c', "car"), [0, 1, VOID, VOID])


def test_background_is_a_class_where_what_has_no_label_is_listed(tmp_path: Path) -> None:
    """Our own exports have such a list if a class is called background."""
    labels, report = imported(tmp_path, "Pixel Value, Class\n0, unlabeled\n1, background\n", [1, 1, 0, 0])

    assert (report.classes.names, labels) == (("background",), [0, 0, VOID, VOID])


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            "Pixel Value, Class\nx, road\n",
            "_classes.csv, line 2, is 'x, road'; expected a pixel value from 0",
        ),
        ("1, \n", "line 1, is '1,'; expected a pixel value from 0"),
        ("1, a\n1, b\n", "lists the value 1 twice"),
        ("1, a\n2, a\n", "lists the class 'a' twice"),
        ("Pixel Value, Class\n", "lists no classes; expected lines as '1, road'"),
        ("1, a\n", "holds the value 9 at x=0, y=0; expected those that train/_classes.csv lists"),
    ],
)
def test_a_list_that_means_nothing_is_refused(lines: str, told: str, tmp_path: Path) -> None:
    """In one line that names the place."""
    with pytest.raises(WarpRefineError) as caught:
        imported(tmp_path, lines, [9, 9, 9, 9])

    assert told in str(caught.value)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    """With what was expected."""
    (tmp_path / "export").mkdir()
    with pytest.raises(WarpRefineError, match=r"holds no _classes.csv; expected one in each folder of masks"):
        import_labels("roboflow-masks", tmp_path / "export", tmp_path / "new")
    (tmp_path / "export" / "_classes.csv").write_text("1, a\n")
    with pytest.raises(WarpRefineError, match=r"holds no mask; expected NAME_mask.png beside _classes.csv"):
        import_labels("roboflow-masks", tmp_path / "export", tmp_path / "new")


def test_void_has_a_name_that_no_class_has(tmp_path: Path) -> None:
    """A class called background is a class, there and back; so are names with commas and quotes."""
    project = project_of(tmp_path, "Background", '"a", b')

    back, _ = send("roboflow-masks", project, tmp_path, settings=ExportSettings(split=0.5))

    told = (tmp_path / "export" / "valid" / "_classes.csv").read_text()
    assert told == 'Pixel Value, Class\n0, unlabeled\n1, Background\n2, """a"", b"\n'
    assert (read_maps(back)["drive"]["000"] == LABELS).all()


def test_each_mask_has_its_picture(tmp_path: Path) -> None:
    """Under the names that Roboflow gives; without pictures the user is told that readers want them."""
    project = project_of(tmp_path, "road", "car")

    assert not export_labels("roboflow-masks", project, tmp_path / "out").notes
    report = export_labels(
        "roboflow-masks", project, tmp_path / "bare", settings=ExportSettings(pictures=False)
    )

    (picture,) = (tmp_path / "out").rglob("*.jpg")
    assert picture.name.startswith("drive__000_png.rf.")
    assert picture.with_name(f"{picture.stem}_mask.png").is_file()
    assert report.notes == ("readers of this format expect NAME.jpg beside each mask: --pictures",)


def test_names_that_the_list_cannot_hold_are_refused(tmp_path: Path) -> None:
    """And more classes than a mask of 8 bits has values for, besides that of void."""
    with pytest.raises(
        WarpRefineError, match=r"_classes.csv cannot list ' road'; expected names of one line"
    ):
        export_labels("roboflow-masks", project_of(tmp_path, " road", "car"), tmp_path / "out")
    many = project_of(tmp_path / "many", *map(str, range(255)))
    with pytest.raises(WarpRefineError, match="there are 255 classes; expected up to 254, as 0 is void"):
        export_labels("roboflow-masks", many, tmp_path / "out")
