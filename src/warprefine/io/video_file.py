"""Read the frames of a video file by decode index: exactly, in either direction, in bounded memory.

Seeking by time is unreliable: demuxers land beside the requested frame, and some formats carry no
usable times. So every decoded frame is identified before it is used: by its pts in an index built
beforehand or, where a file's pts are not usable, by counting from frame 0 on.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import av
import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from warprefine.core.errors import FrameError, FrameSizeError
from warprefine.core.tensors import Frames
from warprefine.io.deep_pixels import Span, span_of
from warprefine.io.video_index import index_video
from warprefine.io.video_stream import (
    decoded,
    decoding,
    open_video,
    pts_of,
    turn_of,
    upright_size,
    video_stream,
)

MEMORY = 128 << 20
"""Limit of the decoded frames kept, in bytes: 42 frames of 2048 x 1024 (4:2:0), a horizon of 20 both ways."""

_UNKNOWN = -1
_DEEP = ("gray16le", "gray16be")
_SAMPLE = 8


class VideoFile:
    """The frames of a video file; frame i is the i-th that a decoder returns, turned upright.

    Reading forwards decodes each frame once. Reading backwards decodes each group of pictures once,
    if the group fits in `MEMORY`; a longer group is decoded again for each part that fits. A damaged frame
    costs itself and those behind it, up to the next one that depends on no other.

    Raises:
        FrameError: The file is missing, is no video, is cut short, is damaged or holds no frames.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._index = index_video(path)
        self._numbers = {pts: number for number, pts in enumerate(self._index.frame_pts)}
        self._kept: OrderedDict[int, VideoFrame] = OrderedDict()
        self._reformatter = VideoReformatter()  # shared: creating one takes longer than a conversion
        self._lost: set[int] = set()
        self._container = open_video(path)
        self._frames = decoded(self._container)
        self._next = 0

    def __len__(self) -> int:
        return self._index.count

    def __getitem__(self, number: int) -> Frames:
        """Return frame `number` as (1, 3, h, w).

        Raises:
            FrameError: The frame cannot be decoded, or has another size than frame 0.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"{self._path} has frames 0 to {len(self) - 1}, got {number}")
        with decoding(self._path):
            frame = self._frame(number)
            deep = frame.format.name in _DEEP
            return _as_rgb(frame, self._reformatter, self._span if deep else None)

    @property
    def codec(self) -> str:
        """The name of the codec, as FFmpeg has it."""
        return video_stream(self._container).codec_context.name

    def decoded(self, number: int) -> VideoFrame:
        """Return frame `number` as the decoder gives it, neither converted nor turned.

        Raises:
            FrameError: As for reading it.
        """
        with decoding(self._path):
            return self._frame(number)

    @cached_property
    def _span(self) -> Span:
        """The range of the values of frames of 16 bits."""
        count = min(_SAMPLE, len(self))
        found = []
        for number in (index * (len(self) - 1) // max(1, count - 1) for index in range(count)):
            with suppress(FrameError):  # told when that frame is read
                found.append(_deep(self._frame(number)))
        return span_of(found)

    def _frame(self, number: int) -> VideoFrame:
        if number not in self._kept:
            self._decode(number)
        self._kept.move_to_end(number)
        return self._kept[number]

    def close(self) -> None:
        """Close the file and drop the frames kept."""
        self._kept.clear()
        self._container.close()

    def _decode(self, number: int) -> None:
        """Decode frame `number` and keep it."""
        nearest, farther = self._index.starts_before(number)
        if number not in self._lost:
            if nearest <= self._next <= number and self._advance(number):
                return
            for start in (nearest, farther):
                self._jump(start)
                if self._advance(number):
                    return
            # Seeking is unreliable in this file, or frames are damaged.
            self._rewind()
            if self._advance_past_damage(number):
                return
        raise FrameError(
            f"cannot decode frame {number} of {self._path}: it is damaged, or depends on a damaged frame; "
            f"copy or export the video again, or leave such frames out"
        )

    def _jump(self, start: int) -> None:
        if start == 0:
            self._rewind()
            return
        self._next = _UNKNOWN
        try:
            self._container.seek(self._index.frame_pts[start], stream=video_stream(self._container))
            self._frames = decoded(self._container)
        except av.FFmpegError:
            self._frames = iter(())  # the container cannot be sought in: no frames from here

    def _rewind(self) -> None:
        # Opened again, because some demuxers cannot seek, and others land behind frame 0.
        self._container.close()
        self._container = open_video(self._path)
        self._frames = decoded(self._container)
        self._next = 0

    def _advance(self, number: int) -> bool:
        """Decode and keep frames up to `number`; return whether all were decoded, undamaged and in order."""
        try:
            for frame in self._frames:
                found = self._number_of(frame)
                if self._next == _UNKNOWN and found in self._index.starts:
                    self._next = found
                elif self._next == _UNKNOWN:
                    continue  # frames ahead of a starting point may lack the frames that they depend on
                if found != self._next or found > number or frame.is_corrupt:
                    return False
                self._keep(frame)
                if found == number:
                    return True
        except av.FFmpegError:
            pass  # as with a missing frame: the caller tries again or raises
        return False

    def _advance_past_damage(self, number: int) -> bool:
        """Decode on from frame 0 and keep sound frames up to `number`; return whether it is one of them.

        Behind a frame that is damaged or missing, frames are lost up to the next that depends on no other.
        """
        sound = True
        try:
            for frame in self._frames:
                found = self._number_of(frame)
                if found < self._next:
                    continue  # of no number, or out of order
                sound = ((sound and found == self._next) or frame.key_frame) and not frame.is_corrupt
                self._lost.update(range(self._next, found))
                self._next = found
                if sound:
                    self._keep(frame)
                else:
                    self._lost.add(found)
                    self._next += 1
                if sound and self._next > number:
                    return number not in self._lost
        except av.FFmpegError:
            pass
        self._lost.update(range(self._next, len(self)))
        self._next = _UNKNOWN
        return False

    def _number_of(self, frame: VideoFrame) -> int:
        return self._numbers.get(pts_of(frame), _UNKNOWN) if self._numbers else self._next

    def _keep(self, frame: VideoFrame) -> None:
        size = upright_size(frame)
        if size != self._index.size:
            raise FrameSizeError(
                f"frame {self._next} of {self._path} is {size[0]} x {size[1]} (h x w), but frame 0 is "
                f"{self._index.size[0]} x {self._index.size[1]}; split the video where its size changes"
            )
        self._kept[self._next] = frame
        self._next += 1
        most = max(2, MEMORY // sum(plane.buffer_size for plane in frame.planes))
        while len(self._kept) > most:
            self._kept.popitem(last=False)


def _as_rgb(frame: VideoFrame, reformatter: VideoReformatter, span: Span | None) -> Frames:
    if span is None:
        pixels = reformatter.reformat(frame, format="rgb24").to_ndarray()
    else:
        pixels = np.stack([span.to_eight_bits(_deep(frame))] * 3, axis=-1)
    upright = turn_of(frame)(pixels).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(upright))[None]


def _deep(frame: VideoFrame) -> NDArray[np.uint16]:
    return frame.to_ndarray().astype(np.uint16)
