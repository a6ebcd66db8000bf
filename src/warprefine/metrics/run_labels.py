"""Read the frames that a run has labelled, to score them."""

from __future__ import annotations

from collections.abc import Iterator

from warprefine.core.classes import ClassSet
from warprefine.core.errors import RunFolderError
from warprefine.core.tensors import LabelMaps
from warprefine.core.video import Dataset, Video
from warprefine.io.images import read_labels
from warprefine.io.run import RunFolder
from warprefine.propagation.units import stepwise_units


def labelled_frames(dataset: Dataset, horizon: int) -> Iterator[tuple[Video, int, int]]:
    """Yield every propagated frame with its distance to the key frame."""
    for video in dataset.videos:
        for unit in stepwise_units(video, horizon):
            for frame in unit.frames:
                yield video, frame, unit.distance(frame)


def predicted_labels(
    run: RunFolder, classes: ClassSet, *, method: str, video: Video, frame: int
) -> LabelMaps:
    """Read the label map, (1, h, w), that a method wrote for one frame.

    Raises:
        RunFolderError: It has not labelled the frame yet.
    """
    path = run.labels_path(method, video.name, video.stems[frame])
    if not path.exists():
        raise RunFolderError(
            f"there is no label map {path}, expected one for every frame within the horizon; "
            f"run `warprefine autolabel` with the same options again, it finishes what is missing"
        )
    return read_labels(path, classes)
