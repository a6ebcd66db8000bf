"""Tests of io/claims.py: a folder is about one thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from warprefine.core.errors import RunFolderError
from warprefine.io.claims import claim


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


def test_a_damaged_claim(tmp_path: Path) -> None:
    """What is no JSON is nobody's claim."""
    (tmp_path / "job.json").write_text("{")

    with pytest.raises(RunFolderError, match="is damaged"):
        claim(tmp_path / "job.json", {}, what="run")
