"""A wall filmed by a camera that moves by whole pixels: labels and flow are known exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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
from warprefine.propagation.methods import PAPER_METHODS
from warprefine.propagation.oracle import OracleLabeller
from warprefine.propagation.stepwise.walk import StepSettings, StepwiseLabeller
from warprefine.propagation.two_sided.label import TwoSidedLabeller
from warprefine.recipe.plus import PlusRecipe

COLOURS = torch.tensor([[40, 40, 40], [40, 200, 40], [200, 40, 40], [200, 200, 210]])
REACH = 3


class WholePixelMotion:
    """Flow that is the same everywhere: the shift by whole pixels that explains a frame best."""

    name = "whole-pixel"

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frame_b: Tensor, frame_a: Tensor) -> Tensor:
        self.calls += 1
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
    """Classify each pixel as the nearest of the wall's colours, with high probability."""

    name = "colour"
    class_count = len(COLOURS)
    feature_channels = 1

    def __init__(self, sharpness: float = 2e-3) -> None:
        self.sharpness = sharpness
        self.calls = 0

    def __call__(self, frames: Tensor) -> Segmentation:
        self.calls += 1
        distance = (frames[:, None].float() - COLOURS.view(1, -1, 3, 1, 1)).square().sum(dim=2)
        return Segmentation(logits=-self.sharpness * distance, features=frames[:, :1, ::4, ::4].float())


class VoidFiller:
    """Keep labels, and replace VOID by the segmenter's class."""

    name = "void-filler"
    class_count = len(COLOURS)

    def __call__(self, inputs: RefinerInput) -> Tensor:
        semantic = inputs.segmentation.logits.argmax(dim=1)
        labels = torch.where(inputs.labels == VOID, semantic, inputs.labels.long())
        return functional.one_hot(labels, self.class_count + 1).permute(0, 3, 1, 2) * 9.0


class Drive:
    """A film of a wall of coloured blocks that moves by `step` = (x, y) pixels from frame to frame.

    The hand-made label of each colour is one class higher than the segmenter's (and VOID on some blocks), so
    that every pixel shows which of the two its label comes from.
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

    def segmented(self, t: int) -> Tensor:
        """Return the segmenter's labels of frame t, (1, h, w)."""
        return self._view(self._wall, t).to(torch.uint8)

    def hand_labels(self, t: int) -> Tensor:
        """Return the hand-made labels of frame t, (1, h, w)."""
        labels = ((self._wall + 1) % len(COLOURS)).masked_fill(self._void, VOID)
        return self._view(labels, t).to(torch.uint8)

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
            write_labels(path, self.hand_labels(t), self.classes)
        return Video(
            name=self.name,
            stems=[path.stem for path in frames],
            frame_paths=frames,
            labels={t: labelled[t] for t in key_frames},
            truth={t: labelled[t] for t in truth},
        )

    def dataset(self, *videos: Video) -> Dataset:
        """Return a data set of videos."""
        return Dataset(root=self.folder, classes=self.classes, videos=videos)

    def models(self) -> Models:
        """Return new networks, which count their calls from 0."""
        return Models(
            motion=WholePixelMotion(), segmenter=ColourSegmenter(), segmenter_fingerprint="colour-1"
        )

    def evidence(self, video: Video, models: Models | None = None, **settings: int) -> Evidence:
        """Return the evidence of a video, with a cache on disk."""
        frames, cache = PictureFrames(video.frame_paths), ArrayCache(self.folder / "cache")
        return Evidence(video, frames, self.classes, models or self.models(), cache, **settings)

    def stepwise(
        self,
        *methods: str,
        models: Models | None = None,
        tau: float = 0.05,
        threshold: float = 0.9,
        refiner_fingerprint: str = "filler-1",
    ) -> StepwiseLabeller:
        """Return a labeller of some of the paper's methods; without any names, of all."""
        settings = StepSettings(
            tau=tau,
            threshold=threshold,
            refiner=VoidFiller(),
            refiner_fingerprint=refiner_fingerprint,
        )
        return StepwiseLabeller(
            methods=methods or PAPER_METHODS, models=models or self.models(), settings=settings
        )

    def two_sided(
        self, recipe: PlusRecipe | None = None, *, models: Models | None = None, **refiner: Any
    ) -> TwoSidedLabeller:
        """Return a labeller of warp-refine-plus, with a `refiner` and its `refiner_fingerprint` if given."""
        return TwoSidedLabeller(models=models or self.models(), recipe=recipe or PlusRecipe(), **refiner)

    def oracle(self) -> OracleLabeller:
        """Return a labeller that reads the truth."""
        return OracleLabeller(models=self.models())


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., Drive]:
    """A function that films drives past a wall, in the folder of the test."""

    def make(
        step: tuple[int, int] = (2, 1), size: tuple[int, int] = (32, 40), length: int = 6, name: str = "drive"
    ) -> Drive:
        return Drive(tmp_path, step=step, size=size, length=length, name=name)

    return make


@pytest.fixture
def drive(film: Callable[..., Drive]) -> Drive:
    """A drive past a wall that moves right by 2 and down by 1 from frame to frame."""
    return film()
