"""Segmentation metrics: confusion matrix and IoU, boundary F-score, temporal consistency, Cityscapes iIoU.

Pixels are counted frame by frame; counts add up, and every score is computed from their sum:

    >>> import torch
    >>> from warprefine.metrics import confusion_matrix, mean_iou
    >>> truth = torch.tensor([[[0, 0, 1, 1]]], dtype=torch.uint8)
    >>> prediction = torch.tensor([[[0, 1, 1, 1]]], dtype=torch.uint8)
    >>> round(mean_iou(confusion_matrix(prediction, truth, class_count=2)), 3)
    0.583

`label_quality` scores whole run folders, `benchmark` and `submission` follow the Cityscapes and KITTI
benchmarks.
"""

from __future__ import annotations

from warprefine.metrics.boundaries import (
    BOUNDARY_TOLERANCE,
    BoundaryCounts,
    boundary_f_score,
    boundary_tolerance_px,
    count_boundaries,
    mean_boundary_f_score,
)
from warprefine.metrics.confusion import (
    Confusion,
    coverage,
    frequency_weighted_iou,
    iou,
    mean_accuracy,
    mean_iou,
    merge,
    pixel_accuracy,
)
from warprefine.metrics.confusion import count as confusion_matrix
from warprefine.metrics.consistency import count_agreement, occluded
from warprefine.metrics.instance_iou import CityscapesScores
from warprefine.metrics.instance_iou import Scores as BenchmarkScores
from warprefine.metrics.network_scores import NetworkScores
from warprefine.metrics.score_table import format_table
from warprefine.metrics.scores import GroupScores, MethodScores, hardest_classes

__all__ = [
    "BOUNDARY_TOLERANCE",
    "BenchmarkScores",
    "BoundaryCounts",
    "CityscapesScores",
    "Confusion",
    "GroupScores",
    "MethodScores",
    "NetworkScores",
    "boundary_f_score",
    "boundary_tolerance_px",
    "confusion_matrix",
    "count_agreement",
    "count_boundaries",
    "coverage",
    "format_table",
    "frequency_weighted_iou",
    "hardest_classes",
    "iou",
    "mean_accuracy",
    "mean_boundary_f_score",
    "mean_iou",
    "merge",
    "occluded",
    "pixel_accuracy",
]
