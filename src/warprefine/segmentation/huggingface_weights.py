"""Load a folder of Hugging Face into a network, and match its head with the classes of a data set."""

from __future__ import annotations

import logging
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from warprefine.core.errors import CheckpointError, shorten
from warprefine.io.bounded_building import first_line
from warprefine.io.checkpoints import own_memory
from warprefine.io.class_rows import ClassRows
from warprefine.io.file_kinds import other_kind
from warprefine.io.safetensors_files import SAFETENSORS_ERRORS, check_finite, read_safetensors
from warprefine.segmentation.huggingface_config import read_settings

log = logging.getLogger(__name__)
_ONE, _INDEX = "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class Outline:
    """What a network will be: its class and configuration, and the tensors of its head.

    Attributes:
        network: The network, without memory for its weights.
        config: Its configuration.
        head: Names of the tensors whose shape depends on the number of classes.
    """

    network: Any
    config: Any
    head: frozenset[str]

    @property
    def trunk(self) -> str:
        """Return the beginning of the names of the weights that a trunk alone has, with a dot."""
        return f"{self.network.base_model_prefix or 'backbone'}."


def weight_files(folder: Path) -> list[Path]:
    """Return the files with the weights of a folder.

    Raises:
        CheckpointError: There are none, they are no safetensors, or an index names files elsewhere.
    """
    if (folder / _ONE).exists():
        return [folder / _ONE]
    if (folder / _INDEX).exists():
        named = read_settings(folder / _INDEX).get("weight_map")
        names = sorted({str(name) for name in named.values()}) if isinstance(named, dict) else []
        files = [folder / name for name in names]
        # Names are the index's: only files of this folder are read.
        if files and all(
            file.name == name and file.is_file() for file, name in zip(files, names, strict=True)
        ):
            return files
        raise CheckpointError(f"{folder / _INDEX} names files that are not in its folder; restore the folder")
    if any(folder.glob("pytorch_model*.bin")):
        raise CheckpointError(
            f"{folder} holds its weights as pytorch_model.bin, expected safetensors, which cannot hide code; "
            "convert a model that you trust by loading it with transformers' `from_pretrained` and writing "
            "it with `save_pretrained`"
        )
    if any(folder.glob("adapter_model*")):
        raise CheckpointError(
            f"{folder} holds an adapter, which changes another model; merge it into that model "
            "(`merge_and_unload`), and write the whole with `save_pretrained`"
        )
    raise CheckpointError(
        f"{folder} holds no model.safetensors; expected a folder written by `save_pretrained`"
    )


def read_weights(folder: Path, files: Sequence[Path]) -> dict[str, Tensor]:
    """Return the tensors of a folder's files.

    Raises:
        CheckpointError: A file is damaged or something else, or a value is not finite.
    """
    weights: dict[str, Tensor] = {}
    for file in files:
        try:
            if kind := other_kind(file):
                raise CheckpointError(f"{file} is {kind}; expected safetensors")
            weights |= read_safetensors(file)
        except SAFETENSORS_ERRORS as error:
            raise _damaged(folder, error) from error
    check_finite(folder, weights)
    return weights


def load(outline: Outline, weights: dict[str, Tensor], folder: Path, rows: ClassRows | None) -> nn.Module:
    """Build a network with a folder's weights; its head begins anew where the folder has another, or none.

    Args:
        rows: Which class the folder's head scores where; None keeps the head if it scores as many.

    Raises:
        CheckpointError: Other weights are missing or of another shape.
    """
    matched = rows is not None and not rows.are_the_same
    left_out = outline.head & weights.keys() if matched else frozenset()
    try:
        # From tensors alone: of a folder, transformers would also read files that name others.
        network, report = type(outline.network).from_pretrained(
            None,
            config=outline.config,
            state_dict={name: values for name, values in weights.items() if name not in left_out},
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            local_files_only=True,
        )
    except (OSError, RuntimeError) as error:
        raise _damaged(folder, error) from error
    network = without_loss(network)
    anew = _check(outline, network.state_dict(), report, folder, left_out)
    if matched and not outline.head <= anew:
        raise CheckpointError(
            f"{folder} stores its head under other names than {shorten(sorted(outline.head))}, so classes "
            "cannot be matched; load it with transformers and write it again with `save_pretrained`"
        )
    if rows is not None and left_out:
        _move_rows(network, left_out, weights, rows)
        log.info("%s (id2label in its config.json): %s", folder, rows.describe())
    elif anew:
        count = outline.config.num_labels
        log.info("%s: %s are reinitialised for %d classes", folder, shorten(sorted(anew)), count)
    elif rows is not None:
        log.info("%s: the head is kept, whose classes are those of the data set in their order", folder)
    if left_over := sorted(report["unexpected_keys"]):
        log.info("%s: %s are not used", folder, shorten(left_over))
    own_memory(network)
    return network


def _check(
    outline: Outline, own: dict[str, Tensor], report: dict[str, Any], folder: Path, left_out: Set[str]
) -> Set[str]:
    """Return the tensors that begin anew; raise unless these are the head, or all but the trunk."""
    kind = outline.config.model_type
    missing = {name for name in report["missing_keys"] if name in own and "num_batches_tracked" not in name}
    mismatched = {name for name, *_ in report["mismatched_keys"]} & own.keys()
    wrong = (missing - left_out) | (mismatched - outline.head)
    beyond = {
        name for name in own if not name.startswith(outline.trunk) and "num_batches_tracked" not in name
    }
    if wrong == beyond and len(beyond) < len(own):
        log.warning(
            "%s holds the trunk of a %s alone: all else begins anew, and needs more training than a network "
            "that was trained to segment",
            *(folder, kind),
        )
    elif wrong:
        raise CheckpointError(
            f"the weights in {folder} lack {shorten(sorted(wrong))}, or have other shapes there; expected "
            f"those of a whole {kind} that segments, or of its trunk alone; name a model that was trained "
            "to segment"
        )
    return missing | mismatched


def _move_rows(network: nn.Module, names: Set[str], weights: dict[str, Tensor], rows: ClassRows) -> None:
    """Copy the scores of classes of the same name into a head that begins anew."""
    own = network.state_dict()
    with torch.no_grad():
        for name in names:
            own[name].copy_(rows.moved(own[name], weights[name]))


def without_loss(network: nn.Module) -> nn.Module:
    """Drop the loss of mask-classification networks, whose class weights would count as weights."""
    if hasattr(network, "criterion"):
        del network.criterion
    return network


def _damaged(folder: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"the weights in {folder} are damaged or do not fit their config.json ({first_line(error)}); "
        "restore the folder"
    )
