"""Label the gaps beside corrected frames again, with the weights that are there: nearest frames first.

A gap lies between two key frames. A correction splits one, so its frames belong to other units than before,
from other key frames. They are labelled as `autolabel` would label them, with the same fingerprints: when it
runs with the same networks, it finds them done. All other frames stay as they are: their records name the key
frames that they come from, and `autolabel` labels again those that the correction is in reach of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from warprefine.core.errors import RunFolderError
from warprefine.core.memory import keep_freed_memory
from warprefine.core.stages import GOOD
from warprefine.core.video import Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.locks import locked
from warprefine.io.run import RunFolder
from warprefine.jobs.calibration import calibrated_as_before
from warprefine.jobs.context import GivenParts
from warprefine.jobs.corrections import DueRedo, due_redos, end_redos
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.labellers import make_job
from warprefine.jobs.networks import Networks
from warprefine.jobs.reopened import reopened
from warprefine.jobs.stages import networks_of
from warprefine.propagation.evidence import open_evidence
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.methods import METHODS, PLUS, needs_of
from warprefine.propagation.run import Job, copy_key_frames, label_unit, remove_others
from warprefine.propagation.units import Unit
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER
from warprefine.training.teachers import LABELLER

_BANDS = (1, 2, 5, 11, 23)
"""Distances from the corrected frame at which labelling passes to the other side of it.

A band costs a few frames more than it has, those that its ends are averaged with, so later ones are longer.
"""


@dataclass(frozen=True, kw_only=True)
class Relabelled:
    """A frame that was labelled again.

    Attributes:
        video: The name of the video.
        corrected: The corrected frame that it lies beside.
        frame: The number of the frame.
        method: The method whose labels of it are new.
        done: How many frames beside the corrected one are done; one that not all methods have labelled
            counts in part, and the sum is rounded down.
        of: How many frames there are.
    """

    video: str
    corrected: int
    frame: int
    method: str
    done: int
    of: int


class Relabeller:
    """Labels the gaps beside corrected frames of a run again; it keeps the networks in memory.

    Args:
        root: The run folder.
        cache: The folder that the run's cache lies in; None is the one in the run.
        parts: The parts that were supplied as objects when the run was labelled.
        device: Where networks run.

    Example:
        >>> for one in Relabeller(Path("RUN")).run():  # doctest: +SKIP
        ...     print(f"{one.video}: frame {one.frame} is mended, {one.done} of {one.of}")
    """

    def __init__(
        self,
        root: Path,
        *,
        cache: Path | None = None,
        parts: GivenParts | None = None,
        device: str = "cpu",
    ) -> None:
        self._root, self._cache, self._parts = root, cache, parts or GivenParts()
        self._device = device
        self._jobs: tuple[object, list[Job]] | None = None

    def run(self) -> Iterator[Relabelled]:
        """Label all gaps that are due, the newest correction first, as the results are asked for.

        Who stops asking, or is killed, loses nothing: what is labelled is recorded frame by frame, and the
        next call goes on. A correction that is saved meanwhile is taken up after the frame in hand.

        Raises:
            RunFolderError: Another process is writing the run, or networks that its labels were computed with
                are missing.
            FrameError: A frame cannot be read.
            LabelError: A correction is damaged.
        """
        keep_freed_memory()
        with locked(self._root):
            while due := due_redos(self._root):
                yield from self._beside(due[0], due)

    def prepare(self) -> None:
        """Load the networks and label a frame in vain, so that the first correction does not wait.

        Compiled functions are loaded, and memory is taken, at the first frame of a process.

        Raises:
            RunFolderError: Networks that the labels were computed with are missing.
            FrameError: A frame cannot be read.
        """
        finished = FinishedRun.open(self._root)
        for job in self._jobs_of(finished):
            for labeller in job.labellers:
                videos = job.dataset.videos
                units = (unit for video in videos for unit in labeller.units(video, job.horizon))
                unit = next(units, None)
                if unit is None:
                    continue
                (video,) = (one for one in videos if one.name == unit.video)
                unit = replace(unit, done=frozenset(unit.frames[1:]))
                cache = ArrayCache(finished.run.cache if self._cache is None else self._cache)
                with open_evidence(video, job.dataset.classes, labeller.models, cache) as evidence:
                    next(labeller.label(evidence, unit, labeller.methods), None)

    def jobs(self) -> list[Job]:
        """Return the jobs that label the run as it is now, that of warp-refine-plus first.

        Raises:
            RunFolderError: Networks that the labels were computed with are missing.
        """
        return self._jobs_of(FinishedRun.open(self._root))

    def _beside(self, target: DueRedo, due: Sequence[DueRedo]) -> Iterator[Relabelled]:
        """Label the gaps beside one frame, until they are done or a newer correction is there."""
        finished, run = FinishedRun.open(self._root), RunFolder(self._root, cache=self._cache)
        video = next((one for one in finished.dataset.videos if one.name == target.video), None)
        if video is not None and 0 <= target.frame < len(video):
            for one in _redo(self._jobs_of(finished), run, video, target.frame):
                yield one
                if due_redos(self._root)[:1] != tuple(due[:1]):
                    return
        run.manifest.settle()
        end_redos(one for one in due if (one.video, one.frame) == (target.video, target.frame))

    def _jobs_of(self, finished: FinishedRun) -> list[Job]:
        """Return the jobs that label a run as `autolabel` does, with the networks that it had."""
        weights = sorted(self._root.glob("checkpoints/*")) + sorted(self._root.glob("stages/*/checkpoints/*"))
        state: list[object] = [finished.methods, finished.stages]
        state += [(path, path.stat().st_mtime_ns) for path in (*weights, self._root / "job.json")]
        if self._jobs is None or self._jobs[0] != state:
            self._jobs = state, list(self._make_jobs(finished))
        return [replace(job, dataset=finished.dataset) for job in self._jobs[1]]

    def _make_jobs(self, finished: FinishedRun) -> Iterator[Job]:
        job = finished.run.job()
        if job.get("parts", {}) != self._parts.identities:
            raise RunFolderError(
                f"{self._root} was labelled with parts that were supplied as objects "
                f"({', '.join(job.get('parts', {})) or 'none'}), expected the same ones; run `autolabel` "
                "with them again, which labels from the corrections too"
            )
        run = RunFolder(self._root, cache=self._cache, read_only=True)
        context = reopened(finished, run, device=self._device, parts=self._parts)
        networks, stage = Networks(context), next(reversed(finished.stages), GOOD)
        if PLUS in finished.methods:
            of_stage = networks_of(networks, stage)
            _check_weights(of_stage, [PLUS])
            yield replace(calibrated_as_before(of_stage, make_job(of_stage, [PLUS])), stage=stage)
        others = [method for method in finished.methods if method != PLUS]
        if others:
            _check_weights(networks, others)
            yield calibrated_as_before(networks, make_job(networks, others))


def _check_weights(networks: Networks, methods: Sequence[str]) -> None:
    """Check that nothing would have to be trained.

    Raises:
        RunFolderError: A checkpoint is missing.
    """
    context, needs = networks.context, needs_of(methods)
    parts, run = context.parts, context.run
    names = {
        LABELLER: "segmenter" in needs and parts.segmenter is None,
        REFINER.part: "refiner" in needs and parts.refiner is None,
        TWO_SIDED_REFINER.part: "two-sided-refiner" in needs
        and parts.two_sided_refiner is None
        and context.recipe.plus.refiner.enabled,
    }
    missing = [
        str(run.checkpoint_path(part))
        for part, is_used in names.items()
        if is_used and not run.checkpoint_path(part).exists()
    ]
    if "tau" in needs and not networks.tau_is_known:
        missing.append(str(run.tau_path))
    if missing:
        raise RunFolderError(
            f"{missing[0]} is missing, expected the weights that the labels were computed with; run "
            "`warprefine autolabel` with the same options again, it trains what is missing"
        )


def _redo(jobs: Sequence[Job], run: RunFolder, video: Video, frame: int) -> Iterator[Relabelled]:
    """Label the frames of the gaps beside a frame by all jobs, and put the frame itself into its place."""
    gap = gap_around(video, frame)
    parts = [(job, *part) for job in jobs for part in _parts(job, video, gap, frame)]
    labels, before = sum(len(frames) * len(labeller.methods) for _, labeller, _, frames in parts), 0
    total = len({k for _, _, _, frames in parts for k in frames})
    for job in jobs:
        copy_key_frames(job, run, video)
    for job, labeller, unit, frames in parts:
        labelling = label_unit(job, run, labeller, (video, unit), wanted=frames)
        for done, one in enumerate(labelling, start=1):
            written = before + min(done, len(frames) * len(labeller.methods))
            yield Relabelled(
                video=video.name,
                corrected=frame,
                frame=one.frame,
                method=one.method,
                done=total * written // labels,
                of=total,
            )
        before += len(frames) * len(labeller.methods)
    for job in jobs:
        for labeller in job.labellers:
            remove_others(run, video, labeller, job.horizon)


def gap_around(video: Video, frame: int) -> range:
    """Return the frames between the key frames before and after a frame, the frame among them.

    Example:
        >>> paths, labels = [Path(f"{k}.jpg") for k in range(9)], {k: Path(f"{k}.png") for k in (1, 4, 7)}
        >>> video = Video(name="drive", stems="012345678", frame_paths=paths, labels=labels)
        >>> gap_around(video, 4), gap_around(video, 0)
        (range(2, 7), range(0, 1))
    """
    stretch = video.stretch(frame)
    ends = [stretch.start - 1, *(key for key in video.key_frames if key in stretch and key != frame)]
    return next(
        (range(a + 1, b) for a, b in pairwise([*ends, stretch.stop]) if a < frame < b),
        range(frame, frame + 1),
    )


def _parts(
    job: Job, video: Video, gap: range, frame: int
) -> Iterator[tuple[Labeller, Unit, tuple[int, ...]]]:
    """Yield what is labelled of the units in a gap, in order: outwards from a frame, both sides in turn."""
    for labeller in job.labellers:
        units = [unit for unit in labeller.units(video, job.horizon) if {*unit.frames} & {*gap}]
        if all(METHODS[method].labeller != "two-sided" for method in labeller.methods):
            # Each frame of a walk comes from the one before it, so walks are labelled whole.
            yield from ((labeller, unit, unit.frames) for unit in units)
            continue
        edges = [-1, *_BANDS, len(video)]
        for nearest, farthest in pairwise(edges):
            for unit in units:
                frames = tuple(k for k in unit.frames if nearest < abs(k - frame) <= farthest)
                if frames:
                    yield labeller, unit, frames
