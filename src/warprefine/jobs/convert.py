"""Write converted data sets so that a conversion that was stopped goes on where it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from warprefine.core.errors import RunFolderError
from warprefine.io.atomic import make_folder, write_text, writing_errors


def claim_folder(out: Path, conversion: Mapping[str, object]) -> None:
    """Write down in OUT/conversion.json what is converted and how, or make sure that it is the same.

    Raises:
        RunFolderError: The folder holds another conversion.
    """
    path = out / "conversion.json"
    if not path.exists():
        write_text(path, json.dumps(conversion, indent=2) + "\n")
        return
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunFolderError(f"{path} is no JSON file: {error}; choose another --out") from error
    for key, said in conversion.items():
        if known.get(key) != said:
            raise RunFolderError(
                f"{out} holds a conversion with {key} = {known.get(key)!r}, but this command says {said!r}; "
                f"choose another --out, or give the same options to go on"
            )


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Give a folder to fill; it takes the place of `folder` when the block ends without an error."""
    draft = folder.with_name(f".{folder.name}.part")
    with writing_errors(folder):
        shutil.rmtree(draft, ignore_errors=True)  # what a stopped conversion left
        make_folder(draft)
        yield draft
        draft.rename(folder)
