"""The context of an experiment: its data, its run folder with labels, its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from warprefine.core.engine import HERE, Engine
from warprefine.core.errors import DatasetError, RecipeError
from warprefine.core.names import look_up
from warprefine.core.progress import Progress, silent
from warprefine.core.video import Dataset
from warprefine.datasets import open_dataset
from warprefine.datasets.street import write_street
from warprefine.io.atomic import copy_file, write_text, writing_errors
from warprefine.io.claims import check_apart, claim
from warprefine.jobs.autolabel import label
from warprefine.jobs.context import RunContext
from warprefine.jobs.experiments.gaps import with_gaps
from warprefine.jobs.experiments.recipe import ExperimentRecipe
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.networks import Networks
from warprefine.jobs.preflight import check_device, check_seed, reached_horizon
from warprefine.jobs.rounds import first_round
from warprefine.jobs.start import start
from warprefine.recipe.recipe import Recipe
from warprefine.recipe.settings_file import settings_to_toml
from warprefine.training.engine.distributed import ALONE, World
from warprefine.training.motion import PART as MOTION
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER

STREET = "street"
STREET_SPLITS = ("train", "test", "coarse")
_GROWS = {"seeds", "variants", "key_frame_sets"}
"""Settings that may grow in a later call; they do not identify an experiment's folder."""
_WITHOUT_TEACHER = {"relaxation", "motion"}
"""Experiments whose labels are those of motion alone."""
_WITHOUT_STUDENT = {"motion"}
"""Experiments on labels of motion alone that train nothing on them."""
_REFINERS = (REFINER.part, TWO_SIDED_REFINER.part)


@dataclass(frozen=True, kw_only=True)
class ExperimentContext:
    """One experiment's folder, data and recipe.

    OUT/recipe.toml, OUT/experiment.json   the resolved recipe; what identifies the experiment
    OUT/labels/                            the run folder with the labels and networks
    OUT/students/                          weights and scores of each student
    OUT/tables/, OUT/figures/              results

    The engine trains networks and labels frames; it does not change the results.

    Attributes:
        world: The processes that share trainings. Each has a context of its own, and all ask for the same
            data, runs and students in the same order. All label frames; the first records them.
    """

    experiment: str
    out: Path
    root: Path | None
    recipe: ExperimentRecipe
    device: str = "cpu"
    seed: int = 0
    progress: Progress = silent
    engine: Engine = HERE
    world: World = ALONE

    def claim(self) -> None:
        """Record what the folder is for; a second call checks that it is still the same.

        Raises:
            RunFolderError: The folder holds another experiment, or lies in the data.
            DeviceError: The device cannot be used.
            RecipeError: A seed cannot be used, or a network has no weights to begin from.
        """
        check_device(self.device)
        lacking = self.recipe.lacking_weights(
            self.recipe.networks if self.experiment == "architectures" else (),
            teacher=self.experiment not in _WITHOUT_TEACHER,
            student=self.experiment not in _WITHOUT_STUDENT,
        )
        if lacking:
            raise RecipeError(
                f"the recipe lets {', '.join(lacking)} begin from published weights, but names none; give "
                f"--initial-weights {lacking[0]}=FILE (of `warprefine weights import`, or a student), or "
                "--from-scratch for random weights"
            )
        for seed in (self.seeds[0], self.seeds[-1]):
            check_seed(seed)
        check_apart(self.out, *([self.root] if self.root else []))
        with self.world.parting():
            if self.world.is_first:
                claim(self.out / "experiment.json", self._described(), what="job")
                write_text(self.out / "recipe.toml", settings_to_toml(self.recipe))

    @cached_property
    def data(self) -> Dataset:
        """The videos to be labelled."""
        return self._open(self.recipe.data.split, key_frames=self.recipe.data.key_frames)

    @cached_property
    def manual(self) -> tuple[Dataset, ...]:
        """Further data labelled by hand."""
        return tuple(self._open(split) for split in self.recipe.data.manual)

    @cached_property
    def coarse(self) -> Dataset | None:
        """Data with coarse labels, if the recipe names some; with `coarse_gap`, derived from fine labels."""
        if not self.recipe.data.coarse:
            return None
        dataset, gap = self._open(self.recipe.data.coarse), self.recipe.data.coarse_gap
        if not gap:
            return dataset
        return self.world.of_first(partial(with_gaps, dataset, self.out / "data" / "gaps", gap=gap))

    @cached_property
    def test(self) -> Dataset:
        """The data that students are tested on.

        Raises:
            DatasetError: The recipe names none.
        """
        if not self.recipe.data.test:
            raise DatasetError(
                f"the experiment {self.experiment} tests students, but its recipe names no data for that; "
                'set test = "SPLIT" under [data]'
            )
        return self._open(self.recipe.data.test)

    @cached_property
    def shown(self) -> Dataset:
        """The data that students are shown on; the test data unless the recipe names others."""
        return self._open(self.recipe.data.shown) if self.recipe.data.shown else self.test

    @property
    def shown_classes(self) -> tuple[str, ...]:
        """The classes that the recipe wants to see.

        Raises:
            RecipeError: There is no class of a name; the message has the nearest one.
        """
        known = dict.fromkeys(self.data.classes.names)
        for name in self.recipe.shown_classes:
            look_up(known, name, what="class")
        return self.recipe.shown_classes

    @cached_property
    def to_submit(self) -> Dataset:
        """The data to hand in predictions for."""
        return self._open(self.recipe.data.submit)

    @property
    def seeds(self) -> range:
        """The seeds of what is trained more than once."""
        return range(self.seed, self.seed + self.recipe.seeds)

    @property
    def horizon(self) -> int:
        """The largest distance from a key frame at which frames are labelled: no longer than the clips."""
        return reached_horizon(self.data, self.recipe.data.horizon)

    @property
    def torch_device(self) -> torch.device:
        """The device on which networks run."""
        return check_device(self.device)

    def label(self, methods: Sequence[str]) -> tuple[Networks, FinishedRun]:
        """Train missing networks, label with `methods`, and score the labels."""
        run = self.out / "labels"
        networks = Networks(self._start(run, self.recipe.labels, seed=self.seed))
        if self.recipe.train_motion and not networks.context.run.checkpoint_path(MOTION).exists():
            networks.trained_motion()
            networks = Networks(self._start(run, self.recipe.labels, seed=self.seed))  # checks the new motion
        return networks, label(networks, methods)

    def label_again(self, methods: Sequence[str], *, name: str, recipe: Recipe, seed: int) -> FinishedRun:
        """Label with other refiners; the arguments are those of `start_again`."""
        return label(Networks(self.start_again(name=name, recipe=recipe, seed=seed)), methods)

    def start_again(self, *, name: str, recipe: Recipe, seed: int) -> RunContext:
        """Start a run with other refiners: all else is that of `label`, which comes first.

        Args:
            name: The name of the run folder in OUT.
        """
        first, again = self.out / "labels", self.out / name
        begins = first_round(again, recipe.plus.rounds.count)
        checkpoints = (first / "checkpoints").glob("*.safetensors")
        shared = {
            path: begins / path.relative_to(first) for path in checkpoints if path.stem not in _REFINERS
        }
        with self.world.parting():
            for path, target in {**shared, first / "tau.json": again / "tau.json"}.items():
                if self.world.is_first and path.exists() and not target.exists():
                    copy_file(path, target)
        return self._start(again, recipe, seed=seed, cache=first / "cache")

    def check_truth(self, finished: FinishedRun) -> None:
        """Check that the labels could be compared with truth.

        Raises:
            DatasetError: No frame within the horizon has truth.
        """
        if not finished.scores:
            raise DatasetError(
                f"{self.data.root} has no truth within the horizon to compare labels with; use a data set "
                "with dense labels and set key_frames under [data], such as 10::21"
            )

    def _start(self, out: Path, recipe: Recipe, *, seed: int, cache: Path | None = None) -> RunContext:
        data, manual = self.data, self.manual  # all processes open them, before the first goes on alone

        def begin() -> RunContext:
            begun = start(
                data,
                out,
                horizon=self.recipe.data.horizon,
                also_train=manual,
                recipe=recipe,
                device=self.device,
                seed=seed,
                cache=cache,
                progress=self.progress,
            )
            return replace(begun, progress=silent)  # nobody else can show it

        begun = self.world.of_first(begin)
        return replace(
            begun,
            device=self.torch_device,
            progress=self.progress,
            engine=self.engine,
            world=self.world,
        )

    def _open(self, split: str, *, key_frames: str = "") -> Dataset:
        data = self.recipe.data
        if data.reader == STREET:
            return self._street(split)
        if self.root is None:
            raise DatasetError(
                f"the recipe needs a data set of the reader {data.reader!r}, but none is given; "
                "name its folder with --data"
            )
        return open_dataset(self.root, reader=data.reader, split=split, key_frames=key_frames or None)

    def _street(self, split: str) -> Dataset:
        """Open a split of the procedural street, rendered into OUT/data if it is missing.

        In "train" the middle frame of each clip is a key frame and the others are truth; in "test" and
        "coarse", which show other streets, every third frame is labelled.
        """
        if split not in STREET_SPLITS:
            raise DatasetError(
                f"the procedural street has no split {split!r}; expected {', '.join(STREET_SPLITS)}"
            )
        root = self.out / "data" / split
        with self.world.parting():
            if self.world.is_first and not root.exists():
                self._render(split, root)
        return open_dataset(root)

    def _render(self, split: str, root: Path) -> None:
        """Write a split of the procedural street."""
        street, whole = self.recipe.data.street, split == "train"
        draft = root.with_name(f".{split}")
        write_street(
            draft,
            videos=street.videos if whole else street.test_videos,
            length=street.length,
            start=street.length // 2 if whole else 0,
            step=street.length if whole else 3,
            h=street.size[0],
            w=street.size[1],
            seed=len(STREET_SPLITS) * self.seed + STREET_SPLITS.index(split),
            progress=self.progress,
        )
        with writing_errors(root):
            draft.rename(root)

    def _described(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment,
            "data": str(self.root.resolve()) if self.root else None,
            "seed": self.seed,
            "recipe": self.recipe.model_dump(mode="json", exclude=_GROWS),
        }
