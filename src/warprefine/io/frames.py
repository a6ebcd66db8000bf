"""Open the frames of a video, which are images in a folder or a video file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

from warprefine.core.errors import FrameError, FrameSizeError
from warprefine.core.tensors import Frames, size_of
from warprefine.core.video import Video
from warprefine.io.images import image_size, image_turn, read_frame
from warprefine.io.turning import Turn
from warprefine.io.video_file import VideoFile
from warprefine.io.video_index import index_video

_SAMPLE = 16


@runtime_checkable
class FrameSource(Protocol):
    """The frames of one video by number, read on access; all have the same size."""

    def __len__(self) -> int:
        """Return the number of frames."""
        ...

    def __getitem__(self, number: int) -> Frames:
        """Return one frame, (1, 3, h, w) RGB; a new tensor, which the caller may modify.

        Raises:
            FrameError: The frame cannot be read, or has another size than frame 0.
        """
        ...


@contextmanager
def open_frames(video: Video) -> Iterator[FrameSource]:
    """Open the frames of a video for reading, in any order, in bounded memory.

    Raises:
        FrameError: The video file is missing, damaged or cut short, or it no longer has as many
            frames as when the data set was read.
    """
    if video.container is None:
        yield PictureFrames(video.frame_paths)
        return
    with closing(VideoFile(video.container)) as source:
        if len(source) != len(video):
            raise FrameError(
                f"{video.container} has {len(source)} frames, but had {len(video)} when the data set "
                f"was read; leave the file as it is during a run"
            )
        yield source


class PictureFrames:
    """Frames that are images, one file each; a file is opened on access."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> Frames:
        """Read frame `number`, (1, 3, h, w).

        Raises:
            FrameError: The image cannot be read, or has another size than frame 0.
        """
        frame = read_frame(self._paths[number], beside=self._sample)
        h, w = size_of(frame)
        first, size = self._sized
        if (h, w) != size:
            raise FrameSizeError(
                f"frame {self._paths[number]} is {h} x {w} (h x w), but {first} is "
                f"{size[0]} x {size[1]}; a video has one size: resize it or make two videos"
            )
        return frame

    @cached_property
    def _sample(self) -> tuple[Path, ...]:
        return range_sample(self._paths)

    @cached_property
    def _sized(self) -> tuple[Path, tuple[int, int]]:
        """The first frame whose size can be read, and its size, which is that of all others."""
        for path in self._paths:
            with suppress(FrameError):
                return path, image_size(path)
        return self._paths[0], image_size(self._paths[0])


def range_sample(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the frames whose range decides how those of 16 bits are stretched, evenly spread."""
    count = min(_SAMPLE, len(paths))
    return tuple(paths[index * (len(paths) - 1) // max(1, count - 1)] for index in range(count))


def frame_count(container: Path) -> int:
    """Return how many frames a decoder returns for a video file.

    Raises:
        FrameError: The file is missing, is no video, is cut short, is damaged or holds no frames.
    """
    return index_video(container).count


def frame_stems(container: Path) -> tuple[str, ...]:
    """Return the names of a video file's frames: decode indices of six digits.

    Raises:
        FrameError: As for `frame_count`.
    """
    return tuple(f"{number:06d}" for number in range(frame_count(container)))


def frame_turn(video: Video, number: int) -> Turn:
    """Return how a frame is turned upright when it is read; label maps have to be drawn on the turned one.

    Raises:
        FrameError: The image or video file cannot be read.
    """
    if video.container is None:
        return image_turn(video.frame_paths[number])
    return index_video(video.container).turn


def frame_size(video: Video, number: int) -> tuple[int, int]:
    """Return the (h, w) of a frame without decoding it.

    Raises:
        FrameError: The image or video file cannot be read.
    """
    if video.container is None:
        return image_size(video.frame_paths[number])
    return index_video(video.container).size
