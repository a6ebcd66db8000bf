"""Import every checkpoint that the golden files describe, as a user imports a published one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from tests.golden.weights import published_weights
from warprefine.jobs.weights import import_weights

NAMES = {
    "hrnet_mscale": "hrnet-ocr",
    "ocrnet_": "ocrnet",
    "deepv3plus_": "deeplabv3plus",
    "deepv3_": "deeplabv3",
    "sdcbranch_": "deeplabv3plus",
    "recon": "sdcnet",
    "sdc2d": "sdcnet",
    "flownet2": "flownet2",
}
"""How the names of the files begin, and what is in them."""


@pytest.mark.golden("*/keys_*.json")
def test_every_checkpoint_is_taken_over_whole(golden_file: Path, tmp_path: Path) -> None:
    """Each number of a published file arrives, however its tensors are called here."""
    kind = golden_file.stem.removeprefix("keys_")
    name = next((NAMES[start] for start in NAMES if kind.startswith(start)), None)
    if name is None:
        pytest.skip("these are parts of a network, not a checkpoint")
    weights = published_weights(golden_file)
    source, out = tmp_path / "published.pth", tmp_path / "own.safetensors"
    torch.save({"state_dict": {f"module.{key}": values for key, values in weights.items()}}, source)

    card = import_weights(source, out, name=name)

    source.unlink()
    with safe_open(out, framework="pt") as file:
        stored = [file.get_tensor(key) for key in file.keys()]  # noqa: SIM118
    out.unlink()
    assert card.part == ("motion" if name in {"sdcnet", "flownet2"} else "segmenter")
    assert _sums(stored) == _sums([values for key, values in weights.items() if key != "rgb_mean"])


def _sums(tensors: list[torch.Tensor]) -> list[tuple[tuple[int, ...], float]]:
    return sorted((tuple(values.shape), float(values.double().sum())) for values in tensors)
