"""Derive coarse labels from fine ones, for data sets without: like hurried annotators, leave borders out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset
from warprefine.io.images import read_labels, write_labels


def with_gaps(dataset: Dataset, folder: Path, *, gap: int) -> Dataset:
    """Return a data set whose key frames have coarse labels, written into `folder` if they are missing.

    Args:
        gap: Width of the VOID between two classes, in pixels.
    """
    videos = []
    for video in dataset.videos:
        labels = {
            frame: folder / video.name / f"{video.stems[frame]}-gap{gap}.png" for frame in video.key_frames
        }
        for frame, path in labels.items():
            if not path.exists():
                _write_with_gaps(video.labels[frame], path, dataset.classes, gap=gap)
        videos.append(replace(video, labels=labels))
    return replace(dataset, videos=tuple(videos))


def _write_with_gaps(source: Path, target: Path, classes: ClassSet, *, gap: int) -> None:
    labels = read_labels(source, classes)
    values, window = labels[0].numpy(), np.ones((gap, gap), np.uint8)
    border = cv2.erode(values, window) != cv2.dilate(values, window)
    write_labels(target, labels.masked_fill(torch.from_numpy(border)[None], VOID), classes)
