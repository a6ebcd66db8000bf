"""Remember in a folder what it is about, so that another job does not mix its files with these."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warprefine.core.errors import RunFolderError, cut
from warprefine.io.atomic import write_text


def claim(path: Path, said: Mapping[str, Any]) -> None:
    """Write down what a folder is about, or make sure that it is still the same.

    Args:
        path: A JSON file in the folder.
        said: All that the files of the folder depend on.

    Raises:
        RunFolderError: The folder is about something else.
    """
    wanted = json.loads(json.dumps(said))
    if not path.exists():
        write_text(path, json.dumps(wanted, indent=2, sort_keys=True) + "\n")
        return
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunFolderError(f"{path} is damaged ({error}); choose another --out") from error
    differing = sorted(key for key in {*known, *wanted} if known.get(key) != wanted.get(key))
    if differing:
        raise RunFolderError(
            f"{path.parent} was made with another {cut(differing)}; choose another --out, or give the same "
            "options to resume it"
        )
