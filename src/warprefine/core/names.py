"""Look parts up by name, and suggest the nearest name for one that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from warprefine.core.errors import RecipeError

T = TypeVar("T")


def look_up(table: Mapping[str, T], name: str, *, what: str) -> T:
    """Return the entry called `name`.

    Raises:
        RecipeError: There is none; the message names the nearest real one.

    Example:
        >>> look_up({"compact": 1, "lite0": 2}, "lite0", what="segmenter")
        2
    """
    if name not in table:
        raise RecipeError(f"no {what} is called {name!r}; {nearest_name(name, table)}")
    return table[name]


def nearest_name(wrong: str, names: Iterable[str]) -> str:
    """Return a hint with the real name nearest to `wrong`, and all of them if there are at most eight.

    Example:
        >>> print(nearest_name("compakt", ["compact", "lite0"]))
        did you mean 'compact'? (there are compact, lite0)
    """
    choices = list(names)
    close = difflib.get_close_matches(wrong, choices, n=1, cutoff=0.0)
    listed = f" (there are {', '.join(choices)})" if 1 < len(choices) <= 8 else ""
    return f"did you mean {close[0]!r}?{listed}" if close else "there are none"
