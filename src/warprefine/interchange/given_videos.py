"""Open the videos that labels are imported for: the pictures and video files that `--frames` names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from warprefine.core.errors import DatasetError, shorten
from warprefine.core.video import Video
from warprefine.datasets.files import PICTURE_ENDINGS, VIDEO_ENDINGS, frames_in, visible
from warprefine.io.frames import frame_stems


def open_videos(folder: Path, *, video: str | None = None, option: str = "--frames ") -> tuple[Video, ...]:
    """Open the pictures that `--frames` names; no picture is opened, the frames of video files are counted.

    Args:
        folder: A video file; a folder of pictures, which is one video; or a folder of videos, each a video
            file or a folder VIDEO or VIDEO/frames of pictures. A data set folder is the folder of its videos.
        video: The name of a video file or a folder of pictures, if not its own.
        option: What messages put before the folder.

    Raises:
        DatasetError: There are no pictures.
        FrameError: A video file cannot be read or is cut short.
    """
    if folder.is_file():
        if folder.suffix.lower() not in VIDEO_ENDINGS:
            raise DatasetError(f"{option}{folder} is no video file or folder; expected DIR/VIDEO/STEM.png")
        return (Video(name=video or folder.stem, stems=frame_stems(folder), container=folder),)
    if not folder.is_dir():
        raise DatasetError(f"{option}{folder} is not there; expected a video file, or a folder of pictures")
    if (folder / "videos").is_dir() and not _pictures(folder):
        folder = folder / "videos"
    if _pictures(folder):
        return (_of_pictures(folder, name=video or folder.absolute().name),)
    found = tuple(_videos(folder))
    if not found:
        raise DatasetError(
            f"{option}{folder} holds {shorten(entry.name for entry in visible(folder)) or 'nothing'}; "
            "expected "
            "VIDEO/STEM.png or VIDEO.mp4 in it"
        )
    names = [one.name for one in found]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DatasetError(
            f"{option}{folder} has {shorten(twice)} twice, as folder and as video file; keep one"
        )
    return found


def _videos(folder: Path) -> Iterator[Video]:
    for entry in visible(folder):
        if entry.is_dir():
            inside = entry / "frames" if (entry / "frames").is_dir() else entry
            if _pictures(inside):
                yield _of_pictures(inside, name=entry.name)
        elif entry.suffix.lower() in VIDEO_ENDINGS:
            yield Video(name=entry.stem, stems=frame_stems(entry), container=entry)


def _of_pictures(folder: Path, *, name: str) -> Video:
    paths = frames_in(folder)
    return Video(name=name, stems=tuple(path.stem for path in paths), frame_paths=tuple(paths))


def _pictures(folder: Path) -> bool:
    return any(entry.is_file() and entry.suffix.lower() in PICTURE_ENDINGS for entry in visible(folder))
