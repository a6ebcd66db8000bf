"""Plan which frames are labelled together, and from which key frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from warprefine.core.video import Video


@dataclass(frozen=True, kw_only=True, order=True)
class Unit:
    """Frames of a video that are labelled together, from the same key frames.

    Attributes:
        video: The video's name.
        frames: The frames to label, in the order in which they are labelled.
        key_frames: All key frames that their labels may come from.
        done: Frames whose labels are there already; a labeller may pass them over.
    """

    video: str
    frames: tuple[int, ...]
    key_frames: tuple[int, ...]
    done: frozenset[int] = field(default=frozenset(), compare=False)

    def distance(self, frame: int) -> int:
        """Return the distance, in frames, of `frame` from the nearest of the unit's key frames."""
        return min(abs(frame - key) for key in self.key_frames)


def nearest_key_frame(video: Video, frame: int) -> int:
    """Return the key frame nearest to `frame` in its stretch, the earlier one on a tie."""
    stretch = video.stretch(frame)
    return min(video.key_frames, key=lambda key: (key not in stretch, abs(key - frame), key))


def stepwise_units(video: Video, horizon: int) -> list[Unit]:
    """Split the frames within `horizon` of a key frame into walks, each away from its nearest key frame.

    The frames of a walk lie 1, 2, 3, ... steps from its key frame, in the same stretch. Walks are in order
    of key frames, forwards first.

    Example:
        >>> from pathlib import Path
        >>> paths = [Path(f"{k}.jpg") for k in range(6)]
        >>> video = Video(name="drive", stems="012345", frame_paths=paths, labels={1: Path("1.png")})
        >>> [unit.frames for unit in stepwise_units(video, horizon=3)]
        [(2, 3, 4), (0,)]
    """
    walks: list[tuple[int, tuple[int, ...]]] = []
    for stretch in video.stretches:
        keys = [key for key in video.key_frames if key in stretch]
        for i, key in enumerate(keys):
            # Half of the frames up to the next key frame belong to each; the middle one to the earlier.
            first = (keys[i - 1] + key) // 2 + 1 if i else stretch.start
            last = (key + keys[i + 1]) // 2 if i + 1 < len(keys) else stretch.stop - 1
            ahead = range(key + 1, min(key + horizon, last) + 1)
            back = range(key - 1, max(key - horizon, first) - 1, -1)
            walks += [(key, tuple(frames)) for frames in (ahead, back) if frames]
    return [Unit(video=video.name, frames=frames, key_frames=(key,)) for key, frames in walks]


def frames_in_reach(video: Video, horizon: int) -> list[int]:
    """Return the key frames of a video and all frames within `horizon` of one, ascending."""
    return sorted({*video.key_frames, *(k for unit in stepwise_units(video, horizon) for k in unit.frames)})


def two_sided_units(video: Video, horizon: int, *, reach: int) -> list[Unit]:
    """Group the frames within `horizon` of a key frame into units of consecutive frames, in order of time.

    Args:
        reach: Largest distance of a key frame that a frame is labelled from, in frames; at least `horizon`.

    Example:
        >>> from pathlib import Path
        >>> paths, labels = [Path(f"{k}.jpg") for k in range(6)], {k: Path(f"{k}.png") for k in (1, 4)}
        >>> video = Video(name="drive", stems="012345", frame_paths=paths, labels=labels)
        >>> [(unit.frames, unit.key_frames) for unit in two_sided_units(video, horizon=1, reach=2)]
        [((0,), (1,)), ((2, 3), (1, 4)), ((5,), (4,))]
    """
    due = sorted(frame for unit in stepwise_units(video, horizon) for frame in unit.frames)
    begun = {stretch.start for stretch in video.stretches}
    starts = [i for i, frame in enumerate(due) if i == 0 or frame != due[i - 1] + 1 or frame in begun]
    runs = [tuple(due[i:j]) for i, j in pairwise((*starts, len(due)))]
    return [
        Unit(
            video=video.name,
            frames=run,
            key_frames=tuple(
                key
                for key in video.key_frames
                if run[0] - reach <= key <= run[-1] + reach and key in video.stretch(run[0])
            ),
        )
        for run in runs
    ]


def sides_of(frame: int, key_frames: Sequence[int], *, reach: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the key frames within `reach` before and after a frame; the side with the nearest comes first.

    Each side is ordered from near to far; the earlier side comes first on a tie. The nearest key frame is
    always used, whatever its distance.

    Example:
        >>> sides_of(6, [0, 4, 9, 11], reach=4)
        ((4,), (9,))
    """
    reach = max(reach, min((abs(k - frame) for k in key_frames), default=0))
    before = tuple(sorted((k for k in key_frames if frame - reach <= k < frame), reverse=True))
    after = tuple(sorted(k for k in key_frames if frame < k <= frame + reach))
    if not before or (after and after[0] - frame < frame - before[0]):
        return after, before
    return before, after


def is_between(video: Video, frame: int, *, reach: int) -> bool:
    """Return whether a frame lies between key frames: its labels may come from one before and one after it.

    Otherwise it lies beside them: the key frames on one side alone must label it.

    Args:
        reach: As for `sides_of`; key frames of another stretch do not count.

    Example:
        >>> from pathlib import Path
        >>> paths, labels = [Path(f"{k}.jpg") for k in range(6)], {k: Path(f"{k}.png") for k in (1, 4)}
        >>> video = Video(name="drive", stems="012345", frame_paths=paths, labels=labels)
        >>> [is_between(video, frame, reach=20) for frame in (0, 2, 3, 5)]
        [False, True, True, False]
    """
    stretch = video.stretch(frame)
    return all(sides_of(frame, [key for key in video.key_frames if key in stretch], reach=reach))
