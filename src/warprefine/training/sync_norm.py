"""Normalise by the batches of all ranks, so that two halves of a batch are one batch.

A rank alone sees few samples, often one or two, and their statistics are noise. torch's SyncBatchNorm
gathers those of all ranks, on GPUs only; on a CPU the one below does.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn

from warprefine.core.errors import TrainingError
from warprefine.training.distributed import World


def synchronised(network: nn.Module, world: World) -> nn.Module:
    """Let every batch norm in `network` see the batches of all ranks; return the network, changed in place.

    Parameters and names stay as they are. What is frozen (in eval mode, nothing to train) is left alone,
    and so is everything where one process trains alone.

    Raises:
        TrainingError: A batch norm is of a kind whose statistics cannot be gathered.
    """
    if world.size == 1:
        return network
    for name, parent in list(network.named_modules()):
        for child_name, child in list(parent.named_children()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm) and not _is_gathered_or_frozen(child):
                setattr(parent, child_name, _gathering(child, f"{name}.{child_name}".lstrip(".")))
    return network


def _is_gathered_or_frozen(norm: nn.Module) -> bool:
    frozen = not norm.training and not any(p.requires_grad for p in norm.parameters())
    return frozen or isinstance(norm, nn.SyncBatchNorm | GatheringBatchNorm2d)


def _gathering(norm: nn.Module, name: str) -> nn.Module:
    """Return a norm with the parameters of another that gathers statistics where its weights lie."""
    # A subclass may do more than its parent, such as an activation; it would be lost without a word.
    if type(norm) is not nn.BatchNorm2d:
        raise TrainingError(
            f"{name} is of the kind {type(norm).__name__}, whose statistics cannot be gathered from several "
            "processes; expected BatchNorm2d; train this network in one process"
        )
    if any(value.is_cuda for value in norm.state_dict().values()):
        gathering: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)
        return gathering
    return GatheringBatchNorm2d.like(norm)


class GatheringBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the batches of all ranks, on any device; in eval mode, one like any other."""

    @classmethod
    def like(cls, norm: nn.BatchNorm2d) -> GatheringBatchNorm2d:
        """Take over the parameters, statistics and mode of `norm`, not copies of them."""
        made = cls(norm.num_features)
        made.__dict__.update(norm.__dict__)
        return made

    def forward(self, values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise each channel by its mean and variance over all ranks, and remember both."""
        if not self.training:
            return super().forward(values)
        exact = values.to(torch.promote_types(values.dtype, torch.float32))
        count = exact.new_tensor([exact[:, 0].numel()])
        # In two passes: the mean of squares less the square of the mean would lose digits.
        sums, total = _sum_over_ranks(torch.cat([exact.sum((0, 2, 3)), count])).tensor_split([-1])
        mean = sums / total
        centred = exact - mean[:, None, None]
        squares = _sum_over_ranks(centred.square().sum((0, 2, 3)))
        with torch.no_grad():
            self._remember(mean, squares / (total - 1))
        normalised: Tensor = centred * (squares / total + self.eps).rsqrt()[:, None, None]
        if self.affine:
            normalised = normalised * self.weight[:, None, None] + self.bias[:, None, None]
        return normalised.to(values.dtype)

    def _remember(self, mean: Float[Tensor, " c"], variance: Float[Tensor, " c"]) -> None:
        """Move the running statistics towards those of a batch, as the parent class does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


class _SumOverRanks(torch.autograd.Function):
    """Add up a tensor over all ranks; what flows back to a rank is the sum of what each has to say."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        """Return the sum."""
        return _summed(values)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """Return the sum of the gradients: every rank's loss depends on every rank's part."""
        return _summed(gradient)


def _sum_over_ranks(values: Tensor) -> Tensor:
    total: Tensor = _SumOverRanks.apply(values)  # type: ignore[no-untyped-call]
    return total


def _summed(values: Tensor) -> Tensor:
    total = values.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total
