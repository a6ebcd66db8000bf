"""Optical flow estimators by name.

Example:
    >>> sorted(MOTIONS)
    ['dis-fast', 'dis-fine', 'dis-medium', 'dis-sharp', 'dis-ultrafast']
"""

from __future__ import annotations

from collections.abc import Callable

from warprefine.core.protocols import MotionEstimator
from warprefine.motion.dis import DISFlow

MOTIONS: dict[str, Callable[[], MotionEstimator]] = {
    "dis-sharp": lambda: DISFlow("sharp"),
    "dis-fine": lambda: DISFlow("fine"),
    "dis-medium": lambda: DISFlow("medium"),
    "dis-fast": lambda: DISFlow("fast"),
    "dis-ultrafast": lambda: DISFlow("ultrafast"),
}
"""Motion estimators that need no weights, by the name that recipes use: DIS optical flow, slowest first.

"dis-sharp" and "dis-fine" are tuned for thin structures, down to full resolution; the others are OpenCV's
presets. Networks with weights are loaded by `motion.loading.load_motion`.
"""
