"""Two-sided refiner that scores each pixel's candidates alone: its cost does not grow with the classes."""

from __future__ import annotations

from functools import partial
from itertools import combinations, islice
from math import comb

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.tensors import Confidence, Logits, size_of
from warprefine.ops.candidates import Candidates, Voters, find_candidates
from warprefine.recipe.two_sided_refiner import REFINER_WIDTHS
from warprefine.refinement.interface import CAUTION, CandidateScores, TwoSidedInput, weigh_sides
from warprefine.refinement.joined_unet import HalvedUNet
from warprefine.refinement.two_sided import LEAST_VOTE, SideVotes, side_images

CANDIDATES = 4
"""Labels per pixel that are scored: the right one is among them at 99.6 % of the pixels of CamVid."""
CODE_LENGTH = 16
_VOTERS = 3
_SHOWN = 2
"""Candidates whose shares are inputs."""
_FURTHER = _VOTERS * _SHOWN + 2 * (1 + 1 + 3) + 3
"""Channels of the input besides codes: shares, both sides' images, the frame."""
_UNLIKELY = -20.0
"""Logit of labels that are no candidates, where logits of all classes are returned."""


class CandidateUNet(HalvedUNet):
    """U-Net that shows labels as codes and answers with a code: the score of a candidate is their product.

    Input channels: the codes of the labels that each side, the segmenter and the vote of all stand for
    (`ops.candidates`), what the voters give to the first two candidates, both sides' trust, distance and
    difference of images, and the frame. At each pixel the network returns a vector; its product with the
    code of a candidate is added to the logarithm of the candidate's vote (`two_sided.SideVotes`). To move a
    boundary it repeats what it saw beside a pixel, whatever the class is called: what is learned for one
    class holds for all. The codes that answers are compared with are learned, beginning at those that are
    shown. In labelling a part of the answer counts (`interface.CAUTION`). Not in the paper.

    Args:
        class_count: Number of classes C; VOID is one more.
        feature_channels: Channels of the segmenter's features; 0 leaves them out.
        widths: Channels at strides 1, 2, 4 and 8; the first is not used.
    """

    name = "candidates"

    def __init__(
        self, class_count: int, feature_channels: int, *, widths: tuple[int, ...] = REFINER_WIDTHS
    ) -> None:
        super().__init__(4 * CODE_LENGTH + _FURTHER, CODE_LENGTH, feature_channels, widths=widths)
        self.class_count = class_count
        nn.init.zeros_(self.classifier.weight)
        assert self.classifier.bias is not None
        nn.init.zeros_(self.classifier.bias)
        self.votes = SideVotes()
        self.register_buffer("codes", label_codes(class_count + 1), persistent=False)
        self.codes: Tensor
        self.learned = nn.Parameter(torch.zeros(class_count + 1, CODE_LENGTH))

    def forward(self, inputs: TwoSidedInput) -> Logits:
        """Return logits (b, C + 1, h, w) for frames of any size; the last channel is VOID."""
        scores = self.scored(inputs)
        b, _, h, w = scores.logits.shape
        # Empty slots are added to a channel beyond VOID's, which is cut off.
        logits = scores.logits.new_full((b, self.class_count + 2, h, w), _UNLIKELY)
        places = scores.labels.long().masked_fill(scores.is_empty, self.class_count + 1)
        return logits.scatter(1, places, scores.logits)[:, :-1]

    def scored(self, inputs: TwoSidedInput) -> CandidateScores:
        """Return the candidates of each pixel with a logit each."""
        near, far = weigh_sides(
            inputs.sides, fade=self.votes.fade.abs(), preference=self.votes.preference.abs()
        )
        found = self._candidates(inputs, near.detach(), far.detach())
        shares, is_empty = found.shares, found.is_empty
        decoded = self.decoded(self._planes(inputs, found), inputs.segmentation.features)
        added = self._products(decoded, found.labels, size_of(inputs.frame))
        if not self.training:
            added = CAUTION * added
        votes = near[:, None] * shares[:, 0] + far[:, None] * shares[:, 1]
        votes = votes + self.votes.semantic_weight.abs() * shares[:, 2]
        is_void = found.labels == self.class_count
        votes = torch.where(is_void, self.votes.void_weight.abs() * votes, votes)
        votes = votes / votes.sum(dim=1, keepdim=True).clamp(min=1e-6)
        logits = votes.clamp(min=LEAST_VOTE).log() + added
        return CandidateScores(labels=found.labels, logits=logits, is_empty=is_empty)

    def _candidates(self, inputs: TwoSidedInput, *weights: Confidence) -> Candidates:
        """Find the candidates, on the device of the inputs."""
        near, far = inputs.sides
        voters = Voters(
            soft=(near.soft, far.soft),
            weights=(weights[0], weights[1]),
            trust=(near.trust, far.trust),
            logits=inputs.segmentation.logits,
        )
        return find_candidates(
            voters,
            self.codes,
            most=CANDIDATES,
            semantic_weight=float(self.votes.semantic_weight.detach().abs()),
            void_weight=float(self.votes.void_weight.detach().abs()),
            room=_FURTHER,
        )

    def _planes(self, inputs: TwoSidedInput, found: Candidates) -> Float32[Tensor, "b planes h w"]:
        planes, first = found.codes, 4 * CODE_LENGTH
        images = [side_images(side, inputs.frame) for side in inputs.sides]
        shares = found.shares[:, :, :_SHOWN].flatten(1, 2)
        for values in (shares, *images, inputs.frame.float() / 127.5 - 1):
            planes[:, first : first + values.shape[1]] = values
            first += values.shape[1]
        return planes

    def _products(self, decoded: Tensor, labels: Tensor, size: tuple[int, int]) -> Float[Tensor, "b k h w"]:
        """Return the product of each pixel's answer with the code of each of its candidates."""
        table = self.codes + self.learned
        places = labels.long().clamp(max=self.class_count)
        if len(table) <= labels.shape[1] * CODE_LENGTH:  # fewer products with all classes
            return (
                self.classified(decoded, partial(self._of_all_classes, table), size).float().gather(1, places)
            )
        answers = self.classified(decoded, self.classifier, size).float()
        return torch.einsum("behw,bkhwe->bkhw", answers, functional.embedding(places, table))

    def _of_all_classes(self, table: Float[Tensor, "c e"], decoded: Tensor) -> Tensor:
        """Return the products of the answers of a cell's pixels with the codes of all classes.

        Codes and classifier, both linear, are multiplied first: fewer and smaller products.
        """
        assert self.classifier.bias is not None
        weight = torch.einsum("ce,esh->csh", table, self.classifier.weight.view(CODE_LENGTH, 4, -1))
        bias = torch.einsum("ce,es->cs", table, self.classifier.bias.view(CODE_LENGTH, 4))
        return functional.conv2d(decoded, weight.flatten(0, 1)[..., None, None], bias.flatten())


def label_codes(count: int, *, length: int = CODE_LENGTH) -> Float32[Tensor, "count e"]:
    """Return a code for each label: one place of `length`, or as few as give each label a code of its own.

    Example:
        >>> label_codes(3, length=4)[1]
        tensor([0., 1., 0., 0.])
        >>> label_codes(5, length=4)[4] ** 2
        tensor([0.0000, 0.5000, 0.0000, 0.5000])
    """
    places = next(n for n in range(1, length) if comb(length, n) >= count)
    codes = torch.zeros(count, length)
    for label, chosen in enumerate(islice(combinations(range(length), places), count)):
        codes[label, list(chosen)] = places**-0.5
    return codes
