"""Draw the picture of the README: how the default method labels a frame between two key frames.

    python benchmarks/draw_method.py --out docs/pictures/method.png

Renders a street whose first and last frame are key frames, labels it with the recipe of the demo (minutes on
two CPU cores), and draws what warp-refine-plus computes on the way, frame by frame.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from warprefine import FinishedRun, autolabel, open_dataset
from warprefine.datasets.street import write_street
from warprefine.io.array_cache import ArrayCache
from warprefine.io.images import read_labels
from warprefine.jobs.demo import SMALL
from warprefine.motion.loading import load_motion
from warprefine.propagation.evidence import Models, open_evidence
from warprefine.propagation.two_sided.carry import LabelCarrier
from warprefine.report import paint
from warprefine.report.strips import draw_strip
from warprefine.training.segmenter import load_segmenter, predict

LENGTH, FIRST, LAST = 21, 0, 20
SHOWN = (3, 10, 17)


def labelled_street(folder: Path) -> FinishedRun:
    """Render the street, if it is not there, and label it; what is done already is left alone."""
    data = folder / "data"
    if not data.exists():
        write_street(data, videos=4, length=LENGTH, start=FIRST, step=LAST, h=144, w=240)
    return autolabel(open_dataset(data), folder / "run", methods=["warp-refine-plus"], recipe=SMALL)


def draw(finished: FinishedRun, path: Path) -> None:
    """Draw a row for each of a few frames: both sides with their trust, the segmenter, and the result."""
    video, classes = finished.dataset.videos[0], finished.dataset.classes
    carry = finished.recipe.plus.carry
    motion = load_motion(carry.motion)
    checkpoint = finished.run.checkpoint_path("segmenter")
    segmenter, _ = load_segmenter(checkpoint, classes, torch.device("cpu"), mirrored=True)
    labels = {frame.frame: frame for frame in finished.labels(video.name)}
    columns: dict[str, list[paint.Picture]] = {}

    def add(title: str, picture: paint.Picture) -> None:
        columns.setdefault(title, []).append(picture)

    with open_evidence(video, classes, Models(motion=motion), ArrayCache(finished.run.cache)) as evidence:
        carrier = LabelCarrier(evidence, carry, evidence.key_labels, motion=motion)
        for frame in SHOWN:
            image = evidence.frame(frame)
            before, after = carrier.side(frame, (FIRST,)), carrier.side(frame, (LAST,))
            add("frame", paint.paint_frame(image))
            add("carried from the key frame before", paint.paint_labels(before.soft.harden()[0], classes))
            add("trust", paint.paint_confidence(before.trust))
            add("carried from the key frame after", paint.paint_labels(after.soft.harden()[0], classes))
            add("trust ", paint.paint_confidence(after.trust))
            add("segmenter", paint.paint_labels(predict(segmenter, image), classes))
            add("refined and smoothed", paint.paint_labels(labels[frame].labels, classes))
            add("confidence", paint.paint_confidence(labels[frame].confidence))
            add("truth", paint.paint_labels(read_labels(video.truth[frame], classes), classes))
    rows = [f"{frame - FIRST} after, {LAST - frame} before" for frame in SHOWN]
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_strip([*columns.items()], rows=rows, classes=classes).save(path)
    print(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/method.png"))
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/method"), help="where the street and its run go"
    )
    arguments = parser.parse_args()
    draw(labelled_street(arguments.folder), arguments.out)
