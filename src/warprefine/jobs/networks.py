"""The networks of a run, each trained or loaded once, at its first use."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, overload

import torch
from torch import nn

from warprefine.core.engine import Engine
from warprefine.core.memory import return_freed_memory
from warprefine.core.precision import with_precision
from warprefine.core.protocols import MotionEstimator, Refiner, Segmenter, module_of
from warprefine.core.video import Video
from warprefine.io.atomic import write_text
from warprefine.io.checkpoints import fact_of, read_card, weights_fingerprint
from warprefine.io.claims import own_json
from warprefine.io.sharing import check_reach
from warprefine.jobs.context import RunContext
from warprefine.jobs.motions import stepwise_motion, two_sided_motion
from warprefine.jobs.refiner_samples import RefinerSamples
from warprefine.jobs.training_data import trained_key_frames
from warprefine.motion.loading import load_motion
from warprefine.propagation.evidence import Models
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.refinement.interface import TwoSidedRefiner
from warprefine.training.data.samples import LabelledFrame, labelled_frames
from warprefine.training.engine.checkpoint import is_trained
from warprefine.training.motion import PART as MOTION
from warprefine.training.motion import train_motion
from warprefine.training.refiners.cycles import Cycles
from warprefine.training.refiners.ensembles import train_members
from warprefine.training.refiners.kind import PoolsT, RecipeT, RefinerKind, RefinerT
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.tau import evaluate_taus
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER, Shares
from warprefine.training.segmenter import load_segmenter
from warprefine.training.teachers import Teachers

PartT = TypeVar("PartT")
Kind: TypeAlias = Literal["stepwise", "two-sided"]
"""The paper's propagation, or warp-refine-plus."""


class Networks:
    """The networks of a run.

    Args:
        context: The run.
    """

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self._loaded: dict[Path, tuple[Segmenter, str]] = {}
        self._motions: dict[Kind, MotionEstimator] = {}

    def on(self, engine: Engine) -> Networks:
        """Return the networks of the same run, trained and used by an engine.

        Raises:
            ClusterError: Workers cannot reach data or run folder.
        """
        context = self.context
        roots = (context.run.root, context.dataset.root, *(further.root for further in context.also_train))
        if not engine.is_here:
            check_reach(roots, same_machine=engine.is_on_this_machine)
        return Networks(replace(context, engine=engine))

    def motion(self, kind: Kind) -> MotionEstimator:
        """Return the motion estimator that labels are propagated with.

        Raises:
            RecipeError: No motion has the recipe's name, or it lacks an ability that the recipe needs.
            CheckpointError: The recipe names a file that is no checkpoint of motion.
        """
        if kind not in self._motions:
            load = {"stepwise": stepwise_motion, "two-sided": two_sided_motion}[kind]
            self._motions[kind] = load(self.context)
        return self._motions[kind]

    def segmenter(self) -> tuple[Segmenter, str]:
        """Return the segmenter that labels, and a fingerprint of it."""
        if self._given_segmenter is not None:
            return self._given_segmenter
        return self.load_segmenter(self.teachers.train_labeller())

    def held_out(self, fold: int) -> tuple[Segmenter, str]:
        """Return the segmenter that was not trained on the key frames of a fold, and its fingerprint."""
        if self._given_segmenter is not None:
            return self._given_segmenter
        return self.load_segmenter(self.teachers.train_held_out(fold))

    def load_segmenter(self, path: Path) -> tuple[Segmenter, str]:
        """Return the segmenter of a checkpoint, and its fingerprint."""
        if path not in self._loaded:
            context = self.context
            segmenter, fingerprint = load_segmenter(
                path, context.dataset.classes, context.device, mirrored=context.recipe.segmenter.mirrored
            )
            self._loaded[path] = with_precision(segmenter, context.precision), fingerprint
        return self._loaded[path]

    def models(self, kind: Kind, segmenter: tuple[Segmenter, str] | None = None) -> Models:
        """Return what evidence is computed with: motion, and perhaps a segmenter with its fingerprint."""
        network, fingerprint = segmenter or (None, "")
        return Models(
            motion=self.motion(kind),
            segmenter=network,
            segmenter_fingerprint=fingerprint,
            keep=self.context.recipe.propagation.keep,
        )

    def labelling_models(self, video: Video, frame: int) -> Models:
        """Return models with the segmenter that labels, which may have been trained on this key frame."""
        return self.models("stepwise", self.segmenter())

    def held_out_models(self, video: Video, frame: int) -> Models:
        """Return models with a segmenter that was not trained on this key frame."""
        return self.models("stepwise", self.held_out(self.teachers.fold_of(video, frame)))

    def tau(self) -> float:
        """Return tau: the recipe's, the one that the refiner was trained with, or one chosen by mIoU."""
        context = self.context
        if context.recipe.propagation.tau is not None:
            return context.recipe.propagation.tau
        refiner, chosen = context.run.checkpoint_path(REFINER.part), context.run.tau_path
        if refiner.exists():
            return fact_of(refiner, read_card(refiner), "tau", float)
        if not chosen.exists():
            scores = evaluate_taus(
                context.dataset,
                context.cache,
                context.recipe.propagation.tau_candidates,
                models_of=self.held_out_models,
                progress=context.progress,
                world=context.world,
            )
            best = max(scores, key=lambda tau: scores[tau])
            percent = {f"{tau:g}": round(100 * miou, 3) for tau, miou in scores.items()}
            if context.world.is_first:
                write_text(chosen, json.dumps({"tau": best, "miou": percent}, indent=2) + "\n")
            context.world.wait()
        with own_json(chosen, remedy="delete it, it is computed again"):
            return float(json.loads(chosen.read_text(encoding="utf-8"))["tau"])

    @property
    def tau_is_known(self) -> bool:
        """Whether tau is available without any computation."""
        run = self.context.run
        places = (run.checkpoint_path(REFINER.part), run.tau_path)
        return self.context.recipe.propagation.tau is not None or any(path.exists() for path in places)

    @overload
    def refiner(self, kind: Literal["stepwise"]) -> tuple[Refiner, str]: ...
    @overload
    def refiner(self, kind: Literal["two-sided"]) -> tuple[TwoSidedRefiner, str]: ...
    def refiner(self, kind: Kind) -> tuple[Refiner, str] | tuple[TwoSidedRefiner, str]:
        """Return the paper's refiner or the two-sided one, and a fingerprint of it."""
        recipe, parts = self.context.recipe, self.context.parts
        if kind == "stepwise":
            resolved = recipe.refiner.resolved(len(self.teachers.key_frames))
            return self._refiner(REFINER, parts.refiner, resolved, self._cycles)
        return self._refiner(
            TWO_SIDED_REFINER, parts.two_sided_refiner, recipe.plus.refiner, self._two_sided_samples
        )

    def trained_motion(self) -> Path:
        """Return the checkpoint of motion that was trained on this run's videos."""
        context = self.context
        path = context.run.checkpoint_path(MOTION)
        if not is_trained(path):
            train_motion(
                path,
                dataset=context.dataset,
                motion=load_motion(context.recipe.motion.input_motion, device=context.device),
                cache=context.cache,
                keep=context.recipe.propagation.keep,
                recipe=context.recipe.motion,
                device=context.device,
                seed=context.seed,
                progress=context.progress,
                world=context.world,
            )
        return path

    @cached_property
    def _given_segmenter(self) -> tuple[Segmenter, str] | None:
        part = self.context.parts.segmenter
        return None if part is None else _given(part, self.context.device)

    @cached_property
    def teachers(self) -> Teachers:
        """Trains segmenters on the hand-labelled frames of this run."""
        context = self.context
        return Teachers(
            run=context.run,
            key_frames=labelled_frames(context.dataset),
            further=self._further_frames(),
            class_names=context.dataset.classes.names,
            recipe=context.recipe.segmenter,
            device=context.device,
            seed=context.seed,
            progress=context.progress,
            bases=context.bases,
            trained_on=trained_key_frames(context.run, context.dataset),
            keep_features=context.recipe.propagation.keep == "all",
            world=context.world,
        )

    def release(self) -> None:
        """Give up what earlier trainings hold in memory, before the next one and before labelling."""
        if "teachers" in vars(self):  # it is made where something is trained
            self.teachers.release()
        self._loaded.clear()
        return_freed_memory()

    def _further_frames(self) -> list[LabelledFrame]:
        """Return the further labelled frames that segmenters learn from."""
        context = self.context
        if not context.recipe.segmenter.further:
            return []
        return [member for dataset in context.also_train for member in labelled_frames(dataset)]

    def _refiner(
        self,
        kind: RefinerKind[RefinerT, Any, PoolsT, RecipeT],
        given: RefinerT | None,
        recipe: RecipeT,
        samples: Callable[[], tuple[PoolsT, dict[str, Any]]],
    ) -> tuple[RefinerT, str]:
        """Return a refiner of a kind: the given one, or that of the run, trained on samples if need be.

        Args:
            samples: Returns what samples are drawn from, and what they were computed with.
        """
        context = self.context
        if given is not None:
            return _given(given, context.device)
        classes, path = context.dataset.classes, context.run.checkpoint_path(kind.part)
        if not is_trained(path):
            context.world.slots(recipe.optimisation.batch)  # a batch that cannot be shared is told at once
            channels = self.segmenter()[0].feature_channels if recipe.features else 0
            pools, facts = samples()
            self.release()

            def train(path: Path, recipe: Any, seed: int) -> None:
                refiner = kind.build(recipe, class_count=len(classes), feature_channels=channels, seed=seed)
                module_of(refiner).to(context.device)
                kind.train(
                    path,
                    refiner=refiner,
                    pools=pools,
                    recipe=recipe,
                    class_names=classes.names,
                    feature_channels=channels,
                    facts=facts,
                    seed=seed,
                    progress=context.progress,
                    world=context.world,
                )

            if isinstance(recipe, TwoSidedRefinerRecipe) and recipe.members > 1:
                train_members(path, recipe, train, seed=context.seed, world=context.world)
            else:
                train(path, recipe, context.seed)
        loaded, fingerprint = kind.load(path, classes, context.device, mirrored=recipe.mirrored)
        return with_precision(loaded, context.precision), fingerprint

    @cached_property
    def samples(self) -> RefinerSamples:
        """What the refiners of this run are trained on."""
        return RefinerSamples(
            context=self.context,
            key_frames=self.teachers.key_frames,
            held_out=self.held_out_models,
            labelling=self.labelling_models,
        )

    def _cycles(self) -> tuple[Sequence[Cycles], dict[str, Any]]:
        """Return the cycles that the paper's refiner is trained on, all run, and their tau."""
        tau = self.tau()
        return self.samples.cycles(tau), {"tau": tau}

    def _two_sided_samples(self) -> tuple[Shares, dict[str, Any]]:
        """Return what the two-sided refiner is trained on, all computed, and how labels were carried."""
        shares = self.samples.two_sided(self.models("two-sided"))
        return shares, {"carry": self.context.recipe.plus.carry.to_dict()}


def _given(part: PartT, device: torch.device) -> tuple[PartT, str]:
    """Return a part that the user supplies, ready for use, and a fingerprint of its weights or name."""
    if isinstance(part, nn.Module):
        part.to(device).eval()
    return part, weights_fingerprint(part)
