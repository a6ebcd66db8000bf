"""Tests of propagation/run.py: units of work that are done once, whole, and never twice."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from warprefine.core.classes import ClassSet
from warprefine.core.errors import RunFolderError
from warprefine.core.tensors import VOID
from warprefine.io.images import read_gray, read_ids, read_labels, write_ids, write_labels
from warprefine.io.manifest import ArrivedFrame, Manifest
from warprefine.io.run import RunFolder
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.methods import ORACLE, PAPER_METHODS, PLUS
from warprefine.propagation.run import Job, propagate
from warprefine.recipe.plus import ChooseSettings, PlusRecipe

METHODS = (*PAPER_METHODS, ORACLE)
"""Those that label each frame from one key frame."""


def job(drive: Any, *videos: Any, methods: tuple[str, ...] = METHODS, **changes: Any) -> Job:
    """Return a job of some of `METHODS`; `changes` are arguments of `Drive.stepwise`."""
    labellers: list[Labeller] = [drive.stepwise(*(m for m in methods if m != ORACLE), **changes)]
    if ORACLE in methods:
        labellers.append(drive.oracle())
    return Job(dataset=drive.dataset(*videos), horizon=2, labellers=tuple(labellers))


def plus_job(drive: Any, *videos: Any, **changes: Any) -> Job:
    """Return a job of warp-refine-plus with a reach of four frames, for arguments of `Drive.two_sided`."""
    labeller = drive.two_sided(PlusRecipe(choose=ChooseSettings(reach=4)), **changes)
    return Job(dataset=drive.dataset(*videos), horizon=2, labellers=(labeller,))


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
    assert torch.equal(labels, torch.where(carried, drive.hand_labels(3), drive.segmented(3)))
    confidence = read_gray(run.confidence_path("warp-inpaint", "drive", "000003"))
    assert bool((confidence[carried] == 1).all())
    assert confidence.shape == (1, *drive.size)


def test_key_frames_are_never_altered(drive: Any, run: RunFolder) -> None:
    """A hand-made label map is copied byte for byte, with confidence 1."""
    video = drive.video([1], truth=[2])
    propagate(job(drive, video), run)

    for method in METHODS:
        copy = run.labels_path(method, "drive", "000001")
        assert copy.read_bytes() == video.labels[1].read_bytes()
        assert read_gray(run.confidence_path(method, "drive", "000001")).unique().tolist() == [1]


def recoded(drive: Any) -> ClassSet:
    """The classes of the wall, with further numbers for VOID and for the first class."""
    merged = ((77,), *((),) * (len(drive.classes) - 1))
    return replace(drive.classes, void_ids=(99,), merged_ids=merged)


def test_key_frames_hold_the_numbers_of_all_other_frames(drive: Any, run: RunFolder) -> None:
    """Where files have further numbers, a run writes one for each class and 255 for VOID, and files stay."""
    video = drive.video([1])
    labels = drive.hand_labels(1).clone()
    numbers = labels[0].numpy().copy()
    numbers[0], numbers[1] = 99, 77
    write_ids(video.labels[1], numbers)
    before = video.labels[1].read_bytes()
    work = job(drive, video, methods=("motion-only", "warp-inpaint"))
    work = replace(work, dataset=replace(work.dataset, classes=recoded(drive)))

    propagate(work, run)

    assert video.labels[1].read_bytes() == before
    for method in work.methods:
        written = read_ids(run.labels_path(method, "drive", "000001"))
        assert (written[0] == VOID).all()
        assert (written[1] == 0).all()
        assert (written[2:] == numbers[2:]).all()
        assert read_gray(run.confidence_path(method, "drive", "000001")).unique().tolist() == [1]
    done = {method: times(run, method) for method in work.methods}
    propagate(work, run)
    assert {method: times(run, method) for method in work.methods} == done


def test_key_frames_that_hold_the_numbers_of_a_run_are_copied(drive: Any, run: RunFolder) -> None:
    """Further numbers that do not occur in a file change nothing."""
    video = drive.video([1])
    work = job(drive, video, methods=("motion-only",))

    propagate(replace(work, dataset=replace(work.dataset, classes=recoded(drive))), run)

    copy = run.labels_path("motion-only", "drive", "000001")
    assert copy.read_bytes() == video.labels[1].read_bytes()


def test_the_oracle_keeps_no_key_frames_where_it_labels_nothing(drive: Any, run: RunFolder) -> None:
    """Without truth it has no labels, and copies of hand-made ones would be taken for some."""
    propagate(job(drive, drive.video([1])), run)

    assert not (run.root / "labels/oracle").exists()
    assert not (run.root / "confidence/oracle").exists()


def test_what_is_done_is_not_done_again(drive: Any, run: RunFolder) -> None:
    """The same job on a finished run calls no network and writes no file."""
    video = drive.video([1], truth=[2])
    propagate(job(drive, video), run)
    before, models = {method: times(run, method) for method in METHODS}, drive.models()

    propagate(job(drive, video, models=models), run)

    assert {method: times(run, method) for method in METHODS} == before
    assert (models.motion.calls, models.segmenter.calls) == (0, 0)


def test_a_corrected_key_frame_redoes_only_its_own_units(drive: Any, run: RunFolder) -> None:
    """When the labels of a key frame are corrected, its frames are labelled again, and no others."""
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
    """With a further key frame, the frames that are nearer to it than to others are labelled from it."""
    propagate(job(drive, drive.video([0]), methods=("motion-only",)), run)
    before = times(run, "motion-only")

    video = drive.video([0, 2])
    propagate(job(drive, video, methods=("motion-only",)), run)

    after = times(run, "motion-only")
    assert rewritten(before, after) == [f"drive/{t:06d}.png" for t in (1, 2, 3, 4)]
    assert run.labels_path("motion-only", "drive", "000002").read_bytes() == video.labels[2].read_bytes()


def test_another_tau_leaves_motion_only_alone(drive: Any, run: RunFolder) -> None:
    """With another tau inpainted labels are written again; those of motion alone are not."""
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
    """A unit is done only when all its files are there: one that was interrupted is redone as a whole."""
    video, broken = drive.video([0]), drive.video([0])
    second_frame = video.frame_paths[2].read_bytes()
    broken.frame_paths[2].write_bytes(b"")
    assert list(propagate(job(drive, broken, methods=("motion-only",)), run)) == ["drive"]
    assert sorted(times(run, "motion-only")) == ["drive/000001.png"]
    video.frame_paths[2].write_bytes(second_frame)

    assert propagate(job(drive, video, methods=("motion-only",)), run) == {}

    assert sorted(times(run, "motion-only")) == [f"drive/{t:06d}.png" for t in (0, 1, 2)]


@pytest.mark.parametrize("kind", ["labels", "confidence"])
def test_a_file_that_was_lost_is_written_again(drive: Any, run: RunFolder, kind: str) -> None:
    """When one map of a finished unit is deleted, its frame is labelled again, and no other."""
    video, methods = drive.video([1], truth=[2]), ("motion-only", "oracle")
    propagate(job(drive, video, methods=methods), run)
    before, whole = {method: times(run, method) for method in methods}, files(run)
    (run.root / kind / "motion-only/drive/000003.png").unlink()

    propagate(job(drive, video, methods=methods), run)

    assert files(run) == whole
    assert rewritten(before["motion-only"], times(run, "motion-only")) == ["drive/000003.png"]
    assert rewritten(before["oracle"], times(run, "oracle")) == []


def test_a_full_disk_stops_the_run(drive: Any, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is no fault of the video: it is not left out, the run stops."""

    def refuse(self: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(RunFolderError, match="the disk is full"):
        propagate(job(drive, drive.video([1]), methods=("motion-only",)), run)


def test_a_broken_video_does_not_stop_the_others(
    film: Callable[..., Any], run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong with one video is returned and logged; all others are labelled."""
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
    """Progress is reported with the number of labelled frames, their total and the video's name."""
    reports = []

    propagate(
        job(drive, drive.video([1, 4]), methods=("motion-only",)),
        run,
        progress=lambda task, done, total, note="": reports.append((task, done, total, note)),
    )

    assert reports == [("propagating", done, 4, "drive") for done in (1, 2, 3, 4)]


def test_quick_frames_are_recorded_together_however_it_ends(
    film: Callable[..., Any], run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each record waits for the disk; what was labelled before somebody stopped the run is recorded."""
    drive = film(length=6)
    recorded: list[list[int]] = []
    put = Manifest.put

    def counted(manifest: Manifest, *frames: ArrivedFrame) -> None:
        recorded.append([one.frame for one in frames])
        put(manifest, *frames)

    def stop(task: str, done: int, total: int, note: str = "") -> None:
        if done == 3:
            raise KeyboardInterrupt

    work = job(drive, drive.video([0]), methods=("motion-only",))
    monkeypatch.setattr("warprefine.propagation.run._RECORD_EVERY", 60.0)
    monkeypatch.setattr(Manifest, "put", counted)
    with pytest.raises(KeyboardInterrupt):
        propagate(replace(work, horizon=5), run, progress=stop)

    assert recorded == [[1, 2, 3]]
    assert [*run.manifest.provenances("drive", "motion-only")] == [1, 2, 3]


def test_plus_labels_units_from_both_sides(drive: Any, run: RunFolder) -> None:
    """Every frame between two key frames gets a label map and a confidence; key frames are copied."""
    video = drive.video([0, 5])
    assert propagate(plus_job(drive, video), run) == {}

    assert sorted(times(run, PLUS)) == [f"drive/{t:06d}.png" for t in range(6)]
    for t in (1, 2, 3, 4):
        labels = read_labels(run.labels_path(PLUS, "drive", f"{t:06d}"), drive.classes)
        reached, named = drive.in_view([0], of=t) | drive.in_view([5], of=t), drive.hand_labels(t) != VOID
        expected = torch.where(reached, drive.hand_labels(t), drive.segmented(t))
        assert torch.equal(labels[named], expected[named])
        assert read_gray(run.confidence_path(PLUS, "drive", f"{t:06d}")).shape == (1, *drive.size)
    for t in (0, 5):
        assert run.labels_path(PLUS, "drive", f"{t:06d}").read_bytes() == video.labels[t].read_bytes()
        assert read_gray(run.confidence_path(PLUS, "drive", f"{t:06d}")).unique().tolist() == [1]


def test_each_labeller_uses_its_own_networks(drive: Any, run: RunFolder) -> None:
    """Beside other methods warp-refine-plus has a motion of its own, and neither uses the other's."""
    video, stepwise, two_sided = drive.video([1]), drive.models(), drive.models()
    two_sided.motion.name = "another"
    labellers = (
        *job(drive, video, methods=("motion-only",), models=stepwise).labellers,
        *plus_job(drive, video, models=two_sided).labellers,
    )
    both = Job(dataset=drive.dataset(video), horizon=2, labellers=labellers)
    assert both.methods == ("motion-only", PLUS)

    propagate(both, run)

    assert stepwise.motion.calls == 3, "one step to each frame in reach"
    assert two_sided.motion.calls == 2 * 3, "forward and backward flow"
    assert (stepwise.segmenter.calls, two_sided.segmenter.calls) == (0, 3)
    assert sorted(times(run, PLUS)) == sorted(times(run, "motion-only"))


def test_plus_does_nothing_twice(drive: Any, run: RunFolder) -> None:
    """On a finished run no network is called and no file written; another refiner labels all again."""
    video = drive.video([0, 5])
    propagate(plus_job(drive, video), run)
    before, models = times(run, PLUS), drive.models()

    propagate(plus_job(drive, video, models=models), run)

    assert times(run, PLUS) == before
    assert (models.motion.calls, models.segmenter.calls) == (0, 0)

    propagate(plus_job(drive, video, refiner_fingerprint="plus-2"), run)

    assert rewritten(before, times(run, PLUS)) == [f"drive/{t:06d}.png" for t in (1, 2, 3, 4)]


@pytest.mark.parametrize("kind", ["labels", "confidence"])
def test_a_lost_file_of_plus_is_written_again(film: Callable[..., Any], run: RunFolder, kind: str) -> None:
    """When a map is deleted, its frame is labelled again, and no other."""
    drive = film(step=(1, 0))
    video = drive.video([2])
    propagate(plus_job(drive, video), run)
    before, whole = times(run, PLUS), files(run)
    (run.root / kind / PLUS / "drive/000003.png").unlink()

    propagate(plus_job(drive, video), run)

    assert files(run) == whole
    assert rewritten(before, times(run, PLUS)) == ["drive/000003.png"]


@pytest.mark.parametrize(
    ("corrected", "redone"), [(0, (0, 1, 2, 3)), (4, (1, 2, 3, 4, 5, 6)), (15, (13, 14, 15))]
)
def test_a_corrected_key_frame_redoes_the_units_in_reach(
    film: Callable[..., Any], run: RunFolder, corrected: int, redone: tuple[int, ...]
) -> None:
    """The units on both sides of a corrected key frame are redone as far as it reaches, and no others."""
    drive = film(step=(1, 0), length=16)
    video = drive.video([0, 4, 15])
    propagate(plus_job(drive, video), run)
    before = times(run, PLUS)
    write_labels(video.labels[corrected], torch.zeros(1, *drive.size, dtype=torch.uint8), drive.classes)

    propagate(plus_job(drive, video), run)

    assert rewritten(before, times(run, PLUS)) == [f"drive/{t:06d}.png" for t in redone]


def test_a_key_frame_that_came_and_went_leaves_no_trace(drive: Any, run: RunFolder) -> None:
    """Labels computed while there was another key frame are computed again once it is gone."""
    without, with_it = drive.video([0, 5]), drive.video([0, 2, 5])
    propagate(plus_job(drive, without), run)
    before = files(run)

    propagate(plus_job(drive, with_it), run)
    assert files(run) != before
    propagate(plus_job(drive, without), run)

    assert files(run) == before


@pytest.mark.parametrize("method", [PLUS, "motion-only"])
def test_a_frame_that_becomes_a_key_frame_is_no_pseudo_label(
    film: Callable[..., Any], run: RunFolder, method: str
) -> None:
    """Its provenance is forgotten, and its hand-made labels do not stay when they are taken back."""
    drive = film(step=(3, 0), length=2)

    def label(*key_frames: int) -> None:
        video = drive.video(key_frames)
        propagate(plus_job(drive, video) if method == PLUS else job(drive, video, methods=(method,)), run)

    label(0)
    before = files(run)
    assert list(run.manifest.provenances("drive", method)) == [1]

    label(0, 1)
    assert run.manifest.provenances("drive", method) == {}
    assert files(run) != before

    label(0)
    assert files(run) == before
    assert list(run.manifest.provenances("drive", method)) == [1]


def test_the_manifest_has_the_provenance_of_each_frame(drive: Any, run: RunFolder) -> None:
    """By method and frame it holds the key frames and the distance; key frames are not among them."""
    video = drive.video([0, 5], truth=[1])
    propagate(job(drive, video, methods=("motion-only", ORACLE)), run)
    propagate(plus_job(drive, video), run)

    found = {
        method: {k: (p.key_frames, p.distance) for k, p in run.manifest.provenances("drive", method).items()}
        for method in ("motion-only", ORACLE, PLUS)
    }

    assert found == {
        "motion-only": {1: ((0,), 1), 2: ((0,), 2), 3: ((5,), 2), 4: ((5,), 1)},
        ORACLE: {1: ((0,), 1)},
        PLUS: {1: ((0, 5), 1), 2: ((0, 5), 2), 3: ((5, 0), 2), 4: ((5, 0), 1)},
    }


class Elsewhere:
    """An engine that works on all units at the same time, begins the last one twice, and yields in turn."""

    is_here = False
    is_on_this_machine = True
    cores_here = 1

    def stream(self, work: Any, items: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the units with what became of them, mixed."""
        units = [*items]
        yield units[-1], next(work(units[-1]))
        open_units = deque((unit, work(unit)) for unit in reversed(units))
        while open_units:
            unit, results = open_units.popleft()
            result = next(results, None)
            yield unit, result
            if result is not None:
                open_units.append((unit, results))


def test_labels_do_not_depend_on_where_units_are_labelled(film: Any, tmp_path: Path) -> None:
    """In any order, at the same time, and some of them twice, units get the same labels and records."""
    drive = film()
    videos = [drive.video([1], truth=[2]), film(name="other").video([2])]
    whole = job(drive, *videos)
    here, elsewhere = RunFolder(tmp_path / "here"), RunFolder(tmp_path / "elsewhere")
    counts: list[int] = []

    propagate(whole, here)
    propagate(
        whole,
        elsewhere,
        engine=Elsewhere(),
        progress=lambda task, done, total, note="": counts.append(total - done),
    )

    assert files(elsewhere) == files(here)
    for method in whole.methods:
        for name in ("drive", "other"):
            assert elsewhere.manifest.records(name, method) == here.manifest.records(name, method)
            assert elsewhere.expectations.errors(name, method) == here.expectations.errors(name, method)
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0
    assert not (elsewhere.root / "arriving").exists()


def test_a_damaged_video_costs_no_other_one_elsewhere(film: Any, tmp_path: Path) -> None:
    """A video whose frames cannot be read is reported once; all others are finished."""
    drive = film()
    videos = [drive.video([1], truth=[2]), film(name="other").video([2])]
    run = RunFolder(tmp_path / "run")
    videos[0].frame_paths[3].write_bytes(b"no picture")

    failures = propagate(job(drive, *videos, methods=("motion-only",)), run, engine=Elsewhere())

    assert [*failures] == ["drive"]
    assert "000003.png" in failures["drive"]
    assert [*run.manifest.fingerprints("other", "motion-only")] == [0, 1, 2, 3, 4]
