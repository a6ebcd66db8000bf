"""Hyper-parameters of warp-refine-plus, grouped by what depends on them.

The weights of the two-sided refiner depend on `carry` and on `refiner`; the labels of a frame depend on
`carry`, `choose`, `smooth` and the refiner's weights; `rounds` changes the weights of the segmenter alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import Field, model_validator

from warprefine.recipe.optimisation import Settings
from warprefine.recipe.two_sided_refiner import TwoSidedNetwork, TwoSidedRefinerRecipe, TwoSidedTraining

FARTHEST = 40
"""Distance, in frames, from which two frames are too different for their images to be compared."""
Trust: TypeAlias = Literal["agreement", "photometric", "both", "none"]


class CarrySettings(Settings):
    """How labels are carried from a key frame to another frame."""

    motion: str = "dis-sharp"
    """A name in `motion.MOTIONS`, or a checkpoint."""
    trust: Trust = "agreement"
    """Trust of a step: forward-backward consistency of flow, colours as in the paper, both, or 1 (none)."""
    slack: float = Field(1.5, gt=0, le=10_000)
    """Forward-backward error of the flow, in pixels, at which trust has fallen to 0.61."""
    tau: float = Field(0.12, gt=0, le=1000)
    """Largest RGB distance (images in 0..1) at which the photometric test gives trust 1."""
    hard_trust: bool = False
    """Threshold the trust of each step at 0.5."""
    mode: Literal["trajectory", "steps"] = "trajectory"
    """Warp the key frame's labels once along the whole trajectory, or at every step, as the paper does."""
    soft: bool = True
    """Keep shares of up to four labels per pixel instead of one label."""
    long_range: bool = False
    """Estimate flow straight to the key frame too, and take the better flow at each pixel (DIS only)."""


class ChooseSettings(Settings):
    """Which key frames a frame is labelled from."""

    reach: int = Field(20, ge=1, lt=FARTHEST)
    """Largest distance, in frames, of a key frame that is used; the nearest is used at any distance."""
    sides: Literal[1, 2] = 2
    """Use the key frames on both sides of a frame, or only on the side of the nearest."""


class SmoothSettings(Settings):
    """How the labels of a frame are averaged with those of the frames around it."""

    decay: float = Field(0.9, ge=0, le=1)
    """The weight of a frame at distance k is this to the power of k; 0: no average."""
    frames: int = Field(2, ge=1, le=100)
    """Frames before and after a frame that take part in the average."""


class RoundsSettings(Settings):
    """How often everything is repeated; in each further round the segmenter is trained on pseudo-labels."""

    count: int = Field(1, ge=1, le=100)
    """Number of rounds."""
    confident: float = Field(0.9, ge=0, le=1)
    """Least confidence of the pseudo-labels that are trained on; the others are VOID."""
    pseudo_label_share: float = Field(0.5, gt=0, lt=1)
    """Share of pseudo-labels in that training; the rest is as in the adaptation of the segmenter."""


_FORMER = {
    **{name: ("carry", name) for name in CarrySettings.model_fields if name != "mode"},
    **{name: ("choose", name) for name in ChooseSettings.model_fields},
    "refine": ("refiner", "enabled"),
    "smoothing": ("smooth", "decay"),
    "smoothed": ("smooth", "frames"),
    "confident": ("rounds", "confident"),
    "made_share": ("rounds", "pseudo_label_share"),
    "stills": ("refiner", "synthetic", "stills"),
    "variants": ("refiner", "synthetic", "variants"),
    "synthetic": ("refiner", "synthetic", "motion"),
}
"""Where settings of [plus] are now that recipes from before version 0.1.0 had directly under [plus]."""


class PlusRecipe(Settings):
    """The method warp-refine-plus: labels from key frames on both sides, refined and smoothed over time."""

    carry: CarrySettings = CarrySettings()
    """How labels are carried to a frame."""
    choose: ChooseSettings = ChooseSettings()
    """Which key frames they are carried from."""
    refiner: TwoSidedRefinerRecipe = TwoSidedRefinerRecipe()
    """The two-sided refiner."""
    smooth: SmoothSettings = SmoothSettings()
    """The average over time."""
    rounds: RoundsSettings = RoundsSettings()
    """Rounds of self-training."""

    @model_validator(mode="before")
    @classmethod
    def _accept_former_keys(cls, values: Any) -> Any:
        return cls.with_present_keys(values) if isinstance(values, dict) else values

    @classmethod
    def with_present_keys(cls, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return a table with the keys of recipes from before version 0.1.0 at their present places.

        Where a table has both, the present key counts.
        """
        values = super().with_present_keys(table)
        moved = {key: value for key, value in values.items() if key not in _FORMER}
        if isinstance(moved.get("carry"), str):
            _place(moved, ("carry", "mode"), moved.pop("carry"))
        if isinstance(moved.get("rounds"), int):
            _place(moved, ("rounds", "count"), moved.pop("rounds"))
        refiner = moved.get("refiner")
        if isinstance(refiner, dict) and "synthetic_share" in refiner:
            moved["refiner"] = {key: value for key, value in refiner.items() if key != "synthetic_share"}
            _place(moved, ("refiner", "synthetic", "share"), refiner["synthetic_share"])
        for key, place in _FORMER.items():
            if key in values:
                _place(moved, place, values[key])
        return moved

    @property
    def label_settings(self) -> dict[str, Any]:
        """All settings that the labels of a frame depend on, besides the weights of networks."""
        return {
            "carry": self.carry.to_dict(),
            "choose": self.choose.to_dict(),
            "smooth": self.smooth.to_dict(),
        }

    @property
    def refiner_settings(self) -> dict[str, Any]:
        """All settings that the weights of the two-sided refiner depend on."""
        return {"carry": self.carry.to_dict(), "training": self.refiner.part(TwoSidedTraining)}

    @property
    def cost_settings(self) -> dict[str, Any]:
        """All settings that the time to label a frame depends on."""
        used = {"enabled": self.refiner.enabled, "mirrored": self.refiner.mirrored}
        return {**self.label_settings, "refiner": {**used, **self.refiner.part(TwoSidedNetwork)}}


def _place(table: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set a value in nested tables where there is none, without changing the tables that were given."""
    *above, last = path
    for name in above:
        below = table.get(name, {})
        table[name] = below.model_dump(exclude_unset=True) if isinstance(below, Settings) else dict(below)
        table = table[name]
    there = table.get(last)
    if isinstance(value, dict) and isinstance(there, dict):
        table[last] = {**value, **there}
    else:
        table.setdefault(last, value)
