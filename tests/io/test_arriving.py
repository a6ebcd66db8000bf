"""Tests of io/arriving.py: all files of a frame change at once, whenever a process is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from warprefine.core.pseudolabel import Provenance
from warprefine.io.arriving import ArrivingFiles
from warprefine.io.manifest import ArrivedFrame
from warprefine.io.run import RunFolder


def write(run: RunFolder, frame: int, text: str, **more: Any) -> ArrivedFrame:
    """Write both files of a frame to where they arrive."""
    places = [run.labels_path("plus", "clip", f"{frame}"), run.confidence_path("plus", "clip", f"{frame}")]
    for place in places:
        run.arriving.path_of(place).parent.mkdir(parents=True, exist_ok=True)
        run.arriving.path_of(place).write_text(text)
    stored = Provenance(method="plus", key_frames=(0,), distance=2, stage=more.pop("stage", "good"))
    return ArrivedFrame(video="clip", frame=frame, provenance=stored, fingerprint="abc", files=places, **more)


def put(run: RunFolder, frame: int, text: str, **more: Any) -> list[Path]:
    """Write both files of a frame and put them in their places; return these."""
    arrived = write(run, frame, text, **more)
    run.manifest.put(arrived)
    return [*arrived.files]


def test_the_files_of_a_frame_are_put_in_their_places_together(tmp_path: Path) -> None:
    """The record tells the stage that they are from, and what data."""
    run = RunFolder(tmp_path)
    put(run, 3, "of first", stage="first", data="old")
    places = put(run, 3, "of good", data="new")

    assert [place.read_text() for place in places] == ["of good", "of good"]
    record = run.manifest.records("clip", "plus")[3]
    assert (record.fingerprint, record.stage, record.data, record.is_whole) == ("abc", "good", "new", True)
    assert run.manifest.provenances("clip", "plus")[3].stage == "good"
    run.manifest.confirm("clip", 3, "plus", stage="best", data="same")
    assert run.manifest.records("clip", "plus", [3])[3].stage == "best"
    assert run.manifest.records("clip", "plus", [2, 4]) == {}
    run.manifest.forget_data()
    assert run.manifest.records("clip", "plus")[3].data == ""


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_files_that_were_recorded_and_not_moved_are_found_and_moved_later(
    tmp_path: Path, moved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who only read find them where they are; the next command puts them in their places."""
    run = RunFolder(tmp_path)
    put(run, 3, "of first", stage="first")
    left = run.arriving.path_of(run.labels_path("plus", "clip", "4"))

    with monkeypatch.context() as patch:
        patch.setattr(ArrivingFiles, "move", lambda self, names: move(self, names[:moved]) or stop())
        with pytest.raises(KeyboardInterrupt):
            put(run, 3, "of good")
    left.write_text("not recorded")

    reader = RunFolder(tmp_path, read_only=True)
    assert reader.manifest.provenances("clip", "plus")[3].stage == "good"
    assert reader.manifest.records("clip", "plus")[3].is_whole
    seen = [reader.labels_path("plus", "clip", "3"), reader.confidence_path("plus", "clip", "3")]
    assert [path.read_text() for path in seen] == ["of good", "of good"]

    again = RunFolder(tmp_path)
    places = [again.labels_path("plus", "clip", "3"), again.confidence_path("plus", "clip", "3")]
    assert [path.read_text() for path in places] == ["of good", "of good"]
    assert not (tmp_path / "arriving").exists()
    assert not again.labels_path("plus", "clip", "4").exists()


@pytest.mark.parametrize("moved", range(5))
def test_frames_that_are_recorded_together_are_all_moved_later(
    tmp_path: Path, moved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of their files were in their places when the process was killed."""
    run = RunFolder(tmp_path)
    arrived = [write(run, frame, f"of {frame}") for frame in (3, 4)]
    with monkeypatch.context() as patch:
        patch.setattr(ArrivingFiles, "move", lambda self, names: move(self, names[:moved]) or stop())
        with pytest.raises(KeyboardInterrupt):
            run.manifest.put(*arrived)

    again = RunFolder(tmp_path)

    assert [path.read_text() for one in arrived for path in one.files] == ["of 3", "of 3", "of 4", "of 4"]
    assert all(record.is_whole for record in again.manifest.records("clip", "plus").values())
    assert [*again.manifest.records("clip", "plus")] == [3, 4]


def test_only_frames_of_the_last_record_may_not_be_in_their_places(tmp_path: Path) -> None:
    """What arrives later for other frames, unrecorded, is never taken for theirs."""
    run = RunFolder(tmp_path)
    places = [put(run, frame, "recorded")[0] for frame in (3, 4, 5)]
    for place in places[:2]:
        run.arriving.path_of(place).write_text("not recorded")

    again = RunFolder(tmp_path)

    assert [place.read_text() for place in places] == ["recorded"] * 3
    put(again, 6, "last")
    again.manifest.settle()
    assert not (tmp_path / "arriving").exists()
    assert again.manifest.records("clip", "plus")[6].is_whole


def stop() -> None:
    raise KeyboardInterrupt


move = ArrivingFiles.move
