"""A finished run, read from its folder: labels with provenance, scores, pseudo-labels to train on."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from warprefine.core.errors import RunFolderError
from warprefine.core.names import look_up, printable
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator
from warprefine.core.stages import Stage, count_stages, described
from warprefine.core.tensors import Confidence, LabelMaps
from warprefine.core.video import Dataset, Video
from warprefine.datasets import open_dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.io.atomic import write_text, writing_errors
from warprefine.io.claims import own_json
from warprefine.io.images import read_gray, read_labels
from warprefine.io.run import RunFolder
from warprefine.jobs.labelled_data import check_labelled
from warprefine.jobs.networks import motion_of_run
from warprefine.jobs.preflight import reached_horizon
from warprefine.jobs.usable_data import without
from warprefine.metrics.label_quality import evaluate
from warprefine.metrics.score_table import format_table
from warprefine.metrics.scores import MethodScores, format_percent, leading
from warprefine.propagation.coverage import Coverage, coverage
from warprefine.propagation.evidence import Models
from warprefine.propagation.joint import joint_path, propagate_images
from warprefine.propagation.methods import ORACLE, PLUS
from warprefine.propagation.units import stepwise_units
from warprefine.recipe.recipe import Recipe
from warprefine.training.data.samples import LabelledFrame

JOINT_METHOD = "motion-only"
"""Its labels are paired with images propagated alike, as Zhu et al. (CVPR 2019) recommend."""
_CPU = torch.device("cpu")
_LABEL_AGAIN = "delete it and run `warprefine autolabel` with the same options again"


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameLabels:
    """The labels of one frame of a finished run.

    Attributes:
        frame: The frame's number.
        labels: Class positions or VOID, (1, h, w).
        confidence: Estimated probability that each label is right, (1, h, w); 1 on key frames.
        distance: Frames to the nearest key frame; 0 on key frames.
        key_frames: The key frames that the labels come from: the nearer side first, each from near to far.
        stage: The stage of the main job that computed them; None on key frames.
    """

    frame: int
    labels: LabelMaps
    confidence: Confidence
    distance: int
    key_frames: tuple[int, ...]
    stage: Stage | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class FinishedRun:
    """A run that has labelled its videos; printed, it lists them with their scores.

    Attributes:
        run: The run folder.
        dataset: The videos that were labelled.
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
        return tuple(coverage(video, self.horizon) for video in self.dataset.videos)

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
            folder: The run folder.
            labelled: Whether it has to have labels; a student of key frames alone needs none.

        Raises:
            RunFolderError: It is not the folder of a finished run, or its data set was not opened by
                `open_dataset`.
            DatasetError: The data set is no longer where it was.
        """
        root = Path(folder)
        _check_folder(root)
        if not (root / "job.json").exists():
            raise RunFolderError(
                f"{root} holds no job.json; expected a folder made by `warprefine autolabel`"
            )
        run = RunFolder(root, read_only=True)
        origin, horizon, recipe = _recorded(root / "job.json", run.job())
        if origin is None:
            raise RunFolderError(
                f"{root} was made from a data set in memory, expected one opened by `open_dataset`; "
                "take the scores from what `autolabel` returned, or from metrics.json"
            )
        dataset, failures = open_dataset(**origin), left_out(run)
        sound, reach = without(dataset, failures), reached_horizon(dataset, horizon)
        return cls(
            run=run,
            dataset=sound,
            horizon=reach,
            recipe=recipe,
            methods=_complete(run, sound, methods_of(root), reach) if labelled else (),
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
        of_video = self._video(video)
        provenances = self.run.provenances(video, method)
        for frame in frames:
            stem, provenance = of_video.stems[frame], provenances.get(frame)
            yield FrameLabels(
                frame=frame,
                labels=read_labels(self.run.labels_path(method, video, stem), self.dataset.classes),
                confidence=read_gray(self.run.confidence_path(method, video, stem)),
                distance=provenance.distance if provenance else 0,
                key_frames=provenance.key_frames if provenance else (frame,),
                stage=provenance.stage if provenance else None,
            )

    def labelled_frames(self, video: str, method: str) -> tuple[int, ...]:
        """Return the numbers of the labelled frames of a video in order of time, key frames included.

        Raises:
            RecipeError: The run has no video or no method of that name.
            RunFolderError: The manifest has no labels of this video, or its data changed since.
        """
        of_video = self._video(video)
        look_up(dict.fromkeys(self.methods), method, what="method of this run")
        check_labelled(self.run, replace(self.dataset, videos=(of_video,)), method, horizon=self.horizon)
        provenances = self.run.provenances(video, method)
        if not provenances and stepwise_units(of_video, self.horizon):
            raise RunFolderError(
                f"{self.run.root} has no record of labels of {method} for {video!r}; run `warprefine "
                "autolabel` with the same options again, it finishes what is missing"
            )
        return tuple(sorted({*provenances, *of_video.key_frames}))

    def _video(self, name: str) -> Video:
        return look_up({one.name: one for one in self.dataset.videos}, name, what="video")

    def evaluate(self, *, void_as_class: bool = False) -> dict[str, MethodScores]:
        """Score the labels again from their files.

        Args:
            void_as_class: Score VOID as a class of its own.

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
        )

    def pseudo_labels(
        self,
        method: str,
        *,
        offsets: Collection[int],
        out: Path | None = None,
        device: torch.device = _CPU,
        progress: Progress = silent,
    ) -> list[LabelledFrame]:
        """Return the frames that `method` has labelled at `offsets` from their key frames.

        The oracle has only frames with truth; frames of motion-only come with propagated images.

        Args:
            method: A method of this run.
            offsets: Distances from the key frame.
            out: Propagated images are written here; None is the run folder.
            device: Where motion is estimated.
            progress: Called as images are propagated.

        Raises:
            RunFolderError: There is none, one that should be there has no labels yet, the data changed since
                they were labelled, or images cannot be propagated as labels were.
        """
        check_labelled(self.run, self.dataset, method, horizon=self.horizon)
        joint = RunFolder(out or self.run.root) if method == JOINT_METHOD else None
        if joint is not None:
            models = Models(motion=self._motion(device), keep=self.recipe.propagation.keep)
            cache = ArrayCache(joint.cache, beside=self.run.cache)
            propagate_images(joint, self.dataset, models, cache=cache, offsets=offsets, progress=progress)
        found = [
            LabelledFrame(
                video=video,
                frame=frame,
                classes=self.dataset.classes,
                labels=self.run.labels_path(method, video.name, video.stems[frame]),
                picture=joint_path(joint, video.name, video.stems[frame]) if joint else None,
            )
            for video, frame in self._frames_at(offsets)
            if method != ORACLE or frame in video.truth
        ]
        missing = [member.label_path for member in found if not member.label_path.exists()]
        if missing or not found:
            what = f"{missing[0]} is missing" if missing else f"{self.run.root} has no such frame"
            raise RunFolderError(
                f"no labels of {method} at {sorted(offsets)} frames from the key frames: {what}; make them "
                f"with `warprefine autolabel --method {method}`, with a horizon of at least {max(offsets)}"
            )
        return found

    def _motion(self, device: torch.device) -> MotionEstimator:
        """Return the motion that labels were propagated with."""
        if self.motion is not None:
            return self.motion
        supplied = self.run.job().get("parts", {}).get("motion")
        if supplied:
            raise RunFolderError(
                f"{self.run.root} was labelled with the motion {supplied!r}, supplied as an object; take the "
                f"pseudo-labels of {JOINT_METHOD} from what `autolabel` returned, or those of another method"
            )
        return motion_of_run(self.run, self.recipe, device=device)

    def _frames_at(self, offsets: Collection[int]) -> Iterator[tuple[Video, int]]:
        for video in self.dataset.videos:
            for unit in stepwise_units(video, max(offsets)):
                for frame in unit.frames:
                    if unit.distance(frame) in offsets:
                        yield video, frame


def evaluate_run(run: Path | str, *, void_as_class: bool = False) -> dict[str, MethodScores]:
    """Score the labels of a finished run against the truth, from its files.

    Args:
        run: The run folder.
        void_as_class: Score VOID as a class of its own.

    Returns:
        The scores of each method, in percent.

    Raises:
        RunFolderError: It is not the folder of a finished run.
        DatasetError: The data set is no longer where it was, or has no truth.

    Example:
        >>> from warprefine import evaluate
        >>> evaluate("RUN")["warp-refine-plus"].miou_by_distance  # doctest: +SKIP
    """
    return FinishedRun.open(run).evaluate(void_as_class=void_as_class)


def methods_of(root: Path) -> tuple[str, ...]:
    """Return the methods whose labels a run folder has, by name.

    Raises:
        RunFolderError: It is no folder, or has none.
    """
    _check_folder(root)
    methods = tuple(sorted(path.name for path in (root / "labels").glob("[!.]*")))
    if not methods:
        raise RunFolderError(
            f"{root} holds no labels yet; run `warprefine autolabel` with the same options to make them"
        )
    return methods


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        raise RunFolderError(f"{root} is no folder; expected one that `warprefine autolabel` has made")


def stages_of(run: RunFolder, dataset: Dataset, method: str) -> dict[Stage, int]:
    """Return how many frames of a method have labels of each stage; key frames are of none."""
    return count_stages(
        provenance.stage
        for video in dataset.videos
        for provenance in run.provenances(video.name, method).values()
    )


def _complete(run: RunFolder, dataset: Dataset, methods: Sequence[str], horizon: int) -> tuple[str, ...]:
    """Return those methods that have labelled all frames; all of them if none has.

    A command that was stopped may have begun with some, while others have the labels of a stage.
    """
    try:
        complete = tuple(
            method
            for method in methods
            if all(
                _frames_due(video, horizon, method) <= _labelled(run, video, method)
                for video in dataset.videos
            )
        )
    except RunFolderError:  # without a manifest
        return tuple(methods)
    return complete or tuple(methods)


def _frames_due(video: Video, horizon: int, method: str) -> set[int]:
    due = {frame for unit in stepwise_units(video, horizon) for frame in unit.frames}
    return due & set(video.truth) if method == ORACLE else due


def _labelled(run: RunFolder, video: Video, method: str) -> set[int]:
    return {frame for frame, record in run.records(video.name, method).items() if record.is_whole}


def write_left_out(run: RunFolder, failures: Mapping[str, str]) -> None:
    """Write the videos that were left out, and why, into the run folder."""
    if failures:
        write_text(run.left_out_path, json.dumps(dict(failures), indent=2) + "\n")
    else:
        with writing_errors(run.left_out_path):
            run.left_out_path.unlink(missing_ok=True)


def left_out(run: RunFolder) -> dict[str, str]:
    """Return the videos that a run could not label, and why."""
    if not run.left_out_path.exists():
        return {}
    with own_json(run.left_out_path, remedy=_LABEL_AGAIN):
        found = json.loads(run.left_out_path.read_text(encoding="utf-8"))
        return {str(name): str(problem) for name, problem in found.items()}


def _recorded(
    path: Path, job: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, int | Literal["all"], Recipe]:
    """Return data set, horizon and recipe of a job; no data set if it was given in memory."""
    with own_json(path, remedy=_LABEL_AGAIN):
        data, horizon, recipe = dict(job["data"]), job["horizon"], Recipe(**job["recipe"])
        if horizon != "all" and type(horizon) is not int:
            raise TypeError(f"horizon = {horizon!r}")
        if "reader" not in data:
            return None, horizon, recipe
        if not all(isinstance(data[key], str) for key in ("root", "reader", "split")):
            raise TypeError(f"data = {data}")
        return {key: data[key] for key in ("root", "reader", "split", "key_frames")}, horizon, recipe
