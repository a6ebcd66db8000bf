"""Compare the labels that were decided on in the review with those that the run has now."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from warprefine.core.classes import ClassSet
from warprefine.core.errors import LabelError
from warprefine.core.video import Video
from warprefine.io.images import read_labels
from warprefine.io.run import RunFolder
from warprefine.jobs.decisions import DecidedLabels, FrameState

_NONE = "none"


def labels_to_decide_on(
    run: RunFolder, classes: ClassSet, video: Video, frame: int, *, method: str
) -> DecidedLabels:
    """Return what identifies the labels of a frame as they are now.

    Args:
        run: The run folder.
        classes: The classes of the run.
        video: The video, with its corrections.
        frame: The number of the frame.
        method: The method whose labels are looked at.
    """
    # The record is read first: if the labels are replaced in between, the older one is only compared in vain.
    recorded = _fingerprints(run, video, method).get(frame, "")
    return DecidedLabels(fingerprint=recorded, digest=_digest(run, classes, video, frame, method=method))


def changed_since(
    run: RunFolder, classes: ClassSet, video: Video, states: Mapping[int, FrameState], *, method: str
) -> frozenset[int]:
    """Return the frames whose labels are others than those that were decided on.

    Label maps are read only where the manifest has another record than it had: thousands of frames take
    milliseconds. Decisions of an earlier version, which did not record what they are about, count as those
    of labels that have not changed.

    Args:
        run: The run folder.
        classes: The classes of the run.
        video: The video, with its corrections.
        states: What was decided, by frame.
        method: The method whose labels were decided on.
    """
    decided = {frame: state.labels for frame, state in states.items() if state.decision}
    recorded = _fingerprints(run, video, method) if decided else {}
    return frozenset(
        frame
        for frame, labels in decided.items()
        if labels != DecidedLabels()
        and not (labels.fingerprint and labels.fingerprint == recorded.get(frame))
        and labels.digest != _digest(run, classes, video, frame, method=method)
    )


def accepted_frames(
    run: RunFolder, classes: ClassSet, video: Video, states: Mapping[int, FrameState], *, method: str
) -> frozenset[int]:
    """Return the frames that were accepted, but for key frames, and have the labels that they had then.

    The arguments are those of `changed_since`.
    """
    accepted = {
        frame: state
        for frame, state in states.items()
        if state.decision == "accepted" and 0 <= frame < len(video) and frame not in video.labels
    }
    return frozenset(accepted) - changed_since(run, classes, video, accepted, method=method)


def _fingerprints(run: RunFolder, video: Video, method: str) -> dict[int, str]:
    """Return the records of frames; none of corrected ones, whose label maps have no record of their own."""
    found = run.manifest.fingerprints(video.name, method)
    return {frame: one for frame, one in found.items() if frame not in video.corrected}


def _digest(run: RunFolder, classes: ClassSet, video: Video, frame: int, *, method: str) -> str:
    """Return a hash of a label map; "none" where there is none that can be read."""
    if not 0 <= frame < len(video):
        return _NONE
    corrected = frame in video.corrected
    path = video.labels[frame] if corrected else run.labels_path(method, video.name, video.stems[frame])
    try:
        labels = read_labels(path, classes)
    except LabelError:
        return _NONE
    h, w = labels.shape[1:]
    return hashlib.sha256(f"{h} {w} ".encode() + labels.numpy().tobytes()).hexdigest()
