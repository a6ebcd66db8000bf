"""Tests of motion/raft.py and its parts: the network's arithmetic, and the released weights if at hand."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from warprefine.core.errors import CheckpointError
from warprefine.core.protocols import MotionEstimator
from warprefine.io.flow_files import read_kitti_flow
from warprefine.io.images import read_frame
from warprefine.motion.raft import RAFT, SIZES, RAFTFlow, read_raft
from warprefine.motion.raft_ops import CorrelationPyramid, upsample_bilinear, upsample_convex
from warprefine.motion.raft_parts import published_name


def published(network: RAFT) -> dict[str, Tensor]:
    """Return a network's weights as the released files hold them, twins included."""
    count = len(network.layout.gru_kernels)
    weights = {f"module.{published_name(own, gru_count=count)}": w for own, w in network.state_dict().items()}
    twins = {name.replace(".downsample.1.", ".norm3."): values for name, values in weights.items()}
    return {**twins, **weights}


def resembles(b: Tensor, a: Tensor, *, x: int, y: int, level: int) -> Tensor:
    """Return the mean product of one cell's features with a block of a, by definition; 0 outside."""
    side = 2**level
    h, w = a.shape[-2:]
    if not (0 <= x < w // side and 0 <= y < h // side):
        return torch.zeros(())
    block = a[:, side * y : side * (y + 1), side * x : side * (x + 1)]
    return (b[:, None, None] * block).sum(dim=0).mean() / len(b) ** 0.5


@pytest.mark.parametrize("size", ["large", "small"])
@pytest.mark.parametrize(("h", "w"), [(64, 72), (75, 131), (9, 90)])
def test_flow_is_as_large_as_the_frames(size: str, h: int, w: int) -> None:
    """Frames of any size, even smaller than the coarsest level's cell, have a finite flow of that size."""
    estimate = RAFTFlow(RAFT(size), name="raft", iterations=2)  # type: ignore[arg-type]
    frames = torch.randint(0, 256, (2, 2, 3, h, w), dtype=torch.uint8)

    flow = estimate(frames[0], frames[1])

    assert isinstance(estimate, MotionEstimator)
    assert flow.shape == (2, 2, h, w)
    assert flow.dtype == torch.float32
    assert flow.is_contiguous()
    assert not flow.is_inference()
    assert flow.isfinite().all()


def test_frames_lie_in_the_middle_of_whole_cells() -> None:
    """Frames are continued by their border on all sides, and the flow of what was added is cut off."""
    network = RAFT("small").eval()
    b, a = 255 * torch.rand(2, 1, 3, 75, 133)
    whole = [functional.pad(frame, (1, 2, 2, 3), mode="replicate") for frame in (b, a)]

    with torch.no_grad():
        flow, expected = network(b, a, iterations=2), network(*whole, iterations=2)

    torch.testing.assert_close(flow, expected[:, :, 2:-3, 1:-2])


@pytest.mark.parametrize("size", ["large", "small"])
def test_a_pair_has_the_same_flow_alone_and_in_a_batch(size: str) -> None:
    """What else is in the batch does not matter."""
    network = RAFT(size).eval()  # type: ignore[arg-type]
    b, a = 255 * torch.rand(2, 2, 3, 64, 80)

    with torch.no_grad():
        both, alone = network(b, a, iterations=2), network(b[1:], a[1:], iterations=2)

    torch.testing.assert_close(both[1:], alone, atol=1e-4, rtol=1e-4)


def test_every_iteration_changes_the_flow() -> None:
    """More iterations go on where fewer end: n of them change the flow n times."""
    network = RAFT("small").eval()
    b, a = 255 * torch.rand(2, 1, 3, 64, 64)
    changes: list[Tensor] = []
    network.update.register_forward_hook(lambda *called: changes.append(called[2][1]))

    with torch.no_grad():
        flow = network(b, a, iterations=3)

    assert len(changes) == 3
    torch.testing.assert_close(flow, upsample_bilinear(torch.stack(changes).sum(dim=0)))


def test_look_up_follows_its_definition() -> None:
    """Channel (level, i, j) holds the cell's product with a at (x + i, y + j) of that level's blocks.

    The column i runs slower than the row j.
    """
    b, a = torch.randn(2, 6, 8, 11)
    points = torch.stack((8.0 * torch.rand(8, 11) + 1, 6.0 * torch.rand(8, 11))).round()
    points[:, 0, 0] = torch.tensor((-2.0, 9.0))

    found = CorrelationPyramid(b[None], a[None], levels=3).look_up(points[None], radius=2)[0]

    assert found.shape == (3 * 25, 8, 11)
    for row, column in [(0, 0), (3, 7), (7, 10)]:
        x, y = points[:, row, column].tolist()
        for i, j in [(-2, -2), (-2, 2), (0, 1), (1, 0), (2, 2)]:
            place = 5 * (i + 2) + j + 2
            expected = resembles(b[:, row, column], a, x=int(x) + i, y=int(y) + j, level=0)
            torch.testing.assert_close(found[place, row, column], expected, atol=1e-4, rtol=1e-4)


def test_look_up_mixes_between_cells() -> None:
    """A point between cells gets the mean of its four neighbours, weighed by distance, at every level."""
    b, a = torch.randn(2, 6, 8, 8)
    points = torch.full((1, 2, 8, 8), 3.0)
    points[:, 0] += 0.25

    found = CorrelationPyramid(b[None], a[None], levels=4).look_up(points, radius=1)[0]

    centres = found[4::9, 5, 2]
    for level in range(4):
        x, y = 3.25 / 2**level, 3.0 / 2**level
        left, top = int(x), int(y)
        expected = torch.stack(
            [
                (1 - abs(x - left - i))
                * (1 - abs(y - top - j))
                * resembles(b[:, 5, 2], a, x=left + i, y=top + j, level=level)
                for i in (0, 1)
                for j in (0, 1)
            ]
        ).sum()
        torch.testing.assert_close(centres[level], expected, atol=1e-4, rtol=1e-4)


def test_far_outside_nothing_is_found() -> None:
    """Points that no cell is near to resemble nothing, however far out they lie."""
    features = torch.ones(1, 4, 8, 8)
    points = torch.tensor((-30.0, 1e12))[None, :, None, None].expand(1, 2, 8, 8)

    assert not CorrelationPyramid(features, features).look_up(points, radius=4).any()


def test_constant_flow_stays_constant_when_enlarged() -> None:
    """A motion of (1, -2) cells is one of (8, -16) pixels, whatever the shares of the neighbours."""
    flow = torch.tensor((1.0, -2.0))[None, :, None, None].expand(1, 2, 5, 6).contiguous()
    expected = 8 * flow[:, :, :1, :1]

    convex = upsample_convex(flow, 3 * torch.randn(1, 576, 5, 6))

    assert convex.shape == (1, 2, 40, 48)
    inside = convex[:, :, 8:-8, 8:-8]
    torch.testing.assert_close(inside, expected.expand_as(inside))
    torch.testing.assert_close(upsample_bilinear(flow), expected.expand(1, 2, 40, 48))


@pytest.mark.parametrize(("neighbour", "down", "right"), [(1, -1, 0), (3, 0, -1), (4, 0, 0), (8, 1, 1)])
def test_each_pixel_chooses_among_its_cells_neighbours(neighbour: int, down: int, right: int) -> None:
    """A score for one of nine neighbours of a cell's pixel (2, 5) brings that neighbour's flow there."""
    flow = torch.randn(1, 2, 4, 5)
    scores = torch.zeros(1, 9, 8, 8, 4, 5)
    scores[:, neighbour, 2, 5] = 100

    enlarged = upsample_convex(flow, scores.view(1, 576, 4, 5))

    expected = 8 * flow[0, :, 1 + down, 2 + right]
    torch.testing.assert_close(enlarged[0, :, 8 * 1 + 2, 8 * 2 + 5], expected)


@pytest.mark.parametrize("size", ["large", "small"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_released_names_find_their_place(size: str, prefix: str) -> None:
    """A network takes another's weights under their released names and then computes the same."""
    first, second = RAFT(size).eval(), RAFT(size).eval()  # type: ignore[arg-type]
    weights = {name.replace("module.", prefix): values for name, values in published(first).items()}

    second.load_published(weights)

    frames = 255 * torch.rand(2, 1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(first(*frames, iterations=1), second(*frames, iterations=1))


@pytest.mark.parametrize(
    ("size", "own", "theirs"),
    [
        ("large", "feature_encoder.stem.0.weight", "fnet.conv1.weight"),
        ("large", "context_encoder.stem.1.running_var", "cnet.norm1.running_var"),
        ("large", "context_encoder.stages.1.0.norms.1.bias", "cnet.layer2.0.norm2.bias"),
        ("small", "context_encoder.stages.2.1.convs.2.bias", "cnet.layer3.1.conv3.bias"),
        ("small", "feature_encoder.stages.1.0.shortcut.0.bias", "fnet.layer2.0.downsample.0.bias"),
        ("small", "feature_encoder.head.weight", "fnet.conv2.weight"),
        ("large", "update.motion_encoder.cost.2.bias", "update_block.encoder.convc2.bias"),
        ("small", "update.motion_encoder.flow.0.bias", "update_block.encoder.convf1.bias"),
        ("small", "update.motion_encoder.merge.0.bias", "update_block.encoder.conv.bias"),
        ("large", "update.grus.0.update.bias", "update_block.gru.convz1.bias"),
        ("large", "update.grus.1.reset.bias", "update_block.gru.convr2.bias"),
        ("small", "update.grus.0.candidate.bias", "update_block.gru.convq.bias"),
        ("small", "update.flow_head.2.bias", "update_block.flow_head.conv2.bias"),
        ("large", "update.mask.2.bias", "update_block.mask.2.bias"),
    ],
)
def test_convention_weights_have_the_names_that_were_released(size: str, own: str, theirs: str) -> None:
    """Each kind of weight is looked for under the name that RAFT's authors gave it."""
    network = RAFT(size)  # type: ignore[arg-type]

    assert own in network.state_dict()
    assert published_name(own, gru_count=len(network.layout.gru_kernels)) == theirs


def test_wrong_weights_are_named() -> None:
    """Weights of the other size, and copies of one norm that differ, are refused by name."""
    large = RAFT("large")
    with pytest.raises(CheckpointError, match=r"the weights of RAFT \(large\) lack "):
        large.load_published(published(RAFT("small")))
    weights = published(large)
    weights["module.cnet.layer2.0.norm3.weight"] = torch.full((96,), 7.0)
    with pytest.raises(
        CheckpointError, match=r"cnet\.layer2\.0\.norm3\.weight and cnet\.layer2\.0\.down.* diff"
    ):
        large.load_published(weights)


def test_weights_are_found_in_folders_and_archives(tmp_path: Path) -> None:
    """A folder, and an archive that holds the file somewhere, give the same network."""
    network = RAFT("small")
    torch.save(published(network), tmp_path / "raft-small.pth")
    with zipfile.ZipFile(tmp_path / "some.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "raft-small.pth", "deep/inside/raft-small.pth")

    for source in (tmp_path, tmp_path / "some.whl"):
        read = read_raft(source, "raft-small").state_dict()
        assert all(torch.equal(values, read[name]) for name, values in network.state_dict().items())


def test_unreadable_weights_are_refused(tmp_path: Path) -> None:
    """An unknown name, a missing file, no archive and a damaged file end in one line each."""
    (tmp_path / "raft-kitti.pth").write_bytes(b"damaged")
    (tmp_path / "raft-sintel.pth").touch()
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass

    with pytest.raises(
        CheckpointError, match="no RAFT weights 'raft'; choose one of raft-small, raft-sintel"
    ):
        read_raft(tmp_path, "raft")
    for source, name in [
        (tmp_path, "raft-small"),
        (tmp_path, "raft-kitti"),
        (tmp_path, "raft-sintel"),
        (tmp_path / "raft-kitti.pth", "raft-kitti"),
        (tmp_path / "empty.zip", "raft-small"),
    ]:
        with pytest.raises(
            CheckpointError, match=rf"cannot read {name}\.pth in .*; expected weights as RAFT's"
        ):
            read_raft(source, name)


@pytest.fixture(scope="session")
def released() -> Path:
    """The folder or archive with the weights that RAFT's authors released."""
    source = os.environ.get("WARPREFINE_RAFT_WEIGHTS")
    if not source:
        pytest.skip(
            "no released weights; set WARPREFINE_RAFT_WEIGHTS to the folder or archive that holds them"
        )
    return Path(source)


@pytest.mark.parametrize("name", SIZES)
def test_convention_released_weights_point_back_to_where_things_came_from(
    released: Path, rng: np.random.Generator, name: str
) -> None:
    """What moves right by 6 and down by 3 has flow_ba = (-6, -3)."""
    noise = cv2.GaussianBlur(rng.uniform(0, 255, (160, 192, 3)).astype(np.float32), (0, 0), 3)
    stretched = (noise - noise.min()) / (noise.max() - noise.min()) * 255
    wall = torch.from_numpy(stretched.astype(np.uint8)).permute(2, 0, 1)[None].contiguous()
    frame_a, frame_b = wall[:, :, 16:-16, 16:-16], wall[:, :, 13:-19, 10:-22]

    flow_ba = RAFTFlow(read_raft(released, name), name=name, iterations=8)(frame_b, frame_a)

    middle = flow_ba[0, :, 16:-16, 16:-16].flatten(1)
    assert (middle - torch.tensor([[-6.0], [-3.0]])).abs().mean() < 0.25


@pytest.mark.parametrize(("name", "bound"), [("raft-small", 2.2), ("raft-sintel", 0.5), ("raft-kitti", 0.25)])
def test_released_weights_miss_by_little_on_a_real_road(
    released: Path, shared: Path, name: str, bound: float
) -> None:
    """On a pair of KITTI the mean end-point error is within the bound; DIS misses by 3 pixels."""
    folder = shared / "data" / "flow" / "kitti_a"
    first, second = (read_frame(folder / file) for file in ("000010_10.png", "000010_11.png"))
    truth = read_kitti_flow(folder / "occ_000010_10.png")

    flow = RAFTFlow(read_raft(released, name), name=name, iterations=12)(first, second)

    assert (flow - truth.flow).norm(dim=1)[truth.known].mean() < bound
