"""Compare motion-only propagation along flow and through SDC-Net's displaced kernels.

    python benchmarks/carry_labels.py data/camvid --reader camvid --split clip15hz \\
        --keyframes 10::21 --motion dis-medium --motion runs/motion/checkpoints/motion.safetensors

Labels are warped from each key frame step by step to all frames that are nearer to it than to any other,
along the flow and, where a checkpoint has kernels, also through them. Border labels are repeated beyond the
edge. Prints mean IoU in percent by distance from the key frame, and seconds per step.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from warprefine import open_dataset
from warprefine.core.protocols import MotionEstimator
from warprefine.core.tensors import Frames, LabelMaps
from warprefine.core.threads import use_threads
from warprefine.core.video import Dataset
from warprefine.io.frames import open_frames
from warprefine.io.images import read_labels
from warprefine.metrics.confusion import count, mean_iou
from warprefine.motion.loading import load_motion
from warprefine.motion.sdcnet_motion import SDCNetMotion
from warprefine.ops.label_vote import warp_labels
from warprefine.propagation.units import stepwise_units

HORIZON = 10
Row = tuple[list[float], float]


def carried(
    motion: MotionEstimator,
    labels: LabelMaps,
    frame_b: Frames,
    frame_a: Frames,
    *,
    kernels: bool,
    classes: int,
) -> LabelMaps:
    """Carry labels one step."""
    if kernels and isinstance(motion, SDCNetMotion):
        return motion.carry_labels(labels, frame_b=frame_b, frame_a=frame_a, class_count=classes)
    return warp_labels(labels, motion(frame_b, frame_a), outside="replicate")


def measure(dataset: Dataset, motion: MotionEstimator, *, kernels: bool) -> Row:
    """Return mIoU by distance, and seconds per step."""
    classes = len(dataset.classes)
    confusion = np.zeros((HORIZON, classes + 1, classes + 1), np.int64)
    steps, seconds = 0, 0.0
    for video in dataset.videos:
        with open_frames(video) as frames:
            for unit in stepwise_units(video, HORIZON):
                (before,) = unit.key_frames
                labels = read_labels(video.labels[before], dataset.classes)
                for number in unit.frames:
                    start = time.perf_counter()
                    labels = carried(
                        motion, labels, frames[number], frames[before], kernels=kernels, classes=classes
                    )
                    steps, seconds = steps + 1, seconds + time.perf_counter() - start
                    if number in video.truth:
                        truth = read_labels(video.truth[number], dataset.classes)
                        at = unit.distance(number) - 1
                        confusion[at] += count(labels, truth, class_count=classes)
                    before = number
    return [100 * mean_iou(matrix) for matrix in confusion], seconds / steps


def main() -> None:
    """Print one row for each motion estimator, and one for its kernels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--reader", default="folder")
    parser.add_argument("--split", default="train")
    parser.add_argument("--keyframes")
    parser.add_argument("--motion", action="append", default=[])
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    use_threads(given.threads)
    dataset = open_dataset(given.data, reader=given.reader, split=given.split, key_frames=given.keyframes)
    distances = range(1, HORIZON + 1)
    print(f"| motion | {' | '.join(f'k={k}' for k in distances)} | mean | s per step |")
    print("|---" * (HORIZON + 3) + "|")
    for named in given.motion or ["dis-medium"]:
        motion = load_motion(named)
        has_kernels = isinstance(motion, SDCNetMotion) and motion.network.final_kernels is not None
        for kernels in (False, True) if has_kernels else (False,):
            scores, seconds = measure(dataset, motion, kernels=kernels)
            name = f"{motion.name}, kernels" if kernels else motion.name
            cells = " | ".join(f"{score:.1f}" for score in [*scores, float(np.mean(scores))])
            print(f"| {name} | {cells} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
