"""Tests of motion/dis.py: optical flow that points the way of the project's conventions."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from warprefine.core.errors import FrameError
from warprefine.core.protocols import MotionEstimator
from warprefine.motion import MOTIONS
from warprefine.motion.dis import ENLARGED_BELOW, SMALLEST_SIDE, DISFlow
from warprefine.ops.warp import backward_warp
from warprefine.propagation.two_sided.direct_flow import RefinesFlow


def wallpaper(rng: np.random.Generator, h: int, w: int) -> Tensor:
    """Paint soft random colours, (1, 3, h, w)."""
    noise = cv2.GaussianBlur(rng.uniform(0, 255, (h, w, 3)).astype(np.float32), (0, 0), 2)
    stretched = (noise - noise.min()) / (noise.max() - noise.min()) * 255
    return torch.from_numpy(stretched.astype(np.uint8)).permute(2, 0, 1)[None].contiguous()


def moving(rng: np.random.Generator, *, right: int, down: int) -> tuple[Tensor, Tensor]:
    """Return two frames, a and b, of a picture that moves by whole pixels from a to b."""
    wall = wallpaper(rng, 112, 144)
    frame_a = wall[:, :, 16:-16, 16:-16]
    frame_b = wall[:, :, 16 - down : 96 - down, 16 - right : 128 - right]
    return frame_a, frame_b


@pytest.mark.parametrize("name", sorted(MOTIONS))
def test_convention_estimated_flow_points_back_to_where_things_came_from(
    rng: np.random.Generator, name: str
) -> None:
    """What moves right by 3 and down by 2 has flow_ba = (-3, -2)."""
    frame_a, frame_b = moving(rng, right=3, down=2)

    flow_ba = MOTIONS[name]()(frame_b, frame_a)

    middle = flow_ba[0, :, 10:-10, 10:-10].flatten(1)
    torch.testing.assert_close(middle.median(dim=1).values, torch.tensor([-3.0, -2.0]), atol=0.05, rtol=0)
    assert (middle - torch.tensor([[-3.0], [-2.0]])).abs().mean() < 0.1


@pytest.mark.parametrize(("right", "down"), [(4, 0), (-3, 1), (0, -5)])
def test_convention_frame_a_warped_along_the_flow_is_frame_b(
    rng: np.random.Generator, right: int, down: int
) -> None:
    """The flow from b into a rebuilds b out of a."""
    frame_a, frame_b = moving(rng, right=right, down=down)

    rebuilt = backward_warp(frame_a.float(), DISFlow()(frame_b, frame_a))

    inside = (..., slice(10, -10), slice(10, -10))
    assert (rebuilt - frame_b)[inside].abs().mean() < 1.5
    assert (frame_a.float() - frame_b)[inside].abs().mean() > 15


def test_every_name_belongs_to_its_estimator() -> None:
    """A motion estimator is listed under its own `name`, which the cache's keys hold."""
    assert [make().name for make in MOTIONS.values()] == list(MOTIONS)
    assert all(isinstance(make(), MotionEstimator) for make in MOTIONS.values())


@pytest.mark.parametrize("preset", ["medium", "fine", "sharp"])
def test_flow_does_not_depend_on_what_was_estimated_before(rng: np.random.Generator, preset: str) -> None:
    """The same two frames give the same flow, alone, in a batch, or after other work."""
    first, second = moving(rng, right=3, down=2), moving(rng, right=-2, down=4)
    used = DISFlow(preset)  # type: ignore[arg-type]
    used(*second)

    alone = DISFlow(preset)(*first)  # type: ignore[arg-type]

    assert torch.equal(used(*first), alone)
    batch = used(torch.cat([second[0], first[0]]), torch.cat([second[1], first[1]]))
    assert torch.equal(batch[1:], alone)


def test_a_thin_bar_keeps_its_own_motion_where_flow_is_fine(rng: np.random.Generator) -> None:
    """A bar 2 px wide that moves by 4 px before a wall at rest is followed, not taken for the wall."""
    wall, bar = wallpaper(rng, 96, 128), 255 - wallpaper(rng, 96, 2) // 4
    frame_a, frame_b = wall.clone(), wall.clone()
    frame_a[..., 56:58] = bar
    frame_b[..., 60:62] = bar

    misses = {}
    for preset in ("medium", "fine", "sharp"):
        flow_ba = DISFlow(preset)(frame_b, frame_a)[0, :, 10:-10]  # type: ignore[arg-type]
        misses[preset] = (flow_ba[0, :, 60:62] + 4).abs().mean()
        assert flow_ba[:, :, 90:].abs().mean() < 0.1, "the wall stands still"

    assert misses["fine"] < 0.3
    assert misses["sharp"] < 0.3
    assert misses["medium"] > 3


def far_apart(rng: np.random.Generator, right: int) -> tuple[Tensor, Tensor]:
    """Return two frames, a and b, of a picture that moves far to the right from a to b."""
    wall = wallpaper(rng, 112, 224)
    return wall[..., right:].contiguous(), wall[..., : 224 - right].contiguous()


@pytest.mark.parametrize("begun_at", [-30.0, -28.0])
def test_motion_too_large_to_be_found_is_found_from_where_it_is_nearly_right(
    rng: np.random.Generator, begun_at: float
) -> None:
    """Begun from the true flow the search ends there, and begun nearby too; begun at rest it is lost."""
    frame_a, frame_b = far_apart(rng, 30)
    motion, begin = DISFlow("medium"), torch.zeros(1, 2, *frame_a.shape[-2:])
    begin[:, 0] = begun_at

    misses = {
        name: (flow_ba[0, 0, 10:-10, 40:-10] + 30).abs().mean()
        for name, flow_ba in (
            ("nearby", motion.refine_flow(frame_b, frame_a, begin)),
            ("rest", motion.refine_flow(frame_b, frame_a, torch.zeros_like(begin))),
            ("nothing", motion(frame_b, frame_a)),
        )
    }

    assert misses["nearby"] < 0.1
    assert misses["rest"] > 5
    assert misses["nothing"] > 5


@pytest.mark.parametrize("preset", ["fine", "sharp"])
def test_each_frame_of_a_batch_is_improved_from_its_own_flow(rng: np.random.Generator, preset: str) -> None:
    """The flow that a search begins from is that of its frame, is not written to, and leaves no trace."""
    near, far = moving(rng, right=3, down=2), moving(rng, right=-12, down=9)
    motion, begins = DISFlow(preset), torch.zeros(2, 2, 80, 112)  # type: ignore[arg-type]
    begins[1, 0], begins[1, 1] = 12, -9
    given = begins.clone()

    alone = [motion.refine_flow(b, a, begins[i : i + 1]) for i, (a, b) in enumerate((near, far))]
    batch = motion.refine_flow(torch.cat([near[1], far[1]]), torch.cat([near[0], far[0]]), begins)

    assert isinstance(motion, RefinesFlow)
    assert torch.equal(begins, given)
    assert torch.equal(batch, torch.cat(alone))
    middle = batch[..., 15:-15, 15:-15].flatten(2).median(dim=2).values
    torch.testing.assert_close(middle, torch.tensor([[-3.0, -2.0], [12.0, -9.0]]), atol=0.05, rtol=0)


def test_convention_frames_are_rgb(rng: np.random.Generator) -> None:
    """Red is brighter to the eye than blue: where they move apart, the flow follows the red."""
    left_a, left_b = moving(rng, right=-3, down=0)
    right_a, right_b = moving(rng, right=3, down=0)
    frame_a, frame_b = torch.zeros_like(left_a), torch.zeros_like(left_b)
    frame_a[:, 0], frame_b[:, 0] = right_a[:, 0], right_b[:, 0]
    frame_a[:, 2], frame_b[:, 2] = left_a[:, 2], left_b[:, 2]

    flow_ba = DISFlow()(frame_b, frame_a)

    assert flow_ba[0, 0].median() == pytest.approx(-3, abs=0.3)


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium", "fine", "sharp"])
@pytest.mark.parametrize(
    "size", [(SMALLEST_SIDE, SMALLEST_SIDE), (SMALLEST_SIDE, 700), (700, SMALLEST_SIDE), (33, 47)]
)
def test_the_smallest_frames_have_flow(rng: np.random.Generator, preset: str, size: tuple[int, int]) -> None:
    """From the smallest size on, flow comes out finite and as large as the frame."""
    frame = wallpaper(rng, *size)

    flow = DISFlow(preset)(frame, frame)  # type: ignore[arg-type]

    assert flow.shape == (1, 2, *size)
    assert flow.abs().amax() < 0.5


@pytest.mark.parametrize("wide", [640, 720])
def test_small_and_large_frames_move_by_the_same_pixels(rng: np.random.Generator, wide: int) -> None:
    """Where small frames are enlarged, and where they are not, flow is in pixels of the frame, unshifted."""
    wall = wallpaper(rng, 400, wide + 8)
    frame_a, frame_b = wall[..., 4:-4].contiguous(), wall[..., 2:-6].contiguous()
    assert (400 * wide <= ENLARGED_BELOW) == (wide == 640)

    flow_ba = DISFlow("sharp")(frame_b, frame_a)[0, :, 20:-20, 20:-20]

    assert (flow_ba - torch.tensor([-2.0, 0.0])[:, None, None]).abs().mean() < 0.05


def test_frames_too_small_for_flow_are_refused() -> None:
    """The error names the frame's size and the smallest side that flow can be estimated on."""
    frame = torch.zeros(1, 3, 31, 64, dtype=torch.uint8)

    with pytest.raises(
        FrameError, match=r"frames are 31 x 64 pixels \(h x w\); optical flow needs at least 32 each"
    ):
        DISFlow()(frame, frame)
    with pytest.raises(FrameError, match="31 x 64"):
        DISFlow().refine_flow(frame, frame, torch.zeros(1, 2, 31, 64))


def test_flow_does_not_depend_on_the_threads_of_the_callers_program() -> None:
    """OpenCV's own result does; the caller's number of threads is as it was afterwards."""
    y, x = torch.arange(256.0)[:, None], torch.arange(260.0)
    image = (60 * ((y / 5).sin() + (x / 4).sin()) + 128).byte().expand(1, 3, 256, 260)
    frame_a, frame_b, threads = image[..., 4:], image[..., 2:-2], cv2.getNumThreads()
    flows = []
    try:
        for count in (1, 4):
            cv2.setNumThreads(count)
            flows.append(DISFlow("medium")(frame_b, frame_a))
            assert cv2.getNumThreads() == count
    finally:
        cv2.setNumThreads(threads)

    assert torch.equal(*flows)


def test_a_copy_in_another_process_estimates_the_same_flow(rng: np.random.Generator) -> None:
    """Motion travels to the workers of a cluster, though OpenCV's own objects cannot."""
    frames = [torch.from_numpy(rng.integers(0, 256, (1, 3, 48, 64), dtype=np.uint8)) for _ in range(2)]
    motion = DISFlow("sharp")

    copy = pickle.loads(pickle.dumps(motion))

    assert copy.name == "dis-sharp"
    assert torch.equal(copy(*frames), motion(*frames))
