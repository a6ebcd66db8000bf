"""Frames, key-frame labels, flow and segmentations of a video, each computed once.

All key frames, methods and cycle lengths share them. What was computed lies in the cache on disk and, for
the last few frames, in memory, so that memory does not grow with the length of the video.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from jaxtyping import UInt8
from torch import Tensor

from warprefine.core.classes import ClassSet
from warprefine.core.errors import LabelError
from warprefine.core.lru_cache import LRUCache
from warprefine.core.parallel import Ahead, thread_count
from warprefine.core.precision import computing, name_of, precision_of
from warprefine.core.protocols import (
    MotionEstimator,
    Segmentation,
    Segmenter,
    ThreadedMotion,
    ThreeFrameMotion,
    device_of,
)
from warprefine.core.tensors import CPU, Flow, Frames, LabelMaps, member, size_of
from warprefine.core.video import Video
from warprefine.io.array_cache import ArrayCache, halves, rounded_flow
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_file, fingerprint_of_frames
from warprefine.io.frames import FrameSource, open_frames
from warprefine.io.images import read_labels
from warprefine.ops.tiles import Tile, in_tiles

Keep: TypeAlias = Literal["all", "flow", "nothing"]
"""What stays in the cache on disk: flow and segmentations, flow alone, or nothing."""
KEY_LABELS_IN_MEMORY = 64
"""Label maps of key frames kept decoded: one byte a pixel."""
KEPT_IN_MEMORY = 8
"""Frames, flows and segmentations kept decoded: a step needs two frames, and few are needed again."""
KEPT_ON_DEVICE = 1 << 30
"""Bytes of frames, of flows and of segmentations kept in the memory of a GPU, where most need them again."""

PIXELS_OF_BATCH = 1 << 22
"""Eight frames of 1024 x 512 or two of 2048 x 1024: a network holds about a kilobyte for each pixel."""


@dataclass(frozen=True, kw_only=True)
class Models:
    """The networks that evidence is computed with.

    Attributes:
        motion: Estimates flow.
        segmenter: Segments frames; None where only motion is used.
        segmenter_fingerprint: Identifies the segmenter's weights.
        device: Where frames, flow and segmentations are put, and labels are computed from them.
        batch: How many frames networks compute at a time, if they have `PIXELS_OF_BATCH` at most.
        keep: What stays in the cache on disk: segmentations of many large frames fill terabytes, and can be
            computed again in the time of a forward pass.
    """

    motion: MotionEstimator
    segmenter: Segmenter | None = None
    segmenter_fingerprint: str = ""
    device: torch.device = CPU
    batch: int = 1
    keep: Keep = "all"

    @property
    def segmenter_key(self) -> str:
        """Identifies what the segmenter computes, in a cache: by its weights and its precision."""
        if self.segmenter is None:
            return self.segmenter_fingerprint
        return f"{self.segmenter_fingerprint}-{name_of(precision_of(self.segmenter))}"


class Evidence:
    """Frames, key-frame labels, flow and segmentations of one video, on the device of the models.

    Args:
        video: The video.
        frames: Its frames, opened.
        classes: The classes of its label maps.
        models: The networks.
        cache: Where flow and segmentations are kept on disk.
        kept_in_memory: How many frames, flows and segmentations are kept decoded on the CPU.
    """

    def __init__(
        self,
        video: Video,
        frames: FrameSource,
        classes: ClassSet,
        models: Models,
        cache: ArrayCache,
        *,
        kept_in_memory: int = KEPT_IN_MEMORY,
    ) -> None:
        self.video, self.classes = video, classes
        self._source, self._models, self._cache = frames, models, cache
        self._pictures, self._reading = LRUCache[Frames](kept_in_memory), threading.Lock()
        self._ahead: Ahead[tuple[int, int], Flow] | None = None
        self._own = threading.local()
        self._to_segment: list[int] = []
        self._labels = LRUCache[LabelMaps](KEY_LABELS_IN_MEMORY)
        self._frames = LRUCache[Frames](KEPT_ON_DEVICE, lambda frame: frame.nbytes)
        if models.device.type == "cpu":
            self._flows = LRUCache[Flow](kept_in_memory)
            self._segmentations = LRUCache[Segmentation](kept_in_memory)
        else:
            self._flows = LRUCache[Flow](KEPT_ON_DEVICE, lambda flow: flow.nbytes)
            self._segmentations = LRUCache[Segmentation](KEPT_ON_DEVICE, lambda output: output.nbytes)

    @property
    def device(self) -> torch.device:
        """Where frames, labels, flow and segmentations are."""
        return self._models.device

    def batch_with(self, k: int) -> int:
        """Return how many frames networks compute at a time; frame k tells how large they are."""
        if self._models.batch == 1:
            return 1
        h, w = size_of(self.frame(k))
        return max(1, min(self._models.batch, PIXELS_OF_BATCH // (h * w)))

    @property
    def folder(self) -> Path:
        """The folder of the cache, where what does not fit into memory may lie for a while."""
        return self._cache.root

    def frame(self, k: int) -> Frames:
        """Return frame k, (1, 3, h, w)."""
        if self.device.type == "cpu":
            return self._picture(k)
        return self._frames.get(k, lambda: self._picture(k).to(self.device))

    def key_labels(self, k: int) -> LabelMaps:
        """Return the label map of key frame k, (1, h, w).

        Raises:
            LabelError: It is damaged, of another size than the frame, or has ids of no class.
        """
        path = self.video.labels[k]

        def read() -> LabelMaps:
            return read_labels(path, self.classes, size=size_of(self.frame(k))).to(self.device)

        return self._labels.get(k, read)

    def flow(self, b: int, a: int) -> Flow:
        """Return the flow that lives on frame b and points into frame a, (1, 2, h, w)."""
        return self._flows.get((b, a), lambda: self._found_flow(b, a).to(self.device))

    def expect_flows(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Compute flows in threads before they are asked for, where the motion estimator can do that.

        Args:
            pairs: Frames b and a of each, in the order in which they will be asked for; each pair once.
        """
        threads = thread_count()
        if threads > 1 and isinstance(self._models.motion, ThreadedMotion):
            if self._ahead is None:
                self._ahead = Ahead(lambda pair: self._cached_flow(*pair), threads=threads)
            self._ahead.expect(pairs)

    def close(self) -> None:
        """End the threads in which flow is computed ahead."""
        if self._ahead is not None:
            self._ahead.close()

    def expect_segmentations(self, frames: Iterable[int]) -> None:
        """Segment frames in batches: with a frame, those that come after it here, if they are not known."""
        self._to_segment = list(frames)

    def segmentation(self, k: int) -> Segmentation:
        """Return the segmenter's output for frame k."""
        return self._segmentations.get(k, lambda: self._found_segmentation(k))

    def _picture(self, k: int) -> Frames:
        """Return a frame on the CPU; threads take turns, as a video file is read by one at a time."""
        with self._reading:
            return self._pictures.get(k, lambda: self._source[k])

    def _found_flow(self, b: int, a: int) -> Flow:
        return self._cached_flow(b, a) if self._ahead is None else self._ahead.take((b, a))

    def _cached_flow(self, b: int, a: int) -> Flow:
        content = fingerprint_of_frames(self.video, self._frames_of_flow(b, a))
        key = f"flow/{self._models.motion.name}/{self.video.name}/{b:06d}_{a:06d}_{content}"
        cached = self._cache.get_flow(key)
        if cached is not None:
            return cached
        flow = self._estimate_flow(b, a)
        return rounded_flow(flow) if self._models.keep == "nothing" else self._cache.put_flow(key, flow)

    def _frames_of_flow(self, b: int, a: int) -> tuple[int, ...]:
        """Return the frames that flow is estimated from: b, a, and perhaps the frame before a."""
        before = 2 * a - b
        three = isinstance(self._models.motion, ThreeFrameMotion) and before in self.video.stretch(a)
        return (b, a, before) if three else (b, a)

    def _estimate_flow(self, b: int, a: int) -> Flow:
        motion = self._models.motion
        if isinstance(motion, ThreadedMotion):
            return self._motion_of_thread(motion)(self._picture(b), self._picture(a))
        frames = [self.frame(k) for k in self._frames_of_flow(b, a)]
        if isinstance(motion, ThreeFrameMotion) and len(frames) == 3:
            return motion.from_three(*frames)
        return motion(frames[0], frames[1])

    def _motion_of_thread(self, motion: ThreadedMotion) -> MotionEstimator:
        if not hasattr(self._own, "motion"):
            self._own.motion = motion.for_thread()
        own: MotionEstimator = self._own.motion
        return own

    def _found_segmentation(self, k: int) -> Segmentation:
        found = self._cache.get(self._key_of_segmentation(k))
        if found is not None:
            return self._on_device(found)
        output = self._segmented(self._with_expected(k))
        for other in [*output][1:]:
            self._segmentations.get(other, partial(self._on_device, output[other]))
        return self._on_device(output[k])

    def _key_of_segmentation(self, k: int) -> str:
        content = fingerprint_of_frames(self.video, [k])
        return f"segmentation/{self._models.segmenter_key}/{self.video.name}/{k:06d}_{content}"

    def _on_device(self, output: Mapping[str, Tensor]) -> Segmentation:
        logits, features = (output[name].to(self.device).float() for name in ("logits", "features"))
        return Segmentation(logits=logits, features=features)

    def _with_expected(self, k: int) -> list[int]:
        """Return a frame and those to be segmented with it."""
        batch, expected = [k], self._to_segment
        later = expected[expected.index(k) + 1 :] if k in expected else []
        most = self.batch_with(k)
        for frame in later:
            if len(batch) == most:
                break
            if self._key_of_segmentation(frame) not in self._cache:
                batch.append(frame)
        return batch

    def _segmented(self, frames: Sequence[int]) -> dict[int, dict[str, Tensor]]:
        """Segment frames together, in the precision of the cache, and put them there."""
        segmenter, keep = self._models.segmenter, self._models.keep == "all"
        if segmenter is None:
            raise ValueError("a segmentation is needed, but there is no segmenter")
        # A batch is filled up: kernels, and with them the last bits, depend on its size.
        filled = [*frames, *[frames[-1]] * (self.batch_with(frames[0]) - len(frames))]
        together = torch.cat([self.frame(k) for k in filled]).to(device_of(segmenter))
        with torch.inference_mode(), computing(segmenter):
            output = _in_tiles(segmenter, together)
        found = {}
        for number, k in enumerate(frames):
            own = output.mapped(member(number))
            named = {"logits": own.logits, "features": own.features}
            key = self._key_of_segmentation(k)
            found[k] = self._cache.put_halves(key, named) if keep else halves(named)
        return found


def _in_tiles(segmenter: Segmenter, frames: UInt8[Tensor, "b 3 _ _"]) -> Segmentation:
    """Segment frames; large ones tile by tile."""

    def segmented(tile: Tile) -> tuple[Tensor, Tensor]:
        output = segmenter(tile.crop(frames))
        return output.logits, output.features

    logits, features = in_tiles(size_of(frames), segmented)
    return Segmentation(logits=logits, features=features)


def content_of(
    video: Video,
    classes: ClassSet,
    motion: MotionEstimator,
    frames: Iterable[int],
    *,
    key_frames: Iterable[int] = (),
) -> str:
    """Return a hash of the files that labels are computed from: frames, label maps and how those are coded.

    Args:
        video: The video.
        classes: The classes of its label maps.
        motion: Estimates flow between the frames; it may use a third one.
        frames: Frames that labels are propagated through; those between them count too.
        key_frames: Key frames whose label maps are used.

    Raises:
        FrameError: A frame cannot be read.
        LabelError: A label map cannot be read.
    """
    passed = sorted(frames)
    first, last = passed[0], passed[-1]
    margin = last - first if isinstance(motion, ThreeFrameMotion) else 0
    stretch = video.stretch(first)
    between = range(max(first - margin, stretch.start), min(last + margin + 1, stretch.stop))
    labels = [(key, fingerprint_of_file(video.labels[key], LabelError)) for key in key_frames]
    return fingerprint_of(fingerprint_of_frames(video, between), labels, classes.coding)


@contextmanager
def open_evidence(
    video: Video,
    classes: ClassSet,
    models: Models,
    cache: ArrayCache,
    *,
    kept_in_memory: int = KEPT_IN_MEMORY,
) -> Iterator[Evidence]:
    """Open a video's frames and supply its evidence; the arguments are those of `Evidence`.

    Raises:
        FrameError: The video cannot be opened.
    """
    with open_frames(video) as frames:
        evidence = Evidence(video, frames, classes, models, cache, kept_in_memory=kept_in_memory)
        with closing(evidence):
            yield evidence
