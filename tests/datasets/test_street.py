"""The synthetic street: its ground truth is exact, and it suits experiments."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from warprefine.core.errors import DatasetError, FrameError, KeyFrameError
from warprefine.core.tensors import VOID, Flow, LabelMaps
from warprefine.core.video import Dataset
from warprefine.datasets.folder import read_folder
from warprefine.datasets.street import STREET_CLASSES, StreetScene, write_street
from warprefine.io.images import read_frame, read_labels
from warprefine.ops.warp import backward_warp, lands_inside, source_points

PAIRS = [(6, 5), (5, 6), (9, 5)]
SKY, BUILDING, ROAD = (STREET_CLASSES.position(name) for name in ("sky", "building", "road"))


@pytest.fixture(scope="module")
def scene() -> StreetScene:
    return StreetScene(seed=1)


@pytest.fixture(scope="module")
def small() -> StreetScene:
    return StreetScene(seed=4, h=96, w=160, length=200)


def looked_up(labels_a: LabelMaps, flow_ba: Flow) -> LabelMaps:
    """Return the label of a at the pixel nearest to where each pixel of b comes from."""
    h, w = labels_a.shape[-2:]
    x, y = (points.round().long()[0] for points in source_points(flow_ba))
    return labels_a[:, y.clamp(0, h - 1), x.clamp(0, w - 1)]


def uniform(labels: LabelMaps) -> Tensor:
    """Mark the pixels whose eight neighbours have the same label."""
    values = labels[:, None].float()
    highest = functional.max_pool2d(values, 3, stride=1, padding=1)
    lowest = -functional.max_pool2d(-values, 3, stride=1, padding=1)
    return (highest == lowest)[:, 0]


@pytest.mark.parametrize(("b", "a"), PAIRS)
def test_a_frame_warped_along_the_flow_looks_like_the_other(scene: StreetScene, b: int, a: int):
    """Colours found along the flow differ by noise and light only; colours at the same place by far more."""
    frame_b, frame_a = scene.frame(b).float(), scene.frame(a).float()
    visible = ~scene.occluded(b, a)[:, None].expand_as(frame_b)

    along_flow = (backward_warp(frame_a, scene.flow(b, a)) - frame_b)[visible].abs().mean()
    in_place = (frame_a - frame_b)[visible].abs().mean()

    assert along_flow < 9
    assert along_flow < 0.6 * in_place


@pytest.mark.parametrize(("b", "a"), PAIRS)
def test_labels_go_along_with_the_flow(scene: StreetScene, b: int, a: int):
    """Away from borders, points visible in both frames have the same label in both."""
    labels_b, found = scene.labels(b), looked_up(scene.labels(a), scene.flow(b, a))
    inner = ~scene.occluded(b, a) & uniform(labels_b) & uniform(found)

    assert inner.float().mean() > 0.7
    assert (labels_b == found)[inner].float().mean() > 0.999


@pytest.mark.parametrize(("b", "a"), PAIRS)
def test_what_is_seen_comes_back_and_what_is_occluded_does_not(scene: StreetScene, b: int, a: int):
    """Forward-backward consistency of the flow separates visible from hidden, without the geometry."""
    flow_ba = scene.flow(b, a)
    miss = (flow_ba + backward_warp(scene.flow(a, b), flow_ba)).norm(dim=1)
    occluded, inside = scene.occluded(b, a), lands_inside(flow_ba)

    assert miss[~occluded].median() < 0.01
    assert (miss[~occluded] < 0.5).float().mean() > 0.96
    assert (miss[occluded & inside] > 0.5).float().mean() > 0.8
    assert occluded[~inside].all()


def test_convention_flow_ba_points_from_b_to_a(small: StreetScene):
    """The road comes nearer, so what is below on frame b was further up on the earlier frame a."""
    road = small.labels(3) == ROAD

    to_earlier, to_later = small.flow(3, 2)[:, 1][road], small.flow(3, 4)[:, 1][road]

    assert to_earlier.median() < -0.5
    assert to_later.median() > 0.5


@pytest.mark.parametrize("upright", [True, False])
def test_labels_change_where_the_picture_does(scene: StreetScene, upright: bool):
    """Between sky and houses, the edge in the picture is that between the labels, not half a pixel off."""
    offsets = []
    for t in (0, 10, 20):
        pixels, labels = scene.frame(t).float().mean(dim=1), scene.labels(t)
        pixels, labels = (values if upright else values.mT for values in (pixels, labels))
        offsets += [edge_offsets(pixels, labels, SKY, BUILDING), edge_offsets(pixels, labels, BUILDING, SKY)]

    assert torch.cat(offsets).numel() > 100
    assert abs(torch.cat(offsets).median()) < 0.2


def edge_offsets(pixels: Tensor, labels: LabelMaps, before: int, after: int) -> Tensor:
    """Return how many pixels behind the edge of its label the edge of each run of pixels lies."""
    runs, names = pixels.unfold(2, 6, 1), labels.unfold(2, 6, 1)
    runs = runs[(names[..., :3] == before).all(dim=-1) & (names[..., 3:] == after).all(dim=-1)]
    one, other = runs[:, :2].mean(dim=1, keepdim=True), runs[:, 4:].mean(dim=1, keepdim=True)
    clear = ((one - other).abs() > 30)[:, 0]
    return ((runs - other) / (one - other)).sum(dim=1)[clear] - 3


def test_near_things_move_more_than_far_ones(scene: StreetScene):
    """The motion of a pixel depends on its depth: the road below the camera moves, the sky hardly does."""
    speed, labels = scene.flow(6, 5).norm(dim=1), scene.labels(6)

    assert speed[labels == SKY].max() < 3
    assert 4 < speed[:, 140:180][labels[:, 140:180] == ROAD].median() < 15
    assert 8 < speed.quantile(0.99) < 25


def test_optical_flow_can_follow_the_scene(scene: StreetScene):
    """Dense inverse search finds the exact flow within half a pixel on most visible pixels."""
    gray_b, gray_a = (cv2.cvtColor(pixels(scene, t), cv2.COLOR_RGB2GRAY) for t in (6, 5))
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    estimate = torch.from_numpy(estimator.calc(gray_b, gray_a, None)).permute(2, 0, 1)[None]

    miss = (estimate - scene.flow(6, 5)).norm(dim=1)[~scene.occluded(6, 5)]
    assert miss.median() < 0.5
    assert (miss > 2).float().mean() < 0.2


def pixels(scene: StreetScene, t: int) -> np.ndarray:
    return scene.frame(t)[0].permute(1, 2, 0).numpy()


def test_a_frame_hides_nothing_from_itself(small: StreetScene):
    """From a frame to itself nothing moves and nothing is occluded, up to the edges of the picture."""
    assert small.flow(7, 7).abs().max() < 1e-6
    assert not small.occluded(7, 7).any()


def test_the_bonnet_stays_where_it_is(small: StreetScene):
    """The ego car is part of every frame, belongs to no class and does not move."""
    middle = (0, -1, 80)

    assert small.labels(5)[middle] == VOID
    assert small.flow(5, 40)[:, :, -1, 80].norm() < 1e-6
    assert not small.occluded(5, 40)[middle]


def test_what_the_camera_has_passed_is_outside(small: StreetScene):
    """Road that lies behind the camera by then has a flow that ends far below the picture."""
    road = small.labels(0)[:, 70:85] == ROAD
    flow = small.flow(0, 50)

    assert flow.isfinite().all()
    assert (source_points(flow)[1][:, 70:85][road] > 2 * small.h).all()
    assert small.occluded(0, 50)[:, 70:85][road].all()


def test_new_things_keep_coming_into_view(scene: StreetScene):
    """The further apart two frames are, the less of one can be carried over from the other."""
    new = [scene.occluded(t, 0).float().mean().item() for t in (1, 5, 10, 20)]

    assert new == sorted(new)
    assert new[0] < 0.06
    assert new[2] > 0.1


def test_every_class_and_void_occurs(scene: StreetScene, small: StreetScene):
    """A handful of scenes holds all classes, some pixels of no class and no stray labels."""
    counts = torch.zeros(256, dtype=torch.long)
    for filmed in (scene, small, StreetScene(seed=2)):
        for t in (0, 20):
            STREET_CLASSES.check(filmed.labels(t))
            counts += torch.bincount(filmed.labels(t).flatten(), minlength=256)

    share = counts / counts.sum()
    assert len(STREET_CLASSES) == 11
    assert share[: len(STREET_CLASSES)].min() > 0.002
    assert share[VOID] > 0.005
    assert share.max() < 0.5


def test_a_seed_gives_one_street_in_whatever_order_it_is_asked_for(small: StreetScene):
    """Frames may be rendered in any order, and a longer scene begins byte for byte as a shorter one."""
    again = StreetScene(seed=small.seed, h=small.h, w=small.w, length=4)
    for t in range(3):
        again.frame(t)

    assert torch.equal(again.frame(3), small.frame(3))
    assert torch.equal(again.labels(3), small.labels(3))
    assert torch.equal(again.flow(3, 2), small.flow(3, 2))
    assert torch.equal(again.occluded(3, 2), small.occluded(3, 2))


def test_two_seeds_give_two_streets(small: StreetScene):
    """Scenes of two seeds look different, and so do their labels."""
    other = StreetScene(seed=small.seed + 1, h=small.h, w=small.w, length=small.length)

    assert small != other
    assert (small.frame(0).float() - other.frame(0).float()).abs().mean() > 20
    assert (small.labels(0) != other.labels(0)).float().mean() > 0.1


def test_the_light_changes_and_the_sensor_is_noisy(small: StreetScene):
    """Even what stands still in the picture does not keep its colours."""
    bonnet = small.frame(0)[0, :, -1, 60:100].float() - small.frame(12)[0, :, -1, 60:100].float()
    sky = [small.frame(t)[0][:, small.labels(t)[0] == SKY].float().mean() for t in (0, 6, 12, 18)]

    assert bonnet.diff().std() > 2
    assert max(sky) - min(sky) > 10


def test_any_size_will_do():
    """A scene of any shape has frames, labels and flow of just that size."""
    h, w = 75, 41
    scene = StreetScene(seed=0, h=h, w=w, length=2)

    assert scene.frame(1).shape == (1, 3, h, w)
    assert scene.labels(1).shape == (1, h, w)
    assert scene.flow(1, 0).shape == (1, 2, h, w)
    assert scene.occluded(1, 0).shape == (1, h, w)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"h": 16}, r"16 x 320 pixels \(h x w\); expected at least 32 on each side"),
        ({"w": 31}, r"192 x 31 pixels \(h x w\); expected at least 32 on each side"),
        ({"length": 0}, "a street of 0 frames; expected at least one"),
        ({"seed": -1}, "a street of seed -1; expected a whole number from 0 up"),
    ],
)
def test_an_impossible_scene_is_refused(settings: dict[str, int], words: str):
    """A scene without pixels, frames or a seed is refused in one line."""
    with pytest.raises(FrameError, match=words):
        StreetScene(**{"seed": 0, **settings})


@pytest.mark.parametrize("t", [-1, 200])
def test_a_frame_beyond_the_end_is_refused(small: StreetScene, t: int):
    """There is no frame before the first or after the last, for any of the four questions."""
    words = f"frame {t} of a street of 200 frames; expected 0 to 199"
    for question in (small.frame, small.labels):
        with pytest.raises(FrameError, match=words):
            question(t)
    for question in (small.flow, small.occluded):
        for pair in ((t, 0), (0, t)):
            with pytest.raises(FrameError, match=words):
                question(*pair)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, list[tuple[int, int]]]:
    """Two written videos of five frames, read back, and the progress reports meanwhile."""
    root = tmp_path_factory.mktemp("street")
    heard: list[tuple[int, int]] = []

    def listen(task: str, done: int, total: int, note: str = "") -> None:
        heard.append((done, total))

    write_street(root, videos=2, length=5, start=1, step=3, h=48, w=64, seed=4, threads=2, progress=listen)
    return read_folder(root, "train"), heard


def test_a_written_street_is_a_data_set_folder(written: tuple[Dataset, list[tuple[int, int]]]):
    """The reader of data set folders finds the videos, the key frames and the truth of all other frames."""
    dataset, _ = written

    assert dataset.classes == STREET_CLASSES
    assert [video.name for video in dataset.videos] == ["street-000", "street-001"]
    assert [video.key_frames for video in dataset.videos] == [(1, 4), (1, 4)]
    assert [tuple(video.truth) for video in dataset.videos] == [(0, 2, 3), (0, 2, 3)]
    assert [path.name for path in dataset.videos[0].frame_paths][:2] == ["000000.jpg", "000001.jpg"]


def test_a_written_street_holds_the_scene(written: tuple[Dataset, list[tuple[int, int]]]):
    """Label files hold the exact labels, frame files the frames but for the loss of JPEG."""
    first, second = written[0].videos
    scene = StreetScene(seed=4001, h=48, w=64, length=5)

    assert torch.equal(read_labels(second.labels[1], STREET_CLASSES), scene.labels(1))
    assert torch.equal(read_labels(second.truth[2], STREET_CLASSES), scene.labels(2))
    frame = read_frame(second.frame_paths[2]).float()
    assert (frame - scene.frame(2).float()).abs().mean() < 3
    assert (frame - read_frame(first.frame_paths[2]).float()).abs().mean() > 20


def test_writing_tells_how_far_it_is(written: tuple[Dataset, list[tuple[int, int]]]):
    """Every frame counts as one part of the whole, over all videos."""
    assert written[1] == [(done, 10) for done in range(1, 11)]


@pytest.mark.parametrize("videos", [0, 1001])
def test_writing_no_or_too_many_videos_is_refused(tmp_path: Path, videos: int):
    """Two seeds share no street, so there is an end to the streets of one seed."""
    with pytest.raises(DatasetError, match=f"{videos} street videos requested in .*; expected 1 to 1000"):
        write_street(tmp_path, videos=videos)


@pytest.mark.parametrize(("start", "step"), [(5, 1), (-1, 1), (0, 0)])
def test_writing_without_a_key_frame_is_refused(tmp_path: Path, start: int, step: int):
    """A data set without a key frame cannot be labelled, so it is not written."""
    words = (
        f"key frames {start}::{step} of street videos of 5 frames; expected a start from 0 to 4 and a step"
    )
    with pytest.raises(KeyFrameError, match=words):
        write_street(tmp_path, length=5, start=start, step=step)

    assert list(tmp_path.iterdir()) == []
