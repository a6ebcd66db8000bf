"""Find frames and label maps in folders, in the right order and matched by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from warprefine.core.errors import DatasetError, KeyFrameError, LabelError, shorten

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
VIDEO_ENDINGS = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts",
    ".wmv", ".flv", ".3gp", ".ogv", ".gif",
)  # fmt: skip


def existing_folder(folder: Path, *, expected: str) -> Path:
    """Return `folder` after checking that it exists.

    Raises:
        DatasetError: There is no such folder; the message names the nearest existing parent.
    """
    if folder.is_dir():
        return folder
    found = "is a file" if folder.exists() else "does not exist"
    nearest = next(parent for parent in folder.absolute().parents if parent.is_dir())
    inside = shorten(entry.name for entry in visible(nearest)) or "nothing"
    raise DatasetError(f"{folder} {found}, expected {expected}; the folder {nearest} holds {inside}")


def visible(folder: Path) -> list[Path]:
    """List the entries of a folder in natural order, without hidden files."""
    return sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=natural_order)


def natural_order(path: Path) -> tuple[list[str | int], str]:
    """Return a sort key by the numbers in a name: frame 9 comes before frame 10, with or without padding.

    Example:
        >>> [path.name for path in sorted([Path("10.png"), Path("9.png")], key=natural_order)]
        ['9.png', '10.png']
    """
    parts = re.split(r"(\d+)", path.stem)
    numbered: list[str | int] = [int(part) if part.isdecimal() else part for part in parts]
    return numbered, path.name


def frames_in(folder: Path) -> list[Path]:
    """List the pictures of a folder in the order of the video.

    Raises:
        DatasetError: There is none, or two names differ only in their endings.
    """
    entries = visible(folder) if folder.is_dir() else []
    frames = [entry for entry in entries if entry.suffix.lower() in PICTURE_ENDINGS]
    if not frames:
        others = f"found {shorten(entry.name for entry in entries)}" if entries else "found nothing"
        raise DatasetError(
            f"no frames in {folder}: {others}; expected pictures ({', '.join(PICTURE_ENDINGS)})"
        )
    twice = [stem for stem, count in Counter(frame.stem for frame in frames).items() if count > 1]
    if twice:
        same = shorten(frame.name for frame in frames if frame.stem == twice[0])
        raise DatasetError(f"two frames of {folder} have the same name: {same}; keep one of them")
    return frames


def labels_in(folder: Path, stems: Sequence[str], *, what: str) -> dict[int, Path]:
    """Match the label maps of a folder with frames by name; none if there is no such folder.

    Args:
        stems: The names of the frames, in order.
        what: Kind of the labelled frames ("key frame", "truth"), for messages.

    Raises:
        LabelError: A label map is a picture of another kind than PNG.
        KeyFrameError: A label map has the name of no frame.
    """
    if not folder.is_dir():
        return {}
    numbers = {stem: number for number, stem in enumerate(stems)}
    return dict(_matched(folder, numbers, what=what))


def _matched(folder: Path, numbers: dict[str, int], *, what: str) -> Iterator[tuple[int, Path]]:
    for path in visible(folder):
        ending = path.suffix.lower()
        if ending not in PICTURE_ENDINGS:
            continue
        if ending != ".png":
            raise LabelError(
                f"label map {path} is a {ending} file; expected an index PNG, which keeps ids exact"
            )
        if path.stem not in numbers:
            nearest = get_close_matches(path.stem, numbers, n=3, cutoff=0.0)
            raise KeyFrameError(
                f"{what} without a frame: {path} has the name of none of {len(numbers)} frames; "
                f"the nearest are {shorten(nearest)}; name a label map as its frame"
            )
        yield numbers[path.stem], path
