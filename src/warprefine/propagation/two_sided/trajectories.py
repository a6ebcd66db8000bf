"""Trajectories between any two frames of a video: flow composed over all frames between, with trust."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from warprefine.core.tensors import Confidence, Flow, Frames
from warprefine.io.array_cache import rounded_flow
from warprefine.ops.mixing import mixing_mask
from warprefine.ops.trajectories import agreement, compose
from warprefine.ops.warp import backward_warp, lands_inside
from warprefine.recipe.plus import CarrySettings


@runtime_checkable
class Footage(Protocol):
    """Frames and the flow between neighbours, such as `Evidence`."""

    def frame(self, k: int) -> Frames:
        """Return frame k, (1, 3, h, w)."""
        ...

    def flow(self, b: int, a: int) -> Flow:
        """Return the flow that lives on frame b and points into its neighbour a."""
        ...


def step_trust(footage: Footage, settings: CarrySettings, *, b: int, a: int) -> Confidence:
    """Return the trust in the flow of a step from a to b, on frame b, 0 to 1.

    Depending on `settings.trust` it is the agreement of forward and backward flow, the paper's photometric
    test (equation 6), the product of both, or 1; it is 0 where the source lies outside a.
    """
    flow_ba = footage.flow(b, a)
    trust = lands_inside(flow_ba).float()
    if settings.trust in ("agreement", "both"):
        trust = agreement(flow_ba, footage.flow(a, b), slack=settings.slack)
    if settings.trust in ("photometric", "both"):
        warped_frame = backward_warp(footage.frame(a).float(), flow_ba)
        trust = trust * mixing_mask(footage.frame(b), warped_frame, flow_ba, tau=settings.tau)
    return (trust > 0.5).float() if settings.hard_trust else trust


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """Composed flow from a frame into another one, its origin.

    Attributes:
        flow: Lives on the frame and points into the origin.
        trust: Product of the trust in all steps, on the frame, 0 to 1.
        reverse_flow: Lives on the origin and points into the frame; None where it is not computed.
    """

    flow: Flow
    trust: Confidence
    reverse_flow: Flow | None = None


class Trajectories:
    """The trajectories of one video, each composed once from the shorter one before it.

    Values warped along a trajectory are resampled once, whatever its length; in the paper labels are warped
    again at every step, which erodes thin structures.

    Args:
        footage: Frames and flow between neighbours.
        settings: How trust is computed.
        reverse: Compose the reverse flows too.
    """

    def __init__(self, footage: Footage, settings: CarrySettings, *, reverse: bool = False) -> None:
        self._footage, self._settings, self._reverse = footage, settings, reverse
        self._trajectories: dict[tuple[int, int], Trajectory] = {}
        self._step_trust: dict[tuple[int, int], Confidence] = {}

    def between(self, frame: int, origin: int) -> Trajectory:
        """Return the trajectory that lives on `frame` and points into `origin`, another frame."""
        step = 1 if frame > origin else -1
        done = next((k for k in range(frame, origin, -step) if (k, origin) in self._trajectories), origin)
        for k in range(done + step, frame + step, step):
            self._trajectories[k, origin] = self._extended(k, origin, step)
        return self._trajectories[frame, origin]

    def keep(self, frames: Collection[int]) -> None:
        """Drop all trajectories but those that live on these frames."""
        self._trajectories = {ends: t for ends, t in self._trajectories.items() if ends[0] in frames}
        self._step_trust = {ends: trust for ends, trust in self._step_trust.items() if ends[0] in frames}

    def _extended(self, frame: int, origin: int, step: int) -> Trajectory:
        """Extend the trajectory of the frame before by one step away from the origin."""
        before = frame - step
        flow = self._footage.flow(frame, before)
        reverse_flow = self._footage.flow(before, frame) if self._reverse else None
        trust = self._trust_in_step(frame, before)
        if before == origin:
            return Trajectory(flow=flow, reverse_flow=reverse_flow, trust=trust)
        rest = self._trajectories[before, origin]
        # Rounded as flow in the cache is, so that errors do not depend on the frame at which composing began.
        whole = rounded_flow(compose(flow, rest.flow))
        trust = trust * backward_warp(rest.trust[:, None], flow)[:, 0] * lands_inside(whole)
        if rest.reverse_flow is not None and reverse_flow is not None:
            reverse_flow = rounded_flow(compose(rest.reverse_flow, reverse_flow))
        return Trajectory(flow=whole, reverse_flow=reverse_flow, trust=trust)

    def _trust_in_step(self, b: int, a: int) -> Confidence:
        """Return the trust in a step, computed once for all trajectories over it."""
        if (b, a) not in self._step_trust:
            self._step_trust[b, a] = step_trust(self._footage, self._settings, b=b, a=a)
        return self._step_trust[b, a]
