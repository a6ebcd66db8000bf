"""Tests of propagation/joint.py: images are propagated exactly as labels are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from warprefine.io.array_cache import ArrayCache
from warprefine.io.images import read_frame
from warprefine.io.run import RunFolder
from warprefine.propagation.joint import joint_path, propagate_images


@pytest.fixture
def run(tmp_path: Any) -> RunFolder:
    """An empty run folder."""
    return RunFolder(tmp_path / "run")


def propagated(run: RunFolder, video: Any, frame: int) -> torch.Tensor:
    return read_frame(joint_path(run, video.name, video.stems[frame]))


def test_a_propagated_image_shows_the_key_frame_where_it_has_moved_to(drive: Any, run: RunFolder) -> None:
    """Where the wall of the key frame is still in view, the propagated image equals the real frame."""
    video = drive.video([1])
    propagate_images(run, drive.dataset(video), drive.models(), cache=ArrayCache(run.cache), offsets=(2,))

    in_view = drive.in_view([1, 2], 3).expand(3, -1, -1)
    assert torch.equal(propagated(run, video, 3)[0][in_view], drive.frame(3)[0][in_view])
    assert not torch.equal(propagated(run, video, 3), drive.frame(3))


def test_only_frames_at_the_given_distances_are_written(drive: Any, run: RunFolder) -> None:
    """Of the frames 0 to 3 around key frame 1, those at distance 1 are 0 and 2."""
    video = drive.video([1])
    propagate_images(run, drive.dataset(video), drive.models(), cache=ArrayCache(run.cache), offsets=(1,))

    written = sorted(path.stem for path in (run.root / "joint" / video.name).iterdir())
    assert written == [video.stems[0], video.stems[2]]


def test_images_are_propagated_once(drive: Any, run: RunFolder) -> None:
    """A second call leaves the files alone; one that is missing is written again."""
    video = drive.video([1])
    models = drive.models()
    propagate_images(run, drive.dataset(video), models, cache=ArrayCache(run.cache), offsets=(1, 2))
    path = joint_path(run, video.name, video.stems[2])
    before = path.stat().st_mtime_ns
    propagate_images(run, drive.dataset(video), models, cache=ArrayCache(run.cache), offsets=(1, 2))
    assert path.stat().st_mtime_ns == before

    path.unlink()
    propagate_images(run, drive.dataset(video), models, cache=ArrayCache(run.cache), offsets=(1, 2))
    assert path.exists()


def test_images_are_propagated_again_with_other_motion(drive: Any, run: RunFolder) -> None:
    """Images of one motion estimator are not taken for those of another."""
    video, models = drive.video([1]), drive.models()
    propagate_images(run, drive.dataset(video), models, cache=ArrayCache(run.cache), offsets=(1,))
    before = joint_path(run, video.name, video.stems[2]).stat().st_mtime_ns
    models.motion.name = "another"

    propagate_images(run, drive.dataset(video), models, cache=ArrayCache(run.cache), offsets=(1,))

    assert joint_path(run, video.name, video.stems[2]).stat().st_mtime_ns != before


def test_a_frame_that_gets_another_key_frame_gets_its_image(film: Callable[..., Any], run: RunFolder) -> None:
    """Frame 2 first shows key frame 3, and key frame 1 once there is one: the earlier on a tie."""
    drive = film(step=(3, 0))
    propagate_images(
        run, drive.dataset(drive.video([3])), drive.models(), cache=ArrayCache(run.cache), offsets=(1,)
    )
    first = propagated(run, drive.video([3]), 2)

    video = drive.video([1, 3])
    propagate_images(run, drive.dataset(video), drive.models(), cache=ArrayCache(run.cache), offsets=(1,))

    second = propagated(run, video, 2)
    for image, key in ((first, 3), (second, 1)):
        in_view = drive.in_view([key], 2).expand(3, -1, -1)
        assert torch.equal(image[0][in_view], drive.frame(2)[0][in_view])
    assert not torch.equal(first, second)


def test_the_manifest_has_the_provenance_of_propagated_images(drive: Any, run: RunFolder) -> None:
    """Each written image is recorded with its key frame and the distance to it, and no other."""
    video = drive.video([1, 5])
    propagate_images(run, drive.dataset(video), drive.models(), cache=ArrayCache(run.cache), offsets=(1,))

    found = {k: (p.key_frames, p.distance) for k, p in run.manifest.provenances(video.name, "joint").items()}
    assert found == {0: ((1,), 1), 2: ((1,), 1), 4: ((5,), 1)}


def test_progress_counts_walks(drive: Any, run: RunFolder) -> None:
    """Progress is reported after each walk, also after those that are done already."""
    reports: list[tuple[object, ...]] = []
    for _ in range(2):
        propagate_images(
            run,
            drive.dataset(drive.video([1])),
            drive.models(),
            cache=ArrayCache(run.cache),
            offsets=(2,),
            progress=lambda task, done, total, note="": reports.append((task, done, total, note)),
        )

    assert reports == [("propagating images", done, 2, "drive") for done in (1, 2)] * 2
