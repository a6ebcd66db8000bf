"""Keep base segmenters in the user's cache folder: one depends on further data and recipe alone.

The next video of the same project needs no second training on the same stills. What is kept is found by a
hash of all that decided its weights, and is never needed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from platformdirs import user_cache_path

from warprefine.core.errors import WarpRefineError
from warprefine.core.precision import name_of, native_precision
from warprefine.io.atomic import copy_file, remove_old_drafts
from warprefine.io.checkpoints import read_card
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_file
from warprefine.recipe.recipe import SegmenterRecipe
from warprefine.training.data.features import content_of_member
from warprefine.training.data.samples import LabelledFrame

log = logging.getLogger(__name__)
VARIABLE = "WARPREFINE_CACHE"
"""Names another folder than the user's cache; "off" means that nothing is kept."""
MOST_KEPT = 20
"""Base segmenters that are kept, of 20 MB each; the oldest are deleted first."""
_FORMAT = 1
_LATER = {"adaptation", "folds", "further", "held_out", "key_frame_share", "mirrored"}
"""Fields of the recipe that a base segmenter does not depend on."""


@dataclass(frozen=True, kw_only=True)
class BaseStore:
    """Base segmenters by what they were trained on.

    Attributes:
        folder: Where they lie; None keeps nothing.
    """

    folder: Path | None = None

    @classmethod
    def of_user(cls) -> BaseStore:
        """Return the store in the user's cache folder, or where the environment says."""
        chosen = os.environ.get(VARIABLE, "")
        if chosen.lower() == "off":
            return cls(folder=None)
        try:
            cache = Path(chosen) if chosen else user_cache_path("warprefine")
        except RuntimeError:  # no home
            return cls(folder=None)
        return cls(folder=cache / "base-segmenters")

    def fetch(self, key: str, target: Path) -> bool:
        """Copy a base segmenter to `target`; return whether there was one."""
        source = self._path(key)
        if source is None or not source.is_file():
            return False
        try:
            read_card(source)
            copy_file(source, target)
            os.utime(source)
        except (WarpRefineError, OSError) as error:
            log.info("cannot use %s: %s", source, error)
            return False
        log.info("the base segmenter %s was trained on the same data before; it is used again", source)
        return True

    def keep(self, key: str, source: Path) -> None:
        """Keep a base segmenter; where that is not possible, nothing happens."""
        target = self._path(key)
        if target is None:
            return
        try:
            copy_file(source, target)
            remove_old_drafts(target.parent)
            for old in self.kept()[MOST_KEPT:]:
                old.unlink(missing_ok=True)
        except (WarpRefineError, OSError) as error:
            log.info("cannot keep a base segmenter: %s", error)

    def kept(self) -> list[Path]:
        """Return the files that are kept, the last used first."""
        if self.folder is None:
            return []
        return sorted(self.folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime, reverse=True)

    def _path(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{key}.safetensors"


def key_of_base(
    further: Sequence[LabelledFrame],
    recipe: SegmenterRecipe,
    *,
    class_names: tuple[str, ...],
    seed: int,
    device: str,
) -> str:
    """Return a hash of all that decides the weights of a base segmenter.

    Args:
        further: The labelled frames that it is trained on, in order.
        recipe: How it is built and trained.
        class_names: The classes that it scores.
        seed: Seed of weights and batches.
        device: Where it is trained.

    Raises:
        WarpRefineError: A file cannot be read.
    """
    settings = {name: value for name, value in recipe.to_dict().items() if name not in _LATER}
    weights = fingerprint_of_file(Path(recipe.weights)) if recipe.weights else ""
    precision = name_of(native_precision(torch.device(device)))
    contents = [content_of_member(member) for member in further]
    return fingerprint_of(_FORMAT, settings, weights, class_names, seed, device, precision, contents)
