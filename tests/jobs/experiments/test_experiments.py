"""Tests of jobs/experiments: every experiment of the paper, small and whole."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from warprefine.core.errors import DatasetError, RecipeError, RunFolderError
from warprefine.core.tensors import VOID
from warprefine.io.checkpoints import read_card
from warprefine.io.images import read_labels
from warprefine.jobs.experiments import EXPERIMENTS
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.findings import Findings, write_findings
from warprefine.jobs.experiments.motion import reconstruction
from warprefine.jobs.experiments.quality import findings_of
from warprefine.jobs.experiments.recipe import ExperimentRecipe, load_experiment_recipe, shipped_recipes
from warprefine.jobs.experiments.utility import exceeds_noise, utility_table
from warprefine.metrics.scores import GroupScores, MethodScores
from warprefine.propagation.methods import check_methods
from warprefine.recipe.motion import MotionRecipe
from warprefine.recipe.optimisation import Optimisation
from warprefine.report.result_table import ResultTable, Spread
from warprefine.segmentation import SEGMENTERS

TINY = Path(__file__).parents[2] / "experiment.toml"
METHODS = ("motion-only", "semantic-only", "warp-inpaint", "warp-refine")


@pytest.fixture(scope="module")
def tiny() -> ExperimentRecipe:
    """A recipe that takes seconds."""
    return load_experiment_recipe("utility", str(TINY))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, tiny: ExperimentRecipe) -> Path:
    """A folder in which every method has labelled already; copy it."""
    out = tmp_path_factory.mktemp("bench")
    ExperimentContext(experiment="quality", out=out, root=None, recipe=tiny).label((*METHODS, "oracle"))
    return out


@pytest.fixture
def context(bench: Path, tiny: ExperimentRecipe, tmp_path: Path) -> ExperimentContext:
    """An experiment in a copy of that folder."""
    out = shutil.copytree(bench, tmp_path / "out")
    return moved(ExperimentContext(experiment="utility", out=out, root=None, recipe=tiny), bench)


def moved(context: ExperimentContext, origin: Path) -> ExperimentContext:
    """Let the job of a copied run name the data beside it."""
    job = context.out / "labels" / "job.json"
    job.write_text(job.read_text().replace(str(origin.resolve()), str(context.out.resolve())))
    return context


def changed(context: ExperimentContext, **changes: Any) -> ExperimentContext:
    return replace(context, recipe=context.recipe.model_copy(update=changes))


def with_data(context: ExperimentContext, **changes: Any) -> ExperimentContext:
    return changed(context, data=context.recipe.data.model_copy(update=changes))


def names(table: ResultTable) -> list[object]:
    return [row[0] for row in table.rows]


def test_quality_scores_the_labels_of_every_method(context: ExperimentContext) -> None:
    """Both tables have a row for each method; the distances are those up to the horizon, then the mean."""
    findings = EXPERIMENTS["quality"].run(context)

    by_distance = findings.tables["miou-by-distance"]
    assert by_distance.columns == ("method", "k=1", "k=2", "k=3", "mean")
    assert names(by_distance) == names(findings.tables["hard-classes"]) == list(METHODS)
    scores = json.loads((context.out / "labels" / "metrics.json").read_text())
    assert [row[-1] for row in by_distance.rows] == pytest.approx(
        [scores[m]["miou"] for m in METHODS], abs=1e-3
    )


def test_quality_has_tables_of_frames_between_and_beside_key_frames(context: ExperimentContext) -> None:
    """Beside the table of all frames, if there are both; the clips of the street have one key frame each."""
    classes = context.data.classes
    matrices = np.array([np.eye(len(classes) + 1, dtype=np.int64)] * 3)
    near = GroupScores.of(matrices, classes=classes, frames_by_distance=[1, 1, 1])
    far = replace(near, miou_by_distance=[70.0, 60.0, 50.0], miou=60.0)
    scores = MethodScores.of(
        matrices, classes=classes, frames_by_distance=[2, 2, 2], between=near, beside=far
    )

    both = findings_of({"warp-refine": scores}, context).tables
    one = findings_of({"warp-refine": replace(scores, between=None)}, context).tables

    assert list(both) == ["miou-by-distance", "miou-between", "miou-beside", "hard-classes"]
    assert both["miou-beside"].rows == (("warp-refine", 70.0, 60.0, 50.0, 60.0),)
    assert both["miou-between"].rows[0][-1] == 100
    assert "beside (3 of 6 frames): key frames on one side only" in both["miou-beside"].title
    assert list(one) == ["miou-by-distance", "hard-classes"]


def test_utility_trains_a_student_for_each_method_and_seed(context: ExperimentContext) -> None:
    """Baseline, four methods and the oracle, two seeds each, each tested once."""
    table = EXPERIMENTS["utility"].run(context).tables["utility"]

    assert names(table) == ["baseline", *METHODS, "oracle"]
    assert all(isinstance(row[1], Spread) and row[1].count == 2 for row in table.rows)
    students = {path.stem for path in (context.out / "students").glob("*.json")}
    assert students == {f"{name}-seed{seed}" for name in names(table) for seed in (0, 1)}


def test_an_experiment_goes_on_where_it_stopped(context: ExperimentContext) -> None:
    """Students that are there are not trained again, one that is missing is; the table stays the same."""
    first = EXPERIMENTS["utility"].run(context)
    weights = sorted((context.out / "students").glob("*.safetensors"))
    before = {path: path.stat().st_mtime_ns for path in weights}
    content = weights[0].read_bytes()
    weights[0].unlink()
    weights[0].with_suffix(".json").unlink()

    again = EXPERIMENTS["utility"].run(context)

    assert again.tables == first.tables
    assert weights[0].read_bytes() == content
    assert all(path.stat().st_mtime_ns == before[path] for path in weights[1:])


def test_more_seeds_may_follow(context: ExperimentContext) -> None:
    """The number of seeds is no part of what a folder is about; a baseline of three has those of two."""
    context.claim()
    changed(context, seeds=3).claim()


def test_a_folder_of_another_experiment_is_refused(context: ExperimentContext) -> None:
    """Another recipe or another name is another experiment."""
    context.claim()

    with pytest.raises(
        RunFolderError, match="holds a job with experiment = 'utility', but this command says 'quality'"
    ):
        replace(context, experiment="quality").claim()
    with pytest.raises(RunFolderError, match=r"recipe\.oracle = True"):
        changed(context, oracle=False).claim()


def test_horizon_takes_labels_from_further_and_further(context: ExperimentContext) -> None:
    """A column for each range; baseline, motion-only and warp-refine in rows."""
    findings = EXPERIMENTS["horizon"].run(changed(context, seeds=1))

    table = findings.tables["horizon"]
    assert table.columns == ("labels", "±1", "±2")
    assert names(table) == ["baseline", "motion-only", "warp-refine"]


def test_ranges_end_at_the_horizon(context: ExperimentContext) -> None:
    """Labels from 9 frames away cannot be had where the horizon is 3."""
    with pytest.raises(RecipeError, match="ranges reach to 9 frames, but labels only to 3"):
        EXPERIMENTS["horizon"].run(changed(context, ranges=(1, 9)))


def test_architectures_compare_networks(context: ExperimentContext) -> None:
    """A row for each network."""
    table = EXPERIMENTS["architectures"].run(changed(context, seeds=1)).tables["architectures"]

    assert names(table) == ["compact"]
    assert table.columns == ("network", "baseline", *METHODS, "oracle")


def test_relaxation_has_the_variants_of_table_b(context: ExperimentContext, bench: Path) -> None:
    """Plain, relaxed, and relaxed with motion-only labels; a column more for weights of another data set."""
    EXPERIMENTS["benchmark"].run(context)
    other = context.out / "students" / "final-seed0.safetensors"
    findings = EXPERIMENTS["relaxation"].run(
        changed(context, seeds=1, relaxed_offset=2, other_weights=str(other), baseline_rate=8.0)
    )

    table = findings.tables["relaxation"]
    rates = {
        path.stem: read_card(path).recipe["optimisation"]["learning_rate"]
        for path in (context.out / "students").glob("key-*.safetensors")
    }
    rate = context.recipe.student.optimisation.learning_rate
    assert rates == {
        "key-cross-entropy-baseline-seed0": 8 * rate,
        "key-relaxed-baseline-seed0": rate,
        "key-relaxed-motion-only-seed0": rate,
    }
    assert findings.remarks == (
        "All students are trained for 3 steps; B at 8 times the learning rate of the others.",
    )
    assert names(table) == ["B", "B + relaxed", "B + relaxed + motion-only at ±2"]
    assert table.columns == ("training", "key frames", "+ other data set's weights")


def test_table_b_needs_no_weights_of_a_teacher() -> None:
    """Its labels are those of motion alone; only the students' network has to have weights."""
    recipe = load_experiment_recipe("relaxation", "cityscapes")

    assert recipe.lacking_weights(teacher=False) == ["deeplabv3plus-seresnext50"]
    assert recipe.lacking_weights() == ["hrnet-ocr-w48", "deeplabv3plus-seresnext50"]


def test_motion_alone_needs_no_weights(tmp_path: Path) -> None:
    """No segmenter and no student is trained; table B on the same recipe is refused without weights."""
    recipe = load_experiment_recipe("motion", "apolloscape")
    ExperimentContext(experiment="motion", out=tmp_path / "motion", root=None, recipe=recipe).claim()

    with pytest.raises(RecipeError, match="lets hrnet-ocr-w48 begin from published"):
        ExperimentContext(experiment="relaxation", out=tmp_path / "b", root=None, recipe=recipe).claim()


def test_coarse_labels_are_a_source_of_their_own(context: ExperimentContext) -> None:
    """With coarse labels there is a column more, and its students differ from those without."""
    table = (
        EXPERIMENTS["coarse"]
        .run(with_data(changed(context, seeds=1), coarse="coarse", coarse_gap=5))
        .tables["coarse"]
    )

    assert table.columns == ("training", "key frames", "+ coarse labels")
    assert names(table) == ["baseline", "warp-refine"]
    students = context.out / "students"
    assert (students / "key-baseline-seed0.safetensors").read_bytes() != (
        students / "coarse-baseline-seed0.safetensors"
    ).read_bytes()


def test_the_experiment_coarse_needs_something_to_compare(context: ExperimentContext) -> None:
    """Without coarse labels and other weights there is no comparison."""
    with pytest.raises(DatasetError, match="its recipe names neither; set coarse"):
        EXPERIMENTS["coarse"].run(context)


def test_motion_is_trained_where_the_recipe_wants_it(context: ExperimentContext) -> None:
    """Labels are then warped by what was trained, in the first run and in those that follow it."""
    motion = MotionRecipe(
        width=0.0625,
        input_motion="dis-ultrafast",
        crop=(64, 64),
        holdout_every=3,
        optimisation=Optimisation(steps=1, batch=2),
    )
    labels = context.recipe.labels.model_copy(update={"motion": motion})
    larger = context.recipe.data.street.model_copy(update={"size": (64, 96)})
    data = context.recipe.data.model_copy(update={"street": larger})
    trained = replace(
        changed(context, train_motion=True, labels=labels, data=data), out=context.out.with_name("trained")
    )
    networks, _ = trained.label(("motion-only",))

    assert (trained.out / "labels" / "checkpoints" / "motion.safetensors").exists()
    assert networks.motion("stepwise").name.startswith("sdcnet")
    again = trained.label_again(("motion-only",), name="again", recipe=labels, seed=0)
    assert (again.run.root / "checkpoints" / "motion.safetensors").exists()


def test_motion_estimators_are_compared(context: ExperimentContext) -> None:
    """A row for each, the run's own last; each has labelled in a folder of its own, with its own flow."""
    findings = EXPERIMENTS["motion"].run(changed(context, motions=("dis-medium", "dis-ultrafast")))

    table = findings.tables["motion"]
    assert names(table) == ["dis-ultrafast", "dis-medium"]
    assert table.columns[:4] == ("motion", "k=1", "k=2", "k=3")
    assert table.columns[-1] == "PSNR (dB)"
    assert all(isinstance(row[-1], float) and 10 < row[-1] < 60 for row in table.rows)
    assert table.rows[0][1:] != table.rows[1][1:]
    scores = json.loads((context.out / "motion-dis-ultrafast" / "metrics.json").read_text())
    assert table.rows[0][4] == pytest.approx(scores["motion-only"]["miou"], abs=1e-3)


def test_a_still_video_is_reconstructed_best(context: ExperimentContext) -> None:
    """Where nothing moves, the warped key frame is the frame: the PSNR is the highest that is counted."""
    networks, _ = context.label(("motion-only",))
    for video in networks.context.dataset.videos:
        (key,) = video.key_frames
        shutil.copy(video.frame_paths[key], video.frame_paths[key + 1])

    assert reconstruction(networks) == pytest.approx(10 * math.log10(255**2 * 64**2))


def test_cycle_length_trains_a_refiner_for_each(context: ExperimentContext) -> None:
    """A row for each longest cycle; segmenters and tau are shared, refiners are not."""
    findings = EXPERIMENTS["cycle-length"].run(changed(context, seeds=1))

    assert names(findings.tables["cycle-length"]) == ["l ≤ 1", "l ≤ 2"]
    short, long = (context.out / f"cycles-to-{n}-seed0" / "checkpoints" for n in (1, 2))
    for part in ("segmenter", "segmenter-fold0"):
        assert (short / f"{part}.safetensors").read_bytes() == (long / f"{part}.safetensors").read_bytes()
    assert (short / "refiner.safetensors").read_bytes() != (long / "refiner.safetensors").read_bytes()
    assert findings.pictures["cycles"].width > 4 * 64
    assert not (context.out / "cycles-to-1-seed0" / "cache").exists()


def test_benchmark_scores_the_final_network(context: ExperimentContext) -> None:
    """Totals, and the IoU of each class."""
    tables = EXPERIMENTS["benchmark"].run(context).tables

    assert tables["totals"].columns == ("network", "pixel accuracy", "mean accuracy", "mIoU")
    assert names(tables["classes"]) == list(context.data.classes.names)


def test_teacher_and_students_begin_from_initial_weights(context: ExperimentContext) -> None:
    """Weights are named by network: that of the teacher, of the student, and of each network of table A."""
    EXPERIMENTS["benchmark"].run(context)
    first = str(context.out / "students" / "final-seed0.safetensors")
    begun = context.recipe.model_copy(update={"initial_weights": {"compact": first}}).initialised()
    again = replace(context, recipe=begun, out=context.out.with_name("begun"), experiment="benchmark")
    EXPERIMENTS["benchmark"].run(again)

    for path in ("labels/checkpoints/segmenter", "students/final-seed0"):
        files = [one.out / f"{path}.safetensors" for one in (context, again)]
        assert [read_card(file).recipe["weights"] for file in files] == ["", first]
        assert files[0].read_bytes() != files[1].read_bytes()
    assert (begun.student_of("compact").weights, begun.student_of("lite0").weights) == (first, "")


def test_published_weights_are_asked_for_before_anything_is_done(context: ExperimentContext) -> None:
    """Table A needs weights for three networks; --from-scratch says that random ones are meant."""
    recipe = load_experiment_recipe("architectures", "cityscapes")
    table_a = replace(context, experiment="architectures", recipe=recipe, out=context.out / "table-a")

    with pytest.raises(
        RecipeError, match="lets hrnet-ocr-w48, deeplabv3-resnext50, ocrnet-resnext50 begin from published"
    ):
        table_a.claim()
    assert not table_a.out.exists()
    replace(table_a, recipe=recipe.from_scratch()).claim()
    of_trunks = {name: f"{name}.safetensors" for name in recipe.networks}
    given = recipe.model_copy(update={"initial_weights": of_trunks}).initialised()
    assert given.lacking_weights(given.networks) == []
    assert given.student_of("ocrnet-resnext50").weights == "ocrnet-resnext50.safetensors"


def test_benchmark_over_folds(context: ExperimentContext) -> None:
    """Each fold has a folder of its own; the table has a row for each, and their mean and deviation."""
    folded = with_data(context, folds=2)
    table = EXPERIMENTS["benchmark"].run(folded).tables["folds"]

    assert names(table) == ["fold 0", "fold 1", "all folds"]
    assert table.rows[0][1:] == table.rows[1][1:]  # both are the same street
    average = table.rows[2][-1]
    assert isinstance(average, Spread)
    assert (average.mean, average.count) == (pytest.approx(table.rows[0][-1]), 2)
    assert (context.out / "fold1" / "students" / "final-seed0.json").exists()


def test_folds_choose_settings(context: ExperimentContext) -> None:
    """A student for each point and fold; the best mean is chosen, recorded, and scored, not trained again."""
    grid = {"optimisation.learning_rate": (1e-6, 2e-2), "optimisation.poly_power": (1.0,)}
    folded = with_data(changed(context, grid=grid), folds=2)
    findings = EXPERIMENTS["benchmark"].run(folded)

    rows = {str(row[0]): row for row in findings.tables["grid"].rows}
    assert list(rows) == ["learning_rate-1e-06-poly_power-1", "learning_rate-0.02-poly_power-1"]
    means = {name: row[-1].mean for name, row in rows.items() if isinstance(row[-1], Spread)}
    best = max(means, key=lambda name: means[name])
    assert f"all folds: {best} (" in findings.remarks[0]
    recorded = json.loads((context.out / "chosen.json").read_text())
    assert recorded["miou"] == {name: list(row[1:3]) for name, row in rows.items()}
    assert [row[-1] for row in findings.tables["folds"].rows[:2]] == pytest.approx(list(rows[best][1:3]))
    students = {path.stem for path in (context.out / "fold0" / "students").glob("*.safetensors")}
    assert students == {f"final-{name}-seed0" for name in rows}
    chosen = load_experiment_recipe("benchmark", str(context.out / "chosen.toml"))
    assert chosen.student.optimisation.learning_rate == recorded["chosen"]["optimisation.learning_rate"]
    assert chosen.data == load_experiment_recipe("benchmark", "street").data


def test_a_grid_of_unknown_settings_is_refused(context: ExperimentContext) -> None:
    """The message names the table and the nearest key."""
    grid = {"optimisation.learning_rat": (0.1,)}
    with pytest.raises(RecipeError, match=r"under \[grid\]: .*learning_rate"):
        EXPERIMENTS["benchmark"].run(with_data(changed(context, grid=grid), folds=2))


def test_benchmark_needs_something_to_predict(context: ExperimentContext) -> None:
    """Without test data and without a split to hand in there is nothing to do."""
    with pytest.raises(DatasetError, match="neither data to test on nor data to hand in"):
        EXPERIMENTS["benchmark"].run(with_data(context, test=""))


def test_only_benchmarks_take_submissions(context: ExperimentContext) -> None:
    """The procedural street has no server to hand predictions in."""
    with pytest.raises(RecipeError, match="no benchmark is called 'street'"):
        EXPERIMENTS["benchmark"].run(with_data(context, submit="test"))


def test_pictures_without_truth(context: ExperimentContext) -> None:
    """Figure 2 needs truth; figures 7 and D are chosen by how methods differ."""
    for folder in (context.out / "data" / "train" / "videos").iterdir():
        shutil.rmtree(folder / "truth")
    findings = EXPERIMENTS["pictures"].run(context)

    assert {"figure-6-1", "figure-6-2", "figure-C", "figure-D"} <= set(findings.pictures)
    assert "figure-2" not in findings.pictures
    assert "There is no truth. Figure D: frames on which methods disagree most." in findings.remarks[0]


def test_fine_labels_can_be_made_coarse(context: ExperimentContext) -> None:
    """Where two classes meet, coarse labels are VOID; far from that they are the fine ones."""
    fine, coarse = (with_data(context, coarse="coarse", coarse_gap=gap).coarse for gap in (0, 9))
    assert fine is not None
    assert coarse is not None
    labels = [read_labels(path, coarse.classes)[0] for v in coarse.videos for path in v.labels.values()]

    exact = [read_labels(path, fine.classes)[0] for v in fine.videos for path in v.labels.values()]
    for one, other in zip(labels, exact, strict=True):
        assert bool(((one == other) | (one == VOID)).all())
        beside = (one[:, 1:] != one[:, :-1]) & (one[:, 1:] != VOID) & (one[:, :-1] != VOID)
        assert not beside.any()
    assert 0.2 < float(torch.stack(labels).ne(VOID).float().mean()) < 0.9


def test_the_street_has_three_parts(context: ExperimentContext) -> None:
    """Another split cannot be made up."""
    with pytest.raises(DatasetError, match="has no split 'val'; expected train, test, coarse"):
        _ = with_data(context, test="val").test


def test_pictures_show_every_figure(context: ExperimentContext) -> None:
    """Figures 2, 6, 7, C and D are drawn."""
    findings = EXPERIMENTS["pictures"].run(context)

    figures = {"figure-2", "figure-6-1", "figure-6-2", "figure-7", "figure-C", "figure-D"}
    assert set(findings.pictures) == figures


def test_students_are_shown_on_frames_without_labels(context: ExperimentContext) -> None:
    """Test frames of a benchmark have none: figure C has a column less, and no test data are needed."""
    with_truth = EXPERIMENTS["pictures"].run(context).pictures["figure-C"]
    for folder in (context.out / "data" / "test" / "videos").iterdir():
        shutil.rmtree(folder / "labels")
    unlabelled = with_data(context, test="", shown="test")

    figure = EXPERIMENTS["pictures"].run(unlabelled).pictures["figure-C"]

    assert figure.width < with_truth.width
    assert figure.height > with_truth.height  # every frame of the clip may be shown, not the labelled alone


def test_chosen_classes_are_shown(context: ExperimentContext) -> None:
    """Figure 5 has the classes of the recipe; the benchmark has their gain over a student without labels."""
    chosen = context.data.classes.names[:2]
    shown = changed(context, shown_classes=chosen)
    hard = EXPERIMENTS["quality"].run(shown).tables["hard-classes"]
    assert hard.columns[1:3] == chosen
    assert hard.title.startswith("Chosen classes")

    gains = EXPERIMENTS["benchmark"].run(shown).tables["gains"]

    assert names(gains) == [*chosen, "mean"]
    measured = [row for row in gains.rows[:-1] if isinstance(row[3], float)]
    assert measured
    assert all(row[3] == pytest.approx(row[2] - row[1]) for row in measured)  # type: ignore[operator]
    assert gains.rows[-1][3] == pytest.approx(sum(row[3] for row in measured) / len(measured))  # type: ignore[misc]
    students = {path.stem for path in (context.out / "students").glob("*.json")}
    assert students == {"final-seed0", "baseline-of-final-seed0"}
    with pytest.raises(RecipeError, match="no class is called 'raod'; did you mean 'road'"):
        EXPERIMENTS["quality"].run(changed(context, shown_classes=("raod",)))


@pytest.mark.parametrize("name", ["quality", "cycle-length", "motion"])
def test_what_needs_truth_is_refused_without(context: ExperimentContext, name: str) -> None:
    """Labels of a data set without truth cannot be compared with anything."""
    for folder in (context.out / "data" / "train" / "videos").iterdir():
        shutil.rmtree(folder / "truth")

    with pytest.raises(DatasetError, match="has no truth within the horizon"):
        EXPERIMENTS[name].run(context)


def test_students_need_test_data(context: ExperimentContext) -> None:
    """A recipe without test data cannot compare students."""
    with pytest.raises(DatasetError, match="its recipe names no data for that; set test"):
        EXPERIMENTS["utility"].run(with_data(context, test=""))


def test_a_data_set_has_to_be_named(context: ExperimentContext) -> None:
    """Only the procedural street needs no folder."""
    with pytest.raises(DatasetError, match="reader 'camvid', but none is given; name its folder with --data"):
        EXPERIMENTS["quality"].run(with_data(context, reader="camvid"))


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ([1.0, 1.1, 0.9], True),
        ([-1.0, -1.1, -0.9], True),
        ([0.5, -0.5, 0.4], False),
        ([1.0], None),
        ([1.0, 1.0, 1.0], None),
        # t = sqrt(3) · 1 / 0.40 = 4.33 with 2 degrees of freedom, just above 4.303; with 0.41 it is 4.22
        ([0.6, 1.0, 1.4], True),
        ([0.59, 1.0, 1.41], False),
    ],
)
def test_what_chance_would_do(gains: list[float], expected: bool | None) -> None:
    """Gains exceed the noise if the t-test for pairs rejects chance, up or down."""
    assert exceeds_noise(gains) is expected


def test_the_share_of_the_oracles_gain() -> None:
    """The paper's table 1 on ApolloScape: +1.11 of +2.73 is about 40 %."""
    measured = {
        "baseline": [72.53, 72.63, 72.73],
        "warp-refine": [73.64, 73.73, 73.85],
        "oracle": [75.30, 75.36, 75.42],
    }
    rows = utility_table(measured, title="table 1").rows

    assert rows[0][2:] == (None, None, None)
    gain = rows[1][2]
    assert isinstance(gain, Spread)
    assert (gain.mean, gain.count) == (pytest.approx(1.11), 3)
    assert rows[1][3] == "yes"
    assert rows[1][4] == pytest.approx(40.66, abs=0.01)


def test_where_the_oracle_gains_nothing_there_is_no_share() -> None:
    """A share of nothing is no number."""
    flat = {"baseline": [50.0, 51.0], "warp-refine": [50.0, 51.0], "oracle": [50.0, 51.0]}

    assert [row[4] for row in utility_table(flat, title="flat").rows] == [None, None, None]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_recipes_that_come_along_can_be_used(name: str) -> None:
    """Every recipe of every experiment can be read, and names methods and networks that exist."""
    for recipe_name in shipped_recipes(name):
        recipe = load_experiment_recipe(name, recipe_name)
        check_methods([*recipe.methods, *recipe.range_methods])
        assert {recipe.student.network, recipe.labels.segmenter.network, *recipe.networks} <= set(SEGMENTERS)
        assert max(recipe.ranges) <= recipe.data.horizon


def test_an_unknown_recipe() -> None:
    """What there is for the experiment is listed."""
    with pytest.raises(
        RecipeError, match="experiment quality has no recipe 'tiny'; expected a TOML file, or"
    ):
        load_experiment_recipe("quality", "tiny")


def test_findings_are_written_in_every_form(tmp_path: Path) -> None:
    """Tables as Markdown, CSV and JSON, charts as PNG and SVG, and a page that shows them."""
    table = ResultTable(title="T", columns=("a", "b"), rows=(("x", 1.0),))
    findings = Findings(tables={"t": table}, charts={"c": lambda kind: kind.encode()}, remarks=("So it is.",))
    page = write_findings(tmp_path, findings, title="All")

    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {
        "results.md",
        "tables/t.md",
        "tables/t.csv",
        "tables/t.json",
        "figures/c.png",
        "figures/c.svg",
    }
    assert (tmp_path / "figures" / "c.svg").read_bytes() == b"svg"
    for part in ("# All", "| x | 1.00 |", "So it is.", "![c](figures/c.png)"):
        assert part in page.read_text(encoding="utf-8")
