"""Compare HRNet, object context and attention over scales with the implementation of Tao et al. (2020)."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.golden.conftest import GOLDEN, Golden
from tests.golden.weights import published_weights
from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.core.protocols import Segmenter
from warprefine.recipe.recipe import SegmenterRecipe
from warprefine.segmentation.hrnet import HRNETS, HRNet, HRNetSize
from warprefine.segmentation.multiscale import MultiScaleOCR, MultiScaleSegmenter, blend, published_name
from warprefine.segmentation.ocr import gather_regions
from warprefine.training.segmenter_loss import segmentation_loss

SMALL = HRNetSize(width=4, bottlenecks=1, units=(1, 1, 1), blocks=1)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
NetworkOf = Callable[[torch.dtype], MultiScaleOCR]


@cache
def network_with(class_count: int, dtype: torch.dtype) -> MultiScaleOCR:
    """Return the network with the reference's weights for so many classes."""
    if dtype != torch.float32:
        return copy.deepcopy(network_with(class_count, torch.float32)).to(dtype)
    for keys in sorted(GOLDEN.glob("hrnet_mscale/keys_*.json")):
        weights = published_weights(keys)
        if len(weights["ocr.cls_head.bias"]) == class_count:
            network = MultiScaleOCR(class_count).eval()
            network.load_published({f"module.{name}": values for name, values in weights.items()})
            return network
    raise FileNotFoundError(f"no hrnet_mscale/keys_*.json in {GOLDEN} has {class_count} classes")


@pytest.fixture
def network_of(golden: Golden) -> NetworkOf:
    """The network that the case's numbers were computed with, at either precision."""
    return partial(network_with, class_count_of(golden))


def class_count_of(golden: Golden) -> int:
    """Return the number of classes that a case's scores have."""
    if "num_classes" in golden:
        return int(golden.number("num_classes"))
    scores = next(name for name in golden if name.endswith("/grad/ocr.cls_head.weight/shape"))
    return int(golden.tensor(scores)[0])


def tolerance(dtype: torch.dtype) -> dict[str, float]:
    """Return how far from the reference a sum may be that was taken in another order."""
    return {"atol": 1e-8, "rtol": 1e-7} if dtype == torch.float64 else {"atol": 1e-4}


@pytest.mark.golden("hrnet_mscale/fwd_*.npz")
@DTYPES
@torch.inference_mode()
def test_one_pass_part_by_part(golden: Any, network_of: NetworkOf, dtype: torch.dtype) -> None:
    """Trunk, regions, scores and attention of one pass are those of the reference."""
    network, images, near = network_of(dtype), golden.tensor("input", dtype), tolerance(dtype)

    features = network.trunk(images)
    found = network.head(features)

    golden.compare("single/backbone_feats_s4", features, **near)
    regions = gather_regions(network.head.pixels(features), found.auxiliary)
    golden.compare("single/gather_context", regions, **near)
    golden.compare("single/aux_s4", found.auxiliary, **near)
    golden.compare("single/ocr_mid_feats_s4", found.features, **near)
    golden.compare("single/cls_s4", found.logits, **near)
    golden.compare("single/attn_presigmoid_s4", network.scale_attention(found.features), **near)


@pytest.mark.golden("hrnet_mscale/fwd_*.npz")
@DTYPES
@torch.inference_mode()
def test_passes_at_several_scales(golden: Any, network_of: NetworkOf, dtype: torch.dtype) -> None:
    """Two, three and four scales blend as in the reference, at even and at odd sizes."""
    network, images, near = network_of(dtype), golden.tensor("input", dtype), tolerance(dtype)

    passes = network.at_scales(images, (0.25, 0.5, 1.0, 1.5, 2.0)).passes
    three = blend({scale: passes[scale] for scale in (0.5, 1.0, 2.0)})
    four = blend({scale: passes[scale] for scale in (0.25, 0.5, 1.0, 1.5)})

    golden.compare("nscale/pred", three.logits, **near)
    golden.compare_classes("nscale/pred_argmax", three.logits, atol=near["atol"])
    golden.compare("nscale_b/pred", four.logits, **near)
    for scale, found in three.passes.items():
        golden.compare(f"nscale/pred_{scale}x", found.logits, **near)
    for scale in (0.5, 1.0):
        golden.compare(f"nscale/attn_{scale}x", passes[scale].attention, **near)
    golden.compare("single/cls_out", passes[1.0].logits, **near)
    golden.compare("single/aux_out", passes[1.0].auxiliary, **near)
    golden.compare("single/attn", passes[1.0].attention, **near)
    golden.compare("single/ocr_mid_feats_s4", three.features, **near)
    golden.compare("two_scale/joint_pred", network(images).logits, **near)
    golden.compare("two_scale/pred_05x", passes[0.5].logits, **near)
    golden.compare("two_scale/attn_05x", passes[0.5].attention, **near)


@pytest.mark.golden("hrnet_mscale/loss_*.npz")
@pytest.mark.parametrize("prefix", ["evalbn", "trainbn"])
def test_training_loss_and_gradients(golden: Any, network_of: NetworkOf, prefix: str) -> None:
    """A whole training step has the reference's loss, gradients and batch statistics."""
    network = copy.deepcopy(network_of(torch.float64)).train(prefix == "trainbn")
    network.head.dropout.p = 0.0
    images, labels = golden.tensor("input", torch.float64), golden.tensor("labels")
    weights = {published_name(own): values for own, values in network.named_parameters()}
    stored = {case: gradients_of(golden, case) for case in cases_of(golden, prefix)}
    for name, values in weights.items():
        values.requires_grad_(any(name in checked for checked in stored.values()))

    found = network(images)

    for case, checked in stored.items():
        recipe = SegmenterRecipe(loss="rmi", scale_weight=float(case.split("supw")[1]))
        loss = segmentation_loss(found.in_training(), labels, recipe, None)
        loss.backward(retain_graph=True)
        expected = golden.number(f"{case}/loss64")
        assert loss.item() == pytest.approx(expected, rel=1e-6, abs=1e-6)
        assert checked
        for name in checked:
            gradient = weights[name].grad
            assert gradient is not None
            near = 1e-6 * golden.spread(f"{case}/grad/{name}") + 1e-9
            golden.compare(f"{case}/grad/{name}", gradient, atol=near)
        network.zero_grad()
        if f"{case}/joint_pred/shape" in golden:
            golden.compare(f"{case}/joint_pred", found.logits, atol=1e-8, rtol=1e-7)
            golden.compare(f"{case}/joint_aux", found.auxiliary, atol=1e-8, rtol=1e-7)
    statistics = {published_name(own): values for own, values in network.named_buffers()}
    for name in [name for name in golden if name.startswith(prefix) and "/bn/" in name]:
        expected = golden.tensor(name, torch.float64)
        torch.testing.assert_close(
            statistics[name.split("/")[2]][: len(expected)], expected, rtol=1e-5, atol=1e-5
        )


def cases_of(golden: Any, prefix: str) -> list[str]:
    """Return the names of the losses that a file holds with one kind of batch statistics."""
    found = sorted({name.split("/")[0] for name in golden if name.startswith(prefix)})
    assert found
    return found


def gradients_of(golden: Any, case: str) -> list[str]:
    """Return the weights whose gradient a file holds; a bias before batch statistics has none."""
    stored = re.compile(rf"{re.escape(case)}/grad/(.*)/shape")
    names = [found[1] for found in map(stored.fullmatch, golden) if found]
    return [name for name in names if (case[:5], name) != ("train", "ocr.conv3x3_ocr.0.bias")]


@pytest.mark.parametrize("size", sorted(HRNETS))
def test_features_of_every_size(size: str) -> None:
    """Every size of trunk joins its four branches at stride 4, rounded up."""
    trunk = HRNet(HRNETS[size]).eval()

    with torch.inference_mode():
        features = trunk(torch.rand(1, 3, 33, 41))

    assert features.shape == (1, 15 * HRNETS[size].width, 9, 11)


def tiny() -> MultiScaleOCR:
    return MultiScaleOCR(3, size=SMALL, feature_channels=16, key_channels=8, attention_channels=8)


def published() -> dict[str, Tensor]:
    return {published_name(own): values for own, values in tiny().state_dict().items()}


def test_published_weights_are_taken_whole() -> None:
    """Each published weight finds its place; counts of batches, which old files lack, are not needed."""
    network, weights = tiny(), published()
    old = {name: values for name, values in weights.items() if "num_batches" not in name}

    network.load_published(old)

    assert all(
        torch.equal(values, weights[published_name(own)]) for own, values in network.state_dict().items()
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backbone.conv1.weight": None}, r"^the weights of .* lack backbone\.conv1\.weight; these are not"),
        ({"ocr.extra.bias": torch.zeros(1)}, r"has no place for the weights ocr\.extra\.bias; these are not"),
        (
            {"ocr.cls_head.bias": torch.zeros(65)},
            r"ocr\.cls_head\.bias of .* has shape \(65,\), expected \(3,\)",
        ),
    ],
)
def test_published_weights_of_another_network(change: dict[str, Tensor | None], words: str) -> None:
    """Weights that are missing, left over or misshaped are named, and nothing is taken."""
    network = tiny()
    before = copy.deepcopy(network.state_dict())
    weights = {name: values for name, values in (published() | change).items() if values is not None}

    with pytest.raises(CheckpointError, match=words) as error:
        network.load_published(weights)

    assert "\n" not in str(error.value)
    assert all(torch.equal(values, before[own]) for own, values in network.state_dict().items())


@pytest.mark.parametrize("scales", [(), (0.5, 2.0), (1.0, 1.0), (0.0, 1.0)])
def test_scales_that_cannot_be_blended(scales: tuple[float, ...]) -> None:
    """Passes are joined at the images' own size, so it must be among the scales."""
    with pytest.raises(RecipeError, match=r"expected different positive numbers with 1\.0 among them"):
        tiny().at_scales(torch.rand(1, 3, 32, 32), scales)


def test_segmenter_of_frames() -> None:
    """Frames of any size get logits at their own size, and features for a refiner at stride 4."""
    segmenter = MultiScaleSegmenter(3, size=SMALL, scales=(1.0, 2.0)).eval()
    frames = torch.randint(0, 256, (1, 3, 49, 70), dtype=torch.uint8)

    with torch.inference_mode():
        found = segmenter(frames)
        mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
        expected = segmenter.network.at_scales((frames / 255 - mean) / deviation, (1.0, 2.0))

    assert isinstance(segmenter, Segmenter)
    assert found.logits.shape == (1, 3, 49, 70)
    assert found.features.shape == (1, segmenter.feature_channels, 13, 18)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.features, expected.features, atol=1e-4, rtol=1e-4)


def test_segmenter_trains_at_two_scales() -> None:
    """In training a segmenter looks at half and at full size only, and learns how to join them."""
    segmenter = MultiScaleSegmenter(3, size=SMALL, scales=(0.25, 0.5, 1.0, 2.0))
    frames = torch.randint(0, 256, (2, 3, 32, 64), dtype=torch.uint8)
    seen: list[tuple[int, ...]] = []
    segmenter.network.trunk.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))

    segmenter(frames).logits.square().mean().backward()

    assert seen == [(2, 3, 16, 32), (2, 3, 32, 64)]
    assert all(values.grad is not None and values.grad.isfinite().all() for values in segmenter.parameters())
