"""Load a motion estimator by its name, or from a checkpoint that was trained or imported."""

from __future__ import annotations

from pathlib import Path

import torch

from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.core.names import nearest_name
from warprefine.core.protocols import MotionEstimator
from warprefine.io.checkpoints import Card, build_from_card, load_weights, read_card
from warprefine.io.fingerprints import fingerprint_of_file
from warprefine.motion import MOTIONS
from warprefine.motion.flownet2 import FlowNet2, FlowNet2Flow
from warprefine.motion.raft import RAFT, RAFTFlow
from warprefine.motion.sdcnet import SDCNet
from warprefine.motion.sdcnet_motion import SDCNetMotion, SDCNetThreeFrameMotion

_CPU = torch.device("cpu")


def load_motion(
    named: str, *, device: torch.device = _CPU, iterations: int = 12, start: str = "dis-medium"
) -> MotionEstimator:
    """Return the motion estimator that a recipe names.

    Args:
        named: A name in `MOTIONS`, or the path of a checkpoint.
        device: Where a network runs.
        iterations: Number of RAFT's refinement iterations.
        start: Input motion of an imported SDC-Net, named likewise; one trained here records its own.

    Raises:
        RecipeError: It is neither a name nor a checkpoint.
        CheckpointError: The file is damaged, or holds something else than motion.

    Example:
        >>> load_motion("dis-medium").name
        'dis-medium'
    """
    return _load(named, device=device, iterations=iterations, start=start, within=())


def _load(
    named: str, *, device: torch.device, iterations: int, start: str, within: tuple[Path, ...]
) -> MotionEstimator:
    """Load motion; `within` are the checkpoints whose input motion this is."""
    if named in MOTIONS:
        return MOTIONS[named]()
    path = Path(named)
    if path.suffix != ".safetensors":
        raise RecipeError(
            f"no motion estimator is called {named!r}; {nearest_name(named, MOTIONS)}; or name a checkpoint, "
            "a .safetensors file from `warprefine train motion` or `warprefine weights import`"
        )
    card = read_card(path)
    if card.part != "motion":
        raise CheckpointError(f"{path} holds a {card.part} ({card.network}), expected motion; name another")
    name = f"{card.network}-{fingerprint_of_file(path, CheckpointError)}"
    match card.network:
        case "raft":
            raft = build_from_card(path, lambda: RAFT(**card.settings))
            load_weights(path, raft)
            return RAFTFlow(raft.to(device), name=f"{name}-{iterations}", iterations=iterations)
        case "flownet2":
            flownet2 = FlowNet2()
            load_weights(path, flownet2)
            return FlowNet2Flow(flownet2.to(device), name=name)
        case "sdcnet":
            begins, inside = card.recipe.get("input_motion", start), (*within, path.absolute())
            if not isinstance(begins, str) or Path(begins).absolute() in inside:
                raise CheckpointError(f"{path} has no input motion but itself; train it again")
            input_motion = _load(begins, device=device, iterations=iterations, start=start, within=inside)
            return _sdcnet(path, card, f"{name}-{input_motion.name}", input_motion, device)
    raise CheckpointError(
        f"{path} holds motion of the network {card.network}, expected raft, flownet2 or sdcnet; "
        "it was written by another version"
    )


def _sdcnet(
    path: Path, card: Card, name: str, start: MotionEstimator, device: torch.device
) -> MotionEstimator:
    network = build_from_card(path, lambda: SDCNet(**card.settings))
    load_weights(path, network)
    # Published weights, whose card holds no recipe, were trained on images as OpenCV reads them: BGR.
    make = SDCNetMotion if network.frame_count == 2 else SDCNetThreeFrameMotion
    return make(network.to(device), start, name=name, blue_first=not card.recipe)
