"""Name the hyper-parameters of warp-refine-plus; each part of it can be switched off."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from warprefine.core.protocols import MotionEstimator
from warprefine.propagation.long_range import Improves
from warprefine.propagation.plus import PlusSetting
from warprefine.propagation.sides import Ways
from warprefine.propagation.trajectories import TrustRule
from warprefine.refinement.sides import SideRefiner
from warprefine.training.optimisation import Settings
from warprefine.training.side_recipe import SideRefinerRecipe
from warprefine.training.synthetic import SyntheticMotion

_WAYS = ("motion", "trust", "slack", "tau", "hard_trust", "carry", "soft", "long_range")
"""Settings that a side depends on; others choose among sides."""


class PlusRecipe(Settings):
    """How warp-refine-plus brings labels to a frame, and what it makes of them."""

    motion: str = "dis-fine"
    """A name in `motion.MOTIONS` or a checkpoint."""
    trust: Literal["agreement", "photometric", "both", "none"] = "agreement"
    """What trust in a step goes by: forward against backward flow, colours as in the paper, or both."""
    slack: float = Field(1.0, gt=0)
    """Error of forward against backward flow, in pixels, at which trust has fallen to 0.61."""
    tau: float = Field(0.12, gt=0)
    """Largest RGB distance (images in 0..1) that the photometric test trusts."""
    hard_trust: bool = False
    """Say yes or no at each step instead of how far."""
    carry: Literal["trajectory", "steps"] = "trajectory"
    """Warp the key frame's labels once along the whole way, or again at every step, as the paper does."""
    soft: bool = True
    """Keep shares of up to four labels per pixel instead of one label."""
    reach: int = Field(20, ge=1, lt=40)
    """How many frames a key frame may be away from a frame that it helps to label."""
    sides: Literal[1, 2] = 2
    """Ask the key frames on both sides of a frame, or only on the side of the nearest."""
    long_range: bool = False
    """Estimate flow straight to the key frame too, and take the better way at each pixel (DIS only)."""
    refine: bool = True
    """Let a refiner decide; else both sides and the segmenter vote."""
    smoothing: float = Field(0.7, ge=0, le=1)
    """The frame k further counts this to the power of k in the average over time; 0: no average."""
    smoothed: int = Field(2, ge=1)
    """Frames before and after a frame that it is averaged with."""
    stills: int = Field(32, ge=0)
    """Single labelled pictures that clips are made of at most, for the refiner to learn from."""
    variants: int = Field(4, ge=2)
    """Clips made of each."""
    synthetic: SyntheticMotion = SyntheticMotion()
    """How things move in them."""
    rounds: int = Field(1, ge=1)
    """How often the whole loop is gone through; after each round the segmenter learns from made labels."""
    confident: float = Field(0.9, ge=0, le=1)
    """Confidence that made labels need to be learned from."""
    made_share: float = Field(0.5, gt=0, lt=1)
    """Share of made labels in that training; the rest is as in the adaptation of the segmenter."""
    refiner: SideRefinerRecipe = SideRefinerRecipe()
    """The refiner."""

    @property
    def way_settings(self) -> dict[str, Any]:
        """All that labels depend on while they are brought to a frame; a refiner learns what that does."""
        return self.model_dump(mode="json", include=set(_WAYS))

    def ways(self, motion: MotionEstimator) -> Ways:
        """Return how labels are brought to a frame."""
        rule = TrustRule(kind=self.trust, slack=self.slack, tau=self.tau, hard=self.hard_trust)
        return Ways(
            trust=rule,
            reach=self.reach,
            sides=self.sides,
            soft=self.soft,
            carry=self.carry,
            long_range=motion if self.long_range and isinstance(motion, Improves) else None,
        )

    def setting(self, motion: MotionEstimator, refiner: SideRefiner | None) -> PlusSetting:
        """Return what the propagation needs to know."""
        return PlusSetting(
            ways=self.ways(motion),
            refiner=refiner,
            smoothing=self.smoothing,
            smoothed=self.smoothed,
        )
