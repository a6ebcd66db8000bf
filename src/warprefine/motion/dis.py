"""DIS optical flow (Kroeger et al., ECCV 2016): dense inverse search, no weights, milliseconds on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from warprefine.core.errors import FrameError
from warprefine.core.tensors import Flow, Frames

Preset = Literal["ultrafast", "fast", "medium", "fine"]


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


_PRESETS: dict[Preset, Callable[[], cv2.DISOpticalFlow]] = {
    "ultrafast": partial(cv2.DISOpticalFlow.create, cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST),
    "fast": partial(cv2.DISOpticalFlow.create, cv2.DISOPTICAL_FLOW_PRESET_FAST),
    "medium": partial(cv2.DISOpticalFlow.create, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM),
    "fine": _fine,
}
SMALLEST_SIDE = 32
"""OpenCV's own presets end their search at a quarter of the resolution, in patches of 8 pixels; OpenCV
crashes where the image of that resolution is smaller than a patch."""


class DISFlow:
    """OpenCV's DIS optical flow as a `MotionEstimator`: one of its presets, or "fine".

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
        with _one_thread():
            flows = [
                self._flow.calc(_grey(b), _grey(a), flow)
                for b, a, flow in zip(frame_b.cpu().numpy(), frame_a.cpu().numpy(), initial, strict=True)
            ]
        stacked = np.stack(flows).astype(np.float32, copy=False).transpose(0, 3, 1, 2)
        return torch.from_numpy(np.ascontiguousarray(stacked)).to(frame_b.device)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let OpenCV compute in one thread, whatever the caller's program has set.

    DIS cuts an image into one stripe per thread, so its result depends on their number.
    """
    threads = cv2.getNumThreads()
    if threads == 1:
        yield
        return
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _grey(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey: NDArray[np.uint8] = cv2.cvtColor(np.ascontiguousarray(frame.transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY)
    return grey
