"""Read a data set that `warprefine convert` wrote: a native data set folder for each split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from warprefine.core.errors import DatasetError
from warprefine.core.names import nearest_name
from warprefine.core.video import Dataset
from warprefine.datasets.files import existing_folder
from warprefine.datasets.folder import read_folder


def read_converted(root: Path, split: str, *, name: str, splits: Sequence[str]) -> Dataset:
    """Read ROOT/SPLIT as a native data set folder.

    Args:
        name: Name of the data set in `warprefine convert`.
        splits: Names of the splits that it writes.

    Raises:
        DatasetError: The split does not exist, or its conversion is missing or incomplete.
    """
    if split not in splits:
        raise DatasetError(f"{name} has no split {split!r}; {nearest_name(split, splits)}")
    existing_folder(root, expected=f"a folder written by `warprefine convert {name}`")
    # The class file is written last: a split that has one is complete.
    if not (root / split / "classes.toml").is_file():
        raise DatasetError(
            f"{root} holds no finished split {split!r} of {name}; run `warprefine convert {name}` with --out "
            f"{root}, it goes on where it stopped"
        )
    return read_folder(root / split, split)
