"""Tests of jobs/convert.py: an interrupted conversion resumes, and two are never mixed."""

from __future__ import annotations

from pathlib import Path

import pytest

from warprefine.core.errors import RunFolderError
from warprefine.jobs.convert import claimed, filling


def test_a_folder_belongs_to_one_conversion(tmp_path: Path) -> None:
    """The same settings go on, others are refused with both values."""
    for _ in range(2):
        with claimed(tmp_path / "out", {"dataset": "nyuv2", "fps": 2.0}):
            pass

    with (
        pytest.raises(
            RunFolderError, match=r"out holds a conversion with fps = 2\.0, but .* says 4\.0; choose"
        ),
        claimed(tmp_path / "out", {"dataset": "nyuv2", "fps": 4.0}),
    ):
        pass
    (tmp_path / "out/conversion.json").write_text("{")
    with (
        pytest.raises(RunFolderError, match=r"conversion\.json is damaged \(.*\); .*; choose another --out"),
        claimed(tmp_path / "out", {"dataset": "nyuv2"}),
    ):
        pass


def test_a_video_appears_when_it_is_whole(tmp_path: Path) -> None:
    """What an interrupted conversion left half-written is thrown away by the next."""
    folder = tmp_path / "videos/kitchen"

    def interrupted() -> None:
        with filling(folder) as draft:
            (draft / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not folder.exists()
    with filling(folder) as draft:
        (draft / "whole").touch()
        assert not folder.exists()

    assert [path.name for path in folder.iterdir()] == ["whole"]
    assert [path.name for path in folder.parent.iterdir()] == ["kitchen"]


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    """It is reported as any place that cannot be written."""
    (tmp_path / "file").touch()

    with pytest.raises(RunFolderError, match=r"cannot write .*: a part of the path is a file"):
        filling(tmp_path / "file/video").__enter__()
