"""Admit names that come out of files as parts of paths, so that no file decides where we read or write."""

from __future__ import annotations

from pathlib import Path

from warprefine.core.errors import WarpRefineError

_LONGEST = 200
"""In bytes: file systems end at 255, and drafts and numbers are added to names."""


def admitted_name(name: str, *, source: Path, error_class: type[WarpRefineError]) -> str:
    """Return `name` after checking that it can be one part of a path, and leads nowhere else.

    Args:
        name: A name that a file holds: a scene, a list's entry, the recipe that another extends.
        source: The file that holds it, for the message.
        error_class: The class of the error.

    Raises:
        WarpRefineError: It is empty, longer than 200 bytes or begins with a dot, or it holds a slash, a
            backslash, a control character or half a surrogate pair.

    Example:
        >>> from warprefine.core.errors import DatasetError
        >>> admitted_name("kitchen_0004", source=Path("a.mat"), error_class=DatasetError)
        'kitchen_0004'
        >>> admitted_name("../kitchen", source=Path("a.mat"), error_class=DatasetError)
        Traceback (most recent call last):
            ...
        warprefine.core.errors.DatasetError: a.mat names '../kitchen'; expected the name of a file or folder
    """
    length = len(name.encode("utf-8", errors="replace"))
    sound = name.encode("utf-8", errors="ignore").decode() == name
    plain = not name.startswith(".") and not any(letter in "/\\\x7f" or letter < " " for letter in name)
    if not (0 < length <= _LONGEST and sound and plain):
        shown = name if length <= _LONGEST else f"{name[:40]}..."
        raise error_class(f"{source} names {shown!a}; expected the name of a file or folder")
    return name
