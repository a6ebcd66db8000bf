"""Carry the picture of a key frame along with its labels, so that both are displaced alike.

Joint image-label propagation (Zhu et al., CVPR 2019): where motion errs, the carried labels do not fit
the real frame, but they do fit the picture carried in the same way. The paper trains its motion-only
students so (section 4.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

import torch

from warprefine.core.progress import Progress, silent
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.frames import open_frames
from warprefine.io.images import write_frame
from warprefine.io.run import RunFolder
from warprefine.ops.warp import backward_warp
from warprefine.propagation.evidence import Evidence, Models
from warprefine.propagation.schedule import Unit, plan

JOINT = "joint"
"""Units of carried pictures stand in a run's manifest under this name."""


def joint_path(run: RunFolder, video: str, stem: str) -> Path:
    """Where the carried picture of one frame lies."""
    return run.root / JOINT / video / f"{stem}.png"


def carry_pictures(
    run: RunFolder,
    dataset: Dataset,
    models: Models,
    *,
    offsets: Collection[int],
    progress: Progress = silent,
) -> None:
    """Write the carried picture of every frame at one of `offsets` from its key frame.

    A picture is warped again at each step, as the labels are, but it is never rounded on the way: the
    released code of Zhu et al. resamples to the nearest pixel and truncates at each step.
    """
    units = [(video, unit) for video in dataset.videos for unit in plan(video, max(offsets))]
    for done, (video, unit) in enumerate(units, 1):
        frames = [frame for frame in unit.frames if unit.distance(frame) in offsets]
        said = (models.motion.name, unit.frames, frames)
        fingerprint = hashlib.sha256(repr(said).encode()).hexdigest()[:16]
        paths = {frame: joint_path(run, video.name, video.stems[frame]) for frame in frames}
        if not (run.is_done(unit.name, JOINT, fingerprint) and all(path.exists() for path in paths.values())):
            _carry(run, video, unit, models, paths)
            run.mark_done(unit.name, JOINT, fingerprint)
        progress("carrying pictures", done, len(units), video.name)


def _carry(run: RunFolder, video: Video, unit: Unit, models: Models, paths: dict[int, Path]) -> None:
    with open_frames(video) as source:
        evidence = Evidence(video, source, models, ArrayCache(run.cache))
        picture, previous = evidence.frame(unit.key_frame).float(), unit.key_frame
        for frame in unit.frames:
            picture = backward_warp(picture, evidence.flow(frame, previous))
            if frame in paths:
                write_frame(paths[frame], picture.round().clamp(0, 255).to(torch.uint8))
            previous = frame
