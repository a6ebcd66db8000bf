"""Notice that the networks of a run were trained on other data than there are now."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from warprefine.core.errors import RunFolderError
from warprefine.core.video import Dataset, Video
from warprefine.io.atomic import write_text, writing_errors
from warprefine.io.claims import read_claim
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_frames, fingerprint_of_labels
from warprefine.io.run import RunFolder
from warprefine.propagation.units import frames_in_reach

log = logging.getLogger(__name__)


def check_networks(
    run: RunFolder, dataset: Dataset, also_train: Sequence[Dataset], *, horizon: int, retrain: bool
) -> str:
    """Compare the data with those that the networks of a run were trained on.

    A run without networks records the data. Networks that are copied from elsewhere are not checked.

    Args:
        retrain: Delete networks that were trained on other data, so that they are trained anew.

    Returns:
        What changed and how to mend it, one line; empty if nothing did.
    """
    path = run.root / "trained_on.json"
    weights = [
        path
        for folder in (run.root, *(run.root / "stages").glob("*"))
        for path in sorted((folder / "checkpoints").glob("*.safetensors"))
    ]
    if weights and not path.exists():
        return ""
    now = _described(dataset, also_train, horizon=horizon)
    before: dict[str, Any] = {}
    changes: list[str] = []
    if path.exists():
        try:
            before = read_claim(path, {"classes": str, "labels": dict, "frames": dict})
            changes = _changes(before, now, corrected=_corrected(dataset))
        except RunFolderError as error:
            changes = [f"perhaps: {error}"]
    if changes and retrain:
        log.warning("the data changed (%s): the networks are trained anew", ", ".join(changes))
        _delete_networks(run)
    elif changes and weights:
        return (
            f"the data changed since the networks of {run.root} were trained ({', '.join(changes)}); frames "
            "are labelled with the old networks: add --retrain to train them on the data as they are now"
        )
    elif changes:
        _delete_networks(run)  # trainings that have hardly begun
    if now != before:
        write_text(path, json.dumps(now, indent=1) + "\n")
    return ""


def trained_key_frames(run: RunFolder, dataset: Dataset) -> dict[tuple[str, int], int]:
    """Return the key frames that the networks of a run were trained on, with their places among them.

    Those whose frames are gone are left out; there are none where nothing is recorded.
    """
    path = run.root / "trained_on.json"
    try:
        recorded = read_claim(path, {"labels": dict})["labels"] if path.exists() else {}
    except RunFolderError:  # damaged, which `check_networks` tells
        return {}
    places = {_name(0, video, k): (video.name, k) for video in dataset.videos for k in range(len(video))}
    return {places[name]: place for place, name in enumerate(recorded) if name in places}


def _delete_networks(run: RunFolder) -> None:
    for folder in (run.root / name for name in ("checkpoints", "held_out", "rounds", "stages")):
        with writing_errors(folder):
            if folder.exists():
                shutil.rmtree(folder)
    for path in (run.tau_path, run.root / "stages.json"):
        with writing_errors(path):
            path.unlink(missing_ok=True)
    run.manifest.forget_data()


def _described(dataset: Dataset, also_train: Sequence[Dataset], *, horizon: int) -> dict[str, Any]:
    """Return the content of all that networks are trained on, by name."""
    return {
        "classes": fingerprint_of(dataset.classes.names, dataset.classes.coding),
        "labels": {
            _name(number, video, frame): fingerprint_of_labels(path)
            for number, one in enumerate((dataset, *also_train))
            for video in one.videos
            for frame, path in video.labels.items()
        },
        "frames": {
            f"{video.name}/{video.stems[frame]}": fingerprint_of_frames(video, [frame])
            for video in dataset.videos
            for frame in frames_in_reach(video, horizon)
        },
    }


def _corrected(dataset: Dataset) -> set[str]:
    """Return the corrected label maps, by the names that `_described` gives to label maps."""
    return {_name(0, video, frame) for video in dataset.videos for frame in video.corrected}


def _name(number: int, video: Video, frame: int) -> str:
    """Return the name of a label map: of the videos to be labelled, which are 0, or of further data."""
    return f"{number}/{video.name}/{video.stems[frame]}"


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], *, corrected: Collection[str]) -> list[str]:
    """Return what differs, as parts of a sentence.

    Args:
        corrected: The names of the label maps of now that are corrections.
    """
    old, new = before["labels"], now["labels"]
    both = before["frames"].keys() & now["frames"].keys()
    differing = {name for name in new if old.get(name) != new[name]}
    found = {
        "corrections": len(differing & {*corrected}),
        "label maps added": len(differing - old.keys() - {*corrected}),
        "label maps removed": len(old.keys() - new.keys()),
        "label maps changed": len((differing & old.keys()) - {*corrected}),
        "frames changed": sum(before["frames"][name] != now["frames"][name] for name in both),
    }
    changes = [f"{what}: {count}" for what, count in found.items() if count]
    return changes + ["another class table"] * (before["classes"] != now["classes"])
