"""Follow pixels from any frame to another, through all frames between, each way worked out once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from warprefine.core.tensors import Confidence, Flow, Frames
from warprefine.io.array_cache import rounded_flow
from warprefine.ops.mixing import mixing_mask
from warprefine.ops.trajectories import agreement, compose
from warprefine.ops.warp import backward_warp, lands_inside

Trust: TypeAlias = Literal["agreement", "photometric", "both", "none"]


@runtime_checkable
class Footage(Protocol):
    """Frames and the flow between neighbours, such as `Evidence`."""

    def frame(self, k: int) -> Frames:
        """Return frame k, (1, 3, h, w)."""
        ...

    def flow(self, b: int, a: int) -> Flow:
        """Return the flow that lives on frame b and points into its neighbour a."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrustRule:
    """How far a step from frame to frame is trusted.

    `kind` is "agreement" of forward and backward flow, with an error of `slack` pixels forgiven; the paper's
    "photometric" test (equation 6) with its `tau`; "both"; or "none": every source in view is trusted. A
    `hard` rule says yes or no where a soft one says how far.
    """

    kind: Trust = "agreement"
    slack: float = 1.0
    tau: float = 0.12
    hard: bool = False

    def __call__(self, footage: Footage, *, b: int, a: int) -> Confidence:
        """Return the trust in the step from a to b, on frame b, 0 to 1."""
        flow_ba = footage.flow(b, a)
        trust = lands_inside(flow_ba).float()
        if self.kind in ("agreement", "both"):
            trust = agreement(flow_ba, footage.flow(a, b), slack=self.slack)
        if self.kind in ("photometric", "both"):
            warped_frame = backward_warp(footage.frame(a).float(), flow_ba)
            trust = trust * mixing_mask(footage.frame(b), warped_frame, flow_ba, tau=self.tau)
        return (trust > 0.5).float() if self.hard else trust


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """Where each pixel of a frame was in another one, its origin, and how far that can be trusted (0 to 1).

    `flow` lives on the frame and points into the origin; `way_back`, which few need, lives on the origin.
    Both are composed of the flows of all steps between.
    """

    flow: Flow
    trust: Confidence
    way_back: Flow | None = None


class Trajectories:
    """The trajectories of one video, or of any other footage.

    What is warped along a trajectory is resampled once, however long it is; the paper warps labels again at
    every step, and loses a little of what is thin each time. Trust is the product of that of all steps.

    Args:
        both_ways: Work out the ways back too.
    """

    def __init__(self, footage: Footage, rule: TrustRule, *, both_ways: bool = False) -> None:
        self._footage, self._rule, self._both_ways = footage, rule, both_ways
        self._known: dict[tuple[int, int], Trajectory] = {}
        self._judged: dict[tuple[int, int], Confidence] = {}

    def between(self, frame: int, origin: int) -> Trajectory:
        """Return the trajectory that lives on `frame` and points into `origin`, another frame."""
        step = 1 if frame > origin else -1
        done = next((k for k in range(frame, origin, -step) if (k, origin) in self._known), origin)
        for k in range(done + step, frame + step, step):
            self._known[k, origin] = self._extended(k, origin, step)
        return self._known[frame, origin]

    def keep(self, frames: Collection[int]) -> None:
        """Drop all trajectories but those that live on these frames."""
        self._known = {ends: way for ends, way in self._known.items() if ends[0] in frames}
        self._judged = {ends: trust for ends, trust in self._judged.items() if ends[0] in frames}

    def _extended(self, frame: int, origin: int, step: int) -> Trajectory:
        """Go one frame further away from the origin."""
        before = frame - step
        flow = self._footage.flow(frame, before)
        way_back = self._footage.flow(before, frame) if self._both_ways else None
        trust = self._trust_in_step(frame, before)
        if before == origin:
            return Trajectory(flow=flow, way_back=way_back, trust=trust)
        rest = self._known[before, origin]
        # Rounded as flow in the cache is, so that errors do not depend on where a walk began.
        whole = rounded_flow(compose(flow, rest.flow))
        trust = trust * backward_warp(rest.trust[:, None], flow)[:, 0] * lands_inside(whole)
        if rest.way_back is not None and way_back is not None:
            way_back = rounded_flow(compose(rest.way_back, way_back))
        return Trajectory(flow=whole, way_back=way_back, trust=trust)

    def _trust_in_step(self, b: int, a: int) -> Confidence:
        """Judge a step once for all the ways that lead over it."""
        if (b, a) not in self._judged:
            self._judged[b, a] = self._rule(self._footage, b=b, a=a)
        return self._judged[b, a]
