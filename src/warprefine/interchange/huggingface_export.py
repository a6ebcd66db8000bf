"""Write Hugging Face data sets: Parquet with pictures and label maps, names of classes, and a card.

DEST/data/train-00000-of-00001.parquet    columns image, label (PNG), video, frame, index, classes
DEST/id2label.json                        names of the values
DEST/README.md                            the card

The package `datasets` reads them, and is not needed to write them: what it wants to know stands in the
metadata of the schema.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID
from warprefine.interchange.card import class_table
from warprefine.interchange.exported import Exported, ExportedFrame, ExportOptions
from warprefine.interchange.format import Exporter
from warprefine.interchange.imported import Positions
from warprefine.interchange.packages import package
from warprefine.io.places import at_hand

_SPLITS = {"train": "train", "val": "validation"}
_LARGEST_SHARD = 400 << 20
"""Bytes; the Hub shows files of up to 500 MB as they are."""
_LARGEST_GROUP = 32 << 20
_MOST_IN_GROUP = 100  # rows; the viewer of the Hub reads whole groups
_LEVEL = 3  # zlib's


def write_huggingface(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write a row for each frame; pictures are the bytes of their files, label maps PNGs of values."""
    classes = labelled.classes
    pixels = np.zeros(VOID + 1, np.int64)
    rows = dict.fromkeys(_SPLITS, 0)
    with _Shards(dest / "data", classes) as shards:
        for frame in labelled.frames():
            labels = frame.labels()
            pixels += np.bincount(labels.reshape(-1), minlength=VOID + 1)
            rows[frame.split] += 1
            shards.add(_SPLITS[frame.split], _row(frame, labels, pictures=options.pictures))
    names = {str(number): name for number, name in enumerate(classes.names)}
    text = json.dumps(names, ensure_ascii=False, indent=2)
    (dest / "id2label.json").write_text(f"{text}\n", encoding="utf-8")
    card = _card(classes, pixels, {_SPLITS[split]: count for split, count in rows.items() if count}, options)
    (dest / "README.md").write_text(card, encoding="utf-8", newline="\n")
    if classes.ids == tuple(range(len(classes))):
        return []
    return [f"values are the positions of the classes from 0, and not their ids {classes.ids[:3]}..."]


def _row(frame: ExportedFrame, labels: Positions, *, pictures: bool) -> dict[str, Any]:
    shown = [position for position in np.unique(labels).tolist() if position != VOID]
    label = {"bytes": _png(labels), "path": f"{frame.video}/{frame.stem}.png"}
    image = {"bytes": _picture(frame), "path": frame.path} if pictures else None
    return {
        "image": image,
        "label": label,
        "video": frame.video,
        "frame": frame.stem,
        "index": frame.number,
        "classes": shown,
    }


def _picture(frame: ExportedFrame) -> bytes:
    """Return the bytes of a picture: those of its file, else a PNG."""
    if frame.picture is None:
        return _png(frame.pixels())
    return at_hand(frame.picture).read_bytes()


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", compress_level=_LEVEL)
    return file.getvalue()


def features(classes: ClassSet) -> dict[str, Any]:
    """Return the features of the columns as `datasets` writes them; the names are those of `classes`."""
    return {
        "image": {"_type": "Image"},
        "label": {"_type": "Image"},
        "video": {"dtype": "string", "_type": "Value"},
        "frame": {"dtype": "string", "_type": "Value"},
        "index": {"dtype": "int32", "_type": "Value"},
        # A list in brackets is read by all releases; they have called it Sequence and List.
        "classes": [{"names": list(classes.names), "_type": "ClassLabel"}],
    }


class _Shards:
    """Writes rows of some splits into Parquet files of bounded size; their number is in their names."""

    def __init__(self, folder: Path, classes: ClassSet) -> None:
        self._arrow = package("pyarrow", needed_for="Hugging Face data sets")
        self._parquet = package("pyarrow.parquet", needed_for="Hugging Face data sets")
        arrow = self._arrow
        picture = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
        information = json.dumps({"info": {"features": features(classes)}})
        self._schema = arrow.schema(
            [
                ("image", picture),
                ("label", picture),
                ("video", arrow.string()),
                ("frame", arrow.string()),
                ("index", arrow.int32()),
                ("classes", arrow.list_(arrow.int64())),
            ],
            metadata={"huggingface": information},
        )
        self._folder = folder
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._bytes: dict[str, int] = {}
        self._writers: dict[str, Any] = {}
        self._files: dict[str, list[Path]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> _Shards:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits, unless there was an error, and name the files."""
        for split in [*self._files] if kind is None else []:
            self._flush(split)
        for writer in self._writers.values():
            writer.close()
        for split, files in self._files.items() if kind is None else []:
            for number, path in enumerate(files):
                path.rename(self._folder / f"{split}-{number:05d}-of-{len(files):05d}.parquet")

    def add(self, split: str, row: dict[str, Any]) -> None:
        """Write a row."""
        waiting = self._waiting.setdefault(split, [])
        waiting.append(row)
        self._files.setdefault(split, [])
        if len(waiting) >= _MOST_IN_GROUP or sum(map(_size, waiting)) >= _LARGEST_GROUP:
            self._flush(split)

    def _flush(self, split: str) -> None:
        """Write a group of rows, into the next file where the last one is full."""
        rows = self._waiting.pop(split, [])
        if not rows:
            return
        size = sum(map(_size, rows))
        if split in self._writers and self._bytes[split] + size > _LARGEST_SHARD:
            self._writers.pop(split).close()
        if split not in self._writers:
            path = self._folder / f"{split}-{len(self._files[split]):05d}.draft"
            self._writers[split] = self._parquet.ParquetWriter(path, self._schema, compression="snappy")
            self._files[split].append(path)
            self._bytes[split] = 0
        self._writers[split].write_table(self._arrow.Table.from_pylist(rows, schema=self._schema))
        self._bytes[split] += size


def _size(row: dict[str, Any]) -> int:
    return sum(len(row[name]["bytes"]) for name in ("image", "label") if row[name] is not None)


def _card(classes: ClassSet, pixels: np.ndarray, rows: dict[str, int], options: ExportOptions) -> str:
    """Return the card: what the columns and values mean, and how many there are."""
    yaml = package("yaml", needed_for="the card of a Hugging Face data set")
    files = [{"split": split, "path": f"data/{split}-*"} for split in rows]
    head = {
        "task_categories": ["image-segmentation"],
        "tags": ["semantic-segmentation", "video"],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    front = yaml.safe_dump(head, allow_unicode=True, sort_keys=False)
    counted = ", ".join(f"{split} {count}" for split, count in rows.items())
    unsure = f" Labels less sure than {options.min_confidence:g} are void." if options.min_confidence else ""
    return f"""---
{front}---
# Frames of videos with a label map each

Frames: {counted}.

- `image`: the picture; `label`: a PNG of one channel, the value of the class of each pixel.
- Value {VOID} is void, to be ignored by losses and scores.{unsure}
- `video`, `frame`: their names; `index`: the number of the frame in its video, from 0.
- `classes`: the classes that the label map has; its feature has the names of all.

{class_table(classes, pixels.tolist())}

```python
from datasets import load_dataset

frames = load_dataset("path/of/this/folder", split="train")
names = frames.features["classes"].feature.names
```
"""


EXPORT_HUGGINGFACE = Exporter(
    write=write_huggingface,
    about="data/train-*.parquet with pictures and labels, id2label.json, README.md",
    keeps="labels, void (255), class names (features and id2label.json), decode indices, splits",
    loses="ids: values are positions; colours stand in the card alone",
    lossless=True,
    pictures=True,
)
