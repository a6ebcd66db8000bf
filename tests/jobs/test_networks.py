"""Tests of jobs/networks.py: each network of a run is trained once, on what the recipe names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from warprefine import Dataset, load_recipe, open_dataset
from warprefine.core.errors import CheckpointError
from warprefine.core.protocols import module_of
from warprefine.io.checkpoints import load_weights, read_card, weights_fingerprint
from warprefine.io.fingerprints import fingerprint_of_file
from warprefine.jobs.context import GivenParts
from warprefine.jobs.networks import Networks
from warprefine.jobs.start import start
from warprefine.segmentation.compact import CompactSegmenter
from warprefine.segmentation.mirrored import Mirrored
from warprefine.training.data.samples import labelled_frames
from warprefine.training.refiners.cycles import Cycles
from warprefine.training.refiners.key_frame_pool import KeyFramePool
from warprefine.training.refiners.kind import RefinerKind
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.still_pool import StillPool
from warprefine.training.segmenter import build_segmenter

Start = Callable[..., Networks]
NAMES = ("bed", "lamp")
HOLDOUT_EVERY = 2


def sides_in_cache(networks: Networks) -> list[str]:
    """Return the names of the sides that were computed, by video and file."""
    folder = networks.context.run.cache / "side"
    return sorted("/".join(path.relative_to(folder).parts[1:]) for path in folder.rglob("*.bin"))


# what a whole run leaves


def test_a_whole_run_leaves_what_a_resumed_run_needs(runs: Any, workshop: Any) -> None:
    """One segmenter to label, one per fold, tau with the score of each candidate, and both refiners."""
    root = runs.whole
    chosen = json.loads((root / "tau.json").read_text())

    assert sorted(path.name for path in (root / "checkpoints").iterdir()) == [
        "refiner.safetensors",
        "segmenter-fold0.safetensors",
        "segmenter-fold1.safetensors",
        "segmenter.safetensors",
        "two-sided-refiner.safetensors",
    ]
    assert chosen["tau"] in workshop.recipe.propagation.tau_candidates
    assert list(chosen["miou"]) == ["0.1", "0.3"]
    assert max(chosen["miou"].values()) == chosen["miou"][f"{chosen['tau']:g}"]
    assert read_card(root / "checkpoints/refiner.safetensors").facts["tau"] == chosen["tau"]


def test_each_fold_has_weights_of_its_own(runs: Any, workshop: Any) -> None:
    """The folds' segmenters were trained on different key frames, and all fit the recipe's network."""
    segmenter = build_segmenter(workshop.recipe.segmenter, len(workshop.dataset.classes), seed=0)
    paths = [runs.whole / f"checkpoints/segmenter{fold}.safetensors" for fold in ("", "-fold0", "-fold1")]
    for path in paths:
        load_weights(path, module_of(segmenter))

    assert len({path.read_bytes() for path in paths}) == 3


def test_the_card_of_a_refiner_records_what_it_was_trained_with(
    trained_plus: Path, tiny_recipe: Path
) -> None:
    """Recipe, seed, curve, and how labels were carried lie in the file of the weights."""
    card, recipe = (
        read_card(trained_plus / "checkpoints/two-sided-refiner.safetensors"),
        load_recipe(tiny_recipe),
    )

    assert card.part == "two-sided-refiner"
    assert card.recipe == recipe.plus.refiner.model_dump(mode="json")
    assert card.facts["seed"] == 0
    assert len(card.facts["history"]["loss"]) > 0
    assert card.facts["carry"] == recipe.plus.carry.to_dict()


# loaded, or trained once


@pytest.mark.parametrize(
    ("load", "part"),
    [
        (lambda networks: networks.segmenter(), "segmenter"),
        (lambda networks: networks.refiner("stepwise"), "refiner"),
        (lambda networks: networks.refiner("two-sided"), "two-sided-refiner"),
    ],
    ids=["segmenter", "refiner", "two-sided refiner"],
)
def test_a_run_of_other_classes_does_not_lend_its_weights(
    workshop: Any, load: Callable[[Networks], Any], part: str
) -> None:
    """Weights that somebody put into the run folder are checked like any others."""
    networks = workshop.networks()
    source = workshop.given({part: {"names": NAMES}})[part]
    target = networks.context.run.checkpoint_path(part)
    target.parent.mkdir()
    source.rename(target)

    with pytest.raises(CheckpointError, match=r"was trained for the classes bed, lamp"):
        load(networks)


def test_a_segmenter_is_loaded_once(start_plus: Start) -> None:
    """All that segment in a run share the network in memory; so do all that estimate motion."""
    networks = start_plus("segmenter")

    assert networks.segmenter()[0] is networks.segmenter()[0]
    assert networks.models("two-sided").motion is networks.motion("two-sided")
    assert networks.motion("two-sided") is networks.motion("two-sided")


def test_members_of_an_ensemble_are_trained_apart_and_joined(
    start_plus: Start, trained_plus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is the refiner of a run without members; a killed training keeps those that are done."""
    networks = start_plus("segmenter*", changes={"refiner.members": 2})
    path = networks.context.run.checkpoint_path("two-sided-refiner")
    train, trained = RefinerKind.train, []

    def once(kind: Any, member: Path, **options: Any) -> None:
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(member.name)
        train(kind, member, **options)

    monkeypatch.setattr(RefinerKind, "train", once)
    with pytest.raises(KeyboardInterrupt):
        networks.refiner("two-sided")
    monkeypatch.setattr(RefinerKind, "train", train)
    first, second = networks.refiner("two-sided")[0], start_plus("*").refiner("two-sided")[0]

    assert trained == ["two-sided-refiner-member0.safetensors"]
    assert sorted(one.name for one in path.parent.glob("two-sided*")) == ["two-sided-refiner.safetensors"]
    card = read_card(path)
    assert (card.network, card.facts["members"]) == ("two-sided-ensemble", [0, 1000])
    weights, alone = (module_of(one).state_dict() for one in (first, second))
    names = {key.split("members.0.")[1]: key for key in weights if "members.0." in key}
    assert names
    for name, key in names.items():
        (of_run,) = (values for one, values in alone.items() if one.endswith(name))
        assert torch.equal(weights[key], of_run)
    second_member = [weights[key.replace("members.0.", "members.1.")] for key in names.values()]
    differs = [
        not torch.equal(weights[key], other) for key, other in zip(names.values(), second_member, strict=True)
    ]
    assert sum(differs) > len(differs) / 2


def test_the_two_sided_refiner_is_trained_once(
    start_plus: Start, trained_plus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the same wherever it is trained, and where its weights lie they are used as they are."""
    anew, found = start_plus("segmenter*"), start_plus("*")
    _, of_anew = anew.refiner("two-sided")
    monkeypatch.setattr(RefinerKind, "train", None)

    _, of_found = found.refiner("two-sided")

    assert of_anew == of_found == anew.refiner("two-sided")[1]
    path = anew.context.run.checkpoint_path("two-sided-refiner")
    assert path.read_bytes() == (trained_plus / "checkpoints/two-sided-refiner.safetensors").read_bytes()
    assert list(path.parent.glob("*.state")) == []


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(
    ("part", "place"),
    [
        ("segmenter", ("segmenter", "mirrored")),
        ("refiner", ("refiner", "mirrored")),
        ("two-sided-refiner", ("plus", "refiner", "mirrored")),
    ],
    ids=["segmenter", "refiner", "two-sided refiner"],
)
def test_a_network_computes_with_its_mirror_image_where_the_recipe_wants_it(
    workshop: Any, part: str, place: tuple[str, ...], mirrored: bool
) -> None:
    """Outputs with and without the mirror image are never taken for one another."""
    networks = workshop.networks(workshop.recipe.changed(place, mirrored))
    target = networks.context.run.checkpoint_path(part)
    target.parent.mkdir()
    workshop.given({part: {}})[part].rename(target)

    network, fingerprint = {
        "segmenter": networks.segmenter,
        "refiner": lambda: networks.refiner("stepwise"),
        "two-sided-refiner": lambda: networks.refiner("two-sided"),
    }[part]()

    assert isinstance(network, Mirrored) == mirrored
    assert fingerprint == fingerprint_of_file(target) + ("-mirrored" if mirrored else "")


def test_supplied_networks_are_known_by_their_weights(workshop: Any, checkpoints: Any) -> None:
    """They take the place of trained ones, of every fold too; other weights give another fingerprint."""
    segmenter = build_segmenter(workshop.recipe.segmenter, len(workshop.dataset.classes), seed=1)
    refiner = REFINER.build(workshop.recipe.refiner, class_count=11, feature_channels=8, seed=1)
    parts = GivenParts(segmenter=segmenter, refiner=refiner)
    networks = Networks(replace(workshop.networks().context, parts=parts))

    before = networks.segmenter()
    assert before[0] is networks.held_out(0)[0] is segmenter
    assert before[1] == networks.held_out(1)[1] == weights_fingerprint(segmenter)
    assert networks.refiner("stepwise") == (refiner, weights_fingerprint(refiner))
    with torch.no_grad():
        next(module_of(segmenter).parameters()).add_(1.0)
    assert Networks(networks.context).segmenter()[1] != before[1]
    assert checkpoints(networks) == []


# what refiners are trained on


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("unseen", [["-fold0", "-fold1"]]),
        ("seen", [[""]]),
        ("both", [["-fold0", "-fold1"], [""]]),
    ],
)
@pytest.mark.parametrize("refiner", ["stepwise", "two-sided"])
def test_samples_have_the_segmenters_that_the_recipe_names(
    workshop: Any, monkeypatch: pytest.MonkeyPatch, refiner: Any, kind: str, expected: list[list[str]]
) -> None:
    """One set has segmenters that are held out from the key frame, the other the one that labels."""
    pool, place = {
        "stepwise": (Cycles, ("refiner", "segmenters")),
        "two-sided": (KeyFramePool, ("plus", "refiner", "segmenters")),
    }[refiner]
    used: list[Any] = []
    real = pool.__init__

    def noted(self: Any, *arguments: Any, **options: Any) -> None:
        used.append(options.get("models_of") or arguments[-1])
        real(self, *arguments, **options)

    monkeypatch.setattr(pool, "__init__", noted)
    networks = workshop.networks(workshop.recipe.changed(place, kind))
    networks.refiner(refiner)

    key_frames = [(video, key) for video in workshop.dataset.videos for key in video.key_frames]
    for models_of, folds in zip(used, expected, strict=True):
        fingerprints = {models_of(video, key).segmenter_fingerprint for video, key in key_frames}
        weights = [networks.context.run.checkpoint_path(f"segmenter{fold}") for fold in folds]
        assert fingerprints == {f"{fingerprint_of_file(path)}-mirrored" for path in weights}


def test_no_clips_are_made_of_stills_where_none_are_wanted(start_plus: Start) -> None:
    """With a share of 0 the refiner is trained on key frames alone."""
    with_clips = start_plus("segmenter*", changes={"refiner.synthetic.share": 0.3})
    without = start_plus("segmenter*")
    with_clips.refiner("two-sided")
    without.refiner("two-sided")

    of_key_frames = [name for name in sides_in_cache(with_clips) if "clip" not in name]
    variants = with_clips.context.recipe.plus.refiner.synthetic.variants
    assert sides_in_cache(without) == of_key_frames != []
    assert len(sides_in_cache(with_clips)) == len(sides_in_cache(without)) + 2 * variants


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [(KeyFramePool, 0.5), (KeyFramePool, 0.5)]),
        (
            {"refiner.synthetic.share": 0.3},
            [(KeyFramePool, 0.35), (KeyFramePool, 0.35), (StillPool, 0.3)],
        ),
        (
            {"refiner.segmenters": "seen", "refiner.synthetic.share": 0.3},
            [(KeyFramePool, 0.7), (StillPool, 0.3)],
        ),
        ({"refiner.segmenters": "unseen"}, [(KeyFramePool, 1.0)]),
        ({"refiner.synthetic.share": 1.0}, [(StillPool, 1.0)]),
    ],
    ids=str,
)
def test_samples_are_drawn_as_often_as_the_recipe_wants(
    start_plus: Start, changes: Mapping[str, object], expected: list[tuple[type, float]]
) -> None:
    """Key frames beside either kind of segmenter share what single images leave."""
    pools = start_plus("segmenter*", changes=changes)._two_sided_samples()[0]

    assert [type(pool) for pool, _ in pools] == [kind for kind, _ in expected]
    assert [share for _, share in pools] == pytest.approx([share for _, share in expected])


def test_without_stills_key_frames_take_their_share(start_plus: Start) -> None:
    """A recipe that allows no single image still draws all its samples."""
    changes = {"refiner.synthetic.stills": 0, "refiner.synthetic.share": 0.3}
    pools = start_plus("segmenter*", changes=changes)._two_sided_samples()[0]

    assert [share for _, share in pools] == [0.5, 0.5]


# further data


@pytest.fixture
def further(data: Path) -> Dataset:
    """Eight labelled images, in videos with the same names as those to be labelled."""
    return open_dataset(data, key_frames="0::2")


def with_further(start_plus: Start, further: Dataset, **changes: object) -> Networks:
    """Give a run further data, of which one image in `HOLDOUT_EVERY` is held out."""
    named = {f"refiner.synthetic.{name}": value for name, value in changes.items()}
    context = start_plus(changes=named).context
    recipe = context.recipe.changed(("segmenter", "holdout_every"), HOLDOUT_EVERY)
    return Networks(replace(context, also_train=(further,), recipe=recipe))


def test_of_further_data_only_held_out_images_are_stills(start_plus: Start, further: Dataset) -> None:
    """A segmenter is too good on what it was trained on: a refiner would learn to believe it."""
    stills = with_further(start_plus, further, stills=99).samples.stills()

    held_out = labelled_frames(further)[HOLDOUT_EVERY // 2 :: HOLDOUT_EVERY]
    key_frames, others = stills[:2], stills[2:]
    assert [(still.video.name, still.frame) for still in key_frames] == [("street-000", 3), ("street-001", 3)]
    assert [still.video.name for still in others] == [f"further-0/{one.video.name}" for one in held_out]
    assert [still.label_path for still in others] == [one.label_path for one in held_out]


@pytest.mark.parametrize(("most", "expected"), [(99, [0, 1, 2, 3, 4, 5]), (2, [0, 3]), (4, [0, 1, 3, 4])])
def test_of_many_stills_some_are_taken_evenly(
    start_plus: Start, further: Dataset, most: int, expected: list[int]
) -> None:
    """A limit leaves images of every origin."""
    everything = with_further(start_plus, further, stills=99).samples.stills()

    assert with_further(start_plus, further, stills=most).samples.stills() == [
        everything[i] for i in expected
    ]


def test_videos_of_one_name_are_not_taken_for_one_another(
    start_plus: Start, further: Dataset, checkpoints: Any
) -> None:
    """What is kept of further data lies in a folder of its own, beside that of the videos."""
    networks = with_further(start_plus, further, stills=99, share=0.3)
    networks.refiner("two-sided")

    clips = [name for name in sides_in_cache(networks) if "clip" in name]
    assert {name.rpartition("/")[0] for name in clips} == {
        *("street-000", "street-001"),
        *("further-0/street-000", "further-0/street-001"),
    }
    assert len(clips) == 6 * networks.context.recipe.plus.refiner.synthetic.variants
    assert {"segmenter-base", "segmenter", "two-sided-refiner"} <= set(checkpoints(networks))


def test_a_given_network_is_made_ready(tiny_data: Path, tmp_path: Path, tiny_recipe: Path) -> None:
    """A network that its owner has left in training mode does not normalise over the frames it labels."""
    segmenter = CompactSegmenter(11, widths=(4, 4, 4, 4, 4)).train()
    context = start(
        open_dataset(tiny_data),
        tmp_path / "run",
        horizon=3,
        recipe=load_recipe(tiny_recipe),
        parts=GivenParts(segmenter=segmenter),
    )

    given, _ = Networks(context).segmenter()

    assert given is segmenter
    assert not segmenter.training


def test_nothing_but_samples_is_kept_where_the_recipe_says_so(
    tiny_data: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """Cycles and sides of refiners are on disk; flow, segmentations and the input of SDC-Net are not."""
    recipe = load_recipe(tiny_recipe).changed(("propagation", "keep"), "nothing")
    context = start(open_dataset(tiny_data), tmp_path / "run", horizon=1, recipe=recipe, reuse=False)
    networks = Networks(context)

    networks.refiner("stepwise")
    networks.refiner("two-sided")
    networks.trained_motion()

    folders = {path.relative_to(context.cache.root).parts[0] for path in context.cache.root.rglob("*.bin")}
    assert folders == {"cycle", "side"}
