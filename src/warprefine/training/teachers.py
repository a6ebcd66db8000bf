"""Train every segmenter that a run needs, each once: the one that labels, and one per fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn

from warprefine.core.classes import ClassSet
from warprefine.core.errors import LabelError, cut
from warprefine.core.names import look_up
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator, Segmenter, channels_last
from warprefine.core.video import Dataset, Video
from warprefine.io.checkpoints import check_classes, fingerprint, load_weights, read_card
from warprefine.io.run import RunFolder
from warprefine.propagation.evidence import Models
from warprefine.segmentation import SEGMENTERS
from warprefine.segmentation.mirrored import MirroredSegmenter
from warprefine.training.optimisation import Optimisation
from warprefine.training.recipe import SegmenterRecipe
from warprefine.training.samples import LabelledFrame, Samples, labelled_frames
from warprefine.training.segmenter import build_segmenter, hold_out, train_segmenter


@dataclass(frozen=True, kw_only=True)
class TeacherPlan:
    """What the segmenters of a run are trained on and where their weights go."""

    run: RunFolder
    dataset: Dataset
    also_train: Sequence[Dataset]
    recipe: SegmenterRecipe
    device: torch.device
    seed: int

    def __post_init__(self) -> None:
        for further in self.also_train:
            if further.classes.names != self.dataset.classes.names:
                raise LabelError(
                    f"{further.root} has the classes {cut(further.classes.names)}, but "
                    f"{self.dataset.root} has {cut(self.dataset.classes.names)}; "
                    "further training data needs the same classes in the same order"
                )

    @property
    def key_frames(self) -> list[LabelledFrame]:
        """The frames labelled by hand in the videos to be labelled."""
        return labelled_frames(self.dataset)

    def fold_of(self, video: Video, frame: int) -> int:
        """Return the fold of a key frame: neighbours in time go to different folds."""
        places = [(member.video.name, member.frame) for member in self.key_frames]
        return places.index((video.name, frame)) % self.recipe.folds

    def outside_fold(self, fold: int) -> list[LabelledFrame]:
        """Return the key frames that a fold's segmenter may see."""
        return [member for i, member in enumerate(self.key_frames) if i % self.recipe.folds != fold]


def train_labeller(plan: TeacherPlan, *, progress: Progress = silent) -> Path:
    """Train the segmenter that labels, on all that is labelled by hand; return its checkpoint."""
    return _train_on(plan, "segmenter", plan.key_frames, progress)


def train_fold(plan: TeacherPlan, fold: int, *, progress: Progress = silent) -> Path:
    """Train the segmenter that has not seen the key frames of `fold`; return its checkpoint.

    Where nothing is left to train on, the labelling segmenter takes its place.
    """
    seen = plan.outside_fold(fold)
    if plan.recipe.folds == 1 or not (seen or plan.also_train):
        return train_labeller(plan, progress=progress)
    return _train_on(plan, f"segmenter-fold{fold}", seen, progress)


def train_further(
    plan: TeacherPlan,
    name: str,
    *,
    start: Path,
    key_frames: Sequence[LabelledFrame],
    made: Sequence[LabelledFrame],
    made_share: float,
    progress: Progress = silent,
) -> Path:
    """Train a segmenter further on labels that were made, beside those made by hand; return its checkpoint.

    Args:
        name: The name of the checkpoint in the plan's run; what is there already is kept.
        start: The weights to begin from.
        made_share: Share of the samples drawn from `made`; the others are those of the adaptation.
    """
    path = plan.run.checkpoint_path(name)
    if path.exists():
        return path
    further = [member for dataset in plan.also_train for member in labelled_frames(dataset)]
    by_hand = 1 - made_share
    share = plan.recipe.key_frame_share * by_hand if further else by_hand
    pools = [(Samples(made), made_share), (Samples(key_frames), share)]
    if further:
        pools.append((Samples(further), by_hand - share))
    _train(plan, path, pools, plan.recipe.adaptation, progress, start=start)
    return path


def load_models(
    path: Path, motion: MotionEstimator, classes: ClassSet, device: torch.device, *, mirrored: bool = False
) -> Models:
    """Load a segmenter's checkpoint and put it beside a motion estimator.

    Args:
        mirrored: Average what it says of a frame and of its mirror image.
    """
    card = read_card(path)
    check_classes(path, card, classes)
    network = look_up(SEGMENTERS, card.network, what="segmenter").from_card(card.settings, len(classes))
    load_weights(path, network)
    channels_last(network).to(device).eval()
    segmenter, identity = cast(Segmenter, network), fingerprint(path)
    if mirrored:
        segmenter, identity = MirroredSegmenter(segmenter), f"{identity}-mirrored"
    return Models(motion=motion, segmenter=segmenter, segmenter_fingerprint=identity)


def _train_on(plan: TeacherPlan, name: str, key_frames: list[LabelledFrame], progress: Progress) -> Path:
    """Train on key frames alone, or adapt to them what was trained on further data before."""
    path = plan.run.checkpoint_path(name)
    if path.exists():
        return path
    further = [member for dataset in plan.also_train for member in labelled_frames(dataset)]
    if not further:
        _train(plan, path, [(Samples(key_frames), 1.0)], plan.recipe.optimisation, progress)
        return path
    base = plan.run.checkpoint_path("segmenter-base")
    if not base.exists():
        _train(plan, base, [(Samples(further), 1.0)], plan.recipe.optimisation, progress)
    if not key_frames:
        return base
    share = plan.recipe.key_frame_share
    pools = [(Samples(key_frames), share), (Samples(further), 1 - share)]
    _train(plan, path, pools, plan.recipe.adaptation, progress, start=base)
    return path


def _train(
    plan: TeacherPlan,
    path: Path,
    pools: list[tuple[Samples, float]],
    optimisation: Optimisation,
    progress: Progress,
    *,
    start: Path | None = None,
) -> None:
    network: nn.Module = build_segmenter(plan.recipe, len(plan.dataset.classes), seed=plan.seed)
    if start is not None:
        load_weights(start, network)
    # The last pool is the largest: further data where there is some.
    kept, held_out = hold_out(pools[-1][0], plan.recipe.holdout_every)
    train_segmenter(
        path,
        network=network.to(plan.device),
        pools=[*pools[:-1], (kept, pools[-1][1])],
        held_out=held_out,
        recipe=plan.recipe,
        optimisation=optimisation,
        class_names=plan.dataset.classes.names,
        seed=plan.seed,
        progress=progress,
        task=f"training {path.stem}",
    )
