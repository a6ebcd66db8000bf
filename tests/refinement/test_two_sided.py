"""Tests of refinement/two_sided.py: two sides and a segmenter in, labels of the same size out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor

from tests.refinement.inputs import CLASSES, FEATURES, blocks, inputs_at, side_of
from warprefine.core.protocols import Segmentation, module_of
from warprefine.core.tensors import VOID
from warprefine.ops.soft_labels import SoftLabels
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.refinement import ENSEMBLES, FEW_CLASSES, TWO_SIDED_REFINERS
from warprefine.refinement.candidates import CandidateUNet
from warprefine.refinement.ensemble import TwoSidedEnsemble
from warprefine.refinement.interface import CAUTION, TwoSidedInput, TwoSidedRefiner
from warprefine.refinement.two_sided import LightTwoSidedUNet, TwoSidedUNet

Network = type[TwoSidedUNet] | type[LightTwoSidedUNet] | type[CandidateUNet]
_KIND: list[Network] = [TwoSidedUNet]


@pytest.fixture(
    autouse=True,
    params=[TwoSidedUNet, LightTwoSidedUNet, CandidateUNet],
    ids=["two-sided", "light", "candidates"],
)
def _kind(request: pytest.FixtureRequest) -> None:
    """Whatever is tested here holds for all networks."""
    _KIND[0] = request.param


def untrained(feature_channels: int = FEATURES) -> TwoSidedUNet | LightTwoSidedUNet | CandidateUNet:
    """Return a refiner that adds nothing to the votes yet."""
    return _KIND[0](CLASSES, feature_channels, widths=(4, 6, 8, 10)).eval()


def network(feature_channels: int = FEATURES) -> TwoSidedUNet | LightTwoSidedUNet | CandidateUNet:
    """Return a refiner with random scores of its own."""
    refiner = untrained(feature_channels)
    torch.nn.init.normal_(refiner.classifier.weight)
    return refiner


def as_planes(labels: Tensor) -> Tensor:
    return labels.long().masked_fill(labels == VOID, CLASSES)


def outputs(refiner: torch.nn.Module, inputs: TwoSidedInput) -> Tensor:
    with torch.inference_mode():
        return torch.as_tensor(refiner(inputs))


def test_the_default_networks_are_more_cautious_in_labelling_than_in_training() -> None:
    """A part of what they add to the vote counts when they label, all of it while they learn."""
    labels, refiner = blocks(40, 56), network()
    inputs = inputs_at(40, 56, side_of(labels), side_of(labels.roll(5, dims=-1)))
    share = 1.0 if isinstance(refiner, TwoSidedUNet) else CAUTION
    with torch.inference_mode():
        cautious = refiner(inputs)
        refiner.training = True  # its layers alone still label
        whole = refiner(inputs)
        torch.nn.init.zeros_(refiner.classifier.weight)
        voted = refiner(inputs)

    assert (whole - voted).abs().amax() > 0.1
    torch.testing.assert_close(cautious - voted, share * (whole - voted), atol=1e-4, rtol=1e-4)


def test_the_default_follows_the_number_of_classes() -> None:
    """Few classes are scored all, of many the candidates alone; a card's settings build the same again."""
    spec, recipe = TWO_SIDED_REFINERS["auto"], TwoSidedRefinerRecipe()

    few, many = (spec.from_recipe(recipe, count, FEATURES) for count in (FEW_CLASSES, FEW_CLASSES + 1))

    assert (few.name, many.name) == ("two-sided-light", "candidates")
    assert isinstance(spec.from_card(spec.describe(few, recipe), FEW_CLASSES, FEATURES), LightTwoSidedUNet)


@pytest.mark.parametrize("name", sorted(TWO_SIDED_REFINERS))
def test_every_listed_network_is_a_two_sided_refiner(name: str) -> None:
    """Class count, feature channels and a recipe are enough to build it, and its card to build it again."""
    spec, recipe = TWO_SIDED_REFINERS[name], TwoSidedRefinerRecipe()

    with torch.device("meta"):
        built = spec.from_recipe(recipe, CLASSES, FEATURES)
        again = spec.from_card(spec.describe(built, recipe), CLASSES, FEATURES)

    assert isinstance(built, TwoSidedRefiner)
    assert (built.name, built.class_count) == ({"auto": "two-sided-light"}.get(name, name), CLASSES)
    shapes = [{key: value.shape for key, value in network.state_dict().items()} for network in (built, again)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", sorted(ENSEMBLES))
def test_an_ensemble_has_the_mean_probabilities_of_its_members(name: str) -> None:
    """It is built again from its card; members begin with weights of their own."""
    spec, recipe = ENSEMBLES[name], TwoSidedRefinerRecipe(widths=(8, 8, 8, 8), members=3)
    ensemble = cast(TwoSidedEnsemble, spec.from_recipe(recipe, CLASSES, FEATURES)).eval()
    again = module_of(spec.from_card(spec.describe(ensemble, recipe), CLASSES, FEATURES)).eval()
    again.load_state_dict(ensemble.state_dict())
    for member in ensemble.members:
        for weights in member.parameters():
            torch.nn.init.normal_(weights, std=0.05)
    inputs = inputs_at(32, 48, side_of(blocks(32, 48)), side_of(blocks(32, 48).roll(5, dims=-1)))

    with torch.inference_mode():
        mean = torch.stack([member(inputs).softmax(dim=1) for member in ensemble.members]).mean(dim=0)
        found = ensemble(inputs).softmax(dim=1)

    assert isinstance(ensemble, TwoSidedRefiner)
    assert len(ensemble.members) == 3
    assert not torch.equal(ensemble.members[0](inputs), ensemble.members[1](inputs))
    torch.testing.assert_close(found, mean, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1), (36, 61), (361, 40)])
def test_scores_have_the_size_of_the_frame_and_a_plane_for_void(size: tuple[int, int]) -> None:
    """Frames of any size get scores for each class and, last, for VOID."""
    scores = outputs(network(), inputs_at(*size, side_of(blocks(*size))))

    assert scores.shape == (1, CLASSES + 1, *size)
    assert bool(scores.isfinite().all())


def test_an_untrained_refiner_leaves_trusted_labels_as_they_are() -> None:
    """Training begins at "leave the labels as they are", whatever the segmenter's output."""
    labels = blocks(64, 64)

    refined = outputs(untrained(), inputs_at(64, 64, side_of(labels), side_of(labels))).argmax(dim=1)

    assert torch.equal(refined[labels != VOID], as_planes(labels)[labels != VOID])


def test_the_segmenter_decides_where_no_trajectory_can_be_trusted() -> None:
    """Labels without trust have no vote, and neither has a side without a key frame."""
    inputs = inputs_at(32, 32, side_of(blocks(32, 32), trust=0.0))
    logits = torch.randn(1, CLASSES, 32, 32)
    inputs = replace(inputs, segmentation=Segmentation(logits=logits, features=inputs.segmentation.features))

    classes = outputs(untrained(), inputs)[:, :CLASSES].argmax(dim=1)

    assert torch.equal(classes, logits.argmax(dim=1))


def test_a_sure_segmenter_does_not_drown_trusted_labels() -> None:
    """However sure the segmenter is of another class, a trusted key frame nearby goes before it."""
    labels = torch.zeros(1, 16, 16, dtype=torch.uint8)
    logits = torch.tensor([0.0, 100.0, 0.0]).view(1, CLASSES, 1, 1).expand(1, CLASSES, 8, 8)
    inputs = inputs_at(16, 16, side_of(labels, distance=1.0))
    inputs = replace(inputs, segmentation=Segmentation(logits=logits, features=inputs.segmentation.features))

    assert not outputs(untrained(), inputs).argmax(dim=1).any()


def test_the_nearer_of_two_sides_is_believed() -> None:
    """Where the sides disagree and both can be trusted, fewer frames away counts for more."""
    here, there = torch.zeros(1, 16, 16, dtype=torch.uint8), torch.ones(1, 16, 16, dtype=torch.uint8)
    undecided = Segmentation(logits=torch.zeros(1, CLASSES, 8, 8), features=torch.zeros(1, FEATURES, 4, 4))
    for distances, expected in (((1.0, 6.0), 0), ((6.0, 1.0), 1)):
        sides = [side_of(labels, distance=d) for labels, d in zip((here, there), distances, strict=True)]
        inputs = replace(inputs_at(16, 16, *sides), segmentation=undecided)

        assert (outputs(untrained(), inputs).argmax(dim=1) == expected).all()


def test_a_side_never_counts_more_for_being_farther() -> None:
    """However the fade is trained, a vote falls with the distance."""
    labels = torch.zeros(1, 8, 8, dtype=torch.uint8)
    near, far = (inputs_at(8, 8, side_of(labels, distance=distance)) for distance in (1.0, 9.0))
    far = replace(far, segmentation=near.segmentation)
    for fade in (0.3, -0.3):
        refiner = untrained()
        torch.nn.init.constant_(refiner.votes.fade, fade)

        assert (outputs(refiner, near)[:, 0] > outputs(refiner, far)[:, 0]).all()


def test_votes_are_those_of_the_formula() -> None:
    """One side counts trust · exp(-0.01 · distance), of VOID 0.6 times that, and the segmenter 0.6."""
    shares = torch.tensor([0.7, 0.2]).view(1, 2, 1, 1).expand(1, 2, 8, 8).contiguous()
    labels = torch.tensor([1, VOID], dtype=torch.uint8).view(1, 2, 1, 1).expand(1, 2, 8, 8).contiguous()
    one = replace(
        side_of(blocks(8, 8), trust=0.5, distance=4.0), soft=SoftLabels(labels=labels, shares=shares)
    )
    undecided = Segmentation(logits=torch.zeros(1, CLASSES, 4, 4), features=torch.zeros(1, FEATURES, 2, 2))

    scores = outputs(untrained(), replace(inputs_at(8, 8, one), segmentation=undecided))

    side = 0.5 * math.exp(-0.01 * 4)
    votes = torch.tensor([0.2, 0.7 * side + 0.2, 0.2, 0.6 * 0.2 * side])
    torch.testing.assert_close(scores, (votes / votes.sum()).log().view(1, -1, 1, 1).expand_as(scores))


def test_the_picture_of_a_missing_side_is_not_looked_at() -> None:
    """Whatever is held in its place changes nothing; that of a side that is there counts."""
    inputs = inputs_at(32, 32, side_of(blocks(32, 32)))
    refiner = network()

    def with_other_picture(place: int) -> TwoSidedInput:
        sides = list(inputs.sides)
        sides[place] = replace(sides[place], warped_frame=255 - sides[place].warped_frame)
        return replace(inputs, sides=(sides[0], sides[1]))

    plain = outputs(refiner, inputs)
    assert torch.equal(outputs(refiner, with_other_picture(1)), plain)
    assert (outputs(refiner, with_other_picture(0)) - plain).abs().amax() > 1e-3


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("part", ["soft", "trust", "warped_frame", "distance"])
def test_every_part_of_a_side_counts(part: str, place: int) -> None:
    """Labels, trust, picture and distance of either side enter the network, besides the votes."""
    inputs = inputs_at(32, 32, side_of(blocks(32, 32)), side_of(blocks(32, 32), distance=6.0))
    side = inputs.sides[place]
    changed = {
        "soft": SoftLabels.of_labels(blocks(32, 32)),
        "trust": torch.rand(1, 32, 32),
        "warped_frame": 255 - side.warped_frame,
        "distance": side.distance + 7,
    }
    sides = list(inputs.sides)
    sides[place] = replace(side, **{part: changed[part]})
    refiner = network()
    for parameter in refiner.votes.parameters():
        torch.nn.init.zeros_(parameter)

    change = outputs(refiner, inputs) - outputs(refiner, replace(inputs, sides=(sides[0], sides[1])))

    assert change.abs().amax() > 1e-4


@pytest.mark.parametrize("part", ["frame", "logits", "features"])
def test_the_picture_and_the_segmenter_count(part: str) -> None:
    """The scores depend on the frame and on all of the segmenter's output."""
    inputs = inputs_at(32, 32, side_of(blocks(32, 32)))
    logits, features = inputs.segmentation.logits, inputs.segmentation.features
    changed = {
        "frame": replace(inputs, frame=255 - inputs.frame),
        "logits": replace(inputs, segmentation=Segmentation(logits=-logits, features=features)),
        "features": replace(inputs, segmentation=Segmentation(logits=logits, features=-features)),
    }
    refiner = network()

    assert (outputs(refiner, inputs) - outputs(refiner, changed[part])).abs().amax() > 1e-3


def test_the_gradient_reaches_every_weight() -> None:
    """No part of the network is left out of the training, but for the light one's vote, which stays."""
    refiner = network().train()
    fixed = {name for name, p in refiner.named_parameters() if not p.requires_grad}
    vote = {"votes.fade", "votes.preference", "votes.semantic_weight", "votes.void_weight"}
    assert fixed == (vote if isinstance(refiner, LightTwoSidedUNet) else set())

    sides = side_of(blocks(32, 32), trust=0.5), side_of(blocks(32, 32), distance=6.0)
    inputs = inputs_at(32, 32, *sides)
    torch.as_tensor(refiner(inputs)).square().mean().backward()

    trained = [(name, p.grad) for name, p in refiner.named_parameters() if p.requires_grad]
    assert [name for name, gradient in trained if gradient is None or not gradient.any()] == []


def test_a_refiner_can_do_without_features() -> None:
    """With no feature channels the features are not looked at."""
    inputs = inputs_at(32, 32, side_of(blocks(32, 32)))
    blind = replace(
        inputs, segmentation=Segmentation(logits=inputs.segmentation.logits, features=torch.zeros(1, 0, 8, 8))
    )
    refiner = network(feature_channels=0)

    assert torch.equal(outputs(refiner, inputs), outputs(refiner, blind))


def test_a_batch_is_refined_as_its_frames_are() -> None:
    """Frames are independent of one another, be it without a second side, with few labels or with many."""
    soft = SoftLabels(
        labels=torch.tensor([0, 2], dtype=torch.uint8).view(1, 2, 1, 1).repeat(1, 1, 24, 32),
        shares=torch.tensor([0.6, 0.3]).view(1, 2, 1, 1).repeat(1, 1, 24, 32),
    )
    both = (replace(side_of(blocks(24, 32)), soft=soft), side_of(blocks(24, 32), distance=5.0))
    singles = [inputs_at(24, 32, side_of(blocks(24, 32))), inputs_at(24, 32, *both)]
    refiner = network()

    together = outputs(refiner, TwoSidedInput.stacked(singles))

    torch.testing.assert_close(together, torch.cat([outputs(refiner, one) for one in singles]))
