"""Count the frames that runs have still to label, and estimate what is kept on disk to do so."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from warprefine.core.video import Video
from warprefine.io.frames import frame_size
from warprefine.jobs.experiments.disk import Disk
from warprefine.jobs.experiments.network_cost import Costs
from warprefine.jobs.experiments.work import Labelling, Work
from warprefine.jobs.pseudo_labels import JOINT_METHOD
from warprefine.propagation.methods import ORACLE, PLUS, SEMANTIC_ONLY, needs_of
from warprefine.propagation.stepwise.cycle import cycles_of
from warprefine.propagation.units import frames_in_reach, stepwise_units
from warprefine.recipe.recipe import SegmenterRecipe
from warprefine.training.motion import PART as MOTION
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER
from warprefine.training.teachers import BASE, LABELLER

# Bytes of a pixel, measured on CamVid's clip (480 x 360).
_FLOW_BYTES = 2.5
"""Flow in both directions, in 16 bits a number, compressed."""
_CYCLE_BYTES = 2.2
"""Labels that a cycle returns, with the warped frame."""
_SIDE_BYTES = 2.8
"""Soft labels, trust and warped frame of a side."""
_IMAGE_BYTES = 1.8
"""A propagated image, as PNG."""
_FEATURE_BYTES = 6.5
"""Features and labels of a crop, of the frozen trunk, for a pixel of the crop: 1.1 MB for 352 x 480."""


class Storage:
    """The frames of an experiment that are to be labelled, in one output folder, and what is kept for them.

    Args:
        work: The work in the folder.
        costs: Costs of its networks.
    """

    def __init__(self, work: Work, costs: Costs) -> None:
        self._work, self._context, self._costs = work, work.context, costs
        self.videos: tuple[Video, ...] = tuple(video for video in work.context.data.videos if video.labels)
        self._sizes: dict[str, float] = {}

    def pixels(self, video: Video) -> float:
        """Return the pixels of a frame; clips of a data set may differ."""
        if video.name not in self._sizes:
            h, w = frame_size(video, video.key_frames[0])
            self._sizes[video.name] = float(h * w)
        return self._sizes[video.name]

    def due(self, labelling: Labelling, method: str, video: Video) -> list[int]:
        """Return the frames of a video that a method labels and that have no labels yet."""
        folder = self._context.out / labelling.folder / "labels" / method / video.name
        reached = set(frames_in_reach(video, self._context.horizon)) - set(video.labels)
        if method == ORACLE:
            reached &= set(video.truth)
        there = {path.stem for path in folder.iterdir()} if folder.exists() else set()
        return [frame for frame in sorted(reached) if video.stems[frame] not in there]

    def kept(self, trained: Collection[str]) -> Disk:
        """Return the bytes of the cache, and those of samples to train on.

        Args:
            trained: The names of the trainings that are due.
        """
        return Disk(
            cache=self._flow(trained) + self._segmentations() + self._features(trained),
            samples=self._cycles(trained) + self._sides(trained) + self._images(trained),
        )

    def _flow(self, trained: Collection[str]) -> float:
        """Return the bytes of flow that stays in the cache: runs with the same motion share it."""
        by_motion: dict[str, list[tuple[Labelling, str]]] = {}
        for labelling, method in self._methods():
            recipe = labelling.recipe
            if recipe.propagation.keep != "nothing" and method not in (SEMANTIC_ONLY, ORACLE):
                motion = recipe.plus.carry.motion if method == PLUS else recipe.propagation.motion
                by_motion.setdefault(motion, []).append((labelling, method))
        total = sum(self._pixels_of_all(users) for users in by_motion.values())
        first = self._work.labellings[0]
        if f"{first.folder}/{MOTION}" in trained and first.recipe.propagation.keep != "nothing":
            total += sum(len(video) * self.pixels(video) for video in self.videos)  # of the input motion
        return _FLOW_BYTES * total

    def _segmentations(self) -> float:
        """Return the bytes of segmentations that stay in the cache; further rounds have segmenters anew."""
        by_segmenter: dict[str, list[tuple[Labelling, str]]] = {}
        for labelling, method in self._methods():
            if labelling.recipe.propagation.keep == "all" and "segmenter" in needs_of((method,)):
                rounds = labelling.recipe.plus.rounds.count > 1 and method == PLUS
                by_segmenter.setdefault(labelling.folder if rounds else "", []).append((labelling, method))
        recipe = self._work.labellings[0].recipe.segmenter
        per_pixel = self._costs.segmenter(recipe, training=False).output_bytes if by_segmenter else 0.0
        return per_pixel * sum(self._pixels_of_all(users) for users in by_segmenter.values())

    def _methods(self) -> Iterator[tuple[Labelling, str]]:
        for labelling in self._work.labellings:
            for method in labelling.methods:
                yield labelling, method

    def _pixels_of_all(self, users: Iterable[tuple[Labelling, str]]) -> float:
        """Return the pixels of frames that any run and method has still to label, and of their key frames."""
        users, total = list(users), 0.0
        for video in self.videos:
            frames = {frame for labelling, method in users for frame in self.due(labelling, method, video)}
            total += (len(frames) + len(video.key_frames) * bool(frames)) * self.pixels(video)
        return total

    def _features(self, trained: Collection[str]) -> float:
        """Return the bytes of features of training crops."""
        total = 0.0
        for labelling in self._work.labellings:
            recipe, names = labelling.recipe, (LABELLER, BASE)
            due = any(f"{labelling.folder}/{name}" in trained for name in names)
            if due and recipe.propagation.keep == "all" and recipe.segmenter.network == "lite0-frozen":
                total += _FEATURE_BYTES * _pixels_of_crops(recipe.segmenter)
        return total

    def _cycles(self, trained: Collection[str]) -> float:
        """Return the bytes of cycles that the paper's refiners are trained on; runs share those they need."""
        found = [0.0]
        for labelling in self._work.labellings:
            if f"{labelling.folder}/{REFINER.part}" in trained:
                recipe = labelling.recipe.refiner
                pools = 2 if recipe.segmenters == "both" else 1
                cycles = ((len(cycles_of(video, recipe.longest_cycle)), video) for video in self.videos)
                found.append(pools * sum(count * self.pixels(video) for count, video in cycles))
        return _CYCLE_BYTES * max(found)

    def _sides(self, trained: Collection[str]) -> float:
        """Return the bytes of sides that two-sided refiners are trained on; alike ones are shared."""
        found: dict[str, float] = {}
        for labelling in self._work.labellings:
            if f"{labelling.folder}/{TWO_SIDED_REFINER.part}" in trained:
                plus = labelling.recipe.plus
                longest, carried = plus.refiner.longest_cycle, plus.carry.model_dump_json()
                keys = max(sum(len(video.key_frames) for video in self.videos), 1)
                share = min(keys, plus.refiner.key_frames) / keys
                pixels = share * sum(len(cycles_of(v, longest)) * self.pixels(v) for v in self.videos)
                found[carried] = max(found.get(carried, 0.0), pixels)
        return _SIDE_BYTES * sum(found.values())

    def _images(self, trained: Collection[str]) -> float:
        """Return the bytes of images that are propagated for students."""
        distances: set[int] = set()
        for variant in self._work.students:
            paths = (self._work.student_path(variant, seed) for seed in self._work.seeds)
            if variant.method == JOINT_METHOD and any(f"students/{path.stem}" in trained for path in paths):
                distances |= set(variant.distances)
        if not distances:
            return 0.0
        total = 0.0
        for video in self.videos:
            units = stepwise_units(video, max(distances))
            frames = sum(unit.distance(frame) in distances for unit in units for frame in unit.frames)
            total += frames * self.pixels(video)
        return _IMAGE_BYTES * total


def _pixels_of_crops(recipe: SegmenterRecipe) -> float:
    """Return the pixels of all crops of a set of pictures at most."""
    h, w = (a + b for a, b in zip(recipe.augmentation.crop, recipe.features.margin, strict=True))
    return float(recipe.features.crops * h * w)
