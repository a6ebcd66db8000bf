"""Load a segmentation network from a folder, the Hugging Face hub, or its configuration alone.

No downloaded code is executed: networks are those that `transformers` itself contains, and weights are
read from safetensors only.
"""

from __future__ import annotations

import copy
import importlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from warprefine.core.errors import CheckpointError, RecipeError, shorten
from warprefine.io.checkpoints import own_memory

log = logging.getLogger(__name__)
MASK_FEATURES = {
    "eomt": "upscale_block",
    "eomt_dinov3": "upscale_block",
    "mask2former": "model.pixel_level_module.decoder.mask_projection",
    "maskformer": "model.pixel_level_module.decoder.mask_projection",
}
"""Networks that classify masks, and the module of each that computes the pixel embeddings of its masks."""
_WANTED_FILES = (
    "config.json",
    "preprocessor_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
)
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


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

        Example:
            >>> PixelScaling.from_preprocessor({"image_mean": [0.5] * 3, "image_std": [0.2] * 3}).mean
            (0.5, 0.5, 0.5)
        """
        factor = float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0
        blue_first = bool(settings.get("do_flip_channel_order", False))
        if not settings.get("do_normalize", "image_mean" in settings):
            return cls(mean=(0.0,) * 3, deviation=(1.0,) * 3, factor=factor, blue_first=blue_first)
        mean, deviation = settings.get("image_mean", cls.mean), settings.get("image_std", cls.deviation)
        return cls(mean=tuple(mean), deviation=tuple(deviation), factor=factor, blue_first=blue_first)


@dataclass(frozen=True, kw_only=True, eq=False)
class Origin:
    """A network, its pixel normalisation, and the names of its tensors that depend on the class count."""

    network: nn.Module
    pixels: PixelScaling
    head: frozenset[str]

    @property
    def config(self) -> dict[str, Any]:
        """Return the configuration that `from_config` rebuilds the network from, in the types of JSON."""
        config: Any = self.network.config
        described: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
        described.pop("_name_or_path", None)  # a path of this machine
        return {**described, "pixels": json.loads(json.dumps(asdict(self.pixels)))}


def from_config(described: Mapping[str, Any], class_count: int) -> Origin:
    """Build a network without weights.

    Args:
        described: `Origin.config`, or a `transformers` configuration as a dict.

    Raises:
        RecipeError: It describes no segmentation network, or a package that it needs is not installed.
    """
    transformers = _transformers()
    with _quiet(transformers):
        config = _config(transformers, described, class_count, named="the configuration")
        network, head = _build(transformers, config)
    return Origin(network=network, head=head, pixels=PixelScaling(**_tuples(described.get("pixels", {}))))


def from_source(source: str, class_count: int) -> Origin:
    """Build a network with the weights of a folder or of a model of the hub.

    Tensors that depend on the number of classes are reinitialised, unless that number is the same.

    Raises:
        RecipeError: There is no such folder or model, or it is no segmentation network.
        CheckpointError: Weights are missing, damaged, of another shape, or no safetensors.
    """
    transformers = _transformers()
    folder = _folder(source)
    with _quiet(transformers):
        config = _config(transformers, _read(folder / "config.json"), class_count, named=str(folder))
        _check_weights(folder)
        head = _build(transformers, config, device="meta")[1]
        network = _load(transformers, config, folder, head)
    return Origin(network=network, head=head, pixels=_pixels(folder))


def _transformers() -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError:
        raise RecipeError(
            "the recipe names a network of Hugging Face, but 'transformers' is not installed; "
            "pip install '.[hf]' in the repository, or name another network under [segmenter]"
        ) from None


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Silence the log and progress bars of `transformers`; what matters is logged here."""
    hf_log = transformers.utils.logging
    level, bars = hf_log.get_verbosity(), hf_log.is_progress_bar_enabled()
    hf_log.set_verbosity(logging.CRITICAL)
    hf_log.disable_progress_bar()
    try:
        yield
    finally:
        hf_log.set_verbosity(level)
        if bars:
            hf_log.enable_progress_bar()


def _folder(source: str) -> Path:
    """Return the folder of that name, or a download of settings and safetensors from the hub."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB_NAME.fullmatch(source):
        raise RecipeError(
            f"{source} is no folder; expected one written by `save_pretrained`, or a name on the "
            "Hugging Face hub such as 'nvidia/segformer-b0-finetuned-ade-512-512'"
        )
    hub = importlib.import_module("huggingface_hub")
    try:
        return Path(hub.snapshot_download(source, allow_patterns=list(_WANTED_FILES)))
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{source!r} is neither a folder nor available from the Hugging Face hub "
            f"({first_line(error)}); correct the name, or download it and give the folder"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"{path} is missing or no JSON ({first_line(error)}); expected a folder written by "
            "`save_pretrained`"
        ) from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} holds no table of settings; restore the file")
    return content


def _config(transformers: Any, described: Mapping[str, Any], class_count: int, *, named: str) -> Any:
    errors = importlib.import_module("huggingface_hub.errors")
    kind = described.get("model_type")
    if kind not in (supported := [*_per_pixel(), *MASK_FEATURES]):
        raise RecipeError(
            f"{named} describes a network of type {kind!r}, expected one that segments "
            f"({', '.join(sorted(supported))}); name another"
        )
    settings = {key: value for key, value in described.items() if key != "pixels"}
    try:
        config = transformers.CONFIG_MAPPING[kind].from_dict(settings)
        # Weights may be stored in half precision, but training starts from float32.
        config.dtype, config.num_labels = torch.float32, class_count
    except (errors.StrictDataclassError, TypeError, ValueError) as error:
        raise RecipeError(
            f"{named} is no valid configuration of a {kind} ({first_line(error)}); restore it, or install "
            "the version of transformers that wrote it"
        ) from error
    return config


def _per_pixel() -> list[str]:
    names = importlib.import_module("transformers.models.auto.modeling_auto")
    return list(names.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES)


def _auto_class(transformers: Any, config: Any) -> Any:
    universal = config.model_type in MASK_FEATURES
    return (
        transformers.AutoModelForUniversalSegmentation
        if universal
        else transformers.AutoModelForSemanticSegmentation
    )


def _build(transformers: Any, config: Any, *, device: str = "cpu") -> tuple[nn.Module, frozenset[str]]:
    """Build a network and find its head: the tensors whose shape changes with the number of classes."""
    auto_class = _auto_class(transformers, config)
    larger = copy.deepcopy(config)
    larger.num_labels += 1
    try:
        with torch.device("meta"):
            other = auto_class.from_config(larger, trust_remote_code=False)
        with torch.device(device):
            network = auto_class.from_config(copy.deepcopy(config), trust_remote_code=False)
    except ImportError as error:
        raise RecipeError(
            f"a {config.model_type} needs a package that is not installed ({first_line(error)}); "
            "pip install '.[hf]' in the repository, and that package if it is another"
        ) from error
    shapes = {name: values.shape for name, values in _without_loss(other).state_dict().items()}
    own = _without_loss(network).state_dict()
    return network, frozenset(name for name, values in own.items() if values.shape != shapes[name])


def _without_loss(network: nn.Module) -> nn.Module:
    """Drop the loss of mask-classification networks, whose class weights would count as weights."""
    if hasattr(network, "criterion"):
        del network.criterion
    return network


def _check_weights(folder: Path) -> None:
    if any(folder.glob("model*.safetensors")):
        return
    if any(folder.glob("pytorch_model*.bin")):
        raise CheckpointError(
            f"{folder} holds its weights as pytorch_model.bin, expected safetensors, which cannot hide code; "
            "convert a model that you trust by loading it with transformers' `from_pretrained` and writing "
            "it with `save_pretrained`"
        )
    raise CheckpointError(
        f"{folder} holds no model.safetensors; expected a folder written by `save_pretrained`"
    )


def _load(transformers: Any, config: Any, folder: Path, head: frozenset[str]) -> nn.Module:
    """Load a network with a folder's weights; only the head may differ in shape."""
    try:
        network, report = _auto_class(transformers, config).from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"the weights in {folder} are damaged or do not fit their config.json ({first_line(error)}); "
            "restore the folder"
        ) from error
    mismatched = {name for name, *_ in report["mismatched_keys"]}
    network = _without_loss(network)
    own = network.state_dict()
    missing = {name for name in report["missing_keys"] if name in own and "num_batches_tracked" not in name}
    if wrong := sorted(missing | {name for name in mismatched & own.keys() if name not in head}):
        raise CheckpointError(
            f"the weights in {folder} lack {shorten(wrong)}, or have other shapes there; expected the "
            f"weights of a whole {config.model_type} that segments; name a model that was trained to segment"
        )
    if reinitialised := sorted(mismatched & head):
        log.info("%s: %s are reinitialised for %d classes", folder, shorten(reinitialised), config.num_labels)
    if left_over := sorted(report["unexpected_keys"]):
        log.info("%s: %s are not used", folder, shorten(left_over))
    own_memory(network)
    return network


def _pixels(folder: Path) -> PixelScaling:
    path = folder / "preprocessor_config.json"
    if not path.exists():
        log.info("%s is missing; pixels are scaled by the statistics of ImageNet", path)
        return PixelScaling()
    return PixelScaling.from_preprocessor(_read(path))


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error that is not blank, or its type.

    Example:
        >>> first_line(KeyError())
        'KeyError'
    """
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
