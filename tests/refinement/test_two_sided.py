"""Tests of refinement/two_sided.py: two sides and a segmenter in, labels of the same size out."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID
from warprefine.ops.soft_labels import SoftLabels
from warprefine.refinement import SIDE_REFINERS
from warprefine.refinement.sides import Side, SideRefiner, SidesInput, mirror_sides, stack
from warprefine.refinement.two_sided import MirroredTwoSided, TwoSidedRefiner
from warprefine.training.side_recipe import SideRefinerRecipe

CLASSES, FEATURES = 3, 5


def untrained(feature_channels: int = FEATURES) -> TwoSidedRefiner:
    """A refiner that has nothing to add to the votes yet."""
    return TwoSidedRefiner(CLASSES, feature_channels, widths=(4, 6, 8, 10)).eval()


def network(feature_channels: int = FEATURES) -> TwoSidedRefiner:
    """A refiner that has opinions of its own, whatever they are worth."""
    refiner = untrained(feature_channels)
    torch.nn.init.normal_(refiner.classifier.weight)
    return refiner


def blocks(h: int, w: int, cell: int = 8) -> Tensor:
    """Return labels in blocks of one class or VOID, (1, h, w)."""
    drawn = torch.randint(0, CLASSES + 1, (-(-h // cell), -(-w // cell)))
    drawn = drawn.masked_fill(drawn == CLASSES, VOID).to(torch.uint8)
    return drawn.repeat_interleave(cell, 0).repeat_interleave(cell, 1)[None, :h, :w].contiguous()


def side_of(labels: Tensor, *, trust: float = 1.0, distance: float = 2.0) -> Side:
    """Make a side that is certain of its labels (1, h, w)."""
    return Side(
        soft=SoftLabels.of_labels(labels),
        trust=torch.full(labels.shape, trust),
        warped_frame=torch.randint(0, 256, (1, 3, *labels.shape[-2:]), dtype=torch.uint8),
        distance=torch.tensor([distance]),
    )


def seen_at(h: int, w: int, *sides: Side) -> SidesInput:
    """Make up what is seen of a frame (h, w), its missing sides too."""
    frame = torch.randint(0, 256, (1, 3, h, w), dtype=torch.uint8)
    near, far = (*sides, Side.missing(frame), Side.missing(frame))[:2]
    return SidesInput(
        frame=frame,
        sides=(near, far),
        segmentation=Segmentation(
            logits=torch.randn(1, CLASSES, -(-h // 2), -(-w // 2)) * 3,
            features=torch.randn(1, FEATURES, -(-h // 4), -(-w // 4)),
        ),
    )


def as_planes(labels: Tensor) -> Tensor:
    return labels.long().masked_fill(labels == VOID, CLASSES)


def said(refiner: torch.nn.Module, seen: SidesInput) -> Tensor:
    with torch.inference_mode():
        return torch.as_tensor(refiner(seen))


@pytest.mark.parametrize("name", sorted(SIDE_REFINERS))
def test_every_listed_network_is_a_refiner_of_sides(name: str) -> None:
    """Class count, feature channels and a recipe are enough to build it, and its card to build it again."""
    kind, recipe = SIDE_REFINERS[name], SideRefinerRecipe()

    with torch.device("meta"):
        built = kind.from_recipe(recipe, CLASSES, FEATURES)
        again = kind.from_card(kind.describe(built, recipe), CLASSES, FEATURES)

    assert isinstance(built, SideRefiner)
    assert (built.name, built.class_count) == (name, CLASSES)
    shapes = [{key: value.shape for key, value in made.state_dict().items()} for made in (built, again)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1), (36, 61), (361, 40)])
def test_scores_have_the_size_of_the_frame_and_a_plane_for_void(size: tuple[int, int]) -> None:
    """Frames of any size get scores for each class and, last, for VOID; asked in the mirror as well."""
    seen = seen_at(*size, side_of(blocks(*size)))

    for refiner in (network(), MirroredTwoSided(network())):
        scores = said(refiner, seen)
        assert scores.shape == (1, CLASSES + 1, *size)
        assert bool(scores.isfinite().all())


def test_an_untrained_refiner_leaves_trusted_labels_as_they_are() -> None:
    """Training begins at "leave the labels as they are", whatever the segmenter says."""
    labels = blocks(64, 64)

    refined = said(untrained(), seen_at(64, 64, side_of(labels), side_of(labels))).argmax(dim=1)

    assert torch.equal(refined[labels != VOID], as_planes(labels)[labels != VOID])


def test_the_segmenter_decides_where_no_way_can_be_trusted() -> None:
    """Labels without trust have no vote, and neither has a side without a key frame."""
    seen = seen_at(32, 32, side_of(blocks(32, 32), trust=0.0))
    logits = torch.randn(1, CLASSES, 32, 32)
    seen = replace(seen, segmentation=Segmentation(logits=logits, features=seen.segmentation.features))

    classes = said(untrained(), seen)[:, :CLASSES].argmax(dim=1)

    assert torch.equal(classes, logits.argmax(dim=1))


def test_a_sure_segmenter_does_not_drown_trusted_labels() -> None:
    """However sure the segmenter is of another class, a trusted key frame nearby goes before it."""
    labels = torch.zeros(1, 16, 16, dtype=torch.uint8)
    logits = torch.tensor([0.0, 100.0, 0.0]).view(1, CLASSES, 1, 1).expand(1, CLASSES, 8, 8)
    seen = seen_at(16, 16, side_of(labels, distance=1.0))
    seen = replace(seen, segmentation=Segmentation(logits=logits, features=seen.segmentation.features))

    assert not said(untrained(), seen).argmax(dim=1).any()


def test_the_nearer_of_two_sides_is_believed() -> None:
    """Where the sides disagree and both can be trusted, fewer frames away counts for more."""
    here, there = torch.zeros(1, 16, 16, dtype=torch.uint8), torch.ones(1, 16, 16, dtype=torch.uint8)
    undecided = Segmentation(logits=torch.zeros(1, CLASSES, 8, 8), features=torch.zeros(1, FEATURES, 4, 4))
    for distances, expected in (((1.0, 6.0), 0), ((6.0, 1.0), 1)):
        sides = [side_of(labels, distance=d) for labels, d in zip((here, there), distances, strict=True)]
        seen = replace(seen_at(16, 16, *sides), segmentation=undecided)

        assert (said(untrained(), seen).argmax(dim=1) == expected).all()


def test_a_side_never_counts_more_for_being_farther() -> None:
    """However the fade is trained, a vote falls with the distance."""
    labels = torch.zeros(1, 8, 8, dtype=torch.uint8)
    near, far = (seen_at(8, 8, side_of(labels, distance=distance)) for distance in (1.0, 9.0))
    far = replace(far, segmentation=near.segmentation)
    for fade in (0.3, -0.3):
        refiner = untrained()
        torch.nn.init.constant_(refiner.votes.fade, fade)

        assert (said(refiner, near)[:, 0] > said(refiner, far)[:, 0]).all()


def test_votes_are_those_of_the_formula() -> None:
    """One side counts trust · exp(-0.01 · distance), of VOID 0.6 times that, and the segmenter 0.6."""
    shares = torch.tensor([0.7, 0.2]).view(1, 2, 1, 1).expand(1, 2, 8, 8).contiguous()
    labels = torch.tensor([1, VOID], dtype=torch.uint8).view(1, 2, 1, 1).expand(1, 2, 8, 8).contiguous()
    one = replace(
        side_of(blocks(8, 8), trust=0.5, distance=4.0), soft=SoftLabels(labels=labels, shares=shares)
    )
    undecided = Segmentation(logits=torch.zeros(1, CLASSES, 4, 4), features=torch.zeros(1, FEATURES, 2, 2))

    scores = said(untrained(), replace(seen_at(8, 8, one), segmentation=undecided))

    side = 0.5 * math.exp(-0.01 * 4)
    votes = torch.tensor([0.2, 0.7 * side + 0.2, 0.2, 0.6 * 0.2 * side])
    torch.testing.assert_close(scores, (votes / votes.sum()).log().view(1, -1, 1, 1).expand_as(scores))


def test_the_picture_of_a_missing_side_is_not_looked_at() -> None:
    """Whatever is held in its place changes nothing; that of a side that is there counts."""
    seen = seen_at(32, 32, side_of(blocks(32, 32)))
    refiner = network()

    def with_other_picture(place: int) -> SidesInput:
        sides = list(seen.sides)
        sides[place] = replace(sides[place], warped_frame=255 - sides[place].warped_frame)
        return replace(seen, sides=(sides[0], sides[1]))

    plain = said(refiner, seen)
    assert torch.equal(said(refiner, with_other_picture(1)), plain)
    assert (said(refiner, with_other_picture(0)) - plain).abs().amax() > 1e-3


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("part", ["soft", "trust", "warped_frame", "distance"])
def test_all_that_a_side_says_counts(part: str, place: int) -> None:
    """Labels, trust, picture and distance of either side are seen by the network, besides the votes."""
    seen = seen_at(32, 32, side_of(blocks(32, 32)), side_of(blocks(32, 32), distance=6.0))
    side = seen.sides[place]
    changed = {
        "soft": SoftLabels.of_labels(blocks(32, 32)),
        "trust": torch.rand(1, 32, 32),
        "warped_frame": 255 - side.warped_frame,
        "distance": side.distance + 7,
    }
    sides = list(seen.sides)
    sides[place] = replace(side, **{part: changed[part]})
    refiner = network()
    for parameter in refiner.votes.parameters():
        torch.nn.init.zeros_(parameter)

    change = said(refiner, seen) - said(refiner, replace(seen, sides=(sides[0], sides[1])))

    assert change.abs().amax() > 1e-4


@pytest.mark.parametrize("part", ["frame", "logits", "features"])
def test_the_picture_and_the_segmenter_count(part: str) -> None:
    """The frame and all that the segmenter said have a say in the scores."""
    seen = seen_at(32, 32, side_of(blocks(32, 32)))
    logits, features = seen.segmentation.logits, seen.segmentation.features
    changed = {
        "frame": replace(seen, frame=255 - seen.frame),
        "logits": replace(seen, segmentation=Segmentation(logits=-logits, features=features)),
        "features": replace(seen, segmentation=Segmentation(logits=logits, features=-features)),
    }
    refiner = network()

    assert (said(refiner, seen) - said(refiner, changed[part])).abs().amax() > 1e-3


def test_the_gradient_reaches_every_weight() -> None:
    """No part of the network is left out of the training."""
    refiner = network().train()

    sides = side_of(blocks(32, 32), trust=0.5), side_of(blocks(32, 32), distance=6.0)
    seen = seen_at(32, 32, *sides)
    torch.as_tensor(refiner(seen)).square().mean().backward()

    assert [name for name, p in refiner.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_refiner_can_do_without_features() -> None:
    """With no feature channels the features are not looked at."""
    seen = seen_at(32, 32, side_of(blocks(32, 32)))
    blind = replace(
        seen, segmentation=Segmentation(logits=seen.segmentation.logits, features=torch.zeros(1, 0, 8, 8))
    )
    refiner = network(feature_channels=0)

    assert torch.equal(said(refiner, seen), said(refiner, blind))


def test_a_batch_is_refined_as_its_frames_are() -> None:
    """Frames do not see one another, one of them without a second side, with few labels or with many."""
    soft = SoftLabels(
        labels=torch.tensor([0, 2], dtype=torch.uint8).view(1, 2, 1, 1).repeat(1, 1, 24, 32),
        shares=torch.tensor([0.6, 0.3]).view(1, 2, 1, 1).repeat(1, 1, 24, 32),
    )
    both = (replace(side_of(blocks(24, 32)), soft=soft), side_of(blocks(24, 32), distance=5.0))
    singles = [seen_at(24, 32, side_of(blocks(24, 32))), seen_at(24, 32, *both)]
    refiner = network()

    together = said(refiner, stack(singles))

    torch.testing.assert_close(together, torch.cat([said(refiner, one) for one in singles]))


def test_asked_in_the_mirror_probabilities_are_the_mean_of_both() -> None:
    """What is said of a pixel in the frame and in its mirror image is averaged; the name says so."""
    seen = seen_at(32, 48, side_of(blocks(32, 48)))
    refiner = network()
    mirrored = MirroredTwoSided(refiner)

    assert isinstance(mirrored, SideRefiner)
    assert (mirrored.name, mirrored.class_count) == ("two-sided-mirrored", CLASSES)
    of_mirror = said(refiner, mirror_sides(seen)).softmax(dim=1).flip(-1)
    expected = (said(refiner, seen).softmax(dim=1) + of_mirror) / 2
    torch.testing.assert_close(said(mirrored, seen).softmax(dim=1), expected)


@pytest.mark.parametrize("size", [(16, 24), (9, 13), (7, 2)])
def test_labels_stay_in_place_in_frames_of_any_size(size: tuple[int, int]) -> None:
    """A refiner that adds nothing leaves trusted labels where they are when it is asked in the mirror."""
    labels = blocks(*size, cell=1)
    seen = seen_at(*size, side_of(labels, distance=0.0), side_of(labels, distance=0.0))
    sure = replace(seen.segmentation, logits=torch.zeros(1, CLASSES, -(-size[0] // 2), -(-size[1] // 2)))

    refined = said(MirroredTwoSided(untrained()), replace(seen, segmentation=sure)).argmax(dim=1)

    assert torch.equal(refined, as_planes(labels))
