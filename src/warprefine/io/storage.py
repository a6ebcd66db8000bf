"""Reach a folder of any storage that fsspec reaches, such as s3://bucket/folder: list, read and write files.

What fsspec and the packages below it raise becomes one line; what a network may mend is tried again.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from warprefine.core.errors import StorageError
from warprefine.io.atomic import is_draft, lock_of
from warprefine.io.foreign import reason

T = TypeVar("T")
log = logging.getLogger(__name__)
_WHOLE_AT_ONCE = {"abfs", "abfss", "adl", "az", "gcs", "gs", "memory", "s3", "s3a"}
"""Protocols whose storages replace a file at once when it has arrived; on others it is renamed then."""
_PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Between attempts; the packages below have attempts of their own."""
_FINAL: tuple[type[Exception], ...] = (
    FileExistsError,
    FileNotFoundError,
    ImportError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    PermissionError,
    TypeError,
    ValueError,
)
"""What no further attempt mends."""
_WITHOUT_CREDENTIALS = {"DefaultCredentialsError", "NoCredentialsError", "PartialCredentialsError"}
_ERRORS_OF = {
    "aiohttp": ("ClientError",),
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "gcsfs.retry": ("HttpError",),
    "google.auth.exceptions": ("GoogleAuthError",),
    "azure.core.exceptions": ("AzureError",),
}
_PACKAGES = {"abfs": "adlfs", "az": "adlfs", "gcs": "gcsfs", "gs": "gcsfs", "s3": "s3fs", "s3a": "s3fs"}
"""What fsspec needs to reach the storages of some protocols."""
_VERSIONS = ("ETag", "etag", "md5Hash", "generation", "content_md5")
_TIMES = ("LastModified", "last_modified", "mtime", "created")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A file of a storage.

    Attributes:
        size: In bytes.
        modified: When it was written, in seconds since 1970 by the clock of the storage; 0 if not known.
        version: What tells that it was written again.
    """

    size: int
    modified: float
    version: str


class Storage:
    """A folder of a storage.

    Args:
        url: PROTOCOL://PATH.

    Raises:
        StorageError: The protocol is unknown, its package is missing, or no folder is named.

    Example:
        >>> storage = Storage("memory://example")
        >>> storage.write("notes/one.txt", b"1")
        >>> [*storage.files()], storage.read("notes/one.txt")
        (['notes/one.txt'], b'1')
    """

    def __init__(self, url: str) -> None:
        protocol, _, folder = url.partition("://")
        if not folder.strip("/"):
            raise StorageError(f"{url} names no folder; expected for example s3://BUCKET/FOLDER")
        self.url, self._protocol = url.rstrip("/"), protocol.lower()
        self._fs, self._root = self._trying(self._opened, "open")

    def _opened(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        settings = {"auto_mkdir": True} if self._protocol in {"file", "local"} else {}
        fs, root = url_to_fs(self.url, use_listings_cache=False, **settings)
        return fs, str(root).rstrip("/")

    def files(self) -> dict[str, Stored]:
        """Return all files below the folder by name, without those that are being written; none if it is not.

        Raises:
            StorageError: It cannot be listed, or a name cannot be one of a file here.
        """

        def find() -> Mapping[str, Mapping[str, Any]]:
            try:
                found: Mapping[str, Mapping[str, Any]] = self._fs.find(self._root, detail=True)
            except FileNotFoundError:
                if self._fs.exists(PurePosixPath(self._root).parent.as_posix()):
                    return {}
                raise
            return found

        files: dict[str, Stored] = {}
        for path, info in self._trying(find, "list").items():
            name = str(path).removeprefix(self._root).strip("/")
            if info.get("type") == "directory" or str(path).endswith("/") or is_draft(name):
                continue
            if ".." in PurePosixPath(name).parts or "\0" in name or "//" in name:
                raise StorageError(
                    f"{self.url} holds a file named {name!r}; expected names without '..' or '//'"
                )
            files[name] = _stored(info)
        return files

    def info(self, name: str) -> Stored | None:
        """Return what is known of a file; None if there is none."""

        def ask() -> Stored | None:
            try:
                return _stored(self._fs.info(self._path(name), refresh=True))
            except FileNotFoundError:
                return None

        return self._trying(ask, "read", name)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return bytes(self._trying(lambda: self._fs.cat_file(self._path(name)), "read", name))

    def fetch(self, files: Mapping[str, Path]) -> None:
        """Copy files to paths here, several at the same time; their folders are there."""
        if files:
            sources, targets = [self._path(name) for name in files], [str(path) for path in files.values()]
            self._trying(lambda: self._fs.get(sources, targets), "read", next(iter(files)))

    def write(self, name: str, content: bytes) -> None:
        """Write a file, which is replaced at once."""
        draft = self._draft(name)
        self._make_folders([name])
        self._trying(lambda: self._fs.pipe_file(self._path(draft), content), "write", name)
        self._replace({draft: name})

    def create(self, name: str, content: bytes) -> bool:
        """Write a file if there is none of its name; return whether it was written."""

        def write() -> bool:
            try:
                self._fs.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                return False
            except (NotImplementedError, TypeError):  # a storage that cannot tell
                self._fs.pipe_file(self._path(name), content)
            return True

        self._make_folders([name])
        if self._trying(lambda: self._fs.exists(self._path(name)), "read", name):
            return False
        return self._trying(write, "write", name)

    def upload(self, files: Mapping[str, Path]) -> None:
        """Copy files from here, several at the same time; each is replaced at once."""
        if files:
            drafts = {self._draft(name): name for name in files}
            self._make_folders(files)
            sources, targets = [str(path) for path in files.values()], [self._path(name) for name in drafts]
            self._trying(lambda: self._fs.put(sources, targets), "write", next(iter(files)))
            self._replace(drafts)

    def rename(self, names: Mapping[str, str]) -> None:
        """Give files other names, each of them at once; one that is not there was renamed before."""
        for source, target in names.items():
            if self.info(source) is None:
                continue
            if self._protocol in _WHOLE_AT_ONCE:
                copy = partial(self._fs.cp_file, self._path(source), self._path(target))
                self._trying(copy, "write", target)
                self.delete([source])
            else:
                self._replace({source: target})

    def delete(self, names: Collection[str]) -> None:
        """Delete files; it is no error if one is not there."""

        def remove(path: str) -> None:
            with suppress(FileNotFoundError):
                self._fs.rm_file(path)

        for name in names:
            self._trying(partial(remove, self._path(name)), "delete", name)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _draft(self, name: str) -> str:
        """Return where a file is written to first."""
        if self._protocol in _WHOLE_AT_ONCE:
            return name
        return lock_of(Path(name)).with_suffix("").as_posix()

    def _make_folders(self, names: Collection[str]) -> None:
        """Make the folders of files, where a storage has folders."""
        if self._protocol not in _WHOLE_AT_ONCE:
            for folder in {self._path(name).rpartition("/")[0] for name in names}:
                self._trying(partial(self._fs.makedirs, folder, exist_ok=True), "write")

    def _replace(self, names: Mapping[str, str]) -> None:
        for source, target in names.items():
            if source != target:
                move = partial(self._fs.mv, self._path(source), self._path(target))
                self._trying(move, "write", target)

    def _trying(self, work: Callable[[], T], what: str, name: str = "") -> T:
        """Return what work returns; try again what a network may mend.

        Raises:
            StorageError: It cannot be done.
        """
        where = f"{self.url}/{name}" if name else self.url
        for pause in (*_PAUSES_S, None):
            try:
                return work()
            except _foreign_errors() as error:
                is_final = isinstance(error, _FINAL) or type(error).__name__ in _WITHOUT_CREDENTIALS
                if is_final or pause is None:
                    raise StorageError(f"cannot {what} {where}: {self._remedy(error)}") from error
                log.info("cannot %s %s (%s); tried again", what, where, reason(error))
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _remedy(self, error: Exception) -> str:
        """Return what an error says, and what to do about it."""
        if isinstance(error, ImportError):
            package = _PACKAGES.get(self._protocol)
            remedy = f"run `pip install {package}`" if package else "install the package of this storage"
            return f"{reason(error)}; {remedy}"
        if isinstance(error, ValueError) and "rotocol" in str(error):
            return f"{reason(error)}; expected a protocol of fsspec, such as s3://, gs:// or memory://"
        if type(error).__name__ in _WITHOUT_CREDENTIALS:
            return (
                f"{reason(error)}; give credentials as the storage's own tools take them, such as AWS_PROFILE"
            )
        if isinstance(error, PermissionError):
            return f"{reason(error)}; see to the credentials and to the rights that they give"
        if isinstance(error, FileNotFoundError):
            return f"{reason(error)}; see to the names of bucket and folder"
        return f"{reason(error)}; check the network, then run the same command again, it goes on from there"


def _foreign_errors() -> tuple[type[Exception], ...]:
    """Return what fsspec raises, and those of the packages below it that are loaded."""
    named = [(sys.modules[module], names) for module, names in _ERRORS_OF.items() if module in sys.modules]
    further = [getattr(module, name) for module, names in named for name in names if hasattr(module, name)]
    return (ImportError, OSError, RuntimeError, TypeError, ValueError, *further)


def _stored(info: Mapping[str, Any]) -> Stored:
    times = [info[key] for key in _TIMES if isinstance(info.get(key), datetime | float | int)]
    modified = (
        times[0].timestamp() if times and isinstance(times[0], datetime) else float(times[0] if times else 0)
    )
    size = int(info.get("size") or 0)
    version = next((str(info[key]) for key in _VERSIONS if info.get(key)), f"{modified:.6f}")
    return Stored(size=size, modified=modified, version=f"{size} {version}")
