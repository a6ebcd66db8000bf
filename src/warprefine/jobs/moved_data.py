"""Find the data of a run again after they were moved, with the run folder or without it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from warprefine.core.errors import DatasetError
from warprefine.io.claims import read_claim
from warprefine.io.places import is_url

FROM_RUN = "from_run"
"""Of the data set in a job: its folder as seen from the run folder. Both may be moved together."""
_ROOT = "root"


def seen_from(run: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job whose data have their place as seen from a run folder too."""
    root = job["data"][_ROOT]
    data = dict(job["data"])
    if not is_url(root):
        with suppress(ValueError):  # on another drive of Windows
            data[FROM_RUN] = Path(os.path.relpath(root, run.absolute())).as_posix()
    return {**job, "data": data}


def moved_keys(run: Path, job: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys of a run's job that may change because its data were moved, by their paths.

    Those are places where nothing is any more. All else that identifies the data has to be as before.
    """
    path = run / "job.json"
    keys = [f"data.{FROM_RUN}"]
    if not path.exists():
        return tuple(keys)
    before = read_claim(path)
    if _was_moved(before.get("data"), job["data"]):
        keys.append(f"data.{_ROOT}")
    old, new = before.get("also_train"), job["also_train"]
    if isinstance(old, list) and len(old) == len(new) and old != new:
        pairs = list(zip(old, new, strict=True))
        if all(one == other or (_was_moved(one, other) and _alike(one, other)) for one, other in pairs):
            keys.append("also_train")
    return tuple(keys)


def found_again(origin: Mapping[str, Any], beside: object, run: Path) -> dict[str, Any]:
    """Return how to open a data set, where it is now: it may have been moved together with the run folder.

    Args:
        origin: How to open it, as the job of the run has it.
        beside: Its place as seen from the run folder, if the job has that.
        run: The run folder.
    """
    if isinstance(beside, str) and _is_gone(origin[_ROOT]):
        there = os.path.normpath(run.absolute() / beside)
        if not _is_gone(there):
            return {**origin, _ROOT: there}
    return dict(origin)


def check_place(origin: Mapping[str, Any], run: Path) -> None:
    """Check that the data of a run are where its job has them.

    Raises:
        DatasetError: They are not.
    """
    root = origin[_ROOT]
    if _is_gone(root):
        raise DatasetError(
            f"{root} does not exist, expected the data of {run}; if they were moved, run `warprefine "
            "autolabel` once with the new folder and the same options: it labels nothing again"
        )


def _was_moved(before: Any, now: Mapping[str, Any]) -> bool:
    """Return whether data are in another place, and their former place is gone."""
    root = before.get(_ROOT) if isinstance(before, dict) else None
    return isinstance(root, str) and root != now[_ROOT] and _is_gone(root)


def _alike(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether data are opened in the same way, wherever they are."""
    return {**before, _ROOT: ""} == {**now, _ROOT: ""}


def _is_gone(root: str) -> bool:
    """Return whether nothing is at a path; of URLs that is not asked."""
    return not is_url(root) and not os.path.exists(root)  # noqa: PTH110 - Path.exists raises for long names
