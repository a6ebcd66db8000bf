"""Train the segmenters of a run, each once: the one that labels, and a held-out one per fold.

A segmenter is far better on frames that it was trained on than on the frames to be labelled. Cycles return
to key frames, so a refiner trained beside the segmenter that labels learns to trust it too much. The
segmenter of a fold was not trained on the fold's key frames; cycles at those use it. Where there is a base
segmenter, trained on further data alone, it can take the place of those of all folds, which need no training
then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from warprefine.core.memory import return_freed_memory
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import FrozenTrunk, Segmenter, module_of
from warprefine.core.video import Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.checkpoints import load_weights
from warprefine.io.run import RunFolder
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.recipe import SegmenterRecipe
from warprefine.training.base_store import BaseStore, key_of_base
from warprefine.training.data.features import FeatureStore
from warprefine.training.data.samples import LabelledFrame, Samples, check_learnable
from warprefine.training.engine.checkpoint import is_trained
from warprefine.training.engine.distributed import ALONE, World
from warprefine.training.segmenter import build_segmenter, hold_out, train_segmenter

LABELLER, BASE = "segmenter", "segmenter-base"
"""Checkpoints of the segmenter that labels, and of the one trained on further data alone."""


@dataclass(frozen=True, kw_only=True)
class Teachers:
    """Trains the segmenters of a run.

    Attributes:
        run: Where the weights are written.
        key_frames: The hand-labelled frames of the videos to be labelled.
        further: Further hand-labelled frames of the same classes.
        class_names: The classes.
        recipe: How segmenters are built and trained.
        device: Where they are trained.
        seed: Seed of weights and batches.
        progress: Called after every step.
        bases: Where segmenters that were trained on the same further data before are found.
        keep_features: Keep features of a frozen trunk on disk, not in memory alone.
        world: The ranks that share each training; all of them ask for the same trainings in the same order.
        trained_on: The key frames that the networks of the run were trained on, by video and frame, each with
            its place among them. They keep their folds when others are added or taken away.
    """

    run: RunFolder
    key_frames: Sequence[LabelledFrame]
    further: Sequence[LabelledFrame]
    class_names: tuple[str, ...]
    recipe: SegmenterRecipe
    device: torch.device
    seed: int
    progress: Progress = silent
    bases: BaseStore = field(default_factory=BaseStore)
    keep_features: bool = True
    world: World = ALONE
    trained_on: Mapping[tuple[str, int], int] = field(default_factory=dict)
    _stores: list[FeatureStore] = field(default_factory=list, init=False, repr=False)

    def fold_of(self, video: Video, frame: int) -> int:
        """Return the fold of a key frame: neighbours in time are in different folds.

        One that no network was trained on has a fold that depends on no other, so that it stays the same.
        """
        return self._places.get((video.name, frame), frame) % self.recipe.folds

    def outside_fold(self, fold: int) -> list[LabelledFrame]:
        """Return the key frames that a fold's segmenter is trained on."""
        return [one for one in self.key_frames if self.fold_of(one.video, one.frame) != fold]

    def train_labeller(self) -> Path:
        """Train the segmenter that labels, on all hand-labelled frames; return its checkpoint."""
        return self._train_on(LABELLER, self.key_frames)

    def train_held_out(self, fold: int) -> Path:
        """Train the segmenter that is held out from the key frames of `fold`; return its checkpoint.

        Where nothing is left to train on, the segmenter that labels takes its place. With the recipe's
        `held_out` "base" it is the base segmenter, which no key frame was shown to, unless the fold has a
        segmenter already, as after self-training.
        """
        if self.uses_base(fold):
            return self.train_base()
        others = self.outside_fold(fold)
        if self.recipe.folds == 1 or not (others or self.further):
            return self.train_labeller()
        return self._train_on(fold_name(fold), others)

    def has_own(self, fold: int) -> bool:
        """Return whether `train_held_out` trains a segmenter for this fold alone, unless it is there."""
        return self.recipe.folds > 1 and not self.uses_base(fold) and bool(self.outside_fold(fold))

    def uses_base(self, fold: int) -> bool:
        """Return whether the base segmenter takes the place of a fold's own."""
        if self.recipe.held_out != "base" or is_trained(self.run.checkpoint_path(fold_name(fold))):
            return False
        return bool(self.further) or is_trained(self.run.checkpoint_path(BASE))

    def train_base(self) -> Path:
        """Train the base segmenter, on further data alone; return its checkpoint."""
        path = self.run.checkpoint_path(BASE)
        if not is_trained(path):
            self._check_learnable()
            self._train_base(path)
        return path

    def is_held_out(self, fold: int) -> bool:
        """Return whether the segmenter that `train_held_out` returns is trained, and not on the fold.

        Where nothing is left to train on, it is the one that labels, which was.
        """
        if is_trained(self.run.checkpoint_path(fold_name(fold))):
            return True
        base = is_trained(self.run.checkpoint_path(BASE))
        if self.recipe.held_out == "base":
            return base
        return base and bool(self.further) and not self.outside_fold(fold)

    def train_on_pseudo_labels(
        self,
        name: str,
        *,
        start: Path,
        key_frames: Sequence[LabelledFrame],
        pseudo_labels: Sequence[LabelledFrame],
        share: float,
    ) -> Path:
        """Train a segmenter further on pseudo-labels beside hand-made labels; return its checkpoint.

        Args:
            name: The name of the checkpoint; an existing one is kept.
            start: The weights to start from.
            key_frames: Hand-labelled frames of the videos.
            pseudo_labels: Frames with pseudo-labels.
            share: Share of the samples drawn from `pseudo_labels`; the others are those of the adaptation.
        """
        path = self.run.checkpoint_path(name)
        if is_trained(path):
            return path
        by_hand = 1 - share
        of_key_frames = self.recipe.key_frame_share * by_hand if self.further else by_hand
        pools = [(Samples(pseudo_labels), share), (Samples(key_frames), of_key_frames)]
        if self.further:
            pools.append((Samples(self.further), by_hand - of_key_frames))
        return self._train(path, pools, self.recipe.adaptation, start=start)

    @cached_property
    def _places(self) -> dict[tuple[str, int], int]:
        now = {(member.video.name, member.frame): i for i, member in enumerate(self.key_frames)}
        return dict(self.trained_on) or now

    def _train_on(self, name: str, key_frames: Sequence[LabelledFrame]) -> Path:
        """Train on key frames alone, or adapt to them a segmenter trained on further data before."""
        path = self.run.checkpoint_path(name)
        if is_trained(path):
            return path
        self._check_learnable()
        base = self.run.checkpoint_path(BASE)
        if not is_trained(base):
            if not self.further:
                return self._train(path, [(Samples(key_frames), 1.0)], self._main_training(key_frames))
            self._train_base(base)
        if not key_frames:
            return base
        share = self.recipe.key_frame_share if self.further else 1.0
        pools = [(Samples(key_frames), share), (Samples(self.further), 1 - share)]
        return self._train(path, pools if self.further else pools[:1], self.recipe.adaptation, start=base)

    def _check_learnable(self) -> None:
        check_learnable([*self.key_frames, *self.further], self.class_names)  # a fold may show less

    def _main_training(self, pictures: Sequence[LabelledFrame]) -> Optimisation:
        return self.recipe.main_training(len(pictures))

    def _train_base(self, path: Path) -> None:
        """Train the base segmenter on further data, or take one that was trained on the same before."""
        key = self.world.of_first(self._key_of_base)
        if self.world.of_first(
            lambda: path.with_suffix(".state").exists() or not self.bases.fetch(key, path)
        ):
            self._train(path, [(Samples(self.further), 1.0)], self._main_training(self.further))
            if self.world.is_first:
                self.bases.keep(key, path)

    def _key_of_base(self) -> str:
        return key_of_base(
            self.further,
            self.recipe,
            class_names=self.class_names,
            seed=self.seed,
            device=self.device.type,
        )

    def _train(
        self,
        path: Path,
        pools: list[tuple[Samples, float]],
        optimisation: Optimisation,
        *,
        start: Path | None = None,
    ) -> Path:
        segmenter = build_segmenter(
            self.recipe, len(self.class_names), seed=self.seed, class_names=self.class_names
        )
        if start is not None:
            load_weights(start, module_of(segmenter))
        module_of(segmenter).to(self.device)
        # The last pool is the largest: further data where there is some.
        trained, held_out = hold_out(pools[-1][0], self.recipe.holdout_every)
        train_segmenter(
            path,
            segmenter=segmenter,
            pools=[*pools[:-1], (trained, pools[-1][1])],
            held_out=held_out,
            recipe=self.recipe,
            optimisation=optimisation,
            class_names=self.class_names,
            features=self._features(segmenter),
            centroids=self.run.cache / "centroids",
            seed=self.seed,
            progress=self.progress,
            task=f"training {path.stem}",
            world=self.world,
        )
        if self.keep_features:
            self.release()
        return path

    def release(self) -> None:
        """Give up the features that are held in memory; a later training reads or computes them again."""
        self._stores.clear()
        return_freed_memory()

    def _features(self, segmenter: Segmenter) -> FeatureStore | None:
        """Return the store of features that all trainings of a frozen trunk's heads share."""
        if not isinstance(segmenter, FrozenTrunk):
            return None
        if not self._stores:
            store = FeatureStore(
                segmenter,
                self.recipe.augmentation,
                self.recipe.features,
                cache=ArrayCache(self.run.cache) if self.keep_features else None,
                seed=self.seed,
            )
            self._stores.append(store)
        return self._stores[0]


def fold_name(fold: int) -> str:
    """Return the name of the checkpoint of a fold's segmenter."""
    return f"{LABELLER}-fold{fold}"
