"""Tests of datasets/apolloscape_split.py: records are divided by a seed or a file, never a record in two."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from warprefine.core.errors import DatasetError
from warprefine.datasets.apolloscape_split import (
    VALIDATION_SHARE,
    choose_part,
    divide_records,
    read_record_split,
    write_record_split,
)

COUNTS = {f"road0{road}/Record{number:03d}": 40 * road + number for road in (1, 2) for number in range(40)}
FEW = {"road01/Record001": 21, "road01/Record002": 42}


@pytest.mark.parametrize("seed", [0, 3])
def test_a_sixth_of_the_frames_is_for_validation(seed: int) -> None:
    """Every record is on one side, and validation has about 17 % of the frames."""
    split = divide_records(COUNTS, seed=seed)

    assert sorted([*split.train, *split.val]) == sorted(COUNTS)
    share = sum(COUNTS[record] for record in split.val) / sum(COUNTS.values())
    assert share == pytest.approx(VALIDATION_SHARE, abs=0.02)


def test_a_seed_decides() -> None:
    """The order in which records are found plays no part; another seed draws others."""
    backwards = dict(reversed(COUNTS.items()))

    assert divide_records(COUNTS, seed=0) == divide_records(backwards, seed=0)
    assert divide_records(COUNTS, seed=0).val != divide_records(COUNTS, seed=3).val


def test_the_division_is_the_same_for_everyone() -> None:
    """What seed 0 draws is fixed, or results of different machines could not be compared."""
    assert divide_records(dict.fromkeys(("a", "b", "c", "d", "e", "f"), 21), seed=0).val == ("e",)


@pytest.mark.parametrize(("counts", "sizes"), [(FEW, (1, 1)), ({"road01/Record001": 21}, (1, 0))])
def test_two_records_are_enough_for_both_sides(counts: dict[str, int], sizes: tuple[int, int]) -> None:
    """Neither side is empty, except that a single record is for training."""
    split = divide_records(counts, seed=0)

    assert (len(split.train), len(split.val)) == sizes


def test_splits_have_names() -> None:
    """all, train, val and val-frames, with seed 0 or another."""
    drawn = divide_records(COUNTS, seed=3)

    assert choose_part("all", COUNTS).records == {*COUNTS}
    assert choose_part("train", COUNTS).records == {*divide_records(COUNTS, seed=0).train}
    assert choose_part("train-seed3", COUNTS).records == {*drawn.train}
    assert choose_part("val-seed3", COUNTS).records == {*drawn.val}
    assert not choose_part("val-seed3", COUNTS).single_frames
    assert choose_part("val-frames-seed3", COUNTS).records == {*drawn.val}
    assert choose_part("val-frames-seed3", COUNTS).single_frames


def test_a_file_says_the_same_again(tmp_path: Path) -> None:
    """What was written down is what is read, whatever the seed of the reader would be."""
    split = divide_records(COUNTS, seed=7)
    write_record_split(tmp_path / "split.json", split)

    assert json.loads((tmp_path / "split.json").read_text())["dataset"] == "apolloscape"
    assert read_record_split(tmp_path / "split.json", COUNTS) == split
    for part, records in (("train", split.train), ("val", split.val), ("val-frames", split.val)):
        chosen = choose_part(f"{part}@{tmp_path / 'split.json'}", COUNTS)
        assert chosen.records == {*records}
        assert chosen.single_frames is (part == "val-frames")


@pytest.mark.parametrize("split", ["test", "all-seed3", "train-seed", "val@", "train-frames"])
def test_other_splits_are_refused(split: str) -> None:
    """A wrong name is reported with the right ones."""
    with pytest.raises(
        DatasetError, match=rf"split '{split}' is no split of ApolloScape; expected all, train,"
    ):
        choose_part(split, COUNTS)


WRONG = {
    "another data set": ({"dataset": "kitti"}, r"is no split of ApolloScape; expected \{\"dataset\""),
    "no object": ([1], r"is no split of ApolloScape"),
    "no lists": ({"seed": 0, "train": 1, "val": []}, r"is no split .*; expected a number as seed, and lists"),
    "no names": (
        {"seed": 0, "train": [], "val": [1]},
        r"is no split .*; expected a number as seed, and lists",
    ),
    "no seed": ({"train": [], "val": []}, r"is no split .*; expected a number as seed, and lists"),
    "twice": (
        {"seed": 0, "train": ["road01/Record001"], "val": ["road01/Record001", "road01/Record002"]},
        r"names records twice: road01/Record001; each is for train or for val",
    ),
    "unknown": (
        {"seed": 0, "train": [*FEW], "val": ["road03/Record001"]},
        r"names records that are not there: road03/Record001; unpack them too",
    ),
    "missing": (
        {"seed": 0, "train": ["road01/Record001"], "val": []},
        r"leaves records out that are there: road01/Record002; add each to train or to val",
    ),
}


@pytest.mark.parametrize(("content", "words"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, content: object, words: str) -> None:
    """A file of other data, or one that does not fit what is there, is no division."""
    if isinstance(content, dict):
        content = {"dataset": "apolloscape", **content}
    (tmp_path / "split.json").write_text(json.dumps(content))

    with pytest.raises(DatasetError, match=rf"split\.json {words}"):
        read_record_split(tmp_path / "split.json", FEW)


def test_a_file_that_is_not_there_or_not_json_is_told(tmp_path: Path) -> None:
    """The message names the command that writes one."""
    with pytest.raises(
        DatasetError, match=r"no file .*split\.json; expected .* `warprefine split apolloscape` writes"
    ):
        read_record_split(tmp_path / "split.json", FEW)
    (tmp_path / "split.json").write_text("{")
    with pytest.raises(DatasetError, match=r"split\.json is no JSON file: .*; correct it there"):
        read_record_split(tmp_path / "split.json", FEW)
