"""Find the label PNGs of an export that keeps them in folders, apart from its pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from warprefine.interchange.source import Source

_LABEL_FOLDER = re.compile(
    r"(ann_dir|.*annot|.*labels?|.*labels?_png|.*masks?|segmentationclass|annotations|gt)"
)
_PICTURE_FOLDER = frozenset(
    ["img_dir", "images", "image", "imgs", "img", "frames", "jpegimages", "pictures", "leftimg8bit"]
)
_MARK = re.compile(r"[_\-. ][^\d]*[A-Za-z].*")


def label_files(source: Source) -> list[Path]:
    """Return the PNGs that are label maps: those below a folder called masks, labels, ann_dir or the like.

    Where there is no such folder, all PNGs that lie in no folder of pictures.
    """
    found = source.with_ending(".png")
    marked = [path for path in found if any(map(_is_label_folder, source.relative(path).parts[:-1]))]
    plain = [path for path in found if not any(map(_is_picture_folder, source.relative(path).parts[:-1]))]
    return marked or plain


def frame_name(source: Source, path: Path, *, suffix: str = "") -> str:
    """Return the name of the frame of a label map: its path below the folder of label maps, without suffix.

    Args:
        source: The export.
        path: The label map.
        suffix: What follows the name of the frame, such as "_gtFine_labelTrainIds.png"; "" takes the ending
            off.
    """
    parts = source.relative(path).parts
    begin = max((n for n, part in enumerate(parts[:-1], start=1) if _is_label_folder(part)), default=0)
    name = "/".join(parts[begin:])
    return name.removesuffix(suffix) if suffix else name[: -len(path.suffix)]


def common_suffix(names: Sequence[str]) -> str:
    """Return what all names end with, from a mark such as "_" on; "" if that is no word.

    Example:
        >>> common_suffix(["a/000_labelIds", "a/001_labelIds"]), common_suffix(["a_10", "b_10"])
        ('_labelIds', '')
    """
    if len(names) < 2:
        return ""
    first, *others = names
    length = min(map(len, names)) - 1
    while length and not all(name.endswith(first[-length:]) for name in others):
        length -= 1
    found = _MARK.search(first[-length:]) if length else None
    return found[0] if found and "/" not in found[0] else ""


def _is_label_folder(name: str) -> bool:
    return bool(_LABEL_FOLDER.fullmatch(name.lower()))


def _is_picture_folder(name: str) -> bool:
    return name.lower() in _PICTURE_FOLDER
