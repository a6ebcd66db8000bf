"""Load a segmentation network from a folder, the Hugging Face hub, or its configuration alone.

No downloaded code is executed: networks are those that `transformers` itself contains, and weights are
read from safetensors only. The hub is asked for the model that the user names, and for nothing else.
"""

from __future__ import annotations

import copy
import importlib
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from warprefine.core.errors import RecipeError
from warprefine.io.bounded_building import bounded_building, first_line
from warprefine.io.class_rows import ClassRows
from warprefine.segmentation.huggingface_config import (
    MASK_FEATURES,
    PixelScaling,
    class_names_of,
    network_config,
    read_settings,
)
from warprefine.segmentation.huggingface_weights import (
    Outline,
    load,
    read_weights,
    weight_files,
    without_loss,
)

log = logging.getLogger(__name__)
_WANTED_FILES = (
    "config.json",
    "preprocessor_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
)
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


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
    with _alone(transformers):
        config = network_config(transformers, described, class_count, named="the configuration")
        network, head = _build(transformers, config)
    try:
        pixels = PixelScaling.from_card(described.get("pixels", {}))
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"the configuration does not say how pixels are scaled ({first_line(error)}); restore it"
        ) from error
    return Origin(network=network, head=head, pixels=pixels)


def from_source(source: str, class_count: int, class_names: Sequence[str] | None = None) -> Origin:
    """Build a network with the weights of a folder or of a model of the hub.

    Args:
        class_names: The head keeps the scores of classes with these names, in their order, and begins anew
            for the others. If None, the head is kept if it scores as many classes.

    Raises:
        RecipeError: There is no such folder or model, or it is no segmentation network.
        CheckpointError: Weights are missing, damaged, of another shape, not finite, or no safetensors.
    """
    transformers = _transformers()
    folder = _folder(source)
    described = read_settings(folder / "config.json")
    with _alone(transformers):
        config = network_config(transformers, described, class_count, named=str(folder))
        files = weight_files(folder)
        weights = read_weights(folder, files)
        rows = None if class_names is None else ClassRows(stored=class_names_of(described), names=class_names)
        with bounded_building(folder, sum(file.stat().st_size for file in files)):
            outline, head = _build(transformers, config, device="meta")
            network = load(Outline(network=outline, config=config, head=head), weights, folder, rows)
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
def _alone(transformers: Any) -> Iterator[None]:
    """Keep `transformers` from the hub, and silence its log and bars; what matters is logged here."""
    hub: Any = importlib.import_module("huggingface_hub.constants")
    offline = hub.HF_HUB_OFFLINE
    hf_log = transformers.utils.logging
    level, bars = hf_log.get_verbosity(), hf_log.is_progress_bar_enabled()
    hf_log.set_verbosity(logging.CRITICAL)
    hf_log.disable_progress_bar()
    hub.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = offline
        hf_log.set_verbosity(level)
        if bars:
            hf_log.enable_progress_bar()


def _folder(source: str) -> Path:
    """Return the folder of that name, or a download of settings and safetensors from the hub."""
    try:
        folder = Path(source).expanduser()
        found = folder.is_dir()
    except (OSError, RuntimeError):  # too long a name, or no home
        found = False
    if found:
        return folder
    if not _HUB_NAME.fullmatch(source):
        raise RecipeError(
            f"{source} is no folder; expected one written by `save_pretrained`, or a name on the "
            "Hugging Face hub such as 'nvidia/segformer-b0-finetuned-ade-512-512'"
        )
    hub = importlib.import_module("huggingface_hub")
    hub_errors = importlib.import_module("huggingface_hub.errors")
    try:
        return Path(hub.snapshot_download(source, allow_patterns=list(_WANTED_FILES)))
    except (OSError, RuntimeError, ValueError, hub_errors.HTTPError) as error:
        raise RecipeError(
            f"{source!r} is neither a folder nor available from the Hugging Face hub "
            f"({first_line(error)}); correct the name, or download it and give the folder"
        ) from error


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
    shapes = {name: values.shape for name, values in without_loss(other).state_dict().items()}
    own = without_loss(network).state_dict()
    return network, frozenset(name for name, values in own.items() if values.shape != shapes[name])


def _pixels(folder: Path) -> PixelScaling:
    path = folder / "preprocessor_config.json"
    if not path.exists():
        log.info("%s is missing; pixels are scaled by the statistics of ImageNet", path)
        return PixelScaling()
    try:
        return PixelScaling.from_preprocessor(read_settings(path))
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"{path} does not say how pixels are scaled ({first_line(error)}); restore the file"
        ) from error
