"""Check the scores of the Cityscapes benchmark against the benchmark's own program.

It is no part of the dev extra, since it brings an old backport of `typing`; install it with
`pip install --no-deps cityscapesscripts coloredlogs humanfriendly appdirs pyquaternion tqdm`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from warprefine.datasets.cityscapes_labels import CITYSCAPES_LABELS
from warprefine.metrics.instance_iou import CityscapesScores

benchmark = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")

LABELS = [label for label in CITYSCAPES_LABELS if label.id >= 0]


def draw_instances(rng: np.random.Generator) -> np.ndarray:
    """Rectangles of labels on a void ground; those that can have instances are numbered, or a group."""
    picture = np.zeros((48, 64), np.int32)
    for number in range(40):
        label = LABELS[rng.integers(len(LABELS))]
        y, x = rng.integers(0, 44), rng.integers(0, 60)
        is_one = label.has_instances and number % 4
        value = 1000 * label.id + number if is_one else label.id
        picture[y : y + rng.integers(2, 20), x : x + rng.integers(2, 24)] = value
    return picture


def damaged(ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift the truth, and scatter ids of every label over it, evaluated or not."""
    shifted = np.roll(ids, (2, 3), axis=(0, 1))
    return np.where(rng.random(ids.shape) < 0.2, rng.integers(0, len(LABELS), ids.shape), shifted)


def test_every_score_is_that_of_the_benchmark(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IoU and instance-level IoU of classes and categories, and their means, over three pictures."""
    monkeypatch.setattr(np, "in1d", np.isin, raising=False)  # which NumPy no longer has
    ours = CityscapesScores()
    predictions, truths = [], []
    for i in range(3):
        instances = draw_instances(rng)
        ids = np.where(instances > 1000, instances // 1000, instances)
        prediction = damaged(ids, rng)
        ours.add(truth_ids=ids, instance_ids=instances, prediction_ids=prediction)
        predictions.append(str(tmp_path / f"{i}_prediction.png"))
        truths.append(str(tmp_path / f"{i}_gtFine_labelIds.png"))
        Image.fromarray(prediction.astype(np.uint8)).save(predictions[-1])
        Image.fromarray(ids.astype(np.uint8)).save(truths[-1])
        Image.fromarray(instances.astype(np.uint16)).save(tmp_path / f"{i}_gtFine_instanceIds.png")

    benchmark.args.quiet, benchmark.args.JSONOutput = True, False
    theirs = benchmark.evaluateImgLists(predictions, truths, benchmark.args)

    found = ours.result()
    for name, values in (
        ("classScores", found.class_iou),
        ("classInstScores", found.class_iiou),
        ("categoryScores", found.category_iou),
        ("categoryInstScores", found.category_iiou),
    ):
        expected = {key: value for key, value in theirs[name].items() if key in values}
        assert values == pytest.approx(expected, nan_ok=True)
    assert found.mean_class_iou == pytest.approx(theirs["averageScoreClasses"])
    assert found.mean_class_iiou == pytest.approx(theirs["averageScoreInstClasses"])
    assert found.mean_category_iou == pytest.approx(theirs["averageScoreCategories"])
    assert found.mean_category_iiou == pytest.approx(theirs["averageScoreInstCategories"])
