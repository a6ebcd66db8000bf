"""Compare scores with those of Tao et al. (2020), counted in train ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from warprefine.metrics.confusion import (
    count,
    frequency_weighted_iou,
    iou,
    mean_accuracy,
    mean_iou,
    pixel_accuracy,
)


@pytest.mark.golden("cityscapes_eval/trainid_miou.npz")
def test_scores(golden: Any) -> None:
    """Confusion matrix, IoU of each class, mean IoU and accuracies are the reference's."""
    for name in sorted({key.split("/")[0] for key in golden}):
        class_count = int(golden.number(f"{name}/num_classes"))
        truth, prediction = (golden.tensor(f"{name}/{part}", torch.uint8) for part in ("gt", "pred"))

        matrix = count(prediction, truth, class_count=class_count)

        assert np.array_equal(matrix[:-1, :-1], golden.tensor(f"{name}/hist").numpy())
        np.testing.assert_allclose(iou(matrix), golden.tensor(f"{name}/iou").numpy(), rtol=1e-12)
        assert mean_iou(matrix) == pytest.approx(golden.number(f"{name}/mean_iou"), rel=1e-12)
        assert pixel_accuracy(matrix) == pytest.approx(golden.number(f"{name}/acc"), rel=1e-12)
        assert mean_accuracy(matrix) == pytest.approx(golden.number(f"{name}/mean_class_acc"), rel=1e-12)
        assert frequency_weighted_iou(matrix) == pytest.approx(golden.number(f"{name}/fw_iou"), rel=1e-12)
