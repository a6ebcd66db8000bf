"""Tests of training/engine/sync_norm.py: batch norm that sees the batches of all ranks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from warprefine.core.errors import TrainingError
from warprefine.training.engine.distributed import ALONE, World
from warprefine.training.engine.sync_norm import GatheringBatchNorm2d, synchronise_norms

TWO = World(rank=0, size=2)


def network() -> nn.Sequential:
    """A network with one norm within a part, and one of its own."""
    return nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, eps=0.1)), nn.BatchNorm2d(4))


@pytest.mark.parametrize("kind", ["usual", "cumulative", "without weights", "without statistics"])
def test_parts_of_a_batch_are_normalised_as_the_whole(two_ranks: list[dict[str, Any]], kind: str) -> None:
    """Three samples on one rank and one on the other come out, and are learned from, as four together."""
    first, second = (rank["norms_alone_and_together"] for rank in two_ranks)
    whole = first[f"{kind} 1"]
    parts = [rank[f"{kind} 2"] for rank in (first, second)]

    for name in ("output", "back"):
        together = torch.cat([part[name] for part in parts])
        torch.testing.assert_close(together, whole[name], rtol=1e-4, atol=1e-4)
    for name, gradient in whole["gradients"].items():
        torch.testing.assert_close(sum(part["gradients"][name] for part in parts), gradient)
    for part in parts:
        for name, value in whole["state"].items():
            torch.testing.assert_close(part["state"][name], value)


def test_one_picture_per_rank_is_normalised(two_ranks: list[dict[str, Any]]) -> None:
    """A rank with a single value per channel, which alone has no variance, uses that of all ranks."""
    for rank in two_ranks:
        found = rank["norm_of_one_pixel"]
        torch.testing.assert_close(found["own"], found["whole"], rtol=1e-4, atol=1e-5)


def test_names_and_parameters_stay() -> None:
    """The optimiser and checkpoints notice nothing, and the settings are those of the norm replaced."""
    made = network()
    names, parameters = list(made.state_dict()), list(made.parameters())

    assert synchronise_norms(made, TWO) is made

    assert list(made.state_dict()) == names
    assert all(now is before for now, before in zip(made.parameters(), parameters, strict=True))
    assert isinstance(made[0][1], GatheringBatchNorm2d)
    assert isinstance(made[1], GatheringBatchNorm2d)
    assert (made[0][1].eps, made[1].eps) == (0.1, 1e-5)


def test_one_process_keeps_its_norms() -> None:
    """Alone there is nobody to gather from."""
    assert type(synchronise_norms(network(), ALONE)[1]) is nn.BatchNorm2d


def test_frozen_norms_are_left_alone() -> None:
    """A norm in eval mode with nothing to train keeps the statistics that it came with."""
    made = network()
    made[0].eval().requires_grad_(requires_grad=False)

    synchronise_norms(made, TWO)

    assert type(made[0][1]) is nn.BatchNorm2d
    assert type(made[1]) is GatheringBatchNorm2d


def test_in_use_it_is_a_norm_like_any_other() -> None:
    """In eval mode nothing is gathered, which would fail here, without other ranks."""
    made, values = network().eval(), torch.randn(2, 3, 4, 5)
    expected = made(values)

    assert torch.equal(synchronise_norms(made, TWO)(values), expected)


def test_a_norm_is_replaced_once() -> None:
    """A network that is trained a second time keeps what it got the first time."""
    made = synchronise_norms(network(), TWO)
    norm = made[1]

    assert synchronise_norms(made, TWO)[1] is norm


def test_gpus_get_torchs_own_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the weights lie on a GPU, the faster norm that torch has for GPUs takes over."""
    made = network()
    names, parameters = list(made.state_dict()), list(made.parameters())
    monkeypatch.setattr(torch.Tensor, "is_cuda", property(lambda _: True), raising=False)

    synchronise_norms(made, TWO)

    assert type(made[0][1]) is nn.SyncBatchNorm
    assert list(made.state_dict()) == names
    assert all(now is before for now, before in zip(made.parameters(), parameters, strict=True))


def test_norms_that_do_more_are_refused() -> None:
    """A kind of norm that is not known might do more than to normalise, which would be lost."""

    class Activated(nn.BatchNorm2d):
        pass

    made = nn.Sequential(nn.Sequential(Activated(3)))

    with pytest.raises(
        TrainingError,
        match=r"0\.0 is of type Activated, whose statistics cannot be gathered from several processes; "
        r"expected BatchNorm2d; train this network in one process",
    ):
        synchronise_norms(made, TWO)
