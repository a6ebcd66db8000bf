"""Tests of jobs/experiments/ablation.py: what each part of warp-refine-plus is worth, and what it costs."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from warprefine.core.errors import RecipeError, RunFolderError
from warprefine.evaluation.result_table import ResultTable, Spread
from warprefine.jobs.experiments import EXPERIMENTS
from warprefine.jobs.experiments.ablation_rows import (
    ADDED,
    ALTERNATIVES,
    DEFAULT,
    REMOVED,
    Row,
    row_names,
    rows_of,
)
from warprefine.jobs.experiments.cost import job_to_time, measure_cost
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.lab import Lab
from warprefine.jobs.experiments.recipe import ExperimentRecipe, load_experiment_recipe
from warprefine.propagation.methods import PLUS
from warprefine.training.plus_recipe import PlusRecipe

TINY = Path(__file__).parents[2] / "experiment.toml"
PAPER = ("motion-only", "semantic-only", "warp-inpaint", "warp-refine")
CHOSEN = ("with-key-frame-pairs", "without-refiner")


def changed(lab: Lab, **changes: Any) -> Lab:
    return replace(lab, recipe=lab.recipe.model_copy(update=changes))


def names(table: ResultTable) -> list[object]:
    return [row[0] for row in table.rows]


def row_called(name: str, plus: PlusRecipe | None = None) -> Row:
    return next(row for row in rows_of(plus or PlusRecipe(), row_names(), tau=0.3) if row.name == name)


def settings(plus: PlusRecipe) -> dict[str, object]:
    """Return all settings by their path."""
    flat = {key: value for key, value in plus.model_dump().items() if key != "refiner"}
    return flat | {f"refiner.{key}": value for key, value in plus.refiner.model_dump().items()}


def differences(one: PlusRecipe, other: PlusRecipe) -> set[str]:
    first, second = settings(one), settings(other)
    return {key for key in first if first[key] != second[key]}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab that makes a few rows, with two seeds; tests may make more of them, but change none."""
    recipe: ExperimentRecipe = load_experiment_recipe("ablation", str(TINY))
    out = tmp_path_factory.mktemp("ablation")
    return changed(Lab(experiment="ablation", out=out, root=None, recipe=recipe), rows=CHOSEN)


@pytest.fixture(scope="module")
def findings(lab: Lab) -> Findings:
    return EXPERIMENTS["ablation"].run(lab)


def weights(lab: Lab, run: str) -> Path:
    return lab.out / "rows" / run / "checkpoints" / "side-refiner.safetensors"


def test_the_last_part_makes_it_whole() -> None:
    """With all parts added, labels are made as the recipe says, whatever it says."""
    plus = PlusRecipe(smoothing=0.4, soft=False, reach=7)

    assert row_called(DEFAULT, plus).plus == plus
    assert [*ADDED][-1] == DEFAULT


def test_the_first_row_carries_labels_like_warp_inpaint() -> None:
    """It tests colours, yes or no, with the paper's tau, warps at every step, and asks nothing else."""
    first = row_called("as-warp-inpaint").plus

    assert (first.trust, first.hard_trust, first.tau) == ("photometric", True, 0.3)
    assert (first.carry, first.soft, first.sides, first.motion) == ("steps", False, 1, "dis-medium")
    assert (first.refine, first.smoothing) == (False, 0)


@pytest.mark.parametrize(("before", "name"), [*pairwise(ADDED)])
def test_each_row_adds_one_part(before: str, name: str) -> None:
    """From row to row only the settings of that part change, and they become what the recipe says."""
    added = {
        "with-agreement": {"trust"},
        "with-agreement-alone": {"trust", "tau"},  # what does not test colours leaves tau alone
        "with-key-frame-pairs": {"refiner.real_share"},
    }
    changes = differences(row_called(before).plus, row_called(name).plus)

    assert changes == added.get(name, {*ADDED[name]})


@pytest.mark.parametrize("name", [*REMOVED, *ALTERNATIVES])
def test_the_others_differ_from_the_default_in_one_part(name: str) -> None:
    """What is named in the table of rows is changed, and nothing else."""
    row = row_called(name)
    said = {**REMOVED, **ALTERNATIVES}[name]
    expected = {key for key in said if key != "refiner"} | {
        f"refiner.{key}" for key in said.get("refiner", {})
    }

    assert differences(row.plus, PlusRecipe()) - {"tau"} == expected
    assert row.against == DEFAULT


def test_some_rows_may_be_chosen() -> None:
    """The default is always among them; a part is compared with the nearest row before it."""
    rows = rows_of(PlusRecipe(), row_names(("without-trust", "with-refiner", "with-agreement")), tau=0.3)

    assert [(row.name, row.against) for row in rows] == [
        ("with-agreement", None),
        ("with-refiner", "with-agreement"),
        (DEFAULT, "with-refiner"),
        ("without-trust", DEFAULT),
    ]


def test_a_row_that_there_is_not(lab: Lab) -> None:
    """It is refused before anything is trained."""
    with pytest.raises(RecipeError, match="no row of the ablation is called 'without-trsut'"):
        EXPERIMENTS["ablation"].run(changed(lab, rows=("without-trsut",)))


def test_more_rows_may_follow(lab: Lab) -> None:
    """Which rows are made is no part of what a folder is about; how they are made is."""
    lab.claim()
    changed(lab, rows=(), key_frame_sets=("0::2",)).claim()

    with pytest.raises(RunFolderError, match=r"recipe\.oracle"):
        changed(lab, oracle=False).claim()


def test_rows_stand_below_the_methods_of_the_paper(findings: Findings) -> None:
    """What is trained has a spread over both seeds, what is not stands alone; three have no cost."""
    table = findings.tables["miou-by-distance"]

    assert table.columns == ("labels", "k=1", "k=2", "k=3", "mean", "boundary F", "ms per frame")
    assert names(table) == [*PAPER, "with-key-frame-pairs", DEFAULT, "without-refiner"]
    means = {row[0]: row[-3] for row in table.rows}
    counts = {name: mean.count for name, mean in means.items() if isinstance(mean, Spread)}
    assert counts == dict.fromkeys(names(table), 2) | dict.fromkeys((*PAPER[:3], "without-refiner"), 1)
    assert [row[-1] is None for row in table.rows] == [True] * 3 + [False] * 4


def test_gains_are_taken_seed_by_seed(findings: Findings, lab: Lab) -> None:
    """A row that is made once is compared with both seeds of the default."""
    table = findings.tables["gains"]
    miou = {
        (run, seed): json.loads((lab.out / "rows" / f"{run}-{seed}" / "metrics.json").read_text())[PLUS][
            "miou"
        ]
        for run, seed in ((DEFAULT, 0), (DEFAULT, 1), ("without-refiner", 0))
    }
    gains = [miou["without-refiner", 0] - miou[DEFAULT, seed] for seed in (0, 1)]

    assert table.rows[0][2:] == (None, None, None)
    assert [row[3] for row in table.rows[1:]] == ["with-key-frame-pairs", DEFAULT]
    gain = table.rows[-1][2]
    assert isinstance(gain, Spread)
    assert (gain.mean, gain.count) == (pytest.approx(sum(gains) / 2, abs=1e-3), 2)


def test_classes_are_compared(findings: Findings, lab: Lab) -> None:
    """Two rows, a column for each class that occurs, and a sentence that says which have lost."""
    table = findings.tables["classes"]
    losers = [
        name
        for name, first, ours in zip(table.columns, *table.rows, strict=True)
        if isinstance(first, Spread) and isinstance(ours, Spread) and round(ours.mean - first.mean, 2) < 0
    ]

    assert names(table) == ["warp-refine", PLUS]
    assert set(table.columns[1:]) <= set(lab.data.classes.names)
    assert losers
    assert all(f"{name} (-" in findings.remarks[1] for name in losers)


def test_cost_is_set_beside_the_papers(findings: Findings) -> None:
    """The paper's warp-refine is the unit, and the others are multiples of it."""
    rows = {row[0]: row[1:] for row in findings.tables["cost"].rows}

    assert rows["warp-refine"][1] == 1
    assert [*rows] == ["warp-refine", "with-key-frame-pairs", DEFAULT, "without-refiner"]
    assert all(isinstance(cell, float) and cell > 0 for cells in rows.values() for cell in cells)


def test_rows_that_differ_in_training_alone_cost_the_same() -> None:
    """What a frame takes is measured once for them; smoothing and mirror images take time of their own."""
    taught_otherwise = ("with-refiner", "synthetic-clips", "rmi", "unseen-alone")
    work = row_called("with-key-frame-pairs").work, row_called(DEFAULT).work

    assert {row_called(name).work for name in taught_otherwise} == {*work}
    assert len({*work, row_called("without-mirrored").work}) == 3


def test_a_chart_has_the_default_beside_the_papers_four(findings: Findings) -> None:
    """It is an SVG that names all five."""
    chart = findings.charts["miou-by-distance"]("svg")

    assert chart.lstrip().startswith(b"<?xml")


def test_rows_that_are_done_are_found_again(findings: Findings, lab: Lab) -> None:
    """The second time nothing is trained, labelled or timed again, and the tables stay the same."""
    kept = [
        path
        for kind in ("*.safetensors", "confidence/**/*.png", "costs/*.json")
        for path in lab.out.rglob(kind)
        if path.is_file()
    ]
    before = {path: path.stat().st_mtime_ns for path in kept}

    assert EXPERIMENTS["ablation"].run(lab).tables == findings.tables
    assert {path: path.stat().st_mtime_ns for path in kept} == before


def test_what_comes_after_training_shares_a_refiner(findings: Findings, lab: Lab) -> None:
    """Smoothing is no part of training, so both rows have one file; another seed has another."""
    default = weights(lab, f"{DEFAULT}-0").read_bytes()

    assert weights(lab, "with-key-frame-pairs-0").read_bytes() == default
    assert weights(lab, f"{DEFAULT}-1").read_bytes() != default
    assert not weights(lab, "without-refiner-0").exists()


def test_two_rounds_begin_where_one_ends(findings: Findings, lab: Lab) -> None:
    """The first round has the segmenters of all rows and the default's refiner; hidden key frames decide."""
    EXPERIMENTS["ablation"].run(changed(lab, rows=("two-rounds",)))

    for seed in (0, 1):
        first = f"two-rounds-{seed}/rounds/1"
        assert weights(lab, first).read_bytes() == weights(lab, f"{DEFAULT}-{seed}").read_bytes()
        assert "used" in json.loads((lab.out / "rows" / first / "verdict.json").read_text())
        segmenter = lab.out / "rows" / first / "checkpoints" / "segmenter.safetensors"
        labels = lab.out / "labels" / "checkpoints" / "segmenter.safetensors"
        assert segmenter.read_bytes() == labels.read_bytes()


def test_a_shared_refiner_is_the_one_that_training_would_give(findings: Findings, lab: Lab) -> None:
    """Trained with all that is said to come after training set otherwise, its weights are the same."""
    plus = lab.recipe.labels.plus
    later = {"sides": 1, "reach": 5, "smoothing": 0.0, "smoothed": 1}
    other = plus.model_copy(update={**later, "refiner": plus.refiner.model_copy(update={"mirrored": False})})
    lab.label_again(
        (PLUS,), name="alike", recipe=lab.recipe.labels.model_copy(update={"plus": other}), seed=0
    )
    trained = load_file(lab.out / "alike" / "checkpoints" / "side-refiner.safetensors")

    expected = load_file(weights(lab, f"{DEFAULT}-0"))
    assert trained.keys() == expected.keys()
    assert all(torch.equal(trained[key], expected[key]) for key in expected)
    assert Row(name="as said", plus=other).taught == Row(name="default", plus=plus).taught


@pytest.mark.parametrize("name", ["without-soft-labels", "rmi", "without-fine-motion", "unseen-alone"])
def test_what_changes_the_samples_is_trained_anew(name: str) -> None:
    """Other labels, another loss, other motion or other segmenters make another refiner."""
    assert row_called(name).taught != row_called(DEFAULT).taught


def test_timing_uses_nothing_that_is_there(findings: Findings, lab: Lab) -> None:
    """A short clip between two key frames is labelled from an empty cache; no file of the run is touched."""
    started = lab.start_again(name=f"rows/{DEFAULT}-0", recipe=lab.recipe.labels, seed=0)
    files = {path: path.stat().st_mtime_ns for path in lab.out.rglob("*.*")}
    job = job_to_time(started, PLUS)

    (video,) = job.dataset.videos
    assert video.key_frames == (0, len(video) - 1) == (0, 6)
    cost = measure_cost(job, beside=job)
    assert 0 < cost.milliseconds < 10_000
    assert 0.2 < cost.ratio < 5
    assert {path: path.stat().st_mtime_ns for path in lab.out.rglob("*.*")} == files


def test_other_key_frames_are_a_table_more(findings: Findings, lab: Lab, tmp_path: Path) -> None:
    """Everything is trained anew in folders of their own, and labels reach half-way."""
    changes = {"reader": "folder", "key_frames": "0::6", "manual": ("train",)}
    segmenter = lab.recipe.labels.segmenter
    segmenter = segmenter.model_copy(update={"adaptation": segmenter.optimisation})
    spaced = replace(
        changed(
            lab,
            data=lab.recipe.data.model_copy(update=changes),
            labels=lab.recipe.labels.model_copy(update={"segmenter": segmenter}),
            rows=(DEFAULT,),
            seeds=1,
            key_frame_sets=("1::4",),
        ),
        out=tmp_path / "out",
        root=lab.out / "data" / "train",
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


def test_the_street_has_no_other_key_frames(lab: Lab) -> None:
    """Its clips have one key frame each."""
    with pytest.raises(RecipeError, match="a clip of the made-up street has only one; name a data set"):
        EXPERIMENTS["ablation"].run(changed(lab, key_frame_sets=("0::3",)))
