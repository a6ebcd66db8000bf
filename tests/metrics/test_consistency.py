"""Check what counts as steady labels: along which flow, on which pixels, from which frame to which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID, Flow, LabelMaps
from warprefine.core.video import Dataset, Video
from warprefine.io.images import write_frame, write_labels
from warprefine.io.run import RunFolder
from warprefine.metrics.confusion import Confusion, mean_iou, pixel_accuracy
from warprefine.metrics.consistency import count_agreement, count_walk_agreement, occluded

CLASSES = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)))


def flow(x: float, y: float = 0.0, *, h: int = 3, w: int = 6) -> Flow:
    return torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, h, w).contiguous()


def maps(row: list[int]) -> LabelMaps:
    return torch.tensor([[row] * 3], dtype=torch.uint8)


def test_convention_labels_that_move_with_the_picture_are_steady():
    """A car that moves right by 2 from a to b, with its labels: every pixel that was seen before agrees."""
    labels_a, labels_b = maps([0, 1, 1, 0, 0, 0]), maps([0, 0, 0, 1, 1, 0])

    matrix = count_agreement(
        labels_a, labels_b, flow_ba=flow(-2), occluded_b=occluded(flow(-2), flow(2)), class_count=2
    )

    assert matrix.tolist() == [[6, 0, 0], [0, 6, 0], [0, 0, 0]]


def test_rows_are_what_comes_from_a_and_columns_what_b_says():
    """One column of cars that b calls road: 3 pixels in row car, column road."""
    labels_a, labels_b = maps([0, 1, 1, 0, 0, 0]), maps([0, 1, 0, 0, 0, 0])

    matrix = count_agreement(
        labels_a, labels_b, flow_ba=flow(0), occluded_b=occluded(flow(0), flow(0)), class_count=2
    )

    assert matrix.tolist() == [[12, 0, 0], [3, 3, 0], [0, 0, 0]]
    assert pixel_accuracy(matrix) == pytest.approx(15 / 18)
    assert mean_iou(matrix) == pytest.approx((12 / 15 + 3 / 6) / 2)


def test_void_in_either_map_says_nothing():
    """A pixel without a class can neither agree nor disagree."""
    labels_a, labels_b = maps([VOID, VOID, 1, 0, 0, 0]), maps([VOID, 1, VOID, 0, 0, 0])

    matrix = count_agreement(
        labels_a, labels_b, flow_ba=flow(0), occluded_b=occluded(flow(0), flow(0)), class_count=2
    )

    assert matrix.tolist() == [[9, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_what_was_hidden_before_does_not_count():
    """Flow there and back that ends elsewhere means that the pixel was not to be seen."""
    there, back = flow(0), flow(0)
    there[..., 2] = 1.5

    matrix = count_agreement(
        maps([0] * 6),
        maps([0, 0, 1, 0, 0, 0]),
        flow_ba=there,
        occluded_b=occluded(there, back),
        class_count=2,
    )

    assert matrix.tolist() == [[15, 0, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("there", "back", "hidden"),
    [
        (0.0, 0.70, False),  # 0.49 squared pixels, within 0.5 of slack
        (0.0, 0.72, True),
        (0.0, 0.0, False),
        (2.0, -1.3, False),
        (2.0, -1.2, True),  # 0.64 is beyond 0.5 + 0.01 · (4 + 1.44) = 0.55
    ],
)
def test_the_slack_grows_with_the_motion(there, back, hidden):
    """Half a squared pixel, and a hundredth of the squared motion."""
    marked = occluded(flow(there, w=9), flow(back, w=9))

    assert marked[..., :6].unique().tolist() == [hidden]


def test_what_comes_from_outside_is_occluded():
    """Nothing is known of what lies beyond the picture, however well the flow fits there."""
    assert occluded(flow(-2), flow(2))[0, 0].tolist() == [True, True, False, False, False, False]


@pytest.fixture
def dataset(tmp_path: Path, rng: np.random.Generator) -> Dataset:
    """A video of five frames that stand still, the middle one a key frame: road left, car right."""
    picture = torch.from_numpy(rng.integers(0, 256, (1, 3, 40, 48), dtype=np.uint8))
    paths = [tmp_path / "data" / f"{i}.png" for i in range(5)]
    for path in paths:
        write_frame(path, picture)
    key = tmp_path / "data" / "key.png"
    write_labels(key, still(), CLASSES)
    video = Video(name="still", stems=[path.stem for path in paths], frame_paths=paths, labels={2: key})
    return Dataset(root=tmp_path / "data", classes=CLASSES, videos=(video,))


def still(edge: int = 24) -> LabelMaps:
    labels = torch.zeros((1, 40, 48), dtype=torch.uint8)
    labels[:, :, edge:] = 1
    return labels


def agreement(run: RunFolder, dataset: Dataset, *methods: str) -> dict[str, Confusion]:
    """Sum the agreement over both walks away from the key frame."""
    ahead, back = (
        count_walk_agreement(run, CLASSES, methods=methods, video=dataset.videos[0], walk=walk)
        for walk in ((2, 3, 4), (2, 1, 0))
    )
    return {method: ahead[method] + back[method] for method in methods}


def test_every_step_of_every_walk_counts_from_the_key_frame_on(dataset, tmp_path):
    """Steady labels agree everywhere; labels that jump by four columns at each step never quite do."""
    run = RunFolder(tmp_path / "run")
    for stem, edge in (("0", 24), ("1", 28), ("3", 28), ("4", 24)):
        write_labels(run.labels_path("steady", "still", stem), still(), CLASSES)
        write_labels(run.labels_path("jumpy", "still", stem), still(edge), CLASSES)

    matrices = agreement(run, dataset, "steady", "jumpy")

    steps, pixels = 4, 40 * 48
    assert pixel_accuracy(matrices["steady"]) == 1
    assert matrices["steady"].sum() == matrices["jumpy"].sum() == steps * pixels
    assert pixel_accuracy(matrices["jumpy"]) == pytest.approx(1 - 4 / 48)


def test_a_step_without_labels_is_passed_over(dataset, tmp_path):
    """The oracle has labels only where there is truth: of 2-3-4 without 3 no step is left."""
    run = RunFolder(tmp_path / "run")
    for stem in ("1", "4"):
        write_labels(run.labels_path("oracle", "still", stem), still(), CLASSES)

    matrix = agreement(run, dataset, "oracle")["oracle"]

    assert matrix.sum() == 40 * 48


def test_a_walk_in_two_parts_counts_as_the_whole(dataset, tmp_path):
    """The second part begins with the labels that the first one ended with."""
    run = RunFolder(tmp_path / "run")
    for stem, edge in (("3", 28), ("4", 20)):
        write_labels(run.labels_path("jumpy", "still", stem), still(edge), CLASSES)

    whole, first, second = (
        count_walk_agreement(run, CLASSES, methods=["jumpy"], video=dataset.videos[0], walk=walk)["jumpy"]
        for walk in ((2, 3, 4), (2, 3), (3, 4))
    )

    assert (first + second).tolist() == whole.tolist()
    assert mean_iou(second) < mean_iou(first) < 1
