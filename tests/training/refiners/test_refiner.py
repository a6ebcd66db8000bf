"""Tests of training/refiners/refiner.py: augmented samples of cycles, and a refiner that learns from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from warprefine.core.classes import ClassSet
from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.core.protocols import RefinerInput, Segmentation
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.io.checkpoints import load_weights, read_card, save_checkpoint
from warprefine.io.fingerprints import fingerprint_of_file
from warprefine.io.frames import frame_size
from warprefine.io.images import write_labels
from warprefine.motion.dis import DISFlow
from warprefine.ops.resize import to_size
from warprefine.propagation.evidence import Models
from warprefine.recipe.recipe import RefinerRecipe
from warprefine.refinement.mirrored import mirrored_refiner
from warprefine.segmentation.compact import CompactSegmenter
from warprefine.training.data.sampling import Centroid
from warprefine.training.refiners.cycles import Cycles
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.samples import Placed, Sample, augment

NAMES = ("road", "tree", "car")
CLASSES = ClassSet(names=NAMES, colors=((0, 0, 0), (1, 1, 1), (2, 2, 2)))


def places(h: int, w: int, stride: int = 1) -> Tensor:
    """Return the x and y, in pixels, of the middle of each cell, (1, 2, h / stride, w / stride)."""
    y, x = torch.meshgrid(torch.arange(-(-h // stride)), torch.arange(-(-w // stride)), indexing="ij")
    return torch.stack([x, y])[None].float() * stride + (stride - 1) / 2


def map_of_places(h: int, w: int) -> Sample[RefinerInput]:
    """Return a sample in which every tensor holds its own places, at strides 1, 2 and 4."""
    frame = torch.cat([places(h, w), torch.zeros(1, 1, h, w)], dim=1).to(torch.uint8)
    labels = frame[:, 0] + frame[:, 1]
    inputs = RefinerInput(
        frame=frame,
        warped_frame=frame.clone(),
        labels=labels,
        segmentation=Segmentation(logits=places(h, w, 2), features=places(h, w, 4)),
    )
    return Sample(inputs=inputs, target=labels.clone())


def still(crop: tuple[int, int], jitter: float = 0.0) -> RefinerRecipe:
    return RefinerRecipe(crop=crop, jitter=jitter)


@settings(max_examples=40)
@given(
    size=st.tuples(st.integers(32, 120), st.integers(32, 120)),
    crop=st.tuples(st.sampled_from([16, 32, 64, 160]), st.sampled_from([16, 48, 160])),
    seed=st.integers(0, 2**32),
)
def test_all_that_is_cut_out_is_of_one_place(size: tuple[int, int], crop: tuple[int, int], seed: int) -> None:
    """Images, labels, scores and features of a crop show the same pixels, mirrored or not, odd frames too."""
    sample = augment(Placed(sample=map_of_places(*size)), still(crop), np.random.default_rng(seed))
    cut = sample.inputs

    h, w = (min(wanted, have // 16 * 16) for wanted, have in zip(crop, size, strict=True))
    frame = cut.frame.float()
    assert frame.shape == (1, 3, h, w)
    assert torch.equal(cut.frame, cut.warped_frame)
    assert torch.equal(cut.labels, cut.frame[:, 0] + cut.frame[:, 1])
    assert torch.equal(sample.target, cut.labels)
    assert cut.segmentation.logits.shape[-2:] == (h // 2, w // 2)
    assert cut.segmentation.features.shape[-2:] == (h // 4, w // 4)
    for scores, edge in ((cut.segmentation.logits, 1), (cut.segmentation.features, 2)):
        raised = to_size(scores, (h, w))[..., edge:-edge, edge:-edge]
        torch.testing.assert_close(raised, frame[:, :2, edge:-edge, edge:-edge])


def test_crops_come_from_everywhere_both_ways_round() -> None:
    """Every part of a sample is shown, and about half of the crops are mirrored."""
    sample = map_of_places(96, 112)
    rngs = [np.random.default_rng(seed) for seed in range(200)]
    cuts = [augment(Placed(sample=sample), still((32, 32)), rng).inputs.frame[0] for rng in rngs]

    mirrored = [bool(cut[0, 0, 0] > cut[0, 0, -1]) for cut in cuts]
    assert 70 < sum(mirrored) < 130
    assert {(int(cut[0].min()), int(cut[1, 0, 0])) for cut in cuts} == {
        (x, y) for x in range(0, 96, 16) for y in range(0, 80, 16)
    }
    assert all(cut[1, 0, 0] < cut[1, -1, 0] for cut in cuts)


def test_both_images_change_their_colours_alike() -> None:
    """What was equal in the frame and the warped frame stays equal: only real differences count."""
    noise = torch.randint(0, 256, (1, 3, 48, 64), dtype=torch.uint8)
    other = noise.clone()
    other[..., :8] = 255 - other[..., :8]
    sample = map_of_places(48, 64)
    sample = replace(sample, inputs=sample.inputs.with_images(noise, other))

    changed = False
    for seed in range(5):
        cut = augment(Placed(sample=sample), still((48, 64), jitter=0.3), np.random.default_rng(seed)).inputs
        plain = augment(Placed(sample=sample), still((48, 64)), np.random.default_rng(seed)).inputs
        same = plain.frame == plain.warped_frame
        assert torch.equal(cut.frame[same], cut.warped_frame[same])
        assert (cut.frame.float() / plain.frame.clamp(min=1)).amax() < 1.3**2 + 0.01
        changed |= not torch.equal(cut.frame, plain.frame)
    assert changed


@settings(max_examples=30)
@given(
    size=st.tuples(st.integers(32, 120), st.integers(32, 120)),
    zoom=st.floats(0.5, 2.0),
    seed=st.integers(0, 2**32),
)
def test_all_that_is_zoomed_stays_together(size: tuple[int, int], zoom: float, seed: int) -> None:
    """Places in images, labels, scores and features of a zoomed crop agree, and grow with the zoom."""
    placed = Placed(sample=map_of_places(*size), zoom=zoom)
    cut = augment(placed, still((48, 64)), np.random.default_rng(seed)).inputs

    h, w = cut.frame.shape[-2:]
    assert h <= 48
    assert w <= 64
    assert torch.equal(cut.frame, cut.warped_frame)
    frame = cut.frame.float()
    assert ((frame[:, 0] + frame[:, 1]) - cut.labels.float()).abs().max() <= 3
    for scores in (cut.segmentation.logits, cut.segmentation.features):
        raised = to_size(scores, (h, w))[..., 4:-4, 4:-4]
        assert (raised - frame[:, :2, 4:-4, 4:-4]).abs().max() < 3
    slope = (frame[0, 1, 4:-4, 0].max() - frame[0, 1, 4:-4, 0].min()) / (h - 9)
    shown = min(max(16 * round(48 / zoom / 16), 16), size[0] // 16 * 16)
    assert float(slope) == pytest.approx(shown / h, abs=0.15)


def test_a_zoom_shows_less_or_more_of_a_frame() -> None:
    """A crop of twice the size shows half as many pixels of the frame, one of half the size twice as many."""
    sample = map_of_places(128, 128)
    shown = {}
    for zoom in (0.5, 1.0, 2.0):
        placed = Placed(sample=sample, zoom=zoom)
        frame = augment(placed, still((32, 64)), np.random.default_rng(0)).inputs.frame
        assert frame.shape[-2:] == (32, 64)
        shown[zoom] = int(frame[0, 0].max()) - int(frame[0, 0].min())

    assert shown == {0.5: pytest.approx(127, abs=2), 1.0: 63, 2.0: pytest.approx(31, abs=2)}


@settings(max_examples=40)
@given(
    size=st.tuples(st.integers(32, 120), st.integers(32, 120)),
    zoom=st.floats(0.5, 2.0),
    where=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
    seed=st.integers(0, 2**32),
)
def test_a_crop_contains_the_point_that_it_is_placed_on(
    size: tuple[int, int], zoom: float, where: tuple[float, float], seed: int
) -> None:
    """Wherever the centroid of a class lies; beyond the last whole cell the last crop stands for it."""
    y, x = (int(share * side) for share, side in zip(where, size, strict=True))
    centroid = Centroid(x=x, y=y, label=1)
    placed = Placed(sample=map_of_places(*size), zoom=zoom, around=centroid)
    frame = augment(placed, still((48, 64)), np.random.default_rng(seed)).inputs.frame[0]

    for channel, at, side in ((0, x, size[1]), (1, y, size[0])):
        reached = min(at, side // 16 * 16 - 1)
        assert int(frame[channel].min()) - 2 <= reached <= int(frame[channel].max()) + 2


def test_both_images_are_blurred_alike(cycles: Cycles, refiner_recipe: RefinerRecipe) -> None:
    """Blurred images keep their mean and lose contrast; what was equal stays equal, and labels are sharp."""
    recipe = refiner_recipe.model_copy(update={"jitter": 0.0})
    plain = REFINER.batches([cycles], recipe, seed=0)
    blurred = REFINER.batches([cycles], recipe.model_copy(update={"blur": 1.0}), seed=0)

    sharp, soft = plain(0), blurred(0)

    assert torch.equal(sharp.target, soft.target)
    assert torch.equal(sharp.inputs.labels, soft.inputs.labels)
    for before, after in zip(sharp.inputs.images, soft.inputs.images, strict=True):
        assert after.float().std() < before.float().std()
        assert float(after.float().mean()) == pytest.approx(float(before.float().mean()), abs=1)
    image = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    inputs = replace(sharp.inputs.mapped(lambda values: values[:1]), frame=image, warped_frame=image.clone())
    one = Sample(inputs=inputs, target=sharp.target[:1])
    changed = REFINER.change(recipe.model_copy(update={"blur": 1.0}), one, np.random.default_rng(1))
    assert torch.equal(*changed.inputs.images)
    assert not torch.equal(changed.inputs.frame, image)


@pytest.fixture
def cycles(tmp_path: Path, dataset: Dataset) -> Cycles:
    """Cycles of a small data set, run with an untrained segmenter."""
    segmenter = CompactSegmenter(3, widths=(4, 4, 4, 4, 4)).eval()
    models = Models(motion=DISFlow("ultrafast"), segmenter=segmenter, segmenter_fingerprint="untrained")
    cycles = Cycles(dataset, ArrayCache(tmp_path / "cache"), longest=2, models_of=lambda video, frame: models)
    cycles.prepare(0.1)
    return cycles


class Constant:
    """A segmenter with the same output at every pixel."""

    name, class_count, feature_channels = "constant", 3, 4

    def __init__(self, value: float) -> None:
        self._value = value

    def __call__(self, frames: Tensor) -> Segmentation:
        h, w = (-(-side // 2) for side in frames.shape[-2:])
        return Segmentation(
            logits=torch.full((1, 3, h, w), self._value),
            features=torch.zeros(1, 4, -(-h // 2), -(-w // 2)),
        )


def trained(path: Path, cycles: Cycles, recipe: RefinerRecipe, **further: Any) -> Any:
    refiner: Any = REFINER.build(recipe, class_count=3, feature_channels=4, seed=0)
    REFINER.train(
        path,
        refiner=refiner,
        pools=[cycles],
        recipe=recipe,
        class_names=NAMES,
        feature_channels=4,
        facts={"tau": 0.1},
        **further,
    )
    return refiner


def test_a_batch_follows_from_seed_and_step(cycles: Cycles, refiner_recipe: RefinerRecipe) -> None:
    """Batches can be made in any order, and come out the same; another seed or step gives another."""
    make, again, other = (REFINER.batches([cycles], refiner_recipe, seed=seed) for seed in (0, 0, 1))
    first = {step: make(step) for step in (0, 1, 2)}

    for step in (2, 0, 1):
        twin = again(step)
        assert torch.equal(twin.inputs.frame, first[step].inputs.frame)
        assert torch.equal(twin.inputs.labels, first[step].inputs.labels)
        assert torch.equal(twin.target, first[step].target)
    assert first[0].inputs.frame.shape == (2, 3, 32, 32)
    assert not torch.equal(first[0].inputs.frame, first[1].inputs.frame)
    assert not torch.equal(first[0].inputs.frame, other(0).inputs.frame)


def test_sets_of_cycles_are_drawn_from_equally_often(
    dataset: Dataset, tmp_path: Path, refiner_recipe: RefinerRecipe
) -> None:
    """A set counts as much as another, however many cycles it holds."""
    pools = []
    for longest, value in ((1, 10.0), (2, 20.0)):
        models = Models(
            motion=DISFlow("ultrafast"), segmenter=Constant(value), segmenter_fingerprint=f"{value}"
        )
        pools.append(
            Cycles(
                dataset, ArrayCache(tmp_path / "cache"), longest=longest, models_of=lambda v, k, m=models: m
            )  # type: ignore[misc]
        )
        pools[-1].prepare(0.1)
    assert len(pools[0]) < len(pools[1])

    make = REFINER.batches(pools, refiner_recipe, seed=0)
    drawn = torch.cat([make(step).inputs.segmentation.logits[:, 0, 0, 0] for step in range(100)])

    assert set(drawn.tolist()) == {10.0, 20.0}
    assert 80 < int((drawn == 10).sum()) < 120


def test_rare_classes_are_shown_as_often_as_common_ones(
    make_dataset: Callable[..., Dataset], tmp_path: Path, refiner_recipe: RefinerRecipe
) -> None:
    """With class-uniform sampling a class of one key frame of five is in far more of the crops."""
    models = Models(motion=DISFlow("ultrafast"), segmenter=Constant(1.0), segmenter_fingerprint="1")
    dataset = make_dataset(videos=[[1]] * 5)
    for video in dataset.videos:
        labels = torch.zeros(1, *frame_size(video, 1), dtype=torch.uint8)
        if video is dataset.videos[2]:
            labels[:, :16, :16] = 2
        write_labels(video.labels[1], labels, dataset.classes)
    cycles = Cycles(dataset, ArrayCache(tmp_path / "cache"), longest=2, models_of=lambda video, frame: models)
    cycles.prepare(0.1)
    assert [len(numbers) for numbers in cycles.by_key_frame] == [len(cycles) // 5] * 5

    shares = {}
    for share in (0.0, 1.0):
        recipe = refiner_recipe.model_copy(update={"class_uniform": share, "tile": 16, "crop": (16, 16)})
        make = REFINER.batches([cycles], recipe, seed=0)
        targets = torch.cat([make(step).target for step in range(60)])
        shares[share] = float((targets == 2).flatten(1).any(dim=1).float().mean())
        again = REFINER.batches([cycles], recipe, seed=0)(7)
        assert torch.equal(again.target, make(7).target)

    assert shares[0.0] < 0.1
    assert shares[1.0] > 0.3  # a third: the class that occurs nowhere leaves its third to whole pictures
    assert list((tmp_path / "cache" / "centroids").glob("*.json"))


def test_a_refiner_is_kept_with_its_card(
    tmp_path: Path, cycles: Cycles, refiner_recipe: RefinerRecipe
) -> None:
    """A trained refiner lies in one file, with all that it takes to build it; nothing else is left behind."""
    path = tmp_path / "checkpoints" / "refiner.safetensors"

    network = trained(path, cycles, refiner_recipe)

    card = read_card(path)
    assert (card.part, card.network, card.class_names) == ("refiner", "compact", NAMES)
    assert card.settings == {"widths": [4, 4, 4, 4], "feature_channels": 4}
    assert card.recipe == json.loads(refiner_recipe.model_dump_json())
    assert (card.facts["tau"], card.facts["seed"]) == (0.1, 0)
    assert card.facts["history"]["loss"]
    assert [file.name for file in path.parent.iterdir()] == ["refiner.safetensors"]
    filled: Any = REFINER.build(refiner_recipe, class_count=3, feature_channels=4, seed=9)
    load_weights(path, filled)
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in filled.state_dict().items())


@pytest.mark.parametrize("killed_at", [1, 3, 4])
def test_a_killed_training_writes_the_same_file(
    tmp_path: Path, cycles: Cycles, refiner_recipe: RefinerRecipe, killed_at: int
) -> None:
    """The weights of a training that was killed and resumed are the same, byte for byte."""

    def kill(task: str, done: int, total: int, note: str = "") -> None:
        if done == killed_at:
            raise KeyboardInterrupt

    trained(tmp_path / "calm.safetensors", cycles, refiner_recipe)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed.safetensors", cycles, refiner_recipe, progress=kill)
    assert not (tmp_path / "killed.safetensors").exists()

    trained(tmp_path / "killed.safetensors", cycles, refiner_recipe)

    files = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("calm", "killed")]
    assert files[0] == files[1]


def test_a_refiner_learns_to_repair(cycles: Cycles, refiner_recipe: RefinerRecipe) -> None:
    """After some steps the refined labels are nearer to the hand-made ones, VOID included, than before."""
    recipe = refiner_recipe.model_copy(
        update={
            "widths": (8, 8, 8, 8),
            "crop": (48, 64),
            "optimisation": refiner_recipe.optimisation.model_copy(
                update={"steps": 60, "average_decay": 0.0, "checkpoint_every": 1000}
            ),
        }
    )
    network = trained(Path(cycles._cache.root) / "refiner.safetensors", cycles, recipe)

    wrong_before = wrong_after = void_kept = 0
    for i in range(len(cycles)):
        sample = cycles[i]
        with torch.inference_mode():
            refined = network(sample.inputs).argmax(dim=1)
        target = sample.target.long().masked_fill(sample.target == VOID, 3)
        wrong_before += int((sample.inputs.labels != sample.target).sum())
        wrong_after += int((refined != target).sum())
        void_kept += int(((refined == 3) & (target == 3)).sum())
    assert wrong_after < 0.6 * wrong_before
    assert void_kept > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "compakt"}, "no refiner is called 'compakt'; did you mean 'compact'"),
        ({"loss": "crossentropy"}, "no loss is called 'crossentropy'; did you mean 'cross-entropy'"),
    ],
)
def test_an_unknown_part_is_told(
    tmp_path: Path, cycles: Cycles, refiner_recipe: RefinerRecipe, changes: dict[str, str], message: str
) -> None:
    """A recipe that names a network or a loss that does not exist is told the nearest one."""
    with pytest.raises(RecipeError, match=message):
        trained(tmp_path / "a.safetensors", cycles, refiner_recipe.model_copy(update=changes))


def test_the_same_seed_builds_the_same_network(refiner_recipe: RefinerRecipe) -> None:
    """Where a training starts follows from the seed alone."""
    build: Callable[..., Any] = REFINER.build
    one, same, other = (
        build(refiner_recipe, class_count=3, feature_channels=4, seed=seed) for seed in (0, 0, 1)
    )

    assert torch.equal(one.state_dict()["stem.0.weight"], same.state_dict()["stem.0.weight"])
    assert not torch.equal(one.state_dict()["stem.0.weight"], other.state_dict()["stem.0.weight"])


def test_a_loaded_refiner_computes_what_the_trained_one_did(
    tmp_path: Path, cycles: Cycles, refiner_recipe: RefinerRecipe
) -> None:
    """Weights, norms and shape come back from the file, ready for use, mirrored too where asked for."""
    path = tmp_path / "refiner.safetensors"
    network = trained(path, cycles, refiner_recipe)
    inputs = cycles[0].inputs

    (plain, fingerprint), (mirrored, of_mirrored) = (
        REFINER.load(path, CLASSES, torch.device("cpu"), mirrored=wanted) for wanted in (False, True)
    )

    assert (plain.name, mirrored.name) == ("compact", "compact-mirrored")
    assert fingerprint == fingerprint_of_file(path)
    assert of_mirrored == f"{fingerprint}-mirrored"
    with torch.inference_mode():
        torch.testing.assert_close(plain(inputs), network(inputs))
        torch.testing.assert_close(mirrored(inputs), mirrored_refiner(plain)(inputs))


def test_only_a_refiner_of_these_classes_is_loaded(
    tmp_path: Path, cycles: Cycles, refiner_recipe: RefinerRecipe
) -> None:
    """A checkpoint of another part or of other classes is refused, with the names of both."""
    path, device = tmp_path / "a.safetensors", torch.device("cpu")
    network = trained(path, cycles, refiner_recipe)
    others = ClassSet(names=("road", "tree", "bus"), colors=CLASSES.colors)
    with pytest.raises(CheckpointError, match=r"a\.safetensors was trained for the classes road, tree, car"):
        REFINER.load(path, others, device, mirrored=False)

    save_checkpoint(path, network, replace(read_card(path), part="segmenter"))

    with pytest.raises(CheckpointError, match="holds a segmenter, expected a refiner; name another"):
        REFINER.load(path, CLASSES, device, mirrored=False)
