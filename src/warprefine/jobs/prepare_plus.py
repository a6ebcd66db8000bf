"""Make what warp-refine-plus needs: its motion, the samples that its refiner learns from, the refiner."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import cast

import torch

from warprefine.core.errors import RecipeError
from warprefine.core.protocols import MotionEstimator, Segmenter
from warprefine.core.video import Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.checkpoints import fingerprint
from warprefine.jobs.prepare import Preparation
from warprefine.motion.loading import load_motion
from warprefine.propagation.evidence import Models
from warprefine.propagation.long_range import Improves
from warprefine.propagation.writer import PlusJob
from warprefine.refinement.sides import SideRefiner
from warprefine.training.cycles import ModelsOf
from warprefine.training.key_frame_pool import KeyFramePool
from warprefine.training.plus_recipe import PlusRecipe
from warprefine.training.samples import LabelledFrame, Samples, evenly, labelled_frames
from warprefine.training.segmenter import hold_out
from warprefine.training.side_refiner import (
    PART,
    build_side_refiner,
    load_side_refiner,
    train_side_refiner,
)
from warprefine.training.side_samples import SidePool
from warprefine.training.side_store import Making
from warprefine.training.still_pool import StillPool

_TRAINED = {"refiner", "stills", "variants", "synthetic", "rounds", "confident", "made_share"}
"""Settings that show in the weights of networks, which are hashed themselves."""


@dataclass(frozen=True, kw_only=True)
class PlusPreparation:
    """What follows from a run's data and recipe for warp-refine-plus."""

    preparation: Preparation

    @property
    def recipe(self) -> PlusRecipe:
        """The part of the recipe that this is about."""
        return self.preparation.recipe.plus

    def job(self) -> PlusJob:
        """Return what the propagation needs; the refiner is trained if it is not there yet."""
        motion = self.motion()
        refiner, refiner_fingerprint = self.refiner() if self.recipe.refine else (None, "")
        said = self.recipe.model_dump_json(exclude=_TRAINED)
        return PlusJob(
            models=replace(self.preparation.segmenter(), motion=motion),
            setting=self.recipe.setting(motion, refiner),
            fingerprint=_hash(said, refiner_fingerprint),
        )

    def job_of_votes(self, models: Models) -> PlusJob:
        """Return what the propagation needs where both sides and a segmenter vote, and nothing is learned."""
        motion = self.motion()
        setting = self.recipe.setting(motion, None)
        return PlusJob(
            models=replace(models, motion=motion),
            setting=setting,
            fingerprint=_hash(self.recipe.model_dump_json(exclude=_TRAINED), "votes"),
        )

    def motion(self) -> MotionEstimator:
        """Load the motion that the recipe names."""
        return load_plus_motion(self.recipe, self.preparation.teachers.device)

    def refiner(self) -> tuple[SideRefiner, str]:
        """Return the refiner of sides, trained if it is not there yet, and the fingerprint of its weights."""
        recipe, teachers = self.recipe.refiner, self.preparation.teachers
        path = self.preparation.run.checkpoint_path(PART)
        if not path.exists():
            classes, channels = teachers.dataset.classes, 0
            if recipe.features:
                channels = cast(Segmenter, self.preparation.segmenter().segmenter).feature_channels
            network = build_side_refiner(
                recipe, class_count=len(classes), feature_channels=channels, seed=teachers.seed
            )
            train_side_refiner(
                path,
                network=network.to(teachers.device),
                pools=self._pools(),
                recipe=recipe,
                class_names=classes.names,
                feature_channels=channels,
                facts={"ways": self.recipe.way_settings},
                seed=teachers.seed,
                progress=self.preparation.progress,
            )
        refiner = load_side_refiner(path, teachers.dataset.classes, teachers.device, mirrored=recipe.mirrored)
        return refiner, f"{fingerprint(path)}-{recipe.mirrored}"

    def _pools(self) -> list[tuple[SidePool, float]]:
        """Gather what the refiner learns from, each kind made before the training begins."""
        recipe, motion = self.recipe, self.motion()
        making = Making(
            cache=ArrayCache(self.preparation.run.cache),
            motion=motion,
            ways=recipe.ways(motion),
            ways_name=self._ways_name(),
            recipe=recipe.refiner,
        )
        kinds = {"unseen": [self.preparation.honest_models], "seen": [self.preparation.labelling_models]}
        kinds["both"] = kinds["unseen"] + kinds["seen"]
        stills = self._stills() if recipe.refiner.synthetic_share else []
        share = recipe.refiner.synthetic_share if stills else 0.0
        key_frames = [
            KeyFramePool(self.preparation.teachers.dataset, making, models_of)
            for models_of in kinds[recipe.refiner.segmenters]
        ]
        pools: list[tuple[SidePool, float]] = [(pool, (1 - share) / len(key_frames)) for pool in key_frames]
        for pool in key_frames:
            pool.make(progress=self.preparation.progress)
        if stills:
            still_pool = StillPool(
                stills, making, self._unseen(), motion=recipe.synthetic, variants=recipe.variants
            )
            still_pool.make(progress=self.preparation.progress)
            pools.append((still_pool, share))
        return [(pool, of_pool) for pool, of_pool in pools if of_pool > 0]

    def _stills(self) -> list[LabelledFrame]:
        """Choose single pictures that some segmenter has not seen: key frames, and held-out further data."""
        teachers = self.preparation.teachers
        further = [
            replace(member, video=replace(member.video, name=f"further-{i}/{member.video.name}"))
            for i, dataset in enumerate(teachers.also_train)
            for member in labelled_frames(dataset)
        ]
        held_out = hold_out(Samples(further), teachers.recipe.holdout_every)[1].members
        return evenly([*teachers.key_frames, *held_out], self.recipe.stills)

    def _unseen(self) -> ModelsOf:
        """Return how to find a segmenter that has not seen a picture."""
        own = {video.name for video in self.preparation.teachers.dataset.videos}

        def models_of(video: Video, frame: int) -> Models:
            if video.name in own:
                return self.preparation.honest_models(video, frame)
            return self.preparation.segmenter()

        return models_of

    def _ways_name(self) -> str:
        return _hash(json.dumps(self.recipe.way_settings))


def load_plus_motion(recipe: PlusRecipe, device: torch.device) -> MotionEstimator:
    """Load the motion that carries labels in warp-refine-plus.

    Raises:
        RecipeError: No motion has the recipe's name, or flow straight to the key frame is asked for of one
            that cannot begin from a flow.
        CheckpointError: The recipe names a file that is no checkpoint of motion.
    """
    motion = load_motion(recipe.motion, device=device)
    if recipe.long_range and not isinstance(motion, Improves):
        raise RecipeError(
            f"long_range wants motion that can begin from a flow, but {motion.name} cannot; "
            "set motion under [plus] to one of the dis estimators, or long_range to false"
        )
    return motion


def _hash(*said: str) -> str:
    return hashlib.sha256(repr(said).encode()).hexdigest()[:12]
