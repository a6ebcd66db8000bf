"""Compare schedules and SGD with those of Tao et al. (2020) and Zhu et al. (2019)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from warprefine.recipe.optimisation import Optimisation
from warprefine.training.engine.loop import make_optimiser
from warprefine.training.engine.schedules import learning_rate_at

NAMES = {"poly": "poly", "poly2": "poly2", "scl-poly": "scaled-poly"}


def recipe_of(case: dict[str, Any]) -> Optimisation:
    """Translate the reference's settings into ours, with one step per epoch."""
    further = case.get("extra", {})
    turn = further.get("step", further.get("red"))
    settings = {
        "turn": turn / case["max_epoch"] if turn else None,
        "second_scale": further.get("rescale"),
        "second_power": further.get("repoly"),
    }
    return Optimisation(
        steps=case["max_epoch"],
        learning_rate=case["lr"],
        poly_power=case["poly_exp"],
        schedule=NAMES[case.get("lr_schedule", "poly")],  # type: ignore[arg-type]
        warmup=0,
        **{name: value for name, value in settings.items() if value is not None},
    )


@pytest.mark.golden("optim/*.json")
def test_learning_rates(golden_file: Path) -> None:
    """Each epoch of each schedule has the reference's learning rate."""
    for case in json.loads(golden_file.read_text())["schedules"]:
        recipe = recipe_of(case)
        found = [learning_rate_at(epoch, recipe) for epoch in range(recipe.steps)]
        assert found == pytest.approx(case["lr_used_in_epoch"], rel=1e-9), case["lr_schedule"]


@pytest.mark.golden("optim/*.json")
def test_sgd(golden_file: Path) -> None:
    """Given gradients lead through the same weights."""
    toy = json.loads(golden_file.read_text())["toy_sgd"]
    recipe = recipe_of(toy).model_copy(
        update={"optimiser": "sgd", "momentum": toy["momentum"], "weight_decay": toy["weight_decay"]}
    )
    layer = nn.Linear(len(toy["p0"]), 1, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([toy["p0"]], dtype=torch.float64))
    optimiser = make_optimiser(layer, recipe)

    for step, gradient in enumerate(toy["grads"]):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_at(step // toy["steps_per_epoch"], recipe)
        layer.weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimiser.step()
        assert layer.weight[0].tolist() == pytest.approx(toy["params_after_each_step"][step], abs=1e-6)


@pytest.mark.golden("optim/*.json")
def test_groups(golden_file: Path) -> None:
    """As published, all weights are in one group, biases and norms among them."""
    expected = json.loads(golden_file.read_text())["param_groups"]
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    left_out = expected["n_params_of_net"] - expected["n_params_in_group"]

    groups = make_optimiser(
        network, Optimisation(optimiser="sgd", weight_decay=1e-4, decayed="all")
    ).param_groups

    assert len(groups) == expected["n_groups"]
    assert len(groups[0]["params"]) == len(list(network.parameters())) - left_out
    for name in ("momentum", "weight_decay", "nesterov", "dampening"):
        assert groups[0][name] == expected[name]
