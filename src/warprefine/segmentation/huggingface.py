"""Segmentation networks of Hugging Face `transformers`, fine-tuned on the user's key frames.

A network pretrained for segmentation, from a folder or from the hub, gets a head for the user's
classes. Install it with `pip install '.[hf]'`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.errors import RecipeError
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames, Logits, size_of
from warprefine.io.bounded_building import BUILDING_ERRORS, first_line
from warprefine.ops.resize import pad_to_multiple
from warprefine.segmentation.compact import without_padding
from warprefine.segmentation.huggingface_config import MASK_FEATURES
from warprefine.segmentation.huggingface_source import from_config, from_source

STRIDE = 32
"""Frames are padded to multiples of this: the coarsest stride of the trunks in use."""
_STRIDES = (2, 4, 8, 16)
"""Strides that fit the crops of a refiner's training; networks reach 1 by upsampling coarser logits."""
_FINEST_FEATURES = 4
_LEAST_PROBABILITY = 1e-6
_PROBE = (64, 96)
"""Size of the image that probes a network: not square, as the inputs of fixed-size networks are."""


class HuggingFaceSegmenter(nn.Module):
    """Segmentation network of `transformers`: per-pixel classification or mask classification.

    Networks that score pixels are BEiT, Data2Vec, DPT, MobileNetV2, MobileViT, Sapiens, SegFormer and
    UperNet; their features are the inputs of their last convolution. Networks that classify masks are
    MaskFormer, Mask2Former and EoMT; their features are the pixel embeddings that masks are computed from.

    Frames are processed at their own size, not at the size that the network was trained with. Where
    position embeddings fix the input size (Data2Vec, DPT, EoMT), frames are resized to it, and scores are
    resized back: those networks resolve the details of that size only. Networks that normalise globally
    pooled features (UperNet, BEiT, MobileNetV2, MobileViT) train on batches of two or more.

    Args:
        class_count: Number of classes; VOID is not one of them.
        source: A folder written by `save_pretrained`, or the name of a model on the hub. A folder with a
            trunk alone gets a new head.
        config: The attribute `config` of another segmenter, or a configuration of `transformers` as a
            dict: the network is built from it without weights, and `source` is ignored.
        class_names: Names of the classes: scores of a class of that name are taken from the head of
            `source`, and begin anew for the others. If None, its head is kept if it has as many classes.

    Raises:
        RecipeError: Neither is given, `transformers` is missing, or the network cannot be used.
        CheckpointError: The weights of `source` are missing, damaged, or are not safetensors.
    """

    name = "huggingface"
    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        class_count: int,
        *,
        source: str = "",
        config: Mapping[str, Any] | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if config is None and not source:
            raise RecipeError(
                "network 'huggingface' needs a source; name a folder or a model of the hub under [segmenter]"
            )
        if config is None:
            origin = from_source(source, class_count, class_names)
        else:
            origin = from_config(config, class_count)
        self.class_count = class_count
        self.config = origin.config
        self.network = origin.network
        self._factor, self._blue_first = origin.pixels.factor, origin.pixels.blue_first
        mean, deviation = torch.tensor(origin.pixels.mean), torch.tensor(origin.pixels.deviation)
        self.register_buffer("mean", mean.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", deviation.view(1, 3, 1, 1), persistent=False)
        self._kind = str(self.config["model_type"])
        self._feature_layer = _feature_layer(self.network, self._kind, origin.head)
        self._patch = _sides(self.config, "patch_size") or (1, 1)
        self._only_size: tuple[int, int] | None = None
        self._resizes_last = False
        self.feature_channels = self._probe()

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings that rebuild this network without its source folder."""
        return {"config": self.config}

    def forward(self, frames: Frames) -> Segmentation:
        """Segment frames of any size.

        Logits have the network's own stride between 2 and 16, features theirs between 4 and 16. Logits of
        mask classification are log-probabilities. Where the network has an auxiliary head, its scores
        are returned as `first_guess` in training.
        """
        size = size_of(frames)
        values = frames.flip(1) if self._blue_first else frames
        pixels = pad_to_multiple((values.float() * self._factor - self.mean) / self.deviation, STRIDE)
        padded = size_of(pixels)
        logits, features, auxiliary = self._run(self._resize_input(pixels))
        return Segmentation(
            logits=_on_grid(logits, padded, size),
            features=_on_grid(features, padded, size, finest=_FINEST_FEATURES),
            first_guess=None if auxiliary is None else _on_grid(auxiliary, padded, size),
        )

    def _resize_input(self, pixels: Tensor) -> Tensor:
        """Resize images to a size that the network accepts, if it does not accept any multiple of 32."""
        size = size_of(pixels)
        h, w = (-(-side // patch) * patch for side, patch in zip(size, self._patch, strict=True))
        wanted = self._only_size or (h, w)
        if wanted == size:
            return pixels
        return functional.interpolate(pixels, size=wanted, mode="bilinear", align_corners=False)

    def _run(self, pixels: Tensor) -> tuple[Logits, Tensor, Tensor | None]:
        """Return logits, features and auxiliary logits (or None), at the network's own resolution."""
        auxiliary_head = getattr(self.network, "auxiliary_head", None)
        with _recording(self._feature_module()) as calls, _recording(auxiliary_head) as auxiliary_calls:
            output = self._forward(pixels)
        layer_input, layer_output = calls[-1]
        if self._kind in MASK_FEATURES:
            return mask_scores(output.class_queries_logits, output.masks_queries_logits), layer_output, None
        logits = layer_output if self._resizes_last else output.logits
        if not auxiliary_calls or not self.training:
            return logits, layer_input, None
        auxiliary = functional.interpolate(
            auxiliary_calls[-1][1], size=logits.shape[-2:], mode="bilinear", align_corners=False
        )
        return logits, layer_input, auxiliary

    def _forward(self, pixels: Tensor) -> Any:
        if not torch.is_inference_mode_enabled():
            return self.network(pixel_values=pixels)
        # BEiT caches tensors for further images of the same size. Created in inference mode, they could
        # not be used in training.
        with torch.inference_mode(mode=False), torch.no_grad():
            return self.network(pixel_values=pixels.clone())

    def _feature_module(self) -> nn.Module:
        return self.network.get_submodule(self._feature_layer)

    @torch.no_grad()
    def _probe(self) -> int:
        """Probe how the network treats an image; return the number of channels of its features."""
        image = torch.linspace(0, 40, 3 * _PROBE[0] * _PROBE[1]).sin().view(1, 3, *_PROBE)
        self.network.eval()
        try:
            features = self._run(self._resize_input(image))[1]
        except BUILDING_ERRORS as error:
            self._only_size = _sides(self.config, "image_size")
            if self._only_size is None:
                raise RecipeError(
                    f"this {self._kind} does not take images of any size ({first_line(error)}), "
                    "and its configuration names no image_size; name another network"
                ) from error
            features = self._probe_again(image, error)
        if self._kind not in MASK_FEATURES:
            self._resizes_last = self._ends_in_resize(self._resize_input(image))
        self.network.train()
        return int(features.shape[1])

    def _probe_again(self, image: Tensor, reason: Exception) -> Tensor:
        """Return the features of an image at the only size that the network takes."""
        try:
            return self._run(self._resize_input(image))[1]
        except BUILDING_ERRORS as error:
            raise RecipeError(
                f"this {self._kind} segments no image ({first_line(reason)}; {first_line(error)}); name "
                "another network"
            ) from error

    def _ends_in_resize(self, pixels: Tensor) -> bool:
        """Return whether the last convolution is followed by a resize alone, which can be left out."""
        with _recording(self._feature_module()) as calls:
            logits = self.network(pixel_values=pixels).logits
        enlarged = functional.interpolate(
            calls[-1][1], size=logits.shape[-2:], mode="bilinear", align_corners=False
        )
        return torch.equal(enlarged, logits)


def mask_scores(class_logits: Tensor, mask_logits: Tensor) -> Logits:
    """Convert mask classification to log-probabilities of classes (b, c, h, w); differentiable.

    A class gets from each mask the mask's probability times that of the class (MaskFormer, Cheng et al.,
    NeurIPS 2021, section 3.4); the sum over masks is then normalised over the classes.

    Args:
        class_logits: (b, masks, c + 1); the last class is "no object".
        mask_logits: (b, masks, h, w).

    Example:
        >>> class_logits = torch.tensor([[[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]]])
        >>> mask_logits = torch.tensor([[[[9.0, -9.0]], [[-9.0, 9.0]]]])
        >>> mask_scores(class_logits, mask_logits).argmax(dim=1)
        tensor([[[0, 1]]])
    """
    with torch.autocast(mask_logits.device.type, enabled=False):
        classes = class_logits.float().softmax(dim=-1)[..., :-1]
        shares = torch.einsum("bqc,bqhw->bchw", classes, mask_logits.float().sigmoid())
        # Added rather than clamped: a class that no mask covers still gets a gradient.
        return (shares + _LEAST_PROBABILITY).log().log_softmax(dim=1)


@contextmanager
def _recording(part: nn.Module | None) -> Iterator[list[tuple[Any, Any]]]:
    """Record the input and output of a part of a network, if any, at each of its calls."""
    calls: list[tuple[Any, Any]] = []
    if part is None:
        yield calls
        return
    handle = part.register_forward_hook(lambda _, inputs, output: calls.append((inputs[0], output)))
    try:
        yield calls
    finally:
        handle.remove()


def _feature_layer(network: nn.Module, kind: str, head: frozenset[str]) -> str:
    """Return the name of the module that features come from: the head's last convolution, or as listed."""
    if kind in MASK_FEATURES:
        return MASK_FEATURES[kind]
    owners = {tensor.rpartition(".")[0] for tensor in head if not tensor.startswith("auxiliary_head.")}
    convolutions: list[str] = [
        name for name, part in network.named_modules() if name in owners and isinstance(part, nn.Conv2d)
    ]
    if not convolutions:
        raise RecipeError(
            f"the head of a {kind} ends in no convolution, so there are no features for the refiner; "
            "name another network"
        )
    return convolutions[-1]


def _sides(config: Mapping[str, Any], key: str) -> tuple[int, int] | None:
    """Return a size (h, w) from a configuration or from that of its trunk."""
    value = config.get(key) or (config.get("backbone_config") or {}).get(key)
    if value is None:
        return None
    return (value[0], value[-1]) if isinstance(value, list) else (value, value)


def _on_grid(
    values: Tensor, padded: tuple[int, int], size: tuple[int, int], *, finest: int = _STRIDES[0]
) -> Tensor:
    """Resize scores of a padded frame to the next stride that is allowed, and crop the padding."""
    own = min(pixels // cells for pixels, cells in zip(padded, values.shape[-2:], strict=True))
    stride = max(allowed for allowed in _STRIDES if allowed <= max(own, finest))
    wanted = (padded[0] // stride, padded[1] // stride)
    if values.shape[-2] > wanted[0] and values.shape[-1] > wanted[1]:
        values = functional.adaptive_avg_pool2d(values, wanted)
    elif values.shape[-2:] != wanted:
        values = functional.interpolate(values, size=wanted, mode="bilinear", align_corners=False)
    return without_padding(values, size, stride)
