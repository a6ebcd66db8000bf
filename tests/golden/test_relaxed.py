"""Compare the relaxed label loss with the implementation of Zhu et al. (2019)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from warprefine.training.losses.relaxed import emphasised_targets, relaxed_label_loss, relaxed_targets


def targets_of(labels: Tensor, case: dict[str, Any]) -> Tensor:
    make = emphasised_targets if is_late(case) else relaxed_targets
    return make(
        labels, case["num_classes"], border=case["border_window"], strict=case["strict_classes"] or ()
    )


def is_late(case: dict[str, Any]) -> bool:
    return bool(0 <= case["reduce_border_epoch"] < case["epoch"])


@pytest.mark.golden("relaxed_loss/targets.npz")
def test_targets(golden: Any, golden_file: Path) -> None:
    """Which classes a pixel may be is what the reference says, in every case of the file."""
    cases = json.loads(golden_file.with_suffix(".json").read_text())
    for name, case in cases.items():
        found = targets_of(golden.tensor(f"{name}/labels")[None], case)[0]
        assert torch.equal(found, golden.tensor(f"{name}/target")), name


@pytest.mark.golden("relaxed_loss/l*.npz")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loss_and_gradient(golden: Any, golden_file: Path, dtype: torch.dtype) -> None:
    """The loss with the original's slip and its gradient, and without the slip each image's loss."""
    case = json.loads(golden_file.with_name("loss.json").read_text())[golden_file.stem]
    logits = golden.tensor("logits", dtype).requires_grad_()
    targets = golden.tensor("target")
    assert torch.equal(targets_of(golden.tensor("labels"), case), targets)
    settings: dict[str, Any] = {
        "bound": case["upper_bound"],
        "inverse": case["norm"],
        "shares_of": "batch" if case["batch_weighting"] else "image",
        "emphasised": is_late(case),
    }

    loss = relaxed_label_loss(logits, targets, **settings, broadcast=True)
    loss.backward()

    rtol = 1e-7 if dtype == torch.float64 else 1e-5
    expected = golden.tensor("loss64" if dtype == torch.float64 else "loss").to(dtype)
    torch.testing.assert_close(loss.detach(), expected, rtol=rtol, atol=1e-8)
    assert logits.grad is not None
    if dtype == torch.float64:
        golden.compare("grad", logits.grad, atol=1e-8, rtol=1e-7)
    else:
        golden.compare("grad", logits.grad, atol=1e-4 * golden.spread("grad"))
    clean = golden.tensor("loss_clean_per_image").mean().to(dtype)
    found = relaxed_label_loss(logits, targets, **settings).detach()
    torch.testing.assert_close(found, clean, rtol=1e-5, atol=1e-8)
