"""Make everything that propagation needs, each part once: segmenters, tau, cycles, the refiner."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from warprefine.core.classes import ClassSet
from warprefine.core.names import look_up
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator, Refiner, Segmenter, channels_last
from warprefine.core.video import Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.atomic import copy_file, write_text
from warprefine.io.checkpoints import check_classes, fingerprint, load_weights, read_card
from warprefine.io.run import RunFolder
from warprefine.motion import MOTIONS
from warprefine.propagation.evidence import Models
from warprefine.propagation.methods import NEED_REFINER, NEED_SEGMENTER, NEED_TAU, Setting
from warprefine.propagation.writer import Job
from warprefine.refinement import REFINERS
from warprefine.training.cycles import Cycles
from warprefine.training.recipe import Recipe
from warprefine.training.refiner import build_refiner, train_refiner
from warprefine.training.teachers import TeacherPlan, load_models, train_fold, train_labeller

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """A run's data, recipe and device, from which its networks follow."""

    teachers: TeacherPlan
    recipe: Recipe
    progress: Progress = silent

    @property
    def run(self) -> RunFolder:
        """The run folder."""
        return self.teachers.run

    def take_weights(self, given: Mapping[str, Path | None], methods: Sequence[str]) -> None:
        """Copy checkpoints of another run into this one, and make sure that `methods` have all they need.

        Raises:
            CheckpointError: One is missing, damaged or of another class set.
        """
        for part, source in given.items():
            if source is not None:
                check_classes(source, read_card(source), self.teachers.dataset.classes)
                copy_file(source, self.run.checkpoint_path(part))
        for part, users in {"segmenter": NEED_SEGMENTER, "refiner": NEED_REFINER}.items():
            if users & set(methods):
                read_card(self.run.checkpoint_path(part))

    def segmenter(self) -> Models:
        """Return the segmenter that labels, trained if it is not there yet."""
        return self._load(train_labeller(self.teachers, progress=self.progress))

    def tau(self) -> float:
        """Return the recipe's tau, or the one with the least cycle error, chosen once."""
        if self.recipe.propagation.tau is not None:
            return self.recipe.propagation.tau
        refiner = self.run.checkpoint_path("refiner")
        if refiner.exists():  # it was taught on labels made with this tau
            return float(read_card(refiner).facts["tau"])
        path = self.run.root / "tau.json"
        if not path.exists():
            scores = self._cycles().choose_tau(self.recipe.propagation.tau_candidates, progress=self.progress)
            best = max(scores, key=lambda tau: scores[tau])
            content = {
                "tau": best,
                "cycle_miou": {f"{tau:g}": round(100 * s, 3) for tau, s in scores.items()},
            }
            write_text(path, json.dumps(content, indent=2) + "\n")
        return float(json.loads(path.read_text(encoding="utf-8"))["tau"])

    def refiner(self) -> tuple[Refiner, str]:
        """Return the refiner, trained if it is not there yet, and the fingerprint of its weights."""
        path = self.run.checkpoint_path("refiner")
        classes, device = self.teachers.dataset.classes, self.teachers.device
        if not path.exists():
            tau, channels = self.tau(), cast(Segmenter, self.segmenter().segmenter).feature_channels
            cycles = self._cycles()
            cycles.make(tau, progress=self.progress)
            network = build_refiner(
                self.recipe.refiner,
                class_count=len(classes),
                feature_channels=channels,
                seed=self.teachers.seed,
            )
            train_refiner(
                path,
                network=network.to(device),
                cycles=cycles,
                recipe=self.recipe.refiner,
                class_names=classes.names,
                feature_channels=channels,
                facts={"tau": tau},
                seed=self.teachers.seed,
                progress=self.progress,
            )
        return load_refiner(path, classes, device), fingerprint(path)

    def job(self, *, horizon: int, methods: tuple[str, ...]) -> Job:
        """Gather what `propagate` needs for these methods; nothing is trained that they do not use."""
        named = set(methods)
        models = self.segmenter() if NEED_SEGMENTER & named else Models(motion=self._motion())
        tau = self.tau() if NEED_TAU & named else 0.0
        refiner, refiner_fingerprint = self.refiner() if NEED_REFINER & named else (None, "")
        threshold = self.recipe.propagation.semantic_threshold
        return Job(
            dataset=self.teachers.dataset,
            horizon=horizon,
            methods=methods,
            models=models,
            setting=Setting(tau=tau, threshold=threshold, refiner=refiner),
            refiner_fingerprint=refiner_fingerprint,
        )

    def _cycles(self) -> Cycles:
        folds: dict[int, Models] = {}

        def models_of(video: Video, frame: int) -> Models:
            fold = self.teachers.fold_of(video, frame)
            if fold not in folds:
                folds[fold] = self._load(train_fold(self.teachers, fold, progress=self.progress))
            return folds[fold]

        return Cycles(
            self.teachers.dataset,
            ArrayCache(self.run.cache),
            longest=self.recipe.refiner.longest_cycle,
            models_of=models_of,
        )

    def _motion(self) -> MotionEstimator:
        return look_up(MOTIONS, self.recipe.propagation.motion, what="motion estimator")()

    def _load(self, path: Path) -> Models:
        return load_models(path, self._motion(), self.teachers.dataset.classes, self.teachers.device)


def load_refiner(path: Path, classes: ClassSet, device: torch.device) -> Refiner:
    """Load a refiner's checkpoint."""
    card = read_card(path)
    check_classes(path, card, classes)
    make = look_up(REFINERS, card.network, what="refiner")
    network = make(len(classes), card.settings["feature_channels"], widths=tuple(card.settings["widths"]))
    load_weights(path, network)
    return cast(Refiner, channels_last(network).to(device).eval())
