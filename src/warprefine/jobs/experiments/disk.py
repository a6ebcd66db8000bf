"""What an experiment will write, in bytes, and whether the disk has room for it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from warprefine.core.errors import RunFolderError
from warprefine.io.atomic import writing_errors

_GIGA = 1e9


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Bytes that an experiment will write, besides those that are there.

    Attributes:
        labels: Label maps and confidence.
        cache: Flow, segmentations and features of training crops, as far as the recipe keeps them.
        samples: What refiners are trained on, and images propagated for students; they are always kept.
        checkpoints: Weights, and the state of a training.
    """

    labels: float = 0.0
    cache: float = 0.0
    samples: float = 0.0
    checkpoints: float = 0.0

    @property
    def total(self) -> float:
        """The sum."""
        return self.labels + self.cache + self.samples + self.checkpoints

    def __add__(self, other: Disk) -> Disk:
        return Disk(**{key: value + getattr(other, key) for key, value in vars(self).items()})

    def describe(self) -> str:
        """Return the sum and its parts in a line.

        Example:
            >>> Disk(labels=3e9, cache=1.25e9, checkpoints=4e8).describe()
            'about 4.7 GB: 3.0 of labels, 1.2 of cache, 0.0 of training samples, 0.4 of checkpoints'
        """
        return (
            f"about {self.total / _GIGA:,.1f} GB: {self.labels / _GIGA:,.1f} of labels, "
            f"{self.cache / _GIGA:,.1f} of cache, {self.samples / _GIGA:,.1f} of training samples, "
            f"{self.checkpoints / _GIGA:,.1f} of checkpoints"
        )


def free_bytes(folder: Path) -> int:
    """Return the bytes that are free where a folder is, or will be.

    Raises:
        RunFolderError: The disk does not say.
    """
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    with writing_errors(place):
        return shutil.disk_usage(place).free


def check_disk(disk: Disk, folder: Path, *, remedy: str) -> None:
    """Check that a disk has room for what will be written.

    Args:
        disk: What will be written.
        folder: Where.
        remedy: How to go on nevertheless.

    Raises:
        RunFolderError: It has not.
    """
    free = free_bytes(folder)
    if disk.total > free:
        raise RunFolderError(
            f"{folder} needs {disk.describe()}; but {free / _GIGA:,.1f} GB are free there; choose another "
            f'folder, or keep less in the cache (keep = "nothing" under [labels.propagation]); {remedy}'
        )
