"""Index the frames of a video file: their number, their pts and the frames at which decoding can begin."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from warprefine.core.errors import FrameError
from warprefine.io.foreign import DECODER_ERRORS, check_file
from warprefine.io.truncation import is_cut_short
from warprefine.io.turning import Turn
from warprefine.io.video_stream import decoded, decoding, open_video, pts_of, turn_of, video_stream

# Wrong packet times show in the first group of reordered frames, which is at most 16 long.
_TRIAL = 16
# Packets without a frame of their own may occur anywhere in a file: in VP8 reference frames that are not
# shown, in MPEG-4 part 2 (DivX, Xvid) repeats of the last frame.
_CODECS_WITH_HIDDEN_PACKETS = ("vp8", "mpeg4")
# These store the time of every frame, so that uneven times are no sign of damage.
_FORMATS_WITH_TIMES = {"mov", "matroska", "gif", "asf", "flv", "ogg"}
_ROUNDING = 2  # ticks of a stream's clock by which even steps differ


@dataclass(frozen=True, kw_only=True)
class VideoIndex:
    """The index by which any frame of a video file can be found.

    `count` is the number of frames and `size` their (h, w) after the `turn` that makes them upright.
    `frame_pts` holds the pts of every frame, ascending; it is empty where the pts of this file do not
    identify its frames. `starts` are the frames at which decoding can begin, ascending; the first is 0.
    """

    count: int
    size: tuple[int, int]
    turn: Turn
    frame_pts: tuple[int, ...] = ()
    starts: tuple[int, ...] = (0,)

    def starts_before(self, number: int) -> tuple[int, int]:
        """Return the last frame up to `number` at which decoding can begin, and one farther back.

        Demuxers that seek by bytes (MPEG streams) land up to two groups of pictures too late.
        """
        nearest = bisect_right(self.starts, number) - 1
        return self.starts[nearest], self.starts[max(0, nearest - 2)]


@dataclass(frozen=True, kw_only=True)
class _Packets:
    """The pts of all packets of a video and of those at which decoding can begin, and what they tell.

    `hidden`: some may have no frame. `doubtful`: so may others, or frames have other times. `whole`: there
    are as many packets as the file's header says, or they last as long.
    """

    pts: list[int]
    starting: set[int]
    hidden: bool
    doubtful: bool
    whole: bool


def index_video(path: Path) -> VideoIndex:
    """Index a video file; the index is cached until the file changes.

    Reads the file once without decoding it, then decodes the first frames to check the times of the
    packets. If they are wrong, or packets are damaged, missing or unevenly timed, the whole file is decoded,
    once: frame i is the i-th that a decoder returns.

    Raises:
        FrameError: The file is missing, is no video, is cut short, is damaged or holds no frames.
    """
    check_file(path, expected="a video", error_class=FrameError)
    with decoding(path):
        status = path.stat()
        return _index(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _index(path: Path, mtime_ns: int, length: int) -> VideoIndex:
    """Index a file; its time and length are arguments so that the cache notices a change."""
    cut = is_cut_short(path)
    try:
        packets = _packets(path)
    except (av.FFmpegError, FrameError) as error:
        if isinstance(error, FrameError) and not cut:
            raise
        raise _damage(path, "is cut short" if cut else "is damaged") from error
    # One wrong number in a header damages nothing: frames have to be missing, too.
    if cut and not packets.whole:
        raise _damage(path, "is cut short")
    first_pts, size, turn = _first_frames(path)
    frame_pts = sorted(packets.pts)
    trusted = _ascend(frame_pts) and frame_pts[: len(first_pts)] == first_pts
    if packets.hidden or packets.doubtful or not trusted:
        frame_pts = _all_frames(path)
    if not _ascend(frame_pts):
        return VideoIndex(count=len(frame_pts), size=size, turn=turn)
    starts = tuple(number for number, pts in enumerate(frame_pts) if number == 0 or pts in packets.starting)
    return VideoIndex(count=len(frame_pts), size=size, turn=turn, frame_pts=tuple(frame_pts), starts=starts)


def _packets(path: Path) -> _Packets:
    shown, starting, found, end, corrupt = [], set(), 0, 0, False
    with closing(open_video(path)) as container:
        stream = video_stream(container)
        for packet in container.demux(stream):
            if not packet.size:
                continue
            found, corrupt = found + 1, corrupt or packet.is_corrupt
            end = max(end, pts_of(packet) + (packet.duration or 0))
            # Discarded packets lie outside the part of an MP4 that its edit list shows.
            if not packet.is_discard:
                shown.append(pts_of(packet))
                if packet.is_keyframe:
                    starting.add(pts_of(packet))
        hidden = stream.codec_context.name in _CODECS_WITH_HIDDEN_PACKETS
        timed = bool(_FORMATS_WITH_TIMES & {*container.format.name.split(",")})
        enough = _enough(container, stream, found, end)
    return _Packets(
        pts=shown,
        starting=starting,
        hidden=hidden,
        doubtful=corrupt or not (timed or _even(sorted(shown))),
        whole=enough and not corrupt,
    )


def _enough(container: InputContainer, stream: VideoStream, found: int, end: int) -> bool:
    """Return whether there are as many packets as the header says, or they end when it says."""
    if stream.frames and container.format.name != "gif":  # FFmpeg counts those of a GIF, as far as they go
        return found >= stream.frames
    clock, rate, lasting = stream.time_base, stream.average_rate, container.duration
    if "matroska" not in container.format.name or not (clock and rate and lasting):
        return False
    begin = (container.start_time or 0) / av.time_base
    return float(end * clock) - begin + 1.5 / float(rate) > lasting / av.time_base


def _first_frames(path: Path) -> tuple[list[int], tuple[int, int], Turn]:
    """Return the pts of the first frames, in the order in which they are shown, and size and turn of one."""
    with closing(open_video(path)) as container:
        first = list(islice(decoded(container), _TRIAL))
    if not first:
        raise FrameError(f"{path} holds no frames that can be decoded; expected a video that a player shows")
    turn = turn_of(first[0])
    return [pts_of(frame) for frame in first], turn.size(first[0].height, first[0].width), turn


def _all_frames(path: Path) -> list[int]:
    with closing(open_video(path)) as container:
        return [pts_of(frame) for frame in decoded(container)]


def _ascend(pts: list[int]) -> bool:
    return all(a < b for a, b in pairwise(pts))


def _even(pts: list[int]) -> bool:
    steps = [b - a for a, b in pairwise(pts)]
    return not steps or max(steps) - min(steps) <= _ROUNDING


def _damage(path: Path, what: str) -> FrameError:
    count = 0
    with suppress(av.FFmpegError, FrameError, *DECODER_ERRORS), closing(open_video(path)) as container:
        for _ in decoded(container):
            count += 1
    return FrameError(f"{path} {what}: only its first {count} frames can be decoded; copy or export it again")
