"""Segment frames with a network of Hugging Face `transformers`, fine-tuned on the user's key frames.

A network that was trained to segment other pictures, from a folder or from the hub, gets a head for the
user's classes. Install it with `pip install 'warprefine[hf]'`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.errors import RecipeError
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames, Logits
from warprefine.ops.resize import pad_to_multiple
from warprefine.segmentation.compact import without_padding
from warprefine.segmentation.huggingface_source import MASK_FEATURES, first_line, from_config, from_source

STRIDE = 32
"""Frames are padded to multiples of this: the coarsest stride of the trunks in use."""
_STRIDES = (2, 4, 8, 16)
"""Those that the crops of a refiner's training fit on; networks get to 1 by enlarging something coarser."""
_FINEST_FEATURES = 4
_LEAST_PROBABILITY = 1e-6
_PROBE = (64, 96)
"""Size of the picture that tells how a network behaves: not square, as networks of one size are."""


class HuggingFaceSegmenter(nn.Module):
    """A network of `transformers`: one that scores pixels, or one that classifies masks.

    Networks that score pixels are BEiT, Data2Vec, DPT, MobileNetV2, MobileViT, Sapiens, SegFormer and
    UperNet; their features are what their last convolution sees. Networks that classify masks are
    MaskFormer, Mask2Former and EoMT; their features are those that masks are cut from.

    Frames are seen at their own size, not at the size that the network was trained with. Where position
    embeddings bind a network to one size (Data2Vec, DPT, EoMT), frames are squeezed to it, and scores are
    brought back: those networks see the details of that size only. Networks that normalise over what they
    pool from the whole frame (UperNet, BEiT, MobileNetV2, MobileViT) train on batches of two or more.

    Args:
        class_count: Number of classes; VOID is not one of them.
        source: A folder written by `save_pretrained`, or the name of a model on the hub. Its head is kept
            if it has as many classes, and begins anew otherwise.
        config: The attribute of that name of another segmenter, or a configuration of `transformers` as a
            dict: the network is built from it without weights, and `source` is not looked at.

    Raises:
        RecipeError: Neither is given, `transformers` is missing, or the network cannot be used.
        CheckpointError: The weights of `source` are missing, damaged, or are not safetensors.
    """

    name = "huggingface"
    mean: Tensor
    deviation: Tensor

    def __init__(
        self, class_count: int, *, source: str = "", config: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        if config is None and not source:
            raise RecipeError(
                "network 'huggingface' needs a source; name a folder or a model of the hub under [segmenter]"
            )
        origin = from_source(source, class_count) if config is None else from_config(config, class_count)
        self.class_count = class_count
        self.config = origin.config
        self.network = origin.network
        self._factor, self._blue_first = origin.pixels.factor, origin.pixels.blue_first
        mean, deviation = torch.tensor(origin.pixels.mean), torch.tensor(origin.pixels.deviation)
        self.register_buffer("mean", mean.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", deviation.view(1, 3, 1, 1), persistent=False)
        self._kind = str(self.config["model_type"])
        self._speaker = _speaker(self.network, self._kind, origin.head)
        self._patch = _sides(self.config, "patch_size") or (1, 1)
        self._only_size: tuple[int, int] | None = None
        self._resizes_last = False
        self.feature_channels = self._probe()

    @property
    def settings(self) -> dict[str, Any]:
        """Return what builds this network again, without the folder that it came from."""
        return {"config": self.config}

    def forward(self, frames: Frames) -> Segmentation:
        """Segment frames of any size.

        Logits come at the network's own stride between 2 and 16, features at theirs between 4 and 16.
        Logits of networks of masks are logarithms of probabilities. Where the network has an auxiliary
        head, its scores are the first guess in training.
        """
        size = (frames.shape[-2], frames.shape[-1])
        values = frames.flip(1) if self._blue_first else frames
        pixels = pad_to_multiple((values.float() * self._factor - self.mean) / self.deviation, STRIDE)
        padded = (pixels.shape[-2], pixels.shape[-1])
        logits, features, guess = self._ask(self._fitted(pixels))
        return Segmentation(
            logits=_on_grid(logits, padded, size),
            features=_on_grid(features, padded, size, finest=_FINEST_FEATURES),
            first_guess=None if guess is None else _on_grid(guess, padded, size),
        )

    def _fitted(self, pixels: Tensor) -> Tensor:
        """Resize images to what the network takes, if it does not take any multiple of 32."""
        size = (pixels.shape[-2], pixels.shape[-1])
        h, w = (-(-side // patch) * patch for side, patch in zip(size, self._patch, strict=True))
        wanted = self._only_size or (h, w)
        if wanted == size:
            return pixels
        return functional.interpolate(pixels, size=wanted, mode="bilinear", align_corners=False)

    def _ask(self, pixels: Tensor) -> tuple[Logits, Tensor, Tensor | None]:
        """Return scores, features and perhaps a first guess, as large as the network makes them."""
        auxiliary = getattr(self.network, "auxiliary_head", None)
        with _listening(self._part()) as heard, _listening(auxiliary) as heard_aside:
            output = self._output(pixels)
        seen, said = heard[-1]
        if self._kind in MASK_FEATURES:
            return mask_scores(output.class_queries_logits, output.masks_queries_logits), said, None
        logits = said if self._resizes_last else output.logits
        if not heard_aside or not self.training:
            return logits, seen, None
        guess = functional.interpolate(
            heard_aside[-1][1], size=logits.shape[-2:], mode="bilinear", align_corners=False
        )
        return logits, seen, guess

    def _output(self, pixels: Tensor) -> Any:
        if not torch.is_inference_mode_enabled():
            return self.network(pixel_values=pixels)
        # BEiT keeps tensors for the next pictures of the same size. Were they made in inference mode, no
        # training could use them.
        with torch.inference_mode(mode=False), torch.no_grad():
            return self.network(pixel_values=pixels.clone())

    def _part(self) -> nn.Module:
        return self.network.get_submodule(self._speaker)

    @torch.no_grad()
    def _probe(self) -> int:
        """Look how the network treats a picture; return the number of channels of its features."""
        picture = torch.linspace(0, 40, 3 * _PROBE[0] * _PROBE[1]).sin().view(1, 3, *_PROBE)
        self.network.eval()
        try:
            features = self._ask(self._fitted(picture))[1]
        except (RuntimeError, ValueError) as error:
            self._only_size = _sides(self.config, "image_size")
            if self._only_size is None:
                raise RecipeError(
                    f"this {self._kind} does not take pictures of any size ({first_line(error)}), "
                    "and its configuration names no image_size; name another network"
                ) from error
            features = self._ask(self._fitted(picture))[1]
        if self._kind not in MASK_FEATURES:
            self._resizes_last = self._only_enlarges_scores(self._fitted(picture))
        self.network.train()
        return int(features.shape[1])

    def _only_enlarges_scores(self, pixels: Tensor) -> bool:
        """Tell if all that comes after the last convolution is a resize, which can as well come later."""
        with _listening(self._part()) as heard:
            logits = self.network(pixel_values=pixels).logits
        enlarged = functional.interpolate(
            heard[-1][1], size=logits.shape[-2:], mode="bilinear", align_corners=False
        )
        return torch.equal(enlarged, logits)


def mask_scores(class_logits: Tensor, mask_logits: Tensor) -> Logits:
    """Turn masks and their classes into logarithms of class probabilities (b, c, h, w).

    A class gets from each mask the mask's own probability times that of the class (Cheng et al., NeurIPS
    2021, section 3.4); the sum over masks is then made one over the classes. It can be differentiated.

    Args:
        class_logits: (b, masks, c + 1); the last class is "nothing".
        mask_logits: (b, masks, h, w).
    """
    with torch.autocast(mask_logits.device.type, enabled=False):
        classes = class_logits.float().softmax(dim=-1)[..., :-1]
        shares = torch.einsum("bqc,bqhw->bchw", classes, mask_logits.float().sigmoid())
        # Added rather than clamped: a class that no mask claims must still feel a gradient.
        return (shares + _LEAST_PROBABILITY).log().log_softmax(dim=1)


@contextmanager
def _listening(part: nn.Module | None) -> Iterator[list[tuple[Any, Any]]]:
    """Note what a part of a network sees and says while the network runs."""
    heard: list[tuple[Any, Any]] = []
    if part is None:
        yield heard
        return
    handle = part.register_forward_hook(lambda _, seen, said: heard.append((seen[0], said)))
    try:
        yield heard
    finally:
        handle.remove()


def _speaker(network: nn.Module, kind: str, head: frozenset[str]) -> str:
    """Name the part that features are taken from: the last convolution of the head, or a mask's source."""
    if kind in MASK_FEATURES:
        return MASK_FEATURES[kind]
    owners = {tensor.rpartition(".")[0] for tensor in head if not tensor.startswith("auxiliary_head.")}
    found: list[str] = [
        name for name, part in network.named_modules() if name in owners and isinstance(part, nn.Conv2d)
    ]
    if not found:
        raise RecipeError(
            f"the head of a {kind} ends in no convolution, so there are no features for the refiner; "
            "name another network"
        )
    return found[-1]


def _sides(config: Mapping[str, Any], key: str) -> tuple[int, int] | None:
    """Find a size (h, w) in a configuration or in that of its trunk."""
    value = config.get(key) or (config.get("backbone_config") or {}).get(key)
    if value is None:
        return None
    return (value[0], value[-1]) if isinstance(value, list) else (value, value)


def _on_grid(
    values: Tensor, padded: tuple[int, int], size: tuple[int, int], *, finest: int = _STRIDES[0]
) -> Tensor:
    """Bring scores of a padded frame to the next stride that is allowed, and cut the padding off."""
    own = min(pixels // cells for pixels, cells in zip(padded, values.shape[-2:], strict=True))
    stride = max(allowed for allowed in _STRIDES if allowed <= max(own, finest))
    wanted = (padded[0] // stride, padded[1] // stride)
    if values.shape[-2] > wanted[0] and values.shape[-1] > wanted[1]:
        values = functional.adaptive_avg_pool2d(values, wanted)
    elif values.shape[-2:] != wanted:
        values = functional.interpolate(values, size=wanted, mode="bilinear", align_corners=False)
    return without_padding(values, size, stride)
