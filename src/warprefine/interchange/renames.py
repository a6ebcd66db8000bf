"""Rename the classes of a run for the format that it is exported to (`--map old=new`)."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError
from warprefine.core.names import nearest_name
from warprefine.core.tensors import VOID
from warprefine.interchange.imported import Positions, clean_name


@dataclass(frozen=True, kw_only=True, eq=False)
class RenamedClasses:
    """The classes that an export has, and where those of the run lead to.

    Attributes:
        own: The classes of the run.
        classes: The classes of the export.
        table: For each of the 256 values of a label map of the run its position in `classes`, or VOID.
    """

    own: ClassSet
    classes: ClassSet
    table: UInt8[np.ndarray, "256"]

    def apply(self, labels: Positions) -> Positions:
        """Return the label map of the export for one of the run; the same one if no class is renamed."""
        own = range(len(self.own))
        if self.table[: len(own)].tolist() == [*own]:
            return labels
        renamed: Positions = cv2.LUT(labels, self.table)  # four times as fast as `table[labels]`
        return renamed


def rename_classes(classes: ClassSet, renames: Mapping[str, str]) -> RenamedClasses:
    """Return classes with other names; several that get one name become one class, "" is void.

    Such a class has the colour and the id of the class that had the name already, else of the first of them.
    Classes without ids of their own are numbered again.

    Args:
        classes: The classes of a run.
        renames: New names by old ones; a class without one keeps its name.

    Raises:
        DatasetError: `renames` has a name that no class has or that cannot be one, or leaves no class.

    Example:
        >>> classes = ClassSet(names=("Car", "Van", "sky"), colors=((0, 0, 142), (0, 0, 70), (70, 130, 180)))
        >>> renamed = rename_classes(classes, {"Car": "car", "Van": "car"})
        >>> renamed.classes.names, renamed.table[:3].tolist()
        (('car', 'sky'), [0, 0, 1])
    """
    own = {_composed(name): name for name in classes.names}
    led: dict[str, str] = {}
    for old, new in renames.items():
        if _composed(old) not in own:
            raise DatasetError(f"the run has no class {old!r} to map; {nearest_name(old, classes.names)}")
        cleaned = new and clean_name(new, where="--map")
        led[_composed(old)] = own.get(cleaned, cleaned)
    names = [led.get(_composed(name), name) for name in classes.names]
    kept: dict[str, int] = {}
    for position, name in enumerate(names):
        if name:
            kept.setdefault(name, position)
    if not kept:
        raise DatasetError("--map makes all classes void; expected at least one class that is exported")
    sources = [classes.names.index(name) if name in classes.names else kept[name] for name in kept]
    places = {name: place for place, name in enumerate(kept)}
    table = np.full(VOID + 1, VOID, np.uint8)
    table[: len(names)] = [places.get(name, VOID) for name in names]
    return RenamedClasses(
        own=classes,
        classes=ClassSet(
            names=tuple(kept),
            colors=tuple(classes.colors[source] for source in sources),
            file_ids=tuple(classes.file_ids[source] for source in sources) if classes.file_ids else (),
            void_ids=classes.void_ids,
        ),
        table=table,
    )


def mending_option(name: str) -> str:
    """Return the option that leads a class to another, for the end of a message.

    Example:
        >>> mending_option("traffic sign")
        'say --map "traffic sign"=CLASS, or --map "traffic sign"= for void'
    """
    quoted = f'"{name}"' if " " in name else name
    return f"say --map {quoted}=CLASS, or --map {quoted}= for void"


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
