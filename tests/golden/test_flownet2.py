"""Compare FlowNet2, whole and in parts, with its public implementation."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.golden.weights import published_weights
from warprefine.core.errors import CheckpointError, FrameError
from warprefine.motion.flownet2 import FlowNet2
from warprefine.motion.sdcnet import SDCNet, reconstruction_loss

PARTS = {
    "flownetc": "compare",
    "flownets_1": "refine_first",
    "flownets_2": "refine_second",
    "flownets_d": "small_motion",
    "flownetfusion": "fuse",
}
SLACK = 2e-4


@functools.cache
def published_network(folder: Path) -> FlowNet2:
    """Build the network once, with its weights; setting 160 million random ones before is no use."""
    with torch.device("meta"):
        network = FlowNet2()
    network.to_empty(device="cpu")
    network.load_published(published_weights(folder / "keys_flownet2.json"))
    return network.requires_grad_(False)


@pytest.fixture(scope="module", autouse=True)
def _let_go_of_the_weights() -> Iterator[None]:
    yield
    published_network.cache_clear()


def listen(network: nn.Module, into: dict[str, Any], name: str) -> Any:
    """Keep what a module returns."""
    return network.register_forward_hook(lambda _module, _inputs, output: into.update({name: output}))


def slack_at(dtype: torch.dtype) -> dict[str, float]:
    """Return how far from the reference a flow may be."""
    return {"atol": 1e-8, "rtol": 1e-7} if dtype == torch.float64 else {"atol": SLACK}


@pytest.mark.golden("flownet2/flownet2_*.npz")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flow_and_what_leads_to_it(golden: Any, golden_file: Path, dtype: torch.dtype) -> None:
    """Each network of the chain, and their end, agree with the public implementation."""
    network = published_network(golden_file.parent).to(dtype)
    first, second = golden.tensor("images_u8", dtype).unbind(dim=2)
    found: dict[str, Any] = {}
    hooks = [listen(getattr(network, ours), found, theirs) for theirs, ours in PARTS.items()]
    hooks += [listen(network.compare.redirect, found, "flownetc.conv_redir")]
    hooks += [listen(network.compare.merge, found, "flownetc.conv3_1")]

    flow = network(first, second)

    for hook in hooks:
        hook.remove()
    network.float()  # its weights are whole numbers of single precision, so nothing is lost
    golden.compare("flow", flow, **slack_at(dtype))
    activations = {
        f"{part}.predict_flow{level}": values for part in PARTS for level, values in found[part].items()
    }
    activations |= {name: found[name] for name in ("flownetc.conv_redir", "flownetc.conv3_1")}
    stored = {name.removeprefix("act/").removesuffix("/shape") for name in golden if name.endswith("/shape")}
    assert len(stored & activations.keys()) > len(PARTS)
    for name in stored & activations.keys():
        golden.compare(f"act/{name}", activations[name], **slack_at(dtype))


@pytest.mark.golden("flownet2/flownet2_*.npz")
def test_flow_enlarged_as_of_old(golden: Any, golden_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With aligned corners the flow is the one that PyTorch 0.3 would have given."""
    if "flow_align_corners_true/val64" not in golden:
        pytest.skip("this file holds no flow with aligned corners")
    network = published_network(golden_file.parent)
    monkeypatch.setattr(network, "align_corners", True)
    first, second = golden.tensor("images_u8", torch.float32).unbind(dim=2)

    flow = network(first, second).flatten()[golden.tensor("flow/pos")]

    expected = golden.tensor("flow_align_corners_true/val64", torch.float32)
    torch.testing.assert_close(flow, expected, atol=SLACK, rtol=0)


@pytest.mark.golden("flownet2/subnets.npz")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_networks_by_themselves(golden: Any, golden_file: Path, dtype: torch.dtype) -> None:
    """Each network by itself gives the flows of all its levels, at both precisions."""
    network = published_network(golden_file.parent)
    inputs = [name for name in golden if name.endswith("/input_times32_int8")]
    assert len(inputs) == 4
    for name in inputs:
        part = name.split("/")[0]
        flows = evaluate(getattr(network, PARTS[part]), golden.tensor(name, dtype) / 32)
        stored = {name.split("/")[1] for name in golden if name.startswith(f"{part}/flow")}
        assert len(stored) == (1 if part == "flownetfusion" else 5)
        for flow in stored:
            golden.compare(f"{part}/{flow}", flows[int(flow[-1])], **slack_at(dtype))


def evaluate(network: nn.Module, values: Tensor) -> dict[int, Tensor]:
    """Run a network at the precision of its input, and leave it at single precision."""
    flows: dict[int, Tensor] = network.to(values.dtype)(values)
    network.float()
    return flows


@pytest.mark.golden("sdcnet/chain_with_flownet2*.npz")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flow_through_both_networks(golden: Any, golden_file: Path, dtype: torch.dtype) -> None:
    """SDC-Net on FlowNet2's flows rebuilds a frame as the released pair does."""
    flownet2 = published_network(golden_file.parents[1] / "flownet2").to(dtype)
    network = SDCNet()
    network.load_published(published_weights(golden_file.parent / "keys_recon.json"))
    network.to(dtype)
    frames = golden.tensor("images_u8", dtype).transpose(0, 1)
    oldest, middle, newest = frames.unbind(dim=1)

    with torch.no_grad():
        flows = [flownet2(middle, oldest), flownet2(newest, middle)]
        flow = network(frames, torch.stack(flows, dim=1))
    flownet2.float()
    rebuilt = network.rebuild(frames, flow)
    loss = reconstruction_loss(rebuilt, newest, flow_ba=flow)

    exact = dtype == torch.float64
    for index, between in enumerate(flows):
        golden.compare(f"interframe_flow{index}", between, **slack_at(dtype))
    golden.compare("flow_prediction", flow, **({"atol": 1e-8, "rtol": 1e-7} if exact else {"atol": 1e-4}))
    golden.compare("image_prediction", rebuilt, atol=1e-6 if exact else 2e-3)
    expected = golden.number("loss/tot64" if exact else "loss/tot")
    assert loss.total.item() == pytest.approx(expected, rel=1e-7 if exact else 1e-5)


def test_frames_and_weights_that_do_not_fit_are_refused() -> None:
    """An odd size, or an empty set of weights, ends in one clear line."""
    with torch.device("meta"):
        network = FlowNet2()
        frame = torch.zeros(1, 3, 64, 96)
    with pytest.raises(FrameError, match="64 × 96, expected multiples of 64"):
        network(frame, frame)
    with pytest.raises(CheckpointError, match=r"FlowNet2 lack flownetc\.conv1\.0\.weight, .* and 215 more"):
        network.load_published({})
