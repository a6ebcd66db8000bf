"""A wall that is filmed by a camera which moves by whole pixels: everything about it is known exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from warprefine.core.classes import ClassSet
from warprefine.core.protocols import RefinerInput, Segmentation
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.frames import PictureFrames
from warprefine.io.images import write_frame, write_labels
from warprefine.propagation.evidence import Evidence, Models

COLOURS = torch.tensor([[40, 40, 40], [40, 200, 40], [200, 40, 40], [200, 200, 210]])
REACH = 3


class WholePixelMotion:
    """Find the one shift by whole pixels that explains a frame best."""

    name = "whole-pixel"

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, frame_b: Tensor, frame_a: Tensor) -> Tensor:
        self.asked += 1
        h, w = frame_b.shape[-2:]
        a = functional.pad(frame_a.float(), (REACH,) * 4, value=torch.nan)
        misses = {}
        for y in range(-REACH, REACH + 1):
            for x in range(-REACH, REACH + 1):
                part = a[..., REACH + y : REACH + y + h, REACH + x : REACH + x + w]
                misses[x, y] = float((part - frame_b).abs().nanmean())
        best = min(misses, key=lambda shift: misses[shift])
        return torch.tensor(best, dtype=torch.float32).view(1, 2, 1, 1).repeat(1, 1, h, w)


class ColourSegmenter:
    """Say which of the wall's colours a pixel has, with much certainty."""

    name = "colour"
    class_count = len(COLOURS)
    feature_channels = 1

    def __init__(self, sharpness: float = 2e-3) -> None:
        self.sharpness = sharpness
        self.asked = 0

    def __call__(self, frames: Tensor) -> Segmentation:
        self.asked += 1
        distance = (frames[:, None].float() - COLOURS.view(1, -1, 3, 1, 1)).square().sum(dim=2)
        return Segmentation(logits=-self.sharpness * distance, features=frames[:, :1, ::4, ::4].float())


class VoidFiller:
    """Leave labels as they are, but put what the segmenter says where they are VOID."""

    name = "void-filler"
    class_count = len(COLOURS)

    def __call__(self, seen: RefinerInput) -> Tensor:
        said = seen.segmentation.logits.argmax(dim=1)
        labels = torch.where(seen.labels == VOID, said, seen.labels.long())
        return functional.one_hot(labels, self.class_count + 1).permute(0, 3, 1, 2) * 9.0


class Drive:
    """Film a wall of coloured blocks that moves by `step` = (x, y) pixels from frame to frame.

    A person calls each colour's class one higher than the segmenter does (and some blocks VOID), so
    that it shows in every pixel whose word was taken.
    """

    classes = ClassSet(names=("a", "b", "c", "d"), colors=tuple(tuple(c) for c in COLOURS.tolist()))
    motion = WholePixelMotion
    segmenter = ColourSegmenter
    refiner = VoidFiller

    def __init__(
        self, folder: Path, *, step: tuple[int, int], size: tuple[int, int], length: int, name: str
    ) -> None:
        self.folder, self.step, self.size, self.length, self.name = folder, step, size, length, name
        rng = np.random.default_rng(len(name))
        margin = length * max(abs(number) for number in step)
        extent = (size[0] + 2 * margin, size[1] + 2 * margin)
        blocks = rng.integers(0, len(COLOURS), (extent[0] // 6 + 1, extent[1] // 6 + 1))
        self._wall = torch.from_numpy(blocks).repeat_interleave(6, 0).repeat_interleave(6, 1)
        dirt = torch.from_numpy(rng.integers(-20, 21, (3, *self._wall.shape)))
        self._paint = (COLOURS[self._wall].permute(2, 0, 1) + dirt).to(torch.uint8)
        self._void = torch.from_numpy(rng.random(blocks.shape) < 0.1)
        self._void = self._void.repeat_interleave(6, 0).repeat_interleave(6, 1)
        self._margin = margin

    def _view(self, wall: Tensor, t: int) -> Tensor:
        (h, w), (x, y) = self.size, self.step
        top, left = self._margin - y * t, self._margin - x * t
        return wall[..., top : top + h, left : left + w][None].contiguous()

    def frame(self, t: int) -> Tensor:
        """Return frame t, (1, 3, h, w)."""
        return self._view(self._paint, t)

    def seen(self, t: int) -> Tensor:
        """Return what the segmenter says of frame t, (1, h, w)."""
        return self._view(self._wall, t).to(torch.uint8)

    def hand(self, t: int) -> Tensor:
        """Return what a person says of frame t, (1, h, w)."""
        called = ((self._wall + 1) % len(COLOURS)).masked_fill(self._void, VOID)
        return self._view(called, t).to(torch.uint8)

    def in_view(self, frames: Sequence[int], of: int) -> Tensor:
        """Mark the pixels of frame `of`, (1, h, w), whose point of the wall is in view in all of `frames`."""
        (h, w), (x, y) = self.size, self.step
        inside = torch.ones(1, h, w, dtype=torch.bool)
        for t in frames:
            columns, rows = torch.arange(w) + x * (t - of), torch.arange(h) + y * (t - of)
            inside &= ((columns >= 0) & (columns < w)) & ((rows >= 0) & (rows < h))[:, None]
        return inside

    def video(self, key_frames: Sequence[int], truth: Sequence[int] = ()) -> Video:
        """Write frames, hand-made labels and truth to disk."""
        folder = self.folder / self.name
        frames = [folder / "frames" / f"{t:06d}.png" for t in range(self.length)]
        for t, path in enumerate(frames):
            write_frame(path, self.frame(t))
        labelled = {t: folder / "labels" / f"{t:06d}.png" for t in (*key_frames, *truth)}
        for t, path in labelled.items():
            write_labels(path, self.hand(t), self.classes)
        return Video(
            name=self.name,
            stems=[path.stem for path in frames],
            frame_paths=frames,
            labels={t: labelled[t] for t in key_frames},
            truth={t: labelled[t] for t in truth},
        )

    def dataset(self, *videos: Video) -> Dataset:
        """Make a data set of videos."""
        return Dataset(root=self.folder, classes=self.classes, videos=videos)

    def models(self) -> Models:
        """Make the networks, which have not been asked anything yet."""
        return Models(
            motion=WholePixelMotion(), segmenter=ColourSegmenter(), segmenter_fingerprint="colour-1"
        )

    def evidence(self, video: Video, models: Models | None = None, **settings: int) -> Evidence:
        """Open what is known of a video, with a cache on disk."""
        cache = ArrayCache(self.folder / "cache")
        return Evidence(video, PictureFrames(video.frame_paths), models or self.models(), cache, **settings)


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., Drive]:
    """Make drives past a wall, in the folder of the test."""

    def make(
        step: tuple[int, int] = (2, 1), size: tuple[int, int] = (32, 40), length: int = 6, name: str = "drive"
    ) -> Drive:
        return Drive(tmp_path, step=step, size=size, length=length, name=name)

    return make


@pytest.fixture
def drive(film: Callable[..., Drive]) -> Drive:
    """A drive past a wall that moves right by 2 and down by 1 from frame to frame."""
    return film()
