"""Measure the end-point error of motion estimators on image pairs with ground-truth flow.

Example: python benchmarks/flow_accuracy.py data/flow --weights raft_weights --threads 2

The folder holds two pairs of KITTI 2015 and one of Middlebury's stereo pairs. The folder or archive
with RAFT's released weights may be left out; then DIS is measured alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import torch
from torch import Tensor

from warprefine.core.protocols import MotionEstimator
from warprefine.core.tensors import Flow, Frames
from warprefine.io.flow_files import MeasuredFlow, read_disparity, read_kitti_flow
from warprefine.io.images import read_frame
from warprefine.motion.dis import DISFlow
from warprefine.motion.raft import SIZES, RAFTFlow, read_raft


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two images, and the file with the ground-truth flow from the first to the second."""

    first: str
    second: str
    truth: str
    read_truth: Callable[[Path], MeasuredFlow]


PAIRS = {
    "KITTI a": Pair(
        first="kitti_a/000010_10.png",
        second="kitti_a/000010_11.png",
        truth="kitti_a/occ_000010_10.png",
        read_truth=read_kitti_flow,
    ),
    "KITTI b": Pair(
        first="kitti_b/frame1.png",
        second="kitti_b/frame2.png",
        truth="kitti_b/flow_gt.png",
        read_truth=read_kitti_flow,
    ),
    "aloe": Pair(
        first="aloe_stereo/aloeL.jpg",
        second="aloe_stereo/aloeR.jpg",
        truth="aloe_stereo/aloeGT.png",
        read_truth=partial(read_disparity, steps_per_px=1),
    ),
}


def end_point_errors(flow: Flow, truth: MeasuredFlow) -> Tensor:
    """Return the end-point error of each pixel with ground truth, in pixels."""
    return (flow - truth.flow).norm(dim=1)[truth.known]


def outlier_share(flow: Flow, truth: MeasuredFlow) -> float:
    """Return the share of pixels with an end-point error above 3 px and 5 % of the true flow (KITTI's Fl)."""
    errors, lengths = end_point_errors(flow, truth), truth.flow.norm(dim=1)[truth.known]
    return float(((errors > 3) & (errors > 0.05 * lengths)).float().mean())


def estimators(weights: Path | None, *, iterations: int, device: str) -> Iterator[MotionEstimator]:
    """Yield the motion estimators that are compared, one at a time."""
    yield DISFlow("medium")
    yield DISFlow("fast")
    for name in SIZES if weights is not None else ():
        network = read_raft(weights, name).to(device)
        yield RAFTFlow(network, name=f"{name}-{iterations}", iterations=iterations)


def timed(estimate: MotionEstimator, first: Frames, second: Frames, *, times: int) -> tuple[Flow, float]:
    """Return the flow and the shortest of several runs, in seconds."""
    spans = []
    for _ in range(times):
        begin = time.perf_counter()
        flow = estimate(first, second)
        spans.append(time.perf_counter() - begin)
    return flow, min(spans)


def main() -> None:
    """Run the comparison and print it as a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", default=Path("data/flow"))
    parser.add_argument("--weights", type=Path, help="folder or archive with RAFT's .pth files")
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)
    print("| Pair | Estimator | End-point error (px) | Outliers (%) | Seconds per pair |")
    print("|---|---|---:|---:|---:|")
    for estimate in estimators(given.weights, iterations=given.iterations, device=given.device):
        for name in given.pairs:
            pair = PAIRS[name]
            first, second = (read_frame(given.data / path) for path in (pair.first, pair.second))
            truth = pair.read_truth(given.data / pair.truth)
            flow, seconds = timed(estimate, first, second, times=given.times)
            miss, outliers = float(end_point_errors(flow, truth).mean()), outlier_share(flow, truth)
            print(
                f"| {name} | {estimate.name} | {miss:.2f} | {100 * outliers:.1f} | {seconds:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
