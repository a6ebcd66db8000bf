"""Label frames that are in memory, as people in notebooks work: arrays in, arrays out."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from warprefine.core.classes import ClassSet
from warprefine.core.errors import FrameError, KeyFrameError, LabelError, shorten
from warprefine.core.progress import Progress
from warprefine.core.progress_line import shown_progress
from warprefine.core.stages import Stage
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset, Video
from warprefine.io.frames import frame_size, frame_stems
from warprefine.io.images import write_frame, write_labels
from warprefine.jobs.autolabel import autolabel
from warprefine.jobs.labelled_video import FrameMaps, LabelledVideo
from warprefine.jobs.predict import numbered_classes
from warprefine.propagation.coverage import Horizon
from warprefine.propagation.methods import PLUS
from warprefine.recipe.recipe import Recipe

_NAME = "frames"


def label_frames(
    frames: Path | str | Iterable[NDArray[Any]],
    key_labels: Mapping[int, NDArray[Any]],
    *,
    class_names: Sequence[str],
    horizon: Horizon = "all",
    method: str = PLUS,
    recipe: Recipe | None = None,
    device: str = "cpu",
    seed: int = 0,
    until: Stage = "good",
    time_limit: float | None = None,
    progress: Progress | None = None,
) -> LabelledVideo:
    """Label the frames of a video from the label maps of a few of them.

    The same code as `autolabel`, in a temporary folder that is removed with the result.

    Args:
        frames: A video file, an array (t, h, w, 3) uint8 RGB, or an iterator over frames (h, w, 3).
        key_labels: Frame number -> label map (h, w) uint8: positions in `class_names`, or 255 for void.
        class_names: The classes.
        horizon: Frames are labelled up to this far from a key frame; "all" labels every frame.
        method: A name in `METHODS`.
        recipe: All hyper-parameters; None means the defaults.
        device: Where networks run: cpu, cuda or cuda:1.
        seed: Seed of all random numbers.
        until: The last stage: "first" (labels after a minute), "good" or "best".
        time_limit: Seconds after which work stops; the result then has the frames that are labelled by then.
        progress: Called as work proceeds; None means a line of progress on a terminal and in a notebook, and
            nothing elsewhere.

    Raises:
        WarpRefineError: Frames, label maps and classes do not fit together, or nothing can be labelled.

    Example:
        >>> from warprefine import label_frames
        >>> result = label_frames(frames, {0: labels_0, 40: labels_40},
        ...                       class_names=["road", "car"])  # doctest: +SKIP
        >>> result.labels[20], result.confidence[20]  # doctest: +SKIP
    """
    classes = numbered_classes(tuple(class_names))
    root = Path(tempfile.mkdtemp(prefix="warprefine-"))
    try:
        video = _video(frames, root)
        video = _with_key_frames(video, key_labels, classes, root)
        dataset = Dataset(root=root / "data", classes=classes, videos=(video,))
        with shown_progress() if progress is None else nullcontext(progress) as shown:
            finished = autolabel(
                dataset,
                root / "run",
                horizon=horizon,
                methods=[method],
                recipe=recipe,
                device=device,
                seed=seed,
                until=until,
                time_limit=time_limit,
                progress=shown,
            )
        shutil.rmtree(finished.run.cache, ignore_errors=True)
        shutil.rmtree(root / "data", ignore_errors=True)
        provenances = finished.run.manifest.provenances(_NAME, method)
        numbers = sorted({*provenances, *video.key_frames})
        labels = {k: finished.run.labels_path(method, _NAME, video.stems[k]) for k in numbers}
        confidence = {k: finished.run.confidence_path(method, _NAME, video.stems[k]) for k in numbers}
        if time_limit is not None:  # copies of key frames may not have been made yet
            confidence = {k: path for k, path in confidence.items() if path.exists()}
            labels = {k: labels[k] for k in confidence}
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise
    maps = FrameMaps(labels, classes, "labels")
    return LabelledVideo(
        labels=maps,
        confidence=FrameMaps(confidence, classes, "confidence", beside=maps),
        classes=classes,
        key_frames=tuple(k for k in labels if k not in provenances),
        stages={k: provenance.stage for k, provenance in provenances.items()} if method == PLUS else {},
        _remove=weakref.finalize(maps, shutil.rmtree, root, ignore_errors=True),
    )


def _video(frames: Path | str | Iterable[NDArray[Any]], root: Path) -> Video:
    """Return a video of frames, which are written into a folder unless they are those of a video file."""
    if isinstance(frames, str | Path):
        container = Path(frames)
        return Video(name=_NAME, stems=frame_stems(container), container=container.resolve())
    paths: list[Path] = []
    for number, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise FrameError(
                f"frame {number} is an array {frame.shape} of {frame.dtype}; expected (h, w, 3) of uint8, RGB"
            )
        paths.append(root / "data/frames" / f"{number:06d}.png")
        write_frame(paths[-1], torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)))[None])
    if not paths:
        raise FrameError("there are no frames; expected a video file, or an array (t, h, w, 3)")
    return Video(name=_NAME, stems=[path.stem for path in paths], frame_paths=paths)


def _with_key_frames(
    video: Video, key_labels: Mapping[int, NDArray[Any]], classes: ClassSet, root: Path
) -> Video:
    """Return the video with its key frames, whose label maps are written into a folder."""
    if not key_labels:
        raise KeyFrameError("key_labels is empty; expected the label map of one frame at least")
    paths = {}
    for number, labels in key_labels.items():
        if not 0 <= number < len(video):
            raise KeyFrameError(f"key_labels names frame {number}; expected 0 to {len(video) - 1}")
        size = frame_size(video, number)
        if labels.dtype != np.uint8 or labels.shape != size:
            raise LabelError(
                f"the label map of frame {number} is an array {labels.shape} of {labels.dtype}; expected "
                f"{size} of uint8"
            )
        unknown = [k for k in np.unique(labels).tolist() if len(classes) <= k < VOID]
        if unknown:
            raise LabelError(
                f"the label map of frame {number} holds {shorten(unknown)}; expected 0 to "
                f"{len(classes) - 1}, the positions of the {len(classes)} classes, or {VOID} for void"
            )
        paths[number] = root / "data/labels" / f"{video.stems[number]}.png"
        write_labels(paths[number], torch.from_numpy(np.ascontiguousarray(labels))[None], classes)
    return Video(
        name=_NAME,
        stems=video.stems,
        frame_paths=video.frame_paths,
        container=video.container,
        labels=paths,
    )
