"""Label relaxation: near borders, any label of the neighbourhood is correct (Zhu et al., CVPR 2019).

Hand-drawn and propagated labels are off by a pixel or two at the borders of objects. The paper's baseline
trains with this loss (section 4.1); it suits any labels that are propagated along flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import LabelMaps, Logits
from warprefine.training.losses.counted import Counted


def relaxed_targets(
    labels: LabelMaps, class_count: int, *, border: int = 1, strict: Sequence[int] = ()
) -> Tensor:
    """Mark every class that occurs within `border` pixels, (b, C + 1, h, w) uint8 of 0 and 1.

    Channel C stands for all that is no class: VOID, and pixels beyond the image.

    Args:
        labels: Classes 0 to C - 1; anything else is VOID.
        border: Radius of the window, whose side is 2 border + 1; 0 gives plain one-hot labels.
        strict: Classes too small for relaxation; their pixels keep their own label only.

    Example:
        >>> labels = torch.tensor([[[0, 0, 1]]], dtype=torch.uint8)
        >>> relaxed_targets(labels, 2)[0, :2, 0].tolist()  # one row per class
        [[1, 1, 1], [0, 1, 1]]
    """
    own = labels.long().clamp(max=class_count)
    planes = functional.one_hot(own, class_count + 1).permute(0, 3, 1, 2)
    if border:
        padded = functional.pad(planes, (border,) * 4)
        padded[:, class_count] = functional.pad(planes[:, class_count], (border,) * 4, value=1)
        near = functional.max_pool2d(padded.float(), 2 * border + 1, stride=1).to(planes.dtype)
        keeps = torch.isin(own, torch.tensor(list(strict), device=own.device, dtype=own.dtype))
        planes = torch.where(keeps[:, None], planes, near)
    return planes.to(torch.uint8)


def emphasised_targets(
    labels: LabelMaps, class_count: int, *, border: int = 1, strict: Sequence[int] = ()
) -> Tensor:
    """Return the targets of the last part of a training: half the window, and 2 instead of 1 on borders.

    A pixel is on a border if it differs from one of its four neighbours; VOID counts as a label there.

    Example:
        >>> labels = torch.tensor([[[0, 0, 1]]], dtype=torch.uint8)
        >>> emphasised_targets(labels, 2)[0, :2, 0].tolist()  # one row per class
        [[1, 2, 0], [0, 0, 2]]
    """
    values = labels[:, None].float()
    across = functional.pad(values, (1, 1, 0, 0), mode="replicate")
    along = functional.pad(values, (0, 0, 1, 1), mode="replicate")
    differs = torch.zeros_like(values, dtype=torch.bool)
    for neighbour in (across[..., :-2], across[..., 2:], along[..., :-2, :], along[..., 2:, :]):
        differs |= neighbour != values
    targets = relaxed_targets(labels, class_count, border=border // 2, strict=strict)
    return targets * (1 + differs.to(torch.uint8))


def relaxed_label_loss(
    logits: Logits,
    targets: Tensor,
    *,
    bound: float = 1.0,
    inverse: bool = False,
    shares_of: Literal["image", "batch"] = "image",
    emphasised: bool = False,
    broadcast: bool = False,
) -> Tensor:
    """Return the label relaxation loss: -log of the total probability of the classes in a pixel's window.

    A pixel counts if its window contains a class, even if its own label is VOID. Its loss is weighted by
    the mean weight of the classes in its window. The loss is averaged over pixels, then over images.

    Args:
        targets: (b, C + 1, h, w), from `relaxed_targets`, or from `emphasised_targets` where
            `emphasised` is true.
        bound: Rare classes have weights of up to 1 + bound.
        inverse: Use class weights 1 + bound / share, instead of 1 + bound (1 - share).
        shares_of: Compute the classes' shares of the pixels per image or over the batch.
        emphasised: Multiply a pixel's loss by the sum of its targets instead of dividing by it.
        broadcast: Reproduce a slip of the original code: every image is weighted by the windows of all
            images of the batch, and images are summed, which makes the loss about b^2 times as large.

    Example:
        >>> targets = relaxed_targets(torch.tensor([[[0, 0, 1]]], dtype=torch.uint8), 2)
        >>> logits = 50 * torch.tensor([[[[1.0, 0.0, 0.0]], [[0.0, 1.0, 1.0]]]])  # border one pixel off
        >>> relaxed_label_loss(logits, targets).item() == 0
        True
    """
    with torch.autocast(logits.device.type, enabled=False):
        scores = logits if logits.dtype == torch.float64 else logits.float()
        marks = targets[:, :-1].to(scores.dtype)
        counts = marks.sum(dim=1)
        allowed = marks.clamp(max=1)
        weights = _class_weights(targets.to(scores.dtype), bound, inverse=inverse, shares_of=shares_of)
        weighted = (weights[:, :, None, None] * allowed).sum(dim=1)
        counted = counts > 0
        # In logarithms, so that no probability underflows to log 0; a pixel without a class costs 0.
        forbidden = (allowed == 0) & counted[:, None]
        logs = scores.masked_fill(forbidden, -torch.inf).logsumexp(dim=1) - scores.logsumexp(dim=1)
        losses = -weighted * logs
        factor = counts if emphasised else 1 / counts.clamp(min=1)
        factor = factor.sum(dim=0, keepdim=True).expand_as(losses) if broadcast else factor
        per_image = (losses * factor).sum(dim=(1, 2)) / (counted.sum(dim=(1, 2)) + 1)
        return per_image.sum() if broadcast else per_image.mean()


def relaxed(
    logits: Logits,
    labels: LabelMaps,
    weights: Tensor | None = None,
    step: Counted | None = None,
    *,
    strict: Sequence[int] = (),
    late: bool = False,
) -> Tensor:
    """Return the label relaxation loss of a label map, with the published window and weights.

    Args:
        weights: Not used: this loss weights classes by their share of each image.
        step: Not used: this loss is a mean over images, each a mean over its own pixels.
        strict: Classes that are not relaxed.
        late: Whether the training is in its last part, in which nothing is relaxed and borders count double.

    Example:
        >>> labels = torch.zeros(1, 3, 3, dtype=torch.uint8)
        >>> relaxed(torch.zeros(1, 2, 3, 3), labels)
        tensor(0.9174)
    """
    targets_of = emphasised_targets if late else relaxed_targets
    return relaxed_label_loss(logits, targets_of(labels, logits.shape[1], strict=strict), emphasised=late)


def _class_weights(targets: Tensor, bound: float, *, inverse: bool, shares_of: str) -> Tensor:
    """Return the weight of each class in each image, (b, C); 1 for classes that do not occur."""
    pixels = targets.sum(dim=(2, 3))
    if shares_of == "batch":
        pixels = pixels.sum(dim=0, keepdim=True).expand_as(pixels)
    shares = (pixels / pixels.sum(dim=1, keepdim=True))[:, :-1]
    extra = bound / shares.clamp(min=torch.finfo(shares.dtype).tiny) if inverse else bound * (1 - shares)
    return 1 + torch.where(shares > 0, extra, torch.zeros_like(extra))
