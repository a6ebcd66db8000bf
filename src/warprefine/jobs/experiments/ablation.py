"""Measure what each part of warp-refine-plus is worth, and what it costs.

Parts are added in turn to the equivalent of the paper's warp-inpaint, until warp-refine-plus is complete;
then each is left out alone. `ablation_variants` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from warprefine.io.atomic import copy_file
from warprefine.jobs.autolabel import label
from warprefine.jobs.context import RunContext
from warprefine.jobs.experiments.ablation_variants import DEFAULT, Variant, variant_names, variants_of
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.cost import Cost, job_to_time, measure_cost
from warprefine.jobs.experiments.findings import Findings, spread_of
from warprefine.jobs.experiments.spacing import WARP_REFINE, compare_spacings, of_spacing, with_key_frames
from warprefine.jobs.experiments.utility import verdict
from warprefine.jobs.experiments.work import Labelling, Work
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.labellers import make_job
from warprefine.jobs.networks import Networks
from warprefine.jobs.over_ranks import propagate_over_ranks
from warprefine.jobs.results import measure
from warprefine.jobs.rounds import first_round, train_in_rounds
from warprefine.jobs.together import train_runs_together
from warprefine.jobs.usable_data import without
from warprefine.metrics.scores import MethodScores, split
from warprefine.propagation.methods import PAPER_METHODS, PLUS
from warprefine.report.plots import plot_horizon
from warprefine.report.result_table import Cell, ResultTable, Spread
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The scores of a variant, a run for each seed, and the cost of a frame relative to warp-refine."""

    scores: Sequence[MethodScores]
    cost: Cost | None = None

    @property
    def mious(self) -> list[float]:
        """The mIoU of each seed, in percent."""
        return [one.miou for one in self.scores if one.miou is not None]


def ablation(context: ExperimentContext) -> Findings:
    """Label with each variant, and compare with the truth, with the variant before and with the default.

    A variant with a refiner is run once per seed.

    Raises:
        DatasetError: The data have no truth to compare labels with.
        RecipeError: The recipe names a variant that does not exist, or key frames that the data do not have.
    """
    names, spaced = variant_names(context.recipe.variants), with_key_frames(context)
    networks, finished = context.label(PAPER_METHODS)
    context.check_truth(finished)
    bench = _Bench(context=context, first=networks, every=_variants(context, variant_names(), networks.tau()))
    variants = _variants(context, names, networks.tau())
    bench.train_together(variants)
    found = bench.paper(finished) | {one.name: bench.measured(one) for one in variants}
    tables = {
        "miou-by-distance": _by_distance(context, found),
        "gains": _gains(variants, found),
        "classes": _by_class(found),
        "cost": _costs(found),
    }
    if all(split({PLUS: one}) for one in found[DEFAULT].scores):
        tables["between-and-beside"] = compare_groups(found)
    if spaced:
        tables["spacings"] = compare_spacings(context, spaced)
    shown = {name: _averaged(found[name].scores) for name in PAPER_METHODS} | {
        PLUS: _averaged(found[DEFAULT].scores)
    }
    return Findings(
        tables=tables,
        charts={"miou-by-distance": lambda kind: plot_horizon(shown, kind=kind)},
        unranked=frozenset({"ms per frame", "times warp-refine", "mIoU", "gain", "horizon"}),
        remarks=(_remark(context), _remark_on_classes(found)),
    )


def work_of_ablation(context: ExperimentContext) -> tuple[Work, ...]:
    """Return what `ablation` labels and trains at most: rounds that do not help train less.

    Labels of rounds before the last are not part of it.

    Raises:
        RecipeError: The recipe names a variant that does not exist, or key frames that the data do not have.
    """
    names, spaced = variant_names(context.recipe.variants), with_key_frames(context)
    labels, work = context.recipe.labels, Work.of(context, PAPER_METHODS)
    runs = [
        Labelling(methods=(WARP_REFINE,), recipe=labels, folder=f"variants/{WARP_REFINE}-{seed}", again=True)
        for seed in context.seeds[1:]
    ]
    tau = labels.propagation.tau or labels.propagation.tau_candidates[0]  # which of them changes no size
    every, planned = _variants(context, variant_names(), tau), set[Path]()
    for variant in (one for one in every if one.name in names):
        for seed in context.seeds if variant.trained else context.seeds[:1]:
            alike = [_refiner_path(context, one, seed) for one in every if one.trained == variant.trained]
            has = any(path.exists() or path in planned for path in alike)
            planned.update(alike if variant.trained else ())
            recipe, folder = labels.changed(("plus",), variant.plus), _folder(variant, seed)
            taken = (TWO_SIDED_REFINER.part,) if has else ()
            runs.append(Labelling(methods=(PLUS,), recipe=recipe, folder=folder, again=True, taken=taken))
    of_spacings = (
        Work(context=one, labellings=(of_spacing(one),), students=(), seeds=()) for one in spaced.values()
    )
    return (replace(work, labellings=(*work.labellings, *runs)), *of_spacings)


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """Measures variants: `first` is the run that they share networks with, `every` are all variants."""

    context: ExperimentContext
    first: Networks
    every: Sequence[Variant]

    def train_together(self, variants: Sequence[Variant]) -> None:
        """Train the refiners at the same time, each once, where the engine has several workers.

        Those of self-training in rounds are trained in turn, as their segmenters come first.
        """
        if self.context.engine.is_here:
            return
        own: list[Variant] = []
        for variant in variants:
            known = any(variant.trained == other.trained for other in own)
            if variant.trained and not known and variant.plus.rounds.count == 1:
                own.append(variant)
        begun = [self._start(variant, seed) for variant in own for seed in self.context.seeds]
        train_runs_together([Networks(run) for run in begun], (PLUS,))
        runs = [self._again(seed) for seed in self.context.seeds[1:]]
        train_runs_together([Networks(run) for run in runs], (WARP_REFINE,))

    def paper(self, finished: FinishedRun) -> dict[str, Measured]:
        """Return the scores of the paper's methods; warp-refine is trained for each seed."""
        found = {method: Measured(scores=[finished.scores[method]]) for method in PAPER_METHODS}
        scores = [finished.scores[WARP_REFINE]]
        for seed in self.context.seeds[1:]:
            again = label(Networks(self._again(seed)), (WARP_REFINE,))
            scores.append(again.scores[WARP_REFINE])
        cost = replace(self._cost(WARP_REFINE, self.first, WARP_REFINE), ratio=1.0)  # but for noise
        return found | {WARP_REFINE: Measured(scores=scores, cost=cost)}

    def _again(self, seed: int) -> RunContext:
        """Start the run of the paper's refiner with a further seed."""
        name = f"variants/{WARP_REFINE}-{seed}"
        return self.context.start_again(name=name, recipe=self.context.recipe.labels, seed=seed)

    def measured(self, variant: Variant) -> Measured:
        """Label with a variant, for each seed if a refiner is trained, and measure its cost."""
        scores, cost = [], None
        for seed in self.context.seeds if variant.trained else self.context.seeds[:1]:
            networks = Networks(self._start(variant, seed))
            scores.append(_score(networks))
            if seed == self.context.seed:
                alike = next(other.name for other in self.every if other.work == variant.work)
                cost = self._cost(alike, networks, PLUS)
        return Measured(scores=scores, cost=cost)

    def _start(self, variant: Variant, seed: int) -> RunContext:
        """Start the run of a variant; a refiner that a variant with equal settings has trained is copied."""
        own, world = self._refiner_of(variant, seed), self.context.world
        alike = [self._refiner_of(other, seed) for other in self.every if other.trained == variant.trained]
        with world.parting():
            there = [path for path in alike if world.is_first and path.exists()]
            if variant.trained and there and not own.exists():
                copy_file(there[0], own)
        recipe = self.context.recipe.labels.changed(("plus",), variant.plus)
        return self.context.start_again(name=_folder(variant, seed), recipe=recipe, seed=seed)

    def _refiner_of(self, variant: Variant, seed: int) -> Path:
        return _refiner_path(self.context, variant, seed)

    def _cost(self, name: str, networks: Networks, method: str) -> Cost:
        """Return a cost, read from its file or measured by the first process, while others wait."""
        path = self.context.out / "costs" / f"{name}.json"

        def cost() -> Cost:
            if not path.exists():
                beside = job_to_time(self.first, WARP_REFINE)
                measure_cost(job_to_time(networks, method), beside=beside).write(path)
            return Cost.read(path)

        return self.context.world.of_first(cost)


def _folder(variant: Variant, seed: int) -> str:
    return f"variants/{variant.name}-{seed}"


def _refiner_path(context: ExperimentContext, variant: Variant, seed: int) -> Path:
    """Return the path of a variant's refiner, that of the first round."""
    run = first_round(context.out / _folder(variant, seed), variant.plus.rounds.count)
    return run / "checkpoints" / f"{TWO_SIDED_REFINER.part}.safetensors"


def _score(networks: Networks) -> MethodScores:
    """Label with warp-refine-plus and score the labels; so many runs need no report."""
    context = networks.context
    train_in_rounds(context)
    job = make_job(networks, (PLUS,))
    failures = propagate_over_ranks(
        job, context.run, world=context.world, engine=context.engine, progress=context.progress
    )

    def scored() -> MethodScores:
        dataset = without(job.dataset, {**context.left_out, **failures})
        reach = context.recipe.plus.choose.reach
        return measure(context.run, dataset, methods=(PLUS,), horizon=job.horizon, reach=reach)[PLUS]

    return context.world.of_first(scored)


def _variants(context: ExperimentContext, names: Sequence[str], tau: float) -> list[Variant]:
    return variants_of(context.recipe.labels.plus, names, tau=tau)


def _by_distance(context: ExperimentContext, found: Mapping[str, Measured]) -> ResultTable:
    rows: list[tuple[Cell, ...]] = []
    for name, measured in found.items():
        at_distances = zip(*(one.miou_by_distance for one in measured.scores), strict=True)
        boundary_f = spread_of([one.boundary_f for one in measured.scores])
        miou = spread_of(measured.mious)
        milliseconds = None if measured.cost is None else measured.cost.milliseconds
        rows.append((name, *map(spread_of, at_distances), miou, boundary_f, milliseconds))
    distances = (f"k={k}" for k in range(1, context.horizon + 1))
    return ResultTable(
        title=f"mIoU (%) of labels at k frames from the key frame, {context.recipe.data.reader}",
        columns=("labels", *distances, "mean", "boundary F", "ms per frame"),
        rows=tuple(rows),
    )


def compare_groups(found: Mapping[str, Measured]) -> ResultTable:
    """Return the mIoU of the frames between key frames, and of those beside, a row for each variant."""
    groups: list[list[Spread | None]] = [
        [spread_of([s.between.miou if s.between else None for s in one.scores]) for one in found.values()],
        [spread_of([s.beside.miou if s.beside else None for s in one.scores]) for one in found.values()],
    ]
    return ResultTable(
        title="mIoU (%) of labels of frames between two key frames, and of those beside, with one side alone",
        columns=("labels", "between", "beside"),
        rows=tuple(zip(found, *groups, strict=True)),
    )


def _gains(variants: Sequence[Variant], found: Mapping[str, Measured]) -> ResultTable:
    cells: list[tuple[Cell, ...]] = []
    for variant in variants:
        mious = found[variant.name].mious
        if variant.against is None:
            cells.append((variant.name, Spread.of(mious), None, None, None))
            continue
        gains = _seed_by_seed(mious, found[variant.against].mious)
        cells.append((variant.name, Spread.of(mious), Spread.of(gains), variant.against, verdict(gains)))
    return ResultTable(
        title="What each part is worth: mIoU (%), mean over all distances",
        columns=("labels", "mIoU", "gain", "over", "exceeds the noise"),
        rows=tuple(cells),
    )


def _seed_by_seed(mious: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return the gain of each seed; a variant without training has one value for all seeds."""
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


def _remark(context: ExperimentContext) -> str:
    return (
        f"Mean and sample standard deviation over {len(context.seeds)} seeds where a refiner is trained; the "
        "segmenter is the same for all. Each row that begins with `with` adds a part to the row that it is "
        f"compared with, and `{DEFAULT}` is {PLUS} as the recipe has it; each that begins with `without` "
        "leaves out a part of that. A gain exceeds the noise where a paired t-test rejects chance at 5 %. "
        "Rows that differ only in what comes after training share a refiner; one that is trained on "
        "both sides is trained on single sides too."
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
