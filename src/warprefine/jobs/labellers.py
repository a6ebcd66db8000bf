"""Build the labellers of a run: the networks and settings that each method needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from warprefine.core.protocols import MotionEstimator
from warprefine.core.video import Video
from warprefine.jobs.networks import Networks
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.methods import METHODS, LabellerKind, check_methods, needs_of
from warprefine.propagation.oracle import OracleLabeller
from warprefine.propagation.run import Job
from warprefine.propagation.stepwise.walk import StepSettings, StepwiseLabeller
from warprefine.propagation.two_sided.label import TwoSidedLabeller
from warprefine.propagation.units import Unit, stepwise_units


def make_job(networks: Networks, methods: Sequence[str]) -> Job:
    """Return the job of labelling a run's videos; missing networks are trained.

    Raises:
        RecipeError: A name is not a method's.
    """
    methods = check_methods(methods)
    labellers = []
    for kind, make in LABELLERS.items():
        own = tuple(method for method in methods if METHODS[method].labeller == kind)
        if own:
            labellers.append(make(networks, own))
    context = networks.context
    return Job(dataset=context.dataset, horizon=context.horizon, labellers=tuple(labellers))


def stepwise_labeller(networks: Networks, methods: tuple[str, ...]) -> StepwiseLabeller:
    """Return the labeller of the paper's methods; nothing is trained that these methods do not use."""
    needs = needs_of(methods)
    segmenter = networks.segmenter() if "segmenter" in needs else None
    tau = networks.tau() if "tau" in needs else 0.0
    refiner, fingerprint = networks.refiner("stepwise") if "refiner" in needs else (None, "")
    return StepwiseLabeller(
        methods=methods,
        models=networks.models("stepwise", segmenter),
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
        models=networks.models("two-sided", networks.segmenter()),
        recipe=plus,
        refiner=refiner,
        refiner_fingerprint=fingerprint,
    )


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
    if kind == "two-sided":
        models = networks.models("two-sided")
        return TwoSidedLabeller(models=models, recipe=networks.context.recipe.plus).units, models.motion
    motion = networks.motion("stepwise")
    return (oracle_labeller(networks, (method,)).units if kind == "oracle" else stepwise_units), motion


LABELLERS: dict[LabellerKind, Callable[[Networks, tuple[str, ...]], Labeller]] = {
    "stepwise": stepwise_labeller,
    "two-sided": two_sided_labeller,
    "oracle": oracle_labeller,
}
"""How the labeller of each kind of method is built."""
