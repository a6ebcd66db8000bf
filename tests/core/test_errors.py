"""Tests of core/errors.py: mistakes are one family, and lists in messages stay short."""

from __future__ import annotations

import pytest

from warprefine.core import errors
from warprefine.core.errors import WarpRefineError, shorten


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, ""),
        (1, "0"),
        (5, "0, 1, 2, 3, 4"),
        (6, "0, 1, 2, 3, 4 and 1 more"),
        (300, "0, 1, 2, 3, 4 and 295 more"),
    ],
)
def test_a_message_lists_five_things_at_most(count: int, expected: str) -> None:
    """A message shows the first five things and says how many it left out."""
    assert shorten(range(count)) == expected


def test_one_except_clause_catches_every_mistake_of_a_user() -> None:
    """Every error that is named belongs to one family; a stop by the user or the time limit is none."""
    named = [thing for thing in vars(errors).values() if isinstance(thing, type)]

    assert len(named) > 5
    assert [
        thing
        for thing in named
        if thing.__module__ == errors.__name__
        and issubclass(thing, Exception)
        and not issubclass(thing, WarpRefineError)
    ] == [errors.TimeIsUp]
