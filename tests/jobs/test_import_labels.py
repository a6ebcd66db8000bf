"""Tests of jobs/import_labels.py and interchange/native.py: what is written, and that it is whole or not "
"there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.interchange.projects import read_maps, without_label_maps, write_project
from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, KeyFrameError, RunFolderError, WarpRefineError
from warprefine.datasets import open_dataset
from warprefine.datasets.class_file import write_classes
from warprefine.interchange import native
from warprefine.interchange.imported import ImportOptions
from warprefine.io.locks import locked_file
from warprefine.jobs.export_labels import ExportSettings, export_labels
from warprefine.jobs.import_labels import ImportSettings, import_labels

CLASSES = ClassSet(names=("road", "car"), colors=((1, 1, 1), (2, 2, 2)))
LABELS = np.array([[0, 1, 255, 0]] * 3, np.uint8)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A data set of two videos with a labelled frame each, and one more frame."""
    maps = {name: {"000": LABELS} for name in ("drive", "walk")}
    project = write_project(tmp_path / "project", CLASSES, maps)
    for name in maps:
        frames = project / "videos" / name / "frames"
        shutil.copy(frames / "000.png", frames / "001.png")
    return project


@pytest.fixture
def export(project: Path, tmp_path: Path) -> Path:
    """Its labels as index PNGs, with pictures."""
    export_labels("index-png", project, tmp_path / "export", settings=ExportSettings(frames="all"))
    for path in (tmp_path / "export" / "ann_dir").rglob("001.png"):
        path.unlink()
    return tmp_path / "export"


def load(path: Path) -> dict[str, np.ndarray]:
    return {
        f"{video}/{stem}": labels
        for video, found in read_maps(path).items()
        for stem, labels in found.items()
    }


def test_pictures_of_an_export_are_the_frames_of_a_new_data_set(export: Path, tmp_path: Path) -> None:
    """With those that nobody has labelled, as a video is more than its key frames."""
    report = import_labels("index-png", export, tmp_path / "new")

    assert report.labels == {"drive": 1, "walk": 1}
    assert [len(video) for video in open_dataset(tmp_path / "new").videos] == [2, 2]
    assert (load(tmp_path / "new")["drive/000"] == LABELS).all()


def test_a_data_set_is_not_made_inside_the_export(export: Path) -> None:
    """It would be read with the export the next time."""
    with pytest.raises(RunFolderError, match=r"lies in .*, which is read; .*choose another DATA"):
        import_labels("index-png", export, export / "data")

    assert not (export / "data").exists()


def test_an_export_without_pictures_needs_frames(project: Path, tmp_path: Path) -> None:
    """The message says how to give them."""
    export_labels("coco", project, tmp_path / "coco")

    with pytest.raises(DatasetError, match=r"no picture .*--frames DIR, the folder that holds '000.png'"):
        import_labels("coco", tmp_path / "coco", tmp_path / "new")

    assert not (tmp_path / "new").exists()


def test_videos_without_labels_are_left_out_of_a_new_data_set(
    project: Path, export: Path, tmp_path: Path
) -> None:
    """With a note."""
    shutil.rmtree(export / "ann_dir" / "train" / "walk")

    report = import_labels("index-png", export, tmp_path / "new", settings=ImportSettings(frames=project))

    assert [video.name for video in open_dataset(tmp_path / "new").videos] == ["drive"]
    assert "1 video of --frames has no label map, left out: walk" in report.notes


def test_videos_are_added_to_a_data_set(project: Path, export: Path, tmp_path: Path) -> None:
    """Those that it has keep their frames."""
    data = without_label_maps(project, tmp_path / "data")
    shutil.rmtree(data / "videos" / "walk")
    shutil.rmtree(project / "videos" / "drive" / "frames")
    shutil.rmtree(project / "videos" / "drive" / "labels")
    (project / "videos" / "drive").rmdir()

    import_labels("index-png", export, data, add=True, settings=ImportSettings(frames=project / "videos"))

    assert [len(video) for video in open_dataset(data).videos] == [2, 2]
    assert (load(data)["walk/000"] == LABELS).all()


def test_classes_of_a_new_data_set_can_be_given(export: Path, tmp_path: Path) -> None:
    """By a class file; a data set that is there has its own."""
    write_classes(
        tmp_path / "c.toml", ClassSet(names=("car", "road", "sky"), colors=((1, 0, 0), (2, 0, 0), (3, 0, 0)))
    )
    settings = ImportSettings(classes=tmp_path / "c.toml")

    report = import_labels("index-png", export, tmp_path / "new", settings=settings)

    assert report.classes.names == ("car", "road", "sky")
    assert load(tmp_path / "new")["drive/000"][0].tolist() == [1, 0, 255, 1]
    with pytest.raises(DatasetError, match=r"--classes .* is given, but .*new has its own classes\.toml"):
        import_labels("index-png", export, tmp_path / "new", add=True, settings=settings)


def test_only_a_data_set_is_added_to(export: Path, tmp_path: Path) -> None:
    """Not to any folder, nor to nothing."""
    with pytest.raises(DatasetError, match=r"has no classes\.toml; .*leave --add out to make a new one"):
        import_labels("index-png", export, tmp_path / "new", add=True)


def test_frames_of_another_size_are_refused(project: Path, export: Path, tmp_path: Path) -> None:
    """Labels are never scaled; the size that the file states is compared first."""
    path = project / "videos" / "walk" / "frames" / "000.png"
    Image.new("RGB", (8, 6)).save(path)
    export_labels("coco", without_walk(project, tmp_path / "one"), tmp_path / "coco")
    told = tmp_path / "coco" / "annotations" / "instances_train.json"
    told.write_text(told.read_text().replace("drive/000", "walk/000"))
    data = without_label_maps(project, tmp_path / "data")

    with pytest.raises(
        WarpRefineError, match=r"walk/000\.png' is 3 x 4 \(h x w\), but the frame walk/000 is 6 x 8"
    ):
        import_labels("coco", tmp_path / "coco", data, add=True)
    with pytest.raises(
        WarpRefineError, match=r"has a label map of 3 x 4 \(h x w\), but the frame walk/000 is 6 x 8"
    ):
        import_labels("index-png", export, data, add=True)

    assert load(data) == {}
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]


def without_walk(project: Path, target: Path) -> Path:
    shutil.copytree(project, target)
    shutil.rmtree(target / "videos" / "walk")
    return target


def test_two_label_maps_of_a_frame_are_refused(project: Path, export: Path, tmp_path: Path) -> None:
    """Neither wins."""
    shutil.copytree(export / "ann_dir" / "train", export / "ann_dir" / "val")

    with pytest.raises(
        KeyFrameError, match=r"train/drive/000.png and .*val/drive/000.png are both the frame drive/000"
    ):
        import_labels("index-png", export, tmp_path / "new", settings=ImportSettings(frames=project))


def test_frames_without_any_label_get_no_label_map(project: Path, export: Path, tmp_path: Path) -> None:
    """With a note; an export of nothing else is refused."""
    Image.fromarray(np.full((3, 4), 255, np.uint8)).save(export / "ann_dir" / "train" / "walk" / "000.png")
    data = without_label_maps(project, tmp_path / "data")

    report = import_labels("index-png", export, data, add=True)

    assert report.notes == (
        (
            "1 frame has no labelled pixel, so no label map: walk/000; use --background CLASS if what "
            "is unlabelled is a class"
        ),
    )
    shutil.rmtree(export / "ann_dir" / "train" / "drive")
    with pytest.raises(DatasetError, match="labels no pixel; 1 frame has no labelled pixel"):
        import_labels("index-png", export, tmp_path / "new", settings=ImportSettings(frames=project))
    assert not (tmp_path / "new").exists()


def test_what_was_added_is_taken_back_when_the_disk_refuses(
    project: Path, export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Halfway through, too."""
    data = without_label_maps(project, tmp_path / "data")
    rename: Callable[..., Any] = Path.rename

    def failing(path: Path, target: Path) -> Any:
        if "walk" in path.parts:
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)

    with pytest.raises(RunFolderError, match="the disk is full"):
        import_labels("index-png", export, data, add=True)

    assert load(data) == {}


def test_what_a_killed_import_has_left_is_cleared_away(project: Path, export: Path, tmp_path: Path) -> None:
    """By the next one of the same name; two at the same time are refused."""
    target = tmp_path / "new"
    left = native.draft_of(target)
    left.mkdir()
    settings = ImportSettings(frames=project)
    with locked_file(target), pytest.raises(RunFolderError, match="new"):
        import_labels("index-png", export, target, settings=settings)

    import_labels("index-png", export, target, settings=settings)

    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["export", "new", "project"]


def test_where_a_data_set_is_from_can_be_written_down(project: Path, export: Path, tmp_path: Path) -> None:
    """In import.json, for those who open an export directly."""
    import_labels(
        "index-png", export, tmp_path / "new", settings=ImportSettings(frames=project), record={"a": 1}
    )

    assert json.loads((tmp_path / "new" / "import.json").read_text()) == {"a": 1}


def test_video_names_the_video_of_flat_names(project: Path, export: Path, tmp_path: Path) -> None:
    """Of names without a folder."""
    flat = shutil.copytree(export / "ann_dir" / "train" / "walk", tmp_path / "flat")
    settings = ImportSettings(frames=project, options=ImportOptions(video="walk", names=CLASSES.names))

    report = import_labels("index-png", flat, tmp_path / "new", settings=settings)

    assert report.labels == {"walk": 1}
