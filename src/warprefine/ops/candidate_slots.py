"""Torch's version of the loop that finds candidates, for devices other than the CPU.

All labels that can be found for a pixel have a slot: those of either side, and the segmenter's. Equal ones
count in the first of them. Results equal those of `ops.candidates`, up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from warprefine.core.tensors import VOID, Confidence, size_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Slots:
    """The labels that were found for each pixel.

    Attributes:
        labels: Classes; C stands for VOID.
        is_first: Which slots hold a label that no slot before has.
        parts: What the nearer side, the farther side and the segmenter give to the label, in its first slot.
    """

    labels: Int64[Tensor, "b n h w"]
    is_first: Bool[Tensor, "b n h w"]
    parts: tuple[
        Float32[Tensor, "b n h w"],
        Float32[Tensor, "b n h w"],
        Float32[Tensor, "b n h w"],
    ]


def find_slots(
    sides: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]],
    logits: Float32[Tensor, "b c rows columns"],
    likeliest: Int64[Tensor, "b r rows columns"],
    *,
    stride: int,
) -> Slots:
    """Return the labels of both sides and the segmenter's likeliest classes, with what each gives to them.

    Args:
        sides: Labels and shares of either side, (b, k, h, w).
        logits: The segmenter's, per cell.
        likeliest: The classes that are candidates in each cell.
        stride: Pixels along a side of a cell.
    """
    classes, (h, w) = logits.shape[1], size_of(sides[0][0])
    of_cells = _of_cells(likeliest, (h, w), stride)
    labels = torch.cat([of_side.long() for of_side, _ in sides] + [of_cells], dim=1)
    labels = labels.masked_fill(labels == VOID, classes)
    none = torch.zeros_like(labels, dtype=torch.float32)
    first, count = 0, labels.shape[1]
    is_held, given = none.bool(), []
    for _, shares in sides:
        slots = slice(first, first + shares.shape[1])
        is_held[:, slots] = shares > 0
        part = none
        for slot in range(slots.start, slots.stop):
            share = shares[:, slot - first, None].clamp(min=0)
            part = part + share * (labels == labels[:, slot, None])
        given.append(part)
        first = slots.stop
    is_held[:, first:] = True
    is_first = is_held.clone()
    for slot in range(count):
        same = labels[:, slot + 1 :] == labels[:, slot, None]
        is_first[:, slot + 1 :] &= ~(same & is_held[:, slot, None])
    near, far = (part * is_first for part in given)
    return Slots(
        labels=labels,
        is_first=is_first,
        parts=(near, far, _of_segmenter(logits, labels, is_first, stride)),
    )


def _of_cells(
    values: Int64[Tensor, "b r rows columns"], size: tuple[int, int], stride: int
) -> Int64[Tensor, "b r h w"]:
    """Return the values of the cell that each pixel lies in."""
    rows, columns = (
        (torch.arange(pixels, device=values.device) // stride).clamp(max=cells - 1)
        for pixels, cells in zip(size, values.shape[-2:], strict=True)
    )
    return values[:, :, rows[:, None], columns]


def _of_segmenter(
    logits: Float32[Tensor, "b c rows columns"],
    labels: Int64[Tensor, "b n h w"],
    is_first: Bool[Tensor, "b n h w"],
    stride: int,
) -> Float32[Tensor, "b n h w"]:
    """Return what the segmenter gives to each label: a softmax of logits interpolated between cells."""
    classes, (rows, columns) = logits.shape[1], size_of(logits)
    top, bottom, lower = _cells_beside(labels.shape[2], rows, stride, logits.device)
    left, right, farther = _cells_beside(labels.shape[3], columns, stride, logits.device)
    flat, plane = logits.flatten(1), labels.clamp(max=classes - 1) * (rows * columns)

    def at(row: Tensor, column: Tensor) -> Tensor:
        places = plane + (row[:, None] * columns + column)
        return flat.gather(1, places.flatten(1)).view(labels.shape)

    above = (1 - farther) * at(top, left) + farther * at(top, right)
    below = (1 - farther) * at(bottom, left) + farther * at(bottom, right)
    interpolated = (1 - lower[:, None]) * above + lower[:, None] * below
    counts = is_first & (labels < classes)
    return interpolated.masked_fill(~counts, -torch.inf).softmax(dim=1)


def _cells_beside(
    pixels: int, cells: int, stride: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two cells that each pixel of a row lies between, and how far it lies towards the second."""
    at = ((torch.arange(pixels, device=device) + 0.5) / stride - 0.5).clamp(min=0)
    first = at.long().clamp(max=cells - 1)
    return first, (first + 1).clamp(max=cells - 1), at - first


def vote_for_slots(
    slots: Slots, weights: tuple[Confidence, Confidence], *, constant: tuple[float, float], void: int
) -> Float32[Tensor, "b n h w"]:
    """Return the share of all votes that each label has, in its first slot.

    Args:
        weights: Weight of the votes of either side.
        constant: Weight of the segmenter's votes, and of votes for VOID.
        void: The label that stands for VOID.
    """
    semantic_weight, void_weight = constant
    near, far, semantic = slots.parts
    votes = weights[0][:, None] * near + weights[1][:, None] * far + semantic_weight * semantic
    votes = torch.where(slots.labels == void, void_weight * votes, votes)
    return votes / (votes.sum(dim=1, keepdim=True) + 1e-6)


def rank_slots(
    slots: Slots, votes: Float32[Tensor, "b n h w"], *, most: int
) -> tuple[UInt8[Tensor, "b k h w"], Float32[Tensor, "b 3 k h w"]]:
    """Return the `most` labels with most votes, the one found first on a tie, and what each voter gives."""
    left = votes.masked_fill(~slots.is_first, -1)
    labels, shares = [], []
    for _ in range(most):
        best, place = left.max(dim=1, keepdim=True)
        left = left.scatter(1, place, -1)
        is_found = best >= 0
        labels.append(slots.labels.gather(1, place).masked_fill(~is_found, VOID).to(torch.uint8))
        shares.append(torch.stack([part.gather(1, place) * is_found for part in slots.parts], dim=1))
    return torch.cat(labels, dim=1), torch.cat(shares, dim=2)


def sum_codes(
    slots: Slots,
    votes: Float32[Tensor, "b n h w"],
    codes: Float32[Tensor, "classes e"],
    trust: tuple[Confidence, Confidence],
    *,
    room: int,
) -> Float32[Tensor, "b planes h w"]:
    """Return the codes of labels, weighted by what each voter gives to them; `room` channels are left."""
    near, far, semantic = slots.parts
    parts = (trust[0][:, None] * near, trust[1][:, None] * far, semantic, votes)
    b, count, h, w = votes.shape
    length = codes.shape[1]
    summed = torch.zeros((b, h, w, 4 * length + room), device=votes.device)
    for slot in range(count):
        code = codes[slots.labels[:, slot]]
        for number, part in enumerate(parts):
            summed[..., number * length : (number + 1) * length] += part[:, slot, ..., None] * code
    return summed.permute(0, 3, 1, 2)
