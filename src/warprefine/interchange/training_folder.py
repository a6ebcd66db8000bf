"""Write a plain folder for training: pictures and label PNGs of the same names, and what trainers ask for.

DEST/images/train/VIDEO__STEM.png    pictures
DEST/labels/train/VIDEO__STEM.png    label maps: the position of the class, 255 void
DEST/classes.toml                    names and colours
DEST/data.yaml                       for trainers in the way of ultralytics
DEST/mmsegmentation.py               for mmsegmentation
DEST/README.md                       the card
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError
from warprefine.core.tensors import VOID
from warprefine.datasets.class_file import write_classes
from warprefine.interchange.card import class_table
from warprefine.interchange.exported import Exported, ExportedFrame, ExportOptions
from warprefine.interchange.format import Exporter
from warprefine.interchange.packages import package
from warprefine.interchange.pixels import write_colors, write_values

_PLAIN = (".jpg", ".png")
"""Endings of pictures that are copied; trainers look for one ending, and not all read others."""


def write_training_folder(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write pictures and label maps, flat, with the classes and a card.

    All pictures get the same ending: their own, if they have one of JPEG or PNG in common, else PNG.

    Raises:
        DatasetError: Two frames have the same name VIDEO__STEM.
    """
    classes = labelled.classes
    ending = _ending(labelled)
    splits = ("train", "val") if options.split else ("train",)
    names: dict[str, list[str]] = {split: [] for split in splits}
    pixels = np.zeros(VOID + 1, np.int64)
    for split in splits:
        for folder in ("images", "labels"):
            (dest / folder / split).mkdir(parents=True)
    taken: dict[str, str] = {}
    for frame in labelled.frames():
        name, path = frame.flat_name, frame.path
        if taken.setdefault(name, path) != path:
            raise DatasetError(
                f"the frames {taken[name]} and {path} would both be {name}; expected different names; rename "
                "a video, or export index-png"
            )
        labels = frame.labels()
        pixels += np.bincount(labels.reshape(-1), minlength=VOID + 1)
        write_values(dest / "labels" / frame.split / f"{name}.png", labels)
        if options.pictures:
            _write_picture(frame, dest / "images" / frame.split / f"{name}{ending}")
        names[frame.split].append(name)
    write_classes(dest / "classes.toml", ClassSet(names=classes.names, colors=classes.colors))
    for split, found in names.items():
        _write(dest / f"{split}.txt", "".join(f"{name}\n" for name in found))
    _write(dest / "data.yaml", _yaml(classes, splits))
    _write(dest / "mmsegmentation.py", _mmsegmentation(classes, splits, ending))
    _write(dest / "README.md", _card(classes, pixels, names, ending, options))
    return (
        [] if options.split else ["all frames are for training; --split 0.9 holds some back for validation"]
    )


def _ending(labelled: Exported) -> str:
    """Return the ending of the pictures."""
    found = {
        ".png" if video.container else video.frame_paths[number].suffix.lower()
        for video in labelled.videos
        for number in labelled.numbers[video.name]
    }
    found = {".jpg" if ending == ".jpeg" else ending for ending in found}
    return found.pop() if len(found) == 1 and found <= {*_PLAIN} else ".png"


def _write_picture(frame: ExportedFrame, target: Path) -> None:
    same = frame.picture is not None and frame.picture.suffix.lower().replace("jpeg", "jpg") == target.suffix
    if same or frame.picture is None:
        frame.write_picture(target)
    else:
        write_colors(target, frame.pixels())


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _yaml(classes: ClassSet, splits: tuple[str, ...]) -> str:
    yaml = package("yaml", needed_for="data.yaml of a training folder")
    content: dict[str, Any] = {
        "path": ".",
        "train": "images/train",
        "val": f"images/{splits[-1]}",
        "nc": len(classes),
        "names": dict(enumerate(classes.names)),
        "masks_dir": "labels",
    }
    text: str = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    return text


def _mmsegmentation(classes: ClassSet, splits: tuple[str, ...], ending: str) -> str:
    """Return a part of a configuration, which `_base_` of another one can name."""
    lines = [
        '"""The data sets of this folder; set data_root, then name the file in `_base_`."""',
        "",
        'data_root = "."',
        "metainfo = dict(",
        f"    classes={classes.names!r},",
        f"    palette={[list(color) for color in classes.colors]!r},",
        ")",
    ]
    for split in ("train", "val"):
        folder = split if split in splits else splits[-1]
        lines += [
            f"{split}_dataset = dict(",
            '    type="BaseSegDataset",',
            "    data_root=data_root,",
            "    metainfo=metainfo,",
            f'    data_prefix=dict(img_path="images/{folder}", seg_map_path="labels/{folder}"),',
            f'    img_suffix="{ending}",',
            '    seg_map_suffix=".png",',
            "    reduce_zero_label=False,",
            f"    ignore_index={VOID},",
            ")",
        ]
    return "\n".join([*lines, ""])


def _card(
    classes: ClassSet, pixels: np.ndarray, names: dict[str, list[str]], ending: str, options: ExportOptions
) -> str:
    counts = ", ".join(f"{split} {len(found)}" for split, found in names.items())
    unsure = f" Labels less sure than {options.min_confidence:g} are void." if options.min_confidence else ""
    return f"""# Frames and label maps for training

Frames: {counts}; where there are several videos, each is in one split alone.

- `images/SPLIT/NAME{ending}` is labelled by `labels/SPLIT/NAME.png`, 8 bits in one channel.
- NAME is VIDEO__FRAME; `SPLIT.txt` lists the names.
- Value {VOID} is void, to be ignored by losses and scores.{unsure}

{class_table(classes, pixels.tolist())}

- ultralytics (semantic): `data.yaml`, with `path` set to this folder
- mmsegmentation: `mmsegmentation.py` in `_base_`, with `data_root` set to this folder
- elsewhere: `ignore_index={VOID}`; values are indices of classes from 0
"""


EXPORT_TRAINING_FOLDER = Exporter(
    write=write_training_folder,
    about="images/ and labels/ with train and val, data.yaml, mmsegmentation.py, classes.toml, a card",
    keeps="labels, void (255), class names and colours",
    loses="ids: values are positions",
    lossless=False,
    pictures=True,
)
