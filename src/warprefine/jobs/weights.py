"""Import published weights: check every tensor, store them as safetensors with a card."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from warprefine.core.errors import CheckpointError, shorten
from warprefine.core.names import look_up
from warprefine.core.tensors import VOID
from warprefine.datasets.cityscapes_labels import CITYSCAPES_LABELS
from warprefine.io.atomic import reading_errors
from warprefine.io.checkpoints import Card, save_checkpoint
from warprefine.io.locks import locked_file
from warprefine.io.published import read_published
from warprefine.motion.flownet2 import FlowNet2
from warprefine.motion.raft import RAFT
from warprefine.motion.sdcnet import SDCNet
from warprefine.segmentation.dilated import DilatedSegmenter
from warprefine.segmentation.hrnet import HRNETS, HRNet, HRNetSize
from warprefine.segmentation.lite0 import Lite0Trunk
from warprefine.segmentation.multiscale import MultiScaleSegmenter
from warprefine.segmentation.resnext import RESNETS, DilatedResNet


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Published weights, loaded into a network, and the entries of its card."""

    part: str
    network: nn.Module
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    class_count: int = 0


def import_weights(
    source: Path, out: Path, *, name: str, class_names: Sequence[str] = (), licence: str = ""
) -> Card:
    """Read a published checkpoint, check it and write it to `out`; return its card.

    Args:
        name: Network that it holds: one of `IMPORTERS`.
        class_names: Classes that it scores; those of Cityscapes where it scores 19 and none are given.
        licence: Licence of the weights; if empty, that of `LICENCES`.

    Raises:
        RecipeError: `name` is not one of `IMPORTERS`.
        CheckpointError: The file is damaged or contains code, a tensor is missing, left over or of another
            shape, or the number of class names differs from that of the scores.
    """
    importer = look_up(IMPORTERS, name, what="published network")
    if out.suffix != ".safetensors":
        raise CheckpointError(f"{out} does not end in .safetensors, the format that is written; name another")
    published = read_published(source)
    try:
        imported = _import_any(importer, published)
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from error
    card = Card(
        part=imported.part,
        network=imported.kind,
        class_names=_names(source, imported.class_count, class_names),
        settings=imported.settings,
        recipe={},
        facts={
            "source": source.name,
            "sha256": _sha256(source),
            "licence": licence or LICENCES[name],
        },
    )
    with locked_file(out):
        save_checkpoint(out, imported.network, card)
    return card


def _import_any(
    importer: Callable[[Mapping[str, Tensor]], Imported], published: Mapping[str, Tensor]
) -> Imported:
    """Import weights, without the beginning that all their names share where they do not fit with it."""
    try:
        return importer(published)
    except CheckpointError:
        shared = {name.partition(".")[0] for name in published if "." in name}
        if len(shared) != 1 or not all("." in name for name in published):
            raise
        shorter = {name.partition(".")[2]: values for name, values in published.items()}
        with suppress(CheckpointError):
            return _import_any(importer, shorter)
        raise


def _sha256(path: Path) -> str:
    with reading_errors(path, CheckpointError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _names(source: Path, count: int, given: Sequence[str]) -> tuple[str, ...]:
    if given and len(given) != count:
        raise CheckpointError(f"{source} scores {count} classes, but {len(given)} names are given")
    cityscapes = [label.name for label in CITYSCAPES_LABELS if label.evaluated]
    if given or count == len(cityscapes):
        return tuple(given or cityscapes)
    return tuple(f"class {number}" for number in range(count))


def _hrnet_ocr(published: Mapping[str, Tensor]) -> Imported:
    name, size = _hrnet_size(published, "backbone.")
    count = _class_count(published, "ocr.cls_head.bias")
    segmenter = MultiScaleSegmenter(count, size=size)
    segmenter.network.load_published(published)
    return Imported(part="segmenter", network=segmenter, kind=f"hrnet-ocr-{name}", class_count=count)


def _hrnet(published: Mapping[str, Tensor]) -> Imported:
    name, size = _hrnet_size(published, "")
    trunk = HRNet(size)
    trunk.load_published(_without(published, _HRNET_CLASSIFIER))
    return Imported(part="trunk", network=trunk, kind=f"hrnet-{name}")


def _hrnet_size(published: Mapping[str, Tensor], prefix: str) -> tuple[str, HRNetSize]:
    """Return the size of an HRNet from the names and shapes of its weights."""
    first = f"{prefix}stage2.0.branches.0."
    own = HRNetSize(
        width=_side(published, f"{first}0.conv1.weight", 0),
        bottlenecks=_count(published, f"{prefix}layer1."),
        units=(
            _count(published, f"{prefix}stage2."),
            _count(published, f"{prefix}stage3."),
            _count(published, f"{prefix}stage4."),
        ),
        blocks=_count(published, first),
    )
    for name, size in HRNETS.items():
        if size == own:
            return name, size
    raise CheckpointError(f"the HRNet has the size {own}, expected one of {', '.join(HRNETS)}")


def _dilated(published: Mapping[str, Tensor], *, network: str, scores: str) -> Imported:
    # Weights from Zhu et al. have no `backbone.` in their names, and were trained with aligned corners.
    aligned = "layer1.0.conv1.weight" in published
    channels = _side(published, f"{'' if aligned else 'backbone.'}layer1.0.conv2.weight", 1)
    squeezed = any(".se_module." in name for name in published)
    group_width = RESNETS["resnext50"].width * 2 // RESNETS["resnext50"].groups
    grouped = "resnext50" if channels == group_width else "resnet50"
    trunk = "seresnext50" if squeezed else grouped
    count = _class_count(published, scores)
    segmenter = DilatedSegmenter(count, network=network, trunk=RESNETS[trunk], align_corners=aligned)
    segmenter.network.load_published(published)
    return Imported(
        part="segmenter",
        network=segmenter,
        kind=f"{network}-{trunk}",
        settings={"align_corners": aligned},
        class_count=count,
    )


def _resnet(published: Mapping[str, Tensor], *, size: str) -> Imported:
    trunk = DilatedResNet(RESNETS[size])
    trunk.load_published(published)
    return Imported(part="trunk", network=trunk, kind=size)


def _lite0(published: Mapping[str, Tensor]) -> Imported:
    trunk = Lite0Trunk()
    trunk.load_published(published)
    return Imported(part="trunk", network=trunk, kind="lite0")


def _raft(published: Mapping[str, Tensor]) -> Imported:
    # The small network begins with half as many channels.
    channels = _side(published, "fnet.conv1.weight", 0)
    network = RAFT("small" if channels == 32 else "large")
    network.load_published(published)
    return Imported(part="motion", network=network, kind="raft", settings={"size": network.size})


def _flownet2(published: Mapping[str, Tensor]) -> Imported:
    network = FlowNet2()
    network.load_published(published)
    return Imported(part="motion", network=network, kind="flownet2")


def _sdcnet(published: Mapping[str, Tensor]) -> Imported:
    own = {name: values for name, values in published.items() if "flownet2" not in name}
    channels = _side(own, "conv1.0.weight", 1)  # 3 for each frame, 2 for each flow between them
    if channels not in (known := [5 * frames - 2 for frames in _SDCNET_FRAMES]):
        raise CheckpointError(f"the SDC-Net has inputs of {channels} channels, expected {known}")
    network = SDCNet((channels + 2) // 5)
    network.load_published(own)
    return Imported(
        part="motion", network=network, kind="sdcnet", settings={"frame_count": network.frame_count}
    )


_HRNET_CLASSIFIER = ("incre_modules.", "downsamp_modules.", "final_layer.", "classifier.", "last_layer.")
"""Prefixes of the weights of an HRNet's ImageNet classifier."""
_SDCNET_FRAMES = range(2, 6)
"""Numbers of frames that an SDC-Net may see; the published ones see two or three."""
_UNKNOWN_LICENCE = "not known here: ask where the file comes from"
IMPORTERS: dict[str, Callable[[Mapping[str, Tensor]], Imported]] = {
    "hrnet-ocr": _hrnet_ocr,
    "hrnet": _hrnet,
    "ocrnet": partial(_dilated, network="ocrnet", scores="ocr.cls_head.weight"),
    "deeplabv3": partial(_dilated, network="deeplabv3", scores="final.6.weight"),
    "deeplabv3plus": partial(_dilated, network="deeplabv3plus", scores="final.6.weight"),
    **{size: partial(_resnet, size=size) for size in RESNETS},
    "lite0": _lite0,
    "raft": _raft,
    "flownet2": _flownet2,
    "sdcnet": _sdcnet,
}
"""Importers of published networks by name; sizes are inferred from the weights."""
LICENCES = {
    **dict.fromkeys(IMPORTERS, _UNKNOWN_LICENCE),
    "raft": "BSD-3-Clause, as RAFT's authors release their weights",
    "lite0": "Apache-2.0, as EfficientNet's authors release their weights",
    "hrnet-ocr": f"{_UNKNOWN_LICENCE}; weights trained on Cityscapes or Mapillary are for research alone",
    "sdcnet": f"{_UNKNOWN_LICENCE}; the released weights are CC BY-NC-SA 4.0, not for commercial use",
}
"""Licence of the published weights of each importer."""


def _side(published: Mapping[str, Tensor], name: str, side: int) -> int:
    """Return a side of a tensor that tells the size of its network."""
    if name not in published:
        raise CheckpointError(
            f"there is no tensor {name} among {shorten(sorted(published))}; "
            "if this is another network, name it with --as"
        )
    shape = tuple(published[name].shape)
    if len(shape) <= side:
        raise CheckpointError(f"{name} has the shape {shape}; these are not the weights of a network")
    return shape[side]


def _class_count(published: Mapping[str, Tensor], scores: str) -> int:
    count = _side(published, scores, 0)
    if not 0 < count <= VOID:
        raise CheckpointError(f"{scores} scores {count} classes, expected 1 to {VOID}")
    return count


def _count(published: Mapping[str, Tensor], prefix: str) -> int:
    """Count the different numbers that follow a prefix in the names of the weights."""
    numbered = re.compile(rf"{re.escape(prefix)}(\d+)\.")
    return len({match[1] for match in map(numbered.match, published) if match})


def _without(published: Mapping[str, Tensor], prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: values for name, values in published.items() if not name.startswith(prefixes)}
