"""Record in a folder which job its files belong to, so that another job does not mix its own with them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from warprefine.core.errors import RunFolderError, shorten
from warprefine.io.atomic import reading_errors, write_text
from warprefine.io.foreign import reason
from warprefine.io.places import url_of

_OF_OTHER_SHAPE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a file raises that is no JSON, or JSON of another shape."""
_LONGEST = 200
"""Characters of a value in a message; a damaged file may hold thousands."""


def claim(
    path: Path,
    content: Mapping[str, Any],
    *,
    what: str,
    former: Mapping[str, Any] | None = None,
    changeable: Collection[str] = (),
) -> None:
    """Record what the files of a folder depend on, or check that it is what was recorded before.

    Args:
        path: A JSON file in the folder.
        content: Everything that the files of the folder depend on.
        what: What such a folder holds ("run", "conversion"), for messages.
        former: What a record of an earlier version stands for in keys that it lacks; a key in a table is
            named by its path, such as "recipe.segmenter.folds".
        changeable: Keys that leave the files of the folder valid, by their paths: the new value is recorded.

    Raises:
        RunFolderError: The folder belongs to another job.
    """
    check_claim(path, content, what=what, former=former, changeable=changeable)
    if not path.exists():
        write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
        return
    recorded, wanted = read_claim(path), _flat(content)
    before = {**(former or {}), **_flat(recorded)}
    changed = [key for key in changeable if key in wanted and before.get(key) != wanted[key]]
    for key in changed:
        *above, last = key.split(".")
        table = recorded
        for name in above:
            table = table.setdefault(name, {})
        table[last] = wanted[key]
    if changed:
        write_text(path, json.dumps(recorded, indent=2, sort_keys=True) + "\n")


def check_claim(
    path: Path,
    content: Mapping[str, Any],
    *,
    what: str,
    former: Mapping[str, Any] | None = None,
    changeable: Collection[str] = (),
) -> None:
    """Raise if a folder belongs to another job; the arguments are those of `claim`.

    Raises:
        RunFolderError: It does; the message names the first difference.
    """
    if not path.exists():
        return
    wanted = _flat(json.loads(json.dumps(content)))
    found = {key: value for key, value in (former or {}).items() if key in wanted} | _flat(read_claim(path))
    compared = {*found, *wanted} - {*changeable}
    differing = sorted(key for key in compared if found.get(key) != wanted.get(key))
    if differing:
        key = differing[0]
        raise RunFolderError(
            f"{path.parent} holds a {what} with {key[:_LONGEST]} = {_shown(found.get(key))}, but this "
            f"command says {_shown(wanted.get(key))}; choose another --out, or give the same options to "
            "resume it"
        )


def check_apart(out: Path, *inputs: Path, option: str = "--out") -> None:
    """Raise if a folder to be written lies in a folder that is read, or around one.

    What is written there would be read as data by the next call, and the data could be deleted with it.

    Args:
        out: The folder to be written.
        inputs: Folders that are read.
        option: What the command line calls it.

    Raises:
        RunFolderError: It does.

    Example:
        >>> check_apart(Path("runs/new"), Path("data/mine"))
    """
    _check_outside(out, inputs, named=f"{out}, to be written,", option=option)


def check_cache(cache: Path, out: Path, *inputs: Path) -> None:
    """Raise if a cache that runs share lies in a folder that is read or in a run folder, or around one.

    What lies in it may be deleted at any time, and a run deletes what killed processes have begun to write
    into its own folder.

    Args:
        cache: The folder of the cache.
        out: The run folder.
        inputs: Folders that are read.

    Raises:
        RunFolderError: It does.

    Example:
        >>> check_cache(Path("cache"), Path("runs/new"), Path("data/mine"))
    """
    _check_outside(cache, inputs, named=f"the cache {cache}", option="--cache")
    inside = cache.resolve()
    runs = [folder for folder in (inside, *inside.parents) if (folder / "job.json").is_file()]
    if _lies_in(out, cache) or _lies_in(cache, out) or runs:
        where = f"holds the run folder {out}" if _lies_in(out, cache) else f"lies in {(runs or [out])[0]}"
        raise RunFolderError(
            f"the cache {cache} {where}; expected a folder outside of all run folders, which other runs can "
            "share; choose another --cache, or none for one inside the run folder"
        )


def _check_outside(folder: Path, inputs: Sequence[Path], *, named: str, option: str) -> None:
    """Raise if a folder that is written lies in a folder that is read, or around one."""
    for data in inputs:
        if _lies_in(folder, data) or _lies_in(data, folder):
            where = "lies in" if _lies_in(folder, data) else "holds"
            raise RunFolderError(
                f"{named} {where} {data}, which is read; expected a folder of its own, outside the data; "
                f"choose another {option}"
            )


def _lies_in(inner: Path, outer: Path) -> bool:
    if (outer_url := url_of(outer)) and (inner_url := url_of(inner)):
        return f"{inner_url}/".startswith(f"{outer_url}/")
    # By identity where both exist, for links and for file systems that ignore letter case.
    inner, outer = inner.resolve(), outer.resolve()
    return any(
        folder == outer or (folder.exists() and outer.exists() and folder.samefile(outer))
        for folder in (inner, *inner.parents)
    )


def read_claim(path: Path, kinds: Mapping[str, type] | None = None) -> dict[str, Any]:
    """Return what `claim` recorded.

    Args:
        kinds: Entries that it has to have, and of which type.

    Raises:
        RunFolderError: The file is damaged.
    """
    with own_json(path, remedy="choose another --out"):
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise TypeError(f"it holds a {type(found).__name__}")
        for key, kind in (kinds or {}).items():
            if not isinstance(found.get(key), kind):
                raise TypeError(f"it has no {key} of type {kind.__name__}")
    return found


@contextmanager
def own_json(path: Path, *, remedy: str) -> Iterator[None]:
    """Convert what is raised in reading a JSON file of ours that is refused, damaged, or of another shape.

    Args:
        path: The file.
        remedy: What to do about it, for the message.

    Raises:
        RunFolderError: In place of these errors.
    """
    try:
        with reading_errors(path, RunFolderError):
            yield
    except _OF_OTHER_SHAPE as error:
        raise RunFolderError(
            f"{path} is damaged ({reason(error)}); expected what warprefine wrote; {remedy}"
        ) from error


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested tables; a leaf is named by its path, such as "recipe.segmenter.folds"."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return leaves


def _shown(value: object) -> str:
    text = f"[{shorten(map(repr, value))}]" if isinstance(value, list) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
