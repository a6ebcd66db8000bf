"""Tests of jobs/export_labels.py: which labels of a run or a data set go out."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from warprefine.core.errors import DatasetError, RecipeError, RunFolderError
from warprefine.core.tensors import VOID
from warprefine.datasets import open_dataset
from warprefine.datasets.class_file import read_classes
from warprefine.io.images import read_gray, read_labels
from warprefine.jobs.autolabel import autolabel
from warprefine.jobs.export_labels import ExportSettings, export_labels


@pytest.fixture(scope="module")
def run(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a method that trains nothing."""
    out = tmp_path_factory.mktemp("export") / "run"
    autolabel(open_dataset(tiny_data), out, horizon=2, methods=("motion-only",))
    return out


def maps(folder: Path) -> dict[str, np.ndarray]:
    """The label maps of an export of index PNGs."""
    found = {}
    for path in folder.glob("ann_dir/*/*/*.png"):
        with Image.open(path) as picture:
            found["/".join(path.parts[-3:])] = np.array(picture)
    return found


@pytest.mark.parametrize(("frames", "count"), [("key", 2), ("labelled", 10), ("all", 14)])
def test_frames_of_a_run_are_chosen(run: Path, frames: str, count: int, tmp_path: Path) -> None:
    """Key frames, those that have labels, or all; what has none is void."""
    settings = ExportSettings(frames=frames, pictures=False)  # type: ignore[arg-type]
    report = export_labels("index-png", run, tmp_path / "out", settings=settings)

    found = maps(tmp_path / "out")
    assert len(found) == sum(report.frames.values()) == count
    assert not (tmp_path / "out" / "img_dir").exists()
    assert {bool((labels == VOID).all()) for labels in found.values()} == (
        {True, False} if frames == "all" else {False}
    )


def test_labels_that_are_less_sure_become_void(run: Path, tiny_data: Path, tmp_path: Path) -> None:
    """Those of key frames are sure."""
    settings = ExportSettings(min_confidence=0.9, method="motion-only")
    export_labels("index-png", run, tmp_path / "out", settings=settings)

    found = maps(tmp_path / "out")
    key = open_dataset(tiny_data)
    labels = read_labels(run / "labels" / "motion-only" / "street-000" / "000004.png", key.classes)[0].numpy()
    sure = read_gray(run / "confidence" / "motion-only" / "street-000" / "000004.png")[0].numpy()
    assert 0 < (sure < 0.9).sum() < sure.size
    assert (found["train/street-000/000004.png"] == np.where(sure < 0.9, VOID, labels)).all()
    hand_made = read_labels(key.videos[0].labels[3], key.classes)[0].numpy()
    assert (found["train/street-000/000003.png"] == hand_made).all()


def test_classes_have_other_names_in_an_export(tiny_data: Path, tmp_path: Path) -> None:
    """And those that get one name become one class, in the labels as in the list."""
    classes = open_dataset(tiny_data).classes
    first, second, *others = classes.names
    export_labels("index-png", tiny_data, tmp_path / "plain")
    settings = ExportSettings(renames={first: "new", second: "new"})
    export_labels("index-png", tiny_data, tmp_path / "out", settings=settings)

    assert read_classes(tmp_path / "out" / "classes.toml").names == ("new", *others)
    before, after = maps(tmp_path / "plain"), maps(tmp_path / "out")
    for name, labels in before.items():
        moved = np.where((labels > 0) & (labels < VOID), labels - 1, labels)
        assert (after[name] == moved).all()


def test_whole_videos_are_for_validation(run: Path, tiny_data: Path, tmp_path: Path) -> None:
    """A single video is cut in two."""
    export_labels("index-png", run, tmp_path / "two", settings=ExportSettings(split=0.9))
    one = shutil.copytree(tiny_data, tmp_path / "data")
    shutil.rmtree(one / "videos" / "street-001")
    export_labels("index-png", one, tmp_path / "one", settings=ExportSettings(split=0.6, frames="all"))

    assert {name.rpartition("/")[0] for name in maps(tmp_path / "two")} == {
        "train/street-000",
        "val/street-001",
    }
    assert sorted(name for name in maps(tmp_path / "one") if name.startswith("val")) == [
        f"val/street-000/{number:06d}.png" for number in (4, 5, 6)
    ]


def test_an_archive_holds_what_a_folder_holds(tiny_data: Path, tmp_path: Path) -> None:
    """Some tools take nothing else."""
    export_labels("index-png", tiny_data, tmp_path / "out.zip")

    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert "ann_dir/train/street-000/000003.png" in archive.namelist()
    assert [path.name for path in tmp_path.iterdir()] == ["out.zip"]


def test_what_cannot_be_exported_is_refused(tiny_data: Path, run: Path, tmp_path: Path) -> None:
    """Nothing is left behind."""
    data = shutil.copytree(tiny_data, tmp_path / "data")
    for folder in data.glob("videos/*/labels"):
        shutil.rmtree(folder)
    with pytest.raises(DatasetError, match="has no frame to export; expected label maps"):
        export_labels("coco", data, tmp_path / "out")
    with pytest.raises(RunFolderError, match=r"lies in .*, which is read; .*choose another DEST"):
        export_labels("coco", tiny_data, tiny_data / "out")
    with pytest.raises(RecipeError, match="no method of this run is called 'oracel'"):
        export_labels("coco", run, tmp_path / "out", settings=ExportSettings(method="oracel"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"min_confidence": 1.5}, r"--min-confidence is 1\.5; expected 0 to 1"),
        ({"split": 1.0}, "--split is 1; expected a share above 0 and below 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], told: str) -> None:
    """Before anything is read."""
    with pytest.raises(RecipeError, match=told):
        ExportSettings(**settings)  # type: ignore[arg-type]
