"""Tests of io/manifest.py and io/manifest_file.py: which frames are done, and where labels come from."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from warprefine.core.errors import RunFolderError
from warprefine.core.pseudolabel import Provenance
from warprefine.io.manifest import Manifest
from warprefine.io.run import RunFolder


def provenance(distance: int, *key_frames: int, method: str = "warp-refine") -> Provenance:
    return Provenance(method=method, key_frames=key_frames, distance=distance)


def mark_done(
    run: RunFolder, *frames: int, video: str = "clip", method: str = "warp-refine", fingerprint: str = "abc"
) -> None:
    """Mark frames as done, which come from key frame 0 and have a file each."""
    files = {k: [run.labels_path(method, video, f"{k:06d}")] for k in frames}
    for (path,) in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("labels")
    provenances = {k: provenance(k, 0, method=method) for k in frames}
    run.manifest.mark_done(video, provenances, method, fingerprint, files=files)


def test_frames_are_done_when_each_is(tmp_path: Path) -> None:
    """One that is missing, or that was begun again, is enough for them not to be."""
    run = RunFolder(tmp_path)
    mark_done(run, 3, 4)
    assert run.manifest.is_done("clip", [3, 4], "warp-refine", "abc")
    assert run.manifest.is_done("clip", [4, 3], "warp-refine", "abc")
    assert not run.manifest.is_done("clip", [3, 5], "warp-refine", "abc")

    run.manifest.mark_begun("clip", [4, 5], "warp-refine")

    assert not run.manifest.is_done("clip", [3, 4], "warp-refine", "abc")
    assert run.manifest.is_done("clip", [3], "warp-refine", "abc")
    assert run.manifest.is_done("clip", [], "warp-refine", "abc")


def test_a_frame_is_done_with_the_same_fingerprint(tmp_path: Path) -> None:
    """Done means done by this method with this fingerprint, also when the run is opened again."""
    mark_done(RunFolder(tmp_path), 3)
    run = RunFolder(tmp_path)

    assert run.manifest.is_done("clip", [3], "warp-refine", "abc")
    assert not run.manifest.is_done("clip", [3], "warp-refine", "abd")
    assert not run.manifest.is_done("clip", [3], "motion-only", "abc")
    assert not run.manifest.is_done("clip", [2], "warp-refine", "abc")
    assert not run.manifest.is_done("other clip", [3], "warp-refine", "abc")


def test_a_frame_whose_file_is_cut_short_or_missing_is_not_done(tmp_path: Path) -> None:
    """A power failure may leave an empty file under the right name: it is made again."""
    run = RunFolder(tmp_path)
    mark_done(run, 3, 4)
    path = run.labels_path("warp-refine", "clip", "000003")

    path.write_bytes(b"")
    assert not run.manifest.is_done("clip", [3, 4], "warp-refine", "abc")
    path.unlink()
    assert not run.manifest.is_done("clip", [3, 4], "warp-refine", "abc")
    assert run.manifest.is_done("clip", [4], "warp-refine", "abc")


def test_a_manifest_of_an_older_version_begins_anew(tmp_path: Path) -> None:
    """It records less than is needed to know that labels are whole, so they are made again."""
    with closing(sqlite3.connect(tmp_path / "manifest.sqlite")) as connection, connection:
        connection.execute(
            "CREATE TABLE pseudo_label (video, frame, method, fingerprint, distance, key_frames)"
        )
        connection.execute("INSERT INTO pseudo_label VALUES ('clip', 3, 'warp-refine', 'abc', 1, '[0]')")

    run = RunFolder(tmp_path)

    assert not run.manifest.is_done("clip", [3], "warp-refine", "abc")
    mark_done(run, 3)
    assert RunFolder(tmp_path).manifest.is_done("clip", [3], "warp-refine", "abc")


def test_a_frame_that_is_redone_replaces_what_it_was(tmp_path: Path) -> None:
    """Labels of new weights replace the old ones, which are then not done any more."""
    run = RunFolder(tmp_path)
    mark_done(run, 3, 4, fingerprint="old")
    mark_done(run, 3, fingerprint="new")

    assert run.manifest.is_done("clip", [3], "warp-refine", "new")
    assert not run.manifest.is_done("clip", [3], "warp-refine", "old")
    assert run.manifest.is_done("clip", [4], "warp-refine", "old")


def test_a_begun_frame_is_begun_by_its_method_alone(tmp_path: Path) -> None:
    """Other methods, videos and frames stay done."""
    run = RunFolder(tmp_path)
    mark_done(run, 3, 4)
    mark_done(run, 3, method="motion-only")
    mark_done(run, 3, video="other clip")

    run.manifest.mark_begun("clip", [3], "warp-refine")

    assert not run.manifest.is_done("clip", [3], "warp-refine", "abc")
    assert run.manifest.is_done("clip", [4], "warp-refine", "abc")
    assert run.manifest.is_done("clip", [3], "motion-only", "abc")
    assert run.manifest.is_done("other clip", [3], "warp-refine", "abc")


def test_frames_that_are_no_longer_labelled_are_removed(tmp_path: Path) -> None:
    """Their files go with them; those of other methods and videos, and files of others, stay."""
    run = RunFolder(tmp_path)
    mark_done(run, 3, 4, 5)
    mark_done(run, 3, method="motion-only")
    mark_done(run, 3, video="other clip")

    foreign = run.labels_path("warp-refine", "clip", "notes")
    foreign.touch()

    run.manifest.keep_only("clip", {4, 9}, "warp-refine")

    assert list(run.manifest.provenances("clip", "warp-refine")) == [4]
    assert {path.stem for path in foreign.parent.iterdir()} == {"000004", "notes"}
    assert run.manifest.is_done("clip", [3], "motion-only", "abc")
    assert run.manifest.is_done("other clip", [3], "warp-refine", "abc")


def test_the_manifest_holds_the_provenance_of_each_frame(tmp_path: Path) -> None:
    """Key frames, in their order, and distance come back by frame, of one video and method alone."""
    stored = {7: provenance(3, 10, 0), 2: provenance(2, 0, 10)}
    RunFolder(tmp_path).manifest.mark_done("clip", stored, "warp-refine", "abc", files={7: [], 2: []})
    run = RunFolder(tmp_path)
    mark_done(run, 5, video="other clip")
    mark_done(run, 6, method="motion-only")

    assert run.manifest.provenances("clip", "warp-refine") == stored
    assert list(run.manifest.provenances("clip", "warp-refine")) == [2, 7]
    assert run.manifest.provenances("clip", "oracle") == {}

    run.manifest.mark_done("clip", {7: provenance(1, 8)}, "warp-refine", "new", files={7: []})
    run.manifest.mark_begun("clip", [2], "warp-refine")
    assert run.manifest.provenances("clip", "warp-refine") == {7: provenance(1, 8)}


@pytest.mark.parametrize("read", [lambda run: run.provenances, lambda run: run.records])
def test_a_stage_that_does_not_exist_is_damage(tmp_path: Path, read: Callable[[Manifest], Any]) -> None:
    """A manifest that somebody else has written into is not believed."""
    run = RunFolder(tmp_path)
    mark_done(run, 3)
    with closing(sqlite3.connect(tmp_path / "manifest.sqlite")) as connection, connection:
        connection.execute("UPDATE pseudo_label SET stage = 'worst'")

    with pytest.raises(RunFolderError, match=r"manifest\.sqlite is damaged \(.*'worst' is recorded"):
        read(run.manifest)("clip", "warp-refine")


def test_a_damaged_manifest_can_be_deleted(tmp_path: Path) -> None:
    """A manifest that is no database can be deleted, and the message says what that costs."""
    (tmp_path / "manifest.sqlite").write_bytes(b"no database at all" * 100)

    with pytest.raises(
        RunFolderError, match=r"manifest\.sqlite is damaged \(.*\); delete it and run the same"
    ):
        RunFolder(tmp_path)


@pytest.mark.parametrize(
    "use",
    [
        lambda run: mark_done(run, 3),
        lambda run: run.manifest.mark_begun("clip", [3], "warp-refine"),
        lambda run: run.manifest.is_done("clip", [3], "warp-refine", "abc"),
        lambda run: run.manifest.provenances("clip", "warp-refine"),
    ],
    ids=["mark_done", "mark_begun", "is_done", "provenances"],
)
def test_a_manifest_that_cannot_be_written_is_an_error(
    tmp_path: Path, use: Callable[[RunFolder], Any]
) -> None:
    """An error of the database is one line with its own message."""
    run = RunFolder(tmp_path)
    with sqlite3.connect(tmp_path / "manifest.sqlite") as connection:
        connection.execute("DROP TABLE pseudo_label")
    connection.close()

    with pytest.raises(
        RunFolderError, match=r"cannot write .*manifest\.sqlite: no such table: pseudo_label; expected"
    ):
        use(run)
