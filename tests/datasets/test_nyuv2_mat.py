"""Tests of datasets/nyuv2_mat.py: pictures, labels and split out of MATLAB's files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warprefine.core.errors import DatasetError, FrameError, LabelError
from warprefine.core.tensors import VOID
from warprefine.datasets.nyuv2_mat import open_labelled_frames

h5py = pytest.importorskip("h5py", reason="not installed: extra [nyuv2]")
matlab: Any = pytest.importorskip("scipy.io", reason="not installed: extra [nyuv2]")


@pytest.fixture
def root(nyuv2: Callable[..., Path], tmp_path: Path) -> Path:
    """Return the files of NYU-Depth V2 in small."""
    return nyuv2(tmp_path / "nyuv2")


def test_split_and_names_are_read(root: Path) -> None:
    """MATLAB counts from 1, we from 0; texts are stored by reference."""
    with open_labelled_frames(root) as frames:
        assert (frames.train, frames.test, len(frames)) == ((0, 1), (2,), 3)
        assert frames.scenes == ("kitchen_0004", "kitchen_0004", "bedroom_0001")
        assert frames.raw_names[1] == "kitchen_0004/r-1010.000000-22.ppm"


def test_pictures_stand_upright(root: Path) -> None:
    """What MATLAB calls row y, column x, channel c of frame n lies in the file as n, c, x, y."""
    with h5py.File(root / "nyu_depth_v2_labeled.mat") as file:
        images = file["images"][()]
    with open_labelled_frames(root) as frames:
        frame = frames.frame(1)

    assert frame.shape == (1, 3, 24, 32)
    assert frame[0, 2, 5, 30] == images[1, 2, 30, 5]


def test_raw_labels_become_classes(root: Path) -> None:
    """Raw label k is the class that the mapping names for it, counted from 0; raw label 0 is VOID."""
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["labels"][2, :4, 7] = [0, 1, 41, 894]
    with open_labelled_frames(root) as frames:
        labels = frames.labels(2)

    assert labels.shape == (1, 24, 32)
    assert labels[0, 7, :4].tolist() == [VOID, 0, 0, 13]


def test_a_raw_label_beyond_the_mapping_is_refused(root: Path) -> None:
    """A mapping of fewer raw labels belongs to other label maps."""
    matlab.savemat(root / "classMapping40.mat", {"mapClass": [[1, 40]]})

    with open_labelled_frames(root) as frames, pytest.raises(LabelError, match=r"but .* ends at 2; expected"):
        frames.labels(0)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("nyu_depth_v2_labeled.mat", "the labelled data set from the page of NYU-Depth V2"),
        ("splits.mat", "the split from the page"),
        ("classMapping40.mat", "the 40-class mapping of Gupta et al"),
    ],
)
def test_each_missing_or_damaged_file_is_told(root: Path, name: str, what: str) -> None:
    """Which file, and where such a file comes from."""
    (root / name).write_bytes(b"no file of MATLAB, surely" * 20)
    with pytest.raises(DatasetError, match=rf"cannot (open|read) .*{name} \(.*\); download or copy it again"):
        open_labelled_frames(root).__enter__()
    (root / name).unlink()
    with pytest.raises(DatasetError, match=rf"there is no .*{name}; expected {what}"):
        open_labelled_frames(root).__enter__()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("splits.mat", {"trainNdxs": [[1]]}, r"holds no testNdxs; expected the split"),
        ("splits.mat", {"trainNdxs": [[4]], "testNdxs": [[1]]}, r"has trainNdxs of other frames than 1 to 3"),
        ("splits.mat", {"trainNdxs": [[0]], "testNdxs": [[1]]}, r"has trainNdxs of other frames than 1 to 3"),
        ("splits.mat", {"trainNdxs": [[1]], "testNdxs": []}, r"has testNdxs of other frames than 1 to 3"),
        ("classMapping40.mat", {"mapClass": [[1, 41]]}, r"maps to other classes than 1 to 40"),
        ("classMapping40.mat", {"mapClass": [[0, 1]]}, r"maps to other classes than 1 to 40"),
        ("classMapping40.mat", {"other": 1}, r"holds no mapClass; expected the 40-class mapping"),
    ],
)
def test_files_of_other_data_are_refused(root: Path, name: str, content: dict[str, Any], words: str) -> None:
    """A split of other frames, or a mapping to other classes, is not taken."""
    matlab.savemat(root / name, content)

    with pytest.raises(DatasetError, match=rf"{name} {words}"):
        open_labelled_frames(root).__enter__()


def test_a_file_without_pictures_is_refused(root: Path) -> None:
    """The raw data set of the same page has depth and no labels."""
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = np.zeros(1)

    with pytest.raises(
        DatasetError, match=r"labeled\.mat holds no labels, scenes, rawRgbFilenames; expected"
    ):
        open_labelled_frames(root).__enter__()


def test_without_the_package_the_extra_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra to install."""
    monkeypatch.setitem(sys.modules, "h5py", None)  # type: ignore[arg-type]

    with pytest.raises(DatasetError, match=r"'h5py', which reads .*; pip install '\.\[nyuv2\]' in the rep"):
        open_labelled_frames(root).__enter__()


def rewrite(root: Path, key: str, *values: str) -> None:
    """Replace the texts of a list."""
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "r+") as file:
        for number, text in enumerate(values):
            units = np.frombuffer(text.encode("utf-16-le"), np.uint16)[:, None]
            file[f"more/{key}{number}"] = units
            file[key][0, number] = file[f"more/{key}{number}"].ref


@pytest.mark.parametrize("name", ["/tmp/victim", "../../victim", "..", "", "a/b", "\x1b[2J", "a" * 300])
def test_names_of_scenes_stay_in_their_folder(root: Path, name: str) -> None:
    """A scene becomes the name of a folder, and its file does not choose where."""
    rewrite(root, "scenes", name)

    with pytest.raises(DatasetError, match=r"labeled\.mat names '.*'; expected the name of a file or folder"):
        open_labelled_frames(root).__enter__()


@pytest.mark.parametrize("name", ["/etc/r-1.0-1.ppm", "../r-1.0-1.ppm", "a/../../b/r-1.0-1.ppm"])
def test_names_of_raw_pictures_stay_in_their_folder(root: Path, name: str) -> None:
    """Neither are pictures read from elsewhere."""
    rewrite(root, "rawRgbFilenames", name)

    with pytest.raises(DatasetError, match=r"labeled\.mat names '.*'; expected the name of a file or folder"):
        open_labelled_frames(root).__enter__()


def test_texts_beyond_the_first_plane_are_read(root: Path) -> None:
    """MATLAB stores UTF-16."""
    rewrite(root, "scenes", "会議\N{GRINNING FACE}_0001")

    with open_labelled_frames(root) as frames:
        assert frames.scenes[0] == "会議\N{GRINNING FACE}_0001"


def outside(kind: str, file: Any, other: Path) -> None:
    """Put an array whose values lie elsewhere in the place of the labels."""
    del file["labels"]
    if kind == "external link":
        file["labels"] = h5py.ExternalLink(str(other), "/labels")
    elif kind == "soft link":
        file["labels"] = h5py.SoftLink("/images")
    elif kind == "external storage":
        size = 3 * 32 * 24 * 2
        file.create_dataset("labels", (3, 32, 24), np.uint16, external=[(str(other), 0, size)])
    else:
        layout = h5py.VirtualLayout((3, 32, 24), np.uint16)
        layout[:] = h5py.VirtualSource(str(other), "labels", (3, 32, 24))
        file.create_virtual_dataset("labels", layout)


@pytest.mark.parametrize("kind", ["external link", "soft link", "external storage", "virtual"])
def test_arrays_of_other_files_are_not_opened(
    root: Path, nyuv2: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    """A file does not choose which others are read."""
    other = nyuv2(tmp_path / "other") / "nyu_depth_v2_labeled.mat"
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "r+") as file:
        outside(kind, file, other)

    with pytest.raises(DatasetError, match=r"labeled\.mat has labels in another file; expected the labelled"):
        open_labelled_frames(root).__enter__()


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ((3, 3, 40_000, 40_000), (3, 40_000, 40_000)),
        ((3, 3, 32, 24), (3, 24, 32)),
        ((3, 4, 32, 24), (3, 32, 24)),
        ((3, 32, 24), (3, 32, 24)),
        ((3, 3, 0, 0), (3, 0, 0)),
    ],
)
def test_arrays_of_other_shapes_are_refused(
    root: Path, images: tuple[int, ...], labels: tuple[int, ...]
) -> None:
    """Some kilobytes that claim gigabytes are not unpacked, and labels belong to images."""
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "r+") as file:
        for key, shape, kind in (("images", images, np.uint8), ("labels", labels, np.uint16)):
            del file[key]
            file.create_dataset(key, shape, kind)

    with pytest.raises(
        DatasetError, match=r"has images of \(.*\) uint8 and labels of \(.*\) uint16; expected"
    ):
        open_labelled_frames(root).__enter__()


def test_lists_of_other_lengths_are_refused(root: Path) -> None:
    """As many scenes as images."""
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "r+") as file:
        cells = file["scenes"][:, :2]
        del file["scenes"]
        file["scenes"] = cells

    with pytest.raises(DatasetError, match=r"has 3 images, but 2 scenes and 3 rawRgbFilenames; expected"):
        open_labelled_frames(root).__enter__()


def test_lists_that_hold_no_texts_are_refused(root: Path) -> None:
    """Numbers in place of references, and references to pictures."""
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["scenes"][0, 0] = file["images"].ref
    with pytest.raises(
        DatasetError, match=r"scenes refers to an array that is no text; expected the labelled"
    ):
        open_labelled_frames(root).__enter__()
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "r+") as file:
        del file["scenes"]
        file["scenes"] = np.zeros((1, 3))
    with pytest.raises(
        DatasetError, match=r"labeled\.mat has no list of texts as scenes; expected the labelled"
    ):
        open_labelled_frames(root).__enter__()


def test_damage_within_a_picture_is_told(root: Path) -> None:
    """A picture that cannot be unpacked is one line."""
    path = root / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "r+") as file:
        for key in ("images", "labels"):
            values = file[key][()]
            del file[key]
            packed = file.create_dataset(key, data=values, chunks=(1, *values.shape[1:]), compression="gzip")
            places = [packed.id.get_chunk_info(0).byte_offset]
            file.flush()
            with path.open("r+b") as raw:
                raw.seek(places[0])
                raw.write(b"rubbish" * 8)

    with open_labelled_frames(root) as frames:
        with pytest.raises(FrameError, match=r"cannot open .*labeled\.mat \(.*\); download or copy it again"):
            frames.frame(0)
        with pytest.raises(LabelError, match=r"cannot open .*labeled\.mat \(.*\); download or copy it again"):
            frames.labels(0)
