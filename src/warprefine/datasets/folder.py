"""Read the native data set folder: classes.toml and videos with label maps for their key frames.

ROOT/classes.toml
ROOT/videos/NAME/frames/STEM.jpg    or one video file ROOT/videos/NAME.mp4
ROOT/videos/NAME/labels/STEM.png    key frames; STEM of the frame, or its decode index (000012)
ROOT/videos/NAME/truth/STEM.png     labels that only the evaluation may read
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from warprefine.core.errors import DatasetError, WarpRefineError, shorten
from warprefine.core.video import Dataset, Video
from warprefine.datasets.class_file import read_classes
from warprefine.datasets.file_names import normal_form, order_doubt, readable
from warprefine.datasets.files import (
    PICTURE_ENDINGS,
    VIDEO_ENDINGS,
    existing_folder,
    frames_in,
    labels_in,
    unread,
    visible,
)
from warprefine.io.atomic import reading_errors
from warprefine.io.foreign import is_of_the_system
from warprefine.io.frames import frame_stems

_EXPECTED = "a data set folder with classes.toml and videos"
_PARTS = ("frames", "labels", "truth")


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
    folder = existing_folder(root / "videos", expected="one folder or video file for each video")
    videos: list[Video] = []
    broken: dict[str, WarpRefineError] = {}
    for entries in _entries(folder):
        try:
            with reading_errors(entries[0], DatasetError):
                videos.append(_video(entries))
        except WarpRefineError as error:
            if is_of_the_system(error):
                raise
            broken[_name(entries[0])] = error
    if broken and not videos:
        raise next(iter(broken.values()))
    notes = tuple(_notes(folder, videos))
    return Dataset(root=root, classes=classes, videos=tuple(videos), broken=broken, notes=notes)


def _entries(folder: Path) -> list[list[Path]]:
    """Group the folders and video files of each video, in natural order; names match in any Unicode form."""
    found: dict[str, list[Path]] = {}
    for entry in visible(folder):
        if entry.is_dir() or entry.suffix.lower() in VIDEO_ENDINGS:
            found.setdefault(normal_form(_name(entry)), []).append(entry)
    if not found:
        raise DatasetError(
            f"{folder} holds no videos; expected NAME/frames with pictures, or video files such as NAME.mp4"
        )
    return list(found.values())


def _name(entry: Path) -> str:
    return entry.name if entry.is_dir() else entry.stem


def _video(entries: Sequence[Path]) -> Video:
    """Read a video from its folder, its video file, or both; one of them has the frames."""
    folders = [entry for entry in entries if entry.is_dir()]
    folder = folders[0] if folders else entries[0].with_suffix("")
    containers = [entry for entry in entries if not entry.is_dir()]
    sources = [*(entry / "frames" for entry in folders if (entry / "frames").is_dir()), *containers]
    if not sources:
        beside = [entry for entry in visible(folder.parent) if entry.stem == folder.name and entry.is_file()]
        found = shorten(entry.name for entry in [*visible(folder), *beside]) or "nothing"
        raise DatasetError(
            f"video {folder} has no frames; expected pictures in {folder / 'frames'}, "
            f"or a video file such as {folder}.mp4; found {found}"
        )
    if len(sources) > 1:
        raise DatasetError(f"video {folder} has its frames twice: {shorten(sources)}; keep one of them")
    container = sources[0] if sources[0].is_file() else None
    frames = () if container else tuple(frames_in(sources[0]))
    stems = frame_stems(container) if container else tuple(frame.stem for frame in frames)
    return Video(
        name=_name(entries[0]),
        stems=stems,
        frame_paths=frames,
        container=container,
        labels=labels_in(folder / "labels", stems, what="key frame"),
        truth=labels_in(folder / "truth", stems, what="truth"),
    )


def _notes(folder: Path, videos: Sequence[Video]) -> Iterator[str]:
    """Note what is passed over, and frames whose order is not certain."""
    passed_over = [entry for entry in unread(folder, VIDEO_ENDINGS) if not entry.is_dir()]
    names = {video.name for video in videos}
    for inside in (entry for entry in visible(folder) if entry.name in names and entry.is_dir()):
        passed_over += unread(inside, (), known=_PARTS)
        passed_over += unread(inside / "frames", PICTURE_ENDINGS)
        for part in (inside / name for name in _PARTS[1:]):
            maps = visible(part) if part.is_dir() else []
            passed_over += [entry for entry in maps if entry.suffix.lower() != ".png"]
    if passed_over:
        listed = shorten(readable(str(entry.relative_to(folder))) for entry in passed_over)
        yield (
            f"not read, {len(passed_over)} in {folder}: {listed}; expected NAME/frames with pictures or a "
            f"video file ({', '.join(VIDEO_ENDINGS[:6])}, ...), and label maps as PNG in NAME/labels"
        )
    doubts = [(video.name, doubt) for video in videos if (doubt := order_doubt(video.frame_paths))]
    if doubts:
        listed = shorten(f"{readable(name)} ({doubt})" for name, doubt in doubts)
        yield (
            f"the order of frames is not certain: {listed}; expected one kind of name, numbered with leading "
            "zeros"
        )
