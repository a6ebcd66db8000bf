"""Keep values by key in bounded memory: those used last in memory, all others in a temporary file."""

from __future__ import annotations

import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

import torch
from numcodecs.blosc import BITSHUFFLE, Blosc
from torch import Tensor

from warprefine.core.errors import RunFolderError
from warprefine.io.array_cache import packed, unpacked
from warprefine.io.atomic import reading_errors, temporary_file, writing_errors

_FAST = Blosc(cname="lz4", clevel=1, shuffle=BITSHUFFLE)
"""Four times as fast as the compression of the cache, and a fifth larger: the file is read once, soon."""
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, kw_only=True)
class Spilling(Generic[ValueT]):
    """When and how values are written to disk.

    Attributes:
        folder: Where the temporary file lies. It has no name, and is gone when it is no longer used, even if
            the process is killed.
        limit_of: Returns the bytes that are kept in the memory of a device.
        least: Values that are kept in memory, however large they are.
        tensors_of: Returns all tensors of a value, by name.
        value_of: Returns the value of such tensors; all of them are on the device that they were on.
    """

    folder: Path
    limit_of: Callable[[torch.device], int]
    least: int
    tensors_of: Callable[[ValueT], dict[str, Tensor]]
    value_of: Callable[[Mapping[str, Tensor]], ValueT]


class SpillingStore(Generic[ValueT]):
    """Values by key; a value has the same bits whether it comes from memory or from disk.

    The tensors of all values are on one device.

    Args:
        spilling: When and how values are written to disk; None keeps all in memory.
    """

    def __init__(self, spilling: Spilling[ValueT] | None = None) -> None:
        self._spilling = spilling
        self._in_memory: OrderedDict[Hashable, tuple[ValueT, int]] = OrderedDict()
        self._size = 0
        self._on_disk: dict[Hashable, tuple[int, int]] = {}
        self._file: BinaryIO | None = None
        self._device: torch.device | None = None

    def __contains__(self, key: Hashable) -> bool:
        return key in self._in_memory or key in self._on_disk

    def __getitem__(self, key: Hashable) -> ValueT:
        if key not in self._in_memory:
            self._hold(key, self._read(key))
        self._in_memory.move_to_end(key)
        return self._in_memory[key][0]

    def __setitem__(self, key: Hashable, value: ValueT) -> None:
        self._on_disk.pop(key, None)
        self._hold(key, value)

    def keep(self, wanted: Callable[[Hashable], bool]) -> None:
        """Drop all values but those whose key is wanted."""
        for key in [key for key in self._in_memory if not wanted(key)]:
            self._size -= self._in_memory.pop(key)[1]
        self._on_disk = {key: place for key, place in self._on_disk.items() if wanted(key)}

    def _hold(self, key: Hashable, value: ValueT) -> None:
        """Keep a value in memory, and move those beyond the limit that were used least recently to disk."""
        spilling = self._spilling
        size = 0 if spilling is None else sum(one.nbytes for one in spilling.tensors_of(value).values())
        self._size += size - self._in_memory.pop(key, (value, 0))[1]
        self._in_memory[key] = value, size
        limit = 0 if spilling is None else self._limit(value, spilling)
        while spilling and len(self._in_memory) > spilling.least and self._size > limit:
            oldest, (old, freed) = self._in_memory.popitem(last=False)
            self._size -= freed
            if oldest not in self._on_disk:
                self._on_disk[oldest] = self._written(packed(spilling.tensors_of(old), _FAST), spilling)

    def _limit(self, value: ValueT, spilling: Spilling[ValueT]) -> int:
        if self._device is None:
            self._device = next(iter(spilling.tensors_of(value).values())).device
        return spilling.limit_of(self._device)

    def _written(self, content: bytes, spilling: Spilling[ValueT]) -> tuple[int, int]:
        """Append to the file; return where the content begins, and its length."""
        with writing_errors(spilling.folder):
            if self._file is None:
                self._file = temporary_file(spilling.folder)
                weakref.finalize(self, self._file.close)
            begin, rest = self._file.seek(0, os.SEEK_END), memoryview(content)
            while rest:  # where the disk is nearly full, less is written than was given
                rest = rest[self._file.write(rest) :]
        return begin, len(content)

    def _read(self, key: Hashable) -> ValueT:
        begin, length = self._on_disk[key]
        assert self._spilling is not None
        assert self._file is not None
        with reading_errors(self._spilling.folder, RunFolderError):
            self._file.seek(begin)
            content = b""
            while len(content) < length and (part := self._file.read(length - len(content))):
                content += part
        found = {name: tensor.to(self._device) for name, tensor in unpacked(content).items()}
        return self._spilling.value_of(found)
