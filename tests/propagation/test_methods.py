"""Tests of propagation/methods.py: the names of the methods, and what each of them needs."""

from __future__ import annotations

import pytest

from warprefine.core.errors import RecipeError
from warprefine.propagation.methods import (
    DEFAULT_METHODS,
    METHODS,
    ORACLE,
    PAPER_METHODS,
    PLUS,
    check_methods,
    needs_of,
)
from warprefine.propagation.stepwise.walk import STEPS


def methods_that_need(need: str) -> set[str]:
    return {name for name, method in METHODS.items() if need in method.needs}


def test_methods_come_in_the_usual_order() -> None:
    """Tables and pages list methods alike, whatever order they are named in."""
    assert check_methods(["warp-refine", "motion-only"]) == ("motion-only", "warp-refine")
    assert check_methods([*METHODS][::-1]) == tuple(METHODS)


def test_an_unknown_method_is_named_with_the_known_ones() -> None:
    """A misspelt method is refused, and the message lists all methods."""
    with pytest.raises(
        RecipeError,
        match=r"no method is called 'warp-refin'; did you mean 'warp-refine'\? \(there are .*, oracle\)",
    ):
        check_methods(["motion-only", "warp-refin"])


def test_motion_alone_needs_no_training() -> None:
    """Motion-only needs no segmenter, and only warp-refine needs the refiner of a single side."""
    assert methods_that_need("segmenter") == {"semantic-only", "warp-inpaint", "warp-refine", PLUS}
    assert methods_that_need("tau") == {"warp-inpaint", "warp-refine"}
    assert methods_that_need("refiner") == {"warp-refine"}
    assert methods_that_need("two-sided-refiner") == methods_that_need("rounds") == {PLUS}
    assert set(METHODS) == {*STEPS, PLUS, ORACLE}
    assert tuple(STEPS) == PAPER_METHODS


def test_methods_together_need_what_any_of_them_needs() -> None:
    """The needs of several methods are those of each; no method needs nothing."""
    assert needs_of([]) == needs_of(["motion-only"]) == frozenset()
    assert needs_of(["motion-only", ORACLE]) == {"truth"}
    assert needs_of(["semantic-only", "warp-inpaint"]) == {"segmenter", "tau"}
    assert needs_of(METHODS) == {"segmenter", "tau", "refiner", "two-sided-refiner", "rounds", "truth"}


def test_every_method_has_a_labeller_and_a_summary() -> None:
    """The paper's methods walk step by step; each method is described in one line."""
    kinds = {name: method.labeller for name, method in METHODS.items()}
    assert kinds == {**dict.fromkeys(STEPS, "stepwise"), PLUS: "two-sided", ORACLE: "oracle"}
    assert all(method.summary.endswith(".") and "\n" not in method.summary for method in METHODS.values())


def test_nothing_is_trained_by_default_for_the_sake_of_a_comparison() -> None:
    """The default is warp-refine-plus, and beside it only what needs neither tau nor another refiner."""
    assert check_methods(DEFAULT_METHODS) == DEFAULT_METHODS
    assert PLUS in DEFAULT_METHODS
    assert not needs_of(DEFAULT_METHODS) & {"tau", "refiner"}
