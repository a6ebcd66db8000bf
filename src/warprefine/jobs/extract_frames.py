"""Extract the frames of a video file under their numbers, so that label maps can be named after them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from warprefine.core.errors import FrameError, RunFolderError, shorten
from warprefine.core.progress import Progress, silent
from warprefine.datasets.files import visible
from warprefine.io.atomic import reading_errors
from warprefine.io.claims import claim
from warprefine.io.fingerprints import fingerprint_of_file
from warprefine.io.images import write_frame
from warprefine.io.locks import locked
from warprefine.io.video_file import VideoFile

_CLAIM = ".frames.json"


def extract_frames(video: Path, out: Path, *, every: int = 1, progress: Progress = silent) -> int:
    """Write frames 0, `every`, 2 · `every`, ... of a video file as OUT/000000.png and so on.

    A frame's number is its decode index, as everywhere: a label map of frame 12 is called 000012.png. Frames
    that are there already are kept, so that an interrupted call goes on where it stopped.

    Returns:
        The number of frames in `out` that were asked for.

    Raises:
        FrameError: The video cannot be read.
        RunFolderError: `out` cannot be written, or holds something else than frames of this video.

    Example:
        >>> from warprefine.jobs.extract_frames import extract_frames
        >>> extract_frames(Path("drive.mp4"), Path("frames"), every=10)  # doctest: +SKIP
        6
    """
    if not video.is_file():
        raise FrameError(f"{video} is no video file; expected one, such as drive.mp4")
    _check_folder(out)
    with closing(VideoFile(video)) as frames, locked(out):
        claim(out / _CLAIM, {"video": video.name, "content": _content(video)}, what="set of frames")
        wanted = range(0, len(frames), every)
        for done, number in enumerate(wanted, start=1):
            path = out / f"{number:06d}.png"
            if not path.exists():
                write_frame(path, frames[number])
            progress("extracting frames", done, len(wanted), path.name)
    return len(wanted)


def _content(video: Path) -> str:
    with reading_errors(video, FrameError):
        return fingerprint_of_file(video)


def _check_folder(out: Path) -> None:
    """Refuse a folder that holds something else."""
    if out.is_dir() and not (out / _CLAIM).exists() and (others := visible(out)):
        raise RunFolderError(
            f"{out} holds other files ({shorten(path.name for path in others)}); expected an empty folder, "
            "or one that `warprefine frames` has begun; choose another --out"
        )
