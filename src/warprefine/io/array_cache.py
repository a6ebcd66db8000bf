"""Cache flow and segmenter outputs on disk, compressed; all of it can be computed again.

A caller gets the same numbers whether they were just computed or stored by an earlier run: `put_flow`
and `put_halves` return what `get_flow` and `get` would, rounding included. So a resumed run equals an
uninterrupted one.
"""

from __future__ import annotations

import json
import logging
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numcodecs.blosc import BITSHUFFLE, Blosc
from numpy.typing import NDArray
from torch import Tensor

from warprefine.io.atomic import write_bytes
from warprefine.io.cache_limit import SUFFIX, CacheLimit
from warprefine.io.foreign import DECODER_ERRORS, reason

log = logging.getLogger(__name__)
CODEC = Blosc(cname="zstd", clevel=3, shuffle=BITSHUFFLE)
"""Compression of what stays on disk."""
_MAGIC = b"WRC1"
FINEST_FLOW = 64
"""Flow is stored in steps of 1/64 pixel (as KITTI does), coarser where 16 bits would overflow."""


def flow_to_fixed_point(flow: Tensor) -> tuple[Tensor, int]:
    """Round flow to 16-bit integers in units of 1 / steps pixel; return them and `steps`.

    Raises:
        ValueError: The flow holds NaN, which integers cannot represent.

    Example:
        >>> flow_to_fixed_point(torch.tensor([0.5, -1.01]))
        (tensor([ 32, -65], dtype=torch.int16), 64)
    """
    largest = float(flow.abs().amax()) if flow.numel() else 0.0
    if math.isnan(largest):
        raise ValueError("the flow holds NaN; a motion estimator returns a number for every pixel")
    steps = FINEST_FLOW
    while steps > 1 and largest * steps > 32767:
        steps //= 2
    return (flow * steps).round().clamp(-32767, 32767).to(torch.int16), steps


def rounded_flow(flow: Tensor) -> Tensor:
    """Return a flow with the rounding of the cache, on its device.

    Example:
        >>> rounded_flow(torch.tensor([0.5, 0.51]))
        tensor([0.5000, 0.5156])
    """
    fixed, steps = flow_to_fixed_point(flow)
    return fixed.float() / steps


def halves(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return named tensors in half precision, on their device."""
    return {name: tensor.to(torch.float16).contiguous() for name, tensor in tensors.items()}


class ArrayCache:
    """A folder of compressed arrays; each file is written atomically.

    Args:
        root: The folder.
        beside: Another cache, which is only read, for what is not in `root`.
        largest: Bytes that its files take at most: the oldest are deleted. None: no limit.
    """

    def __init__(self, root: Path, *, beside: Path | None = None, largest: int | None = None) -> None:
        self.root = root
        self._limit = None if largest is None else CacheLimit(root, largest)
        self._beside = None if beside is None else ArrayCache(beside)

    def get_flow(self, key: str) -> Tensor | None:
        """Return a flow (1, 2, h, w), or None if it is not in the cache."""
        found = self.get(key)
        return None if found is None else found["flow"].float() / float(found["steps"])

    def put_flow(self, key: str, flow: Tensor) -> Tensor:
        """Store a flow; return what `get_flow` would, on its device."""
        fixed, steps = flow_to_fixed_point(flow)
        self.put(key, {"flow": fixed, "steps": torch.tensor(steps, dtype=torch.int16)})
        return fixed.float() / steps

    def put_halves(self, key: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Store named tensors in half precision; return what `get` would, on their device."""
        rounded = halves(tensors)
        self.put(key, rounded)
        return rounded

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Store named tensors without loss."""
        content = packed(tensors)
        write_bytes(self._path(key), content, durable=False)  # the checksum tells a cut file
        if self._limit is not None:
            self._limit.added(len(content))

    def get(self, key: str) -> dict[str, Tensor] | None:
        """Return named tensors, or None if they are damaged or not in the cache."""
        path = self._path(key)
        try:
            return unpacked(path.read_bytes())
        except FileNotFoundError:
            return None if self._beside is None else self._beside.get(key)
        except DECODER_ERRORS as error:
            log.warning("%s is damaged; computing it again (%s)", path, reason(error))
            return None

    def __contains__(self, key: str) -> bool:
        return self._path(key).exists() or (self._beside is not None and key in self._beside)

    def _path(self, key: str) -> Path:
        return self.root / f"{key}{SUFFIX}"


def packed(tensors: Mapping[str, Tensor], codec: Blosc = CODEC) -> bytes:
    """Return named tensors, on any device, compressed without loss.

    Example:
        >>> unpacked(packed({"trust": torch.tensor([0.5, 1.0])}))
        {'trust': tensor([0.5000, 1.0000])}
    """
    header, blobs = [], []
    for name, tensor in tensors.items():
        array = np.ascontiguousarray(tensor.cpu().numpy())
        blob = bytes(codec.encode(array))
        header.append([name, array.dtype.str, list(tensor.shape), len(blob)])
        blobs.append(blob)
    text = json.dumps(header).encode()
    body = struct.pack("<I", len(text)) + text + b"".join(blobs)
    return _MAGIC + struct.pack("<I", zlib.crc32(body)) + body


def unpacked(content: bytes) -> dict[str, Tensor]:
    """Return the tensors that `packed` packed, with whatever codec.

    Raises:
        ValueError: The content is damaged; other decoding errors where somebody else has written it.
    """
    if content[:8] != _MAGIC + struct.pack("<I", zlib.crc32(content[8:])):
        raise ValueError("its checksum differs")
    (length,) = struct.unpack("<I", content[8:12])
    tensors, position = {}, 12 + length
    for name, dtype, shape, size in json.loads(content[12:position]):
        blob = content[position : position + size]
        # Blosc believes the sizes in its header: they decide what it reserves and reads.
        expected = math.prod(shape) * np.dtype(dtype).itemsize
        if struct.unpack_from("<II", blob, 4)[0] != expected or len(blob) != size:
            raise ValueError(f"{name} is of another size than {shape}")
        array: NDArray[np.generic] = np.frombuffer(CODEC.decode(blob), dtype=dtype).reshape(shape).copy()
        tensors[name] = torch.from_numpy(array)
        position += size
    return tensors
