"""Index the frames of a video file: their number, their pts and the frames at which decoding can begin."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from warprefine.core.errors import FrameError
from warprefine.io.truncation import is_cut_short

_NO_PTS = -1 << 63  # FFmpeg's own AV_NOPTS_VALUE
# Wrong packet times show in the first group of reordered frames, which is at most 16 long.
_TRIAL = 16
# Packets without a frame of their own may occur anywhere in a file: in VP8 reference frames that are not
# shown, in MPEG-4 part 2 (DivX, Xvid) repeats of the last frame.
_CODECS_WITH_HIDDEN_PACKETS = ("vp8", "mpeg4")


@dataclass(frozen=True, kw_only=True)
class VideoIndex:
    """The index by which any frame of a video file can be found.

    `count` is the number of frames and `size` their (h, w), upright. `frame_pts` holds the pts of
    every frame, ascending; it is empty where the pts of this file do not identify its frames.
    `starts` are the frames at which decoding can begin, ascending; the first is 0.
    """

    count: int
    size: tuple[int, int]
    frame_pts: tuple[int, ...] = ()
    starts: tuple[int, ...] = (0,)

    def starts_before(self, number: int) -> tuple[int, int]:
        """Return the last frame up to `number` at which decoding can begin, and one farther back.

        Demuxers that seek by bytes (MPEG streams) land up to two groups of pictures too late.
        """
        nearest = bisect_right(self.starts, number) - 1
        return self.starts[nearest], self.starts[max(0, nearest - 2)]


def index_video(path: Path) -> VideoIndex:
    """Index a video file; the index is cached until the file changes.

    Reads the file once without decoding it, then decodes the first frames to check the times of the
    packets. If they are wrong, the whole file is decoded, once.

    Raises:
        FrameError: The file is missing, is no video, is cut short, is damaged or holds no frames.
    """
    try:
        status = path.stat()
        return _index(path, status.st_mtime_ns, status.st_size)
    except FileNotFoundError as error:
        raise FrameError(f"there is no file {path}; expected a video") from error
    except OSError as error:
        raise FrameError(f"cannot read {path}: {error.strerror}; expected a video file") from error


def open_video(path: Path) -> InputContainer:
    """Open a video file.

    Raises:
        FrameError: The file is missing, is no video or has only sound.
    """
    try:
        # Absolute, because FFmpeg takes the text before a colon for the name of a protocol.
        container = av.open(str(path.absolute()))
    except av.FFmpegError as error:
        raise FrameError(
            f"cannot read {path}: {error.strerror}; expected a video that a player shows"
        ) from error
    if not container.streams.video:
        container.close()
        raise FrameError(f"{path} has no video stream; expected a video that a player shows")
    return container


def video_stream(container: InputContainer) -> VideoStream:
    """Return the stream that a player would show, not a cover image if there is another."""
    stream = container.streams.best("video")
    assert isinstance(stream, VideoStream)  # `open_video` raises if there is none
    return stream


def decoded(container: InputContainer, *, threads: bool = True) -> Iterator[VideoFrame]:
    """Decode frames from the current position of the container.

    Frame threads are faster, but when a packet is damaged they also lose the frames ahead of it.
    """
    stream = video_stream(container)
    if not stream.codec_context.is_open:
        stream.thread_type = "AUTO" if threads else "SLICE"
    return container.decode(stream)


def upright_size(frame: VideoFrame) -> tuple[int, int]:
    """Return the (h, w) of a frame after it is turned upright."""
    size = (frame.height, frame.width)
    return size[::-1] if quarter_turns(frame) % 2 else size


def quarter_turns(frame: VideoFrame) -> int:
    """Return how often to turn a frame counterclockwise by 90 degrees to make it upright."""
    return round(frame.rotation / 90) % 4


def pts_of(item: VideoFrame | Packet[VideoStream]) -> int:
    """Return the pts of a frame or packet; where it has none, a number that is no valid pts."""
    return _NO_PTS if item.pts is None else item.pts


@lru_cache(maxsize=256)
def _index(path: Path, mtime_ns: int, length: int) -> VideoIndex:
    """Index a file; its time and length are arguments so that the cache notices a change."""
    if is_cut_short(path):
        raise _damage(path, "is cut short")
    try:
        packet_pts, starting_pts, some_are_hidden = _packets(path)
        first_pts, size = _first_frames(path)
        frame_pts = sorted(packet_pts)
        if some_are_hidden or not _ascend(frame_pts) or frame_pts[: len(first_pts)] != first_pts:
            frame_pts = _all_frames(path)
    except av.FFmpegError as error:
        raise _damage(path, "is damaged") from error
    if not _ascend(frame_pts):
        return VideoIndex(count=len(frame_pts), size=size)
    starts = tuple(number for number, pts in enumerate(frame_pts) if number == 0 or pts in starting_pts)
    return VideoIndex(count=len(frame_pts), size=size, frame_pts=tuple(frame_pts), starts=starts)


def _packets(path: Path) -> tuple[list[int], set[int], bool]:
    """Return the pts of all packets, those at which decoding can begin, and if some may have no frame."""
    every, starting = [], set()
    with closing(open_video(path)) as container:
        stream = video_stream(container)
        for packet in container.demux(stream):
            # Discarded packets lie outside the part of an MP4 that its edit list shows.
            if packet.size and not packet.is_discard:
                every.append(pts_of(packet))
                if packet.is_keyframe:
                    starting.add(pts_of(packet))
        return every, starting, stream.codec_context.name in _CODECS_WITH_HIDDEN_PACKETS


def _first_frames(path: Path) -> tuple[list[int], tuple[int, int]]:
    """Return the pts of the first frames, in the order in which they are shown, and the size of frame 0."""
    with closing(open_video(path)) as container:
        first = list(islice(decoded(container), _TRIAL))
    if not first:
        raise FrameError(f"{path} holds no frames; expected a video that a player shows")
    return [pts_of(frame) for frame in first], upright_size(first[0])


def _all_frames(path: Path) -> list[int]:
    with closing(open_video(path)) as container:
        return [pts_of(frame) for frame in decoded(container)]


def _ascend(pts: list[int]) -> bool:
    return all(a < b for a, b in pairwise(pts))


def _damage(path: Path, what: str) -> FrameError:
    count = 0
    with suppress(av.FFmpegError, FrameError), closing(open_video(path)) as container:
        for _ in decoded(container, threads=False):
            count += 1
    return FrameError(f"{path} {what}: only its first {count} frames can be decoded; copy or export it again")
