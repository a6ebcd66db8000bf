"""Name what reads files of others, and sound files for each, from which damaged ones are made."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError
from warprefine.core.pseudolabel import Provenance
from warprefine.datasets.camvid32 import read_label_colors
from warprefine.datasets.class_file import read_classes
from warprefine.datasets.mapillary import read_config
from warprefine.io.array_cache import ArrayCache
from warprefine.io.checkpoints import Card, load_weights, read_card, save_checkpoint
from warprefine.io.claims import check_claim, read_claim
from warprefine.io.flow_files import read_disparity, read_kitti_flow
from warprefine.io.images import image_size, image_turn, read_frame, read_gray, read_ids, read_labels
from warprefine.io.matlab_files import read_numbers
from warprefine.io.published import read_published
from warprefine.io.run import RunFolder
from warprefine.io.video_file import VideoFile
from warprefine.recipe.recipe import Recipe, load_recipe
from warprefine.recipe.settings_file import settings_to_toml

CLASSES = ClassSet(names=("a", "b", "c"), colors=((1, 2, 3), (4, 5, 6), (0, 0, 0)))
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (24, 32, 3), np.uint8)
IDS = RNG.integers(0, 3, (24, 32), np.uint8)
DEEP = (7000 + IDS.astype(np.uint16)) * 3


@dataclass(frozen=True, kw_only=True)
class Target:
    """A kind of file: how it is called, the ending that names it, sound files, and what reads it."""

    name: str = "input"
    ending: str
    seeds: Callable[[Path], Sequence[bytes]]
    reads: Sequence[Callable[[Path], object]]


def saved(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=kind, **options)
    return file.getvalue()


def frames(_: Path) -> list[bytes]:
    turned = Image.Exif()
    turned[0x0112] = 6
    kinds = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM")
    plain = [saved(PIXELS, kind) for kind in kinds]
    packed = [saved(PIXELS, "TIFF", compression=name) for name in ("tiff_lzw", "jpeg", "packbits")]
    return [*plain, *packed, saved(DEEP, "PNG"), saved(DEEP, "TIFF"), saved(PIXELS, "JPEG", exif=turned)]


def labels(_: Path) -> list[bytes]:
    palette = Image.fromarray(IDS)
    palette.putpalette([9] * 768)
    file = io.BytesIO()
    palette.save(file, format="PNG", bits=2)
    colors = np.array(CLASSES.colors, np.uint8)[IDS]
    equal = np.stack([IDS] * 3, axis=-1)
    return [file.getvalue(), *(saved(pixels, "PNG") for pixels in (IDS, DEEP, colors, equal))]


def videos(folder: Path) -> list[bytes]:
    made = []
    for name, codec, kind in (
        ("a.mp4", "libx264", "yuv420p"), ("a.mkv", "libx264", "yuv420p"), ("a.avi", "mpeg4", "yuv420p"),
        ("a.ts", "libx265", "yuv420p"), ("a.mpg", "mpeg2video", "yuv420p"), ("a.gif", "gif", "rgb8"),
        ("a.webm", "libvpx", "yuv420p"), ("b.mkv", "ffv1", "gray16le"),
    ):  # fmt: skip
        quiet = {"x265-params": "log-level=error:keyint=5"} if codec == "libx265" else {}
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=25, options={"g": "5", **quiet})
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 112, 48, kind
            for number in range(10):
                picture = np.full((48, 112, 3), 20 * number, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        made.append((folder / name).read_bytes())
    return [*made, b"ffconcat version 1.0\nfile 'a.mp4'\n", b"#EXTM3U\n#EXTINF:1,\na.ts\n"]


def element(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def matlab(_: Path) -> list[bytes]:
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    shape = element(6, struct.pack("<II", 6, 0)) + element(5, struct.pack("<ii", 1, 3))
    numbers = element(14, shape + element(1, b"a") + element(9, struct.pack("<3d", 1, 2, 3)))
    return [header + numbers, header + element(15, zlib.compress(numbers))]


def cache(folder: Path) -> list[bytes]:
    ArrayCache(folder).put("a", {"x": torch.arange(99), "y": torch.ones(3, 4)})
    return [(folder / "a.bin").read_bytes()]


def weights(folder: Path) -> list[bytes]:
    """Checkpoints of PyTorch, in its archives and in its older sequences of pickles."""
    tensors = {"module.conv.weight": torch.ones(4, 3, 2, 2), "module.conv.bias": torch.zeros(4)}
    for name, archive in (("new.pth", True), ("old.pth", False)):
        content = {"state_dict": tensors, "epoch": 3}
        torch.save(content, folder / name, _use_new_zipfile_serialization=archive)
    return [(folder / name).read_bytes() for name in ("new.pth", "old.pth")]


def checkpoint(folder: Path) -> list[bytes]:
    network = torch.nn.Conv2d(3, 4, 2)
    card = Card(part="segmenter", network="compact", class_names=("a", "b"), settings={}, recipe={}, facts={})
    save_checkpoint(folder / "a.safetensors", network, card)
    return [(folder / "a.safetensors").read_bytes()]


def manifest(folder: Path) -> list[bytes]:
    run, stored = RunFolder(folder / "run"), Provenance(method="motion-only", key_frames=(2,), distance=1)
    run.manifest.mark_done(
        "clip", {3: stored}, "motion-only", "abc", files={3: [run.root / "manifest.sqlite"]}
    )
    return [(run.root / "manifest.sqlite").read_bytes()]


def look_up(path: Path) -> None:
    """Read what a run has recorded, as every later call does."""
    run = RunFolder(path.parent, read_only=True)
    run.manifest.provenances("clip", "motion-only")
    run.manifest.is_done("clip", [3], "motion-only", "abc")


def watch(path: Path) -> None:
    with closing(VideoFile(path)) as source:
        for number in {0, len(source) // 2, len(source) - 1}:
            source[number]


TARGETS = {
    "frame": Target(ending="png", seeds=frames, reads=(read_frame, image_size, image_turn)),
    "label": Target(
        ending="png", seeds=labels, reads=(lambda path: read_labels(path, CLASSES), read_ids, read_gray)
    ),
    "flow": Target(
        ending="png", seeds=labels, reads=(read_kitti_flow, lambda path: read_disparity(path, steps_per_px=1))
    ),
    "video": Target(ending="mp4", seeds=videos, reads=(watch,)),
    "classes": Target(
        ending="toml",
        seeds=lambda _: [
            b'void_ids = [9]\n[[class]]\nname = "a"\ncolor = [1, 2, 3]\nid = 7\nmerged_ids = [8]\n'
        ],
        reads=(read_classes,),
    ),
    "recipe": Target(
        ending="toml",
        seeds=lambda _: [
            settings_to_toml(Recipe()).encode(),
            b'extends = "b.toml"\n[refiner]\ncrop = [8, 8]\n',
        ],
        reads=(load_recipe,),
    ),
    "json": Target(
        ending="json",
        seeds=lambda _: [
            json.dumps({"labels": [{"name": "a", "color": [1, 2, 3], "evaluate": True}]}).encode()
        ],
        reads=(read_config,),
    ),
    "colors": Target(
        ending="txt", seeds=lambda _: [b"128 64 128\tRoad\r\n64 0 128\tCar\r\n"], reads=(read_label_colors,)
    ),
    "matlab": Target(
        ending="mat",
        seeds=matlab,
        reads=(lambda path: read_numbers(path, "a", expected="a split", error_class=DatasetError),),
    ),
    "weights": Target(ending="pth", seeds=weights, reads=(read_published,)),
    "checkpoint": Target(
        ending="safetensors",
        seeds=checkpoint,
        reads=(read_card, lambda path: load_weights(path, torch.nn.Conv2d(3, 4, 2))),
    ),
    "claim": Target(
        ending="json",
        seeds=lambda _: [json.dumps({"data": {"root": "a"}, "horizon": 3, "videos": ["clip"]}).encode()],
        reads=(read_claim, lambda path: check_claim(path, {"horizon": 3}, what="run")),
    ),
    "manifest": Target(name="manifest", ending="sqlite", seeds=manifest, reads=(look_up,)),
    "cache": Target(ending="bin", seeds=cache, reads=(lambda path: ArrayCache(path.parent).get(path.stem),)),
}
