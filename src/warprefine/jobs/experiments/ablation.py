"""Measure what each part of warp-refine-plus is worth, and what it costs.

Parts are added in turn to what does the work of the paper's warp-inpaint, until all of warp-refine-plus is
there; then each is left out alone. `ablation_rows` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from warprefine.evaluation.plots import plot_horizon
from warprefine.evaluation.result_table import Cell, ResultTable, Spread
from warprefine.evaluation.scores import MethodScores
from warprefine.io.atomic import copy_file
from warprefine.jobs.autolabel import Outcome, Started, measure
from warprefine.jobs.experiments.ablation_rows import DEFAULT, Row, row_names, rows_of
from warprefine.jobs.experiments.cost import Cost, job_of, job_to_time, measure_cost
from warprefine.jobs.experiments.findings import Findings, spread_of
from warprefine.jobs.experiments.lab import Lab
from warprefine.jobs.experiments.spacing import WARP_REFINE, compare_spacings, with_key_frames
from warprefine.jobs.experiments.utility import verdict
from warprefine.jobs.rounds import adapt, first_round
from warprefine.propagation.methods import PLUS, STEPS
from warprefine.propagation.writer import propagate
from warprefine.training.side_refiner import PART as SIDE_REFINER

PAPER = tuple(STEPS)
"""The methods of the paper, to compare with."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The scores of a row, a run for each seed, and what a frame costs, beside the paper's warp-refine."""

    scores: Sequence[MethodScores]
    cost: Cost | None = None

    @property
    def mious(self) -> list[float]:
        """The mIoU of each seed, in percent."""
        return [one.miou for one in self.scores if one.miou is not None]


def ablation(lab: Lab) -> Findings:
    """Label with each row of parts, and compare with the truth, with the row before and with the default.

    Where a refiner is trained there is a run for each seed.

    Raises:
        DatasetError: The data have no truth to compare labels with.
        RecipeError: The recipe names a row that there is not, or key frames that the data do not have.
    """
    names, spaced = row_names(lab.recipe.rows), with_key_frames(lab)
    started, outcome = lab.label(PAPER)
    lab.check_truth(outcome)
    bench = _Bench(lab=lab, first=started, every=_rows(lab, row_names(), outcome))
    rows = _rows(lab, names, outcome)
    found = bench.paper(outcome) | {row.name: bench.measured(row) for row in rows}
    tables = {
        "miou-by-distance": _by_distance(lab, found),
        "gains": _gains(rows, found),
        "classes": _by_class(found),
        "cost": _costs(found),
    }
    if spaced:
        tables["spacings"] = compare_spacings(lab, spaced)
    shown = {name: _averaged(found[name].scores) for name in PAPER} | {PLUS: _averaged(found[DEFAULT].scores)}
    return Findings(
        tables=tables,
        charts={"miou-by-distance": lambda kind: plot_horizon(shown, kind=kind)},
        unranked=frozenset({"ms per frame", "times warp-refine", "mIoU", "gain", "horizon"}),
        remarks=(_remark(lab), _remark_on_classes(found)),
    )


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """Where rows are measured: `first` is the run that they share networks with, `every` are all rows."""

    lab: Lab
    first: Started
    every: Sequence[Row]

    def paper(self, outcome: Outcome) -> dict[str, Measured]:
        """Return what the paper's methods came to; warp-refine is trained for each seed."""
        found = {method: Measured(scores=[outcome.scores[method]]) for method in PAPER}
        scores = [outcome.scores[WARP_REFINE]]
        for seed in self.lab.seeds[1:]:
            name, recipe = f"rows/{WARP_REFINE}-{seed}", self.lab.recipe.labels
            again = self.lab.label_again((WARP_REFINE,), name=name, recipe=recipe, seed=seed)
            scores.append(again.scores[WARP_REFINE])
        cost = replace(self._cost(WARP_REFINE, self.first, WARP_REFINE), ratio=1.0)  # but for noise
        return found | {WARP_REFINE: Measured(scores=scores, cost=cost)}

    def measured(self, row: Row) -> Measured:
        """Label with a row, for each seed if a refiner is trained, and measure what that costs."""
        scores, cost = [], None
        for seed in self.lab.seeds if row.taught else self.lab.seeds[:1]:
            started = self._started(row, seed)
            scores.append(_labelled(started))
            if seed == self.lab.seed:
                alike = next(other.name for other in self.every if other.work == row.work)
                cost = self._cost(alike, started, PLUS)
        return Measured(scores=scores, cost=cost)

    def _started(self, row: Row, seed: int) -> Started:
        """Start the run of a row; a refiner that another row was taught alike is taken over from there."""
        own = self._refiner_of(row, seed)
        alike = [self._refiner_of(other, seed) for other in self.every if other.taught == row.taught]
        there = [path for path in alike if path.exists()]
        if row.taught and there and not own.exists():
            copy_file(there[0], own)
        recipe = self.lab.recipe.labels.model_copy(update={"plus": row.plus})
        return self.lab.start_again(name=_folder(row, seed), recipe=recipe, seed=seed)

    def _refiner_of(self, row: Row, seed: int) -> Path:
        """Return where the refiner of a row lies, that of the first round."""
        run = first_round(self.lab.out / _folder(row, seed), row.plus.rounds)
        return run / "checkpoints" / f"{SIDE_REFINER}.safetensors"

    def _cost(self, name: str, started: Started, method: str) -> Cost:
        """Return a cost, measured if that was not done yet."""
        path = self.lab.out / "costs" / f"{name}.json"
        if not path.exists():
            beside = job_to_time(self.first, WARP_REFINE)
            measure_cost(job_to_time(started, method), beside=beside).write(path)
        return Cost.read(path)


def _folder(row: Row, seed: int) -> str:
    return f"rows/{row.name}-{seed}"


def _labelled(started: Started) -> MethodScores:
    """Label with warp-refine-plus and score the labels; of so many runs nobody wants a report."""
    adapt(started.preparation, horizon=started.horizon)
    job, run = job_of(started, PLUS), started.preparation.run
    failures = propagate(job, run, progress=started.preparation.progress)
    return measure(job, run, started.failures | failures)[PLUS]


def _rows(lab: Lab, names: Sequence[str], outcome: Outcome) -> list[Row]:
    return rows_of(lab.recipe.labels.plus, names, tau=outcome.tau)


def _by_distance(lab: Lab, found: Mapping[str, Measured]) -> ResultTable:
    rows: list[tuple[Cell, ...]] = []
    for name, measured in found.items():
        at_distances = zip(*(one.miou_by_distance for one in measured.scores), strict=True)
        boundary_f = spread_of([one.boundary_f for one in measured.scores])
        miou = spread_of(measured.mious)
        milliseconds = None if measured.cost is None else measured.cost.milliseconds
        rows.append((name, *map(spread_of, at_distances), miou, boundary_f, milliseconds))
    distances = (f"k={k}" for k in range(1, lab.recipe.data.horizon + 1))
    return ResultTable(
        title=f"mIoU (%) of labels at k frames from the key frame, {lab.recipe.data.reader}",
        columns=("labels", *distances, "mean", "boundary F", "ms per frame"),
        rows=tuple(rows),
    )


def _gains(rows: Sequence[Row], found: Mapping[str, Measured]) -> ResultTable:
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        mious = found[row.name].mious
        if row.against is None:
            cells.append((row.name, Spread.of(mious), None, None, None))
            continue
        gains = _seed_by_seed(mious, found[row.against].mious)
        cells.append((row.name, Spread.of(mious), Spread.of(gains), row.against, verdict(gains)))
    return ResultTable(
        title="What each part is worth: mIoU (%), mean over all distances",
        columns=("labels", "mIoU", "gain", "over", "exceeds the noise"),
        rows=tuple(cells),
    )


def _seed_by_seed(mious: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return gains; what nothing was trained for is the same for every seed."""
    seeds = max(len(mious), len(others))
    first, second = (list(one) * seeds if len(one) == 1 else one for one in (mious, others))
    return [a - b for a, b in zip(first[:seeds], second[:seeds], strict=True)]


def _class_means(found: Mapping[str, Measured], name: str) -> dict[str, Spread]:
    """Return the IoU of each class that occurs."""
    scores = found[name].scores
    means = {one: spread_of([s.iou_by_class[one] for s in scores]) for one in scores[0].iou_by_class}
    return {one: spread for one, spread in means.items() if spread is not None}


def _by_class(found: Mapping[str, Measured]) -> ResultTable:
    measured = {WARP_REFINE: _class_means(found, WARP_REFINE), PLUS: _class_means(found, DEFAULT)}
    names = list(dict.fromkeys(name for means in measured.values() for name in means))
    return ResultTable(
        title="IoU (%) of each class, over all distances",
        columns=("labels", *names),
        rows=tuple((labels, *(means.get(name) for name in names)) for labels, means in measured.items()),
    )


def _costs(found: Mapping[str, Measured]) -> ResultTable:
    costs = {name: one.cost for name, one in found.items() if one.cost is not None}
    return ResultTable(
        title="What labels cost: one process, nothing from the cache",
        columns=("labels", "ms per frame", "times warp-refine"),
        rows=tuple((name, cost.milliseconds, cost.ratio) for name, cost in costs.items()),
    )


def _averaged(scores: Sequence[MethodScores]) -> MethodScores:
    """Return the first seed's scores with the mean mIoU of all seeds, for a chart."""
    spreads = [spread_of(values) for values in zip(*(one.miou_by_distance for one in scores), strict=True)]
    return replace(scores[0], miou_by_distance=[None if one is None else one.mean for one in spreads])


def _remark(lab: Lab) -> str:
    return (
        f"Mean and sample standard deviation over {len(lab.seeds)} seeds where a refiner is trained; the "
        "segmenter is the same for all. Each row that begins with `with` adds a part to the row that it is "
        f"compared with, and `{DEFAULT}` is {PLUS} as the recipe has it; each that begins with `without` "
        "leaves out a part of that. A gain exceeds the noise where a paired t-test rejects chance at 5 %. "
        "Rows that differ only in what comes after training share a refiner; one that is taught on both "
        "sides is taught on single sides too."
    )


def _remark_on_classes(found: Mapping[str, Measured]) -> str:
    first, ours = (_class_means(found, name) for name in (WARP_REFINE, DEFAULT))
    gains = {name: ours[name].mean - first[name].mean for name in first if name in ours}
    worse = [f"{name} ({gain:.2f})" for name, gain in gains.items() if round(gain, 2) < 0]
    if not worse:
        return f"Every class is at least as good as in the labels of {WARP_REFINE}."
    return (
        f"Worse than in the labels of {WARP_REFINE}, of {len(gains)} classes: {', '.join(worse)}; on average "
        f"classes gain {fmean(gains.values()):.2f}."
    )
