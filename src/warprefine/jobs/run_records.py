"""What a run folder tells about a run: its job, its methods and stages, and what was left out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from warprefine.core.errors import RunFolderError
from warprefine.core.stages import Stage, count_stages
from warprefine.core.video import Dataset, Video
from warprefine.io.atomic import write_text, writing_errors
from warprefine.io.claims import own_json
from warprefine.io.run import RunFolder
from warprefine.jobs.moved_data import FROM_RUN, found_again
from warprefine.propagation.methods import ORACLE
from warprefine.propagation.units import stepwise_units
from warprefine.recipe.former import with_former_values
from warprefine.recipe.recipe import Recipe

_LABEL_AGAIN = "delete it and run `warprefine autolabel` with the same options again"


def methods_of(root: Path) -> tuple[str, ...]:
    """Return the methods whose labels a run folder has, by name.

    Raises:
        RunFolderError: It is no folder, or has none.
    """
    check_folder(root)
    methods = tuple(sorted(path.name for path in (root / "labels").glob("[!.]*")))
    if not methods:
        raise RunFolderError(
            f"{root} holds no labels yet; run `warprefine autolabel` with the same options to make them"
        )
    return methods


def check_folder(root: Path) -> None:
    """Check that a folder is there.

    Raises:
        RunFolderError: It is not.
    """
    if not root.is_dir():
        raise RunFolderError(f"{root} is no folder; expected one that `warprefine autolabel` has made")


def stages_of(run: RunFolder, dataset: Dataset, method: str) -> dict[Stage, int]:
    """Return how many frames of a method have labels of each stage; key frames are of none."""
    return count_stages(
        provenance.stage
        for video in dataset.videos
        for provenance in run.manifest.provenances(video.name, method).values()
    )


def complete_methods(
    run: RunFolder, dataset: Dataset, methods: Sequence[str], horizon: int
) -> tuple[str, ...]:
    """Return those methods that have labelled all frames; all of them if none has.

    A command that was stopped may have begun with some, while others have the labels of a stage.
    """
    try:
        complete = tuple(
            method
            for method in methods
            if all(
                _frames_due(video, horizon, method) <= _labelled(run, video, method)
                for video in dataset.videos
            )
        )
    except RunFolderError:  # without a manifest
        return tuple(methods)
    return complete or tuple(methods)


def _frames_due(video: Video, horizon: int, method: str) -> set[int]:
    due = {frame for unit in stepwise_units(video, horizon) for frame in unit.frames}
    return due & set(video.truth) if method == ORACLE else due


def _labelled(run: RunFolder, video: Video, method: str) -> set[int]:
    return {frame for frame, record in run.manifest.records(video.name, method).items() if record.is_whole}


def write_left_out(run: RunFolder, failures: Mapping[str, str]) -> None:
    """Write the videos that were left out, and why, into the run folder."""
    if failures:
        write_text(run.left_out_path, json.dumps(dict(failures), indent=2) + "\n")
    else:
        with writing_errors(run.left_out_path):
            run.left_out_path.unlink(missing_ok=True)


def left_out(run: RunFolder) -> dict[str, str]:
    """Return the videos that a run could not label, and why."""
    if not run.left_out_path.exists():
        return {}
    with own_json(run.left_out_path, remedy=_LABEL_AGAIN):
        found = json.loads(run.left_out_path.read_text(encoding="utf-8"))
        return {str(name): str(problem) for name, problem in found.items()}


def recorded_job(
    path: Path, job: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, int | Literal["all"], Recipe]:
    """Return data set, horizon and recipe of a job; no data set if it was given in memory."""
    with own_json(path, remedy=_LABEL_AGAIN):
        data, horizon, recipe = dict(job["data"]), job["horizon"], Recipe(**with_former_values(job["recipe"]))
        if horizon != "all" and type(horizon) is not int:
            raise TypeError(f"horizon = {horizon!r}")
        if "reader" not in data:
            return None, horizon, recipe
        if not all(isinstance(data[key], str) for key in ("root", "reader", "split")):
            raise TypeError(f"data = {data}")
        known = ("root", "reader", "split", "key_frames")
        origin = {key: data[key] for key in known}
        return found_again(origin, data.get(FROM_RUN), path.parent), horizon, recipe
