"""Tests of training/refiners/tau.py: how far colours may differ, chosen on key frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from warprefine.core.classes import ClassSet
from warprefine.core.errors import KeyFrameError
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.images import read_labels
from warprefine.metrics.confusion import count, mean_iou
from warprefine.motion.dis import DISFlow
from warprefine.propagation.evidence import Models, open_evidence
from warprefine.propagation.stepwise.cycle import carry
from warprefine.recipe.plus import FARTHEST
from warprefine.segmentation.compact import CompactSegmenter
from warprefine.training.refiners.tau import TRIALS, evaluate_taus, trial_walks

ONE_CLASS = ClassSet(names=("a",), colors=((0, 0, 0),))


def untrained(fingerprint: str = "untrained") -> Models:
    torch.manual_seed(0)
    segmenter = CompactSegmenter(3, widths=(4, 4, 4, 4, 4)).eval()
    return Models(motion=DISFlow("ultrafast"), segmenter=segmenter, segmenter_fingerprint=fingerprint)


def imagined(length: int, *key_frames: int, name: str = "v") -> Video:
    return Video(
        name=name,
        stems=[str(k) for k in range(length)],
        frame_paths=[Path(f"{k}.png") for k in range(length)],
        labels={k: Path(f"label{k}.png") for k in key_frames},
    )


def stops_of(dataset: Dataset) -> list[list[int]]:
    return [list(stops) for _, stops in trial_walks(dataset)]


def of_videos(*videos: Video) -> Dataset:
    return Dataset(root=Path("data"), classes=ONE_CLASS, videos=videos)


def test_labels_are_tried_from_key_frame_to_key_frame() -> None:
    """A key frame labelled from its neighbour in time can be compared with what a person made of it."""
    assert stops_of(of_videos(imagined(9, 1, 4, 6), imagined(5, 0, name="w"))) == [
        [1, 2, 3, 4],
        [4, 3, 2, 1],
        [4, 5, 6],
        [6, 5, 4],
    ]


def test_where_key_frames_are_far_apart_walks_stay_where_they_are() -> None:
    """Without two key frames near each other, a walk stands for a synthetic clip of its key frame."""
    lonely, distant = imagined(3, 1), imagined(FARTHEST + 2, 0, FARTHEST + 1, name="w")

    assert stops_of(of_videos(lonely)) == [[1] * 4, [1] * 7, [1] * 11]
    assert stops_of(of_videos(distant))[2:4] == [[0] * 11, [FARTHEST + 1] * 4]
    assert stops_of(of_videos(imagined(FARTHEST + 1, 0, FARTHEST)))[0] == list(range(FARTHEST + 1))


def test_a_few_walks_are_enough() -> None:
    """Of many walks only some are tried, from the first key frame to the last, none twice."""
    tried = stops_of(of_videos(imagined(200, *range(0, 200, 2))))

    assert len(tried) == TRIALS
    assert tried[0] == [0, 1, 2]
    assert tried[-1] == [198, 197, 196]
    assert len({tuple(stops) for stops in tried}) == TRIALS


def test_tau_cannot_be_chosen_on_single_pictures() -> None:
    """Where nothing has a neighbour, the message says how to set tau by hand."""
    with pytest.raises(
        KeyFrameError,
        match=r"data: no key frame has a frame before or after it, so tau cannot be chosen; set prop",
    ):
        trial_walks(of_videos(imagined(1, 0)))


def test_each_tau_is_scored_on_what_arrives(tmp_path: Path, dataset: Dataset) -> None:
    """A candidate's score is the mean IoU, over all walks together, of the labels that arrive with it."""
    requested: list[tuple[str, int]] = []
    reported: list[Any] = []

    def models_of(video: Video, frame: int) -> Models:
        requested.append((video.name, frame))
        return untrained()

    scores = evaluate_taus(
        dataset,
        ArrayCache(tmp_path / "cache"),
        [0.001, 0.5],
        models_of=models_of,
        progress=lambda task, done, total, note="": reported.append((task, done, total)),
    )

    (video,) = dataset.videos
    labels = {k: read_labels(path, dataset.classes) for k, path in video.labels.items()}
    confusion = {tau: np.zeros((4, 4), np.int64) for tau in (0.001, 0.5)}
    with open_evidence(video, dataset.classes, untrained(), ArrayCache(tmp_path / "cache")) as evidence:
        for stops in ([1, 2, 3, 4], [4, 3, 2, 1]):
            for tau in confusion:
                (arrived,) = carry(evidence, stops, labels[stops[0]], taus=[tau])
                confusion[tau] += count(arrived.labelling.labels, labels[stops[-1]], class_count=3)
    assert scores == {tau: mean_iou(matrix) for tau, matrix in confusion.items()}
    assert scores[0.5] > scores[0.001]  # an untrained segmenter is worth less than any motion
    assert requested == [("video0", 4), ("video0", 1)]
    assert reported == [("choosing tau", 1, 2), ("choosing tau", 2, 2)]


def test_a_single_key_frame_is_judged_by_synthetic_clips(
    tmp_path: Path, make_dataset: Callable[..., Dataset]
) -> None:
    """Clips are the same each time, their frames are not kept, and where motion is right it is trusted."""
    dataset = make_dataset(videos=[(2,)])
    cache = ArrayCache(tmp_path / "cache")

    first, again = (
        evaluate_taus(dataset, cache, [0.001, 0.5], models_of=lambda video, frame: untrained())
        for _ in range(2)
    )

    assert first == again
    assert first[0.5] > first[0.001]  # an untrained segmenter is worth less than any motion
    assert not [path for path in cache.root.rglob("*") if path.suffix == ".png"]


def test_walks_end_beside_a_held_out_segmenter(tmp_path: Path, make_dataset: Callable[..., Dataset]) -> None:
    """The segmenter that inpaints was not trained on the key frame at which labels arrive."""
    dataset = make_dataset(videos=[(1, 3, 5)])
    requested: list[int] = []

    def models_of(video: Video, frame: int) -> Models:
        requested.append(frame)
        return untrained(f"without-{frame}")

    evaluate_taus(dataset, ArrayCache(tmp_path / "cache"), [0.1], models_of=models_of)

    assert requested == [3, 1, 5, 3]
