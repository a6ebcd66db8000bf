"""Tests of jobs/relabel.py: the gaps beside a correction are labelled again, and nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from warprefine import FinishedRun, Recipe, autolabel, load_recipe, open_dataset
from warprefine.core.errors import RunFolderError
from warprefine.io.images import read_gray, read_labels
from warprefine.io.locks import locked
from warprefine.jobs.calibration_file import read_calibrations
from warprefine.jobs.corrections import due_redos, put_correction, save_correction
from warprefine.jobs.relabel import Relabelled, Relabeller
from warprefine.ops.calibration import calibrate
from warprefine.propagation.methods import PLUS

METHODS = ("motion-only", PLUS, "oracle")
KEYS, FRAME, VIDEO = (1, 9, 17), 5, "street-000"
GAP = {*range(2, 9)}


@pytest.fixture
def run(labelled: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    return shutil.copytree(labelled / "run", tmp_path / "run")


@pytest.fixture
def recipe(tiny_recipe: Path) -> Recipe:
    """The recipe of the run."""
    return load_recipe(tiny_recipe)


def hashes(run: Path) -> dict[str, str]:
    """Return a hash of every file of a run but what can be computed again and the record of what is done."""
    files = {path.relative_to(run).as_posix(): path for path in run.rglob("*") if path.is_file()}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files.items()
        if not name.startswith(("cache/", "manifest.sqlite", ".warprefine-lock"))
    }


def correct(run: Path, frame: int = FRAME) -> None:
    """Correct a frame of the first video with its truth, or else with one class."""
    finished = FinishedRun.open(run)
    video, classes = finished.dataset.videos[0], finished.dataset.classes
    labels = torch.full((1, 48, 64), 3, dtype=torch.uint8)
    if frame in video.truth:
        labels = read_labels(video.truth[frame], classes)
    save_correction(video, frame, labels, classes=classes, root=run)


def take_back(run: Path, frame: int = FRAME) -> None:
    """Take a correction back."""
    put_correction(FinishedRun.open(run).dataset.videos[0], frame, None, root=run)


def redo(run: Path) -> list[Relabelled]:
    """Label all that is due."""
    return list(Relabeller(run).run())


def origins(run: Path, method: str = PLUS) -> dict[int, tuple[int, ...]]:
    """Return the key frames that the labels of each frame of the first video come from."""
    return {one.frame: one.key_frames for one in FinishedRun.open(run).labels(VIDEO, method)}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Return the names of files that differ."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_only_the_gaps_beside_a_correction_change(run: Path) -> None:
    """Of all files of the run, the correction and those of frames up to the next key frames change."""
    before, origins_before = hashes(run), origins(run)
    correct(run)

    redo(run)

    files = changed(before, hashes(run))
    assert f"corrections/{VIDEO}/000005.png" in files
    outputs = {name for name in files if not name.startswith("corrections/")}
    assert {Path(name).parts[0] for name in outputs} == {"labels", "confidence"}
    assert {Path(name).parts[2] for name in outputs} == {VIDEO}
    assert {int(Path(name).stem) for name in outputs} <= GAP
    assert {f"labels/{PLUS}/{VIDEO}/{frame:06d}.png" for frame in (4, 5, 6)} <= files
    assert due_redos(run) == ()
    now = origins(run)
    assert {frame for frame in now if now[frame] != origins_before[frame]} == GAP
    assert now[4] == (5, 9, 17, 1)
    assert now[10] == origins_before[10] == (9, 1, 17)
    assert origins(run, "motion-only")[4] == (5,)


def test_mended_labels_are_as_calibrated_as_those_around_them(calibrated_run: Path, tmp_path: Path) -> None:
    """The table that the run has is applied to the confidence of mended frames too."""
    root = shutil.copytree(calibrated_run, tmp_path / "run")
    finished, frame = FinishedRun.open(root), 3
    run, (video,), classes = finished.run, finished.dataset.videos, finished.dataset.classes
    correct(root, 2)

    redo(root)

    for method, one in read_calibrations(run).items():
        stem = video.stems[frame]
        labels = read_labels(run.labels_path(method, VIDEO, stem), classes)
        raw = read_gray(run.raw_confidence_path(method, VIDEO, stem))
        written = read_gray(run.confidence_path(method, VIDEO, stem))
        assert torch.allclose(calibrate(labels, raw, one.table), written, atol=0.005)
    assert 2 in next(one for one in FinishedRun.open(root).labels(VIDEO, PLUS) if one.frame == 3).key_frames


def test_neighbours_come_first_then_outwards(run: Path) -> None:
    """Frames of the default method come in order of distance in bands, both sides in turn."""
    correct(run)

    frames = [one.frame for one in redo(run) if one.method == PLUS]

    assert frames == [4, 6, 3, 7, 2, 8]


def test_progress_is_reported_as_it_is(run: Path) -> None:
    """The number of frames that are done rises to that of all."""
    correct(run)

    found = redo(run)

    assert [one.done for one in found] == sorted(one.done for one in found)
    assert found[-1].done <= found[-1].of
    assert {(one.video, one.corrected) for one in found} == {(VIDEO, FRAME)}


def test_progress_counts_frames_and_not_methods(run: Path) -> None:
    """However many methods label the gaps, there are as many frames as beside the correction."""
    correct(run)

    found = redo(run)

    assert len({one.method for one in found}) == len(METHODS)
    assert {one.of for one in found} == {len(GAP - {FRAME})}
    assert found[-1].done == found[-1].of


def test_autolabel_does_not_label_again_what_was_relabelled(
    labelled: Path, run: Path, recipe: Recipe
) -> None:
    """With unchanged networks the files of the gap are what autolabel would write, and stay untouched."""
    correct(run)
    redo(run)
    times = {
        path: path.stat().st_mtime_ns
        for path in run.glob(f"*/*/{VIDEO}/*.png")
        if path.parts[-4] in {"labels", "confidence"} and int(path.stem) in GAP
    }

    autolabel(open_dataset(labelled / "data"), run, horizon=5, methods=METHODS, recipe=recipe, reuse=False)

    assert len(times) > 3 * 2 * 6
    assert {path for path, time in times.items() if path.stat().st_mtime_ns != time} == set()
    assert 5 in origins(run)[10]  # which the correction is in reach of


def test_labels_are_those_of_labelling_all_at_once(labelled: Path, run: Path, recipe: Recipe) -> None:
    """Outwards in bands or from the first frame to the last: the bytes of the gap are the same."""
    at_once = shutil.copytree(run, run.with_name("at-once"))
    for folder in (run, at_once):
        correct(folder)
    redo(run)

    autolabel(
        open_dataset(labelled / "data"), at_once, horizon=5, methods=METHODS, recipe=recipe, reuse=False
    )

    for frame in GAP:
        for kind in ("labels", "confidence"):
            name = f"{kind}/{PLUS}/{VIDEO}/{frame:06d}.png"
            assert (run / name).read_bytes() == (at_once / name).read_bytes(), name


def test_a_correction_that_is_taken_back_leaves_no_trace(run: Path) -> None:
    """The gap is labelled again as it was before, byte for byte."""
    before, origins_before = hashes(run), origins(run)
    correct(run)
    redo(run)
    take_back(run)

    redo(run)

    assert changed(before, hashes(run)) == set()
    assert origins(run) == origins_before


def test_a_corrected_key_frame_is_labelled_from(run: Path) -> None:
    """A key frame of the data that is corrected: both gaps beside it change, and come back with its own."""
    before = hashes(run)
    correct(run, 9)
    redo(run)

    files = {name for name in changed(before, hashes(run)) if not name.startswith("corrections/")}
    assert {int(Path(name).stem) for name in files} <= {*range(2, 17)}
    assert {8, 9, 10} <= {int(Path(name).stem) for name in files if f"/{PLUS}/" in name}
    assert (
        read_labels(run / f"labels/{PLUS}/{VIDEO}/000009.png", FinishedRun.open(run).dataset.classes)
        .eq(3)
        .all()
    )
    take_back(run, 9)
    redo(run)
    assert changed(before, hashes(run)) == set()


def test_the_labels_can_be_read_at_every_moment(run: Path) -> None:
    """Between any two frames the run can be opened, read and scored."""
    correct(run)

    for _ in Relabeller(run).run():
        now = origins(run)
        assert now.keys() == {*range(19)}
        assert now[FRAME] == (FRAME,)


def test_a_newer_correction_is_taken_up_after_the_frame_in_hand(run: Path) -> None:
    """Neighbours of a correction that is saved meanwhile do not wait; the gap in hand is ended later."""
    correct(run)
    found = []
    for one in Relabeller(run).run():
        found.append(one)
        if len(found) == 1:
            correct(run, 13)

    order = [one.corrected for one in found]
    assert order[0] == FRAME
    assert order[1] == 13
    assert order[-1] == FRAME
    assert {one.frame for one in found if one.corrected == FRAME and one.method == PLUS} == GAP - {FRAME}
    assert due_redos(run) == ()


KILLED = """
import os, signal, sys
from pathlib import Path
from warprefine.jobs.relabel import Relabeller
for done, one in enumerate(Relabeller(Path(sys.argv[1])).run(), start=1):
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_process_is_gone_on_from(run: Path) -> None:
    """Killed in the middle, the next call labels the rest alone; the result is that of an undisturbed one."""
    undisturbed = shutil.copytree(run, run.with_name("undisturbed"))
    for folder in (run, undisturbed):
        correct(folder)
    redo(undisturbed)

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(run)], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    first = (run / f"labels/{PLUS}/{VIDEO}/000004.png").stat().st_mtime_ns
    origins(run)
    redo(run)

    assert killed.returncode == -signal.SIGKILL
    assert (run / f"labels/{PLUS}/{VIDEO}/000004.png").stat().st_mtime_ns == first
    assert changed(hashes(undisturbed), hashes(run)) == set()


def test_nothing_is_trained(run: Path) -> None:
    """Without the weights that the labels were computed with there is an error, and no training."""
    correct(run)
    (run / "checkpoints" / "two-sided-refiner.safetensors").unlink()

    with pytest.raises(
        RunFolderError, match=r"two-sided-refiner.safetensors is missing, expected the weights"
    ):
        redo(run)
    assert len(due_redos(run)) == 1


def test_parts_that_were_objects_are_asked_for(run: Path) -> None:
    """A run that was labelled with a supplied part is not labelled again without it."""
    correct(run)
    path = run / "job.json"
    path.write_text(path.read_text().replace('"classes"', '"parts": {"motion": "still"}, "classes"', 1))

    with pytest.raises(RunFolderError, match=r"supplied as objects \(motion\), expected the same ones"):
        redo(run)


def test_a_run_that_is_being_written_is_left_alone(run: Path) -> None:
    """While another process has the run, nothing is labelled again."""
    correct(run)
    with locked(run):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(run)], capture_output=True, text=True, check=False
        )

    assert "is in use by process" in done.stderr
    assert len(due_redos(run)) == 1


def test_preparing_changes_nothing(run: Path) -> None:
    """Networks are loaded and tried, and every file stays."""
    before = hashes(run)

    Relabeller(run).prepare()

    assert hashes(run) == before
