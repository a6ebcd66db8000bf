"""Open the MATLAB files in which NYU-Depth V2 is published: pictures, labels, split and classes.

    ROOT/nyu_depth_v2_labeled.mat    the 1449 labelled frames (MATLAB 7.3, which is HDF5)
    ROOT/splits.mat                  which of them are for training and which for testing
    ROOT/classMapping40.mat          894 raw labels -> 40 classes (Gupta et al., CVPR 2013)

Needs the extra packages of `pip install '.[nyuv2]'`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from warprefine.core.errors import DatasetError, LabelError, shorten
from warprefine.core.tensors import VOID, Frames, LabelMaps
from warprefine.datasets.nyuv2 import NYUV2_CLASSES

_FILES = {
    "nyu_depth_v2_labeled.mat": "the labelled data set from the page of NYU-Depth V2",
    "splits.mat": "the split from the page of NYU-Depth V2, with trainNdxs and testNdxs",
    "classMapping40.mat": "the 40-class mapping of Gupta et al. (CVPR 2013), with mapClass",
}
_LABELED, _SPLITS, _MAPPING = _FILES


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledFrames:
    """The labelled frames of NYU-Depth V2, read on demand; numbers start at 0.

    Args:
        train: Numbers of the training frames.
        test: Numbers of the test frames.
        scenes: Scene of each frame.
        raw_names: Raw picture of each frame, such as kitchen_0004/r-1294886362.665769-2143637903.ppm.
        content: The open HDF5 file.
        positions: Class position, among the 40, of each raw label; VOID for 0.
    """

    train: tuple[int, ...]
    test: tuple[int, ...]
    scenes: tuple[str, ...]
    raw_names: tuple[str, ...]
    content: Any
    positions: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.scenes)

    def frame(self, number: int) -> Frames:
        """Read a picture, (1, 3, h, w)."""
        # MATLAB's axes (h, w, channel, frame) are in reverse order in the file.
        pixels = np.ascontiguousarray(self.content["images"][number].transpose(0, 2, 1))
        return torch.from_numpy(pixels)[None]

    def labels(self, number: int) -> LabelMaps:
        """Read a label map of the 40 classes, (1, h, w); unlabelled pixels are VOID.

        Raises:
            LabelError: It holds a raw label that the mapping lacks.
        """
        raw = np.ascontiguousarray(self.content["labels"][number].T)
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
    try:
        content = h5py.File(path, "r")
    except OSError as error:
        raise DatasetError(f"cannot open {path} ({error}); download or copy it again") from error
    with content:
        missing = [key for key in ("images", "labels", "scenes", "rawRgbFilenames") if key not in content]
        if missing:
            raise DatasetError(f"{path} holds no {shorten(missing)}; expected {_FILES[_LABELED]}")
        scenes = _texts(content, "scenes")
        yield LabelledFrames(
            train=_numbers(root, "trainNdxs", count=len(scenes)),
            test=_numbers(root, "testNdxs", count=len(scenes)),
            scenes=scenes,
            raw_names=_texts(content, "rawRgbFilenames"),
            content=content,
            positions=_positions(root),
        )


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise DatasetError(
            f"NYU-Depth V2 is stored in MATLAB files, and {name!r}, which reads them, is not installed; "
            "pip install '.[nyuv2]' in the repository"
        ) from None


def _texts(content: Any, key: str) -> tuple[str, ...]:
    """Read a cell array of texts: references to arrays of UTF-16 units."""
    return tuple("".join(map(chr, content[cell][()].ravel())) for cell in content[key][()].ravel())


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
    matlab = _package("scipy.io.matlab")
    try:
        content = matlab.loadmat(path, variable_names=[key])
    # NotImplementedError: a file of MATLAB 7.3, unlike the published small ones.
    except (ValueError, TypeError, OSError, NotImplementedError, matlab.MatReadError) as error:
        raise DatasetError(f"cannot read {path} ({error}); download or copy it again") from error
    if key not in content:
        raise DatasetError(f"{path} holds no {key}; expected {_FILES[path.name]}")
    values: NDArray[np.int64] = np.asarray(content[key]).ravel().astype(np.int64)
    return values
