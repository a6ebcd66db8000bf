"""A run that is being reviewed: what the page shows of it, and what a person changes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from warprefine.core.errors import KeyFrameError, LabelError, RunFolderError
from warprefine.core.names import look_up
from warprefine.core.tensors import LabelMaps
from warprefine.core.video import Video
from warprefine.io.fingerprints import fingerprint_of
from warprefine.io.frames import frame_size
from warprefine.io.images import read_gray, read_labels
from warprefine.io.pictures import read_gray_png
from warprefine.jobs.corrections import correction_as_png, correction_path, put_correction, with_corrections
from warprefine.jobs.decided_labels import changed_since, labels_to_decide_on
from warprefine.jobs.decisions import Decision, Decisions, FrameState
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.relabel import Relabeller
from warprefine.jobs.run_records import methods_of
from warprefine.jobs.source_labels import Source, labels_of_source
from warprefine.metrics.expected import is_calibrated
from warprefine.metrics.scores import leading
from warprefine.review.changes import Changes
from warprefine.review.encoding import as_gray_png
from warprefine.review.expected import ExpectedErrors
from warprefine.review.pictures import Pictures


class ReviewedRun:
    """What the review page shows of a run.

    Videos are addressed by their position and frames by their number: no path is made of what is asked for.

    Args:
        root: The run folder.
        cache: The folder that the run's cache lies in; None is the one in the run.
    """

    def __init__(self, root: Path, *, cache: Path | None = None) -> None:
        # Whether each file is there is not looked at: of ten thousand frames that takes seconds.
        self.finished = replace(FinishedRun.open(root, labelled=False), methods=methods_of(root))
        self.root, self.method = root, leading(self.finished.methods)
        self.decisions = Decisions(root)
        self.decisions.recover(self._digest)
        self.errors = ExpectedErrors(self.finished.run)
        self._changes = Changes()
        self._pictures, self._writing = Pictures(), threading.Lock()
        self._cache, self._computing = cache or root / "cache", threading.Lock()
        self._networks = Relabeller(root, cache=cache)
        self._sizes: dict[int, tuple[int, int]] = {}

    def close(self) -> None:
        """Close all files, and stop what is read in the background."""
        self.errors.close()
        self._pictures.close()

    # what there is

    def video(self, position: int) -> Video:
        """Return a video by its position.

        Raises:
            KeyFrameError: There is none.
        """
        videos = self.finished.dataset.videos
        if not 0 <= position < len(videos):
            raise KeyFrameError(f"there is no video {position}; expected 0 to {len(videos) - 1}")
        return videos[position]

    def frame(self, position: int, frame: int) -> Video:
        """Return the video of a frame that can be shown.

        Raises:
            KeyFrameError: There is no such frame, or it is damaged.
        """
        video = self.video(position)
        if not 0 <= frame < len(video) or frame in video.damaged:
            raise KeyFrameError(
                f"there is no frame {frame} to show; expected one of 0 to {len(video) - 1} that can be read"
            )
        return video

    def size(self, position: int) -> tuple[int, int]:
        """Return the (h, w) of the frames of a video."""
        if position not in self._sizes:
            video = self.video(position)
            first = next((k for k in range(len(video)) if k not in video.damaged), 0)
            self._sizes[position] = frame_size(video, first)
        return self._sizes[position]

    @cached_property
    def identity(self) -> str:
        """What the numbers of classes, videos and frames stand for in this run, as a hash.

        A page that is open while another run is served at the same port would save into the wrong frames.
        """
        classes, videos = self.finished.dataset.classes, self.finished.dataset.videos
        of_videos = [(video.name, [*video.stems], self.size(k)) for k, video in enumerate(videos)]
        return fingerprint_of(str(self.root.resolve()), classes.names, of_videos)

    def check_method(self, method: str | None) -> str:
        """Return a method of the run by its name, the one whose labels are to be used for None.

        Raises:
            RecipeError: The run has none of that name.
        """
        if method is None:
            return self.method
        return look_up({name: name for name in self.finished.methods}, method, what="method of this run")

    def about(self) -> dict[str, Any]:
        """Return the classes, methods, those with calibrated confidence, and videos of the run."""
        run, dataset = self.finished.run, self.finished.dataset
        classes, videos = dataset.classes, []
        for position, video in enumerate(dataset.videos):
            h, w = self.size(position)
            videos.append(
                {
                    "name": video.name,
                    "frames": len(video),
                    "height": h,
                    "width": w,
                    "key_frames": [*video.of_data.key_frames],
                    "cuts": [*video.continuity.cuts],
                    "damaged": sorted(video.damaged),
                }
            )
        return {
            "run": self.root.resolve().name,
            "identity": self.identity,
            "classes": [
                {"name": name, "color": [*color]}
                for name, color in zip(classes.names, classes.colors, strict=True)
            ],
            "methods": [*self.finished.methods],
            "method": self.method,
            "calibrated": [m for m in self.finished.methods if is_calibrated(run, dataset, m)],
            "videos": videos,
        }

    def columns(self, position: int, method: str) -> dict[str, list[Any]]:
        """Return columns over all frames of a video."""
        video = self.video(position)
        labelled = {*self.finished.run.manifest.provenances(video.name, method)}
        self.errors.read_on(
            video,
            method,
            frames=sorted(labelled),
            told=lambda known: self._changes.add(position, known),
        )
        errors = self.errors.of_video(video, method)
        errors[[*video.key_frames]] = np.nan  # labels by hand
        states = self.decisions.of_video(video.name)
        stale = self._stale(video, states)
        keys, corrected = {*video.key_frames}, {*video.corrected}
        frames = range(len(video))
        return {
            "error": [None if np.isnan(e) else round(float(e), 5) for e in errors],
            "labelled": [int(k in labelled or k in keys) for k in frames],
            "key": [2 if k in corrected else int(k in keys) for k in frames],
            "decision": [states[k].decision if k in states else "" for k in frames],
            "stale": [int(k in stale) for k in frames],
            "version": [states[k].version if k in states else 0 for k in frames],
            "stem": [*video.stems],
        }

    # pictures

    def image(self, position: int, frame: int) -> bytes:
        """Return a frame as JPEG."""
        return self._pictures.image(self.frame(position, frame), frame)

    def thumbnail(self, position: int, frame: int) -> bytes:
        """Return a small picture of a frame as JPEG, made when it is first asked for."""
        return self._pictures.thumbnail(self.frame(position, frame), frame)

    def labels(self, position: int, frame: int, method: str) -> tuple[bytes, int]:
        """Return the labels of a frame as a grey PNG of class positions, 255 for void, and their version.

        Raises:
            RunFolderError: The frame has no labels.
        """
        video = self.frame(position, frame)
        version = self.decisions.of_frame(video.name, frame).version
        path, _ = self._files(video, frame, method)
        labels = read_labels(path, self.finished.dataset.classes, size=self.size(position))
        return as_gray_png(labels[0].numpy()), version

    def confidence(self, position: int, frame: int, method: str) -> bytes:
        """Return the confidence of the labels of a frame as a grey PNG, 255 for certain.

        Raises:
            RunFolderError: The frame has no labels.
        """
        video = self.frame(position, frame)
        _, path = self._files(video, frame, method)
        if path is None:
            return as_gray_png(np.full(self.size(position), 255, np.uint8))
        return as_gray_png((read_gray(path)[0] * 255).round().to(torch.uint8).numpy())

    def source(self, position: int, frame: int, of: Source) -> bytes:
        """Return the labels of a frame by one source alone, as a grey PNG of class positions.

        Args:
            position: The position of the video.
            frame: The number of the frame.
            of: "before", "after" or "segmenter".

        Raises:
            RunFolderError: There is no such source, or the weights are missing.
        """
        video = self.frame(position, frame)
        with self._computing:
            job = self._networks.jobs()[0]
            labels = labels_of_source(job, video, frame, of=of, cache=self._cache)
        return as_gray_png(labels[0].numpy())

    def _files(self, video: Video, frame: int, method: str) -> tuple[Path, Path | None]:
        labels, confidence = self.finished.label_files(video.name, frame, method)
        if not labels.exists():
            raise RunFolderError(
                f"frame {frame} of {video.name} has no labels of {method}; it is out of reach"
            )
        return labels, confidence

    # changes

    def decide(self, position: int, frame: int, decision: Decision, *, version: int) -> int:
        """Accept or reject a frame; return its new version.

        Raises:
            ConflictError: It was changed meanwhile.
        """
        video = self.frame(position, frame)
        with self._writing:
            self.decisions.recover(self._digest)
            labels = labels_to_decide_on(
                self.finished.run, self.finished.dataset.classes, video, frame, method=self.method
            )
            new = self.decisions.decide(video.name, frame, decision, version=version, labels=labels)
        self._changes.add(position, [frame])
        return new

    def correct(self, position: int, frame: int, content: bytes | None, *, version: int) -> int:
        """Make a frame a key frame with these labels, or take that back; return its new version.

        Args:
            position: The position of the video.
            frame: The number of the frame.
            content: A grey PNG of class positions, 255 for void; None takes a correction back.
            version: The version that it is based on.

        Raises:
            ConflictError: The frame was changed meanwhile.
            LabelError: The content makes no label map of the frame, or there is no correction to take back.
        """
        video = self.frame(position, frame)
        encoded: bytes | None = None
        if content is not None:
            labels = self._decoded(position, content)
            encoded = correction_as_png(video, frame, labels, classes=self.finished.dataset.classes)
        elif frame not in video.corrected:
            raise LabelError(f"frame {frame} of {video.name} has no correction that could be taken back")
        with self._writing:
            self.decisions.recover(self._digest)  # what a full disk kept from being ended
            new = self.decisions.save(
                video.name,
                frame,
                version=version,
                digest="" if encoded is None else _digest(encoded),
                write=lambda: put_correction(video, frame, encoded, root=self.root),
            )
            dataset = with_corrections(self.finished.dataset, self.root)
            self.finished = replace(self.finished, dataset=dataset)
        self._changes.add(position, [frame])
        return new

    def _decoded(self, position: int, content: bytes) -> LabelMaps:
        size = self.size(position)
        pixels = read_gray_png(content, size=size, name="the label map", error_class=LabelError)
        return torch.from_numpy(pixels)[None]

    def mended(self, name: str, frame: int) -> None:
        """Note that a frame has new labels."""
        positions = {video.name: position for position, video in enumerate(self.finished.dataset.videos)}
        if name in positions:
            self._changes.add(positions[name], [frame])

    @property
    def serial(self) -> int:
        """The number of the last change."""
        return self._changes.serial

    @property
    def first_serial(self) -> int:
        """The number that changes are counted from; smaller ones are those of an earlier server."""
        return self._changes.first

    def changes(self, since: int) -> list[dict[str, Any]]:
        """Return the state of all frames that changed after a serial number, or since the server started."""
        found = []
        for position, frames in self._changes.since(since).items():
            video = self.video(position)
            states = self.decisions.of_video(video.name)
            stale = self._stale(video, {frame: states[frame] for frame in frames if frame in states})
            provenances = self.finished.run.manifest.records(video.name, self.method, frames)
            for frame in frames:
                state = states.get(frame)
                key = 2 if frame in video.corrected else int(frame in video.labels)
                found.append(
                    {
                        "video": position,
                        "frame": frame,
                        "version": state.version if state else 0,
                        "decision": state.decision if state else "",
                        "stale": int(frame in stale),
                        "key": key,
                        "error": None if key else self.errors.of_frame(video, frame, self.method),
                        "labelled": int(bool(key) or frame in provenances),
                    }
                )
        return found

    def _stale(self, video: Video, states: Mapping[int, FrameState]) -> frozenset[int]:
        """Return the frames whose labels have changed since they were decided on."""
        run, classes = self.finished.run, self.finished.dataset.classes
        return changed_since(run, classes, video, states, method=self.method)

    def _digest(self, name: str, frame: int) -> str:
        """Return what identifies the correction of a frame that is in its place; "" where there is none."""
        videos: Mapping[str, Video] = {video.name: video for video in self.finished.dataset.videos}
        if name not in videos or not 0 <= frame < len(videos[name]):
            return ""
        path = correction_path(videos[name], frame, self.root)
        return _digest(path.read_bytes()) if path.exists() else ""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
