"""Train several students of a finished run, at the same time where an engine has several workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from warprefine.core.engine import HERE, Engine
from warprefine.core.progress import Progress, silent
from warprefine.core.streaming import streamed
from warprefine.jobs.student import FramesOfStudent, StudentJob, frames_of, train_on_frames, train_on_run
from warprefine.jobs.training_reports import CurveValue, Report, Telling, listening
from warprefine.metrics.network_scores import NetworkScores


def train_students_on_runs(
    jobs: Sequence[StudentJob], *, engine: Engine = HERE, progress: Progress = silent
) -> list[NetworkScores]:
    """Train students, and return the scores of those that have test data, in order.

    Weights and scores do not depend on the engine. The folders of the students are locked by the caller.

    Raises:
        RunFolderError: A folder is no run, or lacks labels that a recipe needs.
        LabelError: Test or coarse data have other classes than the run.
    """
    if engine.is_here:
        found = [train_on_run(job, progress=progress) for job in jobs]
        return [scores for scores in found if scores is not None]
    work = StudentOfRunWork(jobs=tuple(jobs), frames=tuple(frames_of(job, progress=progress) for job in jobs))
    scored: dict[int, NetworkScores] = {}
    with listening(progress) as listener, closing(engine.stream(work, range(len(jobs)))) as results:
        for position, told in results:
            if isinstance(told, NetworkScores):
                scored[position] = told
            elif told is not None:
                listener.take(jobs[position].weights, told)
    return [scored[position] for position in sorted(scored)]


@dataclass(frozen=True, kw_only=True)
class StudentOfRunWork:
    """Trains and tests students by their position, in whichever process it is called.

    Attributes:
        jobs: The students.
        frames: What each is trained on.
    """

    jobs: tuple[StudentJob, ...]
    frames: tuple[FramesOfStudent, ...]

    def __call__(self, position: int) -> Iterator[Report | CurveValue | NetworkScores]:
        """Yield the progress of a training and the values of its curves, and last the scores, if any."""
        return streamed(partial(self._train, position))

    def _train(self, position: int, tell: Callable[[Report | CurveValue | NetworkScores], None]) -> None:
        telling, job = Telling(tell=tell), self.jobs[position]
        scores = train_on_frames(job, self.frames[position], watch=telling.watch, progress=telling)
        if scores is not None:
            tell(scores)
