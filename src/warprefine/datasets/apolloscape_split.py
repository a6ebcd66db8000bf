"""Divide the records of ApolloScape into training and validation, by a seed or by a shared file.

The paper joins the published training and validation sets and divides them anew at the level of
Record-ID, at random, so that no partition has frames of both (Warp-Refine Propagation, ICCV 2021,
supplement C.2). Its own division was not published.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from warprefine.core.errors import DatasetError, shorten
from warprefine.io.atomic import write_text
from warprefine.io.locks import locked_file
from warprefine.io.text import read_json

VALIDATION_SHARE = 8327 / 49287
"""Share of the frames in ApolloScape's own validation set."""

_SPLIT = re.compile(r"all|(?P<part>train|val|val-frames)(?:-seed(?P<seed>\d+)|@(?P<file>.+))?")


@dataclass(frozen=True, kw_only=True)
class RecordSplit:
    """Which records, such as road01/Record001, are for training and which for validation."""

    seed: int
    train: tuple[str, ...]
    val: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Contents of a split: its records, as single frames or as partitions."""

    records: frozenset[str]
    single_frames: bool = False


def choose_part(split: str, frame_counts: Mapping[str, int]) -> Part:
    """Parse the name of a split: all, train, val, val-frames, val-seed3, val@FILE and the like.

    Args:
        frame_counts: Number of frames of every record found.

    Raises:
        DatasetError: The split does not exist, or its file is damaged or lists other records.

    Example:
        >>> choose_part("train", {"road01/Record001": 900, "road01/Record002": 100}).records
        frozenset({'road01/Record002'})
    """
    match = _SPLIT.fullmatch(split)
    if match is None:
        raise DatasetError(
            f"split {split!r} is no split of ApolloScape; expected all, train, val or val-frames, the last "
            f"three also with another seed (val-seed3) or a file of `warprefine split apolloscape` (val@FILE)"
        )
    if match["part"] is None:
        return Part(records=frozenset(frame_counts))
    if match["file"]:
        records = read_record_split(Path(match["file"]), frame_counts)
    else:
        records = divide_records(frame_counts, seed=int(match["seed"] or 0))
    chosen = records.train if match["part"] == "train" else records.val
    return Part(records=frozenset(chosen), single_frames=match["part"] == "val-frames")


def divide_records(frame_counts: Mapping[str, int], *, seed: int) -> RecordSplit:
    """Draw records for validation until they hold about 17 % of all frames.

    The same records and seed give the same division on every machine. Where there are two records or
    more, neither side is empty; a single record is for training.

    Example:
        >>> counts = {"road01/Record001": 400, "road01/Record002": 100, "road02/Record001": 100}
        >>> divide_records(counts, seed=0).val
        ('road01/Record001',)
    """
    # Unlike a shuffle, the order of hashes is the same in every release of Python and NumPy.
    drawn = sorted(frame_counts, key=lambda record: hashlib.sha256(f"{seed} {record}".encode()).digest())
    wanted = VALIDATION_SHARE * sum(frame_counts.values())
    sizes = [sum(frame_counts[record] for record in drawn[:count]) for count in range(len(drawn))]
    count = min(range(1, len(drawn)), key=lambda number: abs(sizes[number] - wanted), default=0)
    return RecordSplit(seed=seed, train=tuple(sorted(drawn[count:])), val=tuple(sorted(drawn[:count])))


def write_record_split(path: Path, split: RecordSplit) -> None:
    """Write a division as JSON, to be published beside results."""
    content = {"dataset": "apolloscape", "seed": split.seed, "train": split.train, "val": split.val}
    with locked_file(path):
        write_text(path, json.dumps(content, indent=2) + "\n")


def read_record_split(path: Path, records: Mapping[str, int]) -> RecordSplit:
    """Read a division and check it against the records found.

    Raises:
        DatasetError: The file is missing or damaged, names a record twice, or lists other records than
            those found.
    """
    split = _parsed(path)
    named = [*split.train, *split.val]
    twice = sorted({record for record in named if named.count(record) > 1})
    if twice:
        raise DatasetError(f"{path} names records twice: {shorten(twice)}; each is for train or for val")
    unknown, missing = sorted({*named} - {*records}), sorted({*records} - {*named})
    if unknown:
        raise DatasetError(f"{path} names records that are not there: {shorten(unknown)}; unpack them too")
    if missing:
        raise DatasetError(
            f"{path} leaves records out that are there: {shorten(missing)}; add each to train or to val"
        )
    return split


def _parsed(path: Path) -> RecordSplit:
    expected = "a split, which `warprefine split apolloscape` writes"
    content = read_json(path, expected=expected, error_class=DatasetError)
    if not isinstance(content, dict) or content.get("dataset") != "apolloscape":
        raise DatasetError(f'{path} is no split of ApolloScape; expected {{"dataset": "apolloscape", ...}}')
    seed, train, val = (content.get(key) for key in ("seed", "train", "val"))
    if not _all_text(train) or not _all_text(val) or not isinstance(seed, int):
        raise DatasetError(
            f"{path} is no split of ApolloScape; expected a number as seed, and lists of records such as "
            f'"road01/Record001" as train and val'
        )
    return RecordSplit(seed=seed, train=tuple(train), val=tuple(val))


def _all_text(values: object) -> TypeGuard[list[str]]:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
