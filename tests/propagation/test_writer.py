"""Tests of propagation/writer.py: units of work that are done once, whole, and never twice."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from warprefine.core.errors import RunFolderError
from warprefine.core.tensors import VOID
from warprefine.io.images import read_gray, read_labels, write_labels
from warprefine.io.run import RunFolder
from warprefine.propagation.methods import ORACLE, PLUS, STEPS, Setting
from warprefine.propagation.plus import PlusSetting
from warprefine.propagation.schedule import plan, plan_stretches
from warprefine.propagation.sides import Ways
from warprefine.propagation.writer import Job, PlusJob, propagate

TAU = 0.05
METHODS = (*STEPS, ORACLE)
"""Those that walk from one key frame."""


def job(drive: Any, *videos: Any, methods: tuple[str, ...] = METHODS, **changes: Any) -> Job:
    return Job(
        dataset=drive.dataset(*videos),
        horizon=2,
        methods=methods,
        models=changes.pop("models", drive.models()),
        setting=Setting(tau=changes.pop("tau", TAU), refiner=drive.refiner()),
        refiner_fingerprint=changes.pop("refiner_fingerprint", "filler-1"),
    )


def plus_job(drive: Any, *videos: Any, methods: tuple[str, ...] = (PLUS,), **changes: Any) -> Job:
    """Make a job of warp-refine-plus, whose key frames reach four frames far."""
    plus = PlusJob(
        models=changes.pop("models", drive.models()),
        setting=PlusSetting(ways=Ways(reach=4)),
        fingerprint=changes.pop("fingerprint", "plus-1"),
    )
    return replace(job(drive, *videos, methods=methods, **changes), plus=plus)


def times(run: RunFolder, method: str) -> dict[str, int]:
    """Return when each label map of a method was written, by video and frame."""
    folder = run.root / "labels" / method
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*.png")}


def rewritten(before: dict[str, int], after: dict[str, int]) -> list[str]:
    return sorted(name for name, time in after.items() if before.get(name) != time)


def files(run: RunFolder) -> dict[str, bytes]:
    """Return every label and confidence map of a run by its place."""
    return {
        path.relative_to(run.root).as_posix(): path.read_bytes() for path in sorted(run.root.rglob("*.png"))
    }


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """An empty run folder."""
    return RunFolder(tmp_path / "run")


def test_every_frame_in_reach_gets_a_label_map_and_a_confidence(drive: Any, run: RunFolder) -> None:
    """Frames within the horizon, key frames included, lie under the names of the video and its frames."""
    video = drive.video([1], truth=[2])
    assert propagate(job(drive, video), run) == {}

    for method in ("motion-only", "semantic-only", "warp-inpaint", "warp-refine"):
        assert sorted(times(run, method)) == [f"drive/{t:06d}.png" for t in (0, 1, 2, 3)]
    assert sorted(times(run, "oracle")) == ["drive/000001.png", "drive/000002.png"]
    labels = read_labels(run.labels_path("warp-inpaint", "drive", "000003"), drive.classes)
    carried = drive.in_view([1], of=3)
    assert torch.equal(labels, torch.where(carried, drive.hand(3), drive.seen(3)))
    confidence = read_gray(run.confidence_path("warp-inpaint", "drive", "000003"))
    assert bool((confidence[carried] == 1).all())
    assert confidence.shape == (1, *drive.size)


def test_key_frames_are_never_altered(drive: Any, run: RunFolder) -> None:
    """A person's label map is copied byte for byte, and is certain."""
    video = drive.video([1])
    propagate(job(drive, video), run)

    for method in METHODS:
        copy = run.labels_path(method, "drive", "000001")
        assert copy.read_bytes() == video.labels[1].read_bytes()
        assert read_gray(run.confidence_path(method, "drive", "000001")).unique().tolist() == [1]


def test_what_is_done_is_not_done_again(drive: Any, run: RunFolder) -> None:
    """The same job on a finished run asks no network and writes no file."""
    video = drive.video([1], truth=[2])
    propagate(job(drive, video), run)
    before = {method: times(run, method) for method in METHODS}
    again = job(drive, video)

    propagate(again, run)

    assert {method: times(run, method) for method in METHODS} == before
    assert (again.models.motion.asked, again.models.segmenter.asked) == (0, 0)


def test_a_corrected_key_frame_redoes_only_its_own_units(drive: Any, run: RunFolder) -> None:
    """When a person corrects a key frame, the frames that it labels are made anew, and no others."""
    video = drive.video([0, 5])
    methods = ("motion-only", "warp-inpaint")
    propagate(job(drive, video, methods=methods), run)
    before = {method: times(run, method) for method in methods}
    write_labels(video.labels[5], torch.zeros(1, *drive.size, dtype=torch.uint8), drive.classes)

    propagate(job(drive, video, methods=methods), run)

    for method in methods:
        redone = rewritten(before[method], times(run, method))
        assert redone == [f"drive/{t:06d}.png" for t in (3, 4, 5)]


def test_a_further_key_frame_redoes_only_the_gap_beside_it(drive: Any, run: RunFolder) -> None:
    """A frame that a person labels becomes a key frame: what its neighbours no longer label changes hands."""
    propagate(job(drive, drive.video([0]), methods=("motion-only",)), run)
    before = times(run, "motion-only")

    video = drive.video([0, 2])
    propagate(job(drive, video, methods=("motion-only",)), run)

    after = times(run, "motion-only")
    assert rewritten(before, after) == [f"drive/{t:06d}.png" for t in (1, 2, 3, 4)]
    assert run.labels_path("motion-only", "drive", "000002").read_bytes() == video.labels[2].read_bytes()


@pytest.mark.parametrize(
    ("changes", "redone"),
    [
        ({"tau": 0.1}, {"warp-inpaint", "warp-refine"}),
        ({"refiner_fingerprint": "filler-2"}, {"warp-refine"}),
        ({"segmenter_fingerprint": "colour-2"}, {"semantic-only", "warp-inpaint", "warp-refine"}),
        ({"threshold": 0.5}, {"semantic-only"}),
        ({"motion": "other"}, {"motion-only", "warp-inpaint", "warp-refine"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_method_is_redone_when_what_it_uses_changes(
    drive: Any, changes: dict[str, Any], redone: set[str]
) -> None:
    """Labels depend on the weights and settings that their method uses, and on no others."""
    video = drive.video([1], truth=[2])
    first = job(drive, video)
    models, setting = first.models, first.setting
    if "motion" in changes:
        models.motion.name = changes["motion"]
        first = replace(first, models=replace(models, motion=drive.motion()))
    second = replace(
        first,
        models=replace(
            models, segmenter_fingerprint=changes.get("segmenter_fingerprint", models.segmenter_fingerprint)
        ),
        setting=replace(
            setting,
            tau=changes.get("tau", setting.tau),
            threshold=changes.get("threshold", setting.threshold),
        ),
        refiner_fingerprint=changes.get("refiner_fingerprint", first.refiner_fingerprint),
    )

    for unit in plan(video, 2):
        changed = {
            m for m in METHODS if first.fingerprint(video, unit, m) != second.fingerprint(video, unit, m)
        }
        assert changed == redone


def test_the_oracle_is_redone_when_the_truth_changes(drive: Any) -> None:
    """The oracle depends on the labels that were held back; the other methods never see them."""
    video = drive.video([1], truth=[2])
    made = job(drive, video)
    forwards, backwards = plan(video, 2)
    before = {(unit, m): made.fingerprint(video, unit, m) for unit in (forwards, backwards) for m in METHODS}
    write_labels(video.truth[2], drive.hand(0), drive.classes)

    after = {(unit, m): made.fingerprint(video, unit, m) for unit in (forwards, backwards) for m in METHODS}

    assert [key for key in before if before[key] != after[key]] == [(forwards, "oracle")]


def test_another_tau_leaves_motion_only_alone(drive: Any, run: RunFolder) -> None:
    """With another tau the inpainted labels are made again; those of motion alone are not."""
    video, methods = drive.video([1]), ("motion-only", "warp-inpaint")
    propagate(job(drive, video, methods=methods), run)
    before = {method: times(run, method) for method in methods}

    propagate(job(drive, video, methods=methods, tau=0.3), run)

    assert rewritten(before["motion-only"], times(run, "motion-only")) == []
    assert rewritten(before["warp-inpaint"], times(run, "warp-inpaint")) == [
        f"drive/{t:06d}.png" for t in (0, 2, 3)
    ]


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_killed_run_ends_as_if_it_had_not_been(
    film: Callable[..., Any], tmp_path: Path, stop_after: int
) -> None:
    """A run that was stopped and started again holds the same bytes as one that was left alone."""
    drive = film(length=6)
    video = drive.video([1, 4], truth=[2])
    calm, killed = RunFolder(tmp_path / "calm"), RunFolder(tmp_path / "killed")
    propagate(job(drive, video), calm)
    calls = []

    def kill(task: str, done: int, total: int, note: str = "") -> None:
        calls.append(done)
        if len(calls) == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        propagate(job(drive, video), killed, progress=kill)
    unfinished = files(killed)
    propagate(job(drive, video), killed)

    assert files(killed) == files(calm)
    assert len(unfinished) < len(files(calm))


def test_a_half_written_unit_is_done_again(drive: Any, run: RunFolder) -> None:
    """A unit counts as done only when all its files are there: one that broke off is redone as a whole."""
    video, broken = drive.video([0]), drive.video([0])
    second_frame = video.frame_paths[2].read_bytes()
    broken.frame_paths[2].write_bytes(b"")
    assert list(propagate(job(drive, broken, methods=("motion-only",)), run)) == ["drive"]
    assert sorted(times(run, "motion-only")) == ["drive/000001.png"]
    video.frame_paths[2].write_bytes(second_frame)

    assert propagate(job(drive, video, methods=("motion-only",)), run) == {}

    assert sorted(times(run, "motion-only")) == [f"drive/{t:06d}.png" for t in (0, 1, 2)]


@pytest.mark.parametrize("kind", ["labels", "confidence"])
def test_a_file_that_was_lost_is_made_again(drive: Any, run: RunFolder, kind: str) -> None:
    """When somebody deletes one map of a finished unit, the unit is redone, and no other."""
    video, methods = drive.video([1], truth=[2]), ("motion-only", "oracle")
    propagate(job(drive, video, methods=methods), run)
    before, whole = {method: times(run, method) for method in methods}, files(run)
    (run.root / kind / "motion-only/drive/000003.png").unlink()

    propagate(job(drive, video, methods=methods), run)

    assert files(run) == whole
    assert rewritten(before["motion-only"], times(run, "motion-only")) == [
        "drive/000002.png",
        "drive/000003.png",
    ]
    assert rewritten(before["oracle"], times(run, "oracle")) == []


def test_a_full_disk_stops_the_run(drive: Any, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trouble with the disk is no fault of the video: it is not left out, the run stops."""

    def refuse(self: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(RunFolderError, match="the disk is full"):
        propagate(job(drive, drive.video([1]), methods=("motion-only",)), run)


def test_a_broken_video_does_not_stop_the_others(
    film: Callable[..., Any], run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong with one video is told at the end; all others are labelled."""
    drive, other = film(), film(name="other drive")
    broken, sound = drive.video([1]), other.video([1])
    broken.frame_paths[2].unlink()

    failures = propagate(job(drive, broken, sound, methods=("motion-only",)), run)

    assert list(failures) == ["drive"]
    assert "there is no file" in failures["drive"]
    assert "000002.png" in failures["drive"]
    assert failures["drive"] in caplog.text
    assert [name for name in times(run, "motion-only") if name.startswith("other drive/")] != []


def test_progress_counts_frames(drive: Any, run: RunFolder) -> None:
    """Whoever watches hears how many frames of how many are labelled, and of which video."""
    heard = []

    propagate(
        job(drive, drive.video([1, 4]), methods=("motion-only",)),
        run,
        progress=lambda task, done, total, note="": heard.append((task, done, total, note)),
    )

    assert heard == [("propagating", done, 4, "drive") for done in (1, 2, 3, 4)]


def test_plus_labels_stretches_from_both_sides(drive: Any, run: RunFolder) -> None:
    """Every frame between two key frames gets a label map and a confidence; key frames are copied."""
    video = drive.video([0, 5])
    assert propagate(plus_job(drive, video), run) == {}

    assert sorted(times(run, PLUS)) == [f"drive/{t:06d}.png" for t in range(6)]
    for t in (1, 2, 3, 4):
        labels = read_labels(run.labels_path(PLUS, "drive", f"{t:06d}"), drive.classes)
        reached, named = drive.in_view([0], of=t) | drive.in_view([5], of=t), drive.hand(t) != VOID
        assert torch.equal(labels[named], torch.where(reached, drive.hand(t), drive.seen(t))[named])
        assert read_gray(run.confidence_path(PLUS, "drive", f"{t:06d}")).shape == (1, *drive.size)
    for t in (0, 5):
        assert run.labels_path(PLUS, "drive", f"{t:06d}").read_bytes() == video.labels[t].read_bytes()
        assert read_gray(run.confidence_path(PLUS, "drive", f"{t:06d}")).unique().tolist() == [1]


def test_plus_works_with_motion_of_its_own(drive: Any, run: RunFolder) -> None:
    """Beside other methods it leaves their networks alone, and they leave its own alone."""
    video = drive.video([1])
    both = plus_job(drive, video, methods=("motion-only", PLUS))
    assert both.plus is not None
    both.plus.models.motion.name = "another"

    propagate(both, run)

    walks = both.models.motion.asked
    assert walks == 3, "one step to each frame in reach"
    assert both.plus.models.motion.asked == 2 * walks, "there and back"
    assert sorted(times(run, PLUS)) == sorted(times(run, "motion-only"))


def test_plus_does_nothing_twice(drive: Any, run: RunFolder) -> None:
    """On a finished run no network is asked and no file written; with another refiner all is made anew."""
    video = drive.video([0, 5])
    propagate(plus_job(drive, video), run)
    before, again = times(run, PLUS), plus_job(drive, video)

    propagate(again, run)

    assert times(run, PLUS) == before
    assert again.plus is not None
    assert (again.plus.models.motion.asked, again.plus.models.segmenter.asked) == (0, 0)

    propagate(plus_job(drive, video, fingerprint="plus-2"), run)

    assert rewritten(before, times(run, PLUS)) == [f"drive/{t:06d}.png" for t in (1, 2, 3, 4)]


@pytest.mark.parametrize("kind", ["labels", "confidence"])
def test_a_lost_file_of_a_stretch_is_made_again(film: Callable[..., Any], run: RunFolder, kind: str) -> None:
    """When a map is deleted, its stretch is labelled anew, and no other."""
    drive = film(step=(1, 0))
    video = drive.video([2])
    propagate(plus_job(drive, video), run)
    before, whole = times(run, PLUS), files(run)
    (run.root / kind / PLUS / "drive/000003.png").unlink()

    propagate(plus_job(drive, video), run)

    assert files(run) == whole
    assert rewritten(before, times(run, PLUS)) == ["drive/000003.png", "drive/000004.png"]


@pytest.mark.parametrize(
    ("corrected", "redone"), [(0, (0, 1, 2, 3)), (4, (1, 2, 3, 4, 5, 6)), (15, (13, 14, 15))]
)
def test_a_corrected_key_frame_redoes_the_stretches_that_may_ask_it(
    film: Callable[..., Any], run: RunFolder, corrected: int, redone: tuple[int, ...]
) -> None:
    """A person's correction shows on both sides of a key frame as far as it reaches, and nowhere else."""
    drive = film(step=(1, 0), length=16)
    video = drive.video([0, 4, 15])
    propagate(plus_job(drive, video), run)
    before = times(run, PLUS)
    write_labels(video.labels[corrected], torch.zeros(1, *drive.size, dtype=torch.uint8), drive.classes)

    propagate(plus_job(drive, video), run)

    assert rewritten(before, times(run, PLUS)) == [f"drive/{t:06d}.png" for t in redone]


def test_a_key_frame_that_came_and_went_leaves_no_trace(drive: Any, run: RunFolder) -> None:
    """Labels made while there was another key frame are made again once it is gone."""
    without, with_it = drive.video([0, 5]), drive.video([0, 2, 5])
    propagate(plus_job(drive, without), run)
    before = {name: content for name, content in files(run).items() if "000002" not in name}

    propagate(plus_job(drive, with_it), run)
    propagate(plus_job(drive, without), run)

    assert {name: content for name, content in files(run).items() if "000002" not in name} == before


@pytest.mark.parametrize("changed", ["motion", "segmenter", "settings"])
def test_a_stretch_depends_on_networks_and_settings_of_plus_alone(drive: Any, changed: str) -> None:
    """Another tau or another refiner of the paper's method changes nothing."""
    video = drive.video([0, 5])
    first = plus_job(drive, video)
    assert first.plus is not None
    (stretch,) = plan_stretches(video, 9, reach=9)
    same = replace(first, setting=Setting(tau=0.9), refiner_fingerprint="filler-2", models=drive.models())
    models = drive.models()
    if changed == "motion":
        models.motion.name = "another"
    other = {
        "motion": replace(first.plus, models=models),
        "segmenter": replace(first.plus, models=replace(models, segmenter_fingerprint="colour-2")),
        "settings": replace(first.plus, fingerprint="plus-2"),
    }

    fingerprint = first.fingerprint(video, stretch, PLUS)

    assert same.fingerprint(video, stretch, PLUS) == fingerprint
    assert replace(first, plus=other[changed]).fingerprint(video, stretch, PLUS) != fingerprint
