"""Tests of training/synthetic/clips.py: of one labelled picture a clip is made, whose truth is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from warprefine.core.errors import FrameError
from warprefine.core.tensors import VOID, Frames, LabelMaps
from warprefine.motion.dis import DISFlow
from warprefine.ops.label_vote import vote_labels
from warprefine.ops.warp import backward_warp, lands_inside
from warprefine.recipe.synthetic import SyntheticMotion
from warprefine.training.synthetic.clips import SyntheticClip, synthetic_clip

SKY, ROAD, CAR, POLE, BIN = 0, 1, 2, 3, VOID
STILL = SyntheticMotion(zoom=0, shift=0, rotation=0, own_shift=0, gain=0, noise=0, blur=0)
SEEN = SyntheticMotion(gain=0, noise=0, blur=0)


def street(h: int = 120, w: int = 160) -> tuple[Frames, LabelMaps]:
    """Draw a soft pattern of colours, labelled as sky, road, two cars, a pole, and a bin that is VOID."""
    labels = np.full((120, 160), SKY, np.uint8)
    labels[54:] = ROAD
    labels[80:100, 30:60], labels[56:64, 90:102] = CAR, CAR
    labels[20:90, 120:124], labels[94:104, 134:144] = POLE, BIN
    labels = cv2.resize(labels, (w, h), interpolation=cv2.INTER_NEAREST)
    pattern = np.random.default_rng(1).normal(0, 150, (h, w, 3)).astype(np.float32)
    shades = np.array([170, 90, 130, 60], np.float32)[np.where(labels == VOID, 0, labels)]
    image = (cv2.GaussianBlur(pattern, (0, 0), 2) + shades[..., None]).clip(0, 255).astype(np.uint8)
    return torch.from_numpy(image).permute(2, 0, 1)[None].contiguous(), torch.from_numpy(labels)[None]


def film(motion: SyntheticMotion = SEEN, *, length: int = 5, seed: int = 0) -> SyntheticClip:
    return synthetic_clip(*street(), length=length, motion=motion, rng=np.random.default_rng(seed))


def motion_of(**settings: float) -> SyntheticMotion:
    """Return settings in which nothing moves or changes but what is named."""
    return SyntheticMotion.model_validate({**STILL.model_dump(), **settings})


def inside_of_regions(labels: LabelMaps, margin: int = 2) -> Tensor:
    """Mark the pixels that have no other label within `margin` pixels."""
    (pixels,) = labels.numpy()
    window = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    return torch.from_numpy(cv2.erode(pixels, window) == cv2.dilate(pixels, window))[None]


def test_a_clip_begins_with_the_picture_itself() -> None:
    """Frame 0 and its labels are the real ones, without noise; nothing has moved and all is seen."""
    frame, labels = street()
    clip = film(SyntheticMotion())

    assert torch.equal(clip.frames[0], frame)
    assert torch.equal(clip.labels[0], labels)
    assert not clip.flows[0].any()
    assert clip.visible[0].all()
    assert [len(part) for part in (clip.frames, clip.labels, clip.flows, clip.visible)] == [5] * 4


@pytest.mark.parametrize("seed", range(4))
def test_labels_come_back_along_the_true_flow(seed: int) -> None:
    """What is carried back from any frame is what was sent out, wherever it has been seen."""
    _, labels = street()
    clip = film(seed=seed)
    agreement = []
    for there, flow, visible in zip(clip.labels, clip.flows, clip.visible, strict=True):
        back, _ = vote_labels(there, flow)
        judged = visible & inside_of_regions(labels)
        agreement.append(float((back == labels)[judged].float().mean()))
        assert judged.float().mean() > 0.5

    assert min(agreement) > 0.99
    assert (clip.labels[4] != labels).float().mean() > 0.02


@pytest.mark.parametrize("seed", range(4))
def test_frames_come_back_along_the_true_flow(seed: int) -> None:
    """Colours are carried back, too, up to what is lost by drawing them between pixels."""
    frame, _ = street()
    clip = film(seed=seed)

    for there, flow, visible in zip(clip.frames[1:], clip.flows[1:], clip.visible[1:], strict=True):
        miss = (backward_warp(there.float(), flow) - frame).abs().mean(dim=1)
        assert miss[visible].mean() < 3
        assert (there.float() - frame).abs().mean() > 6


def test_nothing_changes_when_nothing_moves() -> None:
    """Without motion, noise and blur all frames are the first, to the last bit."""
    frame, labels = street()
    clip = film(STILL)

    assert all(torch.equal(one, frame) for one in clip.frames)
    assert all(torch.equal(one, labels) for one in clip.labels)
    assert all(flow.abs().max() < 1e-4 for flow in clip.flows)
    assert all(one.all() for one in clip.visible)


def test_things_cover_and_uncover_the_background() -> None:
    """Cars that drive before a camera at rest hide road, and show road where they were."""
    _, labels = street()
    clip = film(motion_of(own_shift=0.03, moving=1.0, jitter=0.0))
    there, flow, visible = clip.labels[4], clip.flows[4], clip.visible[4]
    moved = flow.norm(dim=1) > 0.1

    assert torch.equal(moved, (labels != SKY) & (labels != ROAD))
    assert (~visible & ~moved).sum() > 50  # hidden road
    assert ((labels == CAR) & (there == ROAD)).sum() > 50  # road that came into view
    assert torch.equal(there == labels, (there == labels) & (visible | moved))


def test_only_some_things_move_by_themselves() -> None:
    """Half of the things, or none, move before a camera at rest, as is asked for."""

    def share(moving: float) -> float:
        _, labels = street()
        places = [(90, 45), (60, 96), (50, 121), (98, 138)]  # (y, x) of the four things
        clips = [film(motion_of(own_shift=0.02, moving=moving), length=2, seed=seed) for seed in range(25)]
        moved = [bool(clip.flows[1][0, :, y, x].norm() > 0) for clip in clips for y, x in places]
        assert all(clip.flows[1][0, :, labels[0] == ROAD].abs().max() < 1e-4 for clip in clips)
        return sum(moved) / len(moved)

    assert share(0.0) == 0
    assert share(0.5) == pytest.approx(0.5, abs=0.15)
    assert share(1.0) == 1


def test_near_things_move_faster_than_the_background() -> None:
    """When the camera goes sideways, a thing at 100 of 120 rows moves 1 + 1.5 · 100 / 120 times as far."""
    clip = film(motion_of(shift=0.02, parallax=2.5), length=2)
    road, car = clip.flows[1][0, :, 70, 10], clip.flows[1][0, :, 90, 45]

    assert road.norm() > 0.1
    assert torch.allclose(car, road * (1 + 1.5 * 100 / 120), atol=1e-3)


@pytest.mark.parametrize("way", [{"shift": 0.02, "things": 0}, {"own_shift": 0.02, "moving": 1}])
def test_cameras_and_things_go_sideways_more_than_up_and_down(way: dict[str, float]) -> None:
    """Either goes at most 0.02 of the width to a side in a frame, and a quarter of that up or down."""
    clips = [film(motion_of(jitter=0, **way), length=2, seed=seed) for seed in range(12)]
    sideways, upright = torch.stack([clip.flows[1][0, :, 90, 45].abs() for clip in clips]).T

    assert 0.8 * 3.2 < sideways.max() <= 3.2
    assert 0.8 * 0.8 < upright.max() <= 0.8


def test_zoom_leaves_a_point_near_the_middle_where_it_is() -> None:
    """The background spreads from one point within a tenth of the middle, by the same share everywhere."""
    fixed_points = []
    for seed in range(5):
        flow = film(motion_of(zoom=0.03, things=0, jitter=0), length=2, seed=seed).flows[1][0]
        growth = float(flow[0, 0, -1] - flow[0, 0, 0]) / 159
        x, y = -float(flow[0, 0, 0]) / growth, -float(flow[1, 0, 0]) / growth

        assert 0 < abs(growth) <= np.exp(0.03) - 1
        assert float(flow[1, -1, 0] - flow[1, 0, 0]) / 119 == pytest.approx(growth, rel=1e-3)
        assert abs(x - 79.5) <= 16
        assert abs(y - 59.5) <= 12
        fixed_points.append((round(x), round(y)))
    assert len(set(fixed_points)) == 5


def test_near_things_grow_faster_than_the_background() -> None:
    """Where the background grows by some factor, a near thing does by the power 1 + 1.5 · 100 / 120 of it."""
    flow = film(motion_of(zoom=0.03, parallax=2.5, jitter=0), length=2).flows[1][0].double()
    road = 1 + float(flow[0, 70, 80] - flow[0, 70, 0]) / 80
    car = 1 + float(flow[0, 90, 58] - flow[0, 90, 32]) / 26

    assert abs(road - 1) > 0.002
    assert np.log(car) / np.log(road) == pytest.approx(1 + 1.5 * 100 / 120, rel=1e-2)


def test_a_camera_that_turns_keeps_distances() -> None:
    """All of the picture, near or far, turns by the same angle, of at most the largest one."""
    flow = film(motion_of(rotation=2.0, jitter=0), length=2).flows[1][0].double()
    along = flow[:, 0, -1] - flow[:, 0, 0] + torch.tensor([159.0, 0.0])
    angle = float(torch.rad2deg(torch.atan2(along[1], along[0])))

    assert float(along.norm()) == pytest.approx(159, abs=0.01)
    assert 0.05 < abs(angle) <= 2
    assert torch.allclose(
        flow[:, 90, 46] - flow[:, 90, 45], along / 159 - torch.tensor([1.0, 0.0]), atol=1e-3
    )


def test_motion_is_steady() -> None:
    """Without jitter all steps are alike; with it they differ by what it allows, and do not add up."""
    steady, unsteady = (
        torch.stack([flow[0, 0, 5, 5] for flow in film(motion_of(shift=0.02, jitter=jitter), length=9).flows])
        for jitter in (0.0, 0.3)
    )
    step = steady[1]

    assert 0.1 < step.abs() <= 0.02 * 160
    assert torch.allclose(steady, step * torch.arange(9), atol=1e-3)
    assert 0.05 < ((unsteady - steady) / step).abs().max() <= 0.3 + 1e-3
    assert ((unsteady - steady)[-1] / step).abs() <= 0.3 + 1e-3


def test_what_leaves_the_picture_is_not_visible() -> None:
    """Before a camera that goes sideways all is seen that lands inside, as long as nothing is in front."""
    clip = film(motion_of(shift=0.05, things=0))

    for flow, visible in zip(clip.flows, clip.visible, strict=True):
        assert torch.equal(visible, lands_inside(flow))
    assert 0.4 < clip.visible[4].float().mean() < 0.99


def test_cameras_go_either_way() -> None:
    """Of many clips, some zoom in and some out, some go to the left and some to the right."""
    clips = [film(motion_of(zoom=0.03, things=0), length=2, seed=seed) for seed in range(12)]
    growth = torch.stack([clip.flows[1][0, 0, 0, -1] - clip.flows[1][0, 0, 0, 0] for clip in clips])

    assert growth.min() < 0 < growth.max()


def test_brightness_noise_and_focus_change() -> None:
    """Each frame is brighter or darker, has noise of its own and is blurred, as far as is asked for."""
    frame = street()[0].float()

    brighter = film(motion_of(gain=0.05, jitter=0)).frames[4].float()
    assert (brighter / frame).median().item() == pytest.approx(
        (brighter.mean() / frame.mean()).item(), abs=0.02
    )
    assert 0.01 < abs(float(brighter.mean() / frame.mean()) - 1) <= 0.2

    one, other = film(motion_of(noise=3), length=3).frames[1:]
    assert float((one - frame).std()) == pytest.approx(3, abs=0.2)
    assert not torch.equal(one, other)

    blurred = film(motion_of(blur=1)).frames[1].float()
    assert 0.2 < (blurred - frame).abs().mean() < 9
    assert blurred.diff(dim=-1).abs().mean() < frame.diff(dim=-1).abs().mean()


def test_no_label_is_made_up() -> None:
    """VOID moves like any class and is neither lost nor spread, and no other class appears."""
    _, labels = street()
    clip = film()

    assert all(set(one.unique().tolist()) <= set(labels.unique().tolist()) for one in clip.labels)
    assert all(50 < (one == VOID).sum() < 200 for one in clip.labels)


def test_the_same_numbers_give_the_same_clip() -> None:
    """A clip follows from the random numbers that it is given, and others give another."""
    first, again, other = (film(SyntheticMotion(), seed=seed) for seed in (3, 3, 4))

    assert all(torch.equal(a, b) for a, b in zip(first.frames, again.frames, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first.flows, again.flows, strict=True))
    assert not torch.equal(first.frames[1], other.frames[1])
    assert not torch.equal(first.flows[1], other.flows[1])


def test_the_picture_itself_is_not_changed() -> None:
    """Samples are kept and filmed again and again."""
    frame, labels = street()
    before = frame.clone(), labels.clone()

    synthetic_clip(frame, labels, length=4, motion=SyntheticMotion(), rng=np.random.default_rng(0))

    assert torch.equal(frame, before[0])
    assert torch.equal(labels, before[1])


@pytest.mark.parametrize("label", [0, 200, VOID])
def test_small_pictures_and_single_classes(label: int) -> None:
    """A picture of 48 x 64 is filmed like any other, and of a single class there is only background."""
    frame, labels = street(48, 64)
    rng = np.random.default_rng(0)
    motion = SyntheticMotion()

    small = synthetic_clip(frame, labels, length=6, motion=motion, rng=rng)
    plain = synthetic_clip(frame, torch.full_like(labels, label), length=3, motion=motion, rng=rng)

    assert all(one.shape == (1, 3, 48, 64) for one in small.frames)
    assert all((one == label).all() for one in plain.labels)
    assert torch.equal(plain.visible[2], lands_inside(plain.flows[2]))


def test_a_clip_of_one_frame_is_the_picture() -> None:
    """The shortest clip has nothing made up; a shorter one is refused."""
    assert len(film(length=1).frames) == 1
    with pytest.raises(FrameError, match="a clip of 0 frames; expected at least one"):
        film(length=0)


def test_optical_flow_finds_the_motion() -> None:
    """What an estimator sees in the pictures is the motion that they were made with."""
    for seed in range(3):
        clip = film(SyntheticMotion(), seed=seed)
        miss = (DISFlow()(clip.frames[0], clip.frames[1]) - clip.flows[1]).norm(dim=1)

        assert miss[clip.visible[1]].median() < 0.5
        assert clip.flows[1].norm(dim=1).median() > 1
