"""Supply what the propagation knows of a video: frames, flow and segmentations, each computed once.

Every key frame, method and cycle length asks here. What was computed lies in the cache on disk and,
for the last few frames, in memory, so that memory does not grow with the length of the video.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import torch

from warprefine.core.protocols import LooksBack, MotionEstimator, Segmentation, Segmenter, device_of
from warprefine.core.tensors import Flow, Frames
from warprefine.core.video import Video
from warprefine.io.array_cache import ArrayCache, halves, rounded_flow
from warprefine.io.frames import FrameSource

T = TypeVar("T")
KEPT_IN_MEMORY = 8
"""Frames, flows and segmentations kept decoded: a step needs two frames, a walk comes back for few."""


class _Recent(Generic[T]):
    """The last few things that were asked for."""

    def __init__(self, most: int) -> None:
        self._items: OrderedDict[tuple[int, ...], T] = OrderedDict()
        self._most = most

    def get(self, key: tuple[int, ...], make: Callable[[], T]) -> T:
        if key in self._items:
            self._items.move_to_end(key)
        else:
            self._items[key] = make()
            while len(self._items) > self._most:
                self._items.popitem(last=False)
        return self._items[key]


@dataclass(frozen=True, kw_only=True)
class Models:
    """The networks that evidence is made with, and a fingerprint of the segmenter's weights.

    The segmenter is None where motion alone is asked for. `keep` says what stays on disk: segmentations
    of many large frames fill terabytes, and can be had again for the time of a forward pass.
    """

    motion: MotionEstimator
    segmenter: Segmenter | None = None
    segmenter_fingerprint: str = ""
    keep: Literal["all", "flow", "nothing"] = "all"


class Evidence:
    """Frames, flow and segmentations of one video."""

    def __init__(
        self,
        video: Video,
        frames: FrameSource,
        models: Models,
        cache: ArrayCache,
        *,
        kept_in_memory: int = KEPT_IN_MEMORY,
    ) -> None:
        self.video = video
        self._source = frames
        self._models = models
        self._cache = cache
        self._frames: _Recent[Frames] = _Recent(kept_in_memory)
        self._flows: _Recent[Flow] = _Recent(kept_in_memory)
        self._segmentations: _Recent[Segmentation] = _Recent(kept_in_memory)

    def frame(self, k: int) -> Frames:
        """Return frame k, (1, 3, h, w)."""
        return self._frames.get((k,), lambda: self._source[k])

    def flow(self, b: int, a: int) -> Flow:
        """Return the flow that lives on frame b and points into frame a, (1, 2, h, w)."""
        return self._flows.get((b, a), lambda: self._make_flow(b, a))

    def segmentation(self, k: int) -> Segmentation:
        """Return what the segmenter says of frame k."""
        return self._segmentations.get((k,), lambda: self._make_segmentation(k))

    def _make_flow(self, b: int, a: int) -> Flow:
        key = f"flow/{self._models.motion.name}/{self.video.name}/{b:06d}_{a:06d}"
        cached = self._cache.get_flow(key)
        if cached is not None:
            return cached
        flow = self._estimate(b, a)
        return rounded_flow(flow) if self._models.keep == "nothing" else self._cache.put_flow(key, flow)

    def _estimate(self, b: int, a: int) -> Flow:
        motion, before = self._models.motion, 2 * a - b
        if isinstance(motion, LooksBack) and 0 <= before < len(self.video):
            return motion.from_three(self.frame(b), self.frame(a), self.frame(before))
        return motion(self.frame(b), self.frame(a))

    def _make_segmentation(self, k: int) -> Segmentation:
        key = f"segmentation/{self._models.segmenter_fingerprint}/{self.video.name}/{k:06d}"
        found = self._cache.get(key)
        if found is None:
            segmenter = self._models.segmenter
            if segmenter is None:
                raise ValueError("a segmentation is asked for, but there is no segmenter")
            device = device_of(segmenter)
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
                said = segmenter(self.frame(k).to(device))
            named = {"logits": said.logits, "features": said.features}
            found = self._cache.put_halves(key, named) if self._models.keep == "all" else halves(named)
        return Segmentation(logits=found["logits"].float(), features=found["features"].float())
