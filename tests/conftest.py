"""Give every test the same footing: one thread, the same seeds, and real data where it lies beside."""

from __future__ import annotations

import os

# Two workers on two cores: a thread that waits must sleep, not spin. OpenMP reads this when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from warprefine.datasets.street import write_street

ROOT = Path(__file__).parent.parent

torch.set_num_threads(1)

# The same examples every time, and no deadline: a slow machine is no mistake in the code.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _same_start_every_time() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # whatever a command of an earlier test has set


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
