"""Ask where labels get lost when motion carries them: at boundaries, in hidden pixels, or in resampling.

    python benchmarks/carry_study.py ../shared/data/camvid --reader camvid --split clip15hz \\
        --frames 25: --motion dis-medium --motion dis-fine --class Pole

The labels of every frame go one frame and five frames on, forwards and backwards in time. Five frames they
go twice: at once, along the flows of the steps joined into one, and one by one, voted for at every step.
Beyond the border its labels are repeated. Prints mean IoU in percent of all pixels; of those near a
boundary of the true labels and far from any; of those that motion finds again when it goes there and back,
of those that it does not, since something hid them, and of those that come from outside the picture. Which
these are, each estimator says for itself, or the one named by --judge for all. The time is that of the
processor for one flow.
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
from warprefine.cli.options import use_threads
from warprefine.core.protocols import MotionEstimator
from warprefine.core.tensors import VOID, Flow, Frames, LabelMaps, Masks
from warprefine.core.video import Dataset, Video
from warprefine.evaluation.confusion import Confusion, count, iou, mean_iou
from warprefine.io.frames import FrameSource, open_frames
from warprefine.io.images import read_labels
from warprefine.motion.loading import load_motion
from warprefine.ops.label_vote import warp_labels
from warprefine.ops.warp import backward_warp, lands_inside

FAR = 5
NEAR_PX = 4
LOST_PX = 1
"""How far from where it began the way there and back may end, for each frame of the way."""
WAYS = ("1 frame", f"{FAR} frames, at once", f"{FAR} frames, one by one")
REGIONS = ("all", f"near ({NEAR_PX} px)", "far", "found again", "hidden", "outside")
SHARES = REGIONS[-2:]
Counts = dict[tuple[str, str], Confusion]


class Enlarged:
    """A motion estimator that sees frames twice as large as they are."""

    def __init__(self, motion: MotionEstimator) -> None:
        self.name = f"{motion.name}, enlarged"
        self._motion = motion

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        """Return `flow_ba` in pixels of the frames as they are."""
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
        self._known: dict[tuple[int, int], Flow] = {}
        self.seconds: list[float] = []

    def __call__(self, b: int, a: int) -> Flow:
        """Return `flow_ba`."""
        if (b, a) not in self._known:
            frame_b, frame_a = self._frames[b], self._frames[a]
            start = time.process_time()
            self._known[b, a] = self._motion(frame_b, frame_a)
            self.seconds.append(time.process_time() - start)
        return self._known[b, a]

    def joined(self, stops: Sequence[int]) -> Flow:
        """Return the flow that lives on the last stop and points into the first.

        With u between s and t: flow_ts(p) = flow_tu(p) + flow_us(p + flow_tu(p)).
        """
        flow = self(stops[1], stops[0])
        for before, after in pairwise(stops[1:]):
            step = self(after, before)
            flow = step + backward_warp(flow, step)
        return flow


def journeys(numbers: range, known: Container[int]) -> Iterator[range]:
    """List the frames on each way of one step and of FAR steps between two labelled frames."""
    for reach in (1, FAR):
        for start in numbers:
            for direction in (1, -1):
                stops = range(start, start + direction * (reach + 1), direction)
                if stops[-1] in numbers and start in known and stops[-1] in known:
                    yield stops


def arrivals(labels: LabelMaps, stops: range, flows: Flows) -> dict[str, LabelMaps]:
    """Carry the labels of the first stop to the last in every way."""
    at_once = warp_labels(labels, flows.joined(stops), outside="replicate")
    if len(stops) == 2:
        return {WAYS[0]: at_once}
    for before, after in pairwise(stops):
        labels = warp_labels(labels, flows(after, before), outside="replicate")
    return {WAYS[1]: at_once, WAYS[2]: labels}


def regions(truth: LabelMaps, stops: range, judge: Flows) -> dict[str, Masks]:
    """Mark the pixels of the last stop that belong to each region."""
    y, x = np.mgrid[-NEAR_PX : NEAR_PX + 1, -NEAR_PX : NEAR_PX + 1]
    disk = (x**2 + y**2 <= NEAR_PX**2).astype(np.uint8)
    plain = truth[0].numpy()
    near = torch.from_numpy(cv2.dilate(plain, disk) != cv2.erode(plain, disk))[None]
    back, there = judge.joined(stops), judge.joined(stops[::-1])
    miss = (back + backward_warp(there, back)).norm(dim=1)
    inside, same = lands_inside(back), miss < LOST_PX * (len(stops) - 1)
    masks = (torch.ones_like(near), near, ~near, inside & same, inside & ~same, ~inside)
    return dict(zip(REGIONS, masks, strict=True))


def study(video: Video, dataset: Dataset, flows: Flows, judge: Flows, *, chosen: slice) -> Counts:
    """Count true and carried labels by way and region."""
    paths = {**video.truth, **video.labels}
    known = {number: read_labels(path, dataset.classes) for number, path in paths.items()}
    counts: Counts = {}
    for stops in journeys(range(len(video))[chosen], known):
        truth = known[stops[-1]]
        masks = regions(truth, stops, judge)
        for way, labels in arrivals(known[stops[0]], stops, flows).items():
            for region, mask in masks.items():
                seen = truth.masked_fill(~mask, VOID)
                found = count(labels, seen, class_count=len(dataset.classes))
                counts[way, region] = counts.get((way, region), 0) + found
    return counts


def row(counts: Counts, way: str, classes: Sequence[int]) -> str:
    """Lay out what was found of one way; shares are of the pixels that have a true class."""
    everywhere = counts[way, "all"]
    scores = [mean_iou(counts[way, region]) for region in REGIONS]
    shares = [counts[way, region][:-1].sum() / everywhere[:-1].sum() for region in SHARES]
    of_classes = [iou(everywhere)[position] for position in classes]
    return " | ".join(f"{100 * score:.1f}" for score in (*scores, *shares, *of_classes))


def slice_of(text: str) -> slice:
    """Read which frames are meant: 25 or :25 are the first 25, 25: those after them."""
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
        "--enlarged", action="append", default=[], help="motion that sees frames twice as large"
    )
    parser.add_argument("--judge", help="motion that says what is hidden; else each says it itself")
    parser.add_argument("--class", action="append", default=[], dest="shown", help="class whose IoU is told")
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
    head = ["motion", "way", *REGIONS, *(f"% {region}" for region in SHARES), *given.shown, "ms"]
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
    for name, of_motion in counts.items():
        spent = 1000 * statistics.median(seconds[name])
        for way in WAYS:
            print(f"| {name} | {way} | {row(of_motion, way, classes)} | {spent:.0f} |")


if __name__ == "__main__":
    main()
