"""Tests of ops/cuts.py: cuts are found, and what only looks like one is not taken for one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from warprefine.core.continuity import Continuity
from warprefine.datasets.street import StreetScene
from warprefine.io.images import read_frame
from warprefine.ops.cuts import find_continuity
from warprefine.ops.thumbnails import thumbnail

Shot = list[NDArray[np.float64]]
LENGTH, CUT = 16, 16


@cache
def _street(seed: int) -> tuple[NDArray[np.float64], ...]:
    scene = StreetScene(seed=seed, h=96, w=160, length=LENGTH)
    return tuple(scene.frame(t)[0].numpy().astype(np.float64) for t in range(LENGTH))


def street(seed: int) -> Shot:
    """Return the frames of a street, (3, h, w)."""
    return list(_street(seed))


def found_in(frames: Sequence[NDArray[np.float64]], *, sensitivity: float = 1.0) -> Continuity:
    pictures = (torch.from_numpy(frame.round().clip(0, 255).astype(np.uint8))[None] for frame in frames)
    return find_continuity(((k, thumbnail(one)) for k, one in enumerate(pictures)), sensitivity=sensitivity)


def test_a_slow_drive_is_no_dissolve() -> None:
    """The middle of two frames of one street that are alike is nearly a mixture of them; that is no cut."""
    scene = StreetScene(seed=0, h=96, w=128, length=30)

    assert not found_in([scene.frame(t)[0].numpy().astype(np.float64) for t in range(30)])


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 2), (2, 3), (3, 0), (1, 3)])
def test_the_cut_between_two_streets_is_found_and_nothing_else(first: int, second: int) -> None:
    """It lies before the first frame of the second street."""
    assert found_in(street(first) + street(second)) == Continuity(cuts=(CUT,))


def test_a_street_has_no_cut() -> None:
    """At its frame rate and at half of it: motion alone is none."""
    for seed in range(4):
        for every in (1, 2):
            assert not found_in(street(seed)[::every])


@pytest.mark.parametrize("gain", [0.25, 0.5, 1.6])
def test_an_exposure_jump_is_no_cut(gain: float) -> None:
    """It is told of, with the frame at which the brightness has changed."""
    frames = [frame * (gain if k >= 8 else 1) for k, frame in enumerate(street(0))]

    assert found_in(frames) == Continuity(exposure_jumps=(8,))


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize(("gain", "light"), [(1.5, 80), (1.5, 140), (1.0, 190)])
def test_a_flash_is_no_cut(length: int, gain: float, light: float) -> None:
    """Light is added for a few frames, most of which it saturates; then the same shot goes on."""
    flash = range(8, 8 + length)
    frames = [frame * gain + light if k in flash else frame for k, frame in enumerate(street(0))]

    assert found_in(frames) == Continuity(exposure_jumps=(8, 8 + length))


def test_other_frames_between_are_a_shot_of_their_own() -> None:
    """A frame of another street is no flash, though the first street goes on after it."""
    frames = street(0)
    frames[8] = street(2)[8]

    assert found_in(frames).cuts == (8, 9)


def test_frames_of_one_colour_are_blank() -> None:
    """A flash that leaves nothing, and a fade to black; neither is a cut beside."""
    white = [frame + 300 if k == 8 else frame for k, frame in enumerate(street(0))]
    fade = [frame * abs(k - 8) / 8 for k, frame in enumerate(street(0))]

    assert found_in(white) == Continuity(blank=(8,))
    assert found_in(fade).blank == (8,)
    assert found_in(fade).cuts == ()


def test_a_video_without_anything_to_see_has_no_blank_frames() -> None:
    """There is nothing that labels would have to be kept from."""
    assert found_in([np.full((3, 40, 60), 9.0)] * 4).blank == ()


@pytest.mark.parametrize("length", [1, 3, 6])
def test_a_dissolve_is_a_cut_in_its_middle(length: int) -> None:
    """Frames that mix two streets lie on both sides of it."""
    shares = [min(max((k - 5) / (length + 1), 0), 1) for k in range(LENGTH)]
    pairs = zip(street(0), street(2), shares, strict=True)

    (cut,) = found_in([(1 - share) * a + share * b for a, b, share in pairs]).cuts

    assert 0 < shares[cut] < 1 or 0 < shares[cut - 1] < 1


def test_repeated_frames_are_told_of() -> None:
    """A picture that stays, as in a video of another frame rate, is neither blank nor a cut."""
    frames = street(0)

    assert found_in([frames[k - k % 2] for k in range(8)]) == Continuity(repeated=(1, 3, 5, 7))


def test_noise_night_and_fast_motion_are_no_cuts(rng: np.random.Generator) -> None:
    """Noise of 20 grey levels, a tenth of the light with noise, and a pan of a tenth of the width a frame."""
    frames = street(0)

    assert not found_in([frame + rng.normal(0, 20, frame.shape) for frame in frames])
    assert not found_in([frame / 10 + rng.normal(0, 2, frame.shape) for frame in frames])
    assert not found_in([np.roll(frame, 16 * k, axis=2) for k, frame in enumerate(frames)])


def test_a_cut_is_found_at_night_and_below_a_logo(rng: np.random.Generator) -> None:
    """Neither little light with noise nor a picture that stays in a corner hides it."""
    frames = street(0) + street(3)
    night = [frame / 10 + rng.normal(0, 2, frame.shape) for frame in frames]
    logo = [frame.copy() for frame in frames]
    for frame in logo:
        frame[:, 6:26, 6:50], frame[:, 12:20, 12:44] = 255, 0

    assert found_in(night).cuts == (CUT,)
    assert found_in(logo).cuts == (CUT,)


def test_nothing_is_compared_across_frames_that_are_missing() -> None:
    """Where frames cannot be read or are not needed, there is no step."""
    frames = street(0) + street(1)
    pictures = (torch.from_numpy(frame.astype(np.uint8))[None] for frame in frames)
    thumbnails = [(k, thumbnail(one)) for k, one in enumerate(pictures) if k != CUT]

    assert not find_continuity(thumbnails)


def test_sensitivity_decides_how_much_a_cut_changes() -> None:
    """A tenth finds no cut between two streets; five times as much finds some in one."""
    assert not found_in(street(0) + street(1), sensitivity=0.1)
    assert found_in(street(0), sensitivity=5.0).cuts


@pytest.mark.parametrize("place", ["camvid/clip15hz/images", "davis2016/car-shadow"])
def test_real_clips_without_cuts_have_none(shared: Path, place: str) -> None:
    """At their frame rates and at a quarter of them; joined to a street there is one."""
    paths = sorted((shared / "data" / place).rglob("*.jpg"))
    thumbnails = [thumbnail(read_frame(path)) for path in paths]

    assert len(paths) >= 40
    assert not find_continuity(enumerate(thumbnails)).cuts
    assert not find_continuity(enumerate(thumbnails[::4])).cuts


def test_the_cut_between_two_real_clips_is_found(shared: Path) -> None:
    """CamVid and DAVIS, cut to one size, in either order."""
    folders = (shared / "data/camvid/clip15hz/images", shared / "data/davis2016/car-shadow")
    first, second = (
        [read_frame(path)[..., :360, :480] for path in sorted(folder.rglob("*.jpg"))[:20]]
        for folder in folders
    )
    for frames in (first + second, second + first):
        assert find_continuity((k, thumbnail(frame)) for k, frame in enumerate(frames)).cuts == (20,)
