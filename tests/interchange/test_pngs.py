"""Tests of pixels.py, label_folder.py, index_png.py, color_png.py, camvid.py and proposal.py: label PNGs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.interchange.projects import read_maps
from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, LabelError, WarpRefineError
from warprefine.datasets.class_file import read_classes, write_classes
from warprefine.interchange.imported import ImportOptions
from warprefine.interchange.label_folder import common_suffix
from warprefine.interchange.pixels import read_colors
from warprefine.interchange.proposal import propose_classes
from warprefine.jobs.import_labels import ImportSettings, import_labels

LABELS = np.array([[0, 1, 2, 255]] * 3, np.uint8)


def save(path: Path, pixels: np.ndarray, *, colors: list[int] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels)
    if colors is not None:
        picture.putpalette(colors)
    picture.save(path)
    return path


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Pictures of a video of two frames."""
    for stem in ("000000", "000001"):
        save(tmp_path / "frames" / "drive" / f"{stem}.png", np.zeros((3, 4, 3), np.uint8))
    return tmp_path / "frames"


def imported(name: str, source: Path, frames: Path, **options: object) -> dict[str, np.ndarray]:
    """The label maps of video drive after an import into a new folder."""
    settings = ImportSettings(frames=frames, options=ImportOptions(**options))  # type: ignore[arg-type]
    import_labels(name, source, source.parent / "new", settings=settings)
    return read_maps(source.parent / "new")["drive"]


def test_values_have_the_names_that_the_user_gives(tmp_path: Path, frames: Path) -> None:
    """In the order of the values, from 0 or with 0 as void; suffixes are taken off."""
    save(tmp_path / "x" / "ann_dir" / "train" / "drive" / "000000_labels.png", LABELS)
    save(tmp_path / "x" / "img_dir" / "train" / "drive" / "000000.png", np.zeros((3, 4, 3), np.uint8))

    found = imported("index-png", tmp_path / "x", frames, names=("a", "b", "c"), suffix="_labels.png")

    assert found["000000"].tolist() == LABELS.tolist()
    assert read_classes(tmp_path / "new" / "classes.toml").names == ("a", "b", "c")


@pytest.mark.parametrize("top", ["", "my labels", "street_masks/export"])
@pytest.mark.parametrize("inside", ["masks/drive", "ann_dir/drive/frames"])
def test_a_folder_around_all_does_not_make_label_maps_of_pictures(
    top: str, inside: str, tmp_path: Path, frames: Path
) -> None:
    """Archives are called after what is in them: "my labels.zip" has a folder of that name."""
    save(tmp_path / "x" / top / inside / "000000.png", LABELS)
    save(tmp_path / "x" / top / "images" / "drive" / "000000.png", np.zeros((3, 4, 3), np.uint8))

    found = imported("index-png", tmp_path / "x", frames, names=("a", "b", "c"))

    assert found["000000"].tolist() == LABELS.tolist()


def test_videos_that_are_called_like_folders_of_label_maps_are_not_the_only_ones(
    tmp_path: Path, frames: Path
) -> None:
    """No label map is left out without a word."""
    save(tmp_path / "frames" / "old_labels" / "000007.png", np.zeros((3, 4, 3), np.uint8))
    save(tmp_path / "x" / "ann_dir" / "drive" / "000000.png", LABELS)
    save(tmp_path / "x" / "ann_dir" / "old_labels" / "000007.png", LABELS)

    imported("index-png", tmp_path / "x", frames, names=("a", "b", "c"))

    assert read_maps(tmp_path / "new").keys() == {"drive", "old_labels"}


def test_zero_can_be_void(tmp_path: Path, frames: Path) -> None:
    """As in ADE20K; only the user knows."""
    save(tmp_path / "x" / "drive" / "000001.png", LABELS)

    found = imported("index-png", tmp_path / "x", frames, names=("b", "c"), reduce_zero_label=True)

    assert found["000001"][0].tolist() == [255, 0, 1, 255]


def test_values_are_those_of_a_class_file_beside_them(tmp_path: Path, frames: Path) -> None:
    """With ids, further ids and void; classes.txt lists names alone."""
    save(tmp_path / "x" / "masks" / "drive" / "000000.png", LABELS)
    classes = ClassSet(names=("a", "b"), colors=((1, 1, 1), (2, 2, 2)), file_ids=(2, 0), void_ids=(1,))
    write_classes(tmp_path / "x" / "classes.toml", classes)

    assert imported("index-png", tmp_path / "x", frames)["000000"][0].tolist() == [1, 255, 0, 255]

    (tmp_path / "x" / "classes.toml").unlink()
    (tmp_path / "x" / "classes.txt").write_text("a\nb\nc\n")
    import_labels("index-png", tmp_path / "x", tmp_path / "other", settings=ImportSettings(frames=frames))
    assert read_maps(tmp_path / "other")["drive"]["000000"][0].tolist() == [0, 1, 2, 255]


def test_a_value_without_meaning_is_refused(tmp_path: Path, frames: Path) -> None:
    """The message names file, pixel and value."""
    save(tmp_path / "x" / "masks" / "drive" / "000000.png", LABELS)

    with pytest.raises(
        LabelError, match=r"masks/drive/000000\.png holds the value 2 at x=2, y=0; expected those"
    ):
        imported("index-png", tmp_path / "x", frames, names=("a", "b"))

    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["index-png", "color-png"])
def test_folders_without_label_maps_or_names_are_refused(name: str, tmp_path: Path, frames: Path) -> None:
    """Each with the cure."""
    (tmp_path / "x").mkdir()
    with pytest.raises(DatasetError, match="holds no PNG; expected label maps"):
        imported(name, tmp_path / "x", frames)
    save(tmp_path / "x" / "drive" / "000000.png", LABELS)
    with pytest.raises(DatasetError, match=r"has no file that (names|lists) the (classes|colours); expected"):
        imported(name, tmp_path / "x", frames)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("label_colors.txt", "# palette\n0 0 0\tVoid\n9 8 7\ta b\n\n7 8 9 c\n"),
        ("class_dict.csv", 'name,r,g,b\n"a b",9,8,7\nc,7,8,9\n'),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\na b:9,8,7::\nc:7,8,9::\n"),
    ],
)
def test_colours_are_listed_in_the_files_that_tools_write(
    name: str, content: str, tmp_path: Path, frames: Path
) -> None:
    """Black is void; palette pictures count by their colours."""
    save(
        tmp_path / "x" / "masks" / "drive" / "000000.png",
        np.array([[[9, 8, 7], [7, 8, 9], [0, 0, 0], [9, 8, 7]]] * 3, np.uint8),
    )
    save(
        tmp_path / "x" / "masks" / "drive" / "000001.png",
        np.array([[0, 1, 0, 0]] * 3, np.uint8),
        colors=[7, 8, 9, 9, 8, 7],
    )
    (tmp_path / "x" / name).write_text(content)

    found = imported("color-png", tmp_path / "x", frames)

    assert found["000000"][0].tolist() == [0, 1, 255, 0]
    assert found["000001"][0].tolist() == [1, 0, 1, 1]
    assert read_classes(tmp_path / "new" / "classes.toml").names == ("a b", "c")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("1 2 3 a\n", r"has the colour 9,8,7 at x=0, y=0, which label_colors\.txt does not list"),
        ("9 8 7 a\n9 8 7 b\n", r"gives the classes 'a' and 'b' the same colour \(9, 8, 7\)"),
        ("9 8 7 a\n9 8 a b\n", r"label_colors\.txt, line 2, is '9 8 a b'; expected 'red green blue name'"),
        ("9 8 700 a\n", "line 1, is '9 8 700 a'"),
        ("9 8 7 a\n1 1 1 a\n", "lists the class 'a' twice"),
        ("\n", "lists no classes"),
    ],
)
def test_colours_that_are_not_listed_once_are_refused(
    content: str, told: str, tmp_path: Path, frames: Path
) -> None:
    """No nearest colour is taken."""
    save(tmp_path / "x" / "drive" / "000000.png", np.array([[[9, 8, 7]] * 4] * 3, np.uint8))
    (tmp_path / "x" / "label_colors.txt").write_text(content)

    with pytest.raises(WarpRefineError, match=told):
        imported("color-png", tmp_path / "x", frames)


def test_deep_and_transparent_pictures_are_no_colours(tmp_path: Path) -> None:
    """Their values would be cut, or mixed."""
    deep = save(tmp_path / "a.png", np.full((2, 2), 300, np.uint16))
    clear = save(tmp_path / "b.png", np.full((2, 2, 4), 9, np.uint8))

    with pytest.raises(LabelError, match="has 16 bits in one channel"):
        read_colors(deep)
    with pytest.raises(LabelError, match="partly transparent"):
        read_colors(clear)


def test_what_all_names_end_with_is_a_suffix() -> None:
    """If it is a word behind a mark; digits belong to the name."""
    assert common_suffix(["a/0_x", "a/1_x"]) == "_x"
    assert common_suffix(["a/0_x"]) == ""
    assert common_suffix(["a/b", "c/b"]) == ""


def test_a_class_name_that_no_line_can_hold_is_refused(tmp_path: Path) -> None:
    """It is not changed without a word."""
    from warprefine.jobs.export_labels import export_labels

    classes = ClassSet(names=("a\nb",), colors=((1, 1, 1),))
    from tests.interchange.projects import write_project

    project = write_project(tmp_path / "p", classes, {"v": {"0": np.zeros((2, 2), np.uint8)}})

    with pytest.raises(DatasetError, match=r"the class 'a\\nb' cannot be listed in label_colors\.txt"):
        export_labels("color-png", project, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_classes_are_proposed_with_the_values_as_ids(tmp_path: Path) -> None:
    """Where they are not 0, 1, 2, ...; 255 and what the user says is void."""
    save(tmp_path / "videos" / "drive" / "labels" / "0.png", np.array([[0, 3, 7, 255]], np.uint8))

    found = propose_classes(tmp_path, void=[0], names=("a", "b"))

    assert (found.classes.names, found.classes.file_ids, found.classes.void_ids) == (("a", "b"), (3, 7), (0,))
    assert (found.pixels, found.files, found.in_colors) == ((1, 1), 1, False)


def test_label_maps_that_give_no_class_list_are_refused(tmp_path: Path) -> None:
    """Too few names, instances, two kinds of pictures, smoothed colours, and nothing at all."""
    labels = tmp_path / "a" / "labels"
    with pytest.raises(DatasetError, match="does not exist, expected a folder with label PNGs"):
        propose_classes(tmp_path / "nothing")
    with pytest.raises(DatasetError, match="holds no label PNG"):
        propose_classes(tmp_path)
    save(labels / "0.png", np.full((2, 2), 255, np.uint8))
    with pytest.raises(DatasetError, match="hold no value but void"):
        propose_classes(tmp_path / "a")
    save(labels / "0.png", np.array([[0, 1]], np.uint8))
    with pytest.raises(DatasetError, match="--names has 1 names, but the label PNGs have values 0, 1"):
        propose_classes(tmp_path / "a", names=("a",))
    save(labels / "0.png", np.array([[7000, 1]], np.uint16))
    with pytest.raises(LabelError, match=r"hold the values 7000, 1; .*these may be instances"):
        propose_classes(tmp_path / "a")
    save(labels / "1.png", np.array([[[1, 2, 3]]], np.uint8))
    with pytest.raises(LabelError, match=r"0\.png is a picture of one kind and .*1\.png of another"):
        propose_classes(tmp_path / "a")
    save(labels / "0.png", np.arange(3 * 300, dtype=np.uint16).astype(np.uint8).reshape(1, 300, 3))
    with pytest.raises(LabelError, match="colours; expected one for each of up to 255 classes"):
        propose_classes(tmp_path / "a")


def test_frames_of_a_video_in_camvids_layout_have_the_numbers_that_cvat_gives_them(
    tmp_path: Path, frames: Path
) -> None:
    """A task of CVAT about a video file names its frames frame_000001, by their place in the video."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "label_colors.txt").write_text("9 9 9 road\n")
    save(tmp_path / "in" / "defaultannot" / "frame_000001.png", np.full((3, 4, 3), 9, np.uint8))

    settings = ImportSettings(frames=frames)
    report = import_labels("camvid", tmp_path / "in", tmp_path / "data", settings=settings)

    assert report.labels == {"drive": 1}
    assert (tmp_path / "data" / "videos" / "drive" / "labels" / "000001.png").is_file()


def test_two_label_maps_of_one_name_are_refused(tmp_path: Path, frames: Path) -> None:
    """Nothing says which one counts."""
    for folder in ("train/masks", "val/masks"):
        save(tmp_path / "in" / folder / "drive" / "000000.png", np.zeros((3, 4), np.uint8))

    settings = ImportSettings(frames=frames, options=ImportOptions(names=("road",)))
    with pytest.raises(DatasetError, match="are both of 'drive/000000'; expected each name once"):
        import_labels("index-png", tmp_path / "in", tmp_path / "data", settings=settings)
