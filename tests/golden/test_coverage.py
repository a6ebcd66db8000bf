"""Check that no golden file lies about unread."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.golden.conftest import ABSENT, GOLDEN

MARKERS = re.compile(r'golden\("([^"]+)"\)|OPERATIONS = "([^"]+)"|PATTERN = "([^"]+)"')
BESIDE = {
    # read by the test of the file beside them, or repeating what is in it
    "relaxed_loss/loss.json",
    "relaxed_loss/targets.json",
    "rmi/summary.json",
}


@pytest.mark.skipif(not GOLDEN.is_dir(), reason=ABSENT)
def test_every_file_is_compared_with() -> None:
    """Each file of numbers is asked for by some test; pictures belong to the numbers beside them."""
    sources = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    patterns = {next(filter(None, found.groups())) for text in sources for found in MARKERS.finditer(text)}
    read = {path.relative_to(GOLDEN).as_posix() for pattern in patterns for path in GOLDEN.glob(pattern)}
    there = {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*.*") if path.parent != GOLDEN}

    assert {name for name in there if Path(name).suffix in {".npz", ".json"}} - read - BESIDE == set()
    assert {Path(name).parent for name in there} == {Path(name).parent for name in read}
