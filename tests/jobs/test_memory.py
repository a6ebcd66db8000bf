"""Tests of how much memory a job takes: as much as its frames are large, whatever their number."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from warprefine.core.classes import ClassSet
from warprefine.datasets.class_file import write_classes
from warprefine.io.images import write_frame, write_labels

CLASSES = ClassSet(names=("left", "right"), colors=((200, 80, 60), (60, 120, 200)))
H, W = 288, 384


def write_video(root: Path, *, frames: int) -> None:
    """Write a video whose frames show two pictures in turn; the middle one is labelled."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (3, H // 16, W // 16), dtype=np.uint8)
    picture = np.kron(coarse, np.ones((1, 16, 16), np.uint8))
    write_classes(root / "classes.toml", CLASSES)
    folder = root / "videos/clip"
    for number in range(2):
        moved = torch.from_numpy(np.roll(picture, 2 * number, axis=2).copy())
        write_frame(folder / f"frames/{number:06d}.jpg", moved[None])
    for number in range(2, frames):
        os.link(folder / f"frames/{number % 2:06d}.jpg", folder / f"frames/{number:06d}.jpg")
    labels = torch.zeros((1, H, W), dtype=torch.uint8)
    write_labels(folder / f"labels/{frames // 2:06d}.png", labels, CLASSES)


def test_a_video_five_times_as_long_takes_as_much_memory(tmp_path: Path, processes: Any) -> None:
    """Frames of a third of a megabyte: to keep 180 of them would take a tenth more than there is."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[propagation]\nmotion = "dis-ultrafast"\n')
    calls = []
    for frames in (40, 220):  # of both, the report shows as many as it ever shows
        write_video(tmp_path / f"data{frames}", frames=frames)
        words = ["propagate", f"{tmp_path}/data{frames}", f"--out={tmp_path}/run{frames}", "--threads=1"]
        words += ["--method=motion-only", f"--horizon={frames // 2}", f"--recipe={recipe}"]
        calls.append((words, None))

    (short_code, short), (long_code, long) = processes(calls)

    assert (short_code, long_code) == (0, 0)
    assert len(list((tmp_path / "run220/labels/motion-only/clip").iterdir())) == 220
    assert long < 1.05 * short
