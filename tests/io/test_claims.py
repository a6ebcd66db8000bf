"""Tests of io/claims.py: a folder is about one thing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from warprefine.core.errors import RunFolderError
from warprefine.io.claims import check_apart, check_cache, claim, read_claim


def test_a_folder_may_be_claimed_again_for_the_same(tmp_path: Path) -> None:
    """A second claim of the same leaves the file as it is, tuples being as good as lists."""
    path = tmp_path / "job.json"
    claim(path, {"seeds": (1, 2), "out": None}, what="run")
    before = path.read_bytes()
    claim(path, {"out": None, "seeds": [1, 2]}, what="run")

    assert path.read_bytes() == before


@pytest.mark.parametrize("other", [{"a": 1, "b": 3}, {"a": 1}, {"a": 1, "b": 2, "c": 0}])
def test_a_folder_of_another_job_is_refused(tmp_path: Path, other: dict[str, int]) -> None:
    """The message names what differs."""
    path = tmp_path / "job.json"
    claim(path, {"a": 1, "b": 2}, what="run")

    with pytest.raises(
        RunFolderError, match=rf"holds a run with {'c' if 'c' in other else 'b'} = .*choose another --out"
    ):
        claim(path, other, what="run")


def test_a_record_that_lacks_a_newer_key_stands_for_what_was_done_before(tmp_path: Path) -> None:
    """The former value goes on, another is refused; what is recorded counts, and other keys are strict."""
    path, former = tmp_path / "job.json", {"recipe.new": 0.0, "recipe.old": 1}
    claim(path, {"recipe": {"old": 2}}, what="run")

    claim(path, {"recipe": {"old": 2, "new": 0}}, what="run", former=former)
    claim(path, {"recipe": {"old": 2}}, what="run", former=former)
    assert read_claim(path) == {"recipe": {"old": 2}}
    with pytest.raises(RunFolderError, match=r"recipe\.new = 0\.0, but this command says 0\.5"):
        claim(path, {"recipe": {"old": 2, "new": 0.5}}, what="run", former=former)
    with pytest.raises(RunFolderError, match=r"recipe\.old = 2, but this command says 1"):
        claim(path, {"recipe": {"old": 1, "new": 0}}, what="run", former=former)
    with pytest.raises(RunFolderError, match=r"recipe\.third = None, but this command says 0"):
        claim(path, {"recipe": {"old": 2, "third": 0}}, what="run", former=former)


def test_a_changeable_key_may_change_and_is_recorded(tmp_path: Path) -> None:
    """The new value is that of the folder from then on, also where an earlier version recorded none."""
    path, changeable = tmp_path / "job.json", ("recipe.how.sure", "recipe.new")
    claim(path, {"recipe": {"how": {"sure": 0}}, "seed": 1}, what="run")
    content = {"recipe": {"how": {"sure": 8}, "new": 2}, "seed": 1}

    with pytest.raises(RunFolderError, match=r"recipe\.how\.sure = 0, but this command says 8"):
        claim(path, content, what="run")
    claim(path, content, what="run", former={"recipe.new": 0}, changeable=changeable)
    assert read_claim(path) == content
    with pytest.raises(RunFolderError, match="seed = 1, but this command says 2"):
        claim(path, {**content, "seed": 2}, what="run", changeable=changeable)
    assert read_claim(path) == content


def test_a_damaged_claim(tmp_path: Path) -> None:
    """What is no JSON is nobody's claim."""
    (tmp_path / "job.json").write_text("{")

    with pytest.raises(RunFolderError, match="is damaged"):
        claim(tmp_path / "job.json", {}, what="run")


@pytest.mark.parametrize(
    ("out", "data", "words"),
    [
        ("data/videos/new", "data", "lies in"),
        ("data", "data", "lies in"),
        ("data/../data/new", "data", "lies in"),
        (".", "data", "holds"),
        ("link/new", "data", "lies in"),
    ],
)
def test_what_is_written_lies_apart_from_what_is_read(
    tmp_path: Path, out: str, data: str, words: str
) -> None:
    """A run in its own data would be read as a video by the next one; links lead there too."""
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")

    with pytest.raises(
        RunFolderError, match=rf"to be written, {words} .*data, which is read; .*another --out"
    ):
        check_apart(tmp_path / out, tmp_path.parent / "other", tmp_path / data)


def test_neighbours_are_apart(tmp_path: Path) -> None:
    """A folder beside the data is a folder of its own, also one that begins with the same letters."""
    (tmp_path / "data").mkdir()

    check_apart(tmp_path / "run", tmp_path / "data")
    check_apart(tmp_path / "data2/run", tmp_path / "data")


@pytest.mark.parametrize(
    ("cache", "message"),
    [
        ("data/cache", r"the cache .*cache lies in .*data, which is read; .*choose another --cache"),
        ("data", r"lies in .*data, which is read"),
        (".", r"holds .*other, which is read"),
        ("runs", r"holds the run folder .*runs/new; expected a folder outside of all run folders"),
        ("runs/new", r"holds the run folder .*runs/new"),
        ("runs/new/cache", r"lies in .*runs/new; expected a folder outside of all run folders"),
        ("elsewhere/old/cache", r"lies in .*elsewhere/old; expected a folder outside of all run folders"),
    ],
)
def test_a_cache_of_several_runs_lies_apart(tmp_path: Path, cache: str, message: str) -> None:
    """It may be deleted, and so may drafts in a run folder, also of a run that is over."""
    claim(tmp_path / "elsewhere/old/job.json", {}, what="run")

    with pytest.raises(RunFolderError, match=message):
        check_cache(tmp_path / cache, tmp_path / "runs/new", tmp_path / "other", tmp_path / "data")


def test_a_cache_may_lie_beside_runs(tmp_path: Path) -> None:
    """Any folder will do that is neither data nor a run."""
    claim(tmp_path / "runs/old/job.json", {}, what="run")

    check_cache(tmp_path / "runs/cache", tmp_path / "runs/new", tmp_path / "data")


def test_a_claim_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk refuses is told with the name of the file."""
    claim(tmp_path / "job.json", {}, what="run")

    def refuse(*_: object, **__: object) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(RunFolderError, match=r"cannot read .*job\.json: Input/output error"):
        claim(tmp_path / "job.json", {}, what="run")


@pytest.mark.parametrize("content", ["[]", "null", "3", "[" * 5000])
def test_a_claim_of_another_shape(tmp_path: Path, content: str) -> None:
    """A file that is JSON, but holds no table, is damaged too."""
    path = tmp_path / "job.json"
    path.write_text(content)

    with pytest.raises(RunFolderError, match=r"job\.json is damaged \(.+\); expected what warprefine wrote"):
        claim(path, {"horizon": 3}, what="run")


@pytest.mark.parametrize("content", ["[]", "null", '"run"', "{}", '{"data": 3}', "[" * 9000])
def test_a_record_of_another_shape_is_damaged(tmp_path: Path, content: str) -> None:
    """Whatever JSON it is."""
    (tmp_path / "job.json").write_text(content)

    with pytest.raises(RunFolderError, match=r"job\.json is damaged \(.*\); expected what warprefine wrote"):
        read_claim(tmp_path / "job.json", {"data": dict})
