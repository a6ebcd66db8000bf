"""Flow is computed ahead and files are encoded in threads; nothing else comes of that."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from warprefine.core.errors import FrameError
from warprefine.core.protocols import Segmentation
from warprefine.core.video import Dataset
from warprefine.datasets.opening import open_dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.io.run import RunFolder
from warprefine.motion.dis import DISFlow
from warprefine.propagation import evidence as evidence_module
from warprefine.propagation import unit_work
from warprefine.propagation.evidence import Evidence, Models, open_evidence
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.methods import PLUS
from warprefine.propagation.run import Job, propagate
from warprefine.propagation.stepwise.walk import StepSettings, StepwiseLabeller
from warprefine.propagation.two_sided.label import TwoSidedLabeller
from warprefine.recipe.plus import CarrySettings, ChooseSettings, PlusRecipe

MOTION = Models(motion=DISFlow("medium"))


@pytest.fixture
def dataset(tiny_data: Path) -> Dataset:
    return open_dataset(tiny_data)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Three threads for everything; their names, once they have estimated flow or written labels."""
    names: set[str] = set()
    estimate, write = DISFlow.__call__, unit_work.write_labels

    def watched_flow(self: DISFlow, *frames: Tensor) -> Tensor:
        names.add(threading.current_thread().name.partition("_")[0])
        return estimate(self, *frames)

    def watched_write(*given: Any) -> None:
        names.add(threading.current_thread().name.partition("_")[0])
        write(*given)

    monkeypatch.setattr(DISFlow, "__call__", watched_flow)
    monkeypatch.setattr(unit_work, "write_labels", watched_write)
    for module in (evidence_module, unit_work):
        monkeypatch.setattr(module, "thread_count", lambda: 3)
    yield names
    left = {thread.name.partition("_")[0] for thread in threading.enumerate()}
    assert not left & {"ahead", "frames"}, "threads end with the unit"


def files(dataset: Dataset, labeller: Labeller, folder: Path) -> dict[str, bytes]:
    """Label the data set; return the content of all files by name."""
    run = RunFolder(folder)
    assert propagate(Job(dataset=dataset, horizon=9, labellers=(labeller,)), run) == {}
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def stepwise() -> StepwiseLabeller:
    return StepwiseLabeller(
        methods=("motion-only",), models=MOTION, settings=StepSettings(tau=0.1, threshold=0.9)
    )


def test_files_are_the_same_in_several_threads(
    dataset: Dataset, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Labels and confidence are written byte for byte as in one thread."""
    alone = files(dataset, stepwise(), tmp_path / "alone")

    names = request.getfixturevalue("threads")
    together = files(dataset, stepwise(), tmp_path / "together")

    assert together == alone
    assert names >= {"ahead", "frames"}


@pytest.mark.parametrize("trust", ["agreement", "photometric"])
@pytest.mark.parametrize("keys", [(0, 6), (3,), (1, 2, 6)])
def test_flow_is_expected_in_the_order_of_its_first_use(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: tuple[int, ...], trust: Any
) -> None:
    """Else what is computed ahead is not what is needed next."""
    (labels,) = dataset.videos[0].labels.values()
    video = replace(dataset.videos[0], labels=dict.fromkeys(keys, labels))
    recipe = PlusRecipe(carry=CarrySettings(trust=trust), choose=ChooseSettings(reach=4))
    labeller = TwoSidedLabeller(models=MOTION, recipe=recipe)
    used: dict[tuple[int, int], None] = {}
    original = Evidence.flow

    def watched(self: Evidence, b: int, a: int) -> Tensor:
        used.setdefault((b, a))
        return original(self, b, a)

    monkeypatch.setattr(Evidence, "flow", watched)
    alike = Segmentation(
        logits=torch.zeros(1, len(dataset.classes), 12, 16), features=torch.zeros(1, 1, 12, 16)
    )
    monkeypatch.setattr(Evidence, "segmentation", lambda self, k: alike)
    for unit in labeller.units(video, 9):
        used.clear()
        with open_evidence(video, dataset.classes, MOTION, ArrayCache(tmp_path)) as evidence:
            list(labeller.label(evidence, unit, [PLUS]))

        expected = [*labeller.expected_flows(unit)]
        assert [pair for pair in used if pair in expected] == expected
        assert trust == "photometric" or {*used} == {*expected}  # smoothing uses the other direction too


def test_a_damaged_frame_is_told_in_its_place(dataset: Dataset, tmp_path: Path, threads: set[str]) -> None:
    """Frames before it are labelled, though it was read ahead of them."""
    video = dataset.videos[0]
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"no picture")
    video = replace(video, frame_paths=[*video.frame_paths[:6], damaged])
    (unit, _) = stepwise().units(video, 9)
    frames: list[int] = []

    def label() -> None:
        with open_evidence(video, dataset.classes, MOTION, ArrayCache(tmp_path)) as evidence:
            frames.extend(one.frame for one in stepwise().label(evidence, unit, ["motion-only"]))

    with pytest.raises(FrameError, match=r"damaged\.jpg"):
        label()

    assert frames == [4, 5]
    assert threads == {"ahead"}
