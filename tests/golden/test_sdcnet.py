"""Compare SDC-Net with the released network: flows, rebuilt frames, losses and gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.golden.weights import published_weights
from warprefine.core.errors import CheckpointError, FrameError
from warprefine.motion.flownet2_parts import published_name
from warprefine.motion.flownet_ops import resample2d
from warprefine.motion.sdcnet import SDCNet, reconstruction_loss

PARTS = ("color", "color_gradient", "flow_smoothness")


def published_network(golden_file: Path) -> SDCNet:
    """Build the network of a file, with its weights."""
    kind = golden_file.stem.split("_b")[0]
    weights = published_weights(golden_file.parent / f"keys_{kind}.json")
    channels = weights["conv1.0.weight"].shape[1]  # 3 for each frame, 2 for each flow between them
    network = SDCNet((channels + 2) // 5, sees_target=kind == "recon")
    network.load_published(weights)
    return network


def check_against(golden: Any, golden_file: Path, dtype: torch.dtype) -> None:
    """Compare all that is stored of one network, at one precision."""
    network = published_network(golden_file).to(dtype)
    frames = golden.tensor("images_u8", dtype).transpose(0, 1)
    flows = golden.tensor("flows", dtype).transpose(0, 1)
    seen = frames[:, : network.frame_count]
    exact = dtype == torch.float64

    flow = network(seen, flows)
    rebuilt = network.rebuild(seen, flow)
    loss = reconstruction_loss(rebuilt, frames[:, -1], flow_ba=flow)
    loss.total.backward()

    golden.compare("flow_prediction", flow, atol=1e-8 if exact else 1e-4, rtol=1e-7)
    golden.compare("image_prediction", rebuilt, atol=1e-6 if exact else 2e-3, rtol=1e-7)
    found = {**{part: getattr(loss, part) for part in PARTS}, "tot": loss.total}
    for part, value in found.items():
        expected = golden.number(f"loss/{part}{'64' if exact else ''}")
        assert value.item() == pytest.approx(expected, rel=1e-8 if exact else 1e-5)
    gradients = {published_name(name): values.grad for name, values in network.named_parameters()}
    stored = {name.split("/")[1] for name in golden if name.startswith("grad/")}
    assert stored
    for name in stored:
        slack = (1e-7 if exact else 1e-3) * golden.spread(f"grad/{name}")
        golden.compare(f"grad/{name}", gradients[name], atol=slack, rtol=1e-7)
    label = golden.tensor("label", dtype)
    labels = resample2d(label, flow.detach(), nearest=True)
    assert torch.equal(labels.to(torch.uint8), golden.tensor("label_prediction/full"))


@pytest.mark.golden("sdcnet/sdc2d_*.npz")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_prediction(golden: Any, golden_file: Path, dtype: torch.dtype) -> None:
    """The network that has not seen the target does as the released one."""
    check_against(golden, golden_file, dtype)


@pytest.mark.golden("sdcnet/recon_*.npz")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reconstruction(golden: Any, golden_file: Path, dtype: torch.dtype) -> None:
    """The network that has seen the target does as the released one."""
    check_against(golden, golden_file, dtype)


@pytest.mark.golden("sdcnet/label_warp.npz")
def test_labels_are_carried_exactly(golden: Any) -> None:
    """A label map arrives with the very labels of the released code, at halves and outside as well."""
    cases = sorted({name.split("/")[0] for name in golden})
    assert cases
    for case in cases:
        label, flow = golden.tensor(f"{case}/label", torch.float32), golden.tensor(f"{case}/flow")

        carried = resample2d(label, flow, nearest=True).to(torch.uint8)

        assert torch.equal(carried, golden.tensor(f"{case}/out"))
        torch.testing.assert_close(
            resample2d(label, flow), golden.tensor(f"{case}/out_bilinear"), atol=1e-4, rtol=1e-6
        )


def test_wrong_weights_are_named() -> None:
    """Weights that lack a tensor, or bring one too many or of another shape, are refused by its name."""
    network = SDCNet()
    weights = {published_name(name): values for name, values in network.state_dict().items()}

    with pytest.raises(CheckpointError, match=r"lack conv3_1\.0\.bias;"):
        network.load_published({name: w for name, w in weights.items() if name != "conv3_1.0.bias"})
    with pytest.raises(CheckpointError, match="no place for the weights extra;"):
        network.load_published({**weights, "extra": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"final_flow\.bias .* has shape \(3,\), expected \(2,\)"):
        network.load_published({**weights, "final_flow.bias": torch.zeros(3)})


def test_frames_that_do_not_fit_are_refused() -> None:
    """Too few frames, or a height that cannot be halved six times, end in one clear line."""
    network = SDCNet()
    with pytest.raises(FrameError, match="2 frames and 1 flows, expected 3 frames and 2 flows"):
        network(torch.zeros(1, 2, 3, 64, 64), torch.zeros(1, 1, 2, 64, 64))
    with pytest.raises(FrameError, match="60 × 64, expected multiples of 64"):
        network(torch.zeros(1, 3, 3, 60, 64), torch.zeros(1, 2, 2, 60, 64))
