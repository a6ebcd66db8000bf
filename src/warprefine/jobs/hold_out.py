"""Estimate how good the labels of a finished run are: hold out each of its key frames in turn."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from warprefine.core.errors import RunFolderError, shorten
from warprefine.core.progress import Progress, silent
from warprefine.core.pseudolabel import PseudoLabel
from warprefine.core.time_limit import check_time
from warprefine.core.video import Video
from warprefine.datasets import open_dataset
from warprefine.io.atomic import write_text
from warprefine.io.images import read_labels
from warprefine.io.locks import locked
from warprefine.io.run import RunFolder
from warprefine.jobs.calibration import grouped, plan_rehearsals, rehearsed
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.held_out_networks import HeldOutNetworks, can_hold_out
from warprefine.jobs.hold_out_file import ESTIMATES, labels_of
from warprefine.jobs.networks import Networks
from warprefine.jobs.reopened import reopened
from warprefine.jobs.stages import networks_of
from warprefine.metrics import confusion
from warprefine.metrics.hold_out import HeldOutFrame, HoldOutEstimate, estimate
from warprefine.metrics.reliability import raw_confidence_counts, raw_confidence_counts_alone
from warprefine.ops.calibration import count_hits
from warprefine.propagation.evidence import Models, open_evidence
from warprefine.propagation.methods import METHODS, PLUS, LabellerKind
from warprefine.propagation.rehearsal import rehearse
from warprefine.propagation.unreached import label_alone

_ALL = 1_000_000
HELD_OUT = (
    "the labels of the key frame",
    "the segmenter: that of its fold, or the base adapted to the other folds",
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
    video has no other key frame, its labels are sent through cycles. If the segmenter alone has labelled
    frames that no key frame reaches, key frames that it labels alone give an estimate of these. The
    estimates are written to hold_out.json, and shown in the report. Refiners that are held out are trained
    when they are first needed: as long as those of the run, for each fold.

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
            sources = _sources(finished, method)
            found[method] = estimate(frames, counts, finished.dataset.classes, sources=sources, seed=seed)
            alone = raw_confidence_counts_alone(finished.run, finished.dataset, method)
            if alone.any() and (of_segmenter := _alone(finished, networks, method)):
                unreached = estimate(of_segmenter, alone, finished.dataset.classes, seed=seed)
                found[method] = replace(found[method], unreached=unreached)
        _write(finished, found)
    return found


def _hold_out(finished: FinishedRun, networks: Networks) -> dict[str, list[HeldOutFrame]]:
    """Label each key frame as if it were none; return what is right and wrong, by method."""
    context = networks.context
    reach = context.recipe.plus.choose.reach
    planned = plan_rehearsals(context.dataset, horizon=context.horizon, reach=reach, most=_ALL)
    kinds: dict[LabellerKind, list[str]] = {}
    for method in finished.methods:
        kinds.setdefault(METHODS[method].labeller, []).append(method)
    held_out: dict[str, list[HeldOutFrame]] = {}
    for methods in (group for of_kind in kinds.values() for group in grouped(of_kind)):
        used = _networks_of(finished, networks, methods)
        for number, (one, labeller) in enumerate(rehearsed(used, methods, planned), start=1):
            for pseudo in rehearse(labeller, one, context.dataset, context.cache):
                check_time()
                frame = _compared(networks, one.video, pseudo, kind=one.kind, distance=one.distance)
                held_out.setdefault(pseudo.provenance.method, []).append(frame)
            note = f"{one.video.name} {one.key_frame}"
            context.progress("holding out key frames", number, len(planned), note)
    return held_out


def _alone(finished: FinishedRun, networks: Networks, method: str) -> list[HeldOutFrame]:
    """Label each key frame by the segmenter alone that has not learned from it; return right and wrong."""
    context, used = networks.context, _networks_of(finished, networks, [method])
    threshold = context.recipe.propagation.semantic_threshold
    by_fold: dict[int, Models] = {}
    found = []
    for one in used.teachers.key_frames:
        video, fold = one.video, used.teachers.fold_of(one.video, one.frame)
        if fold not in by_fold and can_hold_out(used, fold, frozenset({"segmenter"})):
            held_out = HeldOutNetworks(used, fold)
            by_fold[fold] = held_out.models("stepwise", held_out.segmenter())
        if models := by_fold.get(fold):
            with open_evidence(video, context.dataset.classes, models, context.cache) as evidence:
                for pseudo in label_alone(evidence, one.frame, [method], threshold=threshold):
                    check_time()
                    found.append(_compared(networks, video, pseudo, kind="alone", distance=0))
    return found


def _sources(finished: FinishedRun, method: str) -> dict[int, int]:
    """Return how many frames a method has labelled from one key frame, and from two."""
    return Counter(
        len(origin.key_frames)
        for video in finished.dataset.videos
        for origin in finished.run.manifest.provenances(video.name, method).values()
        if origin.key_frames and 0 < origin.distance <= finished.horizon
    )


def _networks_of(finished: FinishedRun, networks: Networks, methods: Sequence[str]) -> Networks:
    """Return the networks of the last stage that methods have labels of."""
    stages = finished.stages
    return networks_of(networks, [*stages][-1]) if PLUS in methods and stages else networks


def _write(finished: FinishedRun, found: Mapping[str, HoldOutEstimate]) -> None:
    content = {
        "labels": labels_of(finished.run, finished.dataset, finished.methods),
        "held_out": list(HELD_OUT),
        "not_held_out": list(NOT_HELD_OUT),
        "methods": {method: one.to_json() for method, one in found.items()},
    }
    write_text(finished.run.root / ESTIMATES, json.dumps(content, indent=1) + "\n")


def _compared(
    networks: Networks, video: Video, pseudo: PseudoLabel, *, kind: str, distance: int
) -> HeldOutFrame:
    """Return what is right and wrong of the labels that a key frame was given as if it were none."""
    classes = networks.context.dataset.classes
    truth, n = read_labels(video.labels[pseudo.frame], classes), len(classes)
    return HeldOutFrame(
        video=video.name,
        frame=pseudo.frame,
        kind=kind,
        distance=distance,
        hits=count_hits(pseudo.labels, pseudo.confidence, truth, class_count=n),
        confusion=confusion.count(pseudo.labels, truth, class_count=n),
        sources=len(pseudo.provenance.key_frames),
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
