"""The context of a run: data, folder, recipe, device, seed, progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from warprefine.core.engine import HERE, Engine
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator, Refiner, Segmenter
from warprefine.core.video import Dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.io.checkpoints import weights_fingerprint
from warprefine.io.run import RunFolder
from warprefine.propagation.unreached import Unreached
from warprefine.recipe.recipe import Recipe
from warprefine.refinement.interface import TwoSidedRefiner
from warprefine.training.base_store import BaseStore
from warprefine.training.engine.distributed import ALONE, World


@dataclass(frozen=True, kw_only=True)
class GivenParts:
    """Parts that a user supplies as objects; they are used unchanged, and the recipe's are not trained."""

    motion: MotionEstimator | None = None
    segmenter: Segmenter | None = None
    refiner: Refiner | None = None
    two_sided_refiner: TwoSidedRefiner | None = None

    @property
    def identities(self) -> dict[str, str]:
        """The name of each part that is given, and a fingerprint of its weights if it has any."""
        return {kind: _identity(part) for kind, part in vars(self).items() if part is not None}


def _identity(part: Any) -> str:
    return f"{part.name} {weights_fingerprint(part)}" if isinstance(part, nn.Module) else str(part.name)


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """A run whose data are checked and whose folder is claimed.

    Attributes:
        dataset: The videos to be labelled, all intact and with key frames.
        horizon: Frames are labelled up to this far from a key frame.
        run: The run folder.
        recipe: All hyper-parameters.
        device: Where networks run.
        seed: Seed of all random numbers.
        progress: Called as work proceeds.
        also_train: Further labelled data of the same classes for the segmenter.
        left_out: The videos that cannot be labelled, by name, and why.
        set_aside: What is intact but not used, and why: videos without key frames, by name, and key frames
            without a labelled pixel, by VIDEO/STEM.
        notes: What label maps and folders show that may not be meant, a line each, for people.
        parts: Parts that the user supplies as objects.
        bases: Where base segmenters of earlier runs are found.
        precision: What networks compute in; None: what is native to their device.
        unreached: What becomes of frames that no key frame reaches.
        boundaries: Whether boundaries are scored.
        engine: Where networks are trained and units labelled.
        stale: What changed in the data since the networks were trained, and the remedy; empty if nothing did.
        world: The processes that share trainings. Each has a context of its own, and all ask for the same
            trainings in the same order.
    """

    dataset: Dataset
    horizon: int
    run: RunFolder
    recipe: Recipe
    device: torch.device
    seed: int
    progress: Progress = silent
    also_train: tuple[Dataset, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    set_aside: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    parts: GivenParts = field(default_factory=GivenParts)
    bases: BaseStore = field(default_factory=BaseStore.of_user)
    precision: torch.dtype | None = None
    unreached: Unreached = "skip"
    boundaries: bool = True
    engine: Engine = HERE
    stale: str = ""
    world: World = ALONE

    @property
    def cache(self) -> ArrayCache:
        """The cache of what can be computed again: flow, segmentations, samples."""
        return self.run.arrays
