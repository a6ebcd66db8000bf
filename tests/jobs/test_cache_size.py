"""A cache that keeps nothing costs time, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from warprefine.datasets.opening import open_dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.jobs.autolabel import autolabel
from warprefine.propagation.methods import PLUS
from warprefine.recipe.recipe import load_recipe


def labels(data: Path, recipe: Path, out: Path, *, cache_size: int | None) -> dict[str, bytes]:
    """Label by the paper's method and by warp-refine-plus; return all label and confidence maps by name."""
    methods = ["warp-refine", PLUS]
    run = autolabel(
        open_dataset(data), out, horizon=3, methods=methods, recipe=load_recipe(recipe), cache_size=cache_size
    ).run.root
    folders = (run / "labels", run / "confidence")
    return {
        path.relative_to(run).as_posix(): path.read_bytes() for one in folders for path in one.rglob("*.png")
    }


def test_labels_are_the_same_when_everything_is_deleted_at_once(
    tiny_data: Path, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks are trained and frames labelled from the same numbers, byte for byte."""
    unbounded = labels(tiny_data, tiny_recipe, tmp_path / "unbounded", cache_size=None)
    hits: list[str] = []
    original = ArrayCache.get

    def watched(self: ArrayCache, key: str) -> object:
        found = original(self, key)
        if found is not None and self.root == tmp_path / "bounded" / "cache":
            hits.append(key)
        return found

    monkeypatch.setattr(ArrayCache, "get", watched)

    bounded = labels(tiny_data, tiny_recipe, tmp_path / "bounded", cache_size=1)

    assert hits == []
    assert bounded == unbounded
    assert len(bounded) == 2 * 2 * 14
