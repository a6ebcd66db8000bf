"""Open the MATLAB files in which NYU-Depth V2 is published: pictures, labels, split and classes.

    ROOT/nyu_depth_v2_labeled.mat    the 1449 labelled frames (MATLAB 7.3, which is HDF5)
    ROOT/splits.mat                  which of them are for training and which for testing
    ROOT/classMapping40.mat          894 raw labels -> 40 classes (Gupta et al., CVPR 2013)

Needs the extra packages of `pip install '.[nyuv2]'`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from warprefine.core.errors import DatasetError, FrameError, LabelError, WarpRefineError, shorten
from warprefine.core.tensors import VOID, Frames, LabelMaps
from warprefine.datasets.nyuv2 import NYUV2_CLASSES
from warprefine.io.admission import admitted_name
from warprefine.io.foreign import DECODER_ERRORS, reason
from warprefine.io.matlab_files import read_numbers
from warprefine.io.pictures import MOST_PIXELS

_FILES = {
    "nyu_depth_v2_labeled.mat": "the labelled data set from the page of NYU-Depth V2",
    "splits.mat": "the split from the page of NYU-Depth V2, with trainNdxs and testNdxs",
    "classMapping40.mat": "the 40-class mapping of Gupta et al. (CVPR 2013), with mapClass",
}
_LABELED, _SPLITS, _MAPPING = _FILES
_ARRAYS = ("images", "labels", "scenes", "rawRgbFilenames")
_MOST_TEXTS = 100_000
_LONGEST_TEXT = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledFrames:
    """The labelled frames of NYU-Depth V2, read on demand; numbers start at 0.

    Args:
        train: Numbers of the training frames.
        test: Numbers of the test frames.
        scenes: Scene of each frame.
        raw_names: Raw picture of each frame, such as kitchen_0004/r-1294886362.665769-2143637903.ppm.
        path: The HDF5 file.
        content: The same, open.
        positions: Class position, among the 40, of each raw label; VOID for 0.
    """

    train: tuple[int, ...]
    test: tuple[int, ...]
    scenes: tuple[str, ...]
    raw_names: tuple[str, ...]
    path: Path
    content: Any
    positions: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.scenes)

    def frame(self, number: int) -> Frames:
        """Read a picture, (1, 3, h, w).

        Raises:
            FrameError: The file is damaged there.
        """
        with _reading(self.path, FrameError):
            stored = self.content["images"][number]
        # MATLAB's axes (h, w, channel, frame) are in reverse order in the file.
        pixels = np.ascontiguousarray(stored.transpose(0, 2, 1))
        return torch.from_numpy(pixels)[None]

    def labels(self, number: int) -> LabelMaps:
        """Read a label map of the 40 classes, (1, h, w); unlabelled pixels are VOID.

        Raises:
            LabelError: It holds a raw label that the mapping lacks, or the file is damaged there.
        """
        with _reading(self.path, LabelError):
            stored = self.content["labels"][number]
        raw = np.ascontiguousarray(stored.T)
        if raw.max() >= len(self.positions):
            raise LabelError(
                f"labelled frame {number + 1} holds the raw label {raw.max()}, but {_MAPPING} ends at "
                f"{len(self.positions) - 1}; expected the mapping of all 894 raw labels"
            )
        return torch.from_numpy(self.positions[raw])[None]


@contextmanager
def open_labelled_frames(root: Path) -> Iterator[LabelledFrames]:
    """Open the three files below `root`.

    Raises:
        DatasetError: A package or a file is missing, or a file is damaged or not the expected one.
    """
    h5py = _package("h5py")
    for name, what in _FILES.items():
        if not (root / name).is_file():
            raise DatasetError(f"there is no {root / name}; expected {what}")
    path = root / _LABELED
    with _reading(path, DatasetError):
        content = h5py.File(path, "r")
    with content:
        with _reading(path, DatasetError):
            _check_content(h5py, content, path)
            scenes = _texts(h5py, content, "scenes")
            raw_names = _texts(h5py, content, "rawRgbFilenames")
        _check_names(scenes, raw_names, count=len(content["images"]), path=path)
        yield LabelledFrames(
            train=_numbers(root, "trainNdxs", count=len(scenes)),
            test=_numbers(root, "testNdxs", count=len(scenes)),
            scenes=scenes,
            raw_names=raw_names,
            path=path,
            content=content,
            positions=_positions(root),
        )


@contextmanager
def _reading(path: Path, error_class: type[WarpRefineError]) -> Iterator[None]:
    """Convert what h5py raises in the block to `error_class`."""
    try:
        yield
    except DECODER_ERRORS as error:
        raise error_class(f"cannot open {path} ({reason(error)}); download or copy it again") from error


def _check_content(h5py: Any, content: Any, path: Path) -> None:
    """Check that the file itself holds its arrays, and that they belong together and fit in memory."""
    missing = [key for key in _ARRAYS if content.get(key, getlink=True) is None]
    if missing:
        raise DatasetError(f"{path} holds no {shorten(missing)}; expected {_FILES[_LABELED]}")
    for key in _ARRAYS:
        if not isinstance(content.get(key, getlink=True), h5py.HardLink) or not _is_own(h5py, content[key]):
            raise DatasetError(f"{path} has {key} in another file; expected {_FILES[_LABELED]}")
    images, labels = content["images"], content["labels"]
    n, channels, w, h = images.shape if images.ndim == 4 else (0, 0, 0, 0)
    fits = channels == 3 and labels.shape == (n, w, h) and 0 < w * h <= MOST_PIXELS
    if not fits or images.dtype != np.uint8 or labels.dtype != np.uint16:
        raise DatasetError(
            f"{path} has images of {images.shape} {images.dtype} and labels of {labels.shape} "
            f"{labels.dtype}; expected {_FILES[_LABELED]}"
        )


def _is_own(h5py: Any, array: Any) -> bool:
    """Return whether the values of an array lie in the file itself."""
    return isinstance(array, h5py.Dataset) and not array.is_virtual and not array.external


def _check_names(scenes: Sequence[str], raw_names: Sequence[str], *, count: int, path: Path) -> None:
    if not len(scenes) == len(raw_names) == count:
        raise DatasetError(
            f"{path} has {count} images, but {len(scenes)} scenes and {len(raw_names)} rawRgbFilenames; "
            f"expected {_FILES[_LABELED]}"
        )
    parts = [part for raw_name in raw_names for part in raw_name.split("/")]
    for name in {*scenes, *parts}:
        admitted_name(name, source=path, error_class=DatasetError)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise DatasetError(
            f"NYU-Depth V2 is stored in MATLAB files, and {name!r}, which reads them, is not installed; "
            "pip install '.[nyuv2]' in the repository"
        ) from None


def _texts(h5py: Any, content: Any, key: str) -> tuple[str, ...]:
    """Read a cell array of texts: references to arrays of UTF-16 units."""
    if content[key].dtype != h5py.ref_dtype or content[key].size > _MOST_TEXTS:
        raise DatasetError(f"{content.filename} has no list of texts as {key}; expected {_FILES[_LABELED]}")
    return tuple(_text(h5py, content[cell], key) for cell in content[key][()].ravel())


def _text(h5py: Any, units: Any, key: str) -> str:
    if not _is_own(h5py, units) or units.dtype != np.uint16 or units.size > _LONGEST_TEXT:
        raise DatasetError(f"{key} refers to an array that is no text; expected {_FILES[_LABELED]}")
    return bytes(units[()].astype("<u2").tobytes()).decode("utf-16-le", errors="replace")


def _numbers(root: Path, key: str, *, count: int) -> tuple[int, ...]:
    """Read the numbers of a split; MATLAB counts from 1."""
    numbers = _variable(root / _SPLITS, key) - 1
    if len(numbers) == 0 or numbers.min() < 0 or numbers.max() >= count:
        raise DatasetError(
            f"{root / _SPLITS} has {key} of other frames than 1 to {count}, which {_LABELED} holds; "
            f"expected {_FILES[_SPLITS]}"
        )
    return tuple(numbers.tolist())


def _positions(root: Path) -> NDArray[np.uint8]:
    """Return the class position of each raw label; raw label 0, unlabelled, becomes VOID."""
    classes = _variable(root / _MAPPING, "mapClass")
    if len(classes) == 0 or classes.min() < 1 or classes.max() > len(NYUV2_CLASSES):
        raise DatasetError(
            f"{root / _MAPPING} maps to other classes than 1 to {len(NYUV2_CLASSES)}; "
            f"expected {_FILES[_MAPPING]}"
        )
    return np.concatenate([[VOID], classes - 1]).astype(np.uint8)


def _variable(path: Path, key: str) -> NDArray[np.int64]:
    """Read a list of integers from one of the small files."""
    return read_numbers(path, key, expected=_FILES[path.name], error_class=DatasetError)
