"""Compare judges of tau on the demo's street: truth, cycles, and synthetic clips of the key frames.

For each tau: the mIoU of warp-inpaint against truth at distances up to 10; at the end of cycles; and at the
end of synthetic clips, by which tau is chosen where no clip has two key frames.

Example: warprefine demo --out runs/demo && python benchmarks/tau_judges.py runs/demo
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from warprefine.core.threads import use_threads
from warprefine.core.video import Dataset, Video
from warprefine.datasets import open_dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.io.images import read_labels
from warprefine.io.run import RunFolder
from warprefine.metrics.confusion import count, mean_iou
from warprefine.motion.loading import load_motion
from warprefine.propagation.evidence import Models, open_evidence
from warprefine.propagation.stepwise.cycle import carry, cycles_of, there_and_back
from warprefine.training.refiners.tau import TRIALS, evaluate_taus
from warprefine.training.segmenter import load_segmenter
from warprefine.training.teachers import fold_name

TAUS = (0.04, 0.08, 0.12, 0.18, 0.25, 0.35, 0.5, 0.8)
LONGEST_CYCLE = 6
Walk = tuple[Video, Sequence[int], Path]
"""A video, the frames that labels are carried through, and the label map that they are compared with."""


def to_truth(dataset: Dataset) -> Iterator[Walk]:
    """Yield walks from key frames to frames with truth."""
    for video in dataset.videos:
        for key in video.key_frames:
            for distance in (2, 4, 6, 8, 10):
                for sign in (1, -1):
                    end = key + sign * distance
                    if end in video.truth:
                        yield video, range(key, end + sign, sign), video.truth[end]


def to_and_fro(dataset: Dataset) -> list[Walk]:
    """Return a few cycles."""
    cycles = [
        (video, there_and_back(cycle), video.labels[cycle.key_frame])
        for video in dataset.videos
        for cycle in cycles_of(video, LONGEST_CYCLE)
    ]
    return cycles[:: max(len(cycles) // TRIALS, 1)]


def judged(dataset: Dataset, walks: Sequence[Walk], models: Models) -> list[float]:
    """Return the mIoU in percent that each tau has at the ends of walks."""
    n = len(dataset.classes)
    confusion = {tau: np.zeros((n + 1, n + 1), np.int64) for tau in TAUS}
    for video, stops, truth in walks:
        with (
            tempfile.TemporaryDirectory() as folder,
            open_evidence(video, dataset.classes, models, ArrayCache(Path(folder))) as evidence,
        ):
            carried = carry(evidence, stops, evidence.key_labels(stops[0]), taus=TAUS)
        for tau, one in zip(TAUS, carried, strict=True):
            confusion[tau] += count(one.labelling.labels, read_labels(truth, dataset.classes), class_count=n)
    return [100 * mean_iou(confusion[tau]) for tau in TAUS]


def main() -> None:
    """Print a row for each judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of the demo")
    options = parser.parse_args()
    use_threads(1)
    run, dataset = RunFolder(options.run, read_only=True), open_dataset(options.run / "data")

    def models(name: str) -> Models:
        segmenter, fingerprint = load_segmenter(
            run.checkpoint_path(name), dataset.classes, torch.device("cpu"), mirrored=False
        )
        motion = load_motion("dis-medium")
        return Models(motion=motion, segmenter=segmenter, segmenter_fingerprint=fingerprint)

    labelling, held_out = models("segmenter"), models(fold_name(0))

    def synthetic() -> list[float]:
        with tempfile.TemporaryDirectory() as folder:
            found = evaluate_taus(
                dataset,
                ArrayCache(Path(folder)),
                TAUS,
                models_of=lambda video, frame: held_out,
            )
        return [100 * found[tau] for tau in TAUS]

    judges: dict[str, Callable[[], list[float]]] = {
        "truth": lambda: judged(dataset, [*to_truth(dataset)], labelling),
        "cycles": lambda: judged(dataset, to_and_fro(dataset), labelling),
        "synthetic clips": synthetic,
    }
    print(f"{'judge':<18}" + "".join(f"{tau:>7}" for tau in TAUS) + "   chosen")
    for name, judge in judges.items():
        scores = judge()
        best = TAUS[int(np.argmax(scores))]
        print(f"{name:<18}" + "".join(f"{score:>7.1f}" for score in scores) + f"{best:>9}", flush=True)


if __name__ == "__main__":
    main()
