"""Find frames and label maps in folders, in the right order and matched by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from warprefine.core.errors import DatasetError, KeyFrameError, LabelError, shorten
from warprefine.datasets.file_names import FrameNames, in_order, natural_order, normal_form, twins
from warprefine.io.atomic import reading_errors

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
VIDEO_ENDINGS = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts",
    ".wmv", ".flv", ".3gp", ".ogv", ".gif",
    ".3g2", ".asf", ".dav", ".divx", ".dv", ".f4v", ".m2t", ".m2v", ".mjpeg", ".mjpg", ".mod", ".mxf",
    ".nut", ".ogm", ".tod", ".vob", ".y4m", ".264", ".265", ".h264", ".h265", ".hevc", ".ivf",
    ".360", ".amv", ".insv", ".lrv", ".m1v", ".mk3d", ".mp4v", ".mpe", ".mpv", ".qt", ".rm", ".rmvb", ".tp",
    ".trp", ".wtv",
)  # fmt: skip
_LITTER = (
    "__macosx", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "desktop.ini", "lost+found",
    "system volume information", "thumbs.db",
)  # fmt: skip
_HARMLESS_ENDINGS = (
    ".txt", ".md", ".json", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".toml", ".html", ".pdf", ".log", ".srt",
    ".vtt", ".thm", ".xmp", ".ini", ".md5", ".sha256", ".py", ".sh",
)  # fmt: skip


def existing_folder(folder: Path, *, expected: str) -> Path:
    """Return `folder` after checking that it exists.

    Raises:
        DatasetError: There is no such folder; the message names the nearest existing parent.
    """
    with reading_errors(folder, DatasetError):
        found = folder.is_dir()
    if found:
        return folder
    kind = "is a file" if folder.exists() else "does not exist"
    nearest = next(parent for parent in folder.absolute().parents if parent.is_dir())
    inside = shorten(entry.name for entry in visible(nearest)) or "nothing"
    raise DatasetError(f"{folder} {kind}, expected {expected}; the folder {nearest} holds {inside}")


def visible(folder: Path) -> list[Path]:
    """List the entries of a folder in natural order, without hidden files and litter of operating systems."""
    with reading_errors(folder, DatasetError):
        return sorted((entry for entry in folder.iterdir() if not is_litter(entry.name)), key=natural_order)


def is_litter(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or left there by an operating system.

    Example:
        >>> [is_litter(name) for name in (".DS_Store", "__MACOSX", "Thumbs.db", "frames")]
        [True, True, True, False]
    """
    return name.startswith(".") or name.lower() in _LITTER


def frames_in(folder: Path) -> list[Path]:
    """List the pictures of a folder in the order of the video.

    Raises:
        DatasetError: There is none, two names differ only in their endings or in their Unicode form, or
            there is a second picture of a frame, such as a mask.
    """
    entries = visible(folder) if folder.is_dir() else []
    frames = in_order(entry for entry in entries if entry.suffix.lower() in PICTURE_ENDINGS)
    if not frames:
        others = f"found {shorten(entry.name for entry in entries)}" if entries else "found nothing"
        raise DatasetError(
            f"no frames in {folder}: {others}; expected pictures ({', '.join(PICTURE_ENDINGS)})"
        )
    stems = [normal_form(frame.stem) for frame in frames]
    twice = [stem for stem, count in Counter(stems).items() if count > 1]
    if twice:
        same = shorten(frame.name for frame, stem in zip(frames, stems, strict=True) if stem == twice[0])
        raise DatasetError(
            f"two frames of {folder} have the same name: {same}; keep one of them, label maps in a folder "
            "of their own"
        )
    if pairs := twins(frames):
        (frame, second), count = pairs[0], len(pairs)
        raise DatasetError(
            f"{folder} holds two pictures of a frame: {frame.name} and {second.name} ({count} such); "
            "expected one for each; move label maps to the other label maps, under the names of their frames"
        )
    return frames


def labels_in(folder: Path, stems: Sequence[str], *, what: str) -> dict[int, Path]:
    """Match the label maps of a folder with frames by name; none if there is no such folder.

    Names match in any Unicode form and, where that leaves one frame, with other padding (12 is 000012).

    Args:
        folder: The folder of label maps.
        stems: The names of the frames, in order.
        what: Kind of the labelled frames ("key frame", "truth"), for messages.

    Raises:
        LabelError: A label map is a picture of another kind than PNG.
        KeyFrameError: A label map has the name of no frame, or two have that of one.
    """
    if not folder.is_dir():
        return {}
    names = FrameNames(stems)
    found: dict[int, Path] = {}
    for path in visible(folder):
        ending = path.suffix.lower()
        if ending not in PICTURE_ENDINGS:
            continue
        if ending != ".png":
            raise LabelError(
                f"label map {path} is a {ending} file; expected an index PNG, which keeps ids exact"
            )
        number = names.number(path.stem)
        if number is None:
            raise KeyFrameError(
                f"{what} without a frame: {path} has the name of none of {len(stems)} frames; "
                f"the nearest are {shorten(names.nearest(path.stem))}; name a label map as its frame"
            )
        if number in found:
            raise KeyFrameError(
                f"two label maps of frame {stems[number]}: {found[number]} and {path}; keep one of them"
            )
        found[number] = path
    return found


def unread(folder: Path, endings: Sequence[str], *, known: Sequence[str] = ()) -> list[Path]:
    """List what a folder holds besides files of some endings: what a reader passes over.

    Litter of operating systems is left out, and so are notes and lists (.txt, .json, ...).

    Args:
        folder: A folder; one that does not exist holds nothing.
        endings: The endings of the files that are read, in lower case.
        known: Names of the entries that are read besides.
    """
    entries = visible(folder) if folder.is_dir() else []
    others = [entry for entry in entries if entry.name not in known]
    return [
        entry
        for entry in others
        if entry.is_dir() or entry.suffix.lower() not in (*endings, *_HARMLESS_ENDINGS)
    ]
