"""Tests of report/figures.py: the pictures of a report as files."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from warprefine import autolabel, open_dataset
from warprefine.datasets.street import write_street


def test_a_run_leaves_its_pictures_as_files(tmp_path: Path) -> None:
    """Whoever wants the plots for a paper finds them as PNG and SVG, with a panel named after each clip."""
    write_street(tmp_path / "data", videos=1, length=4, start=1, step=4, h=48, w=64)

    outcome = autolabel(
        open_dataset(tmp_path / "data"), tmp_path / "run", horizon=2, methods=["motion-only", "oracle"]
    )

    pictures = sorted(outcome.run.figures.iterdir())
    assert [path.name for path in pictures] == [
        "hard-classes.png",
        "hard-classes.svg",
        "miou-by-distance.png",
        "miou-by-distance.svg",
        "street-000.png",
    ]
    for path in pictures[::2]:
        with Image.open(path) as picture:
            picture.load()
            assert min(picture.size) > 100
    for path in pictures[1::2]:
        assert "motion-only" in path.read_text(encoding="utf-8")
