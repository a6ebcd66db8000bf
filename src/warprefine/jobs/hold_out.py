"""Estimate how good the labels of a finished run are: hold out each of its key frames in turn."""

from __future__ import annotations

import json
from collections.abc import Mapping

from warprefine.core.errors import RunFolderError, shorten
from warprefine.core.progress import Progress, silent
from warprefine.core.time_limit import check_time
from warprefine.datasets import open_dataset
from warprefine.io.atomic import write_text
from warprefine.io.images import read_labels
from warprefine.io.locks import locked
from warprefine.io.run import RunFolder
from warprefine.jobs.calibration import grouped, plan_rehearsals, rehearsed
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.hold_out_file import ESTIMATES, labels_of
from warprefine.jobs.networks import Networks
from warprefine.jobs.reopened import reopened
from warprefine.jobs.stages import networks_of
from warprefine.metrics import confusion
from warprefine.metrics.hold_out import HeldOutFrame, HoldOutEstimate, estimate
from warprefine.metrics.reliability import raw_confidence_counts
from warprefine.ops.calibration import count_hits
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.methods import METHODS, PLUS, LabellerKind
from warprefine.propagation.rehearsal import Rehearsal, rehearse

_ALL = 1_000_000
HELD_OUT = (
    "the labels of the key frame",
    "the segmenter: that of its fold",
    "refiners: trained anew on the other folds",
    "the calibration, where it is scored",
)
"""What has not learned from a key frame that is scored."""
NOT_HELD_OUT = (
    "tau, which was chosen on all key frames",
    "segmenters of other folds, with which the refiners' samples are computed",
    "motion, and parts that were supplied as objects",
)
"""What may have."""


def evaluate_hold_out(
    finished: FinishedRun, *, device: str = "cpu", progress: Progress = silent
) -> dict[str, HoldOutEstimate]:
    """Estimate the quality of a run's labels by holding out each key frame in turn; truth is not read.

    Each key frame is labelled from its neighbours by networks that have not learned from it; where a
    video has no other key frame, its labels are sent through cycles. The estimates are written to
    hold_out.json, and shown in the report. Refiners that are held out are trained when they are first
    needed: as long as those of the run, for each fold.

    Args:
        finished: The run, opened from its folder, which has to be writable.
        device: Where networks run.
        progress: Called as work proceeds.

    Returns:
        The estimate of each method; those that have no held-out segmenter are left out.

    Raises:
        RunFolderError: The run was made with parts that were supplied as objects, or no method can be held
            out.
    """
    root = finished.run.root
    with locked(root):
        networks = _networks(finished, device=device, progress=progress)
        held_out = _hold_out(finished, networks)
        if not held_out:
            raise RunFolderError(
                f"{root} has no segmenter that is held out from a key frame; expected a run of `warprefine "
                "autolabel` with several key frames, or with --also-train"
            )
        found = {}
        for method, frames in held_out.items():
            counts = raw_confidence_counts(finished.run, finished.dataset, method, horizon=finished.horizon)
            seed = networks.context.seed
            found[method] = estimate(frames, counts, finished.dataset.classes, seed=seed)
        _write(finished, found)
    return found


def _hold_out(finished: FinishedRun, networks: Networks) -> dict[str, list[HeldOutFrame]]:
    """Label each key frame as if it were none; return what is right and wrong, by method."""
    context, stages = networks.context, finished.stages
    reach = context.recipe.plus.choose.reach
    planned = plan_rehearsals(context.dataset, horizon=context.horizon, reach=reach, most=_ALL)
    kinds: dict[LabellerKind, list[str]] = {}
    for method in finished.methods:
        kinds.setdefault(METHODS[method].labeller, []).append(method)
    held_out: dict[str, list[HeldOutFrame]] = {}
    for methods in (group for of_kind in kinds.values() for group in grouped(of_kind)):
        used = networks_of(networks, [*stages][-1]) if PLUS in methods and stages else networks
        for number, (one, labeller) in enumerate(rehearsed(used, methods, planned), start=1):
            _add(held_out, networks, one, labeller)
            note = f"{one.video.name} {one.key_frame}"
            context.progress("holding out key frames", number, len(planned), note)
    return held_out


def _write(finished: FinishedRun, found: Mapping[str, HoldOutEstimate]) -> None:
    content = {
        "labels": labels_of(finished.run, finished.dataset, finished.methods),
        "held_out": list(HELD_OUT),
        "not_held_out": list(NOT_HELD_OUT),
        "methods": {method: one.to_json() for method, one in found.items()},
    }
    write_text(finished.run.root / ESTIMATES, json.dumps(content, indent=1) + "\n")


def _add(
    held_out: dict[str, list[HeldOutFrame]], networks: Networks, one: Rehearsal, labeller: Labeller
) -> None:
    """Label a key frame as if it were none, and add what is right and wrong, for each method."""
    dataset, cache = networks.context.dataset, networks.context.cache
    truth = read_labels(one.video.labels[one.key_frame], dataset.classes)
    for pseudo in rehearse(labeller, one, dataset, cache):
        check_time()
        n = len(dataset.classes)
        held_out.setdefault(pseudo.provenance.method, []).append(
            HeldOutFrame(
                video=one.video.name,
                frame=one.key_frame,
                kind=one.kind,
                distance=one.distance,
                hits=count_hits(pseudo.labels, pseudo.confidence, truth, class_count=n),
                confusion=confusion.count(pseudo.labels, truth, class_count=n),
            )
        )


def _networks(finished: FinishedRun, *, device: str, progress: Progress) -> Networks:
    """Return the networks of a finished run, which are all trained."""
    root, job = finished.run.root, finished.run.job()
    if job.get("parts"):
        raise RunFolderError(
            f"{root} was made with parts that were supplied as objects ({shorten(job['parts'])}); expected "
            "networks of the run's own, which can be held out"
        )
    origins = [dict(one) for one in job.get("also_train", ()) if "reader" in one]
    further = [open_dataset(**origin) for origin in origins]
    return Networks(reopened(finished, RunFolder(root), device=device, also_train=further, progress=progress))
