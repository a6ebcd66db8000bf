"""Compare labels and scores with those of cityscapesScripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from warprefine.datasets.cityscapes_labels import CITYSCAPES_LABELS
from warprefine.metrics.instance_iou import CityscapesScores

TABLES = {
    "classScores": "class_iou",
    "classInstScores": "class_iiou",
    "categoryScores": "category_iou",
    "categoryInstScores": "category_iiou",
    "priors": "priors",
}
MEANS = {
    "averageScoreClasses": "mean_class_iou",
    "averageScoreInstClasses": "mean_class_iiou",
    "averageScoreCategories": "mean_category_iou",
    "averageScoreInstCategories": "mean_category_iiou",
}


def pixels(file: Path) -> NDArray[np.integer[Any]]:
    with Image.open(file) as image:
        return np.asarray(image)


def images_in(folder: Path) -> dict[str, dict[str, NDArray[np.integer[Any]]]]:
    """Read each image that has a prediction, by the beginning of its files' names."""
    names = [file.name.removesuffix("_pred.png") for file in folder.glob("*_pred.png")]
    return {
        name: {
            "truth_ids": pixels(folder / f"{name}_gtFine_labelIds.png"),
            "instance_ids": pixels(folder / f"{name}_gtFine_instanceIds.png"),
            "prediction_ids": pixels(folder / f"{name}_pred.png"),
        }
        for name in names
    }


def numbers(values: dict[str, float | None]) -> dict[str, float]:
    return {name: float("nan") if value is None else value for name, value in values.items()}


@pytest.mark.golden("cityscapes_eval/*.json")
def test_labels(golden_file: Path) -> None:
    """Each label has the id, category, colour and mean instance size of the benchmark."""
    stored = json.loads(golden_file.read_text())

    assert [
        {
            "id": label.id,
            "name": label.name,
            "trainId": label.train_id,
            "category": label.category,
            "hasInstances": label.has_instances,
            "ignoreInEval": not label.evaluated,
            "color": list(label.color),
        }
        for label in CITYSCAPES_LABELS
    ] == stored["labels"]
    sizes = {label.name: label.instance_size for label in CITYSCAPES_LABELS if label.has_instances}
    assert sizes == stored["avgClassSize"]


@pytest.mark.golden("cityscapes_eval/*.json")
def test_scores(golden_file: Path) -> None:
    """Every score of every subset of images is the benchmark's, and there is none where it has none."""
    images = images_in(golden_file.parent)
    for subset, stored in json.loads(golden_file.read_text())["results"].items():
        scores = CityscapesScores()
        for name in stored["images"]:
            scores.add(**images[name])
        result = scores.result()

        close = {"rel": 0, "abs": 1e-12, "nan_ok": True}
        for key, name in TABLES.items():
            assert getattr(result, name) == pytest.approx(numbers(stored[key]), **close), (subset, key)
        means = {key: getattr(result, name) for key, name in MEANS.items()}
        assert means == pytest.approx(numbers({key: stored[key] for key in MEANS}), **close), subset
        assert result.confusion.tolist() == stored.get("confMatrix", result.confusion.tolist())
