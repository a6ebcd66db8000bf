"""Check that no golden file lies about unread."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.golden.choose_subset import choose
from tests.golden.conftest import ABSENT, GOLDEN, SUBSET

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


@pytest.mark.skipif(
    not (GOLDEN / "sdcnet/chain_with_flownet2.npz").is_file(), reason="the whole set is not here"
)
def test_small_set_is_chosen_from_the_whole_set(tmp_path: Path) -> None:
    """The numbers in the repository are those of the whole set, and nobody has changed one."""
    choose(GOLDEN, tmp_path)

    chosen = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.*") if path.is_file()}
    assert {path.relative_to(SUBSET) for path in SUBSET.glob("*/*.*")} == chosen
    for name in chosen:
        if name.suffix == ".json":
            assert (SUBSET / name).read_text() == (tmp_path / name).read_text(), name
            continue
        with np.load(SUBSET / name) as found, np.load(tmp_path / name) as expected:
            assert {*found} == {*expected}, name
            assert all(np.array_equal(found[key], expected[key], equal_nan=True) for key in found), name


def test_small_set_covers_every_network_of_the_paper() -> None:
    """A clone of the repository alone has numbers for HRNet, OCR, RMI, SDC-Net and FlowNet2, in 1.5 MB."""
    files = {path.relative_to(SUBSET).as_posix(): path.stat().st_size for path in SUBSET.glob("*/*.*")}

    assert {"flownet2", "hrnet_mscale", "ocr_deeplab", "rmi", "sdcnet"} <= {n.split("/")[0] for n in files}
    assert sum(files.values()) < 1.5e6
