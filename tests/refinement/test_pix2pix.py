"""Tests of refinement/pix2pix.py: the paper's refiner puts labels right, at any size and in place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.protocols import Refiner, RefinerInput, Segmentation
from warprefine.core.tensors import VOID
from warprefine.refinement.pix2pix import NormalisedConv, Pix2PixRefiner

CLASSES, FEATURES = 3, 5


def network(feature_channels: int = FEATURES, **settings: Any) -> Pix2PixRefiner:
    return Pix2PixRefiner(CLASSES, feature_channels, **{"width": 4, "blocks": 2, **settings}).eval()


def blocks_of_labels(h: int, w: int, *, cell: int = 8, batch: int = 1) -> Tensor:
    """Return labels in blocks of one class each, (batch, h, w)."""
    drawn = torch.randint(0, CLASSES, (batch, -(-h // cell), -(-w // cell)), dtype=torch.uint8)
    return drawn.repeat_interleave(cell, 1).repeat_interleave(cell, 2)[:, :h, :w].contiguous()


def inputs_at(h: int, w: int, *, feature_stride: int = 4) -> RefinerInput:
    """Return random input of a refiner for a frame (h, w), a quarter of the labels being VOID."""
    frame, warped_frame = torch.randint(0, 256, (2, 1, 3, h, w), dtype=torch.uint8)
    labels = blocks_of_labels(h, w)
    labels[:, : h // 2, : w // 2] = VOID
    segmentation = Segmentation(
        logits=torch.randn(1, CLASSES, -(-h // 2), -(-w // 2)),
        features=torch.randn(1, FEATURES, -(-h // feature_stride), -(-w // feature_stride)),
    )
    return RefinerInput(frame=frame, warped_frame=warped_frame, labels=labels, segmentation=segmentation)


def uniform(label: int, inputs: RefinerInput) -> RefinerInput:
    return replace(inputs, labels=torch.full_like(inputs.labels, label))


@pytest.mark.parametrize("spade", [False, True])
def test_it_is_a_refiner_with_a_name_of_its_own(spade: bool) -> None:
    """A refiner has a name and a number of classes."""
    built = network(spade=spade)

    assert isinstance(built, Refiner)
    assert (built.name, built.class_count) == ("pix2pix-spade" if spade else "pix2pix", CLASSES)


@pytest.mark.parametrize("spade", [False, True])
@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1), (3, 40), (61, 45)])
def test_scores_have_the_size_of_the_frame_and_a_plane_for_void(size: tuple[int, int], spade: bool) -> None:
    """Frames of any size, in training too, get scores for each class and, last, for VOID."""
    scores = network(spade=spade).train()(inputs_at(*size))

    assert scores.shape == (1, CLASSES + 1, *size)
    assert bool(scores.isfinite().all())


@pytest.mark.parametrize("spade", [False, True])
@pytest.mark.parametrize("feature_channels", [0, 512])
def test_the_standard_size_has_as_many_weights_as_its_layers(spade: bool, feature_channels: int) -> None:
    """The network is c7s1-64, d128, d256, a 1 x 1 join, nine blocks, u128, u64 and c7s1 to C + 1 scores."""
    classes, n = 19, 64
    planes = classes + 1
    kernels = 49 * (planes + 6) * n + 9 * (n * 2 * n + 2 * n * 4 * n) + 9 * 2 * 9 * (4 * n) ** 2
    kernels += 9 * (4 * n * 2 * n + 2 * n * n) + (49 * n + 1) * planes
    join = (4 * n + feature_channels) * 4 * n * (feature_channels > 0)
    steered = [4 * n] * (18 + (feature_channels > 0)) + [2 * n, n]
    norms = sum((9 * planes + 1) * 128 + 2 * (9 * 128 + 1) * channels for channels in steered) * spade

    with torch.device("meta"):
        built = Pix2PixRefiner(classes, feature_channels, spade=spade, votes=False)

    assert sum(weight.numel() for weight in built.parameters()) == kernels + join + norms


def test_kernels_begin_small() -> None:
    """Kernels are drawn from N(0, 0.02) and biases are zero, as in pix2pixHD."""
    built = network(width=16, spade=True)
    kernels = torch.cat([weight.flatten() for weight in built.parameters() if weight.ndim == 4])

    assert kernels.mean().abs() < 1e-3
    assert kernels.std().item() == pytest.approx(0.02, rel=0.02)
    assert not any(weight.any() for weight in built.parameters() if weight.ndim == 1)


@pytest.mark.parametrize("spade", [False, True])
@pytest.mark.parametrize("votes", [False, True])
def test_the_gradient_reaches_every_weight(spade: bool, votes: bool) -> None:
    """No part of the network is left out of the training."""
    refiner = network(spade=spade, votes=votes).train()

    refiner(inputs_at(32, 32)).square().mean().backward()

    assert [name for name, p in refiner.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("part", ["frame", "warped_frame", "labels", "features"])
def test_all_that_the_paper_names_counts(part: str) -> None:
    """Without votes the scores still depend on both images, the labels and the features."""
    inputs = inputs_at(32, 32)
    logits, features = inputs.segmentation.logits, inputs.segmentation.features
    others: dict[str, dict[str, Any]] = {
        "frame": {"frame": 255 - inputs.frame},
        "warped_frame": {"warped_frame": 255 - inputs.warped_frame},
        "labels": {"labels": inputs.labels.flip(-1)},
        "features": {"segmentation": Segmentation(logits=logits, features=-features)},
    }

    with torch.inference_mode():
        refiner = network(votes=False)
        change = refiner(inputs) - refiner(replace(inputs, **others[part]))

    assert change.abs().amax() > 1e-3


def test_the_inputs_of_the_network_itself_are_those_of_the_paper() -> None:
    """Without votes the segmenter's scores are not looked at; without features, nothing of the segmenter."""
    inputs = inputs_at(32, 32)
    logits, features = inputs.segmentation.logits, inputs.segmentation.features
    other_logits = replace(inputs, segmentation=Segmentation(logits=-logits, features=features))
    nothing = replace(inputs, segmentation=Segmentation(logits=-logits, features=torch.zeros(1, 0, 8, 8)))

    with torch.inference_mode():
        refiner, blind = network(votes=False), network(0, votes=False)
        assert torch.equal(refiner(inputs), refiner(other_logits))
        assert torch.equal(blind(inputs), blind(nothing))


def test_convention_images_are_scaled_between_minus_one_and_one() -> None:
    """The encoder gets labels (VOID last), the warped frame, then the frame, black as -1 and white as 1."""
    black = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    inputs = replace(uniform(VOID, inputs_at(8, 8)), warped_frame=black, frame=black + 255)
    refiner = network()
    shown: list[Tensor] = []
    refiner.encoder.register_forward_pre_hook(lambda _, given: shown.append(given[0]))

    with torch.inference_mode():
        refiner(inputs)

    assert shown[0].mean(dim=(0, 2, 3)).tolist() == [0, 0, 0, 1, -1, -1, -1, 1, 1, 1]


@pytest.mark.parametrize("size", [(32, 48), (33, 50), (61, 45)])
@pytest.mark.parametrize("stride", [4, 8])
def test_features_join_where_they_belong(size: tuple[int, int], stride: int) -> None:
    """Features of either stride meet the encoding of the same pixels, and are not stretched in odd frames."""
    h, w = size
    inputs = inputs_at(h, w, feature_stride=stride)
    columns = torch.arange(-(-w // stride)).float() * stride + (stride - 1) / 2  # the cells' centres
    features = columns.expand(1, FEATURES, -(-h // stride), -1).clone()
    refiner = network()
    assert refiner.join is not None
    joined: list[Tensor] = []
    refiner.join.register_forward_pre_hook(lambda _, given: joined.append(given[0][0, -1]))

    with torch.inference_mode():
        refiner(replace(inputs, segmentation=replace(inputs.segmentation, features=features)))

    cells = torch.arange(-(-w // 4)).float() * 4 + 1.5
    expected = cells.clamp(columns[0], columns[-1]).expand(-(-h // 4), -1)
    torch.testing.assert_close(joined[0], expected)


def without_norms(refiner: Pix2PixRefiner) -> Pix2PixRefiner:
    """Take out what makes every pixel depend on every other, and let all that remains add up."""
    for module in refiner.modules():
        if isinstance(module, NormalisedConv):
            module.norm = nn.Identity()
    for i, module in enumerate(refiner.encoder):
        if isinstance(module, nn.InstanceNorm2d):
            refiner.encoder[i] = nn.Identity()
    for weight in refiner.parameters():
        nn.init.constant_(weight, 0.01)
    return refiner


def test_convention_scores_belong_to_the_pixels_around_them() -> None:
    """What a pixel's scores depend on lies around it, as far to each side: nothing is mirrored or shifted."""
    refiner = without_norms(network(0, blocks=1, votes=False))
    y, x = 40, 72
    shown = torch.ones(1, CLASSES + 1 + 6, 96, 160, requires_grad=True)
    refiner.encoder.register_forward_pre_hook(lambda *_: shown)

    refiner(inputs_at(96, 160))[0, 0, y, x].backward()

    assert shown.grad is not None
    rows, columns = shown.grad.abs().sum(dim=(0, 1)).nonzero().unbind(1)
    reach = [y - rows.min(), rows.max() - y, x - columns.min(), columns.max() - x]
    assert max(reach) - min(reach) <= 4  # one cell of stride 4
    assert max(reach) < 32


def test_a_residual_block_is_the_formula_of_pix2pixhd() -> None:
    """Two convolutions with reflected borders and norms, a ReLU between, and a plain sum at the end."""
    refiner = network(blocks=1)
    block = refiner.blocks[0]
    first, second = (weight for name, weight in block.named_parameters() if name.endswith("conv.weight"))
    x = torch.randn(2, 16, 5, 7)

    def normalised(values: Tensor, kernel: Tensor) -> Tensor:
        found = functional.conv2d(functional.pad(values, (1, 1, 1, 1), mode="reflect"), kernel)
        centred = found - found.mean(dim=(2, 3), keepdim=True)
        return centred / (centred.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()

    expected = x + normalised(normalised(x, first).clamp(min=0), second)
    torch.testing.assert_close(block(x, torch.zeros(2, CLASSES + 1, 5, 7)), expected)


@pytest.mark.parametrize("spade", [False, True])
@pytest.mark.parametrize(("size", "even"), [((33, 50), (36, 52)), ((5, 61), (8, 64))])
def test_an_odd_frame_is_one_whose_last_row_and_column_go_on(
    size: tuple[int, int], even: tuple[int, int], spade: bool
) -> None:
    """A frame that cells do not fill gets the scores of the same frame with its border repeated."""
    inputs = inputs_at(*size)

    def longer(values: Tensor, stride: int) -> Tensor:
        rows = torch.arange(even[0] // stride).clamp(max=values.shape[-2] - 1)
        columns = torch.arange(even[1] // stride).clamp(max=values.shape[-1] - 1)
        return values[..., rows, :][..., columns]

    whole = RefinerInput(
        frame=longer(inputs.frame, 1),
        warped_frame=longer(inputs.warped_frame, 1),
        labels=longer(inputs.labels, 1),
        segmentation=Segmentation(
            logits=longer(inputs.segmentation.logits, 2), features=longer(inputs.segmentation.features, 4)
        ),
    )

    with torch.inference_mode():
        refiner = network(spade=spade, votes=False)
        torch.testing.assert_close(refiner(inputs), refiner(whole)[..., : size[0], : size[1]])


def test_the_order_of_a_batch_does_not_matter() -> None:
    """A frame gets the same scores alone and beside another: norms are taken per picture."""
    one, other = inputs_at(16, 24), inputs_at(16, 24)
    both = RefinerInput(
        frame=torch.cat((one.frame, other.frame)),
        warped_frame=torch.cat((one.warped_frame, other.warped_frame)),
        labels=torch.cat((one.labels, other.labels)),
        segmentation=Segmentation(
            logits=torch.cat((one.segmentation.logits, other.segmentation.logits)),
            features=torch.cat((one.segmentation.features, other.segmentation.features)),
        ),
    )

    with torch.inference_mode():
        refiner = network(spade=True).train()
        torch.testing.assert_close(refiner(both)[1:], refiner(other))


def test_a_norm_over_the_picture_forgets_a_label_that_fills_it() -> None:
    """With neither votes nor SPADE, all road and all sky give the same scores: the price of the norm."""
    inputs = inputs_at(32, 32)

    with torch.inference_mode():
        refiner = network(votes=False)
        torch.testing.assert_close(
            refiner(uniform(0, inputs)), refiner(uniform(1, inputs)), atol=1e-4, rtol=0
        )


@pytest.mark.parametrize("mended", [{"votes": True}, {"votes": False, "spade": True}])
def test_votes_and_spade_each_remember_a_label_that_fills_the_picture(mended: dict[str, bool]) -> None:
    """Either way, a frame that is all road gets other scores than one that is all sky."""
    inputs = inputs_at(32, 32)

    with torch.inference_mode():
        refiner = network(**mended)
        assert (refiner(uniform(0, inputs)) - refiner(uniform(1, inputs))).abs().amax() > 0.01


@pytest.mark.parametrize("spade", [False, True])
def test_with_votes_training_begins_from_the_labels(spade: bool) -> None:
    """An untrained refiner leaves labels as they are, VOID too, unless the segmenter is sure of another."""
    inputs = inputs_at(64, 64)

    with torch.inference_mode():
        refined = network(spade=spade)(inputs).argmax(dim=1)

    assert (refined == inputs.labels.long().masked_fill(inputs.labels == VOID, CLASSES)).float().mean() > 0.95


def test_the_segmenter_has_no_vote_for_void() -> None:
    """The segmenter's doubts are counted for the classes, down to one in 10,000, and not for VOID."""
    inputs = uniform(0, inputs_at(8, 8))
    sure = torch.tensor([20.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    refiner = network()
    assert refiner.votes is not None

    votes = refiner.votes(functional.one_hot(inputs.labels.long(), 4).permute(0, 3, 1, 2).float(), sure)

    doubt = 0.3 * torch.tensor(1e-4).log()
    torch.testing.assert_close(votes[0, :, 0, 0], torch.stack((torch.tensor(3.0), doubt, doubt, doubt * 0)))


def lesson() -> tuple[RefinerInput, Tensor]:
    """Make labels with a hole of VOID each, and frames whose colours tell what is in it."""
    truth = blocks_of_labels(32, 32, batch=4)
    labels = truth.clone()
    for i in range(4):
        y, x = torch.randint(0, 20, (2,)).tolist()
        labels[i, y : y + 12, x : x + 12] = VOID
    colours = torch.tensor([[200, 40, 40], [40, 200, 40], [40, 40, 200]], dtype=torch.uint8)
    frame = colours[truth.long()].permute(0, 3, 1, 2).contiguous()
    blank = Segmentation(logits=torch.zeros(4, CLASSES, 16, 16), features=torch.zeros(4, 0, 8, 8))
    inputs = RefinerInput(
        frame=frame, warped_frame=torch.full_like(frame, 128), labels=labels, segmentation=blank
    )
    return inputs, truth


@pytest.mark.parametrize("spade", [False, True])
@pytest.mark.parametrize("votes", [False, True])
def test_it_learns_to_fill_holes_from_the_image(spade: bool, votes: bool) -> None:
    """In a few steps the refiner halves its loss and labels unseen pictures better than what it is given."""
    refiner = network(0, width=8, blocks=1, spade=spade, votes=votes).train()
    optimiser = torch.optim.Adam(refiner.parameters(), lr=5e-3)
    losses = []
    for _ in range(40):
        inputs, truth = lesson()
        loss = functional.cross_entropy(refiner(inputs), truth.long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())

    inputs, truth = lesson()
    with torch.inference_mode():
        refined = refiner(inputs).argmax(dim=1)
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    assert (refined == truth).float().mean() > (inputs.labels == truth).float().mean() + 0.03
