"""Frames as JPEGs for the review page, small ones for its filmstrip; memory and open files are bounded."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from warprefine.core.lru_cache import LRUCache
from warprefine.core.video import Video
from warprefine.io.frames import FrameSource, open_frames
from warprefine.review.encoding import as_jpeg

THUMBNAIL_WIDTH = 160
_THUMBNAIL_HEIGHT = 4 * THUMBNAIL_WIDTH
"""Only frames that are very tall are less than `THUMBNAIL_WIDTH` wide: a JPEG has at most 65,535 rows."""
_THUMBNAIL_BYTES = 1 << 25
"""Thumbnails in memory: 32 MiB are about 8,000 of them."""
_OPEN_VIDEOS = 2


class Pictures:
    """Reads frames and encodes them; frames of a video file are read by one thread at a time."""

    def __init__(self) -> None:
        self._thumbnails = LRUCache[bytes](_THUMBNAIL_BYTES, len)
        self._opened: dict[str, tuple[ExitStack, FrameSource]] = {}
        self._reading = threading.Lock()

    def image(self, video: Video, frame: int) -> bytes:
        """Return a frame as JPEG.

        Raises:
            FrameError: It cannot be read.
        """
        with self._reading:
            pixels = self._pixels(video, frame)
        return as_jpeg(Image.fromarray(pixels))

    def thumbnail(self, video: Video, frame: int) -> bytes:
        """Return a small picture of a frame as JPEG, made when it is first asked for.

        Raises:
            FrameError: The frame cannot be read.
        """

        def make() -> bytes:
            picture = Image.fromarray(self._pixels(video, frame))
            scale = min(THUMBNAIL_WIDTH / picture.width, _THUMBNAIL_HEIGHT / picture.height)
            size = max(1, round(scale * picture.width)), max(1, round(scale * picture.height))
            return as_jpeg(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2), quality=80)

        with self._reading:
            return self._thumbnails.get((video.name, frame), make)

    def close(self) -> None:
        """Close all videos."""
        with self._reading:
            while self._opened:
                self._opened.popitem()[1][0].close()

    def _pixels(self, video: Video, frame: int) -> NDArray[np.uint8]:
        """Return a frame, (h, w, 3)."""
        if video.name not in self._opened:
            while len(self._opened) >= _OPEN_VIDEOS:
                self._opened.pop(next(iter(self._opened)))[0].close()
            opened = ExitStack()
            self._opened[video.name] = opened, opened.enter_context(open_frames(video))
        pixels = self._opened[video.name][1][frame]
        return np.ascontiguousarray(pixels[0].permute(1, 2, 0).numpy())
