"""Tests of jobs/reuse.py: checkpoints of another run are used, or refused before any is copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from warprefine import autolabel, load_recipe, open_dataset
from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.io.checkpoints import read_card
from warprefine.jobs.labellers import stepwise_labeller, two_sided_labeller
from warprefine.jobs.reuse import PARTS, use_checkpoints
from warprefine.propagation.methods import METHODS, PLUS, needs_of

NAMES = ("bed", "lamp")


def test_weights_of_another_run_are_used_and_nothing_is_trained(workshop: Any, checkpoints: Any) -> None:
    """Segmenter, refiner and the tau that belongs to it come from elsewhere, byte for byte."""
    networks = workshop.networks()
    given = {"segmenter": workshop.segmenter(), "refiner": workshop.refiner()}

    use_checkpoints(networks, given, ["warp-refine"])
    use_checkpoints(networks, given, ["warp-refine"])
    labeller = stepwise_labeller(networks, ("warp-inpaint", "warp-refine"))

    assert checkpoints(networks) == ["refiner", "segmenter"]
    for part, source in given.items():
        assert networks.context.run.checkpoint_path(part).read_bytes() == source.read_bytes()
    assert labeller.settings.tau == workshop.tau
    assert labeller.settings.refiner is not None


def test_a_two_sided_refiner_comes_from_another_run_too(workshop: Any, checkpoints: Any) -> None:
    """It is copied byte for byte beside the segmenter; tau, which it does not use, need not be known."""
    networks = workshop.networks()
    given = workshop.given({"segmenter": {}, "two-sided-refiner": {}})

    use_checkpoints(networks, given, [PLUS])
    labeller = two_sided_labeller(networks, (PLUS,))

    assert checkpoints(networks) == ["segmenter", "two-sided-refiner"]
    for part, source in given.items():
        assert networks.context.run.checkpoint_path(part).read_bytes() == source.read_bytes()
    assert labeller.refiner is not None


def test_a_vote_needs_no_two_sided_refiner(workshop: Any, checkpoints: Any) -> None:
    """Where the recipe lets both sides and the segmenter vote, a segmenter is all it takes."""
    networks = workshop.networks(workshop.recipe.changed(("plus", "refiner", "enabled"), False))

    use_checkpoints(networks, workshop.given({"segmenter": {}}), [PLUS])

    assert two_sided_labeller(networks, (PLUS,)).refiner is None
    assert checkpoints(networks) == ["segmenter"]


def test_every_part_that_a_method_needs_can_be_given() -> None:
    """All networks of all methods are among the parts; tau comes with the refiner."""
    assert needs_of(METHODS) - {"tau", "rounds", "truth"} == {*PARTS}


@pytest.mark.parametrize(
    ("given", "method", "message"),
    [
        ({}, "semantic-only", r"run/checkpoints/segmenter\.safetensors does not exist; train it first"),
        ({"segmenter": {}}, "warp-refine", r"run/checkpoints/refiner\.safetensors does not exist; train it"),
        (
            {"segmenter": {"names": NAMES}},
            "semantic-only",
            r"other/segmenter\.safetensors was trained for the classes bed, lamp \(2\), but the data set has",
        ),
        (
            {"segmenter": {}, "refiner": {"names": NAMES}},
            "warp-refine",
            r"other/refiner\.safetensors was trained for the classes bed, lamp \(2\), but the data set has",
        ),
        (
            {"segmenter": {}, "refiner": {"features": 24}},
            "warp-refine",
            r"refiner\.safetensors expects a segmenter with 24 feature channels, but the one here has 8;",
        ),
        (
            {"segmenter": {}},
            PLUS,
            r"checkpoints/two-sided-refiner\.safetensors does not exist; train",
        ),
        (
            {"segmenter": {}, "two-sided-refiner": {"names": NAMES}},
            PLUS,
            r"/two-sided-refiner\.safetensors was trained for the classes bed, lamp \(2\), but the data set",
        ),
        (
            {"segmenter": {}, "two-sided-refiner": {"features": 24}},
            PLUS,
            r"two-sided-refiner\.safetensors expects a segmenter with 24 feature channels, .* one here has 8",
        ),
        (
            {"segmenter": {}, "two-sided-refiner": {"slack": 3.5, "soft": False}},
            PLUS,
            r"slack = 3\.5, soft = false, but the recipe has slack = 1\.0, soft = true under \[plus\.car",
        ),
        (
            {"segmenter": {}},
            "warp-inpaint",
            r"run has no tau, which warp-inpaint needs; name a --refiner, .* or set tau under \[propagation",
        ),
    ],
    ids=[
        "no segmenter",
        "no refiner",
        "segmenter of other classes",
        "refiner of other classes",
        "not a pair",
        "no two-sided refiner",
        "two-sided refiner of other classes",
        "two-sided refiner of another segmenter",
        "two-sided refiner of labels carried otherwise",
        "no tau",
    ],
)
def test_weights_that_do_not_fit_are_refused_before_any_is_copied(
    workshop: Any, checkpoints: Any, given: dict[str, Any], method: str, message: str
) -> None:
    """The run is as it was, and the command can be given again with the right files."""
    networks = workshop.networks()
    paths = workshop.given(given)

    with pytest.raises((CheckpointError, RecipeError), match=message):
        use_checkpoints(networks, paths, [method])

    assert checkpoints(networks) == []


def test_a_refiner_is_no_segmenter(workshop: Any) -> None:
    """Files given for one another are told apart."""
    with pytest.raises(CheckpointError, match=r"refiner\.safetensors holds a refiner, expected a segmenter"):
        use_checkpoints(workshop.networks(), {"segmenter": workshop.refiner()}, ["semantic-only"])


@pytest.mark.parametrize(
    ("expected", "found", "method"),
    [("refiner", "two-sided-refiner", "warp-refine"), ("two-sided-refiner", "refiner", PLUS)],
)
def test_the_two_kinds_of_refiner_are_told_apart(
    workshop: Any, expected: str, found: str, method: str
) -> None:
    """Neither passes for the other, and the message names the option to give the file as."""
    given = {**workshop.given({"segmenter": {}}), expected: workshop.given({found: {}})[found]}

    with pytest.raises(
        CheckpointError,
        match=f"holds a {found}, expected a {expected}; name the other file as --{expected}",
    ):
        use_checkpoints(workshop.networks(), given, [method])


def test_a_file_that_is_no_checkpoint_is_refused(workshop: Any) -> None:
    """A damaged file is named before anything is copied."""
    damaged: Path = workshop.segmenter()
    damaged.write_bytes(damaged.read_bytes()[:100])

    with pytest.raises(
        CheckpointError, match=r"segmenter\.safetensors is not a checkpoint of warprefine, or it"
    ):
        use_checkpoints(workshop.networks(), {"segmenter": damaged}, ["semantic-only"])


def test_weights_that_a_run_has_are_not_replaced_by_others(workshop: Any) -> None:
    """A training is worth hours: it is never overwritten."""
    networks = workshop.networks()
    use_checkpoints(networks, {"segmenter": workshop.segmenter(seed=1)}, ["semantic-only"])
    own = networks.context.run.checkpoint_path("segmenter").read_bytes()

    with pytest.raises(
        CheckpointError, match=r"run/checkpoints/segmenter\.safetensors is there already and diff"
    ):
        use_checkpoints(networks, {"segmenter": workshop.segmenter(seed=2)}, ["semantic-only"])

    assert networks.context.run.checkpoint_path("segmenter").read_bytes() == own


@pytest.mark.parametrize("place", ["recipe", "refiner", "tau.json"])
def test_tau_is_known_from_any_of_three_places(workshop: Any, checkpoints: Any, place: str) -> None:
    """The recipe sets it, or the refiner was trained with it, or the run chose it before."""
    tau = workshop.tau
    recipe = workshop.recipe.changed(("propagation", "tau"), tau) if place == "recipe" else None
    networks = workshop.networks(recipe)
    if place == "tau.json":
        networks.context.run.tau_path.write_text(json.dumps({"tau": tau}))
    given = {"segmenter": workshop.segmenter(), "refiner": workshop.refiner() if place == "refiner" else None}

    use_checkpoints(networks, given, ["warp-inpaint"])

    assert stepwise_labeller(networks, ("warp-inpaint",)).settings.tau == tau
    assert "segmenter-fold0" not in checkpoints(networks)


def test_a_refiner_without_features_fits_any_segmenter(workshop: Any) -> None:
    """Zero feature channels mean that there is nothing to fit."""
    networks = workshop.networks()
    given = {"segmenter": workshop.segmenter(features=12), "refiner": workshop.refiner(features=0)}

    use_checkpoints(networks, given, ["warp-refine"])

    assert stepwise_labeller(networks, ("warp-refine",)).settings.refiner is not None


def test_a_base_of_another_run_is_adapted(data: Path, tmp_path: Path, tiny_recipe: Path) -> None:
    """By its folder or its file: none is trained on further data, and the labels are the same."""
    further = open_dataset(data)
    options: dict[str, Any] = {"horizon": 1, "methods": ["semantic-only"], "recipe": load_recipe(tiny_recipe)}
    whole = autolabel(data, tmp_path / "whole", also_train=[further], **options)
    base = tmp_path / "whole/checkpoints/segmenter-base.safetensors"
    for name, given in (("by-folder", tmp_path / "whole"), ("by-file", base)):
        tasks: list[str] = []
        autolabel(
            data,
            tmp_path / name,
            also_train=[further],
            base=given,
            progress=lambda task, done, total, note="", tasks=tasks: tasks.append(task),
            **options,
        )

        assert "training segmenter" in tasks
        assert "training segmenter-base" not in tasks
        trained = [root / "checkpoints/segmenter.safetensors" for root in (tmp_path / name, whole.run.root)]
        assert trained[0].read_bytes() == trained[1].read_bytes()


def test_a_base_is_adapted_to_key_frames_alone(data: Path, tmp_path: Path, tiny_recipe: Path) -> None:
    """Without further data too: a base brings what was learned from them along."""
    options: dict[str, Any] = {"horizon": 1, "methods": ["semantic-only"], "recipe": load_recipe(tiny_recipe)}
    autolabel(data, tmp_path / "whole", also_train=[open_dataset(data)], **options)

    adapted = autolabel(data, tmp_path / "adapted", base=tmp_path / "whole", **options)

    history = read_card(adapted.run.checkpoint_path("segmenter")).recipe["optimisation"]
    assert history["steps"] == options["recipe"].segmenter.adaptation.steps


def test_a_base_serves_the_first_round_too(data: Path, tmp_path: Path, tiny_recipe: Path) -> None:
    """Segmenters are trained in the folder of the first round; a base was trained there all the same."""
    further = open_dataset(data)
    recipe = load_recipe(tiny_recipe).changed(("plus", "refiner", "enabled"), False)
    options: dict[str, Any] = {"horizon": 1, "also_train": [further]}
    autolabel(data, tmp_path / "whole", methods=["semantic-only"], recipe=recipe, **options)
    tasks: list[str] = []

    autolabel(
        data,
        tmp_path / "rounds",
        base=tmp_path / "whole",
        methods=["warp-refine-plus"],
        recipe=recipe.changed(("plus", "rounds", "count"), 2),
        progress=lambda task, done, total, note="": tasks.append(task),
        **options,
    )

    assert "training segmenter" in tasks
    assert "training segmenter-base" not in tasks


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("empty folder", r"holds no base segmenter \(segmenter-base\.safetensors\); expected a run with"),
        ("another network", r"holds the network compact, but the recipe names lite0"),
        ("no file", r"does not exist; train it first, or name another checkpoint"),
    ],
)
def test_a_base_that_does_not_fit_is_refused(
    data: Path, tmp_path: Path, tiny_recipe: Path, spoil: str, message: str
) -> None:
    """Before anything is trained."""
    recipe, base = load_recipe(tiny_recipe), tmp_path / "nowhere.safetensors"
    if spoil == "empty folder":
        base = tmp_path
    if spoil == "another network":
        autolabel(
            data,
            tmp_path / "whole",
            horizon=1,
            also_train=[open_dataset(data)],
            methods=["semantic-only"],
            recipe=recipe,
        )
        base, recipe = tmp_path / "whole", recipe.changed(("segmenter", "network"), "lite0")

    with pytest.raises(CheckpointError, match=message):
        autolabel(data, tmp_path / "run", base=base, methods=["semantic-only"], recipe=recipe)
