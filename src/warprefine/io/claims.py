"""Remember in a folder what it is about, so that another job does not mix its files with these."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warprefine.core.errors import RunFolderError, cut
from warprefine.io.atomic import write_text


def claim(path: Path, said: Mapping[str, Any], *, what: str) -> None:
    """Write down what a folder is about, or make sure that it is still the same.

    Args:
        path: A JSON file in the folder.
        said: All that the files of the folder depend on.
        what: What such a folder holds ("run", "conversion"), for messages.

    Raises:
        RunFolderError: The folder is about something else.
    """
    check_claim(path, said, what=what)
    if not path.exists():
        write_text(path, json.dumps(said, indent=2, sort_keys=True) + "\n")


def check_claim(path: Path, said: Mapping[str, Any], *, what: str) -> None:
    """Make sure that nobody has claimed a folder for something else; the arguments are those of `claim`.

    Raises:
        RunFolderError: Somebody has; the message names the first difference.
    """
    if not path.exists():
        return
    known, wanted = _flat(read_claim(path)), _flat(json.loads(json.dumps(said)))
    differing = sorted(key for key in {*known, *wanted} if known.get(key) != wanted.get(key))
    if differing:
        key = differing[0]
        raise RunFolderError(
            f"{path.parent} holds a {what} with {key} = {_shown(known.get(key))}, but this command says "
            f"{_shown(wanted.get(key))}; choose another --out, or give the same options to resume it"
        )


def read_claim(path: Path) -> dict[str, Any]:
    """Return what `claim` wrote down.

    Raises:
        RunFolderError: The file is damaged.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunFolderError(
            f"{path} is damaged ({error}); expected what warprefine wrote; choose another --out"
        ) from error
    return found


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name every leaf of nested tables by its path, such as "recipe.segmenter.folds"."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return leaves


def _shown(value: object) -> str:
    return f"[{cut(map(repr, value))}]" if isinstance(value, list) else repr(value)
