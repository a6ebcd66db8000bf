"""A finished run, read from its folder: labels with provenance, scores, pseudo-labels to train on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from warprefine.core.errors import RunFolderError
from warprefine.core.names import look_up, printable
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator
from warprefine.core.stages import Stage, described
from warprefine.core.video import Dataset, Video
from warprefine.datasets import open_dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.io.images import read_gray, read_labels
from warprefine.io.publishing import read_run
from warprefine.io.run import RunFolder
from warprefine.jobs.corrections import with_corrections
from warprefine.jobs.cut_guard import continuity_of, with_continuity
from warprefine.jobs.frame_labels import FrameLabels
from warprefine.jobs.labelled_data import check_labelled
from warprefine.jobs.moved_data import check_place
from warprefine.jobs.preflight import reached_horizon
from warprefine.jobs.pseudo_labels import JOINT_METHOD, Confident, motion_of_labels, pseudo_labelled_frames
from warprefine.jobs.run_records import (
    check_folder,
    complete_methods,
    left_out,
    methods_of,
    recorded_job,
    stages_of,
)
from warprefine.jobs.suggestions import Suggestions, suggest_frames
from warprefine.jobs.usable_data import without
from warprefine.metrics.expected import expected_errors
from warprefine.metrics.label_quality import evaluate
from warprefine.metrics.score_table import format_table
from warprefine.metrics.scores import MethodScores, format_percent, leading
from warprefine.propagation.coverage import Coverage, coverage
from warprefine.propagation.evidence import Models
from warprefine.propagation.joint import propagate_images
from warprefine.propagation.methods import PLUS
from warprefine.propagation.units import stepwise_units
from warprefine.recipe.recipe import Recipe
from warprefine.training.data.samples import LabelledFrame

_CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True, repr=False)
class FinishedRun:
    """A run that has labelled its videos; printed, it lists them with their scores.

    Attributes:
        run: The run folder.
        dataset: The videos that were labelled, with the key frames that were corrected in the run.
        horizon: Frames are labelled up to this far from a key frame.
        recipe: The hyper-parameters.
        methods: The methods whose labels it has.
        scores: By method, where there is truth.
        failures: The videos that were left out, by name, and why.
        tau: The colour distance up to which motion was trusted; None if no method needs it.
        motion: The motion estimator used, if it was supplied as an object.
    """

    run: RunFolder
    dataset: Dataset
    horizon: int
    recipe: Recipe
    methods: tuple[str, ...]
    scores: dict[str, MethodScores] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    tau: float | None = None
    motion: MotionEstimator | None = None

    def __repr__(self) -> str:
        return printable(f"<FinishedRun {self._summary()}>")

    def __str__(self) -> str:
        lines = [f"{one.video}: {one}" for one in self.coverage if self.methods]
        lines += [f"{name}: left out, {problem}" for name, problem in self.failures.items()]
        scores = [format_table(self.scores)] if self.scores else []
        return printable("\n".join([f"run {self._summary()}", *lines, *scores]))

    def _summary(self) -> str:
        """Return folder, methods, number of labelled frames and the score of the best method in a line."""
        if not self.methods:
            return f"{self.run.root}: no labels"
        frames = sum(one.frames for one in self.coverage)
        labelled = sum(one.labelled for one in self.coverage)
        score = self.scores[leading(self.scores)].miou if self.scores else None
        scored = "" if score is None else f", mIoU {format_percent(score)} %"
        of_stage = f" ({described(self.stages)})" if self.stages else ""
        methods = ", ".join(self.methods)
        return f"{self.run.root}: {methods}; {labelled} of {frames} frames labelled{of_stage}{scored}"

    @property
    def coverage(self) -> tuple[Coverage, ...]:
        """Which frames of each video are labelled, and which are out of reach of all key frames."""
        found = (coverage(video, self.horizon) for video in self.dataset.videos)
        return tuple(replace(one, by_segmenter=self._by_segmenter(one)) for one in found)

    def _by_segmenter(self, reached: Coverage) -> tuple[int, ...]:
        """Return the frames out of reach that have labels of the segmenter alone."""
        if not reached.out_of_reach or not self.methods:
            return ()
        try:
            found = self.run.manifest.provenances(reached.video, leading(self.methods))
        except RunFolderError:  # without a manifest
            return ()
        return tuple(frame for frame in reached.out_of_reach if frame in found)

    @property
    def stages(self) -> dict[Stage, int]:
        """How many frames have labels of each stage, by the method whose labels are to be used.

        Stages are those of warp-refine-plus; other methods have none.
        """
        try:
            return stages_of(self.run, self.dataset, PLUS) if PLUS in self.methods else {}
        except RunFolderError:  # without a manifest
            return {}

    @classmethod
    def open(cls, folder: Path | str, *, labelled: bool = True) -> FinishedRun:
        """Open a run folder again; scores are computed by `evaluate`.

        Args:
            folder: The run folder, or its URL on a storage.
            labelled: Whether it has to have labels; a student of key frames alone needs none.

        Raises:
            RunFolderError: It is not the folder of a finished run, or its data set was not opened by
                `open_dataset`.
            DatasetError: The data set is no longer where it was.
        """
        root = read_run(folder)
        check_folder(root)
        if not (root / "job.json").exists():
            raise RunFolderError(
                f"{root} holds no job.json; expected a folder made by `warprefine autolabel`"
            )
        run = RunFolder(root, read_only=True)
        origin, horizon, recipe = recorded_job(root / "job.json", run.job())
        if origin is None:
            raise RunFolderError(
                f"{root} was made from a data set in memory, expected one opened by `open_dataset`; "
                "take the scores from what `autolabel` returned, or from metrics.json"
            )
        check_place(origin, root)
        dataset, failures = open_dataset(**origin), left_out(run)
        sound = with_continuity(without(dataset, failures), continuity_of(run))
        reach = reached_horizon(dataset, horizon)
        # Which methods are complete does not depend on corrections: what they change is labelled again later.
        return cls(
            run=run,
            dataset=with_corrections(sound, root),
            horizon=reach,
            recipe=recipe,
            methods=complete_methods(run, sound, methods_of(root), reach) if labelled else (),
            failures=failures,
        )

    def labels(self, video: str, method: str | None = None) -> Iterator[FrameLabels]:
        """Yield the labelled frames of a video in order of time, key frames included.

        Args:
            video: The video's name.
            method: The method whose labels are read; by default the last of `METHODS` but the oracle.

        Raises:
            RecipeError: The run has no video or no method of that name.
            RunFolderError: The manifest has no labels of this video, or its data changed since.
            LabelError: A label map is missing or damaged.
        """
        method = method or leading(self.methods)
        frames = self.labelled_frames(video, method)
        by_hand = self._video(video).corrected
        provenances = self.run.manifest.provenances(video, method)
        for frame in frames:
            provenance = None if frame in by_hand else provenances.get(frame)
            path, of_confidence = self.label_files(video, frame, method)
            labels = read_labels(path, self.dataset.classes)
            yield FrameLabels(
                frame=frame,
                labels=labels,
                confidence=torch.ones(labels.shape) if of_confidence is None else read_gray(of_confidence),
                distance=provenance.distance if provenance else 0,
                key_frames=provenance.key_frames if provenance else (frame,),
                stage=provenance.stage if provenance else None,
            )

    def label_files(self, video: str, frame: int, method: str) -> tuple[Path, Path | None]:
        """Return the files of labels and confidence of a frame; corrections are certain, without the latter.

        Raises:
            RecipeError: The run has no video of that name.
        """
        of_video = self._video(video)
        if frame in of_video.corrected:
            return of_video.labels[frame], None
        stem = of_video.stems[frame]
        return self.run.labels_path(method, video, stem), self.run.confidence_path(method, video, stem)

    def labelled_frames(self, video: str, method: str) -> tuple[int, ...]:
        """Return the numbers of the labelled frames of a video in order of time, key frames included.

        Raises:
            RecipeError: The run has no video or no method of that name.
            RunFolderError: The manifest has no labels of this video, or its data changed since.
        """
        of_video = self._video(video)
        look_up(dict.fromkeys(self.methods), method, what="method of this run")
        check_labelled(self.run, replace(self.dataset, videos=(of_video,)), method, horizon=self.horizon)
        provenances = self.run.manifest.provenances(video, method)
        if not provenances and stepwise_units(of_video, self.horizon):
            raise RunFolderError(
                f"{self.run.root} has no record of labels of {method} for {video!r}; run `warprefine "
                "autolabel` with the same options again, it finishes what is missing"
            )
        return tuple(sorted({*provenances, *of_video.key_frames}))

    def _video(self, name: str) -> Video:
        return look_up({one.name: one for one in self.dataset.videos}, name, what="video")

    def evaluate(self, *, void_as_class: bool = False, boundaries: bool = True) -> dict[str, MethodScores]:
        """Score the labels again from their files, or from what was counted of the same files before.

        Args:
            void_as_class: Score VOID as a class of its own.
            boundaries: Score boundaries too.

        Raises:
            DatasetError: The data set has no truth.
            RunFolderError: The data changed since they were labelled.
        """
        for method in self.methods:
            check_labelled(self.run, self.dataset, method, horizon=self.horizon)
        return evaluate(
            self.run,
            self.dataset,
            methods=self.methods,
            horizon=self.horizon,
            reach=self.recipe.plus.choose.reach,
            void_as_class=void_as_class,
            boundaries=boundaries,
        )

    def suggest(self, n: int = 5, method: str | None = None) -> Suggestions:
        """Return up to n frames whose labelling would help most, the best first, each with its reason.

        Args:
            n: The number of frames.
            method: The method whose labels are to be improved; by default the one that `labels` reads.

        Raises:
            RecipeError: n is less than 1, or the run has no method of that name.
            RunFolderError: It has no labels.
        """
        method = self._method(method)
        return suggest_frames(self.run, self.dataset, method, n=n, horizon=self.horizon)

    def expected_errors(self, video: str, method: str | None = None) -> Float32[np.ndarray, " n"]:
        """Return the expected share of wrong pixels of each frame of a video, as `metrics.expected` does.

        Raises:
            RecipeError: The run has no video or no method of that name.
            RunFolderError: It has no labels.
        """
        return expected_errors(self.run, self._video(video), self._method(method))

    def _method(self, name: str | None) -> str:
        if not self.methods:
            raise RunFolderError(
                f"{self.run.root} holds no labels yet; run `warprefine autolabel` with the same options to "
                "make them"
            )
        if name is None:
            return leading(self.methods)
        return look_up({method: method for method in self.methods}, name, what="method of this run")

    def pseudo_labels(
        self,
        method: str,
        *,
        offsets: Collection[int],
        out: Path | None = None,
        confident: float = 0.0,
        device: torch.device = _CPU,
        progress: Progress = silent,
    ) -> list[LabelledFrame]:
        """Return the frames that `method` has labelled at `offsets` from their key frames.

        The oracle has only frames with truth; frames of motion-only come with propagated images.

        Args:
            method: A method of this run.
            offsets: Distances from the key frame.
            out: Propagated images and masked label maps are written here; None is the run folder.
            confident: Least confidence of the labels, from 0 to 1; others are VOID.
            device: Where motion is estimated.
            progress: Called as images are propagated.

        Raises:
            RunFolderError: There is none, one that should be there has no labels yet, the data changed since
                they were labelled, or images cannot be propagated as labels were.
        """
        check_labelled(self.run, self.dataset, method, horizon=self.horizon)
        images = None
        if method == JOINT_METHOD:
            images = RunFolder(out or self.run.root)
            given = self.motion
            motion = motion_of_labels(self.run, self.recipe, device=device) if given is None else given
            models = Models(motion=motion, keep=self.recipe.propagation.keep)
            cache = ArrayCache(images.cache, beside=self.run.cache)
            propagate_images(images, self.dataset, models, cache=cache, offsets=offsets, progress=progress)
        masks = (out or self.run.root) / "confident" / f"{confident:g}" / method
        chosen = Confident(least=confident, folder=masks) if confident else None
        return pseudo_labelled_frames(
            self.run, self.dataset, method, offsets=offsets, images=images, confident=chosen
        )


def evaluate_run(
    run: Path | str, *, void_as_class: bool = False, boundaries: bool = True
) -> dict[str, MethodScores]:
    """Score the labels of a finished run against the truth, from its files.

    Args:
        run: The run folder, or its URL on a storage.
        void_as_class: Score VOID as a class of its own.
        boundaries: Score boundaries too.

    Returns:
        The scores of each method, in percent.

    Raises:
        RunFolderError: It is not the folder of a finished run.
        DatasetError: The data set is no longer where it was, or has no truth.

    Example:
        >>> from warprefine import evaluate
        >>> evaluate("RUN")["warp-refine-plus"].miou_by_distance  # doctest: +SKIP
    """
    return FinishedRun.open(run).evaluate(void_as_class=void_as_class, boundaries=boundaries)
