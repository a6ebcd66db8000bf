"""Look a part up by its name, and say which name was probably meant."""

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
    """
    if name not in table:
        raise RecipeError(f"no {what} is called {name!r}; {nearest_name(name, table)}")
    return table[name]


def nearest_name(wrong: str, names: Iterable[str]) -> str:
    """Say which real name `wrong` was probably meant to be, and list them if they are few."""
    known = list(names)
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.0)
    listed = f" (there are {', '.join(known)})" if 1 < len(known) <= 8 else ""
    return f"did you mean {close[0]!r}?{listed}" if close else "there are none"
