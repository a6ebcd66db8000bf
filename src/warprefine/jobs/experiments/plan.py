"""Plan an experiment without running it: trainings, steps, frames, disk and hours.

Hours follow from multiply-adds, which are counted in a forward pass of each network, and from throughputs.
A step of a training counts three forward passes of its batch. Hours are those of one process; tests, the
cycles that refiners learn from and the choice of tau are not part of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import torch

from warprefine.core.stages import GOOD
from warprefine.core.video import Video
from warprefine.io.frames import frame_size
from warprefine.io.run import RunFolder
from warprefine.jobs.context import RunContext
from warprefine.jobs.experiments.network_cost import (
    NetworkCost,
    cost_of_motion,
    cost_of_refiner,
    cost_of_segmenter,
)
from warprefine.jobs.experiments.work import Labelling, Work
from warprefine.jobs.networks import Networks
from warprefine.jobs.plan import trainings_of
from warprefine.propagation.methods import ORACLE, needs_of
from warprefine.propagation.units import frames_in_reach
from warprefine.recipe.network import NetworkRecipe
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.recipe import Recipe, RefinerRecipe, SegmenterRecipe
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.report.result_table import Cell, ResultTable
from warprefine.training.data.samples import labelled_frames
from warprefine.training.motion import PART as MOTION
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER

_TRAINING = "training "
_REFINERS = {f"the {kind.part}": kind.part for kind in (REFINER, TWO_SIDED_REFINER)}
_FORWARD_PASSES = 3
"""Of a training step: forwards once, backwards twice as much."""
_LABEL_BYTES = 0.26
"""Label map and confidence of a pixel, in PNG files: 0.04 and 0.22 bytes on CamVid's clip."""
_FLOW_BYTES = 4.0
"""Flow of a pixel in the cache, two directions of two numbers of 16 bits, packed to half."""
_TERA, _MEGA, _HOUR = 1e12, 1e6, 3600


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """What a machine does in a second.

    Attributes:
        training: Multiply-adds of trainings, in 10^12.
        labelling: Multiply-adds of networks that label, in 10^12.
        frames: Megapixels of frames that are read, followed by flow, warped and written, in each method.
    """

    training: float
    labelling: float
    frames: float


THROUGHPUTS = {
    "cpu": Throughput(training=0.1, labelling=0.2, frames=1.0),
    "cuda": Throughput(training=15.0, labelling=20.0, frames=4.0),
}
"""Defaults: two CPU cores, as docs/networks.md has them; and an assumption for one GPU with 32 GB, a quarter
to a third of its peak in half precision. The steps per second of a training tell what a machine does."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training that is due: its checkpoint in OUT, its network, steps, samples and multiply-adds."""

    name: str
    network: str
    steps: int
    samples: int
    multiply_adds: float
    weight_bytes: int


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Frames that a method labels in a run: their number, pixels and multiply-adds."""

    run: str
    method: str
    frames: int
    pixels: float
    multiply_adds: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an experiment would do."""

    trainings: tuple[Training, ...]
    labels: tuple[Labels, ...]
    cache_bytes: float
    throughput: Throughput

    @property
    def steps(self) -> int:
        """Steps of all trainings."""
        return sum(one.steps for one in self.trainings)

    @property
    def frames(self) -> int:
        """Frames that are labelled, counted for each method."""
        return sum(one.frames for one in self.labels)

    @property
    def disk_bytes(self) -> float:
        """Bytes of labels, confidence, weights and cache."""
        labels = _LABEL_BYTES * sum(one.pixels for one in self.labels)
        return labels + self.cache_bytes + sum(one.weight_bytes for one in self.trainings)

    @property
    def training_hours(self) -> float:
        """Hours of all trainings, one after the other."""
        work = sum(one.multiply_adds for one in self.trainings)
        return work / (_TERA * self.throughput.training) / _HOUR

    @property
    def labelling_hours(self) -> float:
        """Hours of labelling."""
        seconds = sum(one.multiply_adds for one in self.labels) / (_TERA * self.throughput.labelling)
        seconds += sum(one.pixels for one in self.labels) / (_MEGA * self.throughput.frames)
        return seconds / _HOUR

    def totals(self) -> dict[str, Any]:
        """Return the sums."""
        return {
            "trainings": len(self.trainings),
            "steps": self.steps,
            "frames": self.frames,
            "disk_bytes": round(self.disk_bytes),
            "training_hours": self.training_hours,
            "labelling_hours": self.labelling_hours,
        }

    def to_json(self) -> dict[str, Any]:
        """Return all of it, as JSON can hold it."""
        return {
            "totals": self.totals(),
            "trainings": [asdict(one) for one in self.trainings],
            "labels": [asdict(one) for one in self.labels],
            "throughput": asdict(self.throughput),
        }

    def tables(self) -> tuple[ResultTable, ...]:
        """Return it as tables: trainings, labels, totals."""
        rate = _TERA * self.throughput.training * _HOUR
        trainings: list[tuple[Cell, ...]] = [
            (one.name, one.network, one.steps, one.samples, one.multiply_adds / rate)
            for one in self.trainings
        ]
        hours = self.training_hours + self.labelling_hours
        sums: list[tuple[Cell, ...]] = [
            ("trainings", len(self.trainings)),
            ("steps", self.steps),
            ("frames to label", self.frames),
            ("disk, GB", self.disk_bytes / 1e9),
            ("hours, trainings", self.training_hours),
            ("hours, labels", self.labelling_hours),
            ("hours", hours),
        ]
        return (
            ResultTable(
                title="Trainings that are due",
                columns=("weights", "network", "steps", "samples", "hours"),
                rows=tuple(trainings),
            ),
            ResultTable(
                title="Frames to label",
                columns=("run", "method", "frames"),
                rows=tuple((one.run, one.method, one.frames) for one in self.labels),
            ),
            ResultTable(title="All together", columns=("", "sum"), rows=tuple(sums)),
        )


def plan_of(works: Sequence[Work], throughput: Throughput) -> Plan:
    """Return the plan of an experiment; what OUT has already is left out. Nothing is written.

    Args:
        works: The work of the experiment.
        throughput: What the machine does in a second.
    """
    planners = [_Planner(work) for work in works]
    return Plan(
        trainings=tuple(one for planner in planners for one in planner.trainings()),
        labels=tuple(one for planner in planners for one in planner.labels()),
        cache_bytes=sum(planner.cache_bytes() for planner in planners),
        throughput=throughput,
    )


@dataclass(frozen=True, kw_only=True)
class _Costs:
    """Costs of networks, each counted once."""

    class_count: int
    known: dict[str, NetworkCost] = field(default_factory=dict)

    def segmenter(self, recipe: NetworkRecipe, *, training: bool) -> NetworkCost:
        """Return the cost of a segmenter or student."""
        key = f"{training} {recipe.network} {recipe.widths} {recipe.source} {recipe.scales}"
        if key not in self.known:
            self.known[key] = cost_of_segmenter(recipe, self.class_count, training=training)
        return self.known[key]

    def refiner(self, recipe: Recipe, part: str) -> NetworkCost:
        """Return the cost of a refiner."""
        chosen = recipe.refiner if part == REFINER.part else recipe.plus.refiner
        key = f"{part} {chosen.model_dump_json()}"
        if key not in self.known:
            segmenter = self.segmenter(recipe.segmenter, training=False)
            features = segmenter.feature_channels if chosen.features else 0
            self.known[key] = cost_of_refiner(chosen, self.class_count, features)
        return self.known[key]


class _Planner:
    """Plans the work of one output folder."""

    def __init__(self, work: Work) -> None:
        self._work, self._context = work, work.context
        self._costs = _Costs(class_count=len(work.context.data.classes))

    def trainings(self) -> Iterator[Training]:
        """Yield the trainings that are due."""
        for labelling in self._work.labellings:
            yield from self._of_labelling(labelling)
        manual = len(labelled_frames(self._context.data)) + sum(
            len(labelled_frames(dataset)) for dataset in self._context.manual
        )
        for variant in self._work.students:
            recipe = variant.recipe.resolved(manual)
            for seed in self._work.seeds:
                path = self._work.student_path(variant, seed)
                if not path.exists():
                    cost = self._costs.segmenter(recipe, training=True)
                    yield _training(
                        f"students/{path.stem}",
                        recipe.network,
                        recipe.optimisation,
                        cost=cost,
                        crop=recipe.augmentation.crop,
                    )

    def labels(self) -> Iterator[Labels]:
        """Yield what each method labels in each run."""
        for labelling in self._work.labellings:
            for method in labelling.methods:
                counts = [(video, len(self._due(labelling, method, video))) for video in self._videos]
                pixels = sum((count * self._pixels(video) for video, count in counts if count), 0.0)
                yield Labels(
                    run=labelling.folder,
                    method=method,
                    frames=sum(count for _, count in counts),
                    pixels=pixels,
                    multiply_adds=pixels * self._per_pixel(labelling.recipe, method),
                )

    def cache_bytes(self) -> float:
        """Return the bytes of flow and segmentations that the runs keep; those of one run are shared."""
        recipe = self._work.labellings[0].recipe
        keep = recipe.propagation.keep
        if keep == "nothing":
            return 0.0
        per_pixel = _FLOW_BYTES
        if keep == "all":
            per_pixel += self._costs.segmenter(recipe.segmenter, training=False).output_bytes
        frames = [(len(frames_in_reach(video, self._context.horizon)), video) for video in self._videos]
        return per_pixel * sum(count * self._pixels(video) for count, video in frames)

    @cached_property
    def _videos(self) -> tuple[Video, ...]:
        return tuple(video for video in self._context.data.videos if video.labels)

    @cached_property
    def _sizes(self) -> dict[str, float]:
        return {}

    def _pixels(self, video: Video) -> float:
        """Return the pixels of a frame; clips of a data set may differ."""
        if video.name not in self._sizes:
            h, w = frame_size(video, video.key_frames[0])
            self._sizes[video.name] = float(h * w)
        return self._sizes[video.name]

    def _due(self, labelling: Labelling, method: str, video: Video) -> list[int]:
        """Return the frames of a video that a method labels and that have no labels yet."""
        folder = self._context.out / labelling.folder / "labels" / method / video.name
        reached = set(frames_in_reach(video, self._context.horizon)) - set(video.labels)
        if method == ORACLE:
            reached &= set(video.truth)
        return [frame for frame in sorted(reached) if not (folder / f"{video.stems[frame]}.png").exists()]

    def _per_pixel(self, recipe: Recipe, method: str) -> float:
        """Return the multiply-adds of networks for a pixel that a method labels."""
        needs, total = needs_of((method,)), 0.0
        if "segmenter" in needs:
            total += self._costs.segmenter(recipe.segmenter, training=False).multiply_adds
        if "refiner" in needs:
            total += (1 + recipe.refiner.mirrored) * self._costs.refiner(recipe, REFINER.part).multiply_adds
        if "two-sided-refiner" in needs and recipe.plus.refiner.enabled:
            passes = 1 + recipe.plus.refiner.mirrored
            total += passes * self._costs.refiner(recipe, TWO_SIDED_REFINER.part).multiply_adds
        return total

    def _of_labelling(self, labelling: Labelling) -> Iterator[Training]:
        """Yield the trainings of a run that labels."""
        context, recipe, costs = self._context, labelling.recipe, self._costs
        run = RunFolder(context.out / labelling.folder, read_only=True)
        if context.recipe.train_motion and not labelling.again and not run.checkpoint_path(MOTION).exists():
            motion = recipe.motion
            yield _training(
                f"{labelling.folder}/{MOTION}",
                "sdcnet",
                motion.optimisation,
                cost=cost_of_motion(motion),
                crop=motion.crop,
            )
        networks = Networks(
            RunContext(
                dataset=context.data,
                horizon=context.horizon,
                run=run,
                recipe=recipe,
                device=torch.device("cpu"),
                seed=context.seed,
                also_train=context.manual,
            )
        )
        for task in trainings_of(networks, labelling.methods, GOOD, set()):
            if not task.name.startswith(_TRAINING):
                continue
            name = task.name.removeprefix(_TRAINING)
            chosen: SegmenterRecipe | RefinerRecipe | TwoSidedRefinerRecipe = recipe.segmenter
            if name in _REFINERS:
                name = _REFINERS[name]
                chosen = recipe.refiner if name == REFINER.part else recipe.plus.refiner
                cost, crop = costs.refiner(recipe, name), chosen.crop
            elif labelling.again:
                continue
            else:
                cost, crop = (
                    costs.segmenter(recipe.segmenter, training=True),
                    recipe.segmenter.augmentation.crop,
                )
            yield _training(
                f"{labelling.folder}/{name}",
                chosen.network,
                chosen.optimisation.changed(("steps",), task.units),
                cost=cost,
                crop=crop,
            )


def _training(
    name: str,
    network: str,
    optimisation: Optimisation,
    *,
    cost: NetworkCost,
    crop: tuple[int, int],
) -> Training:
    """Return a training as long as `optimisation` has it."""
    samples = optimisation.steps * optimisation.batch * optimisation.accumulate
    return Training(
        name=name,
        network=network,
        steps=optimisation.steps,
        samples=samples,
        multiply_adds=_FORWARD_PASSES * samples * crop[0] * crop[1] * cost.multiply_adds,
        weight_bytes=cost.weight_bytes,
    )
