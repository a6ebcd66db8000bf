"""Lead the classes of an export to those of a project: by name, by `--map`, and to void."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, LabelError, shorten
from warprefine.core.names import nearest_name
from warprefine.core.tensors import VOID
from warprefine.datasets.palette import distinct_colors
from warprefine.interchange.imported import FileClass, Positions, clean_name
from warprefine.interchange.renames import mending_option

_UNKNOWN = 256
_MOST_LISTED = 12


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassMap:
    """Where each class of an export leads to in a project.

    Attributes:
        classes: The classes of the project.
        found: The classes of the export.
        table: For each of the 256 values of a label map of the export its position in the project, VOID, or
            256 where the project has no such class.
        background: The position of the class of what is unlabelled; VOID if it stays void.
    """

    classes: ClassSet
    found: Sequence[FileClass]
    table: NDArray[np.uint16]
    background: int = VOID

    def apply(self, labels: Positions, *, where: str) -> Positions:
        """Return a label map of the project for one of the export.

        Args:
            labels: Positions in the classes of the export, or VOID.
            where: How messages name the frame.

        Raises:
            LabelError: There is a class that the project does not have; the message lists both sides.
        """
        led = self.table[labels]
        if int(led.max(initial=0)) == _UNKNOWN:
            self._refuse(labels[led == _UNKNOWN], where)
        mapped: Positions = led.astype(np.uint8)
        if self.background != VOID:
            mapped[mapped == VOID] = self.background
        return mapped

    def _refuse(self, strays: NDArray[np.uint8], where: str) -> None:
        first = self.found[int(strays[0])].name
        unknown = [one.name for number, one in enumerate(self.found) if self.table[number] == _UNKNOWN]
        others = [first, *(name for name in unknown if name != first)]
        raise LabelError(
            f"{where} has the class {first!r}, which the project does not have; the file has "
            f"{shorten(map(repr, others), _MOST_LISTED)} besides those of the project, which are "
            f"{shorten(map(repr, self.classes.names), _MOST_LISTED)}; "
            f"{nearest_name(first, self.classes.names)}; "
            f"{mending_option(first)}"
        )


def class_map(
    found: Sequence[FileClass],
    *,
    project: ClassSet | None,
    renames: Mapping[str, str],
    background: str | None,
    where: str,
) -> ClassMap:
    """Return where the classes of an export lead to.

    Args:
        found: The classes of the export.
        project: The classes of the project; None makes those of a new one from the export.
        renames: Names in the export and those in the project (`--map old=new`); an empty one is void.
        background: The class of what is unlabelled (`--background`); None leaves it void.
        where: How messages name the export.

    Raises:
        DatasetError: `renames` has a name that the export does not have, or `background` one that the project
            does not have, or the export has no classes.
    """
    renames = {_composed(old): _composed(new) for old, new in renames.items()}
    names = [one.name for one in found]
    for old in renames:
        if old not in names:
            raise DatasetError(f"{where} has no class {old!r} to map; {nearest_name(old, names)}")
    background = None if background is None else clean_name(background, where="--background")
    classes = project or _new_classes(found, renames, background, where)
    _check_targets(classes, renames, background)
    table = np.full(VOID + 1, _UNKNOWN, np.uint16)
    table[VOID] = VOID
    for number, one in enumerate(found):
        name = renames.get(one.name, one.name)
        if name in classes.names:
            table[number] = classes.position(name)
        elif not name or (one.is_void and one.name not in renames):
            table[number] = VOID
    return ClassMap(
        classes=classes,
        found=found,
        table=table,
        background=VOID if background is None else classes.position(background),
    )


def _check_targets(classes: ClassSet, renames: Mapping[str, str], background: str | None) -> None:
    wanted = {f"--map {old}={new}": new for old, new in renames.items() if new}
    if background is not None:
        wanted[f"--background {background}"] = background
    for option, name in wanted.items():
        if name not in classes.names:
            raise DatasetError(
                f"{option} names a class that the project does not have; {nearest_name(name, classes.names)}"
            )


def _new_classes(
    found: Sequence[FileClass], renames: Mapping[str, str], background: str | None, where: str
) -> ClassSet:
    """Return the classes of a new project: those of the export, in order, with its colours and ids."""
    kept: dict[str, FileClass] = {}
    for one in found:
        name = renames.get(one.name, one.name)
        if name and not (one.is_void and one.name not in renames and name != background):
            kept.setdefault(name, one)
    if background is not None:
        kept.setdefault(background, FileClass(name=background))
    if not kept:
        raise DatasetError(f"{where} has no classes; expected at least one")
    ids = [one.id for one in kept.values()]
    own = [number for number in ids if number is not None and 0 <= number < VOID]
    keep_ids = len(set(own)) == len(kept) and own != list(range(len(kept)))
    colors = [one.color for one in kept.values()]
    doubled = {color for color in colors if color and colors.count(color) > 1}
    return ClassSet(
        names=tuple(kept),
        colors=distinct_colors([None if color in doubled else color for color in colors]),
        file_ids=tuple(own) if keep_ids else (),
    )


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
