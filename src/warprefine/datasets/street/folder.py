"""Write synthetic streets as a data set folder: label maps of key frames, those of all others as truth."""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import partial
from pathlib import Path

from warprefine.core.errors import DatasetError, KeyFrameError
from warprefine.core.parallel import map_in_order
from warprefine.core.progress import Progress, silent
from warprefine.datasets.class_file import write_classes
from warprefine.datasets.street.classes import STREET_CLASSES
from warprefine.datasets.street.scene import StreetScene
from warprefine.io.images import write_frame, write_labels

_MOST_VIDEOS = 1000


def write_street(
    root: Path | str,
    *,
    videos: int = 2,
    length: int = 21,
    start: int = 10,
    step: int = 21,
    h: int = 192,
    w: int = 320,
    seed: int = 0,
    threads: int = 1,
    progress: Progress = silent,
) -> None:
    """Write `videos` street scenes of `length` frames as a native data set folder.

        ROOT/classes.toml
        ROOT/videos/street-NNN/frames/NNNNNN.jpg    quality 95, 4:4:4
        ROOT/videos/street-NNN/labels/NNNNNN.png    the key frames start, start + step, ...
        ROOT/videos/street-NNN/truth/NNNNNN.png     all others

    Two different seeds have no street in common; the number of threads changes nothing.

    Raises:
        DatasetError: The number of videos is not in 1..1000.
        KeyFrameError: The first key frame is not in the video.
        FrameError: The size, length or seed is invalid for a `StreetScene`.
    """
    root = Path(root)
    if not 1 <= videos <= _MOST_VIDEOS:
        raise DatasetError(f"{videos} street videos requested in {root}; expected 1 to {_MOST_VIDEOS}")
    if not 0 <= start < length or step < 1:
        raise KeyFrameError(
            f"key frames {start}::{step} of street videos of {length} frames; "
            f"expected a start from 0 to {length - 1} and a step of at least 1"
        )
    write_classes(root / "classes.toml", STREET_CLASSES)
    render = partial(_write_frame, root, key_frames=range(start, length, step))
    frames = (
        (number, scene, t) for number, scene in _scenes(videos, seed, h, w, length) for t in range(length)
    )
    for done, _ in enumerate(map_in_order(render, frames, threads=threads), start=1):
        progress("Rendering streets", done, videos * length)


def _scenes(videos: int, seed: int, h: int, w: int, length: int) -> Iterator[tuple[int, StreetScene]]:
    for number in range(videos):
        yield number, StreetScene(seed=_MOST_VIDEOS * seed + number, h=h, w=w, length=length)


def _write_frame(root: Path, frame: tuple[int, StreetScene, int], *, key_frames: Container[int]) -> None:
    """Render frame t of a scene, and write its picture and its label map."""
    number, scene, t = frame
    folder = root / "videos" / f"street-{number:03d}"
    kind = "labels" if t in key_frames else "truth"
    write_frame(folder / "frames" / f"{t:06d}.jpg", scene.frame(t))
    write_labels(folder / kind / f"{t:06d}.png", scene.labels(t), STREET_CLASSES)
