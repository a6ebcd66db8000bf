"""Define what a format is: one function that reads it, one that writes it, and what it keeps and loses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from warprefine.interchange.exported import Exported, ExportOptions
from warprefine.interchange.imported import Imported, ImportOptions
from warprefine.interchange.source import Source

ReadFormat = Callable[[Source, ImportOptions], Imported]
WriteFormat = Callable[[Exported, Path, ExportOptions], Iterable[str]]


@dataclass(frozen=True, kw_only=True)
class Importer:
    """A format that can be imported.

    Attributes:
        read: Reads an export: lists its classes and frames, and checks everything but pixels.
        about: What SRC is, in a few words.
        keeps: What of the labels survives, in a few words.
        loses: What does not, or what is decided how.
    """

    read: ReadFormat
    about: str
    keeps: str
    loses: str


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """A format that can be exported.

    Attributes:
        write: Writes frames into an empty draft folder, which becomes DEST; returns notes for people.
        about: What DEST holds, in a few words.
        keeps: What of the labels survives, in a few words.
        loses: What does not.
        lossless: Whether labels and void come back the same when it is imported again.
        pictures: Whether pictures are written if the user does not say (`--pictures`, `--no-pictures`).
    """

    write: WriteFormat
    about: str
    keeps: str
    loses: str
    lossless: bool
    pictures: bool = False
