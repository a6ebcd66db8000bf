"""The propagation methods by name, and the networks and settings that each needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from warprefine.core.errors import RecipeError
from warprefine.core.names import nearest_name

LabellerKind: TypeAlias = Literal["two-sided", "stepwise", "oracle"]
Need: TypeAlias = Literal["segmenter", "tau", "refiner", "two-sided-refiner", "rounds", "truth"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method that labels frames from key frames.

    Attributes:
        summary: What it does, in a line.
        labeller: Which labeller implements it.
        needs: The trained networks and chosen settings that it uses; "rounds" if a recipe may repeat it,
            "truth" if it labels nothing without.

    Example:
        >>> METHODS["motion-only"].labeller, sorted(METHODS["warp-refine"].needs)
        ('stepwise', ['refiner', 'segmenter', 'tau'])
    """

    summary: str
    labeller: LabellerKind
    needs: frozenset[Need] = frozenset()


PLUS = "warp-refine-plus"
SEMANTIC_ONLY = "semantic-only"
ORACLE = "oracle"
METHODS: dict[str, Method] = {
    "motion-only": Method(
        summary="Warp labels along the flow, step by step (Zhu et al., CVPR 2019).", labeller="stepwise"
    ),
    SEMANTIC_ONLY: Method(
        summary="Take the segmenter's labels where it is confident, VOID elsewhere (Tao et al., 2020).",
        labeller="stepwise",
        needs=frozenset({"segmenter"}),
    ),
    "warp-inpaint": Method(
        summary="Warp, and inpaint from the segmenter where motion fails: the paper's Psi^W.",
        labeller="stepwise",
        needs=frozenset({"segmenter", "tau"}),
    ),
    "warp-refine": Method(
        summary="Warp, inpaint and refine: the paper's Psi^R.",
        labeller="stepwise",
        needs=frozenset({"segmenter", "tau", "refiner"}),
    ),
    PLUS: Method(
        summary="Labels carried along trajectories from both sides, refined together, smoothed over time.",
        labeller="two-sided",
        needs=frozenset({"segmenter", "two-sided-refiner", "rounds"}),
    ),
    ORACLE: Method(
        summary="The truth, where there is any: an upper bound.",
        labeller="oracle",
        needs=frozenset({"truth"}),
    ),
}
"""All methods, in the order in which tables show them."""
PAPER_METHODS = tuple(name for name, method in METHODS.items() if method.labeller == "stepwise")
"""The paper's two methods and its two baselines."""
DEFAULT_METHODS = ("motion-only", "semantic-only", PLUS, ORACLE)
"""Warp-refine-plus, and the methods that need no further training."""


def needs_of(methods: Iterable[str]) -> frozenset[Need]:
    """Return the networks and settings that any of the methods needs.

    Example:
        >>> sorted(needs_of(["motion-only", "semantic-only"]))
        ['segmenter']
    """
    return frozenset(need for name in methods for need in METHODS[name].needs)


def check_methods(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names in the order of `METHODS`.

    Raises:
        RecipeError: A name is not a method's; the message has the nearest one.
    """
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise RecipeError(f"no method is called {unknown[0]!r}; {nearest_name(unknown[0], METHODS)}")
    return tuple(name for name in METHODS if name in names)
