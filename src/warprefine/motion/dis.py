"""DIS optical flow (Kroeger et al., ECCV 2016): dense inverse search, no weights, milliseconds on a CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from warprefine.core.errors import FrameError
from warprefine.core.tensors import Flow, Frames

Preset = Literal["ultrafast", "fast", "medium", "fine", "sharp"]
ENLARGED_BELOW = 1 << 18
"""Pixels of a frame up to which "sharp" searches in frames of twice the size."""


def _fine() -> cv2.DISOpticalFlow:
    """Return DIS for thin structures: small patches down to full resolution, and hardly any smoothing.

    Chosen on CamVid by the quality of labels propagated over five frames; further iterations of the
    variational refinement cost time and gain nothing. See "Motion" in docs/networks.md.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(0)
    flow.setPatchSize(4)
    flow.setPatchStride(2)
    flow.setVariationalRefinementIterations(1)
    flow.setVariationalRefinementAlpha(5)
    return flow


def _sharp(*, patch: int, stride: int) -> cv2.DISOpticalFlow:
    """Return DIS with patches that overlap well, down to full resolution, and hardly any smoothing.

    Chosen by the quality of labels carried in CamVid, DAVIS and the procedural street: patches of 6 pixels
    carry labels farther than those of 4. More than 16 steps of search gain nothing.
    """
    flow = _fine()
    flow.setPatchSize(patch)
    flow.setPatchStride(stride)
    flow.setGradientDescentIterations(16)
    return flow


_PRESETS: dict[Preset, Callable[[], cv2.DISOpticalFlow]] = {
    "ultrafast": partial(cv2.DISOpticalFlow.create, cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST),
    "fast": partial(cv2.DISOpticalFlow.create, cv2.DISOPTICAL_FLOW_PRESET_FAST),
    "medium": partial(cv2.DISOpticalFlow.create, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM),
    "fine": _fine,
    "sharp": partial(_sharp, patch=6, stride=2),
}
SMALLEST_SIDE = 32
"""OpenCV's own presets end their search at a quarter of the resolution, in patches of 8 pixels; OpenCV
crashes where the image of that resolution is smaller than a patch."""


class DISFlow:
    """OpenCV's DIS optical flow as a `MotionEstimator`: one of its presets, "fine" or "sharp".

    "sharp" enlarges frames of up to 2^18 pixels to twice the size first: at 480 x 360 a pole is two pixels
    wide, and patches small enough for it hold too few pixels to be told from others.

    Example:
        >>> y, x = torch.arange(64.0)[:, None], torch.arange(68.0)
        >>> image = (60 * ((y / 5).sin() + (x / 4).sin()) + 128).byte().expand(1, 3, 64, 68)
        >>> frame_a, frame_b = image[..., 4:], image[..., 2:-2]  # moves right by 2 pixels
        >>> DISFlow("medium")(frame_b, frame_a)[0, 0].median().round()
        tensor(-2.)
    """

    def __init__(self, preset: Preset = "medium") -> None:
        self.name = f"dis-{preset}"
        self._flow = _PRESETS[preset]()
        self._enlarged = _sharp(patch=8, stride=4) if preset == "sharp" else None
        self._preset = preset

    def __reduce__(self) -> tuple[type[DISFlow], tuple[Preset]]:
        """Let a copy in another process be built anew: OpenCV's objects cannot be copied."""
        return type(self), (self._preset,)

    def for_thread(self) -> DISFlow:
        """Return a copy for another thread: OpenCV's objects hold what they work with."""
        return type(self)(self._preset)

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        """Return `flow_ba`, (b, 2, h, w) in pixels.

        Raises:
            FrameError: A side is below 32 pixels.
        """
        return self._estimate(frame_b, frame_a, [None] * len(frame_b))

    def refine_flow(self, frame_b: Frames, frame_a: Frames, flow_ba: Flow) -> Flow:
        """Return `flow_ba`, searched from an initial flow, which is not modified.

        Motion too large to be found from zero flow is found from an approximate one.

        Raises:
            FrameError: A side is below 32 pixels.
        """
        # OpenCV writes into its initial flow.
        initial = [np.array(flow.transpose(1, 2, 0), order="C") for flow in flow_ba.cpu().numpy()]
        return self._estimate(frame_b, frame_a, initial)

    def _estimate(
        self, frame_b: Frames, frame_a: Frames, initial: Sequence[NDArray[np.float32] | None]
    ) -> Flow:
        h, w = frame_b.shape[-2:]
        if min(h, w) < SMALLEST_SIDE:
            raise FrameError(
                f"frames are {h} x {w} pixels (h x w); optical flow needs at least {SMALLEST_SIDE} each way; "
                "use larger frames"
            )
        search = self._enlarged if self._enlarged is not None and h * w <= ENLARGED_BELOW else None
        with _one_thread():
            flows = [
                self._flow.calc(_grey(b), _grey(a), flow)
                if search is None
                else _calc_enlarged(search, _grey(b), _grey(a), flow)
                for b, a, flow in zip(frame_b.cpu().numpy(), frame_a.cpu().numpy(), initial, strict=True)
            ]
        stacked = np.stack(flows).astype(np.float32, copy=False).transpose(0, 3, 1, 2)
        return torch.from_numpy(np.ascontiguousarray(stacked)).to(frame_b.device)


def _calc_enlarged(
    search: cv2.DISOpticalFlow,
    frame_b: NDArray[np.uint8],
    frame_a: NDArray[np.uint8],
    initial: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """Return the flow (h, w, 2) that is found between frames of twice the size, in pixels of the frames."""
    h, w = frame_b.shape
    twice = (2 * w, 2 * h)
    large_b, large_a = (
        cv2.resize(frame, twice, interpolation=cv2.INTER_CUBIC) for frame in (frame_b, frame_a)
    )
    begin = None if initial is None else cv2.resize(2 * initial, twice, interpolation=cv2.INTER_LINEAR)
    # The mean of the four pixels that stand for one, so that nothing shifts by half a pixel.
    found = cv2.resize(search.calc(large_b, large_a, begin), (w, h), interpolation=cv2.INTER_AREA)
    return np.asarray(found / 2, dtype=np.float32)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let OpenCV compute in one thread, whatever the caller's program has set.

    DIS cuts an image into one stripe per thread, so its result depends on their number. The setting is that
    of the process: the first of several estimates at a time changes it, the last one restores it.
    """
    with _setting.lock:
        if not _setting.users:
            _setting.restored = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _setting.users += 1
    try:
        yield
    finally:
        with _setting.lock:
            _setting.users -= 1
            if not _setting.users:
                cv2.setNumThreads(_setting.restored)


@dataclass
class _Setting:
    """How many estimates need one thread at present, and the setting before the first of them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    restored: int = 1


_setting = _Setting()


def _grey(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey: NDArray[np.uint8] = cv2.cvtColor(np.ascontiguousarray(frame.transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY)
    return grey
