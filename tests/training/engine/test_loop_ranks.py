"""Tests of training/engine/loop.py on two ranks: they take the steps of one with the whole batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

Ranks = list[dict[str, Any]]


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(torch.equal(value, other[key]) for key, value in one.items())


def test_two_halves_are_one_batch(two_ranks: Ranks) -> None:
    """Two ranks with half a batch each see the losses of one process, and end with its weights.

    The second was built with other weights, which do not count.
    """
    for rank in two_ranks:
        together, alone = rank["a_batch_in_two_halves"]["together"], rank["a_batch_in_two_halves"]["alone"]
        assert together["losses"] == pytest.approx(alone["losses"], abs=1e-5)
        for key, value in together["weights"].items():
            torch.testing.assert_close(value, alone["weights"][key], rtol=0, atol=1e-5)
    first, second = (rank["a_batch_in_two_halves"]["together"]["weights"] for rank in two_ranks)
    assert same(first, second)


@pytest.mark.parametrize("way", ["together", "parts together", "parts alone"])
def test_every_labelled_pixel_weighs_the_same(two_ranks: Ranks, way: str) -> None:
    """Labels unevenly spread over ranks, or over batches of a step, train as one batch does."""
    for rank in two_ranks:
        found, alone = rank["unevenly_labelled"][way], rank["unevenly_labelled"]["alone"]
        losses, expected = found["history"]["loss"], alone["history"]["loss"]
        assert losses[0] == pytest.approx(expected[0], abs=2e-5)
        for key, value in found["weights"].items():
            torch.testing.assert_close(value, alone["weights"][key], rtol=0, atol=1e-5)


def test_ranks_that_were_killed_end_in_the_same_bits(two_ranks: Ranks) -> None:
    """Killed between two states and started again, two ranks end as if nothing had happened."""
    for rank in two_ranks:
        found = rank["killed_and_resumed"]
        assert found["batches"] == 4
        assert same(found["resumed"]["weights"], found["calm"]["weights"])
        assert found["resumed"]["history"] == found["calm"]["history"]


def test_ctrl_c_on_one_rank_stops_all_after_the_same_step(two_ranks: Ranks) -> None:
    """Whichever rank the signal reaches, all save the step that they are in, and end as if undisturbed."""
    for rank in two_ranks:
        found, calm = rank["stopped_on_one_rank"], rank["killed_and_resumed"]["calm"]
        assert "stopped training after step 5 of 7" in found["message"]
        assert found["batches"] == 2
        assert same(found["resumed"]["weights"], calm["weights"])


def test_ranks_drop_out_different_channels(two_ranks: Ranks) -> None:
    """Dropout that did the same to both halves of a batch would be half as random."""
    first, second = (rank["killed_and_resumed"]["calm"]["seeds"] for rank in two_ranks)

    assert len({*first, *second}) == 14


def test_all_stop_at_a_loss_that_is_no_number(two_ranks: Ranks) -> None:
    """When the loss of one rank is not finite, all stop, at the same step and with the same message."""
    first, second = (rank["not_a_number_on_one_rank"]["message"] for rank in two_ranks)

    assert first == second
    assert first.startswith("the loss became nan at step 4 of 7; lower the learning rate (0.05)")


def test_a_state_must_be_seen_by_all(two_ranks: Ranks) -> None:
    """Ranks that would resume from different steps do not begin, and the message names the remedy."""
    first, second = (rank["a_state_that_one_rank_does_not_see"]["message"] for rank in two_ranks)

    assert "calm: process 0 would resume from step 7, others would not; expected one file" in first
    assert "elsewhere: process 1 would resume from step 0, others would not" in second
    assert second.endswith("put the run folder on a disk that all machines share")


def test_scores_must_be_those_of_all(two_ranks: Ranks) -> None:
    """A validation that each rank makes of its own share alone is a mistake of ours, and is caught."""
    assert [rank["scores_of_their_own"]["caught"] for rank in two_ranks] == [True, True]


def test_the_first_rank_reports_for_all(two_ranks: Ranks) -> None:
    """Progress and curves come from one rank, and only one writes the state."""
    first, second = (rank["a_batch_in_two_halves"]["together"]["heard"] for rank in two_ranks)

    assert [name for name, *_ in first].count("progress") == 7
    assert {name for name, *_ in first} == {"progress", "loss", "learning rate", "validation"}
    assert second == []
    assert [rank["a_batch_in_two_halves"]["saved"] for rank in two_ranks] == [True, False]
