"""A procedural street for benchmarks that are given no data."""

from __future__ import annotations

from pathlib import Path

from warprefine.datasets.street import write_street


def street(root: Path, *, videos: int, seed: int) -> Path:
    """Render drives of 101 frames, every one of them labelled, unless they are there; return the folder."""
    if not root.exists():
        write_street(root, videos=videos, length=101, start=0, step=1, h=240, w=400, seed=seed)
    return root
