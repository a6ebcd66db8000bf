"""Record which data the labels of a run were made from, so that they are not used with other data.

Corrections lie in the run itself and are no part of these data. What they change is recorded frame by frame,
in the manifest: a frame that was labelled from a correction has it among its key frames, others do not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from warprefine.core.errors import RunFolderError, shorten
from warprefine.core.video import Dataset, Video
from warprefine.io.atomic import write_text
from warprefine.io.claims import read_claim
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_frames, fingerprint_of_labels
from warprefine.io.run import RunFolder
from warprefine.propagation.units import frames_in_reach


def record_labelled(run: RunFolder, dataset: Dataset, methods: Sequence[str], *, horizon: int) -> None:
    """Record that some methods have labelled the videos as they are now."""
    content = {
        video.name: content_of_video(dataset, video.of_data, horizon=horizon) for video in dataset.videos
    }
    try:
        before = _recorded(run)
    except RunFolderError:
        before = {}
    record = {**before, **dict.fromkeys(methods, content)}
    write_text(_path(run), json.dumps(record, indent=1) + "\n")


def check_labelled(run: RunFolder, dataset: Dataset, method: str, *, horizon: int) -> None:
    """Check that the videos are as they were when a method labelled them.

    Args:
        run: The run; if it has no record of the method, nothing is checked.
        dataset: The videos whose labels are to be used.
        method: The method that labelled them.
        horizon: Frames are labelled up to this far from a key frame.

    Raises:
        RunFolderError: The frames, names or key labels of a video have changed since.
    """
    before = _recorded(run).get(method, {})
    changed = [
        video.name
        for video in dataset.videos
        if video.name in before
        and before[video.name] != content_of_video(dataset, video.of_data, horizon=horizon)
    ]
    if changed:
        raise RunFolderError(
            f"the data in {dataset.root} changed since {run.root} labelled them with {method} "
            f"({shorten(changed)}); run the same `warprefine autolabel` command again, with --method {method}"
        )


def content_of_video(dataset: Dataset, video: Video, *, horizon: int) -> str:
    """Return a hash of the frames in reach, their names, and the labels of key frames.

    Raises:
        FrameError: A frame cannot be read.
        LabelError: A label map cannot be read.
    """
    reach = frames_in_reach(video, horizon)
    labels = [(frame, fingerprint_of_labels(path)) for frame, path in sorted(video.labels.items())]
    stems = [video.stems[frame] for frame in reach]
    frames = fingerprint_of_frames(video, reach) if reach else ""
    return fingerprint_of(frames, stems, labels, dataset.classes.coding)


def _recorded(run: RunFolder) -> dict[str, Any]:
    path = _path(run)
    found = read_claim(path) if path.exists() else {}
    return {method: of_method for method, of_method in found.items() if isinstance(of_method, dict)}


def _path(run: RunFolder) -> Path:
    return run.root / "labelled_data.json"
