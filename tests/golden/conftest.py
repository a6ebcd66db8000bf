"""Find the numbers that reference implementations computed; each case is discovered from its folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

SUBSET = Path(__file__).parent / "data"
"""The small set that is part of the repository."""


def golden_folder() -> Path:
    """Return what WARPREFINE_GOLDEN names, else the whole set beside the repository, else the small set."""
    whole_set = Path(__file__).parents[3] / "shared/golden"
    return Path(os.environ.get("WARPREFINE_GOLDEN") or (whole_set if whole_set.is_dir() else SUBSET))


GOLDEN = golden_folder()
ABSENT = f"no golden numbers at {GOLDEN}; name another folder with WARPREFINE_GOLDEN"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for a `golden_file` once for each file that its marker names."""
    marker = metafunc.definition.get_closest_marker("golden")
    if marker is None:
        return
    files = sorted(GOLDEN.glob(marker.args[0]))
    if files:
        metafunc.parametrize("golden_file", files, ids=[file.stem for file in files])
    else:
        absent = (
            f"{marker.args[0]} is not in {GOLDEN}; name the folder of the whole set with WARPREFINE_GOLDEN"
        )
        metafunc.parametrize("golden_file", [pytest.param(None, marks=pytest.mark.skip(reason=absent))])


class Golden:
    """The arrays of one file, and comparison with what is stored of a tensor, whole or sampled."""

    def __init__(self, file: Path) -> None:
        with np.load(file) as arrays:
            self._arrays = dict(arrays)

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def tensor(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        """Return an array as a tensor."""
        return torch.from_numpy(np.array(self._arrays[name])).to(dtype)

    def number(self, name: str, default: float | None = None) -> float:
        """Return a single number."""
        if default is not None and name not in self:
            return default
        return float(self._arrays[name])

    def compare(self, name: str, found: Tensor, *, atol: float, rtol: float = 0.0) -> None:
        """Compare a tensor with what the reference computed at the same precision."""
        assert tuple(found.shape) == tuple(self._arrays[f"{name}/shape"])
        suffix = "64" if found.dtype == torch.float64 else ""
        flat = found.detach().flatten()
        if f"{name}/full{suffix}" in self:
            expected = self.tensor(f"{name}/full{suffix}").flatten()
        else:
            flat = flat[self.tensor(f"{name}/pos")]
            expected = self.tensor(f"{name}/val{suffix}")
        torch.testing.assert_close(flat, expected.to(flat.dtype), atol=atol, rtol=rtol)

    def compare_classes(self, name: str, scores: Tensor, *, atol: float) -> None:
        """Compare a stored label map with the classes of the highest scores.

        Two classes may be as good as equal; which one comes first is then up to rounding.
        """
        chosen = scores.gather(1, self.tensor(name).long()[:, None])[:, 0]
        assert float((scores.amax(dim=1) - chosen).amax()) <= atol

    def spread(self, name: str) -> float:
        """Return the standard deviation of a stored tensor."""
        return float(self._arrays[f"{name}/stats"][1])


@pytest.fixture
def golden(golden_file: Path) -> Golden:
    """The numbers of one file."""
    return Golden(golden_file)
