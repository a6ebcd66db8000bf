"""Measure the gain of pretrained weights on CamVid, with equal training time for every network.

    python benchmarks/warm_start.py data/camvid --minutes 6

Each network is trained on the split `train`, one after the other, in as many steps as fit into the time
(estimated over a few steps before), and scored on the split `test`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from warprefine import load_recipe, open_dataset
from warprefine.core.protocols import Segmenter
from warprefine.core.threads import use_threads
from warprefine.recipe.recipe import Recipe, SegmenterRecipe
from warprefine.training.data.samples import Samples, labelled_frames
from warprefine.training.segmenter import build_segmenter, hold_out, score, train_segmenter

TRIED_STEPS = 12


def trainings() -> dict[str, SegmenterRecipe]:
    """Return what is compared: the shipped recipes, and the pretrained one without its weights."""
    pretrained = load_recipe(Path("pretrained")).segmenter
    return {
        "compact, from scratch": Recipe().segmenter,
        "lite0, from scratch": pretrained.model_copy(update={"pretrained": False}),
        "lite0, from ImageNet": pretrained,
    }


def train_for(
    minutes: float, recipe: SegmenterRecipe, samples: Samples, names: tuple[str, ...], folder: Path
) -> tuple[Segmenter, int, float]:
    """Train a network for so many minutes; return it, the number of steps, and the minutes they took."""
    kept, held_out = hold_out(samples, recipe.holdout_every)

    def train(steps: int, name: str) -> tuple[Segmenter, float]:
        network = build_segmenter(recipe, len(names), seed=0)
        optimisation = recipe.optimisation.model_copy(
            update={"steps": steps, "validate_every": max(steps // 4, 1), "checkpoint_every": steps}
        )
        start = time.perf_counter()
        train_segmenter(
            folder / f"{name}.safetensors",
            segmenter=network,
            pools=[(kept, 1.0)],
            held_out=held_out if steps > TRIED_STEPS else Samples([]),
            recipe=recipe,
            optimisation=optimisation,
            class_names=names,
        )
        assert isinstance(network, Segmenter)
        return network, (time.perf_counter() - start) / 60

    train(2, "first")  # what is slow only once
    per_step = train(TRIED_STEPS, "tried")[1] / TRIED_STEPS
    steps = max(int(minutes / per_step), 1)
    network, took = train(steps, "trained")
    return network, steps, took


def main() -> None:
    """Print a table of mIoU on the test split, all trained for the same time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("camvid", type=Path)
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    use_threads(given.threads)
    train_set, test_set = (open_dataset(given.camvid, reader="camvid", split=s) for s in ("train", "test"))
    samples, test = Samples(labelled_frames(train_set)), Samples(labelled_frames(test_set))
    for index in range(len(samples)):
        samples[index]  # decoded before the clock starts
    print("| network | steps | minutes | mIoU on test, % |\n|---|---|---|---|", flush=True)
    for name, recipe in trainings().items():
        with tempfile.TemporaryDirectory() as folder:
            network, steps, took = train_for(
                given.minutes, recipe, samples, train_set.classes.names, Path(folder)
            )
        print(f"| {name} | {steps} | {took:.1f} | {100 * score(network, test):.1f} |", flush=True)


if __name__ == "__main__":
    main()
