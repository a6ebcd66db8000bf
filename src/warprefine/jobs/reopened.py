"""The context of a finished run, to go on with the networks that it has."""

from __future__ import annotations

from collections.abc import Sequence

from warprefine.core.progress import Progress, silent
from warprefine.core.video import Dataset
from warprefine.io.run import RunFolder
from warprefine.jobs.context import GivenParts, RunContext
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.preflight import check_device
from warprefine.jobs.start import precision_of_run


def reopened(
    finished: FinishedRun,
    run: RunFolder,
    *,
    device: str,
    parts: GivenParts | None = None,
    also_train: Sequence[Dataset] = (),
    progress: Progress = silent,
) -> RunContext:
    """Return the context that a finished run was made in: its data, recipe, seed and precision.

    Frames out of reach are labelled by the segmenter alone if it has such labels.

    Args:
        finished: The run.
        run: Its folder, with the cache that is to be used.
        device: Where networks run.
        parts: The parts that were supplied as objects when it was made.
        also_train: The further labelled data that it was made with, where networks are trained.
        progress: Called as work proceeds.

    Raises:
        DeviceError: There is no such device.
    """
    where, seed = check_device(device), finished.run.job().get("seed", 0)
    return RunContext(
        dataset=finished.dataset,
        horizon=finished.horizon,
        run=run,
        recipe=finished.recipe,
        device=where,
        seed=seed if type(seed) is int else 0,
        progress=progress,
        also_train=tuple(also_train),
        parts=parts or GivenParts(),
        precision=precision_of_run(run, where),
        unreached="semantic" if any(one.by_segmenter for one in finished.coverage) else "skip",
    )
