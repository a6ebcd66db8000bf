"""Tests of training/data/motion_samples.py: neighbouring frames, the motion between them, augmentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from warprefine.core.errors import DatasetError
from warprefine.core.video import Dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.motion.flownet_ops import resample2d
from warprefine.propagation.evidence import Models
from warprefine.recipe.motion import MotionRecipe
from warprefine.training.data.motion_samples import (
    MOST_HELD_OUT,
    BatchMaker,
    Excerpt,
    Excerpts,
    Footage,
    augment,
    hold_out,
)


class Truth:
    """The true motion of the fixture's wall, which moves left by 2 pixels a frame."""

    name = "truth"

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frame_b: Tensor, frame_a: Tensor) -> Tensor:
        self.calls += 1
        shifted = (frame_b[..., :-2].float() - frame_a[..., 2:].float()).abs().mean()
        moved_left = bool(shifted < (frame_b[..., 2:].float() - frame_a[..., :-2].float()).abs().mean())
        flow = torch.zeros(1, 2, *frame_b.shape[-2:])
        flow[:, 0] = 2 if moved_left else -2
        return flow


def rebuilt_wrongly(footage: Footage) -> float:
    """Return how much, away from the border, the last frame differs from the one before it once moved."""
    frames = footage.frames.float()
    difference = resample2d(frames[:, -2], footage.flows[:, -1]) - frames[:, -1]
    return float(difference[..., 4:-4, 4:-4].abs().mean())


def excerpts(dataset: Dataset, tmp_path: Path, frames: tuple[int, ...]) -> Excerpts:
    members = [Excerpt(video=dataset.videos[0], classes=dataset.classes, frames=frames)]
    return Excerpts(members, models=Models(motion=Truth()), cache=ArrayCache(tmp_path / "cache"))


@pytest.mark.parametrize("frames", [(2, 3), (3, 2), (1, 2, 3), (3, 2, 1)])
def test_convention_each_flow_points_into_the_frame_shown_before(
    tmp_path: Path, dataset: Dataset, frames: tuple[int, ...]
) -> None:
    """Forwards and backwards in time, the flow carries each frame to the next; mirrored as well."""
    footage = excerpts(dataset, tmp_path, frames)[0]

    assert footage.frames.shape == (1, len(frames), 3, 48, 64)
    assert footage.flows.shape == (1, len(frames) - 1, 2, 48, 64)
    assert rebuilt_wrongly(footage) == 0
    assert rebuilt_wrongly(footage.mirrored()) == 0
    assert torch.equal(footage.mirrored().frames, footage.frames.flip(-1))
    assert torch.equal(footage.mirrored().flows[:, :, 0], -footage.flows[:, :, 0].flip(-1))
    turned = Footage(frames=footage.frames, flows=-footage.flows)
    assert rebuilt_wrongly(turned) > 5


def test_mirroring_leaves_motion_up_and_down() -> None:
    """Only the sign of x turns round, and every pixel's motion goes with it."""
    flows = torch.arange(2 * 2 * 3, dtype=torch.float32).view(1, 1, 2, 2, 3)

    mirrored = Footage(frames=torch.zeros(1, 2, 3, 2, 3, dtype=torch.uint8), flows=flows).mirrored().flows

    assert mirrored[0, 0, 0, 0].tolist() == [-2, -1, 0]
    assert mirrored[0, 0, 1, 0].tolist() == [8, 7, 6]


def test_motion_is_estimated_once(tmp_path: Path, dataset: Dataset) -> None:
    """What lies in the cache is not estimated again."""
    for calls in (2, 0):
        read = excerpts(dataset, tmp_path, (0, 1, 2))
        read[0]
        assert read._models.motion.calls == calls  # type: ignore[attr-defined]


@pytest.mark.parametrize("length", [2, 3])
def test_no_pair_that_is_measured_on_is_trained_on(make_dataset: Callable[..., Dataset], length: int) -> None:
    """Held-out excerpts are spread evenly over all videos, and no neighbours in them occur in training."""
    trained, held_out = hold_out(make_dataset(videos=((1,), (1,)), length=12), length=length, every=5)

    def pairs(members: list[Excerpt]) -> set[tuple[str, int]]:
        return {(e.video.name, a) for e in members for a in e.frames[:-1]}

    assert pairs(trained).isdisjoint(pairs(held_out))
    first = [(e.video.name, e.frames[0]) for e in held_out]
    starts = 12 - length + 1
    assert first == [(f"video{i // starts}", i % starts) for i in range(2, 2 * starts, 5)]
    assert all(e.frames == tuple(range(e.frames[0], e.frames[0] + length)) for e in trained + held_out)


def test_few_frames_still_leave_one_to_measure_on(make_dataset: Callable[..., Dataset]) -> None:
    """Three frames are enough: one pair to train on, one to measure on."""
    trained, held_out = hold_out(make_dataset(length=3, videos=((1,),)), length=2, every=100)

    assert [e.frames for e in trained] == [(0, 1)]
    assert [e.frames for e in held_out] == [(1, 2)]


def test_a_long_video_is_not_measured_for_ever(make_dataset: Callable[..., Dataset]) -> None:
    """However many frames there are, only so many are held out."""
    _, held_out = hold_out(make_dataset(length=130, videos=((1,),)), length=2, every=2)

    assert MOST_HELD_OUT / 2 < len(held_out) <= MOST_HELD_OUT


@pytest.mark.parametrize(("frames", "length"), [(1, 2), (2, 2), (4, 3)])
def test_too_short_videos_are_told(make_dataset: Callable[..., Dataset], frames: int, length: int) -> None:
    """Where nothing is left to train on or to measure on, that is an error."""
    dataset = make_dataset(length=frames, videos=((0,),))

    with pytest.raises(DatasetError, match="neighbouring frames, too few to train motion on some"):
        hold_out(dataset, length=length, every=8)


def test_crops_show_one_place_in_all_frames(rng: np.random.Generator) -> None:
    """Frames and flows are cut at the same place, from everywhere, and about half of them are mirrored."""
    y, x = torch.meshgrid(torch.arange(96), torch.arange(112), indexing="ij")
    places = torch.stack((x, y)).float()
    frames = torch.stack((x, y, x)).to(torch.uint8).expand(1, 2, 3, 96, 112)
    footage, recipe = Footage(frames=frames, flows=places[None, None]), MotionRecipe(crop=(64, 64))

    mirrored, corners = 0, set()
    for _ in range(200):
        crop = augment(footage, recipe, rng)
        assert crop.frames.shape == (1, 2, 3, 64, 64)
        assert torch.equal(crop.frames[0, 1, :2], crop.flows[0, 0].abs().to(torch.uint8))
        assert torch.equal(crop.frames[:, 0], crop.frames[:, 1])
        mirrored += int(crop.flows[0, 0, 0, 0, 0] < 0)
        corners.add(tuple(crop.frames[0, 0, :2].flatten(1).amin(dim=1).tolist()))
    assert 75 < mirrored < 125
    assert {corner[0] for corner in corners} == set(range(49))
    assert {corner[1] for corner in corners} == set(range(33))


def test_small_frames_are_continued(tmp_path: Path, dataset: Dataset, rng: np.random.Generator) -> None:
    """A frame smaller than the crop is mirrored on, and its motion with it."""
    footage = excerpts(dataset, tmp_path, (2, 3))[0]

    crop = augment(footage, MotionRecipe(crop=(128, 128), flip=0), rng)

    assert torch.equal(crop.frames[..., :48, :64], footage.frames)
    wrong = resample2d(crop.frames[:, 0].float(), crop.flows[:, 0]) - crop.frames[:, 1].float()
    # Next to the first mirror, at 63, flows of two columns point across it, and there is one more at 126.
    assert wrong[..., 66:124].abs().amax() == 0


@pytest.mark.parametrize(("reverse", "order"), [(0.0, "forwards"), (1.0, "backwards")])
def test_batches_are_a_function_of_seed_and_step(
    tmp_path: Path, dataset: Dataset, reverse: float, order: str
) -> None:
    """The same step gives the same batch; it is taken from the order that the recipe asks for."""
    recipe = MotionRecipe(crop=(64, 64), reverse=reverse, flip=0)
    both = excerpts(dataset, tmp_path, (2, 3)), excerpts(dataset, tmp_path, (3, 2))
    make = BatchMaker(*both, recipe, seed=1)

    batch, again = make(5), make(5)

    assert batch.frames.shape == (4, 2, 3, 64, 64)
    assert torch.equal(batch.frames, again.frames)
    assert torch.equal(batch.flows, again.flows)
    expected = both[order == "backwards"][0].flows[0, 0, 0, 0, 0]
    assert set(batch.flows[:, 0, 0, 0, 0].tolist()) == {float(expected)}


def test_videos_of_any_sizes_make_a_batch(tmp_path: Path, make_dataset: Callable[..., Dataset]) -> None:
    """Excerpts of a large video, of one smaller than the crop and of a tiny one lie in the same batches."""
    dataset = make_dataset(videos=[[], [], []], sizes=[(90, 130), (48, 64), (33, 40)])
    members, _ = hold_out(dataset, length=2, every=5)
    forwards, backwards = (
        Excerpts(chosen, models=Models(motion=Truth()), cache=ArrayCache(tmp_path / "cache"))
        for chosen in (members, [member.backwards() for member in members])
    )

    make = BatchMaker(forwards, backwards, MotionRecipe(crop=(64, 64)), seed=0)

    for step in range(4):
        batch = make(step)
        assert batch.frames.shape == (4, 2, 3, 64, 64)
        assert batch.flows.shape == (4, 1, 2, 64, 64)
