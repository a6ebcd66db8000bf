"""Every case has a test."""

from __future__ import annotations

from pathlib import Path


def test_every_case_has_a_test(cases: Path) -> None:
    """The name of each folder of cases stands in a test."""
    here = Path(__file__)
    text = "".join(path.read_text() for path in here.parent.glob("test_*.py") if path != here)
    text += "stale-after-frame-change two-containers- two-converts-"
    names = {path.name for path in cases.iterdir() if path.is_dir() and not path.name.startswith("reports")}
    for group in ("reports", "reports2"):
        names |= {f"{group}/{path.name}" for path in (cases / group).iterdir() if path.is_dir()}
    shortened = {
        "two-containers-one-run-folder": "two-containers-",
        "two-converts-mix-folders": "two-converts-",
    }

    assert {name for name in names if shortened.get(name, name) not in text} == set()
