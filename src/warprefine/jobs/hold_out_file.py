"""The file hold_out.json: estimates from held-out key frames, and the labels that they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warprefine.core.video import Dataset
from warprefine.io.claims import own_json
from warprefine.io.fingerprints import fingerprint_of
from warprefine.io.run import RunFolder

ESTIMATES = "hold_out.json"


@dataclass(frozen=True, kw_only=True)
class WrittenEstimates:
    """What hold_out.json has.

    Attributes:
        methods: The estimate of each method, as it was written.
        are_stale: Whether they are of other labels, confidence or key frames than the run has now.
    """

    methods: Mapping[str, Any]
    are_stale: bool


def read_estimates(run: RunFolder, labels: str) -> WrittenEstimates:
    """Return what hold_out.json has of each method; nothing if there is no such file.

    Args:
        run: The run folder.
        labels: What `labels_of` returns now.

    Raises:
        RunFolderError: The file is damaged.
    """
    path = run.root / ESTIMATES
    if not path.exists():
        return WrittenEstimates(methods={}, are_stale=False)
    with own_json(path, remedy="delete it, and run `warprefine evaluate --hold-out` again"):
        content = json.loads(path.read_text(encoding="utf-8"))
        return WrittenEstimates(methods=dict(content["methods"]), are_stale=content["labels"] != labels)


def labels_of(run: RunFolder, dataset: Dataset, methods: Sequence[str]) -> str:
    """Return a hash of all that the labels of a run depend on."""
    return fingerprint_of(
        [
            (method, video.name, sorted(run.manifest.fingerprints(video.name, method).items()))
            for method in sorted(methods)
            for video in dataset.videos
        ]
    )
