"""Trunks of `timm` with a U-Net decoder, which may start from ImageNet weights.

The package has a thousand networks by name, from mobile ones to large ones. It depends on torchvision,
which must match torch: install both with `pip install '.[timm]'`.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from warprefine.core.errors import RecipeError, shorten
from warprefine.core.layout import in_fast_layout
from warprefine.core.names import nearest_name
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames, size_of
from warprefine.io.bounded_building import BUILDING_ERRORS, first_line
from warprefine.io.safetensors_files import check_finite
from warprefine.ops.resize import pad_to_multiple
from warprefine.recipe.network import SEGMENTER_WIDTHS
from warprefine.segmentation.compact import PyramidPooling, ShuffleBlock, UpBlock, without_padding

_FINEST = 2
_STRIDES = (4, 8, 16, 32)
"""Strides at which a trunk must have features; those at stride 2 are used where there are some."""
_PROBE = (96, 160)
"""Size of the image that probes a network: its sides are no multiples of the usual windows."""


class TimmTrunk(nn.Module):
    """Trunk of a network of `timm`, without its classifier.

    Args:
        source: Name of a network of `timm`, such as "resnet50", or "resnet50.a1_in1k" for certain weights.

    Attributes:
        strides: Of its features, finest first: 4, 8, 16 and 32, and 2 before them where it has such.
        channels: Of its features, in the same order.

    Raises:
        RecipeError: `timm` cannot be imported, it has no such network, or the network lacks a stride or
            does not take images of any size.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source
        self.network = _create_model(source)
        colours = self.network.pretrained_cfg
        for name, values in (("mean", colours["mean"]), ("deviation", colours["std"])):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1) * 255, persistent=False)
        # A network may have several features at a stride; the last are the deepest.
        self._places = {stride: place for place, stride in enumerate(self.network.feature_info.reduction())}
        if not set(_STRIDES) <= set(self._places):
            raise RecipeError(
                f"the network {source!r} of timm has features at strides {shorten(sorted(self._places), 8)}, "
                f"expected {shorten(_STRIDES)}; name a network that halves step by step, such as 'resnet50'"
            )
        self.strides = tuple(stride for stride in (_FINEST, *_STRIDES) if stride in self._places)
        self._channels_come_last = False
        self.channels = self._probe()

    def forward(self, frames: Frames) -> list[Tensor]:
        """Return features (b, channels, h / stride, w / stride) of frames, whose sides are padded to 32."""
        x = pad_to_multiple((frames.float() - self.mean) / self.deviation, _STRIDES[-1])
        features = self._features(in_fast_layout(x))
        return [each.permute(0, 3, 1, 2) for each in features] if self._channels_come_last else features

    def load_pretrained(self) -> None:
        """Load the weights that `timm` lists for this network, from its cache or from the hub.

        Raises:
            RecipeError: There are none, or they cannot be fetched.
            CheckpointError: They are not finite.
        """
        # Without this check timm would keep random weights, with a line in its log only.
        if not _import_timm().is_model_pretrained(self._source):
            raise RecipeError(
                f"timm has no pretrained weights of {self._source!r}; "
                "set pretrained = false under [segmenter], or name another network"
            )
        try:
            # Built again, because timm adapts published weights to a network while building it.
            published = _create_model(self._source, pretrained=True)
        except (SafetensorError, *BUILDING_ERRORS) as error:
            raise RecipeError(
                f"the pretrained weights of {self._source!r} cannot be fetched ({_reason(error)}); fetch "
                "them once where the hub can be reached and copy its cache, or set pretrained = false under "
                "[segmenter]"
            ) from error
        weights = published.state_dict()
        check_finite(self._source, weights)
        self.network.load_state_dict(weights)

    def _features(self, x: Tensor) -> list[Tensor]:
        features = self.network(x)
        return [features[self._places[stride]] for stride in self.strides]

    @torch.no_grad()
    def _probe(self) -> tuple[int, ...]:
        """Probe how the network treats an image; return the numbers of channels of its features."""
        self.network.eval()
        try:
            shapes = [tuple(each.shape[1:]) for each in self._features(torch.zeros(1, 3, *_PROBE))]
        except (RuntimeError, ValueError, AssertionError) as error:
            raise RecipeError(_fixed_size(self._source, _reason(error))) from error
        self.network.train()
        expected = [(_PROBE[0] // stride, _PROBE[1] // stride) for stride in self.strides]
        if [shape[:2] for shape in shapes] == expected:
            self._channels_come_last = True
            return tuple(shape[-1] for shape in shapes)
        if [shape[1:] for shape in shapes] != expected:
            h, w = next(shape[1:] for shape, size in zip(shapes, expected, strict=True) if shape[1:] != size)
            raise RecipeError(
                _fixed_size(self._source, f"of {_PROBE[0]} × {_PROBE[1]} pixels it makes {h} × {w} cells")
            )
        return tuple(shape[0] for shape in shapes)


class TimmSegmenter(nn.Module):
    """Trunk of `timm`, pyramid pooling and U-Net decoder; features at stride 4.

    Logits have stride 2, or 4 where the trunk's features begin there (ConvNeXt).

    Args:
        class_count: Number of classes; VOID is not one of them.
        source: Name of a network of `timm`, such as "resnet50".
        widths: Channels of the decoder at strides 2, 4, 8 and 16, and of the pooled context; the first is
            not used where the trunk's features begin at stride 4.
        dropout: Share of the channels before the classifier that is dropped in training.

    Raises:
        RecipeError: No source is given, or as for `TimmTrunk`.
    """

    name = "timm"

    def __init__(
        self,
        class_count: int,
        *,
        source: str = "",
        widths: tuple[int, ...] = SEGMENTER_WIDTHS,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if not source:
            raise RecipeError(
                "network 'timm' needs a source; name a network of timm under [segmenter], such as 'resnet50'"
            )
        self.class_count = class_count
        self.feature_channels = widths[1]
        self._source, self._widths = source, widths
        self.trunk = TimmTrunk(source)
        *finer, coarsest = self.trunk.channels
        self.context = nn.Sequential(nn.Conv2d(coarsest, widths[-1], 1), PyramidPooling(widths[-1]))
        self.up = nn.ModuleList(
            UpBlock(below, skip, channels)
            for below, skip, channels in zip(widths[:1:-1], finer[:-4:-1], widths[-2:0:-1], strict=True)
        )
        self._finest = self.trunk.strides[0]
        self.last_up = ShuffleBlock(widths[1], finer[0], widths[0]) if self._finest == _FINEST else None
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(widths[1] if self.last_up is None else widths[0], class_count, 1)

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings that rebuild this network; initial weights may have decided them."""
        return {"source": self._source, "widths": list(self._widths)}

    def forward(self, frames: Frames) -> Segmentation:
        """Segment frames of any size: logits at stride 2 or 4, features (widths[1] channels) at stride 4."""
        size = size_of(frames)
        *skips, x = self.trunk(frames)
        x = self.context(x)
        for up in self.up:
            x = up(x, skips.pop())
        finest = x if self.last_up is None else self.last_up(x, skips.pop())
        logits = self.classifier(self.dropout(finest))
        return Segmentation(
            logits=without_padding(logits, size, self._finest), features=without_padding(x, size, 4)
        )

    def load_pretrained(self) -> None:
        """Load the trunk's ImageNet weights.

        Raises:
            RecipeError: `timm` has none, or they cannot be fetched.
        """
        self.trunk.load_pretrained()


def _create_model(source: str, *, pretrained: bool = False) -> Any:
    """Build a network of `timm` that returns its features, with random or with published weights."""
    timm = _import_timm()
    names = timm.list_pretrained() if "." in source else timm.list_models()
    if source not in names:
        raise RecipeError(f"timm has no network called {source!r}; {nearest_name(source, names)}")
    return timm.create_model(source, features_only=True, pretrained=pretrained)


def _import_timm() -> Any:
    try:
        return importlib.import_module("timm")
    # A torchvision that does not match torch fails with RuntimeError or OSError.
    except (ImportError, RuntimeError, OSError) as error:
        raise RecipeError(
            f"the recipe names a network of timm, which cannot be imported here ({_reason(error)}); "
            "pip install '.[timm]' in the repository where torch and torchvision match, or choose another "
            "network"
        ) from error


def _fixed_size(source: str, reason: str) -> str:
    return (
        f"the network {source!r} of timm does not take images of any size ({reason}); "
        "name another one, such as 'resnet50' or 'convnext_tiny'"
    )


def _reason(error: BaseException) -> str:
    return first_line(error).rstrip(".")
