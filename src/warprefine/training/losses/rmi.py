"""Region mutual information (RMI): a loss on neighbourhoods, not pixels (Zhao et al., NeurIPS 2019).

The paper trains with it (section 4). Each 3 x 3 neighbourhood of the labels and of the predicted
probabilities is one sample of a 9-dimensional variable; the loss is a bound on the entropy of the labels
given the prediction. Details follow the implementation of Tao et al. (2020), which the paper builds on:
average pooling by 4, sigmoid probabilities, binary cross entropy beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import LabelMaps, Logits
from warprefine.training.losses.counted import Counted

_RIDGE = 5e-4
"""Added to the diagonal of matrices before they are inverted and before their determinant is taken."""
_LEAST_PROBABILITY = 1e-6
_LEAST_DIAGONAL = 1e-8


def rmi(
    logits: Logits,
    labels: LabelMaps,
    weights: Tensor | None = None,
    step: Counted | None = None,
    *,
    radius: int = 3,
    pool: int = 4,
    cross_entropy_share: float = 0.5,
    rmi_share: float = 0.5,
) -> Tensor:
    """Return the weighted sum of binary cross entropy and region mutual information; often negative.

    A class that is absent from an image adds a constant, about -3.8 times its share, and hardly any
    gradient, so losses of batches with different classes are not comparable.

    Args:
        labels: Any label that is no channel (VOID) is ignored.
        weights: One per channel; None weights all equally.
        step: What the batches of a step hold together, for the mean over pixels; None: these labels alone.
        radius: Side of the neighbourhoods, in pooled pixels.
        pool: Stride of the average pooling of labels and probabilities; 1 is none.

    Example:
        >>> labels = (torch.arange(32) // 8 % 2).to(torch.uint8).expand(1, 32, 32)
        >>> right = functional.one_hot(labels.long(), 2).permute(0, 3, 1, 2).float()
        >>> bool(rmi(right, labels) < rmi(right.roll(4, dims=-1), labels))
        True
    """
    # Half precision is too coarse for the sum over pixels and for the matrices.
    with torch.autocast(logits.device.type, enabled=False):
        scores = logits if logits.dtype == torch.float64 else logits.float()
        valid, truth = _one_hot(labels, scores)
        class_weights = torch.ones_like(scores[0, :, 0, 0]) if weights is None else weights.to(scores)
        total = cross_entropy_share * _binary_cross_entropy(scores, truth, valid, class_weights, step)
        if rmi_share:
            probabilities = scores.sigmoid() * valid + _LEAST_PROBABILITY
            bounds = _lower_bounds(truth, probabilities, radius=radius, pool=pool)
            total = (
                total + rmi_share * (bounds.mean(dim=0).to(scores.dtype) * class_weights).sum() / radius**2
            )
        return total


def _one_hot(labels: LabelMaps, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mask of valid pixels (b, 1, h, w) and the one-hot labels (b, c, h, w), zero elsewhere."""
    class_count = scores.shape[1]
    valid = labels < class_count
    positions = labels.long().masked_fill(~valid, 0)
    planes = functional.one_hot(positions, class_count).permute(0, 3, 1, 2)
    mask = valid[:, None].to(scores.dtype)
    return mask, planes.to(scores.dtype) * mask


def _binary_cross_entropy(
    scores: Tensor, truth: Tensor, valid: Tensor, weights: Tensor, step: Counted | None
) -> Tensor:
    """Return the sum over classes of the mean over valid pixels, and one more in a step."""
    losses = functional.binary_cross_entropy_with_logits(scores, truth, reduction="none")
    pixels = valid.sum() + 1 if step is None else step.pixels + 1 / step.batches
    return (losses * valid * weights.view(1, -1, 1, 1)).sum() / pixels


def _lower_bounds(truth: Tensor, probabilities: Tensor, *, radius: int, pool: int) -> Tensor:
    """Return half the log-determinant of the labels' covariance given the prediction, (b, c) in float64."""
    if min(truth.shape[-2:]) // pool + (pool > 1) < radius:  # too small for a single neighbourhood
        return truth.new_zeros(truth.shape[:2], dtype=torch.float64)
    y = _neighbourhoods(truth, radius, pool)
    p = _neighbourhoods(probabilities, radius, pool)
    ridge = _RIDGE * torch.eye(radius**2, dtype=torch.float64, device=y.device)
    covariance_p = p @ p.mT + ridge
    cross = y @ p.mT
    conditional = y @ y.mT - cross @ torch.linalg.solve(covariance_p, cross.mT)
    return 0.5 * _log_determinant(conditional + ridge)


def _neighbourhoods(planes: Tensor, radius: int, pool: int) -> Tensor:
    """Unfold (b, c, h, w) into centred neighbourhoods, (b, c, radius^2, n) in float64."""
    if pool > 1:
        planes = functional.avg_pool2d(planes, pool, stride=pool, padding=pool // 2)
    b, c, h, w = planes.shape
    samples = functional.unfold(planes.double().reshape(b * c, 1, h, w), radius)
    samples = samples.view(b, c, radius**2, -1)
    return samples - samples.mean(dim=-1, keepdim=True)


def _log_determinant(matrices: Tensor) -> Tensor:
    """Return the log-determinants of symmetric matrices that rounding may have made indefinite."""
    symmetric: Tensor = (matrices + matrices.mT) / 2
    factor, failed = torch.linalg.cholesky_ex(symmetric)
    if bool((failed > 0).any()):
        # The eigenvalues of the exact matrices are at least the ridge; only rounding makes them smaller.
        values, vectors = torch.linalg.eigh(symmetric.detach())
        lift = (_RIDGE - values).clamp(min=0)
        symmetric = symmetric + (vectors * lift[..., None, :]) @ vectors.mT
        factor = torch.linalg.cholesky(symmetric)
    diagonal = factor.diagonal(dim1=-2, dim2=-1)
    return torch.as_tensor(2 * (diagonal + _LEAST_DIAGONAL).log().sum(dim=-1))
