"""Tests of jobs/labellers.py: each method gets the networks and settings that it needs, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from warprefine.core.errors import RecipeError
from warprefine.core.protocols import module_of
from warprefine.io.checkpoints import load_weights, read_card, save_checkpoint
from warprefine.jobs.labellers import LABELLERS, make_job, stepwise_labeller, two_sided_labeller
from warprefine.jobs.networks import Networks
from warprefine.jobs.reuse import use_checkpoints
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.methods import METHODS, PLUS
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER

Start = Callable[..., Networks]


def fingerprint(networks: Networks) -> str:
    """Return the fingerprint of the first unit of warp-refine-plus."""
    labeller, video = two_sided_labeller(networks, (PLUS,)), networks.context.dataset.videos[0]
    return labeller.fingerprint(video, labeller.units(video, networks.context.horizon)[0], PLUS)


# which labeller


def test_there_is_a_labeller_for_each_kind_of_method() -> None:
    """No method is left without one."""
    assert {method.labeller for method in METHODS.values()} == {*LABELLERS}


def test_a_job_has_a_labeller_for_each_kind_that_is_named(start_plus: Start) -> None:
    """Methods of one kind share a labeller; all keep the usual order."""
    networks = start_plus("*")

    job = make_job(networks, ("oracle", PLUS, "semantic-only", "motion-only"))

    assert [labeller.methods for labeller in job.labellers] == [
        ("motion-only", "semantic-only"),
        (PLUS,),
        ("oracle",),
    ]
    assert all(isinstance(labeller, Labeller) for labeller in job.labellers)
    assert (job.dataset, job.horizon) == (networks.context.dataset, networks.context.horizon)


def test_a_job_of_a_method_that_does_not_exist_is_refused(workshop: Any, checkpoints: Any) -> None:
    """Nothing is trained for the other methods first."""
    networks = workshop.networks()

    with pytest.raises(RecipeError, match="no method is called 'warp-refin'; did you mean 'warp-refine'"):
        make_job(networks, ("semantic-only", "warp-refin"))

    assert checkpoints(networks) == []


# only what is needed


def test_motion_alone_needs_no_weights(workshop: Any, checkpoints: Any) -> None:
    """A method without networks starts with none, and no network is trained for it."""
    networks = workshop.networks()

    use_checkpoints(networks, {"segmenter": None, "refiner": None}, ["motion-only", "oracle"])
    job = make_job(networks, ("motion-only", "oracle"))

    assert [labeller.models.segmenter for labeller in job.labellers] == [None, None]
    assert checkpoints(networks) == []


def test_a_vote_trains_no_refiner(start_plus: Start, checkpoints: Any) -> None:
    """Nor the segmenters of folds, which only a refiner is trained beside."""
    networks = start_plus(changes={"refiner.enabled": False})

    assert two_sided_labeller(networks, (PLUS,)).refiner is None
    assert checkpoints(networks) == ["segmenter"]
    assert not (networks.context.run.cache / "side").exists()


def test_the_semantic_threshold_is_that_of_the_recipe(workshop: Any) -> None:
    """A setting of the recipe reaches the method that it is meant for."""
    networks = workshop.networks(workshop.recipe.changed(("propagation", "semantic_threshold"), 0.25))

    assert stepwise_labeller(networks, ("motion-only",)).settings.threshold == 0.25


# what the labels depend on


@pytest.mark.parametrize(
    "changes",
    [
        {"carry.slack": 2.0},
        {"carry.trust": "none"},
        {"carry.soft": False},
        {"carry.mode": "steps"},
        {"choose.reach": 5},
        {"choose.sides": 1},
        {"smooth.decay": 0.0},
        {"refiner.enabled": False},
        {"refiner.mirrored": False},
    ],
    ids=str,
)
def test_frames_are_labelled_again_when_a_setting_changes(
    start_plus: Start, changes: dict[str, object]
) -> None:
    """Whatever the labels depend on is part of their fingerprint."""
    assert fingerprint(start_plus("*", changes=changes)) != fingerprint(start_plus("*"))


@pytest.mark.parametrize(
    "changes",
    [
        {"refiner.synthetic.stills": 5},
        {"refiner.synthetic.variants": 3},
        {"refiner.real_share": 0.5},
        {"rounds.confident": 0.5},
    ],
    ids=str,
)
def test_settings_of_the_training_alone_do_not_touch_labels(
    start_plus: Start, changes: dict[str, object]
) -> None:
    """They show in the weights; equal weights give equal labels."""
    assert fingerprint(start_plus("*", changes=changes)) == fingerprint(start_plus("*"))


def test_frames_are_labelled_again_when_the_weights_change(start_plus: Start) -> None:
    """Two refiners of one recipe are two refiners."""
    networks, other = start_plus("*"), start_plus("*")
    path = other.context.run.checkpoint_path("two-sided-refiner")
    card = read_card(path)
    refiner = module_of(
        TWO_SIDED_REFINER.build(
            other.context.recipe.plus.refiner,
            class_count=len(card.class_names),
            feature_channels=card.settings["feature_channels"],
            seed=0,
        )
    )
    load_weights(path, refiner)
    with torch.no_grad():
        next(refiner.parameters()).add_(1.0)
    save_checkpoint(path, refiner, card)

    assert fingerprint(other) != fingerprint(networks)
