"""Compare region mutual information with the implementation of Tao et al. (2020)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from warprefine.training.losses.rmi import rmi


def settings_of(golden: Any) -> dict[str, Any]:
    """Translate the reference's settings into ours."""
    share = golden.number("kw_loss_weight_lambda", 0.5)
    both = bool(golden.number("kw_lambda_way", 1))
    settings: dict[str, Any] = {
        "radius": int(golden.number("kw_rmi_radius", 3)),
        "pool": int(golden.number("kw_rmi_pool_size", 4)),
        "cross_entropy_share": share if both else 1.0,
        "rmi_share": 1 - share if both else share,
    }
    if not golden.number("do_rmi"):
        settings |= {"cross_entropy_share": 1.0, "rmi_share": 0.0}
    return settings


@pytest.mark.golden("rmi/*.npz")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loss_and_gradient(golden: Any, dtype: torch.dtype) -> None:
    """The loss, its parts and its gradient are those of the reference, at both precisions."""
    logits = golden.tensor("logits", dtype).requires_grad_()
    labels, settings = golden.tensor("labels"), settings_of(golden)

    loss = rmi(logits, labels, **settings)
    loss.backward()

    suffix, rtol = ("64", 1e-6) if dtype == torch.float64 else ("", 1e-5)
    expected = golden.tensor(f"loss{suffix}").to(dtype)
    torch.testing.assert_close(loss.detach(), expected, rtol=rtol, atol=1e-6)
    assert logits.grad is not None
    spread = golden.spread("grad")
    golden.compare("grad", logits.grad, atol=(1e-6 if dtype == torch.float64 else 1e-3) * spread + 1e-12)
    alone = {**settings, "cross_entropy_share": 1.0, "rmi_share": 0.0}
    torch.testing.assert_close(
        rmi(logits, labels, **alone).detach(), golden.tensor(f"bce{suffix}").to(dtype), rtol=rtol, atol=1e-6
    )
    if "rmi" in golden:
        alone = {**settings, "cross_entropy_share": 0.0, "rmi_share": 1.0}
        torch.testing.assert_close(
            rmi(logits, labels, **alone).detach(), golden.tensor("rmi").to(dtype), rtol=1e-5, atol=1e-5
        )
