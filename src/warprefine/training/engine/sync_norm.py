"""Batch norm synchronised over ranks, so that two halves of a batch are normalised as one.

A single rank has few samples, often one or two, whose statistics are noisy. torch's SyncBatchNorm gathers
those of all ranks on GPUs only; the class below does so on any device.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warprefine.core.errors import TrainingError
from warprefine.training.engine.distributed import World, sum_over_ranks


def synchronise_norms(network: nn.Module, world: World) -> nn.Module:
    """Replace every batch norm in `network`, in place, by one that gathers the statistics of all ranks.

    Parameters and their names are kept. Frozen norms (in eval mode, nothing to train) are left alone, and
    so are all norms where one process trains alone.

    Returns:
        The same network.

    Raises:
        TrainingError: A batch norm is of a type whose statistics cannot be gathered.
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
    """Return a norm that shares the parameters of `norm` and gathers statistics, on the same device."""
    # A subclass may do more than its parent, such as an activation, which would be lost silently.
    if type(norm) is not nn.BatchNorm2d:
        raise TrainingError(
            f"{name} is of type {type(norm).__name__}, whose statistics cannot be gathered from several "
            "processes; expected BatchNorm2d; train this network in one process"
        )
    if any(value.is_cuda for value in norm.state_dict().values()):
        gathering: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)
        return gathering
    return GatheringBatchNorm2d.like(norm)


class GatheringBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the batches of all ranks, on any device; in eval mode, an ordinary batch norm."""

    @classmethod
    def like(cls, norm: nn.BatchNorm2d) -> GatheringBatchNorm2d:
        """Build a norm that shares (does not copy) the parameters, statistics and mode of `norm`."""
        gathering = cls(norm.num_features)
        gathering.__dict__.update(norm.__dict__)
        return gathering

    def forward(self, values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise each channel by its mean and variance over all ranks, and update the running ones."""
        if not self.training:
            return super().forward(values)
        exact = values.to(torch.promote_types(values.dtype, torch.float32))
        count = exact.new_tensor([exact[:, 0].numel()])
        # In two passes: the mean of squares minus the squared mean would lose precision.
        sums, total = _sum_over_ranks(torch.cat([exact.sum((0, 2, 3)), count])).tensor_split([-1])
        mean = sums / total
        centred = exact - mean[:, None, None]
        squares = _sum_over_ranks(centred.square().sum((0, 2, 3)))
        with torch.no_grad():
            self._update_running(mean, squares / (total - 1))
        normalised: Tensor = centred * (squares / total + self.eps).rsqrt()[:, None, None]
        if self.affine:
            normalised = normalised * self.weight[:, None, None] + self.bias[:, None, None]
        return normalised.to(values.dtype)

    def _update_running(self, mean: Float[Tensor, " c"], variance: Float[Tensor, " c"]) -> None:
        """Update the running statistics with those of a batch, as the parent class does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


class _SumOverRanks(torch.autograd.Function):
    """Sum of a tensor over all ranks; its gradient is the sum of the gradients of all ranks."""

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
    return sum_over_ranks(values.detach().clone(memory_format=torch.contiguous_format))
