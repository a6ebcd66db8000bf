"""Select a few representative frames of a clip, and read their images, labels and confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d

from warprefine.core.stages import Stage
from warprefine.core.tensors import Confidence, Frames, LabelMaps, size_of
from warprefine.core.video import Dataset, Video
from warprefine.io.frames import open_frames
from warprefine.io.images import read_gray, read_labels
from warprefine.io.run import RunFolder
from warprefine.metrics.run_labels import predicted_labels
from warprefine.metrics.scores import in_order, spread
from warprefine.propagation.methods import PLUS
from warprefine.propagation.units import Unit, nearest_key_frame, stepwise_units


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """One frame with its truth, predictions and confidences, all at one size.

    `distance` is 0 for a key frame; its `truth` are then the key labels, and it has no predictions.
    `confidences` lacks methods that wrote none. `stages` has the stage of the labels of methods with stages.
    """

    stem: str
    number: int
    distance: int
    frame: Frames
    truth: LabelMaps | None
    predictions: Mapping[str, LabelMaps]
    confidences: Mapping[str, Confidence]
    stages: Mapping[str, Stage] = field(default_factory=dict)

    def shrunk(self, most_w: int) -> View:
        """Return the view downscaled by the smallest whole number that makes it at most `most_w` wide.

        Frame and confidence are averaged over each block of pixels; a label map keeps the label in
        the middle of the block.
        """
        factor = -(-self.frame.shape[3] // most_w)
        if factor == 1:
            return self
        pooled = avg_pool2d(self.frame.float(), factor).round().to(torch.uint8)
        return replace(
            self,
            frame=pooled,
            truth=None if self.truth is None else _subsampled(self.truth, factor),
            predictions={m: _subsampled(labels, factor) for m, labels in self.predictions.items()},
            confidences={m: avg_pool2d(values, factor) for m, values in self.confidences.items()},
        )


def showcase(video: Video, horizon: int) -> Unit | None:
    """Return the unit of a video to show: the most frames with truth, then the longest, then the first."""
    units = stepwise_units(video, horizon)
    return max(units, key=lambda u: (sum(k in video.truth for k in u.frames), len(u.frames)), default=None)


def milestones(video: Video, unit: Unit, horizon: int) -> list[int]:
    """Return the frames of a unit nearest to distance 1, half the horizon and the horizon, in that order.

    Frames without truth are skipped if there are others.
    """
    candidates = [k for k in unit.frames if k in video.truth] or list(unit.frames)
    wanted = (1, (horizon + 1) // 2, horizon)
    chosen = {min(candidates, key=lambda k: abs(unit.distance(k) - distance)) for distance in wanted}
    return sorted(chosen, key=unit.distance)


def surroundings(video: Video, horizon: int, *, most: int) -> list[int]:
    """Return the key frames of a video and the frames labelled from them, ascending.

    Of more than `most` a third are key frames; both kinds are spread evenly over the video.
    """
    labelled = sorted(k for unit in stepwise_units(video, horizon) for k in unit.frames)
    if len(labelled) + len(video.key_frames) <= most:
        return sorted([*labelled, *video.key_frames])
    keys = _evenly(video.key_frames, most=max(1, most // 3))
    return sorted([*keys, *_evenly(labelled, most=most - len(keys))])


def read_views(
    run: RunFolder,
    dataset: Dataset,
    video: Video,
    *,
    frames: Sequence[int],
    methods: Sequence[str],
    most_w: int,
) -> list[View]:
    """Read frames with their truth, labels and confidence, `most_w` pixels wide at most.

    Raises:
        RunFolderError: A method has not labelled one of the frames yet.
    """
    views = []
    provenances = run.manifest.provenances(video.name, PLUS) if PLUS in methods else {}
    with open_frames(video) as source:
        for number in frames:
            is_key = number in video.labels
            truth = (video.labels if is_key else video.truth).get(number)
            frame = source[number]
            view = View(
                stem=video.stems[number],
                number=number,
                distance=abs(number - nearest_key_frame(video, number)),
                frame=frame,
                truth=None if truth is None else read_labels(truth, dataset.classes, size=size_of(frame)),
                predictions={} if is_key else _predictions(run, dataset, video, number, methods),
                confidences={} if is_key else _confidences(run, video, number, methods),
                stages={PLUS: provenances[number].stage} if number in provenances else {},
            )
            views.append(view.shrunk(most_w))
    return views


def _predictions(
    run: RunFolder, dataset: Dataset, video: Video, frame: int, methods: Sequence[str]
) -> dict[str, LabelMaps]:
    return {
        method: predicted_labels(run, dataset.classes, method=method, video=video, frame=frame)
        for method in in_order(methods)
    }


def _confidences(run: RunFolder, video: Video, frame: int, methods: Sequence[str]) -> dict[str, Confidence]:
    paths = {m: run.confidence_path(m, video.name, video.stems[frame]) for m in in_order(methods)}
    return {method: read_gray(path) for method, path in paths.items() if path.exists()}


def _evenly(numbers: Sequence[int], *, most: int) -> list[int]:
    return [numbers[position - 1] for position in spread(len(numbers), most=most)]


def _subsampled(labels: LabelMaps, factor: int) -> UInt8[Tensor, "b small_h small_w"]:
    h, w = size_of(labels)
    middle = factor // 2
    small = labels[:, middle::factor, middle::factor][:, : h // factor, : w // factor]
    return small.contiguous()  # a copy, so that the large map can be freed
