"""Open video files and decode their frames: from this file alone, past what is damaged, upright."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from warprefine.core.errors import FrameError
from warprefine.io.foreign import DECODER_ERRORS, check_file, check_kind, reason
from warprefine.io.pictures import MOST_PIXELS
from warprefine.io.turning import UPRIGHT, Turn, turn_of_matrix

# FFmpeg chooses by content, whatever the ending. Named are the formats that hold a video themselves; others
# are lists (ffconcat, HLS, DASH) that open further files and addresses, pictures, devices and filters.
_FORMATS = (
    "mov", "matroska", "avi", "mpeg", "mpegts", "asf", "flv", "ogg", "gif", "mxf", "dhav", "dv", "gxf", "ivf",
    "nut", "rm", "wtv", "yuv4mpegpipe", "mpegvideo", "m4v", "h263", "h264", "hevc", "vvc", "vc1", "mjpeg",
    "av1", "obu",
)  # fmt: skip
_OPTIONS = {
    "format_whitelist": ",".join(_FORMATS),
    "protocol_whitelist": "file",
    "max_pixels": str(MOST_PIXELS),
}
_ERRORS: tuple[type[Exception], ...] = (av.FFmpegError, *DECODER_ERRORS)
_NO_PTS = -1 << 63  # FFmpeg's own AV_NOPTS_VALUE


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Convert all that FFmpeg and PyAV raise in the block.

    Raises:
        FrameError: In place of their errors.
    """
    try:
        yield
    except _ERRORS as error:
        raise FrameError(
            f"cannot read {path}: {reason(error)}; expected a video that a player shows"
        ) from error


def open_video(path: Path) -> InputContainer:
    """Open a video file.

    Raises:
        FrameError: The file is missing, is no video, has only sound, is too large for memory, or there is no
            decoder for it.
    """
    check_file(path, expected="a video", error_class=FrameError)
    with decoding(path):
        # Absolute, because FFmpeg takes the text before a colon for the name of a protocol. Titles may be in
        # any encoding; nobody needs them.
        try:
            container = av.open(str(path.absolute()), options=_OPTIONS, metadata_errors="ignore")
        except av.InvalidDataError:
            check_kind(path, expected="a video", error_class=FrameError)
            raise
        except av.ArgumentError as error:
            check_kind(path, expected="a video", error_class=FrameError)
            raise FrameError(
                f"{path} is in a format that holds no video itself; expected a video that a player shows"
            ) from error
    try:
        _check_stream(container, path)
    except FrameError:
        container.close()
        raise
    return container


def _check_stream(container: InputContainer, path: Path) -> None:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        raise FrameError(f"{path} has no video stream; expected a video that a player shows")
    if stream.codec_context is None:
        raise FrameError(
            f"{path} is coded in a way that there is no decoder for; convert it, for example to H.264"
        )
    h, w = stream.codec_context.height, stream.codec_context.width
    if h * w > MOST_PIXELS:
        raise FrameError(
            f"{path} is {h} x {w} (h x w); expected at most {MOST_PIXELS:,} pixels; make it smaller"
        )


def video_stream(container: InputContainer) -> VideoStream:
    """Return the stream that a player would show, not a cover image if there is another."""
    stream = container.streams.best("video")
    assert isinstance(stream, VideoStream)  # `open_video` raises if there is none
    return stream


def decoded(container: InputContainer) -> Iterator[VideoFrame]:
    """Decode frames from the current position of the container; a damaged packet costs its own frames.

    Raises:
        av.FFmpegError: The container ends in the middle of a packet.
    """
    stream = video_stream(container)
    if not stream.codec_context.is_open:
        # Frame threads would lose frames ahead of a damaged packet, and not mark all frames that it spoils.
        stream.thread_type = "SLICE"
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        yield from frames


def turn_of(frame: VideoFrame) -> Turn:
    """Return how a frame has to be turned to be upright."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    return UPRIGHT if matrix is None else turn_of_matrix(np.frombuffer(matrix, np.int32).tolist())


def upright_size(frame: VideoFrame) -> tuple[int, int]:
    """Return the (h, w) of a frame after it is turned upright."""
    return turn_of(frame).size(frame.height, frame.width)


def pts_of(item: VideoFrame | Packet[VideoStream]) -> int:
    """Return the pts of a frame or packet; where it has none, a number that is no valid pts."""
    return _NO_PTS if item.pts is None else item.pts
