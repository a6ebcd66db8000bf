"""Build the labellers of a run: the networks and settings that each method needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from warprefine.core.protocols import MotionEstimator
from warprefine.core.video import Video
from warprefine.jobs.context import RunContext
from warprefine.jobs.networks import Networks
from warprefine.propagation.evidence import Models
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.methods import METHODS, LabellerKind, check_methods, needs_of
from warprefine.propagation.oracle import OracleLabeller
from warprefine.propagation.run import Job
from warprefine.propagation.stepwise.walk import StepSettings, StepwiseLabeller
from warprefine.propagation.two_sided.label import TwoSidedLabeller
from warprefine.propagation.units import Unit, stepwise_units
from warprefine.propagation.unreached import WithUnreached, unreached_units

BATCH = 8
"""Frames that a GPU computes at a time, if they are small."""


def make_job(networks: Networks, methods: Sequence[str]) -> Job:
    """Return the job of labelling a run's videos; missing networks are trained.

    Raises:
        RecipeError: A name is not a method's.
    """
    methods = check_methods(methods)
    context = networks.context
    labellers: list[Labeller] = []
    for kind, make in LABELLERS.items():
        own = tuple(method for method in methods if METHODS[method].labeller == kind)
        alone = tuple(method for method in own if _labels_unreached(context, method))
        if alone:
            threshold = context.recipe.propagation.semantic_threshold
            labellers.append(WithUnreached(labeller=make(networks, alone), threshold=threshold))
        if others := tuple(method for method in own if method not in alone):
            labellers.append(make(networks, others))
    return Job(dataset=context.dataset, horizon=context.horizon, labellers=tuple(labellers))


def _labels_unreached(context: RunContext, method: str) -> bool:
    """Return whether frames that no key frame reaches are labelled: by methods that have a segmenter."""
    return context.unreached == "semantic" and "segmenter" in needs_of([method])


def stepwise_labeller(networks: Networks, methods: tuple[str, ...]) -> StepwiseLabeller:
    """Return the labeller of the paper's methods; nothing is trained that these methods do not use."""
    needs = needs_of(methods)
    segmenter = networks.segmenter() if "segmenter" in needs else None
    tau = networks.tau() if "tau" in needs else 0.0
    refiner, fingerprint = networks.refiner("stepwise") if "refiner" in needs else (None, "")
    return StepwiseLabeller(
        methods=methods,
        models=_on_device(networks, networks.models("stepwise", segmenter)),
        settings=StepSettings(
            tau=tau,
            threshold=networks.context.recipe.propagation.semantic_threshold,
            refiner=refiner,
            refiner_fingerprint=fingerprint,
        ),
    )


def two_sided_labeller(networks: Networks, methods: tuple[str, ...]) -> TwoSidedLabeller:
    """Return the labeller of warp-refine-plus."""
    plus = networks.context.recipe.plus
    refiner, fingerprint = networks.refiner("two-sided") if plus.refiner.enabled else (None, "")
    return TwoSidedLabeller(
        methods=methods,
        models=_on_device(networks, networks.models("two-sided", networks.segmenter())),
        recipe=plus,
        refiner=refiner,
        refiner_fingerprint=fingerprint,
    )


def _on_device(networks: Networks, models: Models) -> Models:
    """Return models that label on the device of a run; other devices than the CPU gain by batches."""
    device = networks.context.device
    return replace(models, device=device, batch=1 if device.type == "cpu" else BATCH)


def oracle_labeller(networks: Networks, methods: tuple[str, ...]) -> OracleLabeller:
    """Return the labeller that reads the truth."""
    return OracleLabeller(models=networks.models("stepwise"), methods=methods)


def units_and_motion(
    networks: Networks, method: str
) -> tuple[Callable[[Video, int], list[Unit]], MotionEstimator]:
    """Return how a method divides videos into units, and its motion; nothing is trained.

    Args:
        networks: The networks of the run.
        method: A name in `METHODS`.
    """
    kind = METHODS[method].labeller
    units: Callable[[Video, int], list[Unit]] = stepwise_units
    if kind == "two-sided":
        models = networks.models("two-sided")
        units = TwoSidedLabeller(models=models, recipe=networks.context.recipe.plus).units
    elif kind == "oracle":
        units = oracle_labeller(networks, (method,)).units
    motion = networks.motion("two-sided" if kind == "two-sided" else "stepwise")
    if not _labels_unreached(networks.context, method):
        return units, motion
    return (lambda video, horizon: [*units(video, horizon), *unreached_units(video, horizon)]), motion


LABELLERS: dict[LabellerKind, Callable[[Networks, tuple[str, ...]], Labeller]] = {
    "stepwise": stepwise_labeller,
    "two-sided": two_sided_labeller,
    "oracle": oracle_labeller,
}
"""How the labeller of each kind of method is built."""
