"""Keep flow and segmenter outputs on disk, compressed: things that can always be computed again.

Whoever reads from the cache gets the same numbers whether they were just computed or lie there from
an earlier run: `put` returns what `get` would, rounding included. That is what makes a resumed run
equal to an undisturbed one.
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

log = logging.getLogger(__name__)
_CODEC = Blosc(cname="zstd", clevel=3, shuffle=BITSHUFFLE)
_MAGIC = b"WRC1"
FINEST_FLOW = 64
"""Flow is stored in steps of 1/64 pixel (as KITTI does), coarser where 16 bits would overflow."""


def flow_to_fixed_point(flow: Tensor) -> tuple[Tensor, int]:
    """Round flow to 16-bit whole numbers of 1 / steps pixels; return them and `steps`.

    Raises:
        ValueError: The flow holds NaN, which whole numbers cannot.
    """
    largest = float(flow.abs().amax()) if flow.numel() else 0.0
    if math.isnan(largest):
        raise ValueError("the flow holds NaN; a motion estimator returns a number for every pixel")
    steps = FINEST_FLOW
    while steps > 1 and largest * steps > 32767:
        steps //= 2
    return (flow * steps).round().clamp(-32767, 32767).to(torch.int16), steps


def rounded_flow(flow: Tensor) -> Tensor:
    """Return a flow as it would come back from the cache."""
    fixed, steps = flow_to_fixed_point(flow.cpu())
    return fixed.float() / steps


def halves(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return named tensors in half precision, in main memory."""
    return {name: tensor.cpu().to(torch.float16).contiguous() for name, tensor in tensors.items()}


class ArrayCache:
    """A folder of compressed arrays, each file written whole or not at all."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def get_flow(self, key: str) -> Tensor | None:
        """Return a flow (1, 2, h, w), or None if it is not there."""
        found = self.get(key)
        return None if found is None else found["flow"].float() / float(found["steps"])

    def put_flow(self, key: str, flow: Tensor) -> Tensor:
        """Keep a flow and return it as `get_flow` would."""
        fixed, steps = flow_to_fixed_point(flow.cpu())
        self.put(key, {"flow": fixed, "steps": torch.tensor(steps, dtype=torch.int16)})
        return fixed.float() / steps

    def put_halves(self, key: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Keep named tensors in half precision and return them as `get` would."""
        rounded = halves(tensors)
        self.put(key, rounded)
        return rounded

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep named tensors as they are."""
        header, blobs = [], []
        for name, tensor in tensors.items():
            array = np.ascontiguousarray(tensor.numpy())
            blob = bytes(_CODEC.encode(array))
            header.append([name, array.dtype.str, list(tensor.shape), len(blob)])
            blobs.append(blob)
        text = json.dumps(header).encode()
        body = struct.pack("<I", len(text)) + text + b"".join(blobs)
        write_bytes(self._path(key), _MAGIC + struct.pack("<I", zlib.crc32(body)) + body)

    def get(self, key: str) -> dict[str, Tensor] | None:
        """Return named tensors, or None if they are not there."""
        try:
            content = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        if content[:8] != _MAGIC + struct.pack("<I", zlib.crc32(content[8:])):
            log.warning("%s is damaged; computing it again", self._path(key))
            return None
        (length,) = struct.unpack("<I", content[8:12])
        tensors, position = {}, 12 + length
        for name, dtype, shape, size in json.loads(content[12:position]):
            raw = _CODEC.decode(content[position : position + size])
            array: NDArray[np.generic] = np.frombuffer(raw, dtype=dtype).reshape(shape).copy()
            tensors[name] = torch.from_numpy(array)
            position += size
        return tensors

    def _path(self, key: str) -> Path:
        return self.root / f"{key}.bin"
