"""Give every test the same footing: one thread, the same seeds, and real data where it lies beside."""

from __future__ import annotations

import os

# Two workers on two cores: a thread that waits must sleep, not spin. OpenMP reads this when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# What one test trains must not be found by another, nor lie in the user's cache.
os.environ["WARPREFINE_CACHE"] = "off"

from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from hypothesis import settings

from warprefine.datasets.street import write_street

ROOT = Path(__file__).parent.parent
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = min(int(os.environ.get("WARPREFINE_TEST_THREADS", "1")), CORES)
"""Threads that torch computes with; the suite passes with any number of them, up to one per core."""

numba.get_num_threads()  # starts its threads, after which torch computes with all cores again
torch.set_num_threads(THREADS)

# The same examples every time, and no deadline: a slow machine is no mistake in the code.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _same_start_every_time() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)  # whatever a command of an earlier test has set


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def tiny_recipe() -> Path:
    """A recipe whose networks are trained within a second, and are worth as much."""
    return Path(__file__).parent / "tiny.toml"


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set folder: two streets of seven small frames, the middle one labelled, truth for the others.

    Copy it before you change it.
    """
    root = tmp_path_factory.mktemp("tiny") / "data"
    write_street(root, videos=2, length=7, start=3, step=7, h=48, w=64)
    return root


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data sets; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("WARPREFINE_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; say where it is with WARPREFINE_SHARED")
    return folder


def write_nyuv2(folder: Path, *, h: int = 24, w: int = 32) -> Path:
    """Write NYU-Depth V2 in small, in MATLAB's formats: two frames for training, one for testing.

    The first two are of one scene and 10 s apart. Label 0 is void, label k is class (k - 1) % 40.
    """
    h5py = pytest.importorskip("h5py", reason="not installed: extra [nyuv2]")
    matlab = pytest.importorskip("scipy.io", reason="not installed: extra [nyuv2]")
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    texts = {
        "scenes": ("kitchen_0004", "kitchen_0004", "bedroom_0001"),
        "rawRgbFilenames": (
            "kitchen_0004/r-1000.000000-11.ppm",
            "kitchen_0004/r-1010.000000-22.ppm",
            "bedroom_0001/r-2000.000000-33.ppm",
        ),
    }
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = random.integers(0, 256, (3, 3, w, h), np.uint8)
        file["labels"] = random.integers(0, 895, (3, w, h), np.uint16)
        for key, values in texts.items():
            cells = file.create_dataset(key, (1, 3), h5py.ref_dtype)
            for number, text in enumerate(values):
                file[f"#refs#/{key}{number}"] = np.array([[ord(letter)] for letter in text], np.uint16)
                cells[0, number] = file[f"#refs#/{key}{number}"].ref
    matlab.savemat(folder / "splits.mat", {"trainNdxs": [[1], [2]], "testNdxs": [[3]]})
    matlab.savemat(folder / "classMapping40.mat", {"mapClass": [np.arange(894) % 40 + 1]})
    return folder


@pytest.fixture(scope="session")
def nyuv2() -> Callable[..., Path]:
    """A function that writes the files of NYU-Depth V2 in small."""
    return write_nyuv2
