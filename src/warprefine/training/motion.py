"""Train SDC-Net on the user's own videos, self-supervised by photometric reconstruction."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator
from warprefine.core.video import Dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.io.checkpoints import Card
from warprefine.motion.flownet_ops import resample2d
from warprefine.motion.sdcnet import SDCNet, reconstruction_loss
from warprefine.motion.sdcnet_kernels import distance_from_identity
from warprefine.motion.sdcnet_motion import predict_any_size
from warprefine.ops.warp import lands_inside
from warprefine.propagation.evidence import Keep, Models
from warprefine.recipe.motion import MotionRecipe
from warprefine.training.data.motion_samples import BatchMaker, Excerpts, Footage, hold_out
from warprefine.training.engine.checkpoint import train_to_checkpoint
from warprefine.training.engine.distributed import ALONE, World, shard

log = logging.getLogger(__name__)
PART = "motion"
NETWORK = "sdcnet"
MOST_MEASURED = 64
"""Excerpts that the mean and spread of motion are estimated from, evenly spread."""


def train_motion(
    path: Path,
    *,
    dataset: Dataset,
    motion: MotionEstimator,
    cache: ArrayCache,
    recipe: MotionRecipe,
    device: torch.device,
    keep: Keep = "all",
    seed: int = 0,
    progress: Progress = silent,
    world: World = ALONE,
) -> None:
    """Train an SDC-Net on all videos of a data set and write it to `path`.

    A killed training continues. With several processes each computes its part of every batch and of every
    measurement, and the first writes the file. The card records the photometric error of held-out frames
    before training, that is along the flow that the network starts from, and after it.

    Args:
        dataset: The videos.
        motion: Estimates the flow that the network starts from.
        cache: Where that flow is kept.
        recipe: The network and its training.
        device: Where it is trained.
        keep: What is kept in the cache; with "nothing", flow is estimated again where memory is full.
        seed: Seed of weights and batches.
        progress: Called after every step.
        world: The ranks that share the work.

    Raises:
        DatasetError: The videos are too short to train on some frames and measure on others.
        TrainingError: The loss is not a finite number.
    """
    trained, held_out = hold_out(dataset, length=recipe.frames, every=recipe.holdout_every)
    models = Models(motion=motion, keep=keep)
    forwards = Excerpts(trained, models=models, cache=cache)
    backwards = Excerpts([excerpt.backwards() for excerpt in trained], models=models, cache=cache)
    # Where training reverses no excerpts, neither does the measurement.
    orders = (forwards, backwards) if recipe.reverse else (forwards,)
    returns = [excerpt.backwards() for excerpt in held_out] if recipe.reverse else []
    measured = Excerpts([*held_out, *returns], models=models, cache=cache)
    torch.manual_seed(seed)
    network = SDCNet(**network_settings(recipe))
    batches = BatchMaker(forwards, backwards, recipe, seed=seed, world=world)
    # From here on the loop's other threads prepare batches and estimate flow: that of the validation is in
    # memory or in the cache by then, and each excerpt that is read has a motion estimator of its own.
    before = photometric_error_of(None, measured, world=world)
    some = range(0, len(trained), -(-len(trained) // MOST_MEASURED))
    with world.parting():
        if world.is_first:  # the others get all buffers from it when the training begins
            network.estimate_normalisation(flow for i in some for one in orders for flow in one[i].flows)
    network.to(device)

    def card(history: dict[str, Any]) -> Card:
        after = photometric_error_of(network, measured)
        log.info("photometric error of held-out frames: %.5f before, %.5f after", before, after)
        return Card(
            part=PART,
            network=NETWORK,
            class_names=(),
            settings=network_settings(recipe),
            recipe=recipe.to_dict(),
            facts={
                "seed": seed,
                "history": history,
                "motion": motion.name,
                "normalisation": {
                    "mean": network.flow_mean.flatten().tolist(),
                    "std": network.flow_std.flatten().tolist(),
                },
                "photometric": {"before": before, "after": after},
            },
        )

    train_to_checkpoint(
        path,
        network,
        recipe.optimisation,
        batch_at=batches,
        loss_of=lambda batch: loss_of(network, batch, recipe),
        card=card,
        seed=seed,
        validate=lambda _: -photometric_error_of(network, measured, world=world),
        progress=progress,
        task="training motion",
        world=world,
    )


def loss_of(network: SDCNet, batch: Footage, recipe: MotionRecipe) -> Tensor:
    """Return the reconstruction loss of the last frame of each excerpt (Zhu et al., CVPR 2019).

    Pixels whose source lies outside the crop, by the flow that the network starts from, carry no information
    about their motion; the recipe may leave them out, which the published loss does not.
    """
    device = network.flow_mean.device
    frames = batch.frames.to(device, non_blocking=True).float()
    flows = batch.flows.to(device, non_blocking=True)
    found = network.predict(frames, flows)
    rebuilt = network.rebuild(frames, found.flow_ba, found.kernels)
    target = frames[:, -1]
    if recipe.ignore_outside:
        inside = lands_inside(flows[:, -1])[:, None]
        rebuilt, target = rebuilt * inside, target * inside
    loss = reconstruction_loss(rebuilt, target, flow_ba=found.flow_ba).total
    if found.kernels is not None:
        loss = loss + recipe.kernel_weight * distance_from_identity(found.kernels)
    return loss


def photometric_error(rebuilt_b: Float[Tensor, "b 3 h w"], frame_b: Float[Tensor, "b 3 h w"]) -> Tensor:
    """Return the mean absolute difference of two frames, as a share of full brightness (0 to 1)."""
    return (rebuilt_b - frame_b).abs().mean() / 255


def photometric_error_of(network: SDCNet | None, excerpts: Excerpts, *, world: World = ALONE) -> float:
    """Return the mean photometric error of whole frames, reconstructed by a network or along the given flow.

    Args:
        network: None measures the flow that networks start from.
        excerpts: What is measured.
        world: The ranks that share the excerpts; all get the same mean.
    """
    device = network.flow_mean.device if network is not None else torch.device("cpu")
    own = []
    with world.parting():
        for index in shard(range(len(excerpts)), world):
            frames, flows = excerpts[index].frames.to(device).float(), excerpts[index].flows.to(device)
            with torch.inference_mode():
                if network is None:
                    rebuilt = resample2d(frames[:, -2], flows[:, -1])
                else:
                    found = predict_any_size(network, frames, flows)
                    rebuilt = network.rebuild(frames, found.flow_ba, found.kernels)
                own.append(float(photometric_error(rebuilt, frames[:, -1])))
    errors = world.merged(own)
    return sum(errors) / len(errors)


def network_settings(recipe: MotionRecipe) -> dict[str, Any]:
    """Return the constructor arguments of a recipe's network."""
    return {
        "frame_count": recipe.frames,
        "sees_target": True,
        "width": recipe.width,
        "kernel_taps": recipe.kernel_taps,
        "starts_from_flow": recipe.starts_from_flow,
    }
