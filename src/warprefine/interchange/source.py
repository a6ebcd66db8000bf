"""Open what is imported: a file, a folder, or a zip archive that is unpacked into a folder of its own."""

from __future__ import annotations

import shutil
import stat
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath

from warprefine.core.errors import DatasetError, WarpRefineError, shorten
from warprefine.core.names import printable
from warprefine.datasets.file_names import natural_order
from warprefine.datasets.files import PICTURE_ENDINGS, is_litter
from warprefine.io.foreign import DECODER_ERRORS, check_file, reason

MOST_ENTRIES = 200_000
MOST_FILES = 2_000_000
LARGEST_ENTRY = 1 << 32
LARGEST_ARCHIVE = 1 << 37
_SMALL = 1 << 24
_MOST_RATIO = 300
"""Pictures do not shrink at all in an archive, and XML and JSON to a fortieth; deflate ends at 1,032."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CHUNK = 1 << 20
_ZIP_ERRORS: tuple[type[Exception], ...] = (zipfile.BadZipFile, zipfile.LargeZipFile, *DECODER_ERRORS)
_LONGEST_NAME = 120


@dataclass(frozen=True, kw_only=True)
class Source:
    """An export to read.

    Attributes:
        path: What the user has named.
        root: The folder that holds it: the folder itself, what was unpacked, or the folder of the file.
        file: The file, if the user has named a single one that is no archive.
        closing: What is closed when the import is done.
    """

    path: Path
    root: Path
    file: Path | None = None
    closing: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def scratch(self) -> Path:
        """An empty folder for what is unpacked from files, which is deleted when the import is done."""
        made = tempfile.TemporaryDirectory(prefix="warprefine-", ignore_cleanup_errors=True)
        return Path(self.closing.enter_context(made)).resolve()

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The file that the user has named, or all files below the folder, in natural order.

        Hidden files and litter of operating systems are left out, and so are links, which lead elsewhere.

        Raises:
            DatasetError: There are more than two million.
        """
        if self.file is not None:
            return (self.file,)
        return self.below(self.root)

    def below(self, folder: Path) -> tuple[Path, ...]:
        """Return all files below a folder of the export, in natural order; none if there is none."""
        found: list[Path] = []
        for path in _walk(folder):
            found.append(path)
            if len(found) > MOST_FILES:
                raise DatasetError(
                    f"{self.path} holds more than {MOST_FILES:,} files; name the export itself"
                )
        return tuple(sorted(found, key=lambda path: [natural_order(Path(part)) for part in path.parts]))

    def with_ending(self, *endings: str) -> tuple[Path, ...]:
        """Return the files of some endings, in lower case (".json"), in natural order."""
        return tuple(path for path in self.files if path.suffix.lower() in endings)

    def called(self, *names: str) -> tuple[Path, ...]:
        """Return the files of some names, letter case aside, wherever they lie in the export."""
        wanted = {name.lower() for name in names}
        return tuple(path for path in self.files if path.name.lower() in wanted)

    def only(self, paths: Sequence[Path], *, expected: str) -> Path:
        """Return the only one of some files.

        Raises:
            DatasetError: There is none, or more than one.
        """
        if len(paths) == 1:
            return paths[0]
        found = shorten(map(self.shown, paths or self.files)) or "nothing"
        raise DatasetError(
            f"{self.path} holds {found}; expected {expected}; name the file itself if there are several"
        )

    def relative(self, path: Path) -> PurePosixPath:
        """Return the path of a file below `root`."""
        return PurePosixPath(path.relative_to(self.root).as_posix())

    def shown(self, path: Path) -> str:
        """Return how messages name a file: its path in the export."""
        return printable(str(self.relative(path))) if path.is_relative_to(self.root) else printable(str(path))

    def picture(self, name: str) -> Path | None:
        """Return the picture of a path as an export names it; None if there is none, or more than one.

        The path may begin anywhere below the export: "images/" and the like are often left out.
        """
        parts = _tail(name)
        return self._pictures.get(parts) if parts else None

    @cached_property
    def _pictures(self) -> dict[tuple[str, ...], Path | None]:
        """The pictures of the export by each end of their paths; None where an end fits several."""
        ends: dict[tuple[str, ...], Path | None] = {}
        for path in self.below(self.root):
            if path.suffix.lower() in PICTURE_ENDINGS:
                parts = _tail(str(self.relative(path)))
                for start in range(len(parts)):
                    end = parts[start:]
                    ends[end] = None if end in ends else path
                ends[parts] = path
        return ends


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open an export for reading; what is unpacked is deleted when the block ends.

    Raises:
        DatasetError: There is no such file or folder, or it is an archive that is damaged, too large, or that
            holds names which lead out of it, links, or two entries of one name.
    """
    with ExitStack() as closing:
        yield from _opened(path, closing)


def _opened(path: Path, closing: ExitStack) -> Iterator[Source]:
    if path.is_dir():
        # Browsers save an archive into a folder of its own: what lies alone in a folder is what is meant.
        inside = list(islice(_walk(path), 2))
        if len(inside) != 1 or inside[0].suffix.lower() != ".zip":
            yield Source(path=path, root=path, closing=closing)
            return
        path = inside[0]
    check_file(path, expected="a file, a folder or a zip archive to import", error_class=DatasetError)
    if path.suffix.lower() != ".zip" and not _is_zip(path):
        yield Source(path=path, root=path.parent, file=path, closing=closing)
        return
    with tempfile.TemporaryDirectory(prefix="warprefine-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        _unpack(path, folder)
        try:
            yield Source(path=path, root=folder, closing=closing)
        except WarpRefineError as error:
            # A person finds the file in the archive, and nothing in a folder that is gone.
            raise type(error)(str(error).replace(f"{folder}/", f"{path}/")) from error


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder."""
    waiting = [folder]
    while waiting:
        try:
            entries = list(waiting.pop().iterdir())
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DatasetError(f"cannot read {folder}: {reason(error)}; check its permissions") from error
        for entry in entries:
            if is_litter(entry.name) or entry.is_symlink():
                continue
            if entry.is_dir():
                waiting.append(entry)
            elif entry.is_file():
                yield entry


def _tail(name: str) -> tuple[str, ...]:
    parts = unicodedata.normalize("NFC", name).replace("\\", "/").split("/")
    return tuple(part for part in parts if part not in ("", ".", ".."))


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {reason(error)}; check its permissions") from error


def _unpack(path: Path, folder: Path) -> None:
    """Unpack an archive into an empty folder, after all of its entries were checked."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _checked(path, archive.infolist(), folder)
            for target, entry in entries.items():
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as packed, target.open("xb") as file:
                    _copy(packed, file, entry, path)
    except _ZIP_ERRORS as error:
        raise DatasetError(
            f"{path} is no zip archive that can be read: {reason(error)}; expected one that is whole; export "
            "or download it again"
        ) from error


def _copy(packed: object, file: object, entry: zipfile.ZipInfo, path: Path) -> None:
    """Copy an entry; no more than the size that the directory of the archive states."""
    left = entry.file_size
    while chunk := packed.read(_CHUNK):  # type: ignore[attr-defined]
        left -= len(chunk)
        if left < 0:
            raise DatasetError(
                f"{path} holds {_name(entry)}, which is longer than the archive states ({entry.file_size:,} "
                "bytes); expected sizes that are true; export it again"
            )
        file.write(chunk)  # type: ignore[attr-defined]


def _checked(path: Path, entries: Sequence[zipfile.ZipInfo], folder: Path) -> dict[Path, zipfile.ZipInfo]:
    """Return the entries to unpack by the path of each, after checking all."""
    if len(entries) > MOST_ENTRIES:
        raise DatasetError(
            f"{path} holds {len(entries):,} entries; expected at most {MOST_ENTRIES:,}; unpack it"
        )
    targets: dict[Path, zipfile.ZipInfo] = {}
    for entry in entries:
        parts = _safe_parts(path, entry)
        _check_kind(path, entry)
        if entry.is_dir() or not parts or any(is_litter(part) for part in parts):
            continue
        target = folder.joinpath(*parts)
        if target in targets:
            raise DatasetError(
                f"{path} holds {_name(entry)} twice; expected each name once; pack it again without the other"
            )
        targets[target] = entry
    total = sum(entry.file_size for entry in targets.values())
    free = shutil.disk_usage(folder).free
    if total > min(LARGEST_ARCHIVE, free):
        raise DatasetError(
            f"{path} unpacks to {total:,} bytes; expected at most {min(LARGEST_ARCHIVE, free):,}, as much as "
            f"is free in {folder.parent}; unpack it yourself and name the folder"
        )
    return targets


def _safe_parts(path: Path, entry: zipfile.ZipInfo) -> list[str]:
    """Return the folders and the name of an entry.

    Raises:
        DatasetError: They lead out of the archive.
    """
    # `ZipInfo` cuts a name at a NUL; `orig_filename` is what the archive has.
    name = unicodedata.normalize("NFC", entry.orig_filename).replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    drive = bool(parts) and len(parts[0]) > 1 and parts[0][1] == ":"
    if name.startswith("/") or drive or ".." in parts or "\0" in name:
        raise DatasetError(
            f"{path} holds an entry called {_name(entry)}, which leads out of the archive; expected names "
            "inside it; do not trust this file, or pack it again"
        )
    return parts


def _check_kind(path: Path, entry: zipfile.ZipInfo) -> None:
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "a device or link"
        raise DatasetError(
            f"{path} holds {_name(entry)}, {kind}; expected files; pack it again without links"
        )
    if entry.flag_bits & 1:
        raise DatasetError(f"{path} holds {_name(entry)} encrypted; expected no password; unpack it yourself")
    if entry.compress_type not in _METHODS and not entry.is_dir():
        raise DatasetError(
            f"{path} holds {_name(entry)}, compressed by method {entry.compress_type}, and unpacks to "
            f"{entry.file_size:,} bytes; expected deflate; unpack it yourself and name the folder"
        )
    bomb = entry.file_size > max(_SMALL, _MOST_RATIO * entry.compress_size)
    if entry.file_size > LARGEST_ENTRY or bomb:
        raise DatasetError(
            f"{path} holds {_name(entry)}, which unpacks from {entry.compress_size:,} to {entry.file_size:,} "
            f"bytes; expected at most {_MOST_RATIO} times as many and {LARGEST_ENTRY:,}; unpack it yourself "
            "and name the folder if you trust it"
        )


def _name(entry: zipfile.ZipInfo) -> str:
    return repr(printable(entry.orig_filename)[:_LONGEST_NAME])
