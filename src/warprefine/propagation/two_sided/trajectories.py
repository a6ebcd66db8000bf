"""Trajectories between any two frames of a video: flow composed over all frames between, with trust."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor

from warprefine.core.lru_cache import LRUCache
from warprefine.core.tensors import Confidence, Flow, Frames
from warprefine.io.array_cache import rounded_flow
from warprefine.io.spill import Spilling, SpillingStore
from warprefine.ops.mixing import mixing_mask
from warprefine.ops.trajectories import agreement, compose
from warprefine.ops.warp import backward_warp, lands_inside
from warprefine.recipe.plus import CarrySettings

IN_MEMORY = 1 << 24
"""Bytes of trajectories in memory where the others lie on disk, and bytes of trust in steps."""
ON_DEVICE = 1 << 31
"""Bytes of trajectories in the memory of a GPU, from where the way to the disk is longer."""
_LEAST_TRAJECTORIES, _LEAST_STEPS = 4, 12
"""How many of each are in memory, however large they are: a frame has two sides, smoothing twelve steps."""


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


class StepTrust:
    """The trust in the steps of one video, computed once for all trajectories over a step.

    Args:
        footage: Frames and flow between neighbours.
        settings: How trust is computed.
    """

    def __init__(self, footage: Footage, settings: CarrySettings) -> None:
        self._footage, self._settings = footage, settings
        # Counting each for a twelfth of the limit at most keeps twelve of them, however large frames are.
        self._known = LRUCache[Confidence](
            IN_MEMORY, lambda trust: min(trust.nbytes, IN_MEMORY // _LEAST_STEPS)
        )

    def __call__(self, b: int, a: int) -> Confidence:
        """Return the trust in the flow of a step from a to b, on frame b, as `step_trust` computes it."""
        return self._known.get((b, a), lambda: step_trust(self._footage, self._settings, b=b, a=a))


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

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors by the names of their attributes."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Trajectory:
        """Return the trajectory of the tensors that `tensors` returned."""
        return cls(flow=tensors["flow"], trust=tensors["trust"], reverse_flow=tensors.get("reverse_flow"))


class Trajectories:
    """The trajectories of one video, each composed once from the shorter one before it.

    Values warped along a trajectory are resampled once, whatever its length; in the paper labels are warped
    again at every step, which erodes thin structures.

    The trajectory from a frame to a key frame ahead is composed from that of the next frame, so the first of
    a unit needs those of all frames up to the key frame, and each of them is needed again when its frame is
    labelled. Composing them again costs more than writing and reading them: four times as much at 480x360.
    So with `folder` those that were not used lately lie in a temporary file, without loss.

    Args:
        footage: Frames and flow between neighbours.
        settings: How trust is computed.
        steps: The trust in steps, where other trajectories share it.
        reverse: Compose the reverse flows too.
        folder: Where the file lies; None keeps all trajectories in memory.
    """

    def __init__(
        self,
        footage: Footage,
        settings: CarrySettings,
        *,
        steps: StepTrust | None = None,
        reverse: bool = False,
        folder: Path | None = None,
    ) -> None:
        self._footage, self._reverse = footage, reverse
        self._step_trust = steps or StepTrust(footage, settings)
        self._held = SpillingStore[Trajectory](None if folder is None else _spilling(folder))

    def between(self, frame: int, origin: int, *, hold: bool = True) -> Trajectory:
        """Return the trajectory that lives on `frame` and points into `origin`, another frame.

        Args:
            hold: Hold it, and all that it is composed of, for later calls.
        """
        step = 1 if frame > origin else -1
        done = next((k for k in range(frame, origin, -step) if (k, origin) in self._held), origin)
        trajectory = None if done == origin else self._held[done, origin]
        for k in range(done + step, frame + step, step):
            trajectory = self._extended(k, k - step, trajectory)
            if hold:
                self._held[k, origin] = trajectory
        assert trajectory is not None, "origin is another frame"
        return trajectory

    def keep(self, frames: Collection[int]) -> None:
        """Drop all trajectories but those that live on these frames."""

        def lives_there(ends: Hashable) -> bool:
            assert isinstance(ends, tuple)
            return ends[0] in frames

        self._held.keep(lives_there)

    def _extended(self, frame: int, before: int, rest: Trajectory | None) -> Trajectory:
        """Extend the trajectory of the frame before, if it is not the origin, by one step to this frame."""
        flow = self._footage.flow(frame, before)
        reverse_flow = self._footage.flow(before, frame) if self._reverse else None
        trust = self._step_trust(frame, before)
        if rest is None:
            return Trajectory(flow=flow, reverse_flow=reverse_flow, trust=trust)
        # Rounded as flow in the cache is, so that errors do not depend on the frame at which composing began.
        whole = rounded_flow(compose(flow, rest.flow))
        trust = trust * backward_warp(rest.trust[:, None], flow)[:, 0] * lands_inside(whole)
        if rest.reverse_flow is not None and reverse_flow is not None:
            reverse_flow = rounded_flow(compose(rest.reverse_flow, reverse_flow))
        return Trajectory(flow=whole, reverse_flow=reverse_flow, trust=trust)


def _spilling(folder: Path) -> Spilling[Trajectory]:
    return Spilling(
        folder=folder,
        limit_of=lambda device: IN_MEMORY if device.type == "cpu" else ON_DEVICE,
        least=_LEAST_TRAJECTORIES,
        tensors_of=lambda trajectory: trajectory.tensors,
        value_of=Trajectory.of_tensors,
    )
