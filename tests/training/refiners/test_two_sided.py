"""Tests of training/refiners/two_sided.py: augmented samples, and a refiner that learns from them."""

from __future__ import annotations

import json
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
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID
from warprefine.io.checkpoints import load_weights, read_card, save_checkpoint
from warprefine.io.fingerprints import fingerprint_of_file
from warprefine.ops.resize import to_size
from warprefine.ops.soft_labels import SoftLabels
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.refinement.interface import Side, TwoSidedInput
from warprefine.refinement.mirrored import mirrored_two_sided
from warprefine.training.losses import balanced_weights
from warprefine.training.refiners import kind
from warprefine.training.refiners.samples import Placed, Sample, SamplePool, augment, largest_of, stacked
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER, _class_weights

NAMES = ("road", "tree", "car")
CLASSES = ClassSet(names=NAMES, colors=((0, 0, 0), (1, 1, 1), (2, 2, 2)))
CPU = torch.device("cpu")
QUICK = Optimisation(
    steps=4, batch=2, learning_rate=1e-2, warmup=0, average_decay=0.5, checkpoint_every=2, validate_every=2
)
RECIPE = TwoSidedRefinerRecipe(widths=(4, 4, 4, 4), optimisation=QUICK, crop=(32, 32))


def places(h: int, w: int, stride: int = 1) -> Tensor:
    """Return the x and y, in pixels, of the middle of each cell, (1, 2, h / stride, w / stride)."""
    y, x = torch.meshgrid(torch.arange(-(-h // stride)), torch.arange(-(-w // stride)), indexing="ij")
    return torch.stack([x, y])[None].float() * stride + (stride - 1) / 2


def map_of_places(h: int, w: int) -> Sample[TwoSidedInput]:
    """Return a sample in which every tensor holds its own places, at strides 1, 2 and 4."""
    frame = torch.cat([places(h, w), torch.zeros(1, 1, h, w)], dim=1).to(torch.uint8)
    near, far = (
        Side(
            soft=SoftLabels(labels=frame[:, :slots], shares=frame[:, :slots].float() / 255),
            trust=frame[:, 0].float(),
            warped_frame=frame.clone(),
            distance=torch.tensor([float(slots)]),
        )
        for slots in (1, 2)
    )
    inputs = TwoSidedInput(
        frame=frame,
        sides=(near, far),
        segmentation=Segmentation(logits=places(h, w, 2), features=places(h, w, 4)),
    )
    return Sample(inputs=inputs, target=frame[:, 0])


def still(crop: tuple[int, int], jitter: float = 0.0) -> TwoSidedRefinerRecipe:
    return RECIPE.model_copy(update={"crop": crop, "jitter": jitter})


class Blocks:
    """Samples of blocks: the near side is wrong on a class and VOID, the far side is right, little trusted.

    The picture and the segmenter's output are `value` everywhere.
    """

    def __init__(self, value: int = 100, *, size: tuple[int, int] = (48, 64)) -> None:
        self._value, self._size = value, size

    def draw(self, rng: np.random.Generator) -> Sample[TwoSidedInput]:
        """Return blocks drawn by `rng`."""
        h, w = self._size
        cells = torch.from_numpy(rng.integers(0, 4, (1, -(-h // 8), -(-w // 8)), dtype=np.uint8))
        target = cells.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, :h, :w].contiguous()
        target[target == 3] = VOID
        wrong = target.masked_fill(target == 2, 1).masked_fill(target == VOID, 0)
        frame = torch.full((1, 3, h, w), self._value, dtype=torch.uint8)
        near, far = (
            Side(
                soft=SoftLabels.of_labels(labels),
                trust=torch.full((1, h, w), trust),
                warped_frame=frame,
                distance=torch.tensor([distance]),
            )
            for labels, trust, distance in ((wrong, 1.0, 1.0), (target, 0.3, 4.0))
        )
        segmentation = Segmentation(
            logits=torch.full((1, 3, h // 2, w // 2), float(self._value)),
            features=torch.zeros(1, 4, h // 4, w // 4),
        )
        inputs = TwoSidedInput(frame=frame, sides=(near, far), segmentation=segmentation)
        return Sample(inputs=inputs, target=target)

    def class_pixels(self) -> Tensor:
        """Count one picture."""
        target = self.draw(np.random.default_rng(self._value)).target
        return torch.bincount(target.flatten().long(), minlength=256)


def trained(path: Path, recipe: TwoSidedRefinerRecipe = RECIPE, **further: Any) -> Any:
    refiner: Any = TWO_SIDED_REFINER.build(recipe, class_count=3, feature_channels=4, seed=0)
    TWO_SIDED_REFINER.train(
        path,
        refiner=refiner,
        pools=[(Blocks(), 1.0)],
        recipe=recipe,
        class_names=NAMES,
        feature_channels=4,
        facts={"slack": 1.5},
        **further,
    )
    return refiner


@settings(max_examples=40)
@given(
    size=st.tuples(st.integers(32, 120), st.integers(32, 120)),
    crop=st.tuples(st.sampled_from([16, 32, 64, 160]), st.sampled_from([16, 48, 160])),
    seed=st.integers(0, 2**32),
)
def test_all_that_is_cut_out_is_of_one_place(size: tuple[int, int], crop: tuple[int, int], seed: int) -> None:
    """Pictures, labels, trust, scores and features of a crop show the same pixels, mirrored or not."""
    cut = augment(Placed(sample=map_of_places(*size)), still(crop), np.random.default_rng(seed))

    h, w = (min(wanted, have // 16 * 16) for wanted, have in zip(crop, size, strict=True))
    frame, segmentation = cut.inputs.frame, cut.inputs.segmentation
    assert frame.shape == (1, 3, h, w)
    assert torch.equal(cut.target, frame[:, 0])
    for slots, side in enumerate(cut.inputs.sides, 1):
        assert torch.equal(side.warped_frame, frame)
        assert torch.equal(side.soft.labels, frame[:, :slots])
        assert torch.equal(side.soft.shares, frame[:, :slots].float() / 255)
        assert torch.equal(side.trust, frame[:, 0].float())
        assert side.distance.tolist() == [slots]
    for scores, edge in ((segmentation.logits, 1), (segmentation.features, 2)):
        raised = to_size(scores, (h, w))[..., edge:-edge, edge:-edge]
        torch.testing.assert_close(raised, frame.float()[:, :2, edge:-edge, edge:-edge])


def test_all_pictures_change_their_colours_alike() -> None:
    """What is equal in the frame and a warped frame stays so; the picture of a missing side stays black."""
    sample = map_of_places(48, 64)
    noise = torch.randint(0, 256, (1, 3, 48, 64), dtype=torch.uint8)
    near = replace(sample.inputs.sides[0], warped_frame=noise)
    inputs = replace(sample.inputs, frame=noise, sides=(near, Side.missing(noise)))
    sample = replace(sample, inputs=inputs)

    changed = False
    for seed in range(5):
        cut = augment(Placed(sample=sample), still((48, 64), jitter=0.3), np.random.default_rng(seed)).inputs
        plain = augment(Placed(sample=sample), still((48, 64)), np.random.default_rng(seed)).inputs
        assert torch.equal(cut.frame, cut.sides[0].warped_frame)
        assert not cut.sides[1].warped_frame.any()
        changed |= not torch.equal(cut.frame, plain.frame)
    assert changed


def test_a_batch_follows_from_seed_and_step() -> None:
    """Batches can be made in any order, and come out the same; another seed or step gives another."""
    pools = [(Blocks(), 1.0)]
    make, again, other = (TWO_SIDED_REFINER.batches(pools, RECIPE, seed=seed) for seed in (0, 0, 1))
    first = {step: make(step) for step in (0, 1, 2)}

    for step in (2, 0, 1):
        twin = again(step)
        assert torch.equal(twin.inputs.frame, first[step].inputs.frame)
        assert torch.equal(twin.inputs.sides[0].soft.labels, first[step].inputs.sides[0].soft.labels)
        assert torch.equal(twin.target, first[step].target)
    assert first[0].inputs.frame.shape == (2, 3, 32, 32)
    assert not torch.equal(first[0].target, first[1].target)
    assert not torch.equal(first[0].target, other(0).target)


def test_pools_are_drawn_from_by_their_shares() -> None:
    """Shares are ratios: of 1 and 3 the second is drawn from three times as often; one of 0 never is."""
    pools = [(Blocks(10), 1.0), (Blocks(20), 3.0), (Blocks(30), 0.0)]
    assert all(isinstance(pool, SamplePool) for pool, _ in pools)

    make = TWO_SIDED_REFINER.batches(pools, RECIPE, seed=0)
    drawn = torch.cat([make(step).inputs.segmentation.logits[:, 0, 0, 0] for step in range(100)])

    assert set(drawn.tolist()) == {10.0, 20.0}
    assert 35 < int((drawn == 10).sum()) < 65


def test_classes_weigh_by_how_often_they_are_drawn() -> None:
    """The pixels of a pool count by its share, however many they are; VOID is the last class."""

    class Counted(Blocks):
        def __init__(self, *pixels: int) -> None:
            super().__init__()
            self._pixels = pixels

        def class_pixels(self) -> Tensor:
            return torch.tensor([*self._pixels[:3], *[0] * 252, self._pixels[3]])

    one, other = Counted(60, 20, 10, 10), Counted(0, 500, 0, 500)

    recipe = RECIPE.changed(("optimisation", "class_balance"), 0.5).changed(("void_weight",), 1.0)
    alone, both = balanced_weights([60, 20, 10, 10], 0.5), balanced_weights([60, 70, 10, 60], 0.5)

    torch.testing.assert_close(_class_weights([(one, 2.0)], recipe, 3), alone)
    torch.testing.assert_close(_class_weights([(one, 1.0), (other, 1.0)], recipe, 3), both)
    less_void = _class_weights([(one, 2.0)], recipe.changed(("void_weight",), 0.2), 3)
    torch.testing.assert_close(less_void, alone * torch.tensor([1.0, 1.0, 1.0, 0.2]))


def test_a_refiner_is_kept_with_its_card(tmp_path: Path) -> None:
    """A trained refiner lies in one file, with all that it takes to build it; nothing else is left behind."""
    path = tmp_path / "checkpoints" / "two-sided-refiner.safetensors"
    recipe = RECIPE.model_copy(update={"widths": (4, 6, 8, 10)})

    network = trained(path, recipe)

    card = read_card(path)
    assert (card.part, card.network, card.class_names) == ("two-sided-refiner", "auto", NAMES)
    assert card.settings == {"widths": [4, 6, 8, 10], "feature_channels": 4}
    assert card.recipe == json.loads(recipe.model_dump_json())
    assert (card.facts["slack"], card.facts["seed"]) == (1.5, 0)
    assert card.facts["history"]["loss"]
    assert [file.name for file in path.parent.iterdir()] == ["two-sided-refiner.safetensors"]
    filled: Any = TWO_SIDED_REFINER.build(recipe, class_count=3, feature_channels=4, seed=9)
    load_weights(path, filled)
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in filled.state_dict().items())


def test_a_loaded_refiner_computes_what_the_trained_one_did(tmp_path: Path) -> None:
    """Weights, norms and shape come back from the file, ready for use, mirrored too where asked for."""
    network = trained(tmp_path / "a.safetensors")
    inputs = Blocks(size=(16, 24)).draw(np.random.default_rng(0)).inputs

    (plain, fingerprint), (mirrored, of_mirrored) = (
        TWO_SIDED_REFINER.load(tmp_path / "a.safetensors", CLASSES, CPU, mirrored=wanted)
        for wanted in (False, True)
    )

    assert fingerprint == fingerprint_of_file(tmp_path / "a.safetensors")
    assert of_mirrored == f"{fingerprint}-mirrored"
    assert (plain.name, mirrored.name) == ("two-sided-light", "two-sided-light-mirrored")
    with torch.inference_mode():
        torch.testing.assert_close(plain(inputs), network(inputs))
        torch.testing.assert_close(mirrored(inputs), mirrored_two_sided(plain)(inputs))


@pytest.mark.parametrize("killed_at", [1, 3, 4])
def test_a_killed_training_writes_the_same_file(tmp_path: Path, killed_at: int) -> None:
    """The weights of a training that was killed and resumed are the same, byte for byte."""

    def kill(task: str, done: int, total: int, note: str = "") -> None:
        if done == killed_at:
            raise KeyboardInterrupt

    trained(tmp_path / "calm.safetensors")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed.safetensors", progress=kill)
    assert not (tmp_path / "killed.safetensors").exists()

    trained(tmp_path / "killed.safetensors")

    files = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("calm", "killed")]
    assert files[0] == files[1]


def test_a_refiner_learns_which_side_is_right(tmp_path: Path) -> None:
    """After some steps a class and VOID, which the near side lacks, are taken from the far side."""
    quick = QUICK.model_copy(update={"steps": 40, "average_decay": 0.0, "checkpoint_every": 1000})
    recipe = RECIPE.model_copy(
        update={"network": "two-sided", "optimisation": quick, "crop": (48, 64), "void_weight": 0.2}
    )
    untrained: Any = TWO_SIDED_REFINER.build(recipe, class_count=3, feature_channels=4, seed=0)
    untrained.eval()

    network = trained(tmp_path / "a.safetensors", recipe)

    losses = read_card(tmp_path / "a.safetensors").facts["history"]["loss"]
    assert losses[-1][1] < 0.5 * losses[0][1]
    sample = Blocks().draw(np.random.default_rng(5))
    with torch.inference_mode():
        before, after = (refiner(sample.inputs).argmax(dim=1) for refiner in (untrained, network))
    for hidden, plane in ((2, 2), (VOID, 3)):
        place = sample.target == hidden
        assert (before[place] == plane).float().mean() < 0.2
        assert (after[place] == plane).float().mean() > 0.8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "two-side"}, "no two-sided refiner is called 'two-side'; did you mean 'two-sided'"),
        ({"loss": "crossentropy"}, "no loss is called 'crossentropy'; did you mean 'cross-entropy'"),
    ],
)
def test_an_unknown_part_is_told(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    """A recipe that names a network or a loss that does not exist is told the nearest one."""
    with pytest.raises(RecipeError, match=message):
        trained(tmp_path / "a.safetensors", RECIPE.model_copy(update=changes))


def test_only_a_two_sided_refiner_of_these_classes_is_loaded(tmp_path: Path) -> None:
    """A checkpoint of another part or of other classes is refused, with the names of both."""
    path = tmp_path / "a.safetensors"
    network = trained(path)
    others = ClassSet(names=("road", "tree", "bus"), colors=CLASSES.colors)
    with pytest.raises(CheckpointError, match=r"a\.safetensors was trained for the classes road, tree, car"):
        TWO_SIDED_REFINER.load(path, others, CPU, mirrored=True)

    save_checkpoint(path, network, replace(read_card(path), part="refiner"))

    with pytest.raises(CheckpointError, match="holds a refiner, expected a two-sided-refiner; name another"):
        TWO_SIDED_REFINER.load(path, CLASSES, CPU, mirrored=True)


def test_the_same_seed_builds_the_same_network() -> None:
    """Where a training starts follows from the seed alone."""
    one, same, other = (
        TWO_SIDED_REFINER.build(RECIPE, class_count=3, feature_channels=4, seed=seed) for seed in (0, 0, 1)
    )

    assert torch.equal(one.state_dict()["stem.0.weight"], same.state_dict()["stem.0.weight"])
    assert not torch.equal(one.state_dict()["stem.0.weight"], other.state_dict()["stem.0.weight"])


@pytest.mark.parametrize(
    "wrong", [{"crop": (250, 320)}, {"widths": (8, 8, 8)}, {"one_sided": 1.5}, {"crop_size": 3}]
)
def test_a_recipe_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    """Crops lie on multiples of 16, widths are four, shares are at most 1, and there are no other fields."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TwoSidedRefinerRecipe(**wrong)


def test_batches_of_a_step_weigh_as_their_pixels_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes have weights, so batches in which other classes occur do not count alike."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(kind, "train_to_checkpoint", lambda *_, **further: given.update(further))
    trained(tmp_path / "refiner", RECIPE.changed(("optimisation", "class_balance"), 1.0)).eval()
    first, second = (given["batch_at"](step) for step in (0, 1))
    first = replace(first, target=first.target.masked_fill(first.target != VOID, 2))

    with torch.no_grad():
        parts = [float(given["loss_of"](batch)) for batch in given["together"]([first, second])]
        alone = [float(given["loss_of"](batch)) for batch in (first, second)]
        whole = float(given["loss_of"](stacked([first, second], largest_of([first, second]))))

    assert sum(parts) / 2 == pytest.approx(whole, rel=1e-5)
    assert sum(alone) / 2 != pytest.approx(whole, rel=1e-3)
