"""Measure the time to label a frame: one short clip is labelled again, with an empty cache."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from warprefine.core.video import Dataset, Video
from warprefine.io.atomic import write_text
from warprefine.io.claims import own_json
from warprefine.io.run import RunFolder
from warprefine.jobs.labellers import make_job
from warprefine.jobs.networks import Networks
from warprefine.propagation.run import Job, propagate
from warprefine.propagation.units import stepwise_units
from warprefine.training.engine.distributed import ALONE

_FRAMES = 8
"""Frames that are labelled, between two key frames."""
_TRIALS = 2
"""Runs of which the fastest counts: the first includes work that is done only once."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Time per frame, flow, segmenter and files included, and its ratio to another method's."""

    milliseconds: float
    ratio: float

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps(asdict(self)) + "\n")

    @classmethod
    def read(cls, path: Path) -> Cost:
        """Read a file of `write`."""
        with own_json(path, remedy="delete it, it is measured again"):
            return cls(**json.loads(path.read_text(encoding="utf-8")))


def measure_cost(job: Job, *, beside: Job) -> Cost:
    """Time two jobs in turns, so that other load on the machine affects both.

    Args:
        job: A job that `job_to_time` returned.
        beside: The job that it is compared with.
    """
    seconds = [(_seconds(job), _seconds(beside)) for _ in range(_TRIALS)]
    own, other = (min(column) for column in zip(*seconds, strict=True))
    frames = sum(len(unit.frames) for unit in stepwise_units(job.dataset.videos[0], job.horizon))
    return Cost(milliseconds=1000 * own / frames, ratio=own / other)


def job_to_time(networks: Networks, method: str) -> Job:
    """Return a short job for one method; missing networks are trained."""
    alone = Networks(replace(networks.context, world=ALONE))  # one process labels: it asks no other
    job = make_job(alone, (method,))
    return replace(job, dataset=_short(job.dataset), horizon=_FRAMES)


def _seconds(job: Job) -> float:
    with TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        begin = perf_counter()
        propagate(job, run)
        return perf_counter() - begin


def _short(dataset: Dataset) -> Dataset:
    """Return the beginning of the longest clip, with label maps of that clip at both ends.

    The label maps need not fit their frames: the time does not depend on their content.
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
