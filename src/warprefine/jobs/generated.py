"""Take the labels that a run has made, as training data."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from warprefine.core.errors import RunFolderError
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator
from warprefine.core.video import Dataset
from warprefine.io.run import RunFolder
from warprefine.jobs.autolabel import Started
from warprefine.propagation.evidence import Models
from warprefine.propagation.joint import carry_pictures, joint_path
from warprefine.propagation.methods import ORACLE
from warprefine.propagation.schedule import plan
from warprefine.training.samples import LabelledFrame

JOINT_METHOD = "motion-only"
"""Its labels are shown with pictures carried alike, as Zhu et al. (CVPR 2019) recommend."""


@dataclass(frozen=True, kw_only=True)
class LabelledRun:
    """A run folder whose labels are made, the videos they belong to, and the motion that carried them."""

    run: RunFolder
    dataset: Dataset
    motion: MotionEstimator
    keep: Literal["all", "flow", "nothing"] = "all"

    @classmethod
    def of(cls, started: Started) -> LabelledRun:
        """Take the run of a job that has labelled its videos."""
        preparation = started.preparation
        return cls(
            run=preparation.run,
            dataset=preparation.teachers.dataset,
            motion=preparation.motion,
            keep=preparation.recipe.propagation.keep,
        )

    def frames(
        self, method: str, *, offsets: Collection[int], progress: Progress = silent
    ) -> list[LabelledFrame]:
        """List the frames that `method` has labelled at `offsets` from their key frames.

        The oracle has only frames with truth; frames of motion-only come with carried pictures.

        Raises:
            RunFolderError: There is none, or one that should be there has no labels yet.
        """
        joint = method == JOINT_METHOD
        if joint:
            models = Models(motion=self.motion, keep=self.keep)
            carry_pictures(self.run, self.dataset, models, offsets=offsets, progress=progress)
        found = [
            LabelledFrame(
                video=video,
                frame=frame,
                classes=self.dataset.classes,
                labels=self.run.labels_path(method, video.name, video.stems[frame]),
                picture=joint_path(self.run, video.name, video.stems[frame]) if joint else None,
            )
            for video in self.dataset.videos
            for unit in plan(video, max(offsets))
            for frame in unit.frames
            if unit.distance(frame) in offsets and (method != ORACLE or frame in video.truth)
        ]
        missing = [member.label_path for member in found if not member.label_path.exists()]
        if missing or not found:
            what = f"{missing[0]} is missing" if missing else f"{self.run.root} has no such frame"
            raise RunFolderError(
                f"no labels of {method} at {sorted(offsets)} frames from the key frames: {what}; make them "
                f"with `warprefine autolabel --method {method}`, with a horizon of at least {max(offsets)}"
            )
        return found
