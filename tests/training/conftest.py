"""A small data set on disk whose classes can be told by their colours, and a recipe for small networks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset, Video
from warprefine.io.images import write_frame, write_labels
from warprefine.recipe.network import Augmentation
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.recipe import RefinerRecipe, SegmenterRecipe

COLOURS = np.array([[50, 60, 70], [60, 190, 60], [200, 70, 60]], np.uint8)
CLASSES = ClassSet(names=("road", "tree", "car"), colors=tuple(tuple(c) for c in COLOURS.tolist()))
SIZE = (48, 64)
QUICK = Optimisation(
    steps=4,
    batch=2,
    optimiser="adamw",
    learning_rate=1e-2,
    warmup=0,
    average_decay=0.5,
    checkpoint_every=2,
    validate_every=2,
)


def write_video(
    folder: Path,
    name: str,
    *,
    key_frames: Sequence[int],
    length: int,
    seed: int,
    size: tuple[int, int] = SIZE,
) -> Video:
    """Film a wall of soft blocks that moves left by 2 pixels a frame; one block is left VOID."""
    rng = np.random.default_rng((seed, len(name)))
    h, w = size
    blocks = rng.integers(0, len(COLOURS), (-(-h // 12), (w + 2 * length) // 12 + 1), dtype=np.uint8)
    blocks[0, 0], blocks[1, :3], blocks[2, 1] = VOID, (0, 1, 2), VOID
    wall = blocks.repeat(12, 0).repeat(12, 1)[:h]
    paint = COLOURS[np.where(wall == VOID, 0, wall)].astype(np.float32)
    paint += cv2.GaussianBlur(rng.normal(0, 60, paint.shape).astype(np.float32), (0, 0), 1.5)
    stems = [f"{number:06d}" for number in range(length)]
    video = Video(
        name=name,
        stems=stems,
        frame_paths=[folder / name / "frames" / f"{stem}.png" for stem in stems],
        labels={k: folder / name / "labels" / f"{stems[k]}.png" for k in key_frames},
    )
    for number, path in enumerate(video.frame_paths):
        shown = paint[:, 2 * number : 2 * number + w].clip(0, 255).astype(np.uint8)
        write_frame(path, torch.from_numpy(shown).permute(2, 0, 1)[None].contiguous())
    for number, path in video.labels.items():
        labels = torch.from_numpy(wall[:, 2 * number : 2 * number + w].copy())[None]
        write_labels(path, labels, CLASSES)
    return video


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., Dataset]:
    """Write data sets below the folder of the test."""

    def make(
        name: str = "data",
        *,
        videos: Sequence[Sequence[int]] = ((1, 4),),
        sizes: Sequence[tuple[int, int]] = (SIZE,),
        length: int = 6,
        seed: int = 0,
    ) -> Dataset:
        written = tuple(
            write_video(
                tmp_path / name,
                f"video{i}",
                key_frames=keys,
                length=length,
                seed=seed + i,
                size=sizes[i % len(sizes)],
            )
            for i, keys in enumerate(videos)
        )
        return Dataset(root=tmp_path / name, classes=CLASSES, videos=written)

    return make


@pytest.fixture
def dataset(make_dataset: Callable[..., Dataset]) -> Dataset:
    """One video of six frames, the second and the fifth labelled."""
    return make_dataset()


@pytest.fixture
def segmenter_recipe() -> SegmenterRecipe:
    """A segmenter that trains in a moment and learns next to nothing."""
    return SegmenterRecipe(
        network="compact",
        widths=(4, 4, 4, 4, 4),
        optimisation=QUICK,
        adaptation=QUICK,
        augmentation=Augmentation(crop=(32, 32)),
    )


@pytest.fixture
def refiner_recipe() -> RefinerRecipe:
    """A refiner that trains in a moment and learns next to nothing."""
    return RefinerRecipe(widths=(4, 4, 4, 4), longest_cycle=2, optimisation=QUICK, crop=(32, 32))


@pytest.fixture(scope="session")
def torchrun() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Start two_ranks.py in two processes."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        script = Path(__file__).parent / "engine" / "two_ranks.py"
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        command = [*launcher, str(script), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    return run


@pytest.fixture(scope="session")
def two_ranks(
    torchrun: Callable[..., subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What each of two processes has found, by the names of the functions in two_ranks.py."""
    folder = tmp_path_factory.mktemp("ranks")
    done = torchrun(folder)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
