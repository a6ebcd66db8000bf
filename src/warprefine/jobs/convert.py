"""Write converted data sets so that a conversion that was stopped goes on where it was."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from warprefine.io.atomic import make_folder, writing_errors
from warprefine.io.claims import claim


def claim_folder(out: Path, conversion: Mapping[str, object]) -> None:
    """Write down in OUT/conversion.json what is converted and how, or make sure that it is the same.

    Raises:
        RunFolderError: The folder holds another conversion.
    """
    claim(out / "conversion.json", conversion, what="conversion")


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Give a folder to fill; it takes the place of `folder` when the block ends without an error."""
    draft = folder.with_name(f".{folder.name}.part")
    with writing_errors(folder):
        shutil.rmtree(draft, ignore_errors=True)  # what a stopped conversion left
        make_folder(draft)
        yield draft
        draft.rename(folder)
