"""Print what each experiment of the paper takes, for data sets of the official sizes: `experiment --plan`.

No data are needed: videos of as many frames as the paper has stand for them, all with one blank picture.

Example: python benchmarks/plan_paper.py --write docs/reproducing.md
"""

from __future__ import annotations

import argparse
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from warprefine.core.classes import ClassSet
from warprefine.core.video import Dataset, Video
from warprefine.io.images import write_frame
from warprefine.jobs.experiments import plan_experiment
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.plan import THROUGHPUTS, Plan, Throughput
from warprefine.jobs.experiments.recipe import load_experiment_recipe

LARGE = Throughput(training=36.0, labelling=48.0, frames=4.0)
"""Of a GPU with 80 GB: not a quarter of the peak of an A100, 156 * 10^12 multiply-adds a second."""
GPUS = 8
MARKS = "<!-- begin plan -->", "<!-- end plan -->"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a data set: its clips, each with one key frame.

    Attributes:
        clips: Number of clips.
        frames: Number of unlabelled frames of all clips.
        after: Frames of a clip after its key frame; the others come before it.
    """

    clips: int
    frames: int
    after: int


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """A data set: size of its frames, number of its classes, and its parts by split, "" for all others."""

    size: tuple[int, int]
    classes: int
    parts: dict[str, Part]
    truth: bool = False


# Section 4.1 and supplement C.2. cv2 of Cityscapes trades three cities of 655 pictures for the 500 of val.
# Folds of KITTI train on three quarters.
DATA_SETS = {
    "cityscapes": Sizes(
        size=(1024, 2048),
        classes=19,
        parts={
            "": Part(clips=2975, frames=2975 * 20, after=10),
            "cv2-train": Part(clips=2820, frames=2820 * 20, after=10),
        },
    ),
    "apolloscape": Sizes(
        size=(2710, 3384), classes=22, parts={"": Part(clips=2005, frames=2005 * 20, after=10)}, truth=True
    ),
    "nyuv2": Sizes(size=(480, 640), classes=40, parts={"": Part(clips=795, frames=9786, after=6)}),
    "kitti": Sizes(
        size=(375, 1242),
        classes=19,
        parts={
            "": Part(clips=200, frames=200 * 20, after=10),
            **{f"fold{fold}-train": Part(clips=150, frames=150 * 20, after=10) for fold in range(4)},
        },
    ),
}
ROWS = (
    ("Figures 1, 5", "quality", "apolloscape"),
    ("Table 1", "utility", "apolloscape"),
    ("Table 1", "utility", "nyuv2"),
    ("Table 1", "utility", "cityscapes"),
    ("Figure 8", "horizon", "nyuv2"),
    ("Table 2", "benchmark", "cityscapes"),
    ("Table 3", "benchmark", "nyuv2"),
    ("Table 4: folds", "benchmark", "kitti-folds"),
    ("Table 4", "benchmark", "kitti"),
    ("Table A", "architectures", "cityscapes"),
    ("Table B", "relaxation", "cityscapes"),
    ("Figures 2, 6, 7", "pictures", "apolloscape"),
    ("Figures 6, 7, D", "pictures", "cityscapes"),
    ("Figure C", "pictures", "kitti"),
    ("Figure A", "cycle-length", "apolloscape"),
    ("Supplement B.2", "motion", "apolloscape"),
)


@dataclass(frozen=True, kw_only=True)
class SizedContext(ExperimentContext):
    """An experiment on videos that stand for those of a data set."""

    blank: Path

    def _open(self, split: str, *, key_frames: str = "") -> Dataset:
        sizes = DATA_SETS[self.recipe.data.reader]
        part = sizes.parts.get(split, sizes.parts[""])
        lengths = [part.frames // part.clips + (i < part.frames % part.clips) + 1 for i in range(part.clips)]
        videos = tuple(self._video(f"clip{i}", length, part, sizes=sizes) for i, length in enumerate(lengths))
        names = tuple(f"class {i}" for i in range(sizes.classes))
        classes = ClassSet(names=names, colors=tuple((i, i, i) for i in range(sizes.classes)))
        return Dataset(root=self.out, classes=classes, videos=videos)

    def _video(self, name: str, length: int, part: Part, *, sizes: Sizes) -> Video:
        key = length - 1 - part.after
        return Video(
            name=name,
            stems=[f"{number:02d}" for number in range(length)],
            frame_paths=[self.blank] * length,
            labels={key: self.blank},
            truth={number: self.blank for number in range(length) if number != key} if sizes.truth else {},
        )


def plan(experiment: str, name: str, folder: Path) -> Plan:
    """Return the plan of an experiment on a data set."""
    recipe = load_experiment_recipe(experiment, name)
    if experiment == "relaxation":
        recipe = recipe.model_copy(update={"other_weights": "mapillary.safetensors"})
    blank = folder / f"{recipe.data.reader}.png"
    if not blank.exists():
        write_frame(blank, torch.zeros(1, 3, *DATA_SETS[recipe.data.reader].size, dtype=torch.uint8))
    context = SizedContext(
        experiment=experiment, out=folder / f"{experiment}-{name}", root=folder, recipe=recipe, blank=blank
    )
    return plan_experiment(context, THROUGHPUTS["cuda"])


def hours_of(found: Plan, throughput: Throughput) -> float:
    """Return the hours of a plan on one machine of a throughput."""
    there = replace(found, throughput=throughput)
    return there.training_hours + there.labelling_hours


def main() -> None:
    """Print the table, or write it into a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="document with the marks of the table")
    given = parser.parse_args()
    columns = ("in the paper", "`experiment`", "recipe", "trainings", "1,000 steps", "frames to label")
    columns += ("disk, GB", "hours, 1 GPU of 32 GB", f"hours, {GPUS} of 80 GB")
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * 3}{'---:|' * 6}"]
    with tempfile.TemporaryDirectory() as folder:
        for title, experiment, name in ROWS:
            found = plan(experiment, name, Path(folder))
            hours, together = hours_of(found, found.throughput), hours_of(found, LARGE) / GPUS
            counts = f"{len(found.trainings)} | {found.steps / 1000:,.0f} | {found.frames:,}"
            sums = f"{found.disk.total / 1e9:,.0f} | {hours:,.0f} | {together:,.0f}"
            lines.append(f"| {title} | `{experiment}` | `{name}` | {counts} | {sums} |")
            print(lines[-1], flush=True)
    if given.write is not None:
        text = given.write.read_text(encoding="utf-8")
        between = "\n".join([MARKS[0], *lines, MARKS[1]])
        given.write.write_text(
            re.sub(f"{MARKS[0]}.*{MARKS[1]}", lambda _: between, text, flags=re.DOTALL), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
