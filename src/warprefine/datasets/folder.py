"""Read the native data set folder: classes.toml and videos with label maps for their key frames.

ROOT/classes.toml
ROOT/videos/NAME/frames/STEM.jpg    or one video file ROOT/videos/NAME.mp4
ROOT/videos/NAME/labels/STEM.png    key frames; STEM of the frame, or its decode index (000012)
ROOT/videos/NAME/truth/STEM.png     labels that only the evaluation may read
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from warprefine.core.errors import DatasetError, WarpRefineError, shorten
from warprefine.core.video import Dataset, Video
from warprefine.datasets.class_file import read_classes
from warprefine.datasets.files import VIDEO_ENDINGS, existing_folder, frames_in, labels_in, visible
from warprefine.io.frames import frame_stems

_EXPECTED = "a data set folder with classes.toml and videos"


def read_folder(root: Path, split: str) -> Dataset:
    """Read a data set folder; pictures are not opened, the frames of video files are counted.

    Args:
        split: Ignored, as a data set folder has no splits; part of the signature of every reader.

    Raises:
        DatasetError: The folder, its classes.toml or its videos are missing or not as expected.
        KeyFrameError: A label map belongs to no frame.
        LabelError: A label map is no PNG file.
        FrameError: A video file cannot be read or is cut short.
    """
    existing_folder(root, expected=_EXPECTED)
    classes = read_classes(root / "classes.toml")
    sources = _sources(existing_folder(root / "videos", expected="one folder or video file for each video"))
    videos, broken = [], {}
    for name, found in sources.items():
        try:
            videos.append(_video(root / "videos" / name, found))
        except WarpRefineError as error:
            broken[name] = error
    if broken and not videos:
        raise next(iter(broken.values()))
    return Dataset(root=root, classes=classes, videos=tuple(videos), broken=broken)


def _sources(folder: Path) -> dict[str, list[Path]]:
    """Find the source of frames of each video, a folder of pictures or a video file; one is expected."""
    sources: dict[str, list[Path]] = {}
    for entry in visible(folder):
        if entry.is_dir():
            frames = entry / "frames"
            sources.setdefault(entry.name, []).extend([frames] if frames.is_dir() else [])
        elif entry.suffix.lower() in VIDEO_ENDINGS:
            sources.setdefault(entry.stem, []).append(entry)
    if not sources:
        raise DatasetError(
            f"{folder} holds no videos; expected NAME/frames with pictures, or video files such as NAME.mp4"
        )
    return sources


def _video(folder: Path, sources: Sequence[Path]) -> Video:
    if not sources:
        raise DatasetError(
            f"video {folder} has no frames; expected pictures in {folder / 'frames'}, "
            f"or a video file such as {folder}.mp4"
        )
    if len(sources) > 1:
        raise DatasetError(f"video {folder} has its frames twice: {shorten(sources)}; keep one of them")
    container = sources[0] if sources[0].is_file() else None
    frames = () if container else tuple(frames_in(sources[0]))
    stems = frame_stems(container) if container else tuple(frame.stem for frame in frames)
    return Video(
        name=folder.name,
        stems=stems,
        frame_paths=frames,
        container=container,
        labels=labels_in(folder / "labels", stems, what="key frame"),
        truth=labels_in(folder / "truth", stems, what="truth"),
    )
