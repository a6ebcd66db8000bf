"""Read the settings of a network of Hugging Face; none of them makes a request or runs code."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from warprefine.core.errors import RecipeError
from warprefine.io.bounded_building import first_line
from warprefine.io.file_kinds import other_kind

MASK_FEATURES = {
    "eomt": "upscale_block",
    "eomt_dinov3": "upscale_block",
    "mask2former": "model.pixel_level_module.decoder.mask_projection",
    "maskformer": "model.pixel_level_module.decoder.mask_projection",
}
"""Networks that classify masks, and the module of each that computes the pixel embeddings of its masks."""
_LARGEST_FILE = 4_000_000
"""Bytes; published settings have some thousands."""
_REQUESTS = frozenset(
    (
        *("_name_or_path", "name_or_path", "_commit_hash", "transformers_weights", "gguf_file"),
        *("auto_map", "custom_pipelines", "trust_remote_code"),
        *("backbone", "backbone_kwargs", "use_pretrained_backbone", "use_timm_backbone"),
        *("quantization_config", "kernel_config", "fusion_config", "distributed_config"),
        *("experts_implementation", "_experts_implementation", "_experts_implementation_internal"),
    )
)
"""Settings that make `transformers` fetch other files, import packages or replace parts of the network."""
_ATTENTION = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
_OWN_ATTENTION = ("eager", "sdpa")
"""What computes attention within `torch`; other names are of packages, or of repositories with kernels."""
_CLASSES = frozenset(("id2label", "label2id", "num_labels"))
"""Settings of a head of other classes; a table of a thousand million names would be made of the last."""
_LARGEST_NUMBER = 1_000_000
_LARGEST = {"image_size": 2048, "patch_size": 256, "pool_scales": 64}
"""Numbers that decide how much memory is taken for an image, whatever the weights."""


@dataclass(frozen=True, kw_only=True)
class PixelScaling:
    """Normalisation of a network's input pixels: (value · factor - mean) / deviation.

    The defaults are the statistics of ImageNet.
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225)
    factor: float = 1 / 255
    blue_first: bool = False

    @classmethod
    def from_preprocessor(cls, settings: Mapping[str, Any]) -> PixelScaling:
        """Build from a `preprocessor_config.json`; without a mean or `do_normalize` nothing is subtracted.

        Raises:
            ValueError, TypeError: A value is no number, or no numbers for three colours.

        Example:
            >>> PixelScaling.from_preprocessor({"image_mean": [0.5] * 3, "image_std": [0.2] * 3}).mean
            (0.5, 0.5, 0.5)
        """
        factor = float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0
        blue_first = bool(settings.get("do_flip_channel_order", False))
        mean, deviation = (0.0,) * 3, (1.0,) * 3
        if settings.get("do_normalize", "image_mean" in settings):
            mean = _colours(settings.get("image_mean", cls.mean))
            deviation = _colours(settings.get("image_std", cls.deviation))
        if not math.isfinite(factor) or not all(deviation):
            raise ValueError("pixels are scaled by infinity, or divided by zero")
        return cls(mean=mean, deviation=deviation, factor=factor, blue_first=blue_first)

    @classmethod
    def from_card(cls, stored: object) -> PixelScaling:
        """Build from the fields of another one, as JSON holds them.

        Raises:
            ValueError, TypeError: A value is no number, or no numbers for three colours.
        """
        if not isinstance(stored, Mapping):
            raise TypeError("there is no table of them")
        return cls.from_preprocessor(
            {
                "do_normalize": True,
                "image_mean": stored.get("mean", cls.mean),
                "image_std": stored.get("deviation", cls.deviation),
                "rescale_factor": stored.get("factor", cls.factor),
                "do_flip_channel_order": stored.get("blue_first", cls.blue_first),
            }
        )


def _colours(values: Any) -> tuple[float, float, float]:
    red, green, blue = values
    numbers = float(red), float(green), float(blue)
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a colour's mean or deviation is not finite")
    return numbers


def read_settings(path: Path) -> dict[str, Any]:
    """Return the content of a file of settings.

    Raises:
        RecipeError: The file is missing, too large or no JSON, or holds no table.
    """
    try:
        if kind := other_kind(path):
            raise RecipeError(f"{path} is {kind}; expected settings that `save_pretrained` wrote")
        if path.stat().st_size > _LARGEST_FILE:
            raise RecipeError(f"{path} is far larger than settings are; restore the file")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(
            f"{path} is missing or no JSON ({first_line(error)}); expected a folder written by "
            "`save_pretrained`"
        ) from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} holds no table of settings; restore the file")
    return content


def network_config(transformers: Any, described: Mapping[str, Any], class_count: int, *, named: str) -> Any:
    """Return the configuration of a network that segments, without what it asks for elsewhere.

    Args:
        transformers: The package.
        described: The settings of the network.
        class_count: Number of classes that it is to score.
        named: What holds the settings, in messages.

    Raises:
        RecipeError: They describe no such network.
    """
    errors = importlib.import_module("huggingface_hub.errors")
    kind = described.get("model_type")
    if kind not in (supported := [*_per_pixel(), *MASK_FEATURES]):
        trunk = " a trunk without a head that segments," if kind in _trunks() else ""
        raise RecipeError(
            f"{named} describes a network of type {first_line(ValueError(kind))!r},{trunk} expected one that "
            f"segments ({', '.join(sorted(supported))}); name another"
        )
    settings = {key: value for key, value in described.items() if key != "pixels"}
    try:
        for key, number in _numbers(settings):
            if abs(number) > _LARGEST.get(key, _LARGEST_NUMBER):
                raise ValueError(f"{key[:60]} is too large")
        config = transformers.CONFIG_MAPPING[kind].from_dict(_without_requests(settings))
        # Weights may be stored in half precision, but training starts from float32.
        config.dtype, config.num_labels = torch.float32, class_count
    except (
        *(errors.StrictDataclassError, ArithmeticError, AttributeError, LookupError),
        *(OSError, RuntimeError, TypeError, ValueError),
    ) as error:
        raise RecipeError(
            f"{named} is no valid configuration of a {kind} ({first_line(error)}); restore it, or install "
            "the version of transformers that wrote it"
        ) from error
    return config


def _without_requests(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings, and those of parts, without those that reach beyond the network or are of its head."""
    kept = {}
    for key, value in settings.items():
        # The parts of `timm` have no other name; with a colon or a slash it would be one on a hub.
        of_timm = key == "backbone" and settings.get("model_type") == "timm_backbone"
        simple = isinstance(value, str) and value.replace("_", "").replace(".", "").isalnum()
        if key in _CLASSES or (key in _REQUESTS and not (of_timm and simple)):
            continue
        if (key in _ATTENTION and value not in _OWN_ATTENTION) or key in ("dtype", "torch_dtype"):
            continue
        kept[key] = _without_requests(value) if isinstance(value, Mapping) else value
    return kept


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, int]]:
    """Yield all whole numbers within settings, with the key that they belong to."""
    if isinstance(value, Mapping):
        for inner, part in value.items():
            if inner not in _CLASSES:
                yield from _numbers(part, inner)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _numbers(part, key)
    elif isinstance(value, int):
        yield key, value


def class_names_of(described: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes that a folder's network scores; () where it gives them none.

    Example:
        >>> class_names_of({"id2label": {"1": "sky", "0": "road"}})
        ('road', 'sky')
        >>> class_names_of({"id2label": {"0": "LABEL_0"}})
        ()
    """
    table = described.get("id2label")
    if not isinstance(table, Mapping):
        return ()
    names = tuple(table.get(str(place), table.get(place)) for place in range(len(table)))
    unnamed = all(name == f"LABEL_{place}" for place, name in enumerate(names))
    return () if unnamed or not all(isinstance(name, str) for name in names) else names


def _per_pixel() -> list[str]:
    names = importlib.import_module("transformers.models.auto.modeling_auto")
    return list(names.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES)


def _trunks() -> list[str]:
    names = importlib.import_module("transformers.models.auto.modeling_auto")
    return list(names.MODEL_FOR_BACKBONE_MAPPING_NAMES)
