"""Estimate motion; look a motion estimator up by its name."""

from __future__ import annotations

from collections.abc import Callable

from warprefine.core.protocols import MotionEstimator
from warprefine.motion.dis import DISFlow

MOTIONS: dict[str, Callable[[], MotionEstimator]] = {
    "dis-fine": lambda: DISFlow("fine"),
    "dis-medium": lambda: DISFlow("medium"),
    "dis-fast": lambda: DISFlow("fast"),
    "dis-ultrafast": lambda: DISFlow("ultrafast"),
}
