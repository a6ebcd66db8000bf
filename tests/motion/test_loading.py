"""Tests of motion/loading.py: names, and checkpoints of every kind, become motion estimators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.core.protocols import MotionEstimator, ThreeFrameMotion
from warprefine.io.checkpoints import Card, save_checkpoint
from warprefine.motion.loading import load_motion
from warprefine.motion.raft import RAFT
from warprefine.motion.sdcnet import SDCNet

FRAMES = torch.randint(0, 256, (2, 1, 3, 70, 90), dtype=torch.uint8, generator=torch.Generator())


def stored(folder: Path, network: nn.Module, kind: str, settings: dict[str, Any], **further: Any) -> str:
    """Write a checkpoint of motion and return its name."""
    card = {"part": "motion", "class_names": (), "recipe": {}, "facts": {}, **further}
    path = folder / f"{kind}.safetensors"
    save_checkpoint(path, network, Card(network=kind, settings=settings, **card))
    return str(path)


def small_sdcnet(frame_count: int) -> tuple[SDCNet, dict[str, Any]]:
    settings = {"frame_count": frame_count, "width": 0.125}
    return SDCNet(**settings), settings  # type: ignore[arg-type]


def test_a_name_is_enough_for_what_has_no_weights() -> None:
    """DIS is made from its name."""
    assert load_motion("dis-fast").name == "dis-fast"


def test_raft_is_made_from_its_checkpoint(tmp_path: Path) -> None:
    """The name under which flows are cached differs for other weights and other iterations."""
    named = stored(tmp_path, RAFT("small"), "raft", {"size": "small"})

    few, many = load_motion(named, iterations=1), load_motion(named, iterations=2)
    flow = few(FRAMES[0], FRAMES[1])

    assert isinstance(few, MotionEstimator)
    assert few.name != many.name
    assert flow.shape == (1, 2, 70, 90)
    assert flow.isfinite().all()


def test_sdcnet_improves_the_motion_that_it_was_trained_on(tmp_path: Path) -> None:
    """A checkpoint that was trained here records which flow the network starts from."""
    network, settings = small_sdcnet(2)
    named = stored(tmp_path, network, "sdcnet", settings, recipe={"input_motion": "dis-ultrafast"})

    motion = load_motion(named)

    assert motion.name.endswith("dis-ultrafast")
    assert not isinstance(motion, ThreeFrameMotion)
    assert motion(FRAMES[0], FRAMES[1]).shape == (1, 2, 70, 90)


def test_an_imported_sdcnet_improves_what_it_is_given(tmp_path: Path) -> None:
    """Weights without a recipe of ours start from the motion that is named."""
    network, settings = small_sdcnet(2)
    named = stored(tmp_path, network, "sdcnet", settings)

    assert load_motion(named).name.endswith("dis-medium")
    assert load_motion(named, start="dis-fast").name.endswith("dis-fast")


def test_sdcnet_for_three_frames_looks_back(tmp_path: Path) -> None:
    """A network as published uses one frame more where there is one, and frame a twice elsewhere."""
    network, settings = small_sdcnet(3)
    motion = load_motion(stored(tmp_path, network, "sdcnet", settings))
    b, a = FRAMES

    assert isinstance(motion, ThreeFrameMotion)
    alone = motion(b, a)
    assert alone.shape == (1, 2, 70, 90)
    assert torch.equal(motion.from_three(b, a, a), alone)
    assert not torch.equal(motion.from_three(b, a, b), alone)


@pytest.mark.parametrize("begins", ["itself", 7, "no\0where.safetensors"])
def test_motion_that_begins_nowhere_is_refused(tmp_path: Path, begins: Any) -> None:
    """A checkpoint that names itself as its input motion, or nothing that can be loaded, ends in one line."""
    network, settings = small_sdcnet(2)
    path = tmp_path / "motion.safetensors"
    recipe = {"input_motion": str(path) if begins == "itself" else begins}
    save_checkpoint(
        path,
        network,
        Card(part="motion", network="sdcnet", class_names=(), settings=settings, recipe=recipe, facts={}),
    )

    with pytest.raises(CheckpointError, match=r"has no input motion but itself; train|does not exist"):
        load_motion(str(path))


@pytest.mark.parametrize("settings", [{"size": "huge"}, {"sizes": 1}, {"size": ["small"]}])
def test_motion_whose_card_describes_no_network_is_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Settings that no network has are the file's fault, and told as such."""
    named = stored(tmp_path, RAFT("small"), "raft", settings)

    with pytest.raises(CheckpointError, match="describe no network that can be built"):
        load_motion(named)


def test_published_weights_see_blue_first(tmp_path: Path) -> None:
    """Imported weights, which have no recipe of ours, were trained on BGR; ours on RGB."""
    network, settings = small_sdcnet(2)
    for child in ("theirs", "ours"):
        (tmp_path / child).mkdir()
    recipe = {"input_motion": "dis-medium"}
    ours = load_motion(stored(tmp_path / "ours", network, "sdcnet", settings, recipe=recipe))
    theirs = load_motion(stored(tmp_path / "theirs", network, "sdcnet", settings))
    grey = FRAMES[:, :, :1].expand(-1, -1, 3, -1, -1).contiguous()

    assert torch.equal(ours(grey[0], grey[1]), theirs(grey[0], grey[1]))
    assert not torch.equal(ours(FRAMES[0], FRAMES[1]), theirs(FRAMES[0], FRAMES[1]))


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("dis-meduim", r"no motion estimator is called 'dis-meduim'; did you mean 'dis-medium'"),
        ("raft-sintel.pth", r"or name a checkpoint, a \.safetensors file from `warprefine train motion`"),
    ],
)
def test_what_is_neither_a_name_nor_a_checkpoint_is_told(named: str, words: str) -> None:
    """A slip of the keyboard, or a published file that was not imported yet, ends in one line."""
    with pytest.raises(RecipeError, match=words):
        load_motion(named)


def test_other_checkpoints_are_refused(tmp_path: Path) -> None:
    """A segmenter is no motion estimator, and neither is a network that this version does not have."""
    layer = nn.Conv2d(1, 1, 1)
    with pytest.raises(CheckpointError, match=r"holds a segmenter \(compact\), expected motion"):
        load_motion(stored(tmp_path, layer, "compact", {}, part="segmenter"))
    with pytest.raises(CheckpointError, match="of the network pwcnet, expected raft, flownet2 or sdcnet"):
        load_motion(stored(tmp_path, layer, "pwcnet", {}))
    with pytest.raises(CheckpointError, match=r"none\.safetensors does not exist"):
        load_motion(str(tmp_path / "none.safetensors"))
