"""Measure how long labels take: one short clip is labelled anew, with nothing from the cache."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from warprefine.core.video import Dataset, Video
from warprefine.io.atomic import write_text
from warprefine.io.run import RunFolder
from warprefine.jobs.autolabel import Started
from warprefine.jobs.prepare_plus import PlusPreparation
from warprefine.propagation.methods import PLUS
from warprefine.propagation.schedule import plan
from warprefine.propagation.writer import Job, propagate

_FRAMES = 8
"""Frames that are labelled, between two key frames."""
_TRIALS = 2
"""The fastest counts: the first also waits for what is done only once."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """How long a frame takes, flow, segmenter and files included, and how that compares with another way."""

    milliseconds: float
    ratio: float

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps(asdict(self)) + "\n")

    @classmethod
    def read(cls, path: Path) -> Cost:
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def measure_cost(job: Job, *, beside: Job) -> Cost:
    """Measure two ways of labelling in turns, so that what else the machine does falls on both.

    Args:
        job: What `job_to_time` returned for the one that is asked about.
        beside: The same for the one that it is compared with.
    """
    seconds = [(_seconds(job), _seconds(beside)) for _ in range(_TRIALS)]
    own, other = (min(column) for column in zip(*seconds, strict=True))
    frames = sum(len(unit.frames) for unit in plan(job.dataset.videos[0], job.horizon))
    return Cost(milliseconds=1000 * own / frames, ratio=own / other)


def job_of(started: Started, method: str) -> Job:
    """Return the job of a run for one method; networks are trained if they are not there yet."""
    preparation = started.preparation
    job = preparation.job(horizon=started.horizon, methods=(method,))
    return replace(job, plus=PlusPreparation(preparation=preparation).job()) if method == PLUS else job


def job_to_time(started: Started, method: str) -> Job:
    """Return a short job for one method."""
    job = job_of(replace(started, horizon=_FRAMES), method)
    return replace(job, dataset=_short(job.dataset))


def _seconds(job: Job) -> float:
    with TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        begun = perf_counter()
        propagate(job, run)
        return perf_counter() - begun


def _short(dataset: Dataset) -> Dataset:
    """Return the beginning of the longest clip, with label maps of that clip at both ends.

    They need not be those of the frames where they stand: time does not depend on what they show.
    """
    video: Video = max((one for one in dataset.videos if one.labels), key=len)
    last = min(len(video), _FRAMES + 2) - 1
    labels = next(iter(video.labels.values()))
    short = replace(
        video,
        stems=video.stems[: last + 1],
        frame_paths=video.frame_paths[: last + 1],
        labels=dict.fromkeys((0, last) if last > 1 else (0,), labels),
        truth={},
    )
    return replace(dataset, videos=(short,))
