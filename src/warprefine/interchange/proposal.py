"""Propose a class file for label PNGs that have none: from the values or the colours that they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warprefine.core.classes import VOID_COLOR, ClassSet, Color
from warprefine.core.errors import DatasetError, LabelError, shorten
from warprefine.core.progress import Progress, silent
from warprefine.core.tensors import VOID
from warprefine.datasets.files import existing_folder
from warprefine.datasets.palette import distinct_colors
from warprefine.interchange.imported import clean_name
from warprefine.interchange.label_folder import label_files
from warprefine.interchange.source import Source
from warprefine.io.label_pixels import label_pixels, packed
from warprefine.io.pictures import with_picture

_MOST_CLASSES = 255
_BLACK = int(packed(np.array([VOID_COLOR]))[0])


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A class set for label PNGs, and what it was made from.

    Attributes:
        classes: The classes; their ids are the values where those are not 0, 1, 2, ...
        pixels: The pixels of each class.
        files: The number of label PNGs.
        in_colors: Whether they are colour pictures.
    """

    classes: ClassSet
    pixels: tuple[int, ...]
    files: int
    in_colors: bool


def propose_classes(
    data: Path, *, names: Sequence[str] = (), void: Sequence[int] = (), progress: Progress = silent
) -> Proposal:
    """Return classes for all values, or all colours, of the label PNGs of a folder.

    255 and black are void. Classes are called class-0, class-1, ... and get colours that are different also
    to people who do not see red or green; colour pictures have their own.

    Args:
        data: A data set folder with `videos/NAME/labels`, or any folder of label PNGs.
        names: Names in the order of the values, or of the colours: most frequent first.
        void: Further values that are void.
        progress: Called as label PNGs are read.

    Raises:
        DatasetError: There are no label PNGs, or not as many names as classes.
        LabelError: One cannot be read, or has colours where others have values, or too many of them.
    """
    files = _label_pngs(data)
    values = np.zeros(1 << 16, np.int64)
    colors: dict[int, int] = {}
    kinds: dict[str, Path] = {}
    for done, path in enumerate(files, start=1):
        pixels = with_picture(path, partial(label_pixels, path=path), error_class=LabelError)
        if pixels.ndim == 3 and bool((pixels == pixels[..., :1]).all()):
            pixels = pixels[..., 0]
        kinds.setdefault("values" if pixels.ndim == 2 else "colours", path)
        if pixels.ndim == 2:
            values += np.bincount(pixels.reshape(-1), minlength=1 << 16)
        else:
            found, counts = np.unique(packed(pixels), return_counts=True)
            for color, count in zip(found.tolist(), counts.tolist(), strict=True):
                colors[color] = colors.get(color, 0) + count
            _check_count(len(colors.keys() - {_BLACK}), path)
        progress("reading label maps", done, len(files), path.name)
    if len(kinds) > 1:
        first, second = kinds.values()
        raise LabelError(
            f"{first} is a picture of one kind and {second} of another (values and colours); expected one "
            "kind; "
            "convert them, or keep them apart"
        )
    if colors:
        return _of_colors(colors, names, files=len(files))
    return _of_values(values, names, void, files)


def _label_pngs(data: Path) -> list[Path]:
    existing_folder(data, expected="a folder with label PNGs, such as videos/NAME/labels/STEM.png")
    native = [path for part in ("labels", "truth") for path in sorted(data.glob(f"videos/*/{part}/*.png"))]
    found = native or label_files(Source(path=data, root=data))
    if not found:
        raise DatasetError(
            f"{data} holds no label PNG; expected videos/NAME/labels/STEM.png, or PNGs in a folder of masks"
        )
    return found


def _check_count(count: int, path: Path) -> None:
    if count > _MOST_CLASSES:
        raise LabelError(
            f"{path} and those before it hold {count} colours; expected one for each of up to "
            f"{_MOST_CLASSES} "
            "classes; export label maps without smoothing, as PNG all the way"
        )


def _of_values(
    counts: NDArray[np.int64], names: Sequence[str], void: Sequence[int], files: Sequence[Path]
) -> Proposal:
    unlabelled = {VOID, *void}
    values = [value for value in np.flatnonzero(counts).tolist() if value not in unlabelled]
    if not values:
        raise DatasetError(
            f"the label PNGs below {files[0].parent} hold no value but void; label some pixels first"
        )
    if values[-1] > VOID:
        raise LabelError(
            f"the label PNGs below {files[0].parent} hold the values {shorten(values[::-1])}; expected class "
            "ids up "
            "to 254; these may be instances, export class ids"
        )
    own = [*range(len(values))] != values
    return Proposal(
        classes=ClassSet(
            names=_names(names, len(values), f"values {shorten(values)}"),
            colors=distinct_colors([None] * len(values)),
            file_ids=tuple(values) if own else (),
            void_ids=tuple(sorted({*void} - {VOID})),
        ),
        pixels=tuple(counts[values].tolist()),
        files=len(files),
        in_colors=False,
    )


def _of_colors(counts: dict[int, int], names: Sequence[str], *, files: int) -> Proposal:
    ordered = sorted((color for color in counts if color != _BLACK), key=lambda color: -counts[color])
    colors: list[Color] = [(color >> 16, color >> 8 & 255, color & 255) for color in ordered]
    return Proposal(
        classes=ClassSet(
            names=_names(names, len(colors), f"colours {shorten(colors)}"), colors=tuple(colors)
        ),
        pixels=tuple(counts[color] for color in ordered),
        files=files,
        in_colors=True,
    )


def _names(names: Sequence[str], count: int, found: str) -> tuple[str, ...]:
    """Return a name for each class.

    Raises:
        DatasetError: There are more or fewer than classes.
    """
    if not names:
        return tuple(f"class-{position}" for position in range(count))
    if len(names) != count:
        raise DatasetError(
            f"--names has {len(names)} names, but the label PNGs have {found}; expected {count} names"
        )
    return tuple(clean_name(name, where="--names") for name in names)
