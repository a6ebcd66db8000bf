"""Features of a frozen trunk for training crops, each computed once and kept: on disk, and in memory.

Each crop is one augmented picture, larger than the windows that are trained on, so that it serves many
steps. A crop is a pure function of its picture, the seed and its number, and has the same values whether it
was just computed or comes from disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from warprefine.core.lru_cache import LRUCache
from warprefine.core.precision import computing, name_of, precision_of
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import FrozenTrunk, device_of, module_of
from warprefine.core.tensors import VOID
from warprefine.core.time_limit import check_time
from warprefine.io.array_cache import ArrayCache
from warprefine.io.checkpoints import weights_fingerprint
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_file, fingerprint_of_frames
from warprefine.recipe.network import Augmentation
from warprefine.recipe.recipe import FeatureSettings
from warprefine.training.data.augment import augment
from warprefine.training.data.batch import FeatureBatch, Picture
from warprefine.training.data.samples import LabelledFrame, Samples, evenly
from warprefine.training.engine.distributed import ALONE, World, shard

GRID = 32
"""Windows begin and end at multiples of this, in pixels: the coarsest stride of a trunk's features."""
_TASK = "computing features"
_MEMORY, _WITHOUT_DISK = 128 << 20, 2 << 30
"""Limits of the features that are held in memory, in bytes: where they are on disk too, and where not."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureCrop:
    """The trunk's features of a crop (1, c, h / s, w / s), in half precision, and its labels (1, h, w)."""

    features: tuple[Tensor, ...]
    labels: UInt8[Tensor, "1 h w"]

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(values.nbytes for values in (*self.features, self.labels))

    def window(self, shape: tuple[int, int], rng: np.random.Generator) -> FeatureCrop:
        """Return a random window of shape (h, w), multiples of `GRID`, with every second label each way.

        Which of two neighbouring labels is taken is drawn, too: always the same would shift the labels by
        half a pixel against the features.
        """
        have = self.labels.shape[-2:]
        top, left = (GRID * int(rng.integers((a - b) // GRID + 1)) for a, b in zip(have, shape, strict=True))
        row, column = rng.integers(2, size=2).tolist()
        features = []
        for values in self.features:
            stride = have[1] // values.shape[-1]
            rows, columns = (
                slice(first // stride, (first + length) // stride)
                for first, length in zip((top, left), shape, strict=True)
            )
            features.append(values[..., rows, columns])
        labels = self.labels[:, top : top + shape[0], left : left + shape[1]][:, row::2, column::2]
        return FeatureCrop(features=tuple(features), labels=labels)


class FeatureCrops:
    """Crops of labelled frames by number, with the trunk's features.

    Args:
        samples: The labelled frames.
        store: Computes and keeps the crops.
        most: How many crops there are; all pictures have equally many, or are chosen evenly.
    """

    def __init__(self, samples: Samples, store: FeatureStore, *, most: int) -> None:
        variants = max(1, min(most // max(1, len(samples)), store.settings.variants))
        chosen = evenly(range(len(samples)), most)
        self._samples, self._store = samples, store
        self._places = [(index, variant) for variant in range(variants) for index in chosen]
        self._contents = {index: content_of_member(samples.members[index]) for index in chosen}

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> FeatureCrop:
        index, variant = self._places[number]
        return self._store.crop(self._samples, index, self._contents[index], variant)

    def prepare(self, number: int) -> None:
        """Compute a crop that is not on disk yet."""
        index, variant = self._places[number]
        self._store.prepare_crop(self._samples, index, self._contents[index], variant)


class FeatureStore:
    """Computes the trunk's features of crops, and keeps them.

    Args:
        segmenter: Its trunk computes them.
        augmentation: How crops are cut and their colours changed; they are larger than its crops.
        settings: How many crops there are, and by how much they are larger.
        cache: Where they are kept; None: in memory, as far as there is room, and others are computed again.
        seed: Seed of the crops.
    """

    def __init__(
        self,
        segmenter: FrozenTrunk,
        augmentation: Augmentation,
        settings: FeatureSettings,
        *,
        cache: ArrayCache | None,
        seed: int,
    ) -> None:
        self.settings, self.window = settings, _on_grid(augmentation.crop, (0, 0))
        larger = _on_grid(self.window, settings.margin)
        self._augmentation = augmentation.model_copy(update={"crop": larger})
        self._segmenter, self._cache, self._seed = segmenter, cache, seed
        limit = _WITHOUT_DISK if cache is None else _MEMORY
        self._crops = LRUCache[FeatureCrop](limit, lambda crop: crop.nbytes)
        computed = name_of(precision_of(segmenter))
        self._made_with = fingerprint_of(
            weights_fingerprint(module_of(segmenter).get_submodule("trunk")),
            computed,
            self._augmentation,
            seed,
        )

    def prepare(
        self, pools: Sequence[FeatureCrops], *, progress: Progress = silent, world: World = ALONE
    ) -> None:
        """Compute all crops of pools that are not on disk yet; each rank computes its share."""
        own = shard([(pool, number) for pool in pools for number in range(len(pool))], world)
        with world.parting():
            for done, (pool, number) in enumerate(own, start=1):
                check_time()
                pool.prepare(number)
                progress(_TASK, done, len(own))

    def crop(self, samples: Samples, index: int, content: str, variant: int) -> FeatureCrop:
        """Return a crop of a labelled frame, from memory, from disk or computed.

        Args:
            samples: Labelled frames.
            index: Which of them.
            content: A hash of its picture and its labels.
            variant: Which of its crops.
        """
        key = self._key(content, variant)
        return self._crops.get(key, lambda: self._from_disk(key, samples, index, content, variant))

    def prepare_crop(self, samples: Samples, index: int, content: str, variant: int) -> None:
        """Compute a crop that is not on disk yet; without a disk, hold it in memory. See `crop`."""
        if self._cache is None:
            self.crop(samples, index, content, variant)
        elif (key := self._key(content, variant)) not in self._cache:
            self._from_disk(key, samples, index, content, variant)

    def _key(self, content: str, variant: int) -> str:
        return f"features/{self._made_with}/{content}_{variant:02d}"

    def _from_disk(self, key: str, samples: Samples, index: int, content: str, variant: int) -> FeatureCrop:
        found = None if self._cache is None else self._cache.get(key)
        if found is None:
            rng = np.random.default_rng((self._seed, variant, int(content, 16)))
            found = self._computed(*samples.read(index), rng)
            if self._cache is not None:
                self._cache.put(key, found)
        features = tuple(values for name, values in sorted(found.items()) if name != "labels")
        return FeatureCrop(features=features, labels=found["labels"])

    def _computed(self, image: Picture, labels: Picture, rng: np.random.Generator) -> dict[str, Tensor]:
        image, labels = augment(image, labels, self._augmentation, rng, focus=self._focus(labels, rng))
        frames = torch.from_numpy(image).permute(2, 0, 1)[None].to(device_of(self._segmenter))
        with torch.inference_mode(), computing(self._segmenter):
            features = self._segmenter.trunk_features(frames)
        found = {str(place): values.cpu().half().contiguous() for place, values in enumerate(features)}
        return {**found, "labels": torch.from_numpy(labels)[None]}

    def _focus(self, labels: UInt8[np.ndarray, "h w"], rng: np.random.Generator) -> int | None:
        """Return a class of a picture to cut its crop around, rare ones more often; None for anywhere."""
        counts = np.bincount(labels.ravel(), minlength=VOID + 1)[:VOID]
        present = np.flatnonzero(counts)
        if not len(present) or rng.random() >= self._augmentation.class_uniform:
            return None
        weights = 1 / np.sqrt(counts[present])
        return int(rng.choice(present, p=weights / weights.sum()))


class FeatureBatchMaker:
    """Returns the batch of a step, a pure function of the seed and the step's number.

    Args:
        pools: Sets of labelled frames with the share of the batch that each provides.
        store: Computes and keeps their features.
        batch: Windows per batch, over all ranks.
        seed: Seed of the windows.
        progress: Called as features are computed.
        world: The ranks that share the batch; each returns its slots of it.
    """

    def __init__(
        self,
        pools: Sequence[tuple[Samples, float]],
        store: FeatureStore,
        *,
        batch: int,
        seed: int,
        progress: Progress = silent,
        world: World = ALONE,
    ) -> None:
        self._window, self._slots, self._seed = store.window, world.slots(batch), seed
        used = [(pool, share) for pool, share in pools if len(pool) and share > 0]
        shares = np.array([share for _, share in used])
        self._shares = shares / shares.sum()
        self.pixels: Int64[np.ndarray, " 256"] = np.concatenate(
            [pool.count_classes(world) for pool, _ in used]
        ).sum(axis=0)
        self._crops = [FeatureCrops(pool, store, most=store.settings.crops) for pool, _ in used]
        store.prepare(self._crops, progress=progress, world=world)

    def __call__(self, step: int) -> FeatureBatch:
        """Return the batch of a step."""
        rngs = [np.random.default_rng((self._seed, step, slot)) for slot in self._slots]
        return FeatureBatch.of([self._drawn(rng) for rng in rngs])

    def _drawn(self, rng: np.random.Generator) -> tuple[tuple[Tensor, ...], Tensor]:
        crops = self._crops[int(rng.choice(len(self._crops), p=self._shares))]
        window = crops[int(rng.integers(len(crops)))].window(self._window, rng)
        return window.features, window.labels


def content_of_member(member: LabelledFrame) -> str:
    """Return a hash of a labelled frame's picture and labels.

    Raises:
        FrameError: The picture cannot be read.
    """
    picture = member.picture
    frame = (
        fingerprint_of_frames(member.video, [member.frame])
        if picture is None
        else fingerprint_of_file(picture)
    )
    return fingerprint_of(frame, fingerprint_of_file(member.label_path), member.classes.coding)


def _on_grid(size: tuple[int, int], more: tuple[int, int]) -> tuple[int, int]:
    """Return a size that is larger by `more`, rounded up to multiples of `GRID`."""
    h, w = (-(-(length + added) // GRID) * GRID for length, added in zip(size, more, strict=True))
    return h, w
