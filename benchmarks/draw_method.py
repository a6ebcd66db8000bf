"""Draw the picture of the README: how the default method labels a frame between two key frames.

    make demo
    python benchmarks/draw_method.py --weights runs/demo --out docs/pictures/method.png

Renders another street than those of the demo, whose first and last frame are key frames, labels it with the
networks that the demo has trained, and draws what warp-refine-plus computes on the way, frame by frame.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from warprefine import FinishedRun, open_dataset
from warprefine.datasets.street import write_street
from warprefine.io.array_cache import ArrayCache
from warprefine.io.images import read_labels
from warprefine.io.run import RunFolder
from warprefine.jobs.autolabel import label
from warprefine.jobs.demo import HEIGHT, SMALL, WIDTH
from warprefine.jobs.networks import Networks
from warprefine.jobs.reuse import use_checkpoints
from warprefine.jobs.start import start
from warprefine.motion.loading import load_motion
from warprefine.propagation.evidence import Models, open_evidence
from warprefine.propagation.methods import PLUS
from warprefine.propagation.two_sided.carry import LabelCarrier
from warprefine.report import paint
from warprefine.report.strips import draw_strip
from warprefine.training.segmenter import load_segmenter, predict

SEED = 77
LENGTH, FIRST, LAST = 21, 0, 20
SHOWN = (3, 10, 17)


def labelled_street(folder: Path, weights: Path) -> FinishedRun:
    """Render the street and label it with the networks of another run."""
    write_street(
        folder / "data", videos=1, length=LENGTH, start=FIRST, step=LAST, h=HEIGHT, w=WIDTH, seed=SEED
    )
    networks = Networks(start(open_dataset(folder / "data"), folder / "run", recipe=SMALL, training=False))
    trained = RunFolder(weights)
    given = {part: trained.checkpoint_path(part) for part in ("segmenter", "two-sided-refiner")}
    use_checkpoints(networks, given, (PLUS,))
    return label(networks, (PLUS,))


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
    parser.add_argument("--weights", type=Path, default=Path("runs/demo"), help="a finished run of the demo")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/method.png"))
    arguments = parser.parse_args()
    with TemporaryDirectory() as scratch:
        draw(labelled_street(Path(scratch), arguments.weights), arguments.out)
