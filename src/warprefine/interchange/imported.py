"""Describe what an export of an annotation tool holds: classes, and label maps drawn on demand."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8

from warprefine.core.classes import ClassSet, Color
from warprefine.core.errors import DatasetError

Positions: TypeAlias = UInt8[np.ndarray, "h w"]
"""A label map: for each pixel the position of its class, or 255 (`VOID`)."""

NO_LABEL = frozenset(
    {"void", "unlabeled", "unlabelled", "unlabel", "ignore", "ignored", "__ignore__", "_ignore_"}
)
"""Names, in lower case, under which files list what has no label."""
BACKGROUND = frozenset({"background", "_background_", "__background__"})
"""Names, in lower case, of what tools write where nobody has labelled anything."""

_LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class FileClass:
    """A class as an export names it.

    Attributes:
        name: Its name, in Unicode's form NFC.
        color: Its colour, where the format has one.
        id: The number that the format has for it, which is kept in classes.toml where all classes have one.
        is_void: It stands for pixels without a label (`background`, `void`), unless the project has a class
            of that very name.
    """

    name: str
    color: Color | None = None
    id: int | None = None
    is_void: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class ImportedFrame:
    """A frame that somebody has labelled; nothing of it is drawn before `draw` is called.

    Frames that nobody has labelled are left out of an import; an all-void label map is not written either.

    Attributes:
        where: How messages name it, with the file: "instances.json, image 12 'drive/000010.png'".
        draw: Takes the (h, w) of the frame and returns positions in the classes of the file, or VOID.
        name: The path of its picture as the file has it, with either slash.
        also: Further spellings, tried in order where `name` is no frame.
        video: The name of its video, where the file has one apart from `name`.
        index: Its decode index, where the file counts the frames of a video; used where no name fits.
        place: (k, n) where the file has no names: it is the k-th, from 0, of n frames, and the video has as
            many; used where neither name nor index is given.
        size: Its (h, w) according to the file, which must be that of the frame; None if the file has none.
        picture: The picture in the export, where there is one; a function that unpacks it where it lies in
            another file.
    """

    where: str
    draw: Callable[[tuple[int, int]], Positions]
    name: str = ""
    also: Sequence[str] = ()
    video: str | None = None
    index: int | None = None
    place: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    picture: Path | Callable[[], Path] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Imported:
    """What an importer returns.

    Attributes:
        classes: All classes that the file lists, in its order; those that no pixel has may be unknown to the
            project.
        frames: The labelled frames, in any order.
        notes: What was left out or is doubtful, a line each, for people.
    """

    classes: Sequence[FileClass]
    frames: Sequence[ImportedFrame]
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What the user says about an export that the files themselves do not.

    Attributes:
        names: The names of the classes in the order of their indices (`--names`), for formats without names.
        project: The classes of the project that labels are added to; None for a new one.
        video: The name of the video that the frames are of (`--video`).
        reduce_zero_label: 0 is void, and n is class n - 1 (`--reduce-zero-label`).
        suffix: What follows the name of a frame in the name of its label map (`--suffix`).
    """

    names: Sequence[str] = ()
    project: ClassSet | None = None
    video: str | None = None
    reduce_zero_label: bool = False
    suffix: str = ""


@dataclass(kw_only=True)
class ClassList:
    """The classes of a file, collected while it is read.

    Attributes:
        where: How messages name the file.
        void_names: Names, in lower case, that stand for pixels without a label in this format.
        found: The classes, in the order of the file.

    Example:
        >>> classes = ClassList(where="export.json")
        >>> classes.position("road"), classes.position("car"), classes.position("road")
        (0, 1, 0)
    """

    where: str
    void_names: frozenset[str] = frozenset()
    found: list[FileClass] = field(default_factory=list)
    _positions: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, *, color: Color | None = None, id: int | None = None) -> int:  # noqa: A002
        """Add a class that a file lists, and return its position.

        Raises:
            DatasetError: The name is empty or no text, or there is a class of that name.
        """
        name = clean_name(name, where=self.where)
        if name in self._positions:
            raise DatasetError(
                f"{self.where} lists the class {name!r} twice; expected each name once; rename one there"
            )
        return self._append(name, color, id)

    def position(self, name: str) -> int:
        """Return the position of a class, which is added if it is new."""
        name = clean_name(name, where=self.where)
        if name in self._positions:
            return self._positions[name]
        return self._append(name, None, None)

    def has(self, name: str) -> bool:
        """Return whether the file lists a class of that name."""
        return unicodedata.normalize("NFC", name) in self._positions

    def _append(self, name: str, color: Color | None, number: int | None) -> int:
        position = len(self.found)
        if position == 255:
            raise DatasetError(
                f"{self.where} has more than 255 classes; expected up to 255; merge some there"
            )
        is_void = name.lower() in self.void_names
        self.found.append(FileClass(name=name, color=color, id=number, is_void=is_void))
        self._positions[name] = position
        return position


def clean_name(name: str, *, where: str) -> str:
    r"""Return the name of a class in Unicode's form NFC.

    Raises:
        DatasetError: It is empty, longer than 200 letters, or holds what no file in UTF-8 can hold.

    Example:
        >>> clean_name("Geba\u0308ude", where="export.json")
        'Gebäude'
    """
    if not name or name.encode(errors="ignore").decode() != name:
        raise DatasetError(
            f"{where} has a class called {name[:40]!a}; expected a name in UTF-8; correct it there"
        )
    if len(name) > _LONGEST_NAME:
        raise DatasetError(
            f"{where} has a class called {name[:40]!a}... of {len(name):,} letters; expected at most "
            f"{_LONGEST_NAME}; shorten it there"
        )
    return unicodedata.normalize("NFC", name)
