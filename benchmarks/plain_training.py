"""Time trainings against a plain PyTorch loop with the same networks, losses and crops.

The plain loop reads the pictures of each step again, computes in float32 in PyTorch's usual layout, runs the
frozen trunk for every crop, and walks each cycle again. It is stopped after a few steps. The product's time
includes what it prepares once: features of crops, and cycles. One thread, CPU seconds.

Example: python benchmarks/plain_training.py data/camvid --reader camvid --split clip15hz \
    --also-train camvid:train:data/camvid
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from one_clip import dataset_of, parser_for
from torch import Tensor, nn

from warprefine.cli.options import open_further
from warprefine.core.protocols import FrozenTrunk, Segmenter, module_of
from warprefine.core.tensors import VOID
from warprefine.core.threads import use_threads
from warprefine.core.video import Dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.motion.loading import load_motion
from warprefine.propagation.evidence import Models
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.recipe import Recipe, SegmenterRecipe
from warprefine.training.data.features import FeatureStore
from warprefine.training.data.samples import Samples, labelled_frames
from warprefine.training.engine.loop import make_optimiser
from warprefine.training.losses import LOSSES
from warprefine.training.refiners.cycles import Cycles
from warprefine.training.refiners.key_frame_pool import KeyFramePool
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.sample_store import SampleSettings
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER
from warprefine.training.segmenter import BatchMaker, build_segmenter, train_segmenter
from warprefine.training.segmenter_loss import segmentation_loss

TAU = 0.2


class Forgetful(ArrayCache):
    """A cache that keeps nothing."""

    def get(self, key: str) -> dict[str, Tensor] | None:
        """Return nothing."""
        return None

    def get_flow(self, key: str) -> Tensor | None:
        """Return nothing."""
        return None

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep nothing."""


def loop(
    network: nn.Module,
    optimisation: Optimisation,
    batch_at: Callable[[int], Any],
    loss_of: Callable[[Any], Tensor],
    *,
    steps: int,
) -> float:
    """Take a few steps of a plain loop, and return the CPU seconds of one."""
    network.train().to(memory_format=torch.contiguous_format)
    optimiser = make_optimiser(network, optimisation)
    begun = time.process_time()
    for step in range(steps):
        optimiser.zero_grad()
        loss_of(batch_at(step)).backward()
        nn.utils.clip_grad_norm_(network.parameters(), optimisation.clip_norm)
        optimiser.step()
    return (time.process_time() - begun) / steps


def segmenters(options: argparse.Namespace, pool: Samples, classes: int, name: str) -> tuple[float, float]:
    """Return the CPU seconds of a training of a segmenter, and of a plain loop's."""
    recipe = SegmenterRecipe(network=name)
    optimisation = recipe.optimisation.changed(("steps",), options.steps)
    names = tuple(map(str, range(classes)))

    def step(batch: Any) -> Tensor:
        # New frames are decoded at each step.
        output = plain(batch.frames.contiguous())
        return segmentation_loss(output, batch.labels, recipe, None)

    plain = build_segmenter(recipe, classes, seed=0)
    batches = BatchMaker([(pool, 1.0)], recipe, batch=optimisation.batch, seed=0)

    def batch_at(number: int) -> Any:
        batches._pools = [Samples(pool.members)]  # nothing is decoded yet
        return batches(number)

    slow = loop(module_of(plain), optimisation, batch_at, step, steps=options.plain_steps) * options.steps
    network = build_segmenter(recipe, classes, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        store = None
        if isinstance(network, FrozenTrunk):
            cache = ArrayCache(Path(folder))
            store = FeatureStore(network, recipe.augmentation, recipe.features, cache=cache, seed=0)
        train_segmenter(
            Path(folder) / "segmenter.safetensors",
            segmenter=network,
            pools=[(Samples(pool.members), 1.0)],
            held_out=Samples([]),
            recipe=recipe,
            optimisation=optimisation,
            class_names=names,
            features=store,
        )
        return time.process_time() - begun, slow


def stepwise(options: argparse.Namespace, dataset: Dataset, segmenter: Segmenter) -> tuple[float, float]:
    """Return the CPU seconds of a training of the paper's refiner, and of a plain loop's."""
    recipe = Recipe().refiner.changed(("optimisation", "steps"), options.steps)
    models = models_with("dis-medium", segmenter)

    def pools_in(cache: ArrayCache) -> list[Cycles]:
        cycles = Cycles(dataset, cache, longest=recipe.longest_cycle, models_of=lambda video, frame: models)
        if isinstance(cache, Forgetful):
            cycles._tau = TAU
        else:
            cycles.prepare(TAU)
        return [cycles]

    names, channels = dataset.classes.names, channels_of(segmenter)
    return refiner(options, REFINER, recipe, pools_in, class_names=names, channels=channels)


def two_sided(options: argparse.Namespace, dataset: Dataset, segmenter: Segmenter) -> tuple[float, float]:
    """Return the CPU seconds of a training of the two-sided refiner, and of a plain loop's."""
    plus = Recipe().plus
    recipe = plus.refiner.changed(("optimisation", "steps"), options.steps)
    recipe = recipe.changed(("network",), "two-sided-light")
    models = models_with(plus.carry.motion, segmenter)

    def pools_in(cache: ArrayCache) -> list[tuple[KeyFramePool, float]]:
        settings = SampleSettings(cache=cache, models=models, carry=plus.carry, training=recipe)
        pool = KeyFramePool(dataset, settings, lambda video, frame: models)
        if not isinstance(cache, Forgetful):
            pool.prepare()
        return [(pool, 1.0)]

    names, channels = dataset.classes.names, channels_of(segmenter)
    return refiner(options, TWO_SIDED_REFINER, recipe, pools_in, class_names=names, channels=channels)


def models_with(motion: str, segmenter: Segmenter) -> Models:
    """Return the networks that samples are computed with."""
    return Models(motion=load_motion(motion), segmenter=segmenter, segmenter_fingerprint="untrained")


def refiner(
    options: argparse.Namespace,
    kind: Any,
    recipe: Any,
    pools_in: Callable[[ArrayCache], Any],
    *,
    class_names: tuple[str, ...],
    channels: int,
) -> tuple[float, float]:
    """Return the CPU seconds of a training of a refiner, and of a plain loop's.

    Args:
        kind: Its kind.
        pools_in: Returns what samples are drawn from, prepared unless the cache keeps nothing.
        channels: Of the segmenter's features.
    """
    classes = len(class_names)

    def built() -> Any:
        return kind.build(recipe, class_count=classes, feature_channels=channels, seed=0)

    plain = built()
    with tempfile.TemporaryDirectory() as folder:

        def batch_at(number: int) -> Any:
            return kind.batches(pools_in(Forgetful(Path(folder))), recipe, seed=0)(number)

        def loss_of(batch: Any) -> Tensor:
            target = batch.target.masked_fill(batch.target == VOID, classes)
            return LOSSES[recipe.loss](plain(batch.inputs), target, None, None)

        step = loop(module_of(plain), recipe.optimisation, batch_at, loss_of, steps=options.plain_steps)
        network = built()
        begun = time.process_time()
        kind.train(
            Path(folder) / "refiner.safetensors",
            refiner=network,
            pools=pools_in(ArrayCache(Path(folder) / "cache")),
            recipe=recipe,
            class_names=class_names,
            feature_channels=channels,
            facts={},
        )
        return time.process_time() - begun, step * options.steps


def channels_of(segmenter: Segmenter) -> int:
    """Return the channels of a segmenter's features."""
    with torch.inference_mode():
        return segmenter(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).features.shape[1]


def main() -> None:
    """Time the trainings and print a table."""
    parser = parser_for(__doc__)
    parser.add_argument("--also-train", action="append", default=[], help="READER:SPLIT:ROOT")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--plain-steps", type=int, default=4)
    parser.add_argument("--only", action="append", default=[], help="a row of the table")
    options = parser.parse_args()
    use_threads(1)
    dataset = dataset_of(options)
    members = [
        frame for one in (dataset, *open_further(options.also_train)) for frame in labelled_frames(one)
    ]
    pool, classes = Samples(members), len(dataset.classes)
    segmenter = build_segmenter(SegmenterRecipe(), classes, seed=0)
    module_of(segmenter).eval()
    rows: dict[str, Callable[[], tuple[float, float]]] = {
        "segmenter lite0-frozen": lambda: segmenters(options, pool, classes, "lite0-frozen"),
        "segmenter compact": lambda: segmenters(options, pool, classes, "compact"),
        "refiner compact": lambda: stepwise(options, dataset, segmenter),
        "two-sided-light": lambda: two_sided(options, dataset, segmenter),
    }
    print(f"{'training':<24}{'plain CPU s':>12}{'warprefine':>12}{'ratio':>7}", flush=True)
    for name, row in rows.items():
        if not options.only or name in options.only:
            fast, slow = row()
            print(f"{name:<24}{slow:>12.0f}{fast:>12.0f}{slow / fast:>7.1f}", flush=True)


if __name__ == "__main__":
    main()
