"""Name the parts of warp-refine-plus, and make of each a recipe with or without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from warprefine.core.names import look_up
from warprefine.training.plus_recipe import PlusRecipe
from warprefine.training.side_recipe import SideRefinerRecipe

Changes: TypeAlias = Mapping[str, Any]
"""Settings under [plus] that differ; those under [plus.refiner] are a mapping of their own."""

ADDED: Mapping[str, Changes] = {
    "as-warp-inpaint": {},
    "with-agreement": {"trust": "photometric"},
    "with-agreement-alone": {"trust": "both"},
    "with-soft-trust": {"hard_trust": True},
    "with-trajectories": {"carry": "steps"},
    "with-soft-labels": {"soft": False},
    "with-both-sides": {"sides": 1},
    "with-fine-motion": {"motion": "dis-medium"},
    "with-refiner": {"refine": False},
    "with-key-frame-pairs": {"refiner": {"real_share": 0.0}},
    "with-smoothing": {"smoothing": 0.0},
}
"""The parts in the order in which they are added, each with what stands in its place until then.

The first row has none of them: it carries labels as the paper's warp-inpaint does, but labels and segmenter
vote at each frame, and the vote is not carried on. The last has them all.
"""
DEFAULT = "with-smoothing"
"""The row that is warp-refine-plus as the recipe has it."""

REMOVED: Mapping[str, Changes] = {
    "without-agreement": {"trust": "photometric"},
    "without-trust": {"trust": "none"},
    "without-soft-trust": {"hard_trust": True},
    "without-trajectories": {"carry": "steps"},
    "without-soft-labels": {"soft": False},
    "without-second-side": {"sides": 1},
    "without-fine-motion": {"motion": "dis-medium"},
    "without-refiner": {"refine": False},
    "without-features": {"refiner": {"features": False}},
    "without-key-frame-pairs": {"refiner": {"real_share": 0.0}},
    "without-smoothing": {"smoothing": 0.0},
    "without-mirrored": {"refiner": {"mirrored": False}},
}
"""What stands in the place of a part that is left out alone."""

ALTERNATIVES: Mapping[str, Changes] = {
    "long-range": {"long_range": True},
    "rmi": {"refiner": {"loss": "rmi"}},
    "unseen-alone": {"refiner": {"segmenters": "unseen"}},
    "synthetic-clips": {"refiner": {"synthetic_share": 0.3}},
    "two-rounds": {"rounds": 2},
}
"""What might be done otherwise."""

_AFTER_TRAINING: dict[str, Any] = {
    **dict.fromkeys(("smoothing", "smoothed", "sides", "reach", "rounds", "confident", "made_share"), True),
    "refiner": {"mirrored"},
}
"""Settings that nothing depends on while a first refiner is trained; it learns from one side and from two."""
_IN_TRAINING: dict[str, Any] = {
    **dict.fromkeys(("stills", "variants", "synthetic", "rounds", "confident", "made_share"), True),
    "refiner": {*SideRefinerRecipe.model_fields} - {"network", "widths", "features", "mirrored"},
}
"""Settings that the time to label a frame does not depend on."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A way of labelling, and the name of the row that it is compared with."""

    name: str
    plus: PlusRecipe
    against: str | None = None

    @property
    def taught(self) -> str | None:
        """All settings that the weights of its refiner depend on; None where it has no refiner."""
        return self.plus.model_dump_json(exclude=_AFTER_TRAINING) if self.plus.refine else None

    @property
    def work(self) -> str:
        """All settings that its cost depends on."""
        return self.plus.model_dump_json(exclude=_IN_TRAINING)


def row_names(chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of rows in order, those of `ADDED` first; the default is always among them.

    Args:
        chosen: Some names in any order; none are all.

    Raises:
        RecipeError: There is no row of that name.
    """
    every = {**ADDED, **REMOVED, **ALTERNATIVES}
    for name in chosen:
        look_up(every, name, what="row of the ablation")
    return tuple(name for name in every if not chosen or name in (DEFAULT, *chosen))


def rows_of(plus: PlusRecipe, names: Sequence[str], *, tau: float) -> list[Row]:
    """Return the rows of these names.

    A row that adds a part is compared with the one before it, all others with the default.

    Args:
        plus: The recipe that has all parts.
        names: As `row_names` returns them.
        tau: That of the paper's methods; rows that test colours take it over.
    """
    settings = _settings(plus)
    rows: list[Row] = []
    for name in names:
        own, before = settings[name], rows[-1].name if rows else None
        if own.trust in ("photometric", "both"):
            own = own.model_copy(update={"tau": tau})
        rows.append(Row(name=name, plus=own, against=before if name in ADDED else DEFAULT))
    return rows


def _settings(plus: PlusRecipe) -> dict[str, PlusRecipe]:
    """Return the recipe of every row."""
    added, lacking = {}, plus
    for name, instead in reversed([*ADDED.items()]):  # a part that is added early has the last word
        added[name] = lacking
        lacking = _changed(lacking, instead)
    others = {name: _changed(plus, changes) for name, changes in {**REMOVED, **ALTERNATIVES}.items()}
    return {**added, **others}


def _changed(plus: PlusRecipe, changes: Changes) -> PlusRecipe:
    refiner = plus.refiner.model_dump() | changes.get("refiner", {})
    return PlusRecipe.model_validate(plus.model_dump() | {**changes, "refiner": refiner})
