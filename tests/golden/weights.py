"""Make the weights that golden numbers were computed with; each is a function of its name."""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


def published_weights(keys_json: Path) -> dict[str, Tensor]:
    """Return all weights that a file of keys names, under their published names."""
    described = json.loads(keys_json.read_text())
    return {entry["key"]: _weight(entry, described["salt"]) for entry in described["entries"]}


def _weight(entry: dict[str, Any], salt: str) -> Tensor:
    key, shape, kind = entry["key"], entry["shape"], entry["kind"]
    if kind == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    if kind == "const":
        return torch.tensor(entry["value"], dtype=torch.float32).reshape(shape)
    values = np.random.default_rng(zlib.crc32((salt + key).encode())).standard_normal(shape)
    if kind in {"conv_weight", "linear_weight"}:
        values *= math.sqrt(2 / math.prod(shape[1:]))
    elif kind == "convT_weight":
        values *= math.sqrt(2 / (shape[0] * math.prod(shape[2:])))
    elif kind == "norm_weight":
        values = 1 + 0.1 * values
    elif kind in {"bias", "running_mean"}:
        values *= 0.1
    elif kind == "running_var":
        values = 1 + 0.1 * np.abs(values)
    else:
        raise ValueError(f"{key} is of the unknown kind {kind!r}")
    weight = (values * entry["gain"]).astype(np.float32)
    np.testing.assert_allclose(weight.ravel()[:3], entry["first3"], rtol=1e-6, err_msg=key)
    return torch.from_numpy(weight)
