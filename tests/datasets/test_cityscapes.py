"""Tests of datasets/cityscapes.py: the published layout, its splits, and copies that are broken."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from warprefine.core.errors import DatasetError, KeyFrameError
from warprefine.core.tensors import VOID
from warprefine.datasets.cityscapes import read_cityscapes, validation_cities
from warprefine.datasets.cityscapes_labels import CITYSCAPES_CLASSES, CITYSCAPES_LABELS
from warprefine.datasets.summary import summarise
from warprefine.io.images import read_labels, write_frame, write_ids

TRAIN = [
    "aachen", "bochum", "bremen", "cologne", "darmstadt", "dusseldorf", "erfurt", "hamburg", "hanover",
    "jena", "krefeld", "monchengladbach", "strasbourg", "stuttgart", "tubingen", "ulm", "weimar", "zurich",
]  # fmt: skip
VAL = ["frankfurt", "lindau", "munster"]
H, W = 4, 6


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def city_of(name: str) -> str:
    return name.partition("_")[0]


def picture(root: Path, part: str, name: str, *, kind: str = "leftImg8bit") -> Path:
    return root / kind / part / city_of(name) / f"{name}_leftImg8bit.png"


def label(root: Path, part: str, name: str, *, kind: str = "gtFine") -> Path:
    return root / kind / part / city_of(name) / f"{name}_{kind}_labelIds.png"


def snippet(root: Path, part: str, recording: str, numbers: range = range(30)) -> list[Path]:
    """Return the pictures of a snippet, as leftImg8bit_sequence keeps them."""
    names = (f"{recording}_{number:06d}" for number in numbers)
    return [picture(root, part, name, kind="leftImg8bit_sequence") for name in names]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two labelled snippets for training, one for validation, a picture to test."""
    for part, recording in (("train", "ulm_000000"), ("train", "aachen_000003"), ("val", "lindau_000000")):
        name = f"{recording}_000019"
        fine = label(tmp_path, part, name)
        beside = (
            fine.with_name(f"{name}_gtFine_{kind}")
            for kind in ("instanceIds.png", "color.png", "polygons.json")
        )
        touch(fine, *beside, picture(tmp_path, part, name), *snippet(tmp_path, part, recording))
    touch(picture(tmp_path, "test", "berlin_000000_000019"), label(tmp_path, "test", "berlin_000000_000019"))
    return tmp_path


@pytest.fixture
def pixels(tmp_path: Path) -> Path:
    """One labelled snippet of three frames, with pixels."""
    for path in snippet(tmp_path, "train", "ulm_000000", range(18, 21)):
        write_frame(path, torch.zeros(1, 3, H, W, dtype=torch.uint8))
    write_ids(label(tmp_path, "train", "ulm_000000_000019"), torch.full((H, W), 7, dtype=torch.uint8).numpy())
    return tmp_path


def names(root: Path, split: str) -> list[str]:
    return [video.name for video in read_cityscapes(root, split).videos]


# classes


def test_the_classes_are_those_that_are_scored(tmp_path: Path) -> None:
    """A position is a train id; files hold ids, and those that are not scored are VOID."""
    ids = torch.arange(34, dtype=torch.uint8)[None]
    write_ids(tmp_path / "a.png", ids.numpy())

    positions = read_labels(tmp_path / "a.png", CITYSCAPES_CLASSES)[0, 0].tolist()

    assert len(CITYSCAPES_CLASSES) == 19
    expected = [found.train_id for found in CITYSCAPES_LABELS if found.id >= 0]
    assert positions == [VOID if train_id == -1 else train_id for train_id in expected]
    car = CITYSCAPES_CLASSES.position("car")
    assert (CITYSCAPES_CLASSES.colors[car], CITYSCAPES_CLASSES.categories[car]) == ((0, 0, 142), "vehicle")


# fine labels and their neighbours


def test_a_labelled_frame_has_ten_neighbours_on_either_side(root: Path) -> None:
    """A video is called as its labelled frame and holds frames 9 to 29 of its snippet."""
    dataset = read_cityscapes(root, "train")

    assert [video.name for video in dataset.videos] == ["aachen_000003_000019", "ulm_000000_000019"]
    video = dataset.videos[1]
    assert list(video.frame_paths) == snippet(root, "train", "ulm_000000", range(9, 30))
    assert video.stems[0] == "ulm_000000_000009"
    assert dict(video.labels) == {10: label(root, "train", "ulm_000000_000019")}
    assert (dataset.classes, dataset.notes, dataset.broken) == (CITYSCAPES_CLASSES, (), {})


def test_train_and_val_can_be_read_together(root: Path) -> None:
    """Each part has its own cities, and trainval those of both."""
    assert names(root, "val") == ["lindau_000000_000019"]
    assert names(root, "trainval") == [*names(root, "train"), *names(root, "val")]


def test_without_a_snippet_the_labelled_frame_is_alone(root: Path) -> None:
    """Where the sequences are not unpacked, or lack a snippet, its frame of leftImg8bit is the video."""
    for path in snippet(root, "train", "ulm_000000"):
        path.unlink()

    dataset = read_cityscapes(root, "train")

    assert [len(video) for video in dataset.videos] == [21, 1]
    assert dataset.videos[1].frame_paths == (picture(root, "train", "ulm_000000_000019"),)
    assert dataset.videos[1].key_frames == (0,)
    assert dataset.notes == ("1 of 2 snippets lack neighbours: ulm_000000_000019 (frames 19..19 of 9..29)",)


def test_a_missing_neighbour_cuts_the_clip(root: Path) -> None:
    """A frame that was lost in copying is noted, and what lies behind it is not used."""
    snippet(root, "train", "ulm_000000")[12].unlink()

    dataset = read_cityscapes(root, "train")

    assert dataset.videos[1].stems[0] == "ulm_000000_000013"
    assert dataset.notes == ("1 of 2 snippets lack neighbours: ulm_000000_000019 (frames 13..29 of 9..29)",)


def test_the_labelled_frame_may_be_missing_from_the_sequence(root: Path) -> None:
    """leftImg8bit has the same picture, so the clip has no gap."""
    snippet(root, "train", "ulm_000000")[19].unlink()

    video = read_cityscapes(root, "train").videos[1]

    assert len(video) == 21
    assert video.frame_paths[10] == picture(root, "train", "ulm_000000_000019")


def test_a_snippet_without_labels_is_noted(root: Path) -> None:
    """Frames that belong to no label map are no video, and are reported."""
    touch(*snippet(root, "train", "ulm_000007"))

    dataset = read_cityscapes(root, "train")

    assert len(dataset.videos) == 2
    assert dataset.notes == ("snippets without a label map are left out, 1: ulm_000007_000000..000029",)


def test_a_label_map_without_a_picture_is_broken(root: Path) -> None:
    """The others can still be used, and the summary reports the broken one."""
    touch(label(root, "train", "ulm_000009_000019"))

    dataset = read_cityscapes(root, "train")

    assert len(dataset.videos) == 2
    assert list(dataset.broken) == ["ulm_000009_000019"]
    with pytest.raises(
        KeyFrameError, match=r"ulm_000009_000019_gtFine_labelIds\.png has no picture: expected .*leftImg8bit"
    ):
        raise dataset.broken["ulm_000009_000019"]


def test_folders_of_cities_must_agree(root: Path) -> None:
    """A folder Ulm is not the folder ulm; pictures are looked up in the folder of their labels."""
    (root / "gtFine/train/ulm").rename(root / "gtFine/train/Ulm")

    assert [*read_cityscapes(root, "train").broken] == ["ulm_000000_000019"]


def test_endings_may_have_any_case_and_hidden_files_are_no_files(root: Path) -> None:
    """Copies from other systems have .PNG and .JPG, .DS_Store and ._ files."""
    labels = label(root, "train", "ulm_000000_000019")
    labels.rename(labels.with_suffix(".PNG"))
    paths = snippet(root, "train", "ulm_000000")
    paths[9].rename(paths[9].with_suffix(".JPG"))
    touch(
        root / "gtFine/train/.DS_Store",
        labels.with_name(f"._{labels.name}"),
        root / "gtFine/train/README.txt",
    )

    dataset = read_cityscapes(root, "train")

    video = dataset.videos[1]
    assert len(dataset.videos) == 2
    assert dict(video.labels) == {10: labels.with_suffix(".PNG")}
    assert video.frame_paths[0] == paths[9].with_suffix(".JPG")


def test_no_file_is_looked_at_by_itself(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """150 000 frames are listed in seconds, because folders are listed and no file is opened."""
    listed: list[Path] = []
    stat = Path.stat

    def note(path: Path, **options: bool) -> object:
        listed.append(path)
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", note)
    read_cityscapes(root, "train")

    assert listed
    assert {path.suffix for path in listed} == {""}


# coarse and automatic labels, test


@pytest.mark.parametrize(
    ("split", "part"), [("coarse-train", "train"), ("coarse-val", "val"), ("coarse-extra", "train_extra")]
)
def test_coarse_labels_are_single_frames(tmp_path: Path, split: str, part: str) -> None:
    """Coarse label maps belong to pictures without neighbours; pictures without one are noted."""
    coarse = label(tmp_path, part, "bonn_000000_000019", kind="gtCoarse")
    pictures = [picture(tmp_path, part, f"bonn_000000_{number:06d}") for number in (18, 19)]
    touch(coarse, *pictures, *snippet(tmp_path, part, "bonn_000000"))

    dataset = read_cityscapes(tmp_path, split)

    (video,) = dataset.videos
    assert (video.frame_paths, dict(video.labels)) == ((pictures[1],), {0: coarse})
    assert dataset.notes == ("snippets without a label map are left out, 1: bonn_000000_000018",)


def test_automatic_labels_are_named_as_pictures(tmp_path: Path) -> None:
    """The label maps of Tao et al. have the names of their pictures; the confidences beside are no labels."""
    name = "bonn_000000_000019"
    made = picture(tmp_path, "train_extra", name, kind="autolabelled")
    touch(made, made.with_name(f"{name}_leftImg8bit_prob.png"), picture(tmp_path, "train_extra", name))

    dataset = read_cityscapes(tmp_path, "auto-extra")

    (video,) = dataset.videos
    assert video.frame_paths == (picture(tmp_path, "train_extra", name),)
    assert dict(video.labels) == {0: made}
    assert (dataset.broken, dataset.notes) == ({}, ())


def test_frames_of_the_test_set_have_no_labels(root: Path) -> None:
    """The label maps that are published for them are dummies and are not read."""
    (video,) = read_cityscapes(root, "test").videos

    assert (video.name, len(video), dict(video.labels)) == ("berlin_000000_000019", 1, {})


def test_a_test_set_without_pictures_is_refused(tmp_path: Path) -> None:
    """Empty folders of cities are no test set."""
    (tmp_path / "leftImg8bit/test/berlin").mkdir(parents=True)

    with pytest.raises(
        DatasetError, match=r"test holds no pictures; expected files such as STEM_leftImg8bit\.png"
    ):
        read_cityscapes(tmp_path, "test")


# folds


@pytest.mark.parametrize(
    ("fold", "expected"),
    [
        (0, ["frankfurt", "lindau", "munster"]),
        (1, ["darmstadt", "dusseldorf", "erfurt"]),
        (2, ["monchengladbach", "strasbourg", "stuttgart"]),
    ],
)
def test_each_fold_holds_back_three_cities(tmp_path: Path, fold: int, expected: list[str]) -> None:
    """Fold 2 is that of the paper; a fold trains on the 18 cities that it does not hold back."""
    for part, cities in (("train", TRAIN), ("val", VAL)):
        for city in cities:
            name = f"{city}_000000_000019"
            touch(label(tmp_path, part, name), picture(tmp_path, part, name))

    held_back = {city_of(name) for name in names(tmp_path, f"cv{fold}-val")}
    trained_on = {city_of(name) for name in names(tmp_path, f"cv{fold}-train")}

    assert sorted(held_back) == expected
    assert trained_on == {*TRAIN, *VAL} - held_back


def test_folds_wrap_around() -> None:
    """Near the end of the list the first cities follow the last."""
    assert validation_cities(["b", "a"], ["z", "y", "x"], fold=2) == ("a", "b", "x")
    assert validation_cities("dcba", "z", fold=1) == ("a",)


def test_fold_3_trains_on_everything(root: Path) -> None:
    """It is for submissions, and has nothing to be validated with."""
    assert names(root, "cv3-train") == names(root, "trainval")
    with pytest.raises(
        DatasetError, match="cv3 trains on all cities and holds none out; expected cv0-val, cv1-val or"
    ):
        read_cityscapes(root, "cv3-val")


# mistakes


def test_a_misspelt_split_is_told_with_the_nearest(root: Path) -> None:
    """A wrong split is reported with the one that was probably meant."""
    with pytest.raises(
        DatasetError, match=r"no split of Cityscapes is called 'cv2_val'; did you mean 'cv2-val'\?"
    ):
        read_cityscapes(root, "cv2_val")


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    """A wrong path is reported with what was expected there."""
    with pytest.raises(
        DatasetError, match=r"gone does not exist, expected a folder of Cityscapes with gtFine"
    ):
        read_cityscapes(tmp_path / "gone", "train")


@pytest.mark.parametrize("split", ["train", "cv0-train", "coarse-extra", "auto-extra", "test"])
def test_a_wrong_root_is_told_with_what_it_holds(tmp_path: Path, split: str) -> None:
    """A folder that is no Cityscapes is reported with what is in it."""
    (tmp_path / "holidays").mkdir()

    with pytest.raises(
        DatasetError, match=r"does not exist, expected one folder for each city.*holds holidays"
    ):
        read_cityscapes(tmp_path, split)


def test_a_split_without_label_maps_is_refused(tmp_path: Path) -> None:
    """Polygons alone are no label maps."""
    touch(tmp_path / "gtFine/train/ulm/ulm_000000_000019_gtFine_polygons.json")

    with pytest.raises(
        DatasetError, match=r"gtFine holds no label maps in train.ulm; expected .*STEM_gtFine_labelIds"
    ):
        read_cityscapes(tmp_path, "train")


def test_train_ids_alone_are_named(tmp_path: Path) -> None:
    """Converters write them beside the ids; alone they are not what is read."""
    touch(tmp_path / "gtFine/train/ulm/ulm_000000_000019_gtFine_labelTrainIds.png")

    with pytest.raises(
        DatasetError,
        match=r"no label maps in train.ulm, only train ids \(STEM_gtFine_labelTrainIds\.png\)",
    ):
        read_cityscapes(tmp_path, "train")


def test_a_split_without_cities_is_refused(tmp_path: Path) -> None:
    """An empty folder is what an archive leaves that was never unpacked."""
    (tmp_path / "gtFine/train").mkdir(parents=True)

    with pytest.raises(DatasetError, match=r"gtFine holds no label maps in any city; expected"):
        read_cityscapes(tmp_path, "train")


def test_a_label_map_in_two_parts_is_refused(root: Path) -> None:
    """A frame that is in train and in val would be validated with what it was trained on."""
    touch(label(root, "val", "ulm_000000_000019"))

    with pytest.raises(DatasetError, match="two pictures have the name ulm_000000_000019"):
        read_cityscapes(root, "trainval")


def test_a_sound_copy_has_no_problems(pixels: Path) -> None:
    """Pictures and label maps of one size, with known ids, are fine."""
    summary = summarise(read_cityscapes(pixels, "train"), check=True)

    assert summary.problems == ()
    assert summary.pixels[0] == H * W


def test_a_truncated_picture_is_a_problem(pixels: Path) -> None:
    """A picture that was cut short in copying is found before a job starts."""
    path = snippet(pixels, "train", "ulm_000000")[20]
    path.write_bytes(path.read_bytes()[:40])

    (problem,) = summarise(read_cityscapes(pixels, "train"), check=True).problems

    assert path.name in problem


def test_a_label_map_of_another_size_is_a_problem(pixels: Path) -> None:
    """Labels of pictures that were made smaller do not fit them any more."""
    write_ids(
        label(pixels, "train", "ulm_000000_000019"), torch.full((2 * H, W), 7, dtype=torch.uint8).numpy()
    )

    (problem,) = summarise(read_cityscapes(pixels, "train"), check=True).problems

    assert f"is {2 * H} x {W} (h x w), but its frame is {H} x {W}" in problem


def test_what_is_broken_is_a_problem(pixels: Path) -> None:
    """A label map without a picture is reported with the other problems."""
    touch(label(pixels, "train", "ulm_000009_000019"))

    (problem,) = summarise(read_cityscapes(pixels, "train"), check=True).problems

    assert "ulm_000009_000019_gtFine_labelIds.png has no picture" in problem
