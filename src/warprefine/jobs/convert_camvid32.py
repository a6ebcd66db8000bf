"""Convert CamVid's archive, whose labels are colours, to data set folders with index label maps."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from warprefine.core.errors import DatasetError, FrameError, LabelError, shorten
from warprefine.core.progress import Progress, silent
from warprefine.core.tensors import LabelMaps
from warprefine.datasets.camvid32 import CAMVID32_CLASSES, SPLITS, read_label_colors, split_of
from warprefine.datasets.class_file import write_classes
from warprefine.datasets.files import existing_folder, frames_in, visible
from warprefine.io.atomic import copy_file
from warprefine.io.claims import check_apart
from warprefine.io.images import read_frame, write_labels
from warprefine.io.label_pixels import NO_CLASS, color_table, packed, shown_colors
from warprefine.io.text import read_text
from warprefine.jobs.convert import claimed, filling

_PICTURES, _LABELS, _LABEL_ENDING = "701_StillsRaw_full", "LabeledApproved_full", "_L.png"


def convert_camvid32(
    source: Path, out: Path, *, lists: Path | None = None, progress: Progress = silent
) -> None:
    """Write OUT/train, OUT/val and OUT/test as data set folders, each picture a video of one frame.

    Pictures are copied unchanged. Existing videos are kept.

    Args:
        source: Holds 701_StillsRaw_full, LabeledApproved_full and, if the labels have other colours than
            the official ones, label_colors.txt.
        lists: Holds train.txt, val.txt and test.txt, which begin each line with a picture's name or path;
            the split of Sturgess et al. and SegNet, if not given.

    Raises:
        DatasetError: A folder or list is missing, or pictures, labels and lists do not match.
        FrameError: A label picture cannot be read.
        LabelError: It holds a colour of no label.
        RunFolderError: `out` cannot be written, holds another conversion, or lies in `source`.
    """
    check_apart(out, source)
    pairs = _pairs(source)
    chosen = _listed(lists, pairs) if lists else {stem: split_of(stem) for stem in pairs}
    colors = source / "label_colors.txt"
    classes = read_label_colors(colors) if colors.is_file() else CAMVID32_CLASSES
    conversion = {"dataset": "camvid32", "classes": classes.fingerprint(), "splits": chosen}
    with claimed(out, conversion):
        table = color_table(classes)
        for done, (stem, split) in enumerate(chosen.items(), start=1):
            folder = out / split / "videos" / stem
            picture, labels = pairs[stem]
            if not folder.exists():
                with filling(folder) as draft:
                    copy_file(picture, draft / "frames" / picture.name)
                    write_labels(draft / "labels" / f"{stem}.png", read_color_labels(labels, table), classes)
            progress("Converting CamVid", done, len(chosen))
        for split in sorted(set(chosen.values())):
            write_classes(out / split / "classes.toml", classes)


def read_color_labels(path: Path, table: NDArray[np.int16]) -> LabelMaps:
    """Read a picture whose colours are labels as a label map, (1, h, w).

    Raises:
        FrameError: The file is missing, cut short or no picture.
        LabelError: It holds a colour that is not in the table; the message names those of its folder.
    """
    colors = _colors(path)
    positions = table[packed(colors)]
    if (positions == NO_CLASS).any():
        strays = [colors[positions == NO_CLASS]]
        others = [other for other in visible(path.parent) if other.name.endswith(_LABEL_ENDING)]
        for other in others:  # all at once, since whoever mends a list wants to do so once
            with suppress(FrameError):
                found = _colors(other) if other != path else np.empty((0, 3), np.uint8)
                strays.append(found[table[packed(found)] == NO_CLASS])
        beside = " and those beside it hold" if any(map(len, strays[1:])) else " holds"
        raise LabelError(
            f"label picture {path}{beside} colours of no label: {shown_colors(np.concatenate(strays))}; "
            f"paint them over, or name them in label_colors.txt beside {_LABELS}"
        )
    return torch.from_numpy(positions.astype(np.uint8))[None]


def _colors(path: Path) -> NDArray[np.uint8]:
    return read_frame(path)[0].permute(1, 2, 0).numpy()


def _pairs(source: Path) -> dict[str, tuple[Path, Path]]:
    """Find the picture and the label picture of each stem."""
    existing_folder(source, expected=f"a folder of CamVid with {_PICTURES} and {_LABELS}")
    pictures = {path.stem: path for path in frames_in(source / _PICTURES)}
    folder = existing_folder(source / _LABELS, expected="the label pictures of CamVid, STEM_L.png")
    files = [path for path in visible(folder) if path.name.endswith(_LABEL_ENDING)]
    labels = {path.name.removesuffix(_LABEL_ENDING): path for path in files}
    alone = sorted(pictures.keys() ^ labels.keys())
    if alone:
        raise DatasetError(
            f"{source} has a picture without labels, or labels without a picture, of {shorten(alone)}; "
            f"expected {_PICTURES}/STEM.png and {_LABELS}/STEM{_LABEL_ENDING} for each"
        )
    return {stem: (pictures[stem], labels[stem]) for stem in pictures}


def _listed(lists: Path, pairs: Mapping[str, object]) -> dict[str, str]:
    """Read the split of each picture."""
    existing_folder(lists, expected="lists of pictures: train.txt, val.txt and test.txt")
    chosen: dict[str, str] = {}
    for split in SPLITS:
        path = lists / f"{split}.txt"
        expected = "a list of pictures"
        text = read_text(path, expected=expected, error_class=DatasetError) if path.exists() else ""
        for stem in (Path(line.split()[0]).stem for line in text.splitlines() if line.strip()):
            if stem not in pairs or stem in chosen:
                trouble = f"which {chosen[stem]}.txt lists too" if stem in chosen else "which is not there"
                raise DatasetError(
                    f"{path} lists {stem}, {trouble}; expected each picture in one list, by name or path"
                )
            chosen[stem] = split
    if not chosen:
        raise DatasetError(f"{lists} lists no pictures; expected train.txt, val.txt and test.txt in it")
    return chosen
