"""Write converted data sets so that an interrupted conversion resumes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from warprefine.io.atomic import make_folder, writing_errors
from warprefine.io.claims import claim


def claim_folder(out: Path, conversion: Mapping[str, object]) -> None:
    """Record a conversion and its settings in OUT/conversion.json, or check them against that file.

    Raises:
        RunFolderError: The folder holds another conversion.
    """
    claim(out / "conversion.json", conversion, what="conversion")


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Yield a draft folder that becomes `folder` when the block ends without an error."""
    draft = folder.with_name(f".{folder.name}.part")
    with writing_errors(folder):
        shutil.rmtree(draft, ignore_errors=True)  # left by an interrupted conversion
        make_folder(draft)
        yield draft
        draft.rename(folder)
