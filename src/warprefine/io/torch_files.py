"""Read tensors from the files that PyTorch writes, without running PyTorch's unpickler.

A file's pickle only describes its tensors: shape, strides and which numbers. Each description is checked
against the file before memory is taken, and only the tensors that are asked for are read.
"""

from __future__ import annotations

import math
import mmap
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from torch import Tensor

from warprefine.core.errors import CheckpointError
from warprefine.io.inert_pickle import Named, Reference, StandIn, entries_of, read_pickle
from warprefine.io.safetensors_files import check_empty

_LARGEST_PICKLE = 100_000_000
"""Bytes; the pickles of published checkpoints, which hold all but the numbers, have less than a million."""
_MOST_USES = 8
"""How often the bytes of a file may be used: several tensors may share them."""
_MAGIC = 0x1950A86A20F9469CFC6C
"""Content of the first pickle in files of PyTorch before 1.6."""
_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_DTYPES = {str(dtype): dtype for dtype in (*_STORAGES.values(), torch.uint16, torch.uint32, torch.uint64)}
_TENSORS = {f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3")}
_PARAMETERS = {f"torch._utils._rebuild_parameter{kind}" for kind in ("", "_with_state")}
_SUBCLASSES = {f"torch._tensor._rebuild_from_type{version}" for version in ("", "_v2")}
READING_ERRORS = (
    AssertionError,
    AttributeError,
    BadZipFile,
    EOFError,
    LookupError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    UnpicklingError,
    struct.error,
)
"""What `zipfile`, `mmap`, `torch` and `torch.load` raise where a damaged file decides their arguments."""


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """A tensor's numbers as a file describes them; nothing in it is certain but the types."""

    storage: str
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def elements(self) -> int:
        return math.prod(self.size)

    @property
    def end(self) -> int:
        """Return the place behind the last number that is used."""
        last = sum((side - 1) * step for side, step in zip(self.size, self.stride, strict=True))
        return self.offset + last + 1 if self.elements else 0


class TorchFile:
    """The content of a file, and its tensors.

    Args:
        content: Dicts, lists, numbers, texts and stand-ins, tensors among the latter.
        numbers: Returns the bytes of a storage by its key.
        size: Bytes of the file.
        swapped: Whether its numbers have another order of bytes than this machine's.
    """

    def __init__(
        self, content: Any, numbers: Callable[[str], bytes], *, size: int, swapped: bool = False
    ) -> None:
        self.content = content
        self._numbers = numbers
        self._left = _MOST_USES * size
        self._swapped = swapped
        self._storages: dict[str, Tensor] = {}

    def tensor(self, described: StandIn) -> Tensor:
        """Return the tensor that a stand-in describes; tensors may share memory.

        Raises:
            ValueError: The description is damaged, or needs more numbers than the file has.
        """
        layout = _layout(described)
        self._left -= layout.elements * layout.dtype.itemsize
        if self._left < 0:
            raise ValueError("the tensors are larger than the file")
        if not layout.elements:
            return torch.empty(layout.size, dtype=layout.dtype)
        values = self._values(layout)
        if max(layout.end, layout.elements) > len(values):
            raise ValueError(f"a tensor of shape {layout.size} has {len(values)} numbers")
        return values.as_strided(layout.size, layout.stride, layout.offset)

    def _values(self, layout: _Layout) -> Tensor:
        if layout.storage not in self._storages:
            stored = bytearray(self._numbers(layout.storage))
            self._storages[layout.storage] = torch.frombuffer(stored, dtype=torch.uint8)
        values, width = self._storages[layout.storage], layout.dtype.itemsize
        values = values[: len(values) // width * width]
        if self._swapped:
            values = values.view(-1, width).flip(1).flatten()
        return values.view(layout.dtype)


def is_tensor(value: object) -> bool:
    """Return whether a value in a file stands for a dense tensor, alone or as a parameter."""
    return _bare(value) is not None


def _bare(value: object) -> StandIn | None:
    """Return the stand-in of a dense tensor without what it is wrapped in; None if it is none."""
    while isinstance(value, StandIn):
        if value.name in _TENSORS:
            return value
        match value.name, value.arguments:
            case name, (inner, *_) if name in _PARAMETERS:
                value = inner
            case name, (Named(called), _, tuple(arguments), *_) if name in _SUBCLASSES:
                value = StandIn(called, arguments)
            case _:
                return None
    return None


def _layout(described: StandIn) -> _Layout:
    match _bare(described):
        case StandIn(
            arguments=(Reference(("storage", Named(kind), key, *place)), offset, size, stride, *rest)
        ):
            view = place[2] if len(place) > 2 else None
        case _:
            raise ValueError("a tensor is described in no known way")
    names = [value.name for value in (Named(kind.rpartition(".")[2]), *rest) if isinstance(value, Named)]
    dtype = next((known for name in names if (known := _STORAGES.get(name) or _DTYPES.get(name))), None)
    numbers = (offset, *size, *stride)
    if dtype is None or view is not None or len(size) != len(stride):
        raise ValueError(f"a tensor of {kind} is stored in no known way")
    if not all(type(number) is int and 0 <= number < 2**62 for number in numbers):
        raise ValueError("a tensor has sides or places that are no numbers")
    check_empty(size)
    return _Layout(storage=str(key), dtype=dtype, offset=offset, size=size, stride=stride)


@contextmanager
def open_torch_file(path: Path) -> Iterator[TorchFile]:
    """Open a file that PyTorch wrote, of any version since 0.2.

    Raises:
        PickledCodeError: It names code.
        CheckpointError: It is an archive of another kind, or claims more bytes than it has.
        ValueError, OSError: It is damaged; see `READING_ERRORS`, for `TorchFile.tensor` too.
    """
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped:
        with ZipFile(path) as archive:
            yield _in_archive(path, archive)
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield _in_sequence(mapped)


def _in_archive(path: Path, archive: ZipFile) -> TorchFile:
    entries = archive.infolist()
    size = path.stat().st_size
    root = _root_of(path, [entry.filename for entry in entries])
    if any(entry.compress_type != ZIP_STORED for entry in entries):
        raise CheckpointError(
            f"{path} is compressed, which PyTorch's files never are, so its size says nothing about the "
            "memory that it takes; unpack it, and save the weights again with torch.save"
        )
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError(f"{path} claims to hold more bytes than its {size}; fetch it again")
    if archive.getinfo(f"{root}data.pkl").file_size > _LARGEST_PICKLE:
        raise ValueError("the description of the tensors is larger than that of any checkpoint")
    names = {entry.filename for entry in entries}
    order = archive.read(f"{root}byteorder").decode() if f"{root}byteorder" in names else "little"
    return TorchFile(
        read_pickle(archive.read(f"{root}data.pkl")),
        lambda key: archive.read(f"{root}data/{key}"),
        size=size,
        swapped=order != sys.byteorder,
    )


def _root_of(path: Path, names: list[str]) -> str:
    """Return the folder in an archive that holds PyTorch's files, with its slash."""
    roots = [name.removesuffix("data.pkl") for name in names if name.rpartition("/")[2] == "data.pkl"]
    if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
        raise CheckpointError(
            f"{path} is a TorchScript archive, which holds a program; expected weights alone: ask for the "
            "state_dict, or write one with torch.save(torch.jit.load(FILE).state_dict(), OTHER)"
        )
    if len(roots) != 1:
        inside = next((name for name in names if name.endswith((".pth", ".pt", ".ckpt", ".safetensors"))), "")
        remedy = (
            f"unpack it: it holds {inside}" if inside.isprintable() and inside else "is it the right file?"
        )
        raise CheckpointError(f"{path} is a zip archive, but no checkpoint of PyTorch; {remedy}")
    return roots[0]


def _in_sequence(mapped: mmap.mmap) -> TorchFile:
    """Read a file of PyTorch before 1.6: five pickles one after the other, and then the numbers."""
    first = read_pickle(mapped)
    if entries_of(first):
        return TorchFile(
            first, dict[str, bytes]().__getitem__, size=len(mapped)
        )  # a pickle alone, no tensors
    if first != _MAGIC:
        raise ValueError("it does not begin as PyTorch's files do")
    read_pickle(mapped)  # the version of the format
    system = read_pickle(mapped)
    little = not isinstance(system, dict) or bool(system.get("little_endian", True))
    references: list[Reference] = []
    content = read_pickle(mapped, references)
    widths = {
        str(key): _STORAGES[kind.name.rpartition(".")[2]].itemsize
        for _, kind, key, *_ in (reference.value for reference in references)
    }
    keys = read_pickle(mapped)
    places, start = {}, mapped.tell()
    for key in map(str, keys):
        count = int.from_bytes(mapped[start : start + 8], "little" if little else "big")
        end = start + 8 + count * widths[key]
        if end > len(mapped):
            raise ValueError("numbers are missing at its end")
        places[key] = slice(start + 8, end)
        start = end
    return TorchFile(
        content,
        lambda key: mapped[places[key]],
        size=len(mapped),
        swapped=little != (sys.byteorder == "little"),
    )
