"""Write converted data sets so that an interrupted conversion resumes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from warprefine.io.atomic import draft_of, make_folder, writing_errors
from warprefine.io.claims import claim
from warprefine.io.locks import locked


@contextmanager
def claimed(out: Path, conversion: Mapping[str, object]) -> Iterator[None]:
    """Lock a folder and record a conversion with its settings in OUT/conversion.json, or check that file.

    Raises:
        RunFolderError: The folder holds another conversion, or another process is writing into it.
    """
    with locked(out):
        claim(out / "conversion.json", conversion, what="conversion")
        yield


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Yield a draft folder that becomes `folder` when the block ends without an error."""
    draft = draft_of(folder)
    try:
        with writing_errors(folder):
            yield make_folder(draft)
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
