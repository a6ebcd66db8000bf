"""Files of a run that are whole and on their way to their places: those of a frame change at once."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from warprefine.io.atomic import make_folder, writing_errors
from warprefine.io.manifest_file import ManifestFile, as_files

_FOLDER = "arriving"


class ArrivingFiles:
    """The folder RUN/arriving, which is there while something is written.

    Args:
        root: The run folder.
        file: Its manifest, which records what has not been moved yet.
    """

    def __init__(self, root: Path, file: ManifestFile) -> None:
        self._root, self._file = root, file

    def path_of(self, path: Path) -> Path:
        """Return where a file is written that is moved to `path` later."""
        return self._root / _FOLDER / path.relative_to(self._root)

    def found(self, path: Path) -> Path:
        """Return where a file is: a killed process may have left the newest one before it was moved.

        Folders that are opened for writing have all files in their places, see `move_all`.
        """
        if self._file.read_only and path.relative_to(self._root).as_posix() in self._moving:
            arriving = self.path_of(path)
            return arriving if arriving.exists() else path
        return path

    @cached_property
    def _moving(self) -> frozenset[str]:
        """The names of files that may not be in their places yet."""
        return frozenset(self._recorded()) if self._file.path.exists() else frozenset()

    def move(self, names: Sequence[str]) -> None:
        """Move files to their places, by their names below the run folder."""
        for name in names:
            target = self._root / name
            make_folder(target.parent)
            with writing_errors(target), suppress(FileNotFoundError):  # it was moved before
                self.path_of(target).replace(target)

    def move_all(self) -> None:
        """Finish what a killed process has recorded and not moved, and delete what it has not recorded."""
        if not (self._root / _FOLDER).exists():
            return
        self.move(self._recorded())
        with self._file.connect() as connection:
            connection.execute("UPDATE pseudo_label SET moving = 0")
        self.remove()

    def remove(self) -> None:
        """Delete the folder; nothing is in it when nothing is being written."""
        shutil.rmtree(self._root / _FOLDER, ignore_errors=True)

    def _recorded(self) -> list[str]:
        with self._file.connect() as connection:
            found = connection.execute("SELECT files FROM pseudo_label WHERE moving = 1").fetchall()
            return [name for (files,) in found for name in as_files(files)]
