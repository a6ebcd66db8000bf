"""Measure where labels are lost along flow: at boundaries, in occluded pixels, or by resampling.

    python benchmarks/carry_study.py data/camvid --reader camvid --split clip15hz \\
        --frames 25: --motion dis-medium --motion dis-fine --class Pole

The labels of every frame are warped over one frame and over five, forwards and backwards in time; over five
frames in two modes: once along composed flow, and by a vote at every step. Border labels are repeated beyond
the edge. Prints mean IoU in percent of all pixels; of those near a boundary of the true labels and far from
any; of those where forward and backward flow agree, of those where they do not (occluded), and of those
whose source lies outside the frame. The flow of this test is each estimator's own, or that of --judge for
all. The time is CPU time for one flow.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Container, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional

from warprefine import open_dataset
from warprefine.core.protocols import MotionEstimator
from warprefine.core.tensors import VOID, Flow, Frames, LabelMaps, Masks
from warprefine.core.threads import use_threads
from warprefine.core.video import Dataset, Video
from warprefine.io.frames import FrameSource, open_frames
from warprefine.io.images import read_labels
from warprefine.metrics.confusion import Confusion, count, iou, mean_iou
from warprefine.motion.loading import load_motion
from warprefine.ops.label_vote import warp_labels
from warprefine.ops.warp import backward_warp, lands_inside

FAR = 5
NEAR_PX = 4
LOST_PX = 1
"""Largest forward-backward error of agreeing flow, for each frame of the walk."""
MODES = ("1 frame", f"{FAR} frames, at once", f"{FAR} frames, one by one")
REGIONS = ("all", f"near ({NEAR_PX} px)", "far", "in agreement", "occluded", "outside")
SHARES = REGIONS[-2:]
Counts = dict[tuple[str, str], Confusion]


class Enlarged:
    """A motion estimator that is run on frames enlarged twofold."""

    def __init__(self, motion: MotionEstimator) -> None:
        self.name = f"{motion.name}, enlarged"
        self._motion = motion

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        """Return `flow_ba` in pixels of the frames before enlarging."""
        flow = self._motion(*(self._twice(frame) for frame in (frame_b, frame_a)))
        return functional.avg_pool2d(flow, 2) / 2

    @staticmethod
    def _twice(frame: Frames) -> Frames:
        enlarged = functional.interpolate(frame.float(), scale_factor=2, mode="bicubic", align_corners=False)
        return enlarged.round().clamp(0, 255).to(torch.uint8)


class Flows:
    """The flows between frames of a video, each estimated once."""

    def __init__(self, motion: MotionEstimator, frames: FrameSource) -> None:
        self._motion = motion
        self._frames = frames
        self._flows: dict[tuple[int, int], Flow] = {}
        self.seconds: list[float] = []

    def __call__(self, b: int, a: int) -> Flow:
        """Return `flow_ba`."""
        if (b, a) not in self._flows:
            frame_b, frame_a = self._frames[b], self._frames[a]
            start = time.process_time()
            self._flows[b, a] = self._motion(frame_b, frame_a)
            self.seconds.append(time.process_time() - start)
        return self._flows[b, a]

    def composed(self, stops: Sequence[int]) -> Flow:
        """Return the composed flow that lives on the last stop and points into the first.

        With u between s and t: flow_ts(p) = flow_tu(p) + flow_us(p + flow_tu(p)).
        """
        flow = self(stops[1], stops[0])
        for before, after in pairwise(stops[1:]):
            step = self(after, before)
            flow = step + backward_warp(flow, step)
        return flow


def walks(numbers: range, labelled: Container[int]) -> Iterator[range]:
    """Yield the frames of each walk of one step and of FAR steps between two labelled frames."""
    for reach in (1, FAR):
        for start in numbers:
            for direction in (1, -1):
                stops = range(start, start + direction * (reach + 1), direction)
                if stops[-1] in numbers and start in labelled and stops[-1] in labelled:
                    yield stops


def warped(labels: LabelMaps, stops: range, flows: Flows) -> dict[str, LabelMaps]:
    """Warp the labels of the first stop to the last in every mode."""
    at_once = warp_labels(labels, flows.composed(stops), outside="replicate")
    if len(stops) == 2:
        return {MODES[0]: at_once}
    for before, after in pairwise(stops):
        labels = warp_labels(labels, flows(after, before), outside="replicate")
    return {MODES[1]: at_once, MODES[2]: labels}


def regions(truth: LabelMaps, stops: range, judge: Flows) -> dict[str, Masks]:
    """Mark the pixels of the last stop that belong to each region."""
    y, x = np.mgrid[-NEAR_PX : NEAR_PX + 1, -NEAR_PX : NEAR_PX + 1]
    disk = (x**2 + y**2 <= NEAR_PX**2).astype(np.uint8)
    plain = truth[0].numpy()
    near = torch.from_numpy(cv2.dilate(plain, disk) != cv2.erode(plain, disk))[None]
    backward, forward = judge.composed(stops), judge.composed(stops[::-1])
    miss = (backward + backward_warp(forward, backward)).norm(dim=1)
    inside, same = lands_inside(backward), miss < LOST_PX * (len(stops) - 1)
    masks = (torch.ones_like(near), near, ~near, inside & same, inside & ~same, ~inside)
    return dict(zip(REGIONS, masks, strict=True))


def study(video: Video, dataset: Dataset, flows: Flows, judge: Flows, *, chosen: slice) -> Counts:
    """Count true and warped labels by mode and region."""
    paths = {**video.truth, **video.labels}
    truths = {number: read_labels(path, dataset.classes) for number, path in paths.items()}
    counts: Counts = {}
    for stops in walks(range(len(video))[chosen], truths):
        truth = truths[stops[-1]]
        masks = regions(truth, stops, judge)
        for mode, labels in warped(truths[stops[0]], stops, flows).items():
            for region, mask in masks.items():
                within = truth.masked_fill(~mask, VOID)
                found = count(labels, within, class_count=len(dataset.classes))
                counts[mode, region] = counts.get((mode, region), 0) + found
    return counts


def row(counts: Counts, mode: str, classes: Sequence[int]) -> str:
    """Return the cells of one mode; shares are of the pixels that have a true class."""
    everywhere = counts[mode, "all"]
    scores = [mean_iou(counts[mode, region]) for region in REGIONS]
    shares = [counts[mode, region][:-1].sum() / everywhere[:-1].sum() for region in SHARES]
    of_classes = [iou(everywhere)[position] for position in classes]
    return " | ".join(f"{100 * score:.1f}" for score in (*scores, *shares, *of_classes))


def slice_of(text: str) -> slice:
    """Parse a range of frames: 25 or :25 are the first 25, 25: those after them."""
    first, colon, last = text.partition(":")
    return slice(int(first or 0), int(last) if last else None) if colon else slice(int(text))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--reader", default="folder")
    parser.add_argument("--split", default="train")
    parser.add_argument("--frames", type=slice_of, default=slice(None), help="of each video: 25, or 25:")
    parser.add_argument("--motion", action="append", default=[])
    parser.add_argument(
        "--enlarged", action="append", default=[], help="motion run on frames enlarged twofold"
    )
    parser.add_argument("--judge", help="motion whose flow decides what is occluded; else each its own")
    parser.add_argument("--class", action="append", default=[], dest="shown", help="class whose IoU to print")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    if not given.motion + given.enlarged:
        parser.error("nothing to study; name a --motion, for example dis-medium")
    return given


def main() -> None:
    """Print three rows for each motion estimator."""
    given = arguments()
    use_threads(given.threads)
    dataset = open_dataset(given.data, reader=given.reader, split=given.split)
    classes = [dataset.classes.position(name) for name in given.shown]
    motions: list[MotionEstimator] = [load_motion(named) for named in given.motion]
    motions += [Enlarged(load_motion(named)) for named in given.enlarged]
    judge = load_motion(given.judge) if given.judge else None
    counts: dict[str, Counts] = {motion.name: {} for motion in motions}
    seconds: dict[str, list[float]] = {motion.name: [] for motion in motions}
    for video in dataset.videos:
        with open_frames(video) as frames:
            common = Flows(judge, frames) if judge else None
            for motion in motions:
                flows, so_far = Flows(motion, frames), counts[motion.name]
                found = study(video, dataset, flows, common or flows, chosen=given.frames)
                so_far.update({key: so_far.get(key, 0) + matrix for key, matrix in found.items()})
                seconds[motion.name] += flows.seconds
    head = ["motion", "mode", *REGIONS, *(f"% {region}" for region in SHARES), *given.shown, "ms"]
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
    for name, of_motion in counts.items():
        spent = 1000 * statistics.median(seconds[name])
        for mode in MODES:
            print(f"| {name} | {mode} | {row(of_motion, mode, classes)} | {spent:.0f} |")


if __name__ == "__main__":
    main()
