"""Tests of jobs/prepare.py: every part of a run is made once, or taken from another run, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from warprefine import Recipe, load_recipe, open_dataset
from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.io.checkpoints import Card, fingerprint, load_weights, read_card, save_checkpoint
from warprefine.jobs.autolabel import start
from warprefine.jobs.prepare import Preparation
from warprefine.jobs.prepare_plus import PlusPreparation
from warprefine.refinement.mirrored import MirroredRefiner
from warprefine.segmentation.mirrored import MirroredSegmenter
from warprefine.training.refiner import build_refiner
from warprefine.training.segmenter import build_segmenter
from warprefine.training.side_refiner import build_side_refiner

TAU = 0.2
NAMES = ("bed", "lamp")


class Workshop:
    """Make checkpoints as another run would have trained them, and preparations to use them in."""

    def __init__(self, folder: Path, data: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe
        self.dataset = open_dataset(data)

    def preparation(self, recipe: Recipe | None = None) -> Preparation:
        """Start a run that has no weights."""
        started = start(self.dataset, self.folder / "run", horizon=3, recipe=recipe or self.recipe)
        return started.preparation

    def segmenter(self, *, names: tuple[str, ...] = (), seed: int = 7, features: int = 8) -> Path:
        """Write a segmenter of this data set's classes, or of others."""
        names = names or self.dataset.classes.names
        widths = (8, features, 8, 8, 8)
        settings = self.recipe.segmenter.model_copy(update={"widths": widths})
        network = build_segmenter(settings, len(names), seed=seed)
        return self._save("segmenter", network, names, {"widths": list(widths)}, {})

    def refiner(self, *, names: tuple[str, ...] = (), features: int = 8) -> Path:
        """Write a refiner that was taught with `TAU` on a segmenter with so many feature channels."""
        names = names or self.dataset.classes.names
        widths = self.recipe.refiner.widths
        network = build_refiner(
            self.recipe.refiner, class_count=len(names), feature_channels=features, seed=7
        )
        settings = {"widths": list(widths), "feature_channels": features}
        return self._save("refiner", network, names, settings, {"tau": TAU})

    def side_refiner(self, *, names: tuple[str, ...] = (), features: int = 8, **ways: Any) -> Path:
        """Write a refiner of sides that was taught beside a segmenter with so many feature channels."""
        names = names or self.dataset.classes.names
        settings = self.recipe.plus.refiner
        network = build_side_refiner(settings, class_count=len(names), feature_channels=features, seed=7)
        shape = {"widths": list(settings.widths), "feature_channels": features}
        facts = {"ways": self.recipe.plus.way_settings | ways}
        return self._save("side-refiner", network, names, shape, facts, kind="two-sided")

    def given(self, parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Path | None]:
        """Write checkpoints of these parts, each made in its own way."""
        make = {"segmenter": self.segmenter, "refiner": self.refiner, "side-refiner": self.side_refiner}
        return {part: make[part](**how) for part, how in parts.items()}

    def _save(
        self,
        part: str,
        network: Any,
        names: tuple[str, ...],
        settings: dict[str, Any],
        facts: dict[str, Any],
        *,
        kind: str = "compact",
    ) -> Path:
        card = Card(part=part, network=kind, class_names=names, settings=settings, recipe={}, facts=facts)
        path = self.folder / f"other/{part}.safetensors"
        save_checkpoint(path, network, card)
        return path


@pytest.fixture
def workshop(tmp_path: Path, tiny_data: Path, tiny_recipe: Path) -> Workshop:
    return Workshop(tmp_path, tiny_data, load_recipe(tiny_recipe))


def checkpoints(preparation: Preparation) -> list[str]:
    return sorted(path.name for path in (preparation.run.root / "checkpoints").glob("*"))


# weights of another run


def test_weights_of_another_run_take_part_and_nothing_is_trained(workshop: Workshop) -> None:
    """Segmenter, refiner and the tau that belongs to it come from elsewhere, byte for byte."""
    preparation = workshop.preparation()
    given = {"segmenter": workshop.segmenter(), "refiner": workshop.refiner()}

    preparation.take_weights(given, ["warp-refine"])
    preparation.take_weights(given, ["warp-refine"])
    job = preparation.job(horizon=3, methods=("warp-inpaint", "warp-refine"))

    assert checkpoints(preparation) == ["refiner.safetensors", "segmenter.safetensors"]
    for part, source in given.items():
        assert preparation.run.checkpoint_path(part).read_bytes() == source.read_bytes()
    assert job.setting.tau == TAU
    assert job.setting.refiner is not None


def test_a_refiner_of_sides_comes_from_another_run_too(workshop: Workshop) -> None:
    """It is copied byte for byte beside the segmenter; of tau, which it does not use, nothing is asked."""
    preparation = workshop.preparation()
    given = workshop.given({"segmenter": {}, "side-refiner": {}})

    preparation.take_weights(given, ["warp-refine-plus"])
    job = PlusPreparation(preparation=preparation).job()

    assert checkpoints(preparation) == ["segmenter.safetensors", "side-refiner.safetensors"]
    for part, source in given.items():
        assert source is not None
        assert preparation.run.checkpoint_path(part).read_bytes() == source.read_bytes()
    assert job.setting.refiner is not None


def test_a_vote_needs_no_refiner_of_sides(workshop: Workshop) -> None:
    """Where the recipe lets both sides and the segmenter vote, a segmenter is all it takes."""
    plus = workshop.recipe.plus.model_copy(update={"refine": False})
    preparation = workshop.preparation(workshop.recipe.model_copy(update={"plus": plus}))

    preparation.take_weights(workshop.given({"segmenter": {}}), ["warp-refine-plus"])

    assert PlusPreparation(preparation=preparation).job().setting.refiner is None
    assert checkpoints(preparation) == ["segmenter.safetensors"]


def test_motion_alone_needs_no_weights(workshop: Workshop) -> None:
    """A method without networks starts with none, and no network is made for it."""
    preparation = workshop.preparation()

    preparation.take_weights({"segmenter": None, "refiner": None}, ["motion-only", "oracle"])
    job = preparation.job(horizon=3, methods=("motion-only", "oracle"))

    assert job.models.segmenter is None
    assert checkpoints(preparation) == []


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
            "warp-refine-plus",
            r"checkpoints/side-refiner\.safetensors does not exist; train",
        ),
        (
            {"segmenter": {}, "side-refiner": {"names": NAMES}},
            "warp-refine-plus",
            r"/side-refiner\.safetensors was trained for the classes bed, lamp \(2\), but the data set has",
        ),
        (
            {"segmenter": {}, "side-refiner": {"features": 24}},
            "warp-refine-plus",
            r"side-refiner\.safetensors expects a segmenter with 24 feature channels, but the one here has 8",
        ),
        (
            {"segmenter": {}, "side-refiner": {"slack": 3.5, "soft": False}},
            "warp-refine-plus",
            r"taught with slack = 3\.5, soft = false, but the recipe has slack = 1\.0, soft = true under",
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
        "no refiner of sides",
        "refiner of sides of other classes",
        "refiner of sides of another segmenter",
        "refiner of sides of another way",
        "no tau",
    ],
)
def test_weights_that_do_not_fit_are_refused_before_any_is_copied(
    workshop: Workshop, given: dict[str, Any], method: str, message: str
) -> None:
    """The run is as it was, and the command can be given again with the right files."""
    preparation = workshop.preparation()
    paths = workshop.given(given)

    with pytest.raises((CheckpointError, RecipeError), match=message):
        preparation.take_weights(paths, [method])

    assert checkpoints(preparation) == []


def test_a_refiner_is_no_segmenter(workshop: Workshop) -> None:
    """Files given for one another are told apart."""
    with pytest.raises(CheckpointError, match=r"refiner\.safetensors holds a refiner, expected a segmenter"):
        workshop.preparation().take_weights({"segmenter": workshop.refiner()}, ["semantic-only"])


@pytest.mark.parametrize(
    ("asked", "found", "method"),
    [("refiner", "side-refiner", "warp-refine"), ("side-refiner", "refiner", "warp-refine-plus")],
)
def test_the_two_kinds_of_refiner_are_told_apart(
    workshop: Workshop, asked: str, found: str, method: str
) -> None:
    """Neither passes for the other, and the message says under which name to give one."""
    given = {**workshop.given({"segmenter": {}}), asked: workshop.given({found: {}})[found]}

    with pytest.raises(
        CheckpointError, match=f"holds a {found}, expected a {asked}; name the other file as --{asked}"
    ):
        workshop.preparation().take_weights(given, [method])


def test_a_file_that_is_no_checkpoint_is_refused(workshop: Workshop) -> None:
    """A damaged file is named before anything is copied."""
    damaged = workshop.segmenter()
    damaged.write_bytes(damaged.read_bytes()[:100])

    with pytest.raises(
        CheckpointError, match=r"segmenter\.safetensors is not a checkpoint of warprefine, or it"
    ):
        workshop.preparation().take_weights({"segmenter": damaged}, ["semantic-only"])


def test_weights_that_a_run_has_are_not_replaced_by_others(workshop: Workshop) -> None:
    """A training is worth hours: it is never overwritten."""
    preparation = workshop.preparation()
    preparation.take_weights({"segmenter": workshop.segmenter(seed=1)}, ["semantic-only"])
    own = preparation.run.checkpoint_path("segmenter").read_bytes()

    with pytest.raises(
        CheckpointError, match=r"run/checkpoints/segmenter\.safetensors is there already and diff"
    ):
        preparation.take_weights({"segmenter": workshop.segmenter(seed=2)}, ["semantic-only"])

    assert preparation.run.checkpoint_path("segmenter").read_bytes() == own


@pytest.mark.parametrize("place", ["recipe", "refiner", "tau.json"])
def test_tau_is_known_from_any_of_three_places(workshop: Workshop, place: str) -> None:
    """The recipe says it, or the refiner was taught with it, or the run chose it before."""
    settings = workshop.recipe.propagation.model_copy(update={"tau": TAU})
    recipe = workshop.recipe.model_copy(update={"propagation": settings}) if place == "recipe" else None
    preparation = workshop.preparation(recipe)
    if place == "tau.json":
        (preparation.run.root / "tau.json").write_text(json.dumps({"tau": TAU}))
    given = {"segmenter": workshop.segmenter(), "refiner": workshop.refiner() if place == "refiner" else None}

    preparation.take_weights(given, ["warp-inpaint"])

    assert preparation.job(horizon=3, methods=("warp-inpaint",)).setting.tau == TAU
    assert "segmenter-fold0.safetensors" not in checkpoints(preparation)


# parts of a run


def test_a_refiner_that_does_not_look_at_features_fits_any_segmenter(workshop: Workshop) -> None:
    """Zero feature channels mean that there is nothing to fit."""
    preparation = workshop.preparation()
    given = {"segmenter": workshop.segmenter(features=12), "refiner": workshop.refiner(features=0)}

    preparation.take_weights(given, ["warp-refine"])

    assert preparation.job(horizon=3, methods=("warp-refine",)).setting.refiner is not None


@pytest.mark.parametrize(
    ("load", "part"),
    [(lambda p: p.segmenter(), "segmenter"), (lambda p: p.refiner(), "refiner")],
    ids=["segmenter", "refiner"],
)
def test_a_run_of_other_classes_does_not_lend_its_weights(
    workshop: Workshop, load: Callable[[Preparation], Any], part: str
) -> None:
    """Weights that somebody put into the run folder are checked like any others."""
    preparation = workshop.preparation()
    source = getattr(workshop, part)(names=NAMES)
    target = preparation.run.checkpoint_path(part)
    target.parent.mkdir()
    source.rename(target)

    with pytest.raises(CheckpointError, match=r"was trained for the classes bed, lamp"):
        load(preparation)


def test_the_semantic_threshold_is_that_of_the_recipe(workshop: Workshop) -> None:
    """What a recipe says reaches the method that it is meant for."""
    settings = workshop.recipe.propagation.model_copy(update={"semantic_threshold": 0.25})
    preparation = workshop.preparation(workshop.recipe.model_copy(update={"propagation": settings}))

    assert preparation.job(horizon=3, methods=("motion-only",)).setting.threshold == 0.25


def test_the_whole_preparation_leaves_what_a_resumed_run_needs(runs: Any, workshop: Workshop) -> None:
    """One segmenter to label, one per fold, tau with the score of each candidate, and both refiners."""
    root = runs.whole
    chosen = json.loads((root / "tau.json").read_text())

    assert sorted(path.name for path in (root / "checkpoints").iterdir()) == [
        "refiner.safetensors",
        "segmenter-fold0.safetensors",
        "segmenter-fold1.safetensors",
        "segmenter.safetensors",
        "side-refiner.safetensors",
    ]
    assert chosen["tau"] in workshop.recipe.propagation.tau_candidates
    assert list(chosen["miou"]) == ["0.1", "0.3"]
    assert max(chosen["miou"].values()) == chosen["miou"][f"{chosen['tau']:g}"]
    assert read_card(root / "checkpoints/refiner.safetensors").facts["tau"] == chosen["tau"]


def test_each_fold_has_weights_of_its_own(runs: Any, workshop: Workshop) -> None:
    """The folds' segmenters were trained on different key frames, and all fit the recipe's network."""
    network = build_segmenter(workshop.recipe.segmenter, len(workshop.dataset.classes), seed=0)
    paths = [runs.whole / f"checkpoints/segmenter{fold}.safetensors" for fold in ("", "-fold0", "-fold1")]
    for path in paths:
        load_weights(path, network)

    assert len({path.read_bytes() for path in paths}) == 3


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("unseen", [["-fold0", "-fold1"]]),
        ("seen", [[""]]),
        ("both", [["-fold0", "-fold1"], [""]]),
    ],
)
def test_cycles_are_made_with_the_segmenters_that_the_recipe_names(
    workshop: Workshop, kind: str, expected: list[list[str]]
) -> None:
    """One set of cycles has segmenters that never saw the key frame, the other the one that labels."""
    refiner = workshop.recipe.refiner.model_copy(update={"segmenters": kind})
    preparation = workshop.preparation(workshop.recipe.model_copy(update={"refiner": refiner}))
    key_frames = [(video, key) for video in workshop.dataset.videos for key in video.key_frames]

    for cycles, names in zip(preparation._cycles(), expected, strict=True):
        used = {cycles._models_of(video, key).segmenter_fingerprint for video, key in key_frames}
        weights = [preparation.run.checkpoint_path(f"segmenter{name}") for name in names]
        assert used == {f"{fingerprint(path)}-mirrored" for path in weights}


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_segmenter_labels_with_its_mirror_image_where_the_recipe_says_so(
    workshop: Workshop, mirrored: bool
) -> None:
    """What was said with and without the mirror image is never taken for one another."""
    settings = workshop.recipe.segmenter.model_copy(update={"mirrored": mirrored})
    preparation = workshop.preparation(workshop.recipe.model_copy(update={"segmenter": settings}))

    models = preparation.segmenter()

    assert isinstance(models.segmenter, MirroredSegmenter) == mirrored
    assert models.segmenter_fingerprint.endswith("-mirrored") == mirrored


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_refiner_repairs_with_its_mirror_image_where_the_recipe_says_so(
    workshop: Workshop, mirrored: bool
) -> None:
    """What was repaired with and without the mirror image is never taken for one another."""
    settings = workshop.recipe.refiner.model_copy(update={"mirrored": mirrored})
    preparation = workshop.preparation(workshop.recipe.model_copy(update={"refiner": settings}))

    refiner, identity = preparation.refiner()

    assert isinstance(refiner, MirroredRefiner) == mirrored
    assert identity.endswith("-mirrored") == mirrored
