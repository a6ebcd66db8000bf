"""Give a data set of two small videos and a run over it whose mistakes are known to the pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID, LabelMaps
from warprefine.core.video import Dataset, Video
from warprefine.io.images import write_frame, write_gray, write_labels
from warprefine.io.run import RunFolder
from warprefine.propagation.units import stepwise_units


class World:
    """What the tests know of the data set and of the run over it."""

    h, w = 12, 20
    horizon = 4
    methods = ("motion-only", "warp-refine")
    classes = ClassSet(names=("road", "car", "bird"), colors=((128, 64, 128), (0, 0, 142), (220, 220, 0)))

    def truth(self, frame: int) -> LabelMaps:
        """Road above, car below, a void corner; the border between them sinks by a row every frame."""
        labels = torch.zeros((1, self.h, self.w), dtype=torch.uint8)
        labels[:, 2 + frame :] = 1
        labels[:, :2, :5] = VOID
        return labels

    def motion_only(self, frame: int, distance: int) -> LabelMaps:
        """As the truth, but one column per frame of distance is called road."""
        labels = self.truth(frame)
        labels[:, :, :distance] = 0
        return labels


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def dataset(world: World, tmp_path: Path, rng: np.random.Generator) -> Dataset:
    """Two videos of eight frames; frame 2 is a key frame, and all others but 5 have truth."""
    videos = []
    for name in ("near", "far"):
        folder = tmp_path / "data" / name
        stems = [f"{i:03d}" for i in range(8)]
        paths = [folder / "frames" / f"{stem}.png" for stem in stems]
        for frame, path in enumerate(paths):
            picture = rng.integers(0, 256, (1, 3, world.h, world.w), dtype=np.uint8)
            write_frame(path, torch.from_numpy(picture))
            write_labels(folder / "labels" / f"{stems[frame]}.png", world.truth(frame), world.classes)
        labelled = {i: folder / "labels" / f"{stem}.png" for i, stem in enumerate(stems) if i != 5}
        video = Video(name=name, stems=stems, frame_paths=paths, labels=labelled)
        videos.append(video.with_key_frames(2, 100))
    return Dataset(root=tmp_path / "data", classes=world.classes, videos=tuple(videos))


@pytest.fixture
def run(world: World, tmp_path: Path, dataset: Dataset) -> RunFolder:
    """A finished run: warp-refine is right everywhere, motion-only less so with every frame."""
    run = RunFolder(tmp_path / "run")
    for video in dataset.videos:
        for unit in stepwise_units(video, world.horizon):
            for frame in unit.frames:
                distance, stem = unit.distance(frame), video.stems[frame]
                made = {"motion-only": world.motion_only(frame, distance), "warp-refine": world.truth(frame)}
                for method, labels in made.items():
                    write_labels(run.labels_path(method, video.name, stem), labels, world.classes)
                sure = torch.full((1, world.h, world.w), 1 - distance / 10)
                write_gray(run.confidence_path("warp-refine", video.name, stem), sure)
    return run


@pytest.fixture
def blind(dataset: Dataset) -> Dataset:
    """The same data set without truth."""
    return replace(dataset, videos=tuple(replace(video, truth={}) for video in dataset.videos))
