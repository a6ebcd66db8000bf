"""The run folder: the path of each of its files, the job that it belongs to, and its manifest."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from warprefine.core.errors import RunFolderError
from warprefine.core.stages import Stage
from warprefine.io.array_cache import ArrayCache
from warprefine.io.arriving import ArrivingFiles
from warprefine.io.atomic import draft_of, make_folder, writing_errors
from warprefine.io.claims import check_claim, claim, read_claim
from warprefine.io.expectations import Expectations
from warprefine.io.manifest import Manifest
from warprefine.io.manifest_file import ManifestFile
from warprefine.io.places import check_published


class RunFolder:
    """The folder of a run.

    RUN/labels/METHOD/VIDEO/STEM.png       label maps; RUN/confidence/... likewise, 255 = certain
    RUN/raw_confidence/METHOD/...          what RUN/confidence was before it was calibrated
    RUN/calibration.json                   how it was calibrated; those of stages lie in RUN/stages/STAGE
    RUN/checkpoints/segmenter.safetensors  weights, each with its recipe and class set
    RUN/cache/                             flow and segmenter outputs; may be deleted at any time
    RUN/recipe.toml, RUN/job.json          the resolved recipe; data set, key frames, horizon
    RUN/continuity.json                    cuts, blank and repeated frames of each video
    RUN/left_out.json                      videos that could not be labelled, and why; none: no file
    RUN/figures/*.png                      the report's plots, and a panel per clip
    RUN/metrics.json, RUN/report.html, RUN/log.txt, RUN/manifest.sqlite

    Attributes:
        root: The folder.
        read_only: Whether nothing may be written into it.
        manifest: Which frames are done.
        expectations: The sums of confidence of each frame.
        cache_size: Bytes that arrays in the cache may take; None: no limit.
        arrays: The cache of flow, segmentations and samples.
        arriving: Files of frames on their way to their places.
    """

    def __init__(
        self,
        root: Path,
        *,
        cache: Path | None = None,
        cache_size: int | None = None,
        read_only: bool = False,
    ) -> None:
        """Open the folder, created if it does not exist.

        Args:
            cache: A folder for what can be computed again, shared with other runs; None is `root` / "cache".
            cache_size: Bytes that arrays in that folder take at most; None: no limit.
            read_only: Write nothing; the folder may be where writing is not allowed.
        """
        self.root = self._weights = root
        self.read_only = read_only
        self._cache = cache or root / "cache"
        self.cache_size = cache_size
        self.arrays = ArrayCache(self._cache, largest=cache_size)
        file = ManifestFile(root / "manifest.sqlite", read_only=read_only)
        self.arriving = ArrivingFiles(root, file)
        self.manifest = Manifest(root, file, self.arriving)
        self.expectations = Expectations(file)
        if read_only:
            return
        check_published(root)
        for folder in (root,) if cache is None else (root, cache):
            make_folder(folder)
            with writing_errors(folder):
                probe = draft_of(folder / "writable")
                probe.touch()
                probe.unlink()
        file.create()
        self.expectations.create()
        self.arriving.move_all()

    def for_stage(self, stage: Stage) -> RunFolder:
        """Return the folder as a stage uses it: its networks lie in RUN/stages/STAGE, all else in RUN."""
        if stage == "good":
            return self
        folder = copy.copy(self)
        folder._weights = self.root / "stages" / stage
        return folder

    def for_fold(self, fold: int) -> RunFolder:
        """Return the folder as networks use it that are held out from a fold; these lie in held_out/foldN."""
        folder = copy.copy(self)
        folder._weights = self._weights / "held_out" / f"fold{fold}"
        return folder

    @property
    def weights_root(self) -> Path:
        """The folder that holds the networks: this one, or that of a stage in it."""
        return self._weights

    @property
    def metrics_path(self) -> Path:
        """The scores, as JSON."""
        return self.root / "metrics.json"

    @property
    def tau_path(self) -> Path:
        """The tau that was chosen on the key frames, as JSON."""
        return self.root / "tau.json"

    @property
    def report_path(self) -> Path:
        """The report, one self-contained HTML file."""
        return self.root / "report.html"

    @property
    def figures(self) -> Path:
        """The folder of the report's plots and panels as image files."""
        return self.root / "figures"

    @property
    def left_out_path(self) -> Path:
        """The videos that could not be labelled, as JSON; missing if there are none."""
        return self.root / "left_out.json"

    def labels_path(self, method: str, video: str, stem: str) -> Path:
        """Return the path of the label map of one frame."""
        return self.arriving.found(self.root / "labels" / method / video / f"{stem}.png")

    def confidence_path(self, method: str, video: str, stem: str) -> Path:
        """Return the path of the confidence of one frame: uint8, 255 = certain."""
        return self.arriving.found(self.root / "confidence" / method / video / f"{stem}.png")

    def raw_confidence_path(self, method: str, video: str, stem: str) -> Path:
        """Return the path of the confidence of one frame before it was calibrated; it need not exist."""
        return self.arriving.found(self.root / "raw_confidence" / method / video / f"{stem}.png")

    @property
    def calibration_path(self) -> Path:
        """How the confidence of this stage's labels was calibrated, as JSON."""
        return self._weights / "calibration.json"

    def checkpoint_path(self, part: str) -> Path:
        """Return the path of the weights of a part ("segmenter", "refiner")."""
        return self._weights / "checkpoints" / f"{part}.safetensors"

    @property
    def cache(self) -> Path:
        """The folder of cached outputs, which can be computed again."""
        return self._cache

    @property
    def counts(self) -> Path:
        """The folder of the counts of pixels that scores are computed from."""
        return self._cache / "counts"

    @property
    def checked(self) -> Path:
        """The folder of what the check of the data has found."""
        return self._cache / "checked"

    def check(
        self,
        job: dict[str, Any],
        *,
        former: Mapping[str, Any] | None = None,
        changeable: Collection[str] = (),
    ) -> None:
        """Raise if the folder holds a run of another job; the arguments are those of `claim`.

        Raises:
            RunFolderError: It holds a run of another job.
        """
        check_claim(self.root / "job.json", job, what="run", former=former, changeable=changeable)

    def claim(
        self,
        job: dict[str, Any],
        *,
        former: Mapping[str, Any] | None = None,
        changeable: Collection[str] = (),
    ) -> None:
        """Record the job of this run.

        Args:
            job: All that identifies it.
            former: What a job of an earlier version stands for in keys that it lacks, by their paths.
            changeable: Keys that may change, by their paths: the new values are recorded.

        Raises:
            RunFolderError: The folder holds a run of another job.
        """
        claim(self.root / "job.json", job, what="run", former=former, changeable=changeable)

    def job(self) -> dict[str, Any]:
        """Return the job that `claim` recorded.

        Raises:
            RunFolderError: This is not a run folder.
        """
        path = self.root / "job.json"
        if not path.exists():
            raise RunFolderError(
                f"{self.root} holds no job.json; expected a folder made by `warprefine autolabel`"
            )
        return read_claim(path)
