"""Tests of interchange/training_folder.py: what trainers find in a plain folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.interchange.projects import write_project
from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError
from warprefine.jobs.export_labels import ExportSettings, export_labels

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

CLASSES = ClassSet(names=("road", "it's: a | car"), colors=((128, 64, 128), (0, 0, 142)), file_ids=(7, 26))
LABELS = np.array([[0, 1, 255], [1, 1, 0]], np.uint8)
MAPS = {"a": {"000": LABELS, "001": LABELS}, "b": {"000": LABELS}}


def test_pictures_and_label_maps_have_the_same_names_in_each_split(tmp_path: Path) -> None:
    """Values are positions of classes, and a text file lists the names of the split."""
    project = write_project(tmp_path / "project", CLASSES, MAPS)

    notes = export_labels(
        "training-folder", project, tmp_path / "out", settings=ExportSettings(split=0.6, min_confidence=0.5)
    ).notes

    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    names = ("train/a__000", "train/a__001", "val/b__000")
    assert found == {f"{folder}/{name}.png" for folder in ("images", "labels") for name in names}
    assert (np.array(Image.open(tmp_path / "out" / "labels" / "val" / "b__000.png")) == LABELS).all()
    assert (tmp_path / "out" / "train.txt").read_text() == "a__000\na__001\n"
    assert notes == ()


def test_trainers_find_classes_and_folders(tmp_path: Path) -> None:
    """With the names as they are, in data.yaml, in mmsegmentation.py and in the card."""
    project = write_project(tmp_path / "project", CLASSES, MAPS)

    notes = export_labels("training-folder", project, tmp_path / "out").notes

    told = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text(encoding="utf-8"))
    assert told["names"] == dict(enumerate(CLASSES.names))
    assert (told["train"], told["val"], told["masks_dir"]) == ("images/train", "images/train", "labels")
    config = (tmp_path / "out" / "mmsegmentation.py").read_text(encoding="utf-8")
    found: dict[str, dict[str, object]] = {}
    eval(compile(config, "mmsegmentation.py", "exec"), found)
    assert found["metainfo"]["classes"] == CLASSES.names
    assert found["val_dataset"]["data_prefix"] == {"img_path": "images/train", "seg_map_path": "labels/train"}
    assert found["train_dataset"]["img_suffix"] == ".png"
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "| 1 | it's: a \\| car | 0, 0, 142 | 50.00 % |" in card
    assert notes == ("all frames are for training; --split 0.9 holds some back for validation",)


@pytest.mark.parametrize(("endings", "ending"), [((".jpg", ".jpeg"), ".jpg"), ((".jpg", ".bmp"), ".png")])
def test_all_pictures_get_one_ending(tmp_path: Path, endings: tuple[str, str], ending: str) -> None:
    """As trainers look for one."""
    project = write_project(tmp_path / "project", CLASSES, MAPS)
    for path, other in zip(
        sorted(project.glob("videos/*/frames/*.png")), (*endings, endings[0]), strict=True
    ):
        Image.open(path).save(path.with_suffix(other))
        path.unlink()

    export_labels("training-folder", project, tmp_path / "out")

    found = [path for path in (tmp_path / "out" / "images").rglob("*") if path.is_file()]
    assert {path.suffix for path in found} == {ending}
    for path in found:
        with Image.open(path) as picture:
            assert picture.format == {".jpg": "JPEG", ".png": "PNG"}[ending]


def test_label_maps_alone_are_written_where_pictures_are_not_wanted(tmp_path: Path) -> None:
    """One for each frame, and no picture beside them."""
    project = write_project(tmp_path / "project", CLASSES, MAPS)

    export_labels("training-folder", project, tmp_path / "out", settings=ExportSettings(pictures=False))

    assert not [*(tmp_path / "out" / "images").rglob("*.png")]
    assert len([*(tmp_path / "out" / "labels").rglob("*.png")]) == 3


def test_two_frames_of_one_flat_name_are_refused(tmp_path: Path) -> None:
    """The message names both, and nothing is written."""
    project = write_project(tmp_path / "project", CLASSES, {"a": {"b__c": LABELS}, "a__b": {"c": LABELS}})

    with pytest.raises(DatasetError, match=r"the frames a/b__c\.png and a__b/c\.png would both be a__b__c"):
        export_labels("training-folder", project, tmp_path / "out")
    assert not (tmp_path / "out").exists()
