"""The variants of warp-refine-plus that the ablation compares: its recipe with and without each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from warprefine.core.names import look_up
from warprefine.recipe.plus import PlusRecipe

Changes: TypeAlias = Mapping[str, object]
"""Settings under [plus] that differ, by their place, such as "carry.trust"."""

ADDED: Mapping[str, Changes] = {
    "as-warp-inpaint": {},
    "with-agreement": {"carry.trust": "photometric"},
    "with-agreement-alone": {"carry.trust": "both"},
    "with-soft-trust": {"carry.hard_trust": True},
    "with-trajectories": {"carry.mode": "steps"},
    "with-soft-labels": {"carry.soft": False},
    "with-both-sides": {"choose.sides": 1},
    "with-fine-motion": {"carry.motion": "dis-medium"},
    "with-refiner": {"refiner.enabled": False},
    "with-key-frame-pairs": {"refiner.real_share": 0.0},
    "with-smoothing": {"smooth.decay": 0.0},
}
"""The parts in the order in which they are added, each with the settings that replace it until then.

The first variant has none of them: it carries labels as the paper's warp-inpaint does, but labels and
segmenter vote at each frame, and the vote is not carried on. The last has them all.
"""
DEFAULT = "with-smoothing"
"""The variant that is warp-refine-plus as the recipe has it."""

REMOVED: Mapping[str, Changes] = {
    "without-agreement": {"carry.trust": "photometric"},
    "without-trust": {"carry.trust": "none"},
    "without-soft-trust": {"carry.hard_trust": True},
    "without-trajectories": {"carry.mode": "steps"},
    "without-soft-labels": {"carry.soft": False},
    "without-second-side": {"choose.sides": 1},
    "without-fine-motion": {"carry.motion": "dis-medium"},
    "without-refiner": {"refiner.enabled": False},
    "without-features": {"refiner.features": False},
    "without-key-frame-pairs": {"refiner.real_share": 0.0},
    "without-smoothing": {"smooth.decay": 0.0},
    "without-mirrored": {"refiner.mirrored": False},
}
"""The settings that replace a part that is left out alone."""

ALTERNATIVES: Mapping[str, Changes] = {
    "long-range": {"carry.long_range": True},
    "rmi": {"refiner.loss": "rmi"},
    "unseen-alone": {"refiner.segmenters": "unseen"},
    "synthetic-clips": {"refiner.synthetic.share": 0.3},
    "two-rounds": {"rounds.count": 2},
}
"""Other choices."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A recipe of warp-refine-plus, and the name of the variant that it is compared with."""

    name: str
    plus: PlusRecipe
    against: str | None = None

    @property
    def trained(self) -> object:
        """All settings that the weights of its refiner depend on; None where it has no refiner."""
        return self.plus.refiner_settings if self.plus.refiner.enabled else None

    @property
    def work(self) -> object:
        """All settings that its cost depends on."""
        return self.plus.cost_settings


def variant_names(chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of variants in order, those of `ADDED` first; the default is always among them.

    Args:
        chosen: Some names in any order; empty for all.

    Raises:
        RecipeError: There is no variant of that name.
    """
    every = {**ADDED, **REMOVED, **ALTERNATIVES}
    for name in chosen:
        look_up(every, name, what="variant of the ablation")
    return tuple(name for name in every if not chosen or name in (DEFAULT, *chosen))


def variants_of(plus: PlusRecipe, names: Sequence[str], *, tau: float) -> list[Variant]:
    """Return the variants of these names.

    A variant that adds a part is compared with the one before it, all others with the default.

    Args:
        plus: The recipe that has all parts.
        names: As `variant_names` returns them.
        tau: That of the paper's methods, for variants with the photometric test.
    """
    recipes = _recipes(plus)
    variants: list[Variant] = []
    for name in names:
        own, before = recipes[name], variants[-1].name if variants else None
        if own.carry.trust in ("photometric", "both"):
            own = own.changed(("carry", "tau"), tau)
        variants.append(Variant(name=name, plus=own, against=before if name in ADDED else DEFAULT))
    return variants


def _recipes(plus: PlusRecipe) -> dict[str, PlusRecipe]:
    """Return the recipe of every variant."""
    added, lacking = {}, plus
    for name, instead in reversed([*ADDED.items()]):  # the replacement of an early part comes last
        added[name] = lacking
        lacking = _changed(lacking, instead)
    others = {name: _changed(plus, changes) for name, changes in {**REMOVED, **ALTERNATIVES}.items()}
    return {**added, **others}


def _changed(plus: PlusRecipe, changes: Changes) -> PlusRecipe:
    for place, value in changes.items():
        plus = plus.changed(place.split("."), value)
    return PlusRecipe.model_validate(plus.model_dump())
