"""Tests of core/names.py: a wrong name is answered with the right one."""

from __future__ import annotations

import pytest

from warprefine.core.errors import RecipeError
from warprefine.core.names import look_up, nearest_name


def test_a_known_name_gives_its_part() -> None:
    """A part is found by its name."""
    assert look_up({"compact": 1, "hrnet": 2}, "hrnet", what="segmenter") == 2


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    """A slip of the finger is answered with the name that was meant, and all names if they are few."""
    with pytest.raises(
        RecipeError,
        match=r"no segmenter is called 'compakt'; did you mean 'compact'\? \(there are compact, hrnet\)",
    ):
        look_up({"compact": 1, "hrnet": 2}, "compakt", what="segmenter")


def test_long_lists_of_names_are_not_recited() -> None:
    """Where there are many names, only the nearest is shown."""
    assert nearest_name("n11", [f"n{i}" for i in range(20)]) == "did you mean 'n11'?"


def test_where_there_is_nothing_to_choose_from_it_is_said() -> None:
    """No name is suggested where none exists."""
    assert nearest_name("anything", []) == "there are none"
