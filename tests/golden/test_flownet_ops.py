"""Compare FlowNet2's operations with what its own kernels compute."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from warprefine.motion.flownet_ops import channel_norm, correlation, resample2d

OPERATIONS = "flownet2/ops.npz"


def cases(golden: Any, prefix: str) -> list[str]:
    """Return the names of the stored cases of one operation."""
    found = sorted({name.split("/")[0] for name in golden if name.startswith(prefix)})
    assert found
    return found


@pytest.mark.golden(OPERATIONS)
def test_resampling_and_its_gradients(golden: Any) -> None:
    """A warp repeats the border, and what it passes back is what the kernels pass back."""
    for case in cases(golden, "resample"):
        image = golden.tensor(f"{case}/image").requires_grad_()
        flow = golden.tensor(f"{case}/flow").requires_grad_()

        warped = resample2d(image, flow)
        warped.backward(golden.tensor(f"{case}/grad_out"))

        expected = {name: golden.tensor(f"{case}/{name}") for name in ("bilinear", "grad_image", "grad_flow")}
        torch.testing.assert_close(warped.detach(), expected["bilinear"], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(image.grad, expected["grad_image"], atol=2e-6, rtol=1e-5)
        torch.testing.assert_close(flow.grad, expected["grad_flow"], atol=2e-6, rtol=1e-5)


@pytest.mark.golden(OPERATIONS)
def test_nearest_resampling_is_exact(golden: Any) -> None:
    """The nearest pixel is the same one everywhere, also at halves and outside the picture."""
    for case in cases(golden, "resample"):
        warped = resample2d(golden.tensor(f"{case}/image"), golden.tensor(f"{case}/flow"), nearest=True)
        assert torch.equal(warped, golden.tensor(f"{case}/nearest"))


@pytest.mark.golden(OPERATIONS)
def test_channel_norm(golden: Any) -> None:
    """The length of a pixel's channels is that of the kernels."""
    for case in cases(golden, "channelnorm"):
        found = channel_norm(golden.tensor(f"{case}/x"))
        torch.testing.assert_close(found, golden.tensor(f"{case}/y"), atol=1e-6, rtol=1e-6)


@pytest.mark.golden(OPERATIONS)
def test_correlation(golden: Any) -> None:
    """Each displacement has its own channel, in the kernels' order."""
    for case in cases(golden, "corr"):
        settings = {}
        if f"{case}/pad_maxdisp_stride2" in golden:
            pad, displacement, stride = golden.tensor(f"{case}/pad_maxdisp_stride2").tolist()
            assert pad == displacement
            settings = {"max_displacement": displacement, "stride": stride}

        found = correlation(golden.tensor(f"{case}/a"), golden.tensor(f"{case}/b"), **settings)

        torch.testing.assert_close(found, golden.tensor(f"{case}/y"), atol=1e-6, rtol=1e-5)


def test_a_hair_below_a_half_is_not_a_half() -> None:
    """Rounding adds no error of its own: only from exactly one half on is the next pixel nearer."""
    image = torch.arange(4.0).view(1, 1, 1, 4)
    flow = torch.zeros(1, 2, 1, 4)
    flow[0, 0, 0, 0] = 0.49999997

    assert resample2d(image, flow, nearest=True).flatten().tolist() == [0, 1, 2, 3]
    assert resample2d(image, flow.clamp(max=0).add(0.5), nearest=True).flatten().tolist() == [1, 2, 3, 3]
