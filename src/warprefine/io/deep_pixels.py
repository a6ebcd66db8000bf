"""Pixels of 16 bits per channel as eight: thermal and machine cameras fill only a part of the 16.

A scene of 14 bits in 16 spans some hundred values, and its upper eight bits are one flat grey. So pictures
are stretched by the range that the video spans: one range for all its frames, because motion is estimated
between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from warprefine.core.errors import FrameError
from warprefine.io.foreign import DECODER_ERRORS
from warprefine.io.pictures import with_picture
from warprefine.io.places import at_hand

_GREY = ("I;16", "I;16B", "I;16L")
_WIDE = 1 << 14
"""Values that span more leave 64 grey levels in their upper eight bits, which are kept as they are."""
_TAILS = (0.1, 99.9)  # percent: a few dead pixels do not make a range


@dataclass(frozen=True, kw_only=True)
class Span:
    """The range of values that becomes 0 to 255; without one, the upper eight bits are kept."""

    low: int = 0
    high: int = 0

    def to_eight_bits(self, pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Stretch values to 0 to 255.

        Example:
            >>> pixels = np.array([7000, 7100, 7400], np.uint16)
            >>> print(Span(low=7000, high=7200).to_eight_bits(pixels), Span().to_eight_bits(pixels))
            [  0 128 255] [27 27 28]
        """
        if self.high == self.low:
            return (pixels >> 8).astype(np.uint8)
        shares = (pixels.astype(np.float32) - self.low) / (self.high - self.low)
        eight: NDArray[np.uint8] = np.rint(shares.clip(0, 1) * 255).astype(np.uint8)
        return eight


def span_of(pictures: Iterable[NDArray[np.uint16]]) -> Span:
    """Return the range of values of pictures, without the outermost thousandth on either side."""
    ends = [np.percentile(pixels, _TAILS) for pixels in pictures]
    if not ends:
        return Span()
    low, high = int(min(low for low, _ in ends)), int(np.ceil(max(high for _, high in ends)))
    return Span() if high - low >= _WIDE else Span(low=low, high=high)


def is_deep(picture: ImageFile.ImageFile) -> bool:
    """Return whether a picture has 16 bits per channel, from its header alone."""
    return picture.mode in _GREY or (picture.mode in ("RGB", "RGBA", "LA") and ";16" in str(picture.tile))


def deep_pixels(picture: ImageFile.ImageFile, path: Path) -> NDArray[np.uint16] | None:
    """Return the values of a picture of 16 bits per channel, (h, w) or (h, w, 3); `None` if it has fewer."""
    if picture.mode in _GREY:
        return np.asarray(picture).astype(np.uint16)
    if not is_deep(picture):
        return None
    picture.load()  # Pillow keeps the upper eight bits only, but finds damage, which OpenCV does not report
    try:
        pixels = cv2.imdecode(np.fromfile(at_hand(path), np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, *DECODER_ERRORS):
        return None
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] < 3:
        return None
    values: NDArray[np.uint16] = pixels[..., 2::-1]
    return values


def span_of_files(paths: Iterable[Path]) -> Span:
    """Return the range of values of picture files; those that cannot be read are left out."""
    return _span_of_files(tuple((path, *_state(path)) for path in paths))


def _state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=256)
def _span_of_files(files: tuple[tuple[Path, int, int], ...]) -> Span:
    """Read the files; their times and sizes are arguments so that the cache notices a change."""
    found = []
    for path, _, _ in files:
        try:
            pixels = with_picture(path, partial(deep_pixels, path=path), error_class=FrameError)
        except FrameError:
            continue  # told when that frame is read
        if pixels is not None:
            found.append(pixels)
    return span_of(found)
