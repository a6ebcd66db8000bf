"""Time label propagation against a plain loop, as research code writes it, with the same networks.

The plain loop reads both images again at every step, estimates flow and segments again for every key frame,
warps labels as one-hot planes with `grid_sample` and takes the largest, and keeps nothing. It gives the same
labels, as tests/benchmarks/test_plain_loop.py checks. Times are CPU seconds in one thread, each the least of
several rounds; the cache of warprefine is empty at the start of each.

  label   label maps on disk of all frames within HORIZON of a key frame, key frames every EVERY frames. The
          plain loop walks from each key frame through its whole horizon; warprefine labels each frame from
          the nearest key frame, as `warprefine propagate` does, and writes confidences too.
  pairs   the same walks for both: each frame once for each key frame within HORIZON, nothing written.
  cycles  t -> t + l -> t for l = 1 to LONGEST, both ways, from each key frame that has as many frames beside
          it. Warprefine also writes what its refiner is trained with.

Example: python benchmarks/plain_loop.py data/camvid --reader camvid --split clip15hz
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from rendered_street import street
from torch import Tensor
from torch.nn import functional

from warprefine import Recipe, open_dataset
from warprefine.core.classes import ClassSet
from warprefine.core.memory import keep_freed_memory
from warprefine.core.precision import computing
from warprefine.core.protocols import MotionEstimator, Refiner, RefinerInput, Segmenter, ready
from warprefine.core.tensors import VOID
from warprefine.core.threads import use_threads
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.images import read_frame, read_labels, write_labels
from warprefine.io.run import RunFolder
from warprefine.motion.loading import load_motion
from warprefine.ops.resize import to_size
from warprefine.propagation.evidence import Models, open_evidence
from warprefine.propagation.methods import PAPER_METHODS, SEMANTIC_ONLY
from warprefine.propagation.run import Job, propagate
from warprefine.propagation.stepwise.cycle import cycles_of, there_and_back
from warprefine.propagation.stepwise.walk import StepSettings, StepwiseLabeller
from warprefine.propagation.units import Unit
from warprefine.refinement.mirrored import mirrored_refiner
from warprefine.segmentation.mirrored import mirrored_segmenter
from warprefine.training.refiners.cycles import Cycles
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.segmenter import build_segmenter

WALKING = tuple(method for method in PAPER_METHODS if method != SEMANTIC_ONLY)
"""The methods that carry labels from frame to frame."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What both loops compute with."""

    motion: MotionEstimator
    segmenter: Segmenter
    refiner: Refiner
    tau: float

    @property
    def models(self) -> Models:
        """The same for warprefine."""
        return Models(motion=self.motion, segmenter=self.segmenter, segmenter_fingerprint="untrained")

    def labeller(self, method: str) -> StepwiseLabeller:
        """Return warprefine's labeller of a method."""
        settings = StepSettings(tau=self.tau, threshold=0.9, refiner=self.refiner)
        return StepwiseLabeller(methods=(method,), models=self.models, settings=settings)


def untrained(recipe: Recipe, class_count: int) -> Parts:
    """Return the networks of a recipe as their training starts: it changes no time."""
    segmenter = build_segmenter(recipe.segmenter, class_count, seed=0)
    refiner = REFINER.build(
        recipe.refiner, class_count=class_count, feature_channels=segmenter.feature_channels, seed=0
    )
    cpu = torch.device("cpu")
    segmenter, refiner = ready(segmenter, cpu), ready(refiner, cpu)
    return Parts(
        motion=load_motion("dis-medium", device=cpu),
        segmenter=mirrored_segmenter(segmenter) if recipe.segmenter.mirrored else segmenter,
        refiner=mirrored_refiner(refiner) if recipe.refiner.mirrored else refiner,
        tau=0.25,
    )


@dataclass(frozen=True, kw_only=True)
class PlainLoop:
    """The paper's methods, equations (1) to (8), step by step and frame by frame, with nothing kept."""

    video: Video
    classes: ClassSet
    parts: Parts

    def walk(self, stops: Sequence[int], method: str) -> Iterator[Tensor]:
        """Carry the labels of a key frame, the first stop; yield the label map (1, h, w) of each other."""
        labels = read_labels(self.video.labels[stops[0]], self.classes)
        for a, b in pairwise(stops):
            labels = self.step(labels, a=a, b=b, method=method)
            yield labels

    @torch.inference_mode()
    def step(self, labels_a: Tensor, *, a: int, b: int, method: str) -> Tensor:
        """Label frame b from the labels (1, h, w) of its neighbour a."""
        frame_a, frame_b = (read_frame(self.video.frame_paths[frame]) for frame in (a, b))
        points, inside = sampling_points(self.parts.motion(frame_b, frame_a))
        warped = one_hot_warp(labels_a, points, class_count=len(self.classes))
        if method == "motion-only":
            return warped
        with computing(self.parts.segmenter):
            segmentation = self.parts.segmenter(frame_b)
        semantic = to_size(segmentation.logits.float(), labels_a.shape[-2:]).softmax(dim=1).argmax(dim=1)
        warped_frame = sample(frame_a.float(), points)
        distance = (frame_b.float() - warped_frame).square().sum(dim=1).sqrt() / 255
        trusted = (distance < self.parts.tau) & inside
        inpainted = torch.where(trusted, warped, semantic.to(torch.uint8))
        if method == "warp-inpaint":
            return inpainted
        inputs = RefinerInput(
            frame=frame_b,
            warped_frame=warped_frame.round().to(torch.uint8),
            labels=inpainted,
            segmentation=segmentation,
        )
        with computing(self.parts.refiner):
            winner = self.parts.refiner(inputs).float().softmax(dim=1).argmax(dim=1)
        return winner.masked_fill(winner == len(self.classes), VOID).to(torch.uint8)


def sampling_points(flow_ba: Tensor) -> tuple[Tensor, Tensor]:
    """Return where `grid_sample` reads for each pixel of b, (1, h, w, 2) in -1..1, and which lie inside a."""
    h, w = flow_ba.shape[-2:]
    y, x = torch.meshgrid(torch.arange(float(h)), torch.arange(float(w)), indexing="ij")
    x, y = x + flow_ba[:, 0], y + flow_ba[:, 1]
    inside = (x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)
    return torch.stack((2 * x / (w - 1) - 1, 2 * y / (h - 1) - 1), dim=-1), inside


def sample(planes_a: Tensor, points: Tensor) -> Tensor:
    """Warp planes (1, c, h, w) from a to b, border values repeated."""
    return functional.grid_sample(
        planes_a, points, mode="bilinear", padding_mode="border", align_corners=True
    )


def one_hot_warp(labels_a: Tensor, points: Tensor, *, class_count: int) -> Tensor:
    """Warp one plane per class and one for VOID, and take the largest."""
    positions = labels_a.long().masked_fill(labels_a == VOID, class_count)
    planes = functional.one_hot(positions, class_count + 1).permute(0, 3, 1, 2).float()
    winner = sample(planes, points).argmax(dim=1)
    return winner.masked_fill(winner == class_count, VOID).to(torch.uint8)


def overlapping_walks(video: Video, horizon: int) -> list[Unit]:
    """Return the walks from every key frame through its whole horizon, both ways."""
    walks = []
    for key in video.key_frames:
        for direction in (1, -1):
            frames = (key + direction * distance for distance in range(1, horizon + 1))
            inside = tuple(frame for frame in frames if 0 <= frame < len(video))
            if inside:
                walks.append(Unit(video=video.name, frames=inside, key_frames=(key,)))
    return walks


def label(job: Job, out: Path) -> None:
    """Label with warprefine into a run folder: each frame from its nearest key frame."""
    failures = propagate(job, RunFolder(out))
    if failures:
        raise SystemExit("\n".join(failures.values()))


def label_plainly(loop: PlainLoop, walks: Sequence[Unit], method: str, out: Path) -> None:
    """Write a label map of each frame of each walk."""
    for unit in walks:
        (key,) = unit.key_frames
        for frame, labels in zip(unit.frames, loop.walk((key, *unit.frames), method), strict=True):
            write_labels(out / f"{key}-{frame}.png", labels, loop.classes)


def walk_all(dataset: Dataset, walks: Sequence[Unit], labeller: StepwiseLabeller, out: Path) -> list[Tensor]:
    """Return warprefine's label map of each frame of each walk, with the cache in `out`."""
    (video,) = dataset.videos
    with open_evidence(video, dataset.classes, labeller.models, ArrayCache(out)) as evidence:
        return [
            pseudo.labels for unit in walks for pseudo in labeller.label(evidence, unit, labeller.methods)
        ]


def walk_plainly(loop: PlainLoop, walks: Sequence[Unit], method: str, _: Path) -> list[Tensor]:
    """Return the plain loop's label map of each frame of each walk."""
    return [labels for unit in walks for labels in loop.walk((*unit.key_frames, *unit.frames), method)]


def run_cycles(dataset: Dataset, parts: Parts, longest: int, out: Path) -> Cycles:
    """Run warprefine's cycles and keep what returns in a cache in `out`."""
    cycles = Cycles(dataset, ArrayCache(out), longest=longest, models_of=lambda video, frame: parts.models)
    cycles.prepare(parts.tau)
    return cycles


def run_cycles_plainly(loop: PlainLoop, longest: int, _: Path) -> list[Tensor]:
    """Return the plain loop's labels after each cycle, in the same order."""
    routes = [there_and_back(cycle) for cycle in cycles_of(loop.video, longest)]
    return [list(loop.walk(route, "warp-inpaint"))[-1] for route in routes]


def shorten(dataset: Dataset, frames: int, key_frames: range) -> Dataset:
    """Return the first video alone, so many frames of it, with other key frames and without truth."""
    video = dataset.videos[0]
    labelled = {**video.truth, **video.labels}
    short = replace(
        video,
        frame_paths=video.frame_paths[:frames],
        stems=video.stems[:frames],
        labels={frame: labelled[frame] for frame in key_frames if frame < frames},
        truth={},
    )
    return replace(dataset, videos=(short,))


def seconds(call: Callable[[Path], object], rounds: int) -> float:
    """Return the least CPU seconds of several calls, each with an empty folder."""
    spans = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.process_time()
            call(Path(folder))
            spans.append(time.process_time() - begin)
    return min(spans)


def main() -> None:
    """Time both loops in turn and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", type=Path, help="a densely labelled data set; none: a street")
    parser.add_argument("--reader", default="folder")
    parser.add_argument("--split", default="train")
    parser.add_argument("--frames", type=int, default=31)
    parser.add_argument("--every", type=int, default=5, help="frames from key frame to key frame")
    parser.add_argument("--horizon", type=int, default=10)
    parser.add_argument("--longest", type=int, default=6, help="length of the longest cycle")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--method", action="append", help="repeatable")
    parser.add_argument("--only", action="append", help="label, pairs or cycles; repeatable")
    given = parser.parse_args()
    use_threads(1)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        data = given.data or street(Path(folder) / "street", videos=1, seed=0)
        full = open_dataset(data, reader=given.reader, split=given.split)
        dataset = shorten(full, given.frames, range(0, given.frames, given.every))
        measure(dataset, given)


def measure(dataset: Dataset, given: argparse.Namespace) -> None:
    """Print a row for each task and method."""
    (video,) = dataset.videos
    parts = untrained(Recipe(), len(dataset.classes))
    loop = PlainLoop(video=video, classes=dataset.classes, parts=parts)
    walks = overlapping_walks(video, given.horizon)
    tasks = given.only or ("label", "pairs", "cycles")
    print(f"{len(video)} frames, {len(video.labels)} key frames, {sum(len(w.frames) for w in walks)} pairs")
    print(f"{'task':<8}{'method':<14}{'plain loop':>12}{'warprefine':>12}{'ratio':>8}")
    for method in given.method or WALKING:
        labeller = parts.labeller(method)
        warm_up(dataset, loop, labeller, replace(walks[0], frames=walks[0].frames[:1]))
        if "label" in tasks:
            job = Job(dataset=dataset, horizon=given.horizon, labellers=(labeller,))
            ours = seconds(partial(label, job), given.rounds)
            plain = seconds(partial(label_plainly, loop, walks, method), given.rounds)
            print_row("label", method, plain, ours)
        if "pairs" in tasks:
            ours = seconds(partial(walk_all, dataset, walks, labeller), given.rounds)
            plain = seconds(partial(walk_plainly, loop, walks, method), given.rounds)
            print_row("pairs", method, plain, ours)
    if "cycles" in tasks:
        inside = range(given.longest, len(video) - given.longest)
        key_frames = {frame: path for frame, path in video.labels.items() if frame in inside}
        few = replace(dataset, videos=(replace(video, labels=key_frames),))
        ours = seconds(partial(run_cycles, few, parts, given.longest), given.rounds)
        plain = seconds(
            partial(run_cycles_plainly, replace(loop, video=few.videos[0]), given.longest), given.rounds
        )
        print_row("cycles", "warp-inpaint", plain, ours)


def warm_up(dataset: Dataset, loop: PlainLoop, labeller: StepwiseLabeller, short: Unit) -> None:
    """Take a step with both: loops are compiled and kernels chosen at their first use."""
    for call in (
        partial(walk_all, dataset, [short], labeller),
        partial(walk_plainly, loop, [short], *labeller.methods),
    ):
        seconds(call, 1)


def print_row(task: str, method: str, plain: float, ours: float) -> None:
    print(f"{task:<8}{method:<14}{plain:>10.2f} s{ours:>10.2f} s{plain / ours:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
