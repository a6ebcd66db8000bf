"""Tests of io/run.py: the job of a run, and the places of its files."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from warprefine.core.errors import RunFolderError
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
        run.checked,
        run.counts,
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
        "cache/checked",
        "cache/counts",
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
