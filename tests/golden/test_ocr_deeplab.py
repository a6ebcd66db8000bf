"""Compare OCRNet and DeepLab with the implementations of Tao et al. (2020) and Zhu et al. (2019)."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import floor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.golden.weights import published_weights
from warprefine.core.tensors import size_of
from warprefine.io.published import load_renamed
from warprefine.segmentation.deeplab import DeepLabV3, DeepLabV3Plus
from warprefine.segmentation.hrnet import convolution, resized
from warprefine.segmentation.ocr import ObjectAttention, OCRHead, gather_regions, published_head_name
from warprefine.segmentation.ocrnet import OCRNet
from warprefine.segmentation.resnext import RESNETS

HEADS = {"ocrnet": OCRNet, "deepv3": DeepLabV3, "deepv3plus": DeepLabV3Plus}
BRANCH_TRUNKS = {"DeepR50V3PlusD": "resnet50", "DeepSRNX50V3PlusD": "seresnext50"}
EXACT = {"atol": 1e-8, "rtol": 1e-7}
NEAR = {"atol": 1e-4}
PRECISIONS = ((torch.float32, NEAR), (torch.float64, EXACT))
PARTS = {
    r"layer0": "trunk.stem",
    r"layer(\d)(.*)": lambda found: f"trunk.stages.{int(found[1]) - 1}{found[2]}",
    r"backbone": "trunk.stages.3",
    r"bot_fine": "skip",
    r"bot_aspp": "narrow",
    r"ocr(\.cls_head)?": "head.classifier",
    r"ocr\.aux_head": "head.first_guess",
    r"ocr\.conv3x3_ocr": "head.pixels",
    r"final(\.6)?": "classifier",
}


def network_of(stem: str, weights: dict[str, Tensor]) -> nn.Module:
    """Build the network that a file is named after, with its weights."""
    classes = next(
        len(values) for name, values in weights.items() if re.search(r"(final\.6|cls_head)\.weight$", name)
    )
    network: OCRNet | DeepLabV3 | DeepLabV3Plus
    if stem.startswith("sdcbranch_"):
        network = DeepLabV3Plus(classes, trunk=RESNETS[BRANCH_TRUNKS[stem.split("_")[1]]], align_corners=True)
    else:
        head, trunk = stem.split("_")[:2]
        network = HEADS[head](classes, trunk=RESNETS[trunk])
    network.load_published({f"module.{name}": values for name, values in weights.items()})
    return network.eval()


def own_part(theirs: str) -> str:
    """Translate the name of a part of the reference's network."""
    bare = theirs.removeprefix("backbone.")
    for pattern, ours in PARTS.items():
        if re.fullmatch(pattern, bare):
            return re.sub(pattern, ours, bare, count=1)
    return bare


def keep(network: nn.Module, names: list[str]) -> dict[str, Tensor]:
    """Keep what these parts of a network say from now on."""
    said: dict[str, Tensor] = {}
    for name in names:
        network.get_submodule(own_part(name)).register_forward_hook(
            lambda _part, _given, found, name=name: said.__setitem__(name, found)
        )
    return said


@pytest.mark.golden("ocr_deeplab/*50*.npz")
@torch.inference_mode()
def test_network_part_by_part(golden: Any, golden_file: Path) -> None:
    """Every stored part of a network, its logits and its label map are those of the reference."""
    network = network_of(
        golden_file.stem, published_weights(golden_file.parent / f"keys_{golden_file.stem}.json")
    )
    parts = [found[1] for found in (re.fullmatch(r"act/(.*)/shape", name) for name in golden) if found]
    said = keep(network, parts)
    assert parts
    for dtype, near in PRECISIONS:
        if dtype == torch.float64 and not {"pred/val64", "pred/full64"} & set(golden):
            continue

        found = network.to(dtype)(golden.tensor("input", dtype))

        for part in parts:
            golden.compare(f"act/{part}", said[part], **near)
        golden.compare("pred", found.logits, **near)
        golden.compare_classes("pred_argmax", found.logits, atol=NEAR["atol"])


@pytest.mark.golden("ocr_deeplab/ocr_modules.npz")
@torch.inference_mode()
def test_regions(golden: Any) -> None:
    """Features gathered by class are the reference's, with scores sharpened by a factor too."""
    cases = cases_of(golden, "gather")
    for case in cases:
        for dtype, near in PRECISIONS:
            features, scores = (golden.tensor(f"{case}/{name}", dtype) for name in ("feats", "logits"))

            found = gather_regions(features, scores * golden.number(f"{case}/scale"))

            expect(golden, f"{case}/context", found, near)


@pytest.mark.golden("ocr_deeplab/ocr_modules.npz")
@torch.inference_mode()
def test_attention_to_regions(golden: Any, golden_file: Path) -> None:
    """Pixels draw the reference's context from regions, at full or, where it says so, at a coarser grid."""
    weights = published_weights(golden_file.parent / "keys_ocr_modules.json")
    for case in cases_of(golden, "ocr"):
        channels, key_channels, out, scale = golden.tensor(f"{case}/cfg_in_key_out_scale").tolist()
        attention = ObjectAttention(channels, key_channels)
        parts = nn.ModuleDict({"attention": attention, "merge": convolution(2 * channels, out, 1)})
        prefix = case.replace("ocr", "ocrmod") + "."
        load_part(parts, weights, prefix, lambda own: published_head_name(own).split(".", 1)[1])
        for dtype, near in PRECISIONS:
            pixels, regions = (golden.tensor(f"{case}/{name}", dtype) for name in ("feats", "proxy"))

            coarse = nn.functional.max_pool2d(pixels, scale)
            context = resized(parts.to(dtype)["attention"](coarse, regions), size_of(pixels))
            found = parts["merge"](torch.cat([context, pixels], dim=1))

            expect(golden, f"{case}/context", context, near)
            expect(golden, f"{case}/out", found, near)


@pytest.mark.golden("ocr_deeplab/ocr_modules.npz")
@torch.inference_mode()
def test_head(golden: Any, golden_file: Path) -> None:
    """The whole head has the reference's scores, first guess and features."""
    weights = published_weights(golden_file.parent / "keys_ocr_modules.json")
    channels, key_channels = (
        len(weights[f"ocrblock.{name}.weight"])
        for name in ("conv3x3_ocr.0", "ocr_distri_head.object_context_block.f_down.0")
    )
    classes, channels_in = (weights["ocrblock.aux_head.2.weight"].shape[i] for i in (0, 1))
    head = OCRHead(channels_in, classes, channels=channels, key_channels=key_channels)
    load_part(head, weights, "ocrblock.", published_head_name)
    for dtype, near in PRECISIONS:
        found = head.to(dtype)(golden.tensor("block/x", dtype))

        expect(golden, "block/cls", found.logits, near)
        expect(golden, "block/aux", found.auxiliary, near)
        expect(golden, "block/feats", found.features, near)


@pytest.mark.golden("ocr_deeplab/resize.npz")
def test_resizing(golden: Any) -> None:
    """By a factor, sizes are rounded down; to that or to a given size, the edges stay the edges."""
    for case in cases_of(golden, "resize"):
        values, factor = golden.tensor(f"{case}/x"), golden.number(f"{case}/scale")
        other = case.replace("resize", "scale_as")
        h, w = size_of(values)

        by_factor = resized(values, (floor(h * factor), floor(w * factor)))
        h, w = golden.tensor(f"{other}/size").tolist()
        to_size = resized(values, (h, w))

        expect(golden, f"{case}/y", by_factor, NEAR)
        expect(golden, f"{other}/y", to_size, NEAR)


def cases_of(golden: Any, kind: str) -> list[str]:
    """List the cases of one kind in a file."""
    cases = sorted({found[1] for found in (re.match(rf"({kind}\d+)/", name) for name in golden) if found})
    assert cases
    return cases


def load_part(
    part: nn.Module, weights: dict[str, Tensor], prefix: str, published_name: Callable[[str], str]
) -> None:
    """Give a part its weights, whose names begin with a prefix."""
    mine = {name.removeprefix(prefix): values for name, values in weights.items() if name.startswith(prefix)}
    load_renamed(part, mine, published_name, name=prefix)
    part.eval()


def expect(golden: Any, name: str, found: Tensor, near: dict[str, float]) -> None:
    """Compare a tensor with one that is stored whole, where it is stored at this precision."""
    stored = f"{name}64" if found.dtype == torch.float64 else name
    if stored in golden:
        expected = golden.tensor(stored)
        torch.testing.assert_close(found, expected, atol=near["atol"], rtol=near.get("rtol", 0.0))
