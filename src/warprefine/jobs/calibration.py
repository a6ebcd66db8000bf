"""Calibrate the confidence of a run's methods on key frames that are labelled as if they were none."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from warprefine.core.errors import FrameError
from warprefine.core.time_limit import check_time
from warprefine.core.video import Dataset
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_frames
from warprefine.io.images import read_labels
from warprefine.jobs.calibration_file import Calibration, read_calibrations, write_calibrations
from warprefine.jobs.context import RunContext
from warprefine.jobs.held_out_networks import HeldOutNetworks, can_hold_out
from warprefine.jobs.labellers import LABELLERS
from warprefine.jobs.networks import Networks
from warprefine.metrics import confusion
from warprefine.ops.calibration import count_hits
from warprefine.propagation.calibrated import CalibratedLabeller
from warprefine.propagation.evidence import content_of
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.methods import METHODS, Need, needs_of
from warprefine.propagation.rehearsal import Rehearsal, cycle, hold_out, rehearse, unit_of
from warprefine.propagation.run import Job
from warprefine.recipe.plus import FARTHEST
from warprefine.training.data.samples import evenly

log = logging.getLogger(__name__)

LEARNED: frozenset[Need] = frozenset({"segmenter", "refiner", "two-sided-refiner"})
"""Needs that are trained on key frames."""


def calibrated(networks: Networks, job: Job) -> Job:
    """Return a job whose labellers have calibrated confidence, as far as it can be calibrated honestly.

    Methods that refine are calibrated if the recipe has `calibration_steps`: a refiner remembers the key
    frames that it was trained on, so others have to be trained without them. What confidence is
    calibrated on is kept in the run folder, and computed again when anything it depends on changes.

    Args:
        networks: The networks of the job.
        job: Labels the videos of the run.
    """
    context = networks.context
    most = context.recipe.propagation.calibration_key_frames
    steps = context.recipe.propagation.calibration_steps
    reach = context.recipe.plus.choose.reach
    planned = plan_rehearsals(context.dataset, horizon=context.horizon, reach=reach, most=most)
    if not planned:
        return job
    known = read_calibrations(context.run)
    found: dict[str, Calibration] = {}
    for labeller in job.labellers:
        steady = [m for m in labeller.methods if _needs_no_refiner(networks, m) or steps]
        for methods in grouped(steady):
            found |= _calibrate(networks, methods, planned, known)
    if any(known.get(method) is not one for method, one in found.items()) and context.world.is_first:
        write_calibrations(context.run, {**known, **found})
    return _with_tables(job, found)


def calibrated_as_before(networks: Networks, job: Job) -> Job:
    """Return a job whose labellers have the calibration that the run was labelled with, if it had any.

    Nothing is measured again: labels that are mended beside a correction are as sure as those around them.

    Args:
        networks: The networks of the job.
        job: Labels some of the videos of the run again.
    """
    if networks.context.recipe.propagation.calibration_key_frames == 0:
        return job
    return _with_tables(job, read_calibrations(networks.context.run))


def _with_tables(job: Job, calibrations: Mapping[str, Calibration]) -> Job:
    tables = {method: one.table for method, one in calibrations.items()}
    labellers = tuple(
        CalibratedLabeller(labeller=one, tables={m: tables[m] for m in one.methods if m in tables})
        for one in job.labellers
    )
    return replace(job, labellers=labellers)


def plan_rehearsals(dataset: Dataset, *, horizon: int, reach: int, most: int) -> list[Rehearsal]:
    """Return how key frames are labelled as if they were none, at most so many, spread over all.

    A key frame is held out if its nearest neighbour is near enough for their images to be compared; else its
    labels go through cycles, as far as labels are carried. A neighbour beyond the horizon shows more errors
    than the frames of the run have, but their confidence tells them apart; cycles hide errors.
    """
    places = evenly([(video, key) for video in dataset.videos for key in video.key_frames], most)
    found: list[Rehearsal] = []
    for video, key in places:
        held_out = hold_out(video, key, reach=reach)
        if held_out is not None and held_out.distance < FARTHEST:
            found.append(held_out)
            continue
        lengths = sorted({1, max(1, horizon // 2), horizon})
        found += [one for one in (cycle(video, key, length) for length in lengths) if one is not None]
    return found


def grouped(methods: Sequence[str]) -> list[tuple[str, ...]]:
    """Divide methods of a labeller into those that learn from key frames and those that do not."""
    usable = [method for method in methods if "truth" not in METHODS[method].needs]
    learning = tuple(method for method in usable if LEARNED & METHODS[method].needs)
    others = tuple(method for method in usable if method not in learning)
    return [group for group in (others, learning) if group]


def rehearsed(
    networks: Networks, methods: Sequence[str], planned: Iterable[Rehearsal]
) -> Iterator[tuple[Rehearsal, Labeller]]:
    """Yield each rehearsal with a labeller that has not learned from its key frame.

    Rehearsals without one are left out: no segmenter is trained for them alone, but adapted from the base.

    Args:
        networks: The networks of the run.
        methods: Methods of one kind of labeller.
        planned: The rehearsals.
    """
    kind, needs = METHODS[methods[0]].labeller, needs_of(methods)
    if not LEARNED & needs:
        labeller = LABELLERS[kind](networks, tuple(methods))
        yield from ((one, labeller) for one in planned)
        return
    by_fold: dict[int, Labeller] = {}
    for one in planned:
        fold = networks.teachers.fold_of(one.video, one.key_frame)
        if fold not in by_fold and can_hold_out(networks, fold, needs):
            by_fold[fold] = LABELLERS[kind](HeldOutNetworks(networks, fold), tuple(methods))
        if fold in by_fold:
            yield one, by_fold[fold]


def _needs_no_refiner(networks: Networks, method: str) -> bool:
    """Return whether a method labels without a refiner that learns from key frames."""
    needs, parts = METHODS[method].needs, networks.context.parts
    one_sided = "refiner" in needs and parts.refiner is None
    enabled = networks.context.recipe.plus.refiner.enabled
    two_sided = "two-sided-refiner" in needs and enabled and parts.two_sided_refiner is None
    return not one_sided and not two_sided


def _calibrate(
    networks: Networks,
    methods: tuple[str, ...],
    planned: Sequence[Rehearsal],
    known: dict[str, Calibration],
) -> dict[str, Calibration]:
    """Return the calibration of methods of one kind: the known ones where nothing has changed."""
    dataset, world = networks.context.dataset, networks.context.world
    readable = [one for one in planned if _is_readable(one)]
    usable = list(rehearsed(networks, methods, readable))
    if not usable:
        log.info("%s: confidence is not calibrated, no segmenter is held out", ", ".join(methods))
        return {}
    depends = {
        method: fingerprint_of(*(_depends(dataset, one, labeller, method) for one, labeller in usable))
        for method in methods
    }
    if all(method in known and known[method].depends == depends[method] for method in methods):
        return {method: known[method] for method in methods}
    empty = {m: Calibration.empty(len(dataset.classes), depends=depends[m]) for m in methods}
    return world.of_first(lambda: _measured(networks.context, usable, empty))


def _measured(
    context: RunContext, usable: Sequence[tuple[Rehearsal, Labeller]], empty: Mapping[str, Calibration]
) -> dict[str, Calibration]:
    """Return calibrations with what rehearsals show, fitted."""
    dataset, found = context.dataset, {**empty}
    for done, (one, labeller) in enumerate(usable, start=1):
        truth = read_labels(one.video.labels[one.key_frame], dataset.classes)
        for pseudo in rehearse(labeller, one, dataset, context.cache):
            check_time()
            size = len(dataset.classes)
            hits = count_hits(pseudo.labels, pseudo.confidence, truth, class_count=size)
            matrix = confusion.count(pseudo.labels, truth, class_count=size)
            method = pseudo.provenance.method
            found[method] = found[method].with_rehearsal(one, hits, matrix)
        context.progress("calibrating confidence", done, len(usable), f"{one.video.name} {one.key_frame}")
    return {method: one.fitted() for method, one in found.items()}


def _is_readable(one: Rehearsal) -> bool:
    """Return whether the frames of a rehearsal are there; labelling reports a video that has lost some."""
    try:
        fingerprint_of_frames(one.video, range(min(one.sequence), max(one.sequence) + 1))
    except FrameError:
        return False
    return True


def _depends(dataset: Dataset, one: Rehearsal, labeller: Labeller, method: str) -> str:
    """Return a hash of all that a rehearsal's result depends on."""
    video, unit = one.travelled(), unit_of(labeller, one)
    ends, classes = (min(one.sequence), max(one.sequence)), dataset.classes
    content = content_of(one.video, classes, labeller.models.motion, ends, key_frames=[one.key_frame])
    return fingerprint_of(
        one.sequence, one.sources, one.target, labeller.fingerprint(video, unit, method), content
    )
