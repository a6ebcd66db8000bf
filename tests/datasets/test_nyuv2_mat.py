"""Tests of datasets/nyuv2_mat.py: pictures, labels and split out of MATLAB's files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warprefine.core.errors import DatasetError, LabelError
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


@pytest.mark.parametrize("package", ["h5py", "scipy.io.matlab"])
def test_without_the_packages_the_extra_is_named(
    root: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the extra to install."""
    monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type]

    with pytest.raises(
        DatasetError, match=rf"'{package}', which reads .*; pip install '\.\[nyuv2\]' in the rep"
    ):
        open_labelled_frames(root).__enter__()
