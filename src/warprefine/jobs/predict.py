"""Label a clip that has no labels, frame by frame, with a student or the segmenter of a run."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from warprefine.core.classes import ClassSet
from warprefine.core.errors import CheckpointError, DatasetError, FrameError, RunFolderError
from warprefine.core.precision import computing
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import Segmentation, Segmenter, device_of
from warprefine.core.tensors import Confidence, Frames, LabelMaps, size_of
from warprefine.core.video import Video
from warprefine.datasets.class_file import write_classes
from warprefine.datasets.files import frames_in
from warprefine.datasets.palette import distinct_colors
from warprefine.io.atomic import make_folder, reading_errors, write_bytes, writing_errors
from warprefine.io.checkpoints import check_classes, check_part, read_card
from warprefine.io.claims import claim
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_file
from warprefine.io.frames import frame_stems, open_frames
from warprefine.io.images import read_gray, read_labels, write_frame, write_gray, write_labels
from warprefine.io.locks import locked
from warprefine.jobs.preflight import check_device
from warprefine.propagation.stepwise.step import Labelling, segment
from warprefine.report.paint import paint_labels
from warprefine.training.segmenter import PART
from warprefine.training.student import load_student

_KINDS = {"labels": ".png", "confidence": ".png", "overlay": ".jpg"}
"""Folders of the output, and the endings of the files in them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictedFrame:
    """The labels of one frame by a network.

    Attributes:
        frame: The frame's number.
        stem: Its name.
        labels: Class positions, (1, h, w).
        confidence: The network's estimate of the probability that each label is right, (1, h, w).
    """

    frame: int
    stem: str
    labels: LabelMaps
    confidence: Confidence


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A clip that a network has labelled.

    Attributes:
        out: The folder: labels/STEM.png, confidence/STEM.png, overlay/STEM.jpg, classes.toml.
        video: The clip.
        classes: The classes, with the numbers and colours of the label maps.
        failures: The frames that could not be read, by number, and why.
    """

    out: Path
    video: Video
    classes: ClassSet
    failures: Mapping[int, str] = field(default_factory=dict)

    def frames(self) -> Iterator[PredictedFrame]:
        """Yield the labels of each frame, in order of time.

        Raises:
            LabelError: A label map is missing or damaged.
        """
        for number, stem in enumerate(self.video.stems):
            if number not in self.failures:
                yield PredictedFrame(
                    frame=number,
                    stem=stem,
                    labels=read_labels(self.path("labels", number), self.classes),
                    confidence=read_gray(self.path("confidence", number)),
                )

    def path(self, kind: str, number: int) -> Path:
        """Return the path of a frame's "labels", "confidence" or "overlay"."""
        return self.out / kind / f"{self.video.stems[number]}{_KINDS[kind]}"

    def files(self, number: int) -> list[Path]:
        """Return the paths of all files of a frame."""
        return [self.path(kind, number) for kind in _KINDS]


def predict(
    model: Path | str,
    video: Path | str,
    out: Path | str,
    *,
    classes: ClassSet | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> Prediction:
    """Label every frame of a clip with a network; no frame has to be labelled by hand.

    Args:
        model: A checkpoint of `warprefine student`, or the segmenter of a run.
        video: A folder of pictures, or a video file.
        out: Label maps, confidence and pictures are written here; what is there already is kept;
            labels of frames that are gone are deleted.
        classes: Numbers and colours of the classes; by default they are numbered from 0.
        device: Where the network runs: cpu, cuda or cuda:1.
        progress: Called after every frame.

    Raises:
        CheckpointError: The model is missing, damaged or no segmenter, or has other classes.
        DatasetError: The video is neither a folder of pictures nor a video file.
        FrameError: No frame can be read.
        RunFolderError: The folder belongs to something else, or cannot be written.

    Example:
        >>> from warprefine import predict
        >>> clip = predict("STUDENT/student-seed0.safetensors", "clip.mp4", "OUT")  # doctest: +SKIP
        >>> for frame in clip.frames():  # doctest: +SKIP
        ...     print(frame.stem, frame.labels.shape, float(frame.confidence.mean()))
    """
    job = start_prediction(Path(model), Path(video), Path(out), classes=classes, device=device)
    return label_clip(job, progress=progress)


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictionJob:
    """A clip to label and the network to label it with, all checked.

    Attributes:
        plan: The clip, its classes and the folder.
        segmenter: The network.
        network: A fingerprint of the network and of how its labels are written.
    """

    plan: Prediction
    segmenter: Segmenter
    network: str


def start_prediction(
    model: Path, video: Path, out: Path, *, classes: ClassSet | None = None, device: str = "cpu"
) -> PredictionJob:
    """Check everything and claim the folder; the arguments are those of `predict`, as are the errors."""
    place = check_device(device)
    card = read_card(model)
    check_part(model, card, PART)
    if classes is None:
        classes = numbered_classes(card.class_names)
    check_classes(model, card, classes)
    plan = Prediction(out=out, video=open_clip(video), classes=classes)
    segmenter = load_student(model, place)
    _claim(plan, model, video)
    return PredictionJob(
        plan=plan,
        segmenter=segmenter,
        network=fingerprint_of(fingerprint_of_file(model, CheckpointError), classes),
    )


def open_clip(source: Path) -> Video:
    """Open a folder of pictures, or a video file, as a video without labels.

    Raises:
        DatasetError: It does not exist, or is a folder without pictures.
        FrameError: It is a file, but no video.
    """
    if not source.exists():
        raise DatasetError(f"there is no {source}; expected a folder of pictures or a video file")
    if source.is_file():
        return Video(name=source.stem, stems=frame_stems(source), container=source)
    inner = source / "frames"  # a video of a data set folder
    frames = frames_in(inner if inner.is_dir() else source)
    return Video(name=source.name, stems=[frame.stem for frame in frames], frame_paths=frames)


def numbered_classes(names: tuple[str, ...]) -> ClassSet:
    """Return classes numbered from 0, in colours that are far apart.

    Example:
        >>> numbered_classes(("road", "sky")).ids
        (0, 1)
    """
    return ClassSet(names=names, colors=distinct_colors([None] * len(names)))


def _claim(plan: Prediction, model: Path, source: Path) -> None:
    """Record what the folder is for, or check that it is still the same."""
    inside = source.resolve()
    if source.is_dir() and (plan.out.resolve() == inside or inside in plan.out.resolve().parents):
        raise RunFolderError(
            f"{plan.out} lies inside the video {source}, whose frames would be mixed with labels; choose "
            "another --out"
        )
    if (plan.out / "job.json").exists():
        raise RunFolderError(f"{plan.out} is the folder of a run; choose another --out")
    make_folder(plan.out)
    content = {
        "video": str(inside),
        "model": fingerprint_of_file(model, CheckpointError),
        "classes": list(plan.classes.names),
        "ids": list(plan.classes.ids),
    }
    claim(plan.out / "prediction.json", content, what="prediction")
    write_classes(plan.out / "classes.toml", plan.classes)


def label_clip(job: PredictionJob, *, progress: Progress = silent) -> Prediction:
    """Label the frames that are not done; return the plan with those that cannot be read.

    Raises:
        FrameError: No frame can be read.
        RunFolderError: Another process is writing into the folder, or it cannot be written.
    """
    plan = job.plan
    done, failures, video = _DoneFrames(plan.out / "done.jsonl"), dict[int, str](), plan.video
    last: FrameError | None = None
    with locked(plan.out), open_frames(video) as source:
        for number in range(len(video)):
            path = video.container or video.frame_paths[number]
            try:
                made_from = fingerprint_of(job.network, number, fingerprint_of_file(path, FrameError))
                if not done.has(number, made_from, plan.files(number)):
                    _write(plan, number, source[number], job.segmenter)
                    done.add(number, made_from, plan.files(number))
            except FrameError as error:
                failures[number], last = str(error), error
            progress("labelling", number + 1, len(video), video.stems[number])
        done.keep_only({*range(len(video))} - failures.keys())
    if last is not None and len(failures) == len(video):
        raise last
    return Prediction(out=plan.out, video=video, classes=plan.classes, failures=failures)


def _write(plan: Prediction, number: int, frame: Frames, segmenter: Segmenter) -> None:
    found = _segmented(segmenter, frame)
    overlay = paint_labels(found.labels, plan.classes, frame=frame)
    write_labels(plan.path("labels", number), found.labels, plan.classes)
    write_gray(plan.path("confidence", number), found.confidence)
    write_frame(plan.path("overlay", number), torch.from_numpy(overlay).permute(2, 0, 1)[None])


def _segmented(segmenter: Segmenter, frame: Frames) -> Labelling:
    """Return the most probable class of each pixel, with its probability, in main memory."""
    device = device_of(segmenter)
    with torch.inference_mode(), computing(segmenter):
        output = segmenter(frame.to(device)).mapped(lambda values: values.float().cpu())
    found = segment(Segmentation(logits=output.logits, features=output.features), size_of(frame))
    return Labelling(labels=found.labels.clone(), confidence=found.confidence.clamp(0, 1))


class _DoneFrames:
    """The frames that are done: a line of JSON each, with what it was made from and the sizes of its files.

    A line is appended when all files of a frame are in their places. One that was cut short is ignored.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[int, tuple[str, dict[str, int]]] = {}
        self._names: set[str] = set()
        with reading_errors(path, RunFolderError):
            lines = path.read_bytes().splitlines() if path.exists() else []
        for line in lines:
            try:
                number, made_from, sizes = json.loads(line)
                self._found[int(number)] = (str(made_from), dict(sizes))
                self._names |= {name for name in sizes if _is_ours(name)}
            except (ValueError, TypeError):
                continue
        if lines and not path.read_bytes().endswith(b"\n"):  # a cut line
            self._append(b"\n")

    def has(self, number: int, made_from: str, files: list[Path]) -> bool:
        """Return whether a frame was made from the same inputs, and its files are whole."""
        return self._found.get(number) == (made_from, self._sizes(files))

    def add(self, number: int, made_from: str, files: list[Path]) -> None:
        """Record that a frame is done."""
        entry = (made_from, self._sizes(files))
        self._found[number] = entry
        self._names |= {*entry[1]}
        self._append(json.dumps([number, *entry]).encode() + b"\n")

    def keep_only(self, numbers: Container[int]) -> None:
        """Delete the files of all other frames, and those under names that frames had before."""
        self._found = {number: entry for number, entry in self._found.items() if number in numbers}
        kept = {name for _, sizes in self._found.values() for name in sizes}
        for name in self._names - kept:
            (self._path.parent / name).unlink(missing_ok=True)
        lines = [json.dumps([number, *entry]) for number, entry in sorted(self._found.items())]
        write_bytes(self._path, "".join(f"{line}\n" for line in lines).encode())

    def _append(self, content: bytes) -> None:
        with writing_errors(self._path), self._path.open("ab") as file:
            file.write(content)

    def _sizes(self, files: list[Path]) -> dict[str, int]:
        return {path.relative_to(self._path.parent).as_posix(): _size(path) for path in files}


def _is_ours(name: str) -> bool:
    folder, *rest = Path(name).parts
    return folder in _KINDS and len(rest) == 1 and rest[0] != ".."


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1
