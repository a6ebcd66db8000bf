"""Make everything that propagation needs, each part once: segmenters, tau, cycles, the refiner."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch

from warprefine.core.classes import ClassSet
from warprefine.core.errors import CheckpointError, RecipeError, cut
from warprefine.core.names import look_up
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator, Refiner, Segmenter, channels_last
from warprefine.core.video import Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.atomic import copy_file, write_text
from warprefine.io.checkpoints import Card, check_classes, fingerprint, load_weights, read_card
from warprefine.io.run import RunFolder
from warprefine.motion.loading import load_motion
from warprefine.propagation.evidence import Models
from warprefine.propagation.methods import NEED_REFINER, NEED_SEGMENTER, NEED_TAU, PLUS, Setting
from warprefine.propagation.writer import Job
from warprefine.refinement import REFINERS
from warprefine.refinement.mirrored import MirroredRefiner
from warprefine.training.cycles import Cycles
from warprefine.training.motion import train_motion
from warprefine.training.plus_recipe import PlusRecipe
from warprefine.training.recipe import Recipe
from warprefine.training.refiner import build_refiner, train_refiner
from warprefine.training.side_refiner import PART as SIDE_REFINER
from warprefine.training.tau import try_taus
from warprefine.training.teachers import TeacherPlan, load_models, train_fold, train_labeller

_USERS = {"segmenter": NEED_SEGMENTER, "refiner": NEED_REFINER, SIDE_REFINER: frozenset({PLUS})}
"""Parts that can come from another run, and the methods that need them."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """A run's data, recipe and device, from which its networks follow."""

    teachers: TeacherPlan
    recipe: Recipe
    motion: MotionEstimator
    progress: Progress = silent
    _loaded: dict[Path, Models] = field(default_factory=dict, init=False, repr=False)

    @property
    def run(self) -> RunFolder:
        """The run folder."""
        return self.teachers.run

    def take_weights(self, given: Mapping[str, Path | None], methods: Sequence[str]) -> None:
        """Copy checkpoints of another run into this one, once it is sure that `methods` have all they need.

        Raises:
            CheckpointError: One is missing, damaged, of another class set or another part, a refiner does
                not belong to the segmenter or to the way labels are carried, or this run has other weights
                already.
            RecipeError: Nothing says which tau to use.
        """
        named = set(methods)
        paths = {part: given.get(part) or self.run.checkpoint_path(part) for part in _USERS}
        needed = {part for part, users in _USERS.items() if users & named}
        if not self.recipe.plus.refine:
            needed.discard(SIDE_REFINER)
        for part, path in paths.items():
            if given.get(part) or part in needed:
                _check_part(path, read_card(path), part, self.teachers.dataset.classes)
                _check_free(path, self.run.checkpoint_path(part))
        for part in sorted(needed - {"segmenter"}):
            _check_pair(paths[part], self.load(paths["segmenter"]))
        if given.get(SIDE_REFINER):
            _check_ways(paths[SIDE_REFINER], self.recipe.plus)
        if NEED_TAU & named and not (given.get("refiner") or self._tau_is_known()):
            raise RecipeError(
                f"{self.run.root} has no tau, which {cut(sorted(NEED_TAU & named))} needs; name a --refiner, "
                "whose tau is then used, or set tau under [propagation] in the --recipe"
            )
        for part, path in paths.items():
            if given.get(part):
                copy_file(path, self.run.checkpoint_path(part))

    def segmenter(self) -> Models:
        """Return the segmenter that labels, trained if it is not there yet."""
        return self.load(train_labeller(self.teachers, progress=self.progress))

    def tau(self) -> float:
        """Return the recipe's tau, or the one that labels key frames best from one another, chosen once."""
        if self.recipe.propagation.tau is not None:
            return self.recipe.propagation.tau
        refiner = self.run.checkpoint_path("refiner")
        if refiner.exists():  # it was taught on labels made with this tau
            return float(read_card(refiner).facts["tau"])
        path = self._tau_path
        if not path.exists():
            scores = try_taus(
                self.teachers.dataset,
                ArrayCache(self.run.cache),
                self.recipe.propagation.tau_candidates,
                models_of=self.honest_models,
                longest_cycle=self.recipe.refiner.longest_cycle,
                progress=self.progress,
            )
            best = max(scores, key=lambda tau: scores[tau])
            content = {
                "tau": best,
                "miou": {f"{tau:g}": round(100 * s, 3) for tau, s in scores.items()},
            }
            write_text(path, json.dumps(content, indent=2) + "\n")
        return float(json.loads(path.read_text(encoding="utf-8"))["tau"])

    def refiner(self) -> tuple[Refiner, str]:
        """Return the refiner, trained if it is not there yet, and the fingerprint of its weights."""
        path = self.run.checkpoint_path("refiner")
        classes, device = self.teachers.dataset.classes, self.teachers.device
        if not path.exists():
            tau, channels = self.tau(), 0
            if self.recipe.refiner.features:
                channels = cast(Segmenter, self.segmenter().segmenter).feature_channels
            pools = self._cycles()
            for cycles in pools:
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
                pools=pools,
                recipe=self.recipe.refiner,
                class_names=classes.names,
                feature_channels=channels,
                facts={"tau": tau},
                seed=self.teachers.seed,
                progress=self.progress,
            )
        refiner, identity = load_refiner(path, classes, device), fingerprint(path)
        if self.recipe.refiner.mirrored:
            return cast(Refiner, MirroredRefiner(refiner)), f"{identity}-mirrored"
        return refiner, identity

    def trained_motion(self) -> Path:
        """Return the checkpoint of motion that was trained on this run's videos, trained if need be."""
        path = self.run.checkpoint_path("motion")
        if not path.exists():
            train_motion(
                path,
                dataset=self.teachers.dataset,
                motion=load_motion(self.recipe.motion.input_motion, device=self.teachers.device),
                cache=ArrayCache(self.run.cache),
                recipe=self.recipe.motion,
                device=self.teachers.device,
                seed=self.teachers.seed,
                progress=self.progress,
            )
        return path

    def job(self, *, horizon: int, methods: tuple[str, ...]) -> Job:
        """Gather what `propagate` needs for these methods; nothing is trained that they do not use."""
        named = set(methods)
        models = self.segmenter() if NEED_SEGMENTER & named else Models(motion=self.motion, keep=self._keep)
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

    @property
    def _keep(self) -> Literal["all", "flow", "nothing"]:
        return self.recipe.propagation.keep

    @property
    def _tau_path(self) -> Path:
        return self.run.root / "tau.json"

    def _tau_is_known(self) -> bool:
        places = (self.run.checkpoint_path("refiner"), self._tau_path)
        return self.recipe.propagation.tau is not None or any(path.exists() for path in places)

    def _cycles(self) -> list[Cycles]:
        """List the sets of cycles that the refiner learns from, one for each kind of segmenter."""
        kinds = {"unseen": [self.honest_models], "seen": [self.labelling_models]}
        kinds["both"] = kinds["unseen"] + kinds["seen"]
        return [
            Cycles(
                self.teachers.dataset,
                ArrayCache(self.run.cache),
                longest=self.recipe.refiner.longest_cycle,
                models_of=models_of,
            )
            for models_of in kinds[self.recipe.refiner.segmenters]
        ]

    def labelling_models(self, video: Video, frame: int) -> Models:
        """Return networks of which the segmenter is the one that labels, whatever it has seen."""
        return self.segmenter()

    def honest_models(self, video: Video, frame: int) -> Models:
        """Return networks of which the segmenter has not seen this key frame."""
        fold = self.teachers.fold_of(video, frame)
        return self.load(train_fold(self.teachers, fold, progress=self.progress))

    def load(self, path: Path) -> Models:
        """Return the segmenter of a checkpoint, beside motion."""
        if path not in self._loaded:
            classes, device = self.teachers.dataset.classes, self.teachers.device
            mirrored = self.recipe.segmenter.mirrored
            models = load_models(path, self.motion, classes, device, mirrored=mirrored)
            self._loaded[path] = replace(models, keep=self._keep)
        return self._loaded[path]


def load_refiner(path: Path, classes: ClassSet, device: torch.device) -> Refiner:
    """Load a refiner's checkpoint."""
    card = read_card(path)
    check_classes(path, card, classes)
    settings = dict(card.settings)
    kind = look_up(REFINERS, card.network, what="refiner")
    network = kind.from_card(settings, len(classes), settings.pop("feature_channels"))
    load_weights(path, network)
    return cast(Refiner, channels_last(network).to(device).eval())


def _check_part(path: Path, card: Card, part: str, classes: ClassSet) -> None:
    if card.part != part:
        raise CheckpointError(
            f"{path} holds a {card.part}, expected a {part}; name the other file as --{part}"
        )
    check_classes(path, card, classes)


def _check_free(source: Path, target: Path) -> None:
    """Refuse to replace weights that a run has by others."""
    if target.exists() and fingerprint(target) != fingerprint(source):
        raise CheckpointError(
            f"{target} is there already and differs from {source}; choose another --out to use that one"
        )


def _check_ways(refiner: Path, plus: PlusRecipe) -> None:
    """Refuse a refiner of sides that was taught on labels carried in another way."""
    taught, asked = read_card(refiner).facts["ways"], plus.way_settings
    if differing := [key for key in asked if taught.get(key) != asked[key]]:
        raise CheckpointError(
            f"{refiner} was taught with {_said(taught, differing)}, but the recipe has "
            f"{_said(asked, differing)} under [plus]; give the recipe.toml of its own run as --recipe"
        )


def _said(settings: Mapping[str, Any], keys: Sequence[str]) -> str:
    return ", ".join(f"{key} = {json.dumps(settings.get(key))}" for key in keys)


def _check_pair(refiner: Path, models: Models) -> None:
    """Refuse a refiner that was trained on the features of a segmenter of another shape."""
    wanted = read_card(refiner).settings["feature_channels"]
    found = cast(Segmenter, models.segmenter).feature_channels if wanted else 0
    if wanted not in (0, found):
        raise CheckpointError(
            f"{refiner} expects a segmenter with {wanted} feature channels, but the one here has {found}; "
            "name the --segmenter that it was trained with"
        )
