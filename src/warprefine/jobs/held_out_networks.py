"""The networks of a run as they would be without a fold of its key frames: to see how good labels are."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from typing import Literal, overload

from warprefine.core.protocols import MotionEstimator, Refiner, Segmenter, module_of
from warprefine.core.video import Dataset, Video
from warprefine.io.atomic import writing_errors
from warprefine.io.checkpoints import read_card
from warprefine.jobs.networks import Kind, Networks
from warprefine.jobs.refiner_samples import RefinerSamples
from warprefine.jobs.stages import share_base
from warprefine.propagation.evidence import Models
from warprefine.propagation.methods import Need
from warprefine.recipe.recipe import Recipe
from warprefine.refinement.interface import TwoSidedRefiner
from warprefine.training.data.samples import labelled_frames
from warprefine.training.engine.checkpoint import is_trained
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER


class HeldOutNetworks(Networks):
    """Networks that have not learned from the key frames of a fold.

    The segmenter is the run's own segmenter of the fold; where the base segmenter takes its place in
    cycles, which knows less of the videos than the one that labels, it is adapted to the other key frames,
    as that one is to all. Refiners are trained anew on the other key frames, since a refiner remembers
    those that it was trained on: on CamVid, one labels a key frame from another that is 21 frames away
    better than frames that are at most 10 away. Motion, tau and parts that the user supplies are those of
    the run.

    Two traces of the fold remain. The segmenters of other folds, with which refiners are trained on key
    frames of those, have learned from this fold, unless the base takes their place; and tau is chosen on
    all key frames.

    Args:
        whole: The networks of the run.
        fold: Which key frames they have not learned from.
    """

    def __init__(self, whole: Networks, fold: int) -> None:
        context = whole.context
        shown = {(one.video.name, one.frame) for one in whole.teachers.outside_fold(fold)}
        super().__init__(
            replace(
                context,
                run=context.run.for_fold(fold),
                dataset=_only(context.dataset, shown),
                recipe=short_trainings(context.recipe),
            )
        )
        self._whole, self._fold = whole, fold

    def motion(self, kind: Kind) -> MotionEstimator:
        """Return the motion estimator of the run."""
        return self._whole.motion(kind)

    def segmenter(self) -> tuple[Segmenter, str]:
        """Return the segmenter that was not trained on the fold."""
        whole = self._whole.teachers
        if self.context.parts.segmenter is not None or not whole.uses_base(self._fold):
            return self._whole.held_out(self._fold)
        whole.train_base()
        share = partial(share_base, whole.run, self.context.run, network=whole.recipe.network)
        self.context.world.of_first(share)
        return super().segmenter()

    def held_out_models(self, video: Video, frame: int) -> Models:
        """Return models with a segmenter that was not trained on this key frame, which is of another fold."""
        return self._whole.held_out_models(video, frame)

    def tau(self) -> float:
        """Return the tau of the run."""
        return self._whole.tau()

    @overload
    def refiner(self, kind: Literal["stepwise"]) -> tuple[Refiner, str]: ...
    @overload
    def refiner(self, kind: Literal["two-sided"]) -> tuple[TwoSidedRefiner, str]: ...
    def refiner(self, kind: Kind) -> tuple[Refiner, str] | tuple[TwoSidedRefiner, str]:
        """Return a refiner trained on the other key frames; without any, an untrained one, which votes.

        One that was trained for another number of steps, before `calibration_steps` changed, is trained anew.
        """
        self.context.world.of_first(partial(self._discard_other, kind))
        if kind == "stepwise":
            return super().refiner(kind)
        context = self.context
        if self._whole.teachers.outside_fold(self._fold) or context.parts.two_sided_refiner is not None:
            return super().refiner(kind)
        recipe = context.recipe.plus.refiner
        channels = self.segmenter()[0].feature_channels if recipe.features else 0
        untrained = TWO_SIDED_REFINER.build(
            recipe, class_count=len(context.dataset.classes), feature_channels=channels, seed=context.seed
        )
        module_of(untrained).to(context.device).eval()
        return untrained, "untrained"

    def _discard_other(self, kind: Kind) -> None:
        """Delete a refiner that was trained for another number of steps than the recipe has."""
        recipe, part = self.context.recipe, REFINER.part if kind == "stepwise" else TWO_SIDED_REFINER.part
        training = recipe.refiner.resolved(len(self.teachers.key_frames)) if kind == "stepwise" else None
        wanted = (training or recipe.plus.refiner).optimisation.to_dict()
        path = self.context.run.checkpoint_path(part)
        if is_trained(path) and read_card(path).recipe.get("optimisation") != wanted:
            with writing_errors(path):
                path.unlink()

    @cached_property
    def samples(self) -> RefinerSamples:
        """What refiners are trained on: the key frames of the other folds."""
        return RefinerSamples(
            context=self.context,
            key_frames=labelled_frames(self.context.dataset),
            held_out=self.held_out_models,
            labelling=self.labelling_models,
        )


def short_trainings(recipe: Recipe) -> Recipe:
    """Return a recipe whose refiners are trained for `propagation.calibration_steps`; 0 leaves it as it is.

    Example:
        >>> recipe = Recipe().changed(("propagation", "calibration_steps"), 60)
        >>> short_trainings(recipe).plus.refiner.optimisation.steps
        60
    """
    most = recipe.propagation.calibration_steps
    if most == 0:
        return recipe
    trainings = {
        ("refiner", "optimisation"): recipe.refiner.optimisation,
        ("plus", "refiner", "optimisation"): recipe.plus.refiner.optimisation,
    }
    for place, given in trainings.items():
        steps = min(given.steps, most)
        recipe = recipe.changed((*place, "steps"), steps)
        recipe = recipe.changed((*place, "warmup"), min(given.warmup, steps // 4))
    return recipe.changed(("refiner", "epochs"), 0.0)


def can_hold_out(networks: Networks, fold: int, needs: frozenset[Need]) -> bool:
    """Return whether methods can be had that have not learned from a fold.

    No segmenter is trained for this, but for the adaptation of the base segmenter.

    Args:
        networks: The networks of the run.
        fold: A fold of its key frames.
        needs: What the methods need.
    """
    if networks.context.parts.segmenter is None and not networks.teachers.is_held_out(fold):
        return False
    # An untrained two-sided refiner votes; an untrained refiner of the paper knows nothing.
    return "refiner" not in needs or bool(networks.teachers.outside_fold(fold))


def _only(dataset: Dataset, shown: set[tuple[str, int]]) -> Dataset:
    """Return the data set with no other key frames than these; videos without any are left out."""
    videos = [
        replace(video, labels={k: path for k, path in video.labels.items() if (video.name, k) in shown})
        for video in dataset.videos
    ]
    return replace(dataset, videos=tuple(video for video in videos if video.labels))
