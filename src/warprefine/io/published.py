"""Take over weights that were published for a network whose parts have other names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from warprefine.core.errors import CheckpointError, cut


def load_renamed(
    network: nn.Module, published: Mapping[str, Tensor], published_name: Callable[[str], str], *, name: str
) -> None:
    """Give a network published weights, all of them or none.

    Args:
        published: The weights; counts of batches seen may be missing, as they are in old files.
        published_name: Translates one of the network's own names.
        name: What to call the network in an error.

    Raises:
        CheckpointError: A weight is missing, left over or of another shape.
    """
    weights = network.state_dict()
    wanted = {published_name(own): own for own in weights}
    remedy = f"these are not the weights of {name} as published"
    missing = [theirs for theirs in wanted if theirs not in published]
    if missing := [theirs for theirs in missing if not theirs.endswith("num_batches_tracked")]:
        raise CheckpointError(f"the weights of {name} lack {cut(missing)}; {remedy}")
    if left_over := [theirs for theirs in published if theirs not in wanted]:
        raise CheckpointError(f"{name} has no place for the weights {cut(left_over)}; {remedy}")
    for theirs, values in published.items():
        expected = tuple(weights[wanted[theirs]].shape)
        if tuple(values.shape) != expected:
            raise CheckpointError(
                f"{theirs} of {name} has shape {tuple(values.shape)}, expected {expected}; {remedy}"
            )
        weights[wanted[theirs]] = values
    network.load_state_dict(weights)
