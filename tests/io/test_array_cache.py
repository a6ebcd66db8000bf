"""Tests of io/array_cache.py: what was computed once comes back as it was, or not at all."""

from __future__ import annotations

import logging
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from warprefine.io.array_cache import ArrayCache, flow_to_fixed_point

KEY = "flow/still/clip/000001_000000"


@pytest.fixture
def cache(tmp_path: Path) -> ArrayCache:
    """An empty cache."""
    return ArrayCache(tmp_path)


def a_flow(rng: np.random.Generator, largest: float = 8) -> Tensor:
    """Return a flow that varies smoothly, as flows do, (1, 2, 60, 80)."""
    y, x = np.mgrid[0:60, 0:80].astype(np.float32) / 80
    a, b, c = rng.uniform(-1, 1, 3)
    return torch.from_numpy(np.stack([a * x + b * y, np.sin(c * x * 3)])[None].astype(np.float32)) * largest


def test_what_was_never_kept_is_not_there(cache: ArrayCache) -> None:
    """An empty cache has nothing to give."""
    assert cache.get(KEY) is None
    assert cache.get_flow(KEY) is None


def test_a_flow_just_computed_is_the_flow_read_later(cache: ArrayCache, rng: np.random.Generator) -> None:
    """A resumed run computes with the same numbers as one that was never interrupted."""
    kept = cache.put_flow(KEY, a_flow(rng))

    found = cache.get_flow(KEY)

    assert found is not None
    assert torch.equal(found, kept)
    assert found.dtype == torch.float32


@settings(max_examples=50)
@given(
    flow=arrays.arrays(np.float32, (1, 2, 2, 3), elements=st.floats(-511, 511, width=32)),
)
def test_a_flow_is_exact_to_half_a_step(flow: np.ndarray) -> None:
    """Rounding moves a flow by at most 1/128 pixel in each direction."""
    fixed, steps = flow_to_fixed_point(torch.from_numpy(flow))

    assert steps == 64
    assert (fixed.double() / steps - torch.from_numpy(flow).double()).abs().amax() <= 1 / 128


@pytest.mark.parametrize(
    ("largest", "steps"),
    [(512, 32), (-600, 32), (5000, 4), (30000, 1), (1e9, 1), (-1e9, 1), (float("inf"), 1)],
)
def test_a_large_flow_keeps_its_way(largest: float, steps: int) -> None:
    """Large motion is stored in coarser steps; what is beyond all pictures stays far out, its sign kept."""
    flow = torch.tensor([largest, 1.0]).view(1, 2, 1, 1)

    fixed, found = flow_to_fixed_point(flow)

    assert found == steps
    assert fixed[0, 1, 0, 0] / found == 1
    reached = float(fixed[0, 0, 0, 0]) / found
    assert reached == pytest.approx(np.clip(largest, -32767, 32767), abs=1 / steps)


def test_a_flow_that_is_no_number_is_refused() -> None:
    """A motion estimator that returns NaN is broken; its output is not rounded to something else."""
    with pytest.raises(ValueError, match="the flow holds NaN; a motion estimator returns a number for every"):
        flow_to_fixed_point(torch.full((1, 2, 2, 2), float("nan")))


def test_named_tensors_come_back_as_they_were(cache: ArrayCache, rng: np.random.Generator) -> None:
    """Number types, shapes, order and values survive, also of tensors that are views."""
    kept = {
        "labels": torch.from_numpy(rng.integers(0, 256, (1, 5, 7), dtype=np.uint8)),
        "flow": torch.from_numpy(rng.normal(size=(2, 3))).T,
        "one": torch.tensor(7, dtype=torch.int16),
    }
    cache.put("cycle/a", kept)

    found = cache.get("cycle/a")

    assert found is not None
    assert list(found) == list(kept)
    assert all(torch.equal(found[name], tensor) for name, tensor in kept.items())
    assert [tensor.dtype for tensor in found.values()] == [torch.uint8, torch.float64, torch.int16]


def test_scores_are_kept_in_half_precision(cache: ArrayCache) -> None:
    """A segmenter's outputs are rounded once, and all later computations use the rounded numbers."""
    scores = {"logits": torch.randn(1, 3, 4, 5), "features": torch.randn(1, 2, 2, 2).bfloat16()}

    kept = cache.put_halves("segmentation/a", scores)

    found = cache.get("segmentation/a")
    assert found is not None
    assert all(torch.equal(found[name], kept[name]) for name in scores)
    assert {tensor.dtype for tensor in kept.values()} == {torch.float16}
    torch.testing.assert_close(kept["logits"].float(), scores["logits"], rtol=1e-3, atol=1e-3)


def test_what_came_from_the_cache_may_be_changed(cache: ArrayCache) -> None:
    """A tensor from the cache is one's own: writing into it does not reach the next reader."""
    cache.put("a", {"x": torch.zeros(3)})
    first = cache.get("a")
    assert first is not None
    first["x"] += 1

    second = cache.get("a")

    assert second is not None
    assert second["x"].tolist() == [0, 0, 0]


def test_the_cache_is_smaller_than_its_contents(cache: ArrayCache, rng: np.random.Generator) -> None:
    """A smooth flow takes less than a third of its size in memory."""
    flow = a_flow(rng)
    cache.put_flow(KEY, flow)

    (file,) = [path for path in cache.root.rglob("*") if path.is_file()]
    assert file.stat().st_size < flow.numel() * flow.element_size() / 3


def test_a_damaged_file_is_computed_again(
    cache: ArrayCache, rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    """A byte changed anywhere, or any end cut off, is noticed: the file counts as missing, with a warning."""
    cache.put("a", {"x": torch.arange(20)})
    path = cache.root / "a.bin"
    whole = path.read_bytes()
    flips = [bytes([*whole[:i], whole[i] ^ 16, *whole[i + 1 :]]) for i in range(len(whole))]
    cuts = [whole[:length] for length in range(len(whole))]

    with caplog.at_level(logging.WARNING):
        for content in [*flips, *cuts, whole + b"\0"]:
            path.write_bytes(content)
            assert cache.get("a") is None
    path.write_bytes(whole)

    assert cache.get("a") is not None
    assert len(caplog.records) == 2 * len(whole) + 1
    assert "a.bin is damaged; computing it again" in caplog.text


@pytest.mark.parametrize(
    "header",
    [
        "[" * 5000,
        "{}x",
        "7",
        "[7]",
        '[["x", "O", [20], 99]]',
        '[["x", "<i8", [1000000000, 1000], 99]]',
        '[["x", "<i8", ["a"], 99]]',
        '[["x", "<i8", [20], 0]]',
    ],
)
def test_a_file_that_somebody_else_wrote_is_computed_again(
    cache: ArrayCache, caplog: pytest.LogCaptureFixture, header: str
) -> None:
    """A right checksum proves nothing in a folder that others write into; sizes are checked first."""
    cache.put("a", {"x": torch.arange(20)})
    body = struct.pack("<I", len(header)) + header.encode() + bytes(99)
    (cache.root / "a.bin").write_bytes(b"WRC1" + struct.pack("<I", zlib.crc32(body)) + body)

    assert cache.get("a") is None
    assert "a.bin is damaged; computing it again" in caplog.text


def test_a_folder_in_the_place_of_a_file_is_no_traceback(cache: ArrayCache) -> None:
    """What cannot be read is not in the cache."""
    (cache.root / "a.bin").mkdir(parents=True)

    assert cache.get("a") is None


def test_runs_may_write_the_same_at_once(tmp_path: Path) -> None:
    """Whoever reads meanwhile gets the whole of what one of them wrote, and no draft is left."""
    tensors = {"flow": torch.arange(3000, dtype=torch.float32)}
    ArrayCache(tmp_path).put("flow/a", tensors)

    def write_and_read(_: int) -> bool:
        cache = ArrayCache(tmp_path)
        cache.put("flow/a", tensors)
        found = cache.get("flow/a")
        return found is not None and torch.equal(found["flow"], tensors["flow"])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(write_and_read, range(60)))
    assert [path.name for path in (tmp_path / "flow").iterdir()] == ["a.bin"]
