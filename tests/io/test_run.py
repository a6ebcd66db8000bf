"""Tests of io/run.py: the job of a run, and which frames are done."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from warprefine.core.errors import RunFolderError
from warprefine.core.pseudolabel import Provenance
from warprefine.io.locks import locked
from warprefine.io.run import RunFolder

JOB = {"horizon": 10, "classes": ["road", "sky"], "recipe": {"segmenter": {"folds": 2, "crop": (64, 96)}}}


def test_a_run_is_resumed_by_the_same_job(tmp_path: Path) -> None:
    """The same job may come back as often as it likes, and nothing is written again."""
    RunFolder(tmp_path / "run").claim(JOB)
    written = (tmp_path / "run/job.json").stat().st_mtime_ns

    RunFolder(tmp_path / "run").claim(JOB)

    assert RunFolder(tmp_path / "run").job()["horizon"] == 10
    assert (tmp_path / "run/job.json").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"horizon": 5}, "holds a run with horizon = 10, but this command says 5; choose another --out"),
        ({"seed": 3}, "holds a run with seed = None, but this command says 3"),
        ({"classes": ["road"]}, r"classes = \['road', 'sky'\], but this command says \['road'\]"),
        (
            {"recipe": {"segmenter": {"folds": 1, "crop": (64, 96)}}},
            r"a run with recipe\.segmenter\.folds = 2, but this command says 1; .* give the same options",
        ),
    ],
)
def test_a_folder_of_another_job_is_left_alone(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    """A run that differs in one setting is refused by that setting's name and both values."""
    run = RunFolder(tmp_path)
    run.claim(JOB)

    with pytest.raises(RunFolderError, match=message):
        run.claim({**JOB, **changed})

    run.claim(JOB)


def test_a_long_list_is_cut_in_the_message(tmp_path: Path) -> None:
    """A run of a hundred videos is refused in one line that can be read."""
    run = RunFolder(tmp_path)
    run.claim({"videos": [f"v{i}" for i in range(100)]})

    with pytest.raises(
        RunFolderError, match=r"videos = \['v0', .*, 'v4' and 95 more\], but .* says \['a'\]; choose"
    ):
        run.claim({"videos": ["a"]})


def test_checking_a_job_writes_nothing(tmp_path: Path) -> None:
    """Before hours of checking, a folder of another job is recognised."""
    run = RunFolder(tmp_path)

    run.check(JOB)

    assert not (tmp_path / "job.json").exists()
    run.claim(JOB)
    with pytest.raises(RunFolderError, match="horizon = 10, but this command says 5"):
        run.check({**JOB, "horizon": 5})


def test_a_folder_without_a_job_is_no_run(tmp_path: Path) -> None:
    """A folder that was not claimed is not taken for a run."""
    with pytest.raises(RunFolderError, match=r"holds no job\.json; expected a folder made by `warprefine"):
        RunFolder(tmp_path).job()


def test_a_damaged_job_is_refused(tmp_path: Path) -> None:
    """A damaged job file is named, and not overwritten."""
    (tmp_path / "job.json").write_text("{")

    with pytest.raises(RunFolderError, match=r"job\.json is damaged \(.*\); expected what warprefine wrote"):
        RunFolder(tmp_path).claim(JOB)

    assert (tmp_path / "job.json").read_text() == "{"


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
    run.mark_done(video, provenances, method, fingerprint, files=files)


def test_frames_are_done_when_each_is(tmp_path: Path) -> None:
    """One that is missing, or that was begun again, is enough for them not to be."""
    run = RunFolder(tmp_path)
    mark_done(run, 3, 4)
    assert run.is_done("clip", [3, 4], "warp-refine", "abc")
    assert run.is_done("clip", [4, 3], "warp-refine", "abc")
    assert not run.is_done("clip", [3, 5], "warp-refine", "abc")

    run.mark_begun("clip", [4, 5], "warp-refine")

    assert not run.is_done("clip", [3, 4], "warp-refine", "abc")
    assert run.is_done("clip", [3], "warp-refine", "abc")
    assert run.is_done("clip", [], "warp-refine", "abc")


def test_a_frame_is_done_with_the_same_fingerprint(tmp_path: Path) -> None:
    """Done means done by this method with this fingerprint, also when the run is opened again."""
    mark_done(RunFolder(tmp_path), 3)
    run = RunFolder(tmp_path)

    assert run.is_done("clip", [3], "warp-refine", "abc")
    assert not run.is_done("clip", [3], "warp-refine", "abd")
    assert not run.is_done("clip", [3], "motion-only", "abc")
    assert not run.is_done("clip", [2], "warp-refine", "abc")
    assert not run.is_done("other clip", [3], "warp-refine", "abc")


def test_a_frame_whose_file_is_cut_short_or_missing_is_not_done(tmp_path: Path) -> None:
    """A power failure may leave an empty file under the right name: it is made again."""
    run = RunFolder(tmp_path)
    mark_done(run, 3, 4)
    path = run.labels_path("warp-refine", "clip", "000003")

    path.write_bytes(b"")
    assert not run.is_done("clip", [3, 4], "warp-refine", "abc")
    path.unlink()
    assert not run.is_done("clip", [3, 4], "warp-refine", "abc")
    assert run.is_done("clip", [4], "warp-refine", "abc")


def test_a_manifest_of_an_older_version_begins_anew(tmp_path: Path) -> None:
    """It records less than is needed to know that labels are whole, so they are made again."""
    with closing(sqlite3.connect(tmp_path / "manifest.sqlite")) as connection, connection:
        connection.execute(
            "CREATE TABLE pseudo_label (video, frame, method, fingerprint, distance, key_frames)"
        )
        connection.execute("INSERT INTO pseudo_label VALUES ('clip', 3, 'warp-refine', 'abc', 1, '[0]')")

    run = RunFolder(tmp_path)

    assert not run.is_done("clip", [3], "warp-refine", "abc")
    mark_done(run, 3)
    assert RunFolder(tmp_path).is_done("clip", [3], "warp-refine", "abc")


def test_a_frame_that_is_redone_replaces_what_it_was(tmp_path: Path) -> None:
    """Labels of new weights replace the old ones, which are then not done any more."""
    run = RunFolder(tmp_path)
    mark_done(run, 3, 4, fingerprint="old")
    mark_done(run, 3, fingerprint="new")

    assert run.is_done("clip", [3], "warp-refine", "new")
    assert not run.is_done("clip", [3], "warp-refine", "old")
    assert run.is_done("clip", [4], "warp-refine", "old")


def test_a_begun_frame_is_begun_by_its_method_alone(tmp_path: Path) -> None:
    """Other methods, videos and frames stay done."""
    run = RunFolder(tmp_path)
    mark_done(run, 3, 4)
    mark_done(run, 3, method="motion-only")
    mark_done(run, 3, video="other clip")

    run.mark_begun("clip", [3], "warp-refine")

    assert not run.is_done("clip", [3], "warp-refine", "abc")
    assert run.is_done("clip", [4], "warp-refine", "abc")
    assert run.is_done("clip", [3], "motion-only", "abc")
    assert run.is_done("other clip", [3], "warp-refine", "abc")


def test_frames_that_are_no_longer_labelled_are_removed(tmp_path: Path) -> None:
    """Their files go with them; those of other methods and videos, and files of others, stay."""
    run = RunFolder(tmp_path)
    mark_done(run, 3, 4, 5)
    mark_done(run, 3, method="motion-only")
    mark_done(run, 3, video="other clip")

    foreign = run.labels_path("warp-refine", "clip", "notes")
    foreign.touch()

    run.keep_only("clip", {4, 9}, "warp-refine")

    assert list(run.provenances("clip", "warp-refine")) == [4]
    assert {path.stem for path in foreign.parent.iterdir()} == {"000004", "notes"}
    assert run.is_done("clip", [3], "motion-only", "abc")
    assert run.is_done("other clip", [3], "warp-refine", "abc")


def test_the_manifest_holds_the_provenance_of_each_frame(tmp_path: Path) -> None:
    """Key frames, in their order, and distance come back by frame, of one video and method alone."""
    stored = {7: provenance(3, 10, 0), 2: provenance(2, 0, 10)}
    RunFolder(tmp_path).mark_done("clip", stored, "warp-refine", "abc", files={7: [], 2: []})
    run = RunFolder(tmp_path)
    mark_done(run, 5, video="other clip")
    mark_done(run, 6, method="motion-only")

    assert run.provenances("clip", "warp-refine") == stored
    assert list(run.provenances("clip", "warp-refine")) == [2, 7]
    assert run.provenances("clip", "oracle") == {}

    run.mark_done("clip", {7: provenance(1, 8)}, "warp-refine", "new", files={7: []})
    run.mark_begun("clip", [2], "warp-refine")
    assert run.provenances("clip", "warp-refine") == {7: provenance(1, 8)}


def put(run: RunFolder, frame: int, text: str, **more: Any) -> list[Path]:
    """Write both files of a frame and put them in their places; return these."""
    places = [run.labels_path("plus", "clip", f"{frame}"), run.confidence_path("plus", "clip", f"{frame}")]
    for place in places:
        run.arriving_path(place).parent.mkdir(parents=True, exist_ok=True)
        run.arriving_path(place).write_text(text)
    stored = Provenance(method="plus", key_frames=(0,), distance=2, stage=more.pop("stage", "good"))
    run.put("clip", frame, stored, "abc", files=places, **more)
    return places


def test_the_files_of_a_frame_are_put_in_their_places_together(tmp_path: Path) -> None:
    """The record tells the stage that they are from, and what data."""
    run = RunFolder(tmp_path)
    put(run, 3, "of first", stage="first", data="old")
    places = put(run, 3, "of good", data="new")

    assert [place.read_text() for place in places] == ["of good", "of good"]
    record = run.records("clip", "plus")[3]
    assert (record.fingerprint, record.stage, record.data, record.is_whole) == ("abc", "good", "new", True)
    assert run.provenances("clip", "plus")[3].stage == "good"
    run.confirm("clip", 3, "plus", stage="best", data="same")
    assert run.records("clip", "plus", [3])[3].stage == "best"
    assert run.records("clip", "plus", [2, 4]) == {}
    run.forget_data()
    assert run.records("clip", "plus")[3].data == ""


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_files_that_were_recorded_and_not_moved_are_found_and_moved_later(
    tmp_path: Path, moved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who only read find them where they are; the next command puts them in their places."""
    run = RunFolder(tmp_path)
    put(run, 3, "of first", stage="first")
    left = run.arriving_path(run.labels_path("plus", "clip", "4"))

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "_move", lambda self, names: move(self, names[:moved]) or stop())
        with pytest.raises(KeyboardInterrupt):
            put(run, 3, "of good")
    left.write_text("not recorded")

    reader = RunFolder(tmp_path, read_only=True)
    assert reader.provenances("clip", "plus")[3].stage == "good"
    assert reader.records("clip", "plus")[3].is_whole
    seen = [reader.labels_path("plus", "clip", "3"), reader.confidence_path("plus", "clip", "3")]
    assert [path.read_text() for path in seen] == ["of good", "of good"]

    again = RunFolder(tmp_path)
    places = [again.labels_path("plus", "clip", "3"), again.confidence_path("plus", "clip", "3")]
    assert [path.read_text() for path in places] == ["of good", "of good"]
    assert not (tmp_path / "arriving").exists()
    assert not again.labels_path("plus", "clip", "4").exists()


def stop() -> None:
    raise KeyboardInterrupt


move = RunFolder._move


def test_a_stage_that_does_not_exist_is_damage(tmp_path: Path) -> None:
    """A manifest that somebody else has written into is not believed."""
    run = RunFolder(tmp_path)
    put(run, 3, "labels")
    with closing(sqlite3.connect(tmp_path / "manifest.sqlite")) as connection, connection:
        connection.execute("UPDATE pseudo_label SET stage = 'worst'")

    with pytest.raises(RunFolderError, match=r"manifest\.sqlite is damaged \(.*'worst' is recorded"):
        run.provenances("clip", "plus")


def test_networks_of_a_stage_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    """All else of a run is shared by its stages; those of stage good lie where those without stages do."""
    run = RunFolder(tmp_path)

    assert run.for_stage("first").checkpoint_path("segmenter").relative_to(tmp_path).as_posix() == (
        "stages/first/checkpoints/segmenter.safetensors"
    )
    assert run.for_stage("first").cache == run.cache
    assert run.for_stage("good").checkpoint_path("segmenter") == run.checkpoint_path("segmenter")


def test_every_file_of_a_run_has_its_place(tmp_path: Path) -> None:
    """The layout of a run folder is what its users rely on."""
    run = RunFolder(tmp_path / "run")

    places = [
        run.labels_path("motion-only", "clip", "000001"),
        run.confidence_path("motion-only", "clip", "000001"),
        run.checkpoint_path("refiner"),
        run.cache,
        run.metrics_path,
        run.tau_path,
        run.report_path,
        run.figures,
        run.left_out_path,
    ]
    assert [place.relative_to(run.root).as_posix() for place in places] == [
        "labels/motion-only/clip/000001.png",
        "confidence/motion-only/clip/000001.png",
        "checkpoints/refiner.safetensors",
        "cache",
        "metrics.json",
        "tau.json",
        "report.html",
        "figures",
        "left_out.json",
    ]


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    """A run cannot be put where a file lies."""
    (tmp_path / "file").touch()

    with pytest.raises(RunFolderError, match=r"cannot write .*file: there is a file of that name"):
        RunFolder(tmp_path / "file")


def test_a_folder_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of work do not begin on a file system that is read-only."""

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(RunFolderError, match="the file system is read-only; choose another folder"):
        RunFolder(tmp_path)


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
        lambda run: run.mark_begun("clip", [3], "warp-refine"),
        lambda run: run.is_done("clip", [3], "warp-refine", "abc"),
        lambda run: run.provenances("clip", "warp-refine"),
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


def test_what_a_killed_process_left_of_its_first_check_is_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the folder can be written is tried with a draft, which the next command deletes."""
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # killed before
    RunFolder(tmp_path / "run")
    monkeypatch.undo()

    with locked(tmp_path / "run"):
        pass

    assert {path.name for path in (tmp_path / "run").iterdir()} == {"manifest.sqlite", ".warprefine-lock"}
