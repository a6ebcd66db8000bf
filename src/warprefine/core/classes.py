"""Describe the classes of a data set: their names, colours and the ids that files use for them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

import torch

from warprefine.core.errors import LabelError, shorten
from warprefine.core.tensors import VOID, LabelMaps

VOID_COLOR = (0, 0, 0)
_LARGEST_ID = 65535  # of label files of 16 bits
Color = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassSet:
    """An ordered set of classes; a label map stores positions in it, or VOID.

    `file_ids` are the numbers that label files on disk hold for each class, where they differ from
    the position (Cityscapes and KITTI store ids). `merged_ids` are, for each class, further file
    numbers that are read as it but never written. `void_ids` are further file numbers that mean
    VOID, and 255 always does, unless a class has that number (the object of DAVIS). Numbers above 255 occur
    in label files of 16 bits, and only among `merged_ids` and `void_ids`, which are not written.

    Example:
        >>> classes = ClassSet(names=("road", "sky"), colors=((128, 64, 128), (70, 130, 180)))
        >>> classes.position("sky"), len(classes), classes.void_id
        (1, 2, 255)
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...]
    file_ids: tuple[int, ...] = ()
    merged_ids: tuple[tuple[int, ...], ...] = ()
    void_ids: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()
    _positions: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        count = len(self.names)
        if not 1 <= count <= VOID:
            raise LabelError(f"a class set holds {count} classes; expected 1 to {VOID}")
        if len(set(self.names)) != count:
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise LabelError(f"class names occur twice: {shorten(twice)}; give each class its own name")
        per_class = {
            "colours": self.colors,
            "ids": self.file_ids,
            "merged ids": self.merged_ids,
            "categories": self.categories,
        }
        for word, values in per_class.items():
            if len(values) not in ((count,) if word == "colours" else (0, count)):
                raise LabelError(f"{len(values)} {word} for {count} classes; give one to each class")
        ids = tuple(number for file_ids in self.all_ids for number in file_ids) + self.void_ids
        if any(VOID in file_ids for file_ids in self.all_ids) and not self.void_ids:
            raise LabelError(f"a class has id {VOID}, which else means VOID; name another number in void_ids")
        if len(set(ids)) != len(ids) or not all(0 <= i <= VOID for i in self.ids):
            raise LabelError(f"class ids {shorten(ids)} are not distinct numbers from 0 to {VOID}")
        if not all(0 <= i <= _LARGEST_ID for i in ids):
            raise LabelError(f"void ids or merged ids among {shorten(ids)} are not from 0 to {_LARGEST_ID}")
        if not 0 <= self.void_id <= VOID:
            raise LabelError(
                f"VOID would be written as {self.void_id}, as a class has id {VOID}; expected a number up to "
                f"{VOID} first in void_ids"
            )
        object.__setattr__(self, "_positions", {name: i for i, name in enumerate(self.names)})

    def __len__(self) -> int:
        return len(self.names)

    @property
    def ids(self) -> tuple[int, ...]:
        """The number that stands for each class in files."""
        return self.file_ids or tuple(range(len(self.names)))

    @property
    def all_ids(self) -> tuple[tuple[int, ...], ...]:
        """All numbers that files may hold for each class; the first is the one that is written."""
        merged = self.merged_ids or ((),) * len(self.names)
        return tuple((first, *further) for first, further in zip(self.ids, merged, strict=True))

    @property
    def void_id(self) -> int:
        """The number that is written for VOID: 255, or the first of `void_ids` if a class has 255."""
        taken = any(VOID in file_ids for file_ids in self.all_ids)
        return self.void_ids[0] if taken else VOID

    @property
    def coding(self) -> tuple[object, ...]:
        """What decides how label maps are read and written: ids, ids of VOID, and colours."""
        return self.all_ids, self.void_ids, self.colors

    def position(self, name: str) -> int:
        """Return the position of the class called `name`."""
        if name not in self._positions:
            raise LabelError(f"no class is called {name!r}; the classes are {shorten(self.names)}")
        return self._positions[name]

    def fingerprint(self) -> str:
        """Return a short hash of the names in order; class sets with equal hashes can share weights."""
        return hashlib.sha256(json.dumps(self.names).encode()).hexdigest()[:12]

    def check(self, labels: LabelMaps) -> None:
        """Raise if `labels` holds an index that is neither a class nor VOID."""
        present = torch.bincount(labels.flatten(), minlength=256).nonzero().flatten().tolist()
        strays = sorted({*present} - {*range(len(self)), VOID})
        if strays:
            raise LabelError(
                f"label map holds class {strays[0]}, but this class set ends at "
                f"{len(self) - 1} ({self.names[-1]!r}); map unused ids to VOID ({VOID}) first"
            )
