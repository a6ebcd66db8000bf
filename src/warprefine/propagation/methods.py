"""List the propagation methods: the paper's two, its two baselines, ours, and the truth as the bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from warprefine.core.errors import RecipeError
from warprefine.core.names import nearest_name
from warprefine.core.protocols import Refiner
from warprefine.propagation.step import Labelling, Pair, abstain, refine, warp, warp_inpaint

SEMANTIC_THRESHOLD = 0.9
"""Below this probability the semantic-only baseline says VOID (Tao et al. 2020; the paper, 4.2)."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the steps need besides the frames."""

    tau: float
    threshold: float = SEMANTIC_THRESHOLD
    refiner: Refiner | None = None


Step = Callable[[Labelling, Pair, Setting], Labelling]


def motion_only(labelling_a: Labelling, pair: Pair, setting: Setting) -> Labelling:
    """Warp and nothing else, border labels repeated beyond the edge (Zhu et al., CVPR 2019)."""
    return warp(labelling_a, pair.flow_ba, outside="replicate")


def semantic_only(labelling_a: Labelling, pair: Pair, setting: Setting) -> Labelling:
    """Take the segmenter's labels where it is confident and VOID elsewhere (Tao et al. 2020)."""
    return abstain(pair.semantic, setting.threshold)


def inpaint_only(labelling_a: Labelling, pair: Pair, setting: Setting) -> Labelling:
    """Do the paper's Psi^W: warp and inpaint."""
    return warp_inpaint(labelling_a, pair, tau=setting.tau)


def warp_refine(labelling_a: Labelling, pair: Pair, setting: Setting) -> Labelling:
    """Do the paper's Psi^R: warp, inpaint and refine."""
    if setting.refiner is None:
        raise ValueError("warp-refine needs a refiner")
    return refine(warp_inpaint(labelling_a, pair, tau=setting.tau), pair, setting.refiner)


STEPS: dict[str, Step] = {
    "motion-only": motion_only,
    "semantic-only": semantic_only,
    "warp-inpaint": inpaint_only,
    "warp-refine": warp_refine,
}
PLUS = "warp-refine-plus"
"""Ours: trajectories from both sides, soft labels, trust, one refiner for all of it (`propagation.plus`)."""
ORACLE = "oracle"
METHODS = (*STEPS, PLUS, ORACLE)
DEFAULT_METHODS = ("motion-only", "semantic-only", PLUS, ORACLE)
"""Ours, and what costs nothing more to compare it with."""
NEED_SEGMENTER = frozenset((*STEPS, PLUS)) - {"motion-only"}
NEED_TAU = frozenset({"warp-inpaint", "warp-refine"})
NEED_REFINER = frozenset({"warp-refine"})


def check_methods(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names in the usual order.

    Raises:
        RecipeError: A name is not a method's; the message says which one was probably meant.
    """
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise RecipeError(f"no method is called {unknown[0]!r}; {nearest_name(unknown[0], METHODS)}")
    return tuple(name for name in METHODS if name in names)
