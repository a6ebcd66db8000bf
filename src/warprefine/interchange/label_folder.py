"""Find the label PNGs of an export that keeps them in folders, apart from its pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path

from warprefine.core.errors import DatasetError
from warprefine.interchange.imported import ImportedFrame, Positions
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

    Where there is no such folder, all PNGs that lie in no folder of pictures. The name of a folder around all
    of them does not count, if inside it each PNG is in a folder of label maps or in one of pictures.
    """
    found = source.with_ending(".png")
    folders = [source.relative(path).parts[:-1] for path in found]
    around = [len({*level}) == 1 for level in zip(*folders, strict=False)]
    common = len([*takewhile(bool, around)])
    for begin in (common, 0):
        marked = [path for path, inside in zip(found, folders, strict=True) if _marked(inside[begin:])]
        others = [inside[begin:] for inside in folders if not _marked(inside[begin:])]
        if marked and (begin == 0 or all(any(map(_is_picture_folder, inside)) for inside in others)):
            return marked
    return [path for path in found if not any(map(_is_picture_folder, source.relative(path).parts[:-1]))]


def _marked(folders: Sequence[str]) -> bool:
    return any(map(_is_label_folder, folders))


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


def by_name(source: Source, names: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Return label maps by the names of their frames.

    Raises:
        DatasetError: Two have the same name.
    """
    found: dict[str, Path] = {}
    for name, path in names:
        if name in found:
            raise DatasetError(
                f"{source.shown(path)} and {source.shown(found[name])} are both of {name!r}; expected each "
                "name once; import the folders one by one"
            )
        found[name] = path
    return found


def label_frames(
    source: Source,
    files: Mapping[str, Path],
    *,
    read: Callable[[Path, str], Positions],
    picture: Callable[[Path, str, str], Path | None],
) -> list[ImportedFrame]:
    """Return the frames of label maps, by the names of these.

    Args:
        source: The export.
        files: The label maps by the names of their frames.
        read: Reads a label map; the second argument is how messages name it.
        picture: Returns the picture of a label map, of its name, and of what all names end with ("" if that
            is no word).
    """
    tail = common_suffix([*files])
    return [
        ImportedFrame(
            where=source.shown(path),
            name=name,
            also=(name.removesuffix(tail),) if tail else (),
            draw=partial(_draw, read, path, source.shown(path)),
            picture=picture(path, name, tail),
        )
        for name, path in files.items()
    ]


def _draw(read: Callable[[Path, str], Positions], path: Path, named: str, size: tuple[int, int]) -> Positions:
    """Read a label map; a PNG has a size of its own, which is compared with that of the frame later."""
    del size
    return read(path, named)


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
