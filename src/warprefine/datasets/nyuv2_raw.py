"""Pick frames from the raw videos of NYU-Depth V2, and undo their lens distortion.

RAW/SCENE/r-STAMP-NUMBER.ppm, 20 to 30 a second; STAMP is the time in seconds. The labelled frames
are published without distortion, the raw ones with it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from warprefine.core.errors import DatasetError
from warprefine.core.tensors import Frames, size_of
from warprefine.datasets.files import PICTURE_ENDINGS, visible

# The Kinect's colour camera in 480 x 640 pictures: camera_params.m of the toolbox of Silberman et al. (ECCV
# 2012). OpenCV and the toolbox order the distortion alike: k1, k2, p1, p2, k3.
_CAMERA = np.array([[518.857901, 0, 325.582449], [0, 519.469611, 253.736166], [0, 0, 1]])
_DISTORTION = np.array([0.2079661532, -0.5861382516, 0.000722313614, 0.00104796272, 0.498569867])

_RAW_NAME = re.compile(r"r-(\d+\.\d+)-\d+")
_RAW_ENDINGS = (".ppm", *PICTURE_ENDINGS)


@dataclass(frozen=True, kw_only=True)
class RawScene:
    """The pictures of one raw video in the order of time; `stamps` are seconds.

    Example:
        >>> scene = RawScene(stamps=(0.0, 0.48, 1.03), paths=(Path("a"), Path("b"), Path("c")))
        >>> [path.name for path in scene.neighbours(0.0, fps=2.0, direction=1)]
        ['b', 'c']
    """

    stamps: tuple[float, ...]
    paths: tuple[Path, ...]

    def neighbours(self, anchor: float, *, fps: float, direction: int) -> Iterator[Path]:
        """Yield the frames nearest to anchor ± 1/fps, ± 2/fps, ... seconds, up to the first gap.

        A gap is where no frame lies within 0.25/fps of the wanted time.

        Args:
            direction: 1 for forward in time, -1 for backward.
        """
        step = 0
        while self.stamps:
            step += 1
            wanted = anchor + direction * step / fps
            after = bisect_left(self.stamps, wanted)
            near = range(max(0, after - 1), min(len(self.stamps), after + 1))
            nearest = min(near, key=lambda number: abs(self.stamps[number] - wanted))
            if abs(self.stamps[nearest] - wanted) > 0.25 / fps:
                return
            yield self.paths[nearest]


def list_raw_scene(folder: Path) -> RawScene:
    """List the pictures of a raw video; none if there is no such folder."""
    found = []
    for path in visible(folder) if folder.is_dir() else []:
        named = _RAW_NAME.fullmatch(path.stem)
        if named and path.suffix.lower() in _RAW_ENDINGS:
            found.append((float(named[1]), path))
    found.sort()
    return RawScene(stamps=tuple(stamp for stamp, _ in found), paths=tuple(path for _, path in found))


def raw_stamp(raw_name: str) -> float:
    """Return the time, in seconds, of a raw picture named SCENE/r-STAMP-NUMBER.ppm.

    Raises:
        DatasetError: The name has another form.

    Example:
        >>> raw_stamp("kitchen_0004/r-1294886362.665769-2143637903.ppm")
        1294886362.665769
    """
    named = _RAW_NAME.fullmatch(PurePosixPath(raw_name).stem)
    if named is None:
        raise DatasetError(
            f"a labelled frame comes from {raw_name!r}; expected SCENE/r-STAMP-NUMBER.ppm, with the time"
        )
    return float(named[1])


def undistorted(frame: Frames) -> Frames:
    """Undo the lens distortion of the Kinect's colour camera; the border is replicated."""
    x, y = _sources(*size_of(frame))
    (pixels,) = frame.permute(0, 2, 3, 1).numpy()
    flat = cv2.remap(pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return torch.from_numpy(np.ascontiguousarray(flat)).permute(2, 0, 1)[None].contiguous()


@cache
def _sources(h: int, w: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the source of each pixel in the distorted picture: x and y, (h, w) each."""
    x, y = cv2.initUndistortRectifyMap(_CAMERA, _DISTORTION, None, _CAMERA, (w, h), cv2.CV_32FC1)
    return x, y
