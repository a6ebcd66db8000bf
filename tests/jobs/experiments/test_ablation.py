"""Tests of jobs/experiments/ablation.py: what each part of warp-refine-plus is worth, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from warprefine.core.classes import ClassSet
from warprefine.core.errors import RecipeError, RunFolderError
from warprefine.jobs.experiments import EXPERIMENTS
from warprefine.jobs.experiments.ablation import Measured, compare_groups
from warprefine.jobs.experiments.ablation_variants import (
    ADDED,
    ALTERNATIVES,
    DEFAULT,
    REMOVED,
    Variant,
    variant_names,
    variants_of,
)
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.cost import job_to_time, measure_cost
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.recipe import ExperimentRecipe, load_experiment_recipe
from warprefine.jobs.networks import Networks
from warprefine.metrics.scores import GroupScores, MethodScores
from warprefine.propagation.methods import PLUS
from warprefine.recipe.plus import CarrySettings, ChooseSettings, PlusRecipe, SmoothSettings
from warprefine.report.result_table import ResultTable, Spread

TINY = Path(__file__).parents[2] / "experiment.toml"
PAPER = ("motion-only", "semantic-only", "warp-inpaint", "warp-refine")
CHOSEN = ("with-key-frame-pairs", "without-refiner")

OF_EXPERIMENTS = ExperimentRecipe().labels.plus
"""The recipe that experiments begin from."""


def changed(context: ExperimentContext, **changes: Any) -> ExperimentContext:
    return replace(context, recipe=context.recipe.model_copy(update=changes))


def names(table: ResultTable) -> list[object]:
    return [row[0] for row in table.rows]


def variant_called(name: str, plus: PlusRecipe | None = None) -> Variant:
    every = variants_of(plus or OF_EXPERIMENTS, variant_names(), tau=0.3)
    return next(variant for variant in every if variant.name == name)


def settings(tables: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Return all settings by their place, such as "carry.trust"."""
    flat: dict[str, object] = {}
    for key, value in tables.items():
        place = f"{prefix}{key}"
        flat |= settings(value, f"{place}.") if isinstance(value, dict) else {place: value}
    return flat


def differences(one: PlusRecipe, other: PlusRecipe) -> set[str]:
    first, second = settings(one.to_dict()), settings(other.to_dict())
    return {key for key in first if first[key] != second[key]}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ExperimentContext:
    """An experiment with a few variants and two seeds; tests may run more of them, but change none."""
    recipe: ExperimentRecipe = load_experiment_recipe("ablation", str(TINY))
    out = tmp_path_factory.mktemp("ablation")
    return changed(
        ExperimentContext(experiment="ablation", out=out, root=None, recipe=recipe), variants=CHOSEN
    )


@pytest.fixture(scope="module")
def findings(context: ExperimentContext) -> Findings:
    return EXPERIMENTS["ablation"].run(context)


def weights(context: ExperimentContext, run: str) -> Path:
    return context.out / "variants" / run / "checkpoints" / "two-sided-refiner.safetensors"


def test_the_last_part_makes_it_whole() -> None:
    """With all parts added, it is the recipe, whatever its settings."""
    plus = PlusRecipe(
        carry=CarrySettings(soft=False), choose=ChooseSettings(reach=7), smooth=SmoothSettings(decay=0.4)
    )

    assert variant_called(DEFAULT, plus).plus == plus
    assert [*ADDED][-1] == DEFAULT


def test_the_first_variant_carries_labels_like_warp_inpaint() -> None:
    """It tests colours, yes or no, with the paper's tau, warps at every step, and has no other part."""
    first = variant_called("as-warp-inpaint").plus

    assert (first.carry.trust, first.carry.hard_trust, first.carry.tau) == ("photometric", True, 0.3)
    assert (first.carry.mode, first.carry.soft, first.carry.motion) == ("steps", False, "dis-medium")
    assert (first.choose.sides, first.refiner.enabled, first.smooth.decay) == (1, False, 0)


@pytest.mark.parametrize(("before", "name"), [*pairwise(ADDED)])
def test_each_variant_adds_one_part(before: str, name: str) -> None:
    """From one to the next only the settings of that part change, and they become those of the recipe."""
    added = {
        "with-agreement": {"carry.trust"},
        "with-agreement-alone": {"carry.trust", "carry.tau"},  # what does not test colours leaves tau alone
        "with-key-frame-pairs": {"refiner.real_share"},
    }
    changes = differences(variant_called(before).plus, variant_called(name).plus)

    assert changes == added.get(name, {*ADDED[name]})


@pytest.mark.parametrize("name", [*REMOVED, *ALTERNATIVES])
def test_the_others_differ_from_the_default_in_one_part(name: str) -> None:
    """What is named in the tables of variants is changed, and nothing else."""
    variant, changes = variant_called(name), {**REMOVED, **ALTERNATIVES}[name]

    assert differences(variant.plus, OF_EXPERIMENTS) - {"carry.tau"} == {*changes}
    assert variant.against == DEFAULT


def test_some_variants_may_be_chosen() -> None:
    """The default is always among them; a part is compared with the nearest variant before it."""
    chosen = variants_of(
        OF_EXPERIMENTS, variant_names(("without-trust", "with-refiner", "with-agreement")), tau=0.3
    )

    assert [(variant.name, variant.against) for variant in chosen] == [
        ("with-agreement", None),
        ("with-refiner", "with-agreement"),
        (DEFAULT, "with-refiner"),
        ("without-trust", DEFAULT),
    ]


def test_a_variant_that_there_is_not(context: ExperimentContext) -> None:
    """It is refused before anything is trained."""
    with pytest.raises(RecipeError, match="no variant of the ablation is called 'without-trsut'"):
        EXPERIMENTS["ablation"].run(changed(context, variants=("without-trsut",)))


def test_more_variants_may_follow(context: ExperimentContext) -> None:
    """Which variants are run is no part of what a folder is about; their recipe is."""
    context.claim()
    changed(context, variants=(), key_frame_sets=("0::2",)).claim()

    with pytest.raises(RunFolderError, match=r"recipe\.oracle"):
        changed(context, oracle=False).claim()


def test_variants_stand_below_the_methods_of_the_paper(findings: Findings) -> None:
    """What is trained has a spread over both seeds, what is not stands alone; three have no cost."""
    table = findings.tables["miou-by-distance"]

    assert table.columns == ("labels", "k=1", "k=2", "k=3", "mean", "boundary F", "ms per frame")
    assert names(table) == [*PAPER, "with-key-frame-pairs", DEFAULT, "without-refiner"]
    means = {row[0]: row[-3] for row in table.rows}
    counts = {name: mean.count for name, mean in means.items() if isinstance(mean, Spread)}
    assert counts == dict.fromkeys(names(table), 2) | dict.fromkeys((*PAPER[:3], "without-refiner"), 1)
    assert [row[-1] is None for row in table.rows] == [True] * 3 + [False] * 4


def test_gains_are_taken_seed_by_seed(findings: Findings, context: ExperimentContext) -> None:
    """A variant that is run once is compared with both seeds of the default."""
    table = findings.tables["gains"]
    miou = {
        (run, seed): json.loads((context.out / "variants" / f"{run}-{seed}" / "metrics.json").read_text())[
            PLUS
        ]["miou"]
        for run, seed in ((DEFAULT, 0), (DEFAULT, 1), ("without-refiner", 0))
    }
    gains = [miou["without-refiner", 0] - miou[DEFAULT, seed] for seed in (0, 1)]

    assert table.rows[0][2:] == (None, None, None)
    assert [row[3] for row in table.rows[1:]] == ["with-key-frame-pairs", DEFAULT]
    gain = table.rows[-1][2]
    assert isinstance(gain, Spread)
    assert (gain.mean, gain.count) == (pytest.approx(sum(gains) / 2, abs=1e-3), 2)


def test_frames_between_and_beside_key_frames_are_compared(findings: Findings) -> None:
    """A row for each variant, if there are both; the clips of the street have one key frame each."""
    classes = ClassSet(names=("road", "car"), colors=((1, 1, 1), (2, 2, 2)))
    all_right, half_right = (
        GroupScores.of(np.array([matrix]), classes=classes, frames_by_distance=[1])
        for matrix in ([[8, 0, 0], [0, 0, 0], [0, 0, 0]], [[4, 4, 0], [0, 0, 0], [0, 0, 0]])
    )
    both = MethodScores.of(
        np.zeros((1, 3, 3), np.int64),
        classes=classes,
        frames_by_distance=[2],
        between=all_right,
        beside=half_right,
    )

    table = compare_groups({"a": Measured(scores=[both, both]), "b": Measured(scores=[both])})

    assert table.columns == ("labels", "between", "beside")
    assert names(table) == ["a", "b"]
    assert table.rows[0][1:] == (Spread.of([100.0, 100.0]), Spread.of([25.0, 25.0]))
    assert "between-and-beside" not in findings.tables


def test_classes_are_compared(findings: Findings, context: ExperimentContext) -> None:
    """Two rows, a column for each class that occurs, and a sentence that names those that have lost."""
    table = findings.tables["classes"]
    losers = [
        name
        for name, first, ours in zip(table.columns, *table.rows, strict=True)
        if isinstance(first, Spread) and isinstance(ours, Spread) and round(ours.mean - first.mean, 2) < 0
    ]

    assert names(table) == ["warp-refine", PLUS]
    assert set(table.columns[1:]) <= set(context.data.classes.names)
    assert losers
    assert all(f"{name} (-" in findings.remarks[1] for name in losers)


def test_cost_is_set_beside_the_papers(findings: Findings) -> None:
    """The paper's warp-refine is the unit, and the others are multiples of it."""
    rows = {row[0]: row[1:] for row in findings.tables["cost"].rows}

    assert rows["warp-refine"][1] == 1
    assert [*rows] == ["warp-refine", "with-key-frame-pairs", DEFAULT, "without-refiner"]
    assert all(isinstance(cell, float) and cell > 0 for cells in rows.values() for cell in cells)


def test_variants_that_differ_in_training_alone_cost_the_same() -> None:
    """What a frame takes is measured once for them; smoothing and mirror images take time of their own."""
    trained_otherwise = ("with-refiner", "synthetic-clips", "rmi", "unseen-alone")
    with_pairs, default = variant_called("with-key-frame-pairs").work, variant_called(DEFAULT).work
    others = [variant_called(name).work for name in trained_otherwise]

    assert all(work in (with_pairs, default) for work in others)
    assert with_pairs in others
    assert default in others
    assert with_pairs != default
    assert variant_called("without-mirrored").work not in (with_pairs, default)


def test_a_chart_has_the_default_beside_the_papers_four(findings: Findings) -> None:
    """It is an SVG that names all five."""
    chart = findings.charts["miou-by-distance"]("svg")

    assert chart.lstrip().startswith(b"<?xml")


def test_variants_that_are_done_are_found_again(findings: Findings, context: ExperimentContext) -> None:
    """The second time nothing is trained, labelled or timed again, and the tables stay the same."""
    kept = [
        path
        for kind in ("*.safetensors", "confidence/**/*.png", "costs/*.json")
        for path in context.out.rglob(kind)
        if path.is_file()
    ]
    before = {path: path.stat().st_mtime_ns for path in kept}

    assert EXPERIMENTS["ablation"].run(context).tables == findings.tables
    assert {path: path.stat().st_mtime_ns for path in kept} == before


def test_what_comes_after_training_shares_a_refiner(findings: Findings, context: ExperimentContext) -> None:
    """Smoothing is no part of training, so both variants have one file; another seed has another."""
    default = weights(context, f"{DEFAULT}-0").read_bytes()

    assert weights(context, "with-key-frame-pairs-0").read_bytes() == default
    assert weights(context, f"{DEFAULT}-1").read_bytes() != default
    assert not weights(context, "without-refiner-0").exists()


def test_two_rounds_begin_where_one_ends(findings: Findings, context: ExperimentContext) -> None:
    """The first round has all variants' segmenters and the default's refiner; hidden key frames decide."""
    EXPERIMENTS["ablation"].run(changed(context, variants=("two-rounds",)))

    for seed in (0, 1):
        first = f"two-rounds-{seed}/rounds/1"
        assert weights(context, first).read_bytes() == weights(context, f"{DEFAULT}-{seed}").read_bytes()
        assert "used" in json.loads((context.out / "variants" / first / "verdict.json").read_text())
        segmenter = context.out / "variants" / first / "checkpoints" / "segmenter.safetensors"
        labels = context.out / "labels" / "checkpoints" / "segmenter.safetensors"
        assert segmenter.read_bytes() == labels.read_bytes()


def test_a_shared_refiner_is_the_one_that_training_would_give(
    findings: Findings, context: ExperimentContext
) -> None:
    """Trained with all settings changed that do not concern training, its weights are the same."""
    plus = context.recipe.labels.plus
    other = plus.changed(("choose",), ChooseSettings(sides=1, reach=5))
    other = other.changed(("smooth",), SmoothSettings(decay=0.0, frames=1))
    other = other.changed(("refiner", "mirrored"), False)
    recipe = context.recipe.labels.changed(("plus",), other)
    context.label_again((PLUS,), name="alike", recipe=recipe, seed=0)
    trained = load_file(context.out / "alike" / "checkpoints" / "two-sided-refiner.safetensors")

    expected = load_file(weights(context, f"{DEFAULT}-0"))
    assert trained.keys() == expected.keys()
    assert all(torch.equal(trained[key], expected[key]) for key in expected)
    assert Variant(name="other", plus=other).trained == Variant(name="default", plus=plus).trained


@pytest.mark.parametrize("name", ["without-soft-labels", "rmi", "without-fine-motion", "unseen-alone"])
def test_what_changes_the_samples_is_trained_anew(name: str) -> None:
    """Other labels, another loss, other motion or other segmenters make another refiner."""
    assert variant_called(name).trained != variant_called(DEFAULT).trained


def test_timing_uses_nothing_that_is_there(findings: Findings, context: ExperimentContext) -> None:
    """A short clip between two key frames is labelled from an empty cache; no file of the run is touched."""
    networks = Networks(
        context.start_again(name=f"variants/{DEFAULT}-0", recipe=context.recipe.labels, seed=0)
    )
    files = {path: path.stat().st_mtime_ns for path in context.out.rglob("*.*")}
    job = job_to_time(networks, PLUS)

    (video,) = job.dataset.videos
    assert video.key_frames == (0, len(video) - 1) == (0, 6)
    cost = measure_cost(job, beside=job)
    assert 0 < cost.milliseconds < 10_000
    assert 0.2 < cost.ratio < 5
    assert {path: path.stat().st_mtime_ns for path in context.out.rglob("*.*")} == files


def test_other_key_frames_are_a_table_more(
    findings: Findings, context: ExperimentContext, tmp_path: Path
) -> None:
    """Everything is trained anew in folders of their own, and labels reach half-way."""
    changes = {"reader": "folder", "key_frames": "0::6", "manual": ("train",)}
    segmenter = context.recipe.labels.segmenter
    segmenter = segmenter.model_copy(update={"adaptation": segmenter.optimisation})
    spaced = replace(
        changed(
            context,
            data=context.recipe.data.model_copy(update=changes),
            labels=context.recipe.labels.model_copy(update={"segmenter": segmenter}),
            variants=(DEFAULT,),
            seeds=1,
            key_frame_sets=("1::4",),
        ),
        out=tmp_path / "out",
        root=context.out / "data" / "train",
    )
    table = EXPERIMENTS["ablation"].run(spaced).tables["spacings"]

    assert table.columns == ("key frames", "labels", "horizon", "mIoU", "boundary F", "gain")
    assert [row[:3] for row in table.rows] == [
        ("1::4", "warp-refine", 2),
        ("1::4", PLUS, 2),
    ]
    assert all(row[5] is None for row in table.rows[::2])
    for first, ours in zip(table.rows[::2], table.rows[1::2], strict=True):
        assert ours[5] == pytest.approx(ours[3] - first[3])  # type: ignore[operator]
    first, other = (
        spaced.out / folder / "labels" / "checkpoints" for folder in (".", "spacings/every4-from1")
    )
    shared = [path.name for path in first.iterdir() if path.read_bytes() == (other / path.name).read_bytes()]
    assert shared == ["segmenter-base.safetensors"]


def test_the_street_has_no_other_key_frames(context: ExperimentContext) -> None:
    """Its clips have one key frame each."""
    with pytest.raises(RecipeError, match="a clip of the procedural street has only one; name a data set"):
        EXPERIMENTS["ablation"].run(changed(context, key_frame_sets=("0::3",)))
