"""Joint image-label propagation: the image of a key frame is warped along with its labels.

Zhu et al., CVPR 2019: where motion errs, propagated labels do not fit the real frame, but they do fit the
image propagated in the same way. The paper trains its motion-only students so (section 4.2).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch

from warprefine.core.progress import Progress, silent
from warprefine.core.pseudolabel import Provenance
from warprefine.core.video import Dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.io.fingerprints import fingerprint_of
from warprefine.io.images import write_frame
from warprefine.io.run import RunFolder
from warprefine.ops.warp import backward_warp
from warprefine.propagation.evidence import Evidence, Models, content_of, open_evidence
from warprefine.propagation.units import Unit, stepwise_units

JOINT = "joint"
"""Propagated images are recorded in a run's manifest under this name."""


def joint_path(run: RunFolder, video: str, stem: str) -> Path:
    """Return where the propagated image of one frame lies."""
    return run.root / JOINT / video / f"{stem}.png"


def propagate_images(
    run: RunFolder,
    dataset: Dataset,
    models: Models,
    *,
    cache: ArrayCache,
    offsets: Collection[int],
    progress: Progress = silent,
) -> None:
    """Write the propagated image of every frame at one of `offsets` from its key frame.

    An image is warped again at each step, as labels are, but it is never rounded on the way: the
    released code of Zhu et al. resamples to the nearest pixel and truncates at each step.

    Args:
        run: Where the images are written; not the run with the labels, which may belong to somebody else.
        dataset: The videos.
        models: The motion that labels were propagated with.
        cache: Where flow is kept.
        offsets: Distances from the key frames.
        progress: Called after every unit.
    """
    units = [(video, unit) for video in dataset.videos for unit in stepwise_units(video, max(offsets))]
    for done, (video, unit) in enumerate(units, 1):
        wanted = {
            frame: Provenance(method=JOINT, key_frames=unit.key_frames, distance=unit.distance(frame))
            for frame in unit.frames
            if unit.distance(frame) in offsets
        }
        paths = {frame: joint_path(run, video.name, video.stems[frame]) for frame in wanted}
        content = content_of(video, dataset.classes, models.motion, (*unit.frames, *unit.key_frames))
        fingerprint = fingerprint_of(
            models.motion.name, unit.key_frames, unit.frames, {k: video.stems[k] for k in wanted}, content
        )
        if not run.manifest.is_done(video.name, list(wanted), JOINT, fingerprint):
            with open_evidence(video, dataset.classes, models, cache) as evidence:
                _propagate_image(evidence, unit, paths)
            run.manifest.mark_done(
                video.name, wanted, JOINT, fingerprint, files={k: [path] for k, path in paths.items()}
            )
        progress("propagating images", done, len(units), video.name)


def _propagate_image(evidence: Evidence, unit: Unit, paths: Mapping[int, Path]) -> None:
    (previous,) = unit.key_frames
    image = evidence.frame(previous).float()
    for frame in unit.frames:
        image = backward_warp(image, evidence.flow(frame, previous))
        if frame in paths:
            write_frame(paths[frame], image.round().clamp(0, 255).to(torch.uint8))
        previous = frame
