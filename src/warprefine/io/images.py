"""Read and write single images: frames as RGB, label maps as palette indices, maps of 0..1 as grey."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8, UInt16
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from warprefine.core.classes import VOID_COLOR, ClassSet
from warprefine.core.errors import FrameError, LabelError, WarpRefineError, shorten
from warprefine.core.tensors import VOID, Confidence, Frames, LabelMaps
from warprefine.io.atomic import replacing

_UPRIGHT = 1
_TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations that swap height and width
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L")
_INDEX_MODES = ("1", "L", "P", *_SIXTEEN_BIT)
# Pillow stretches grey PNGs of 2 and 4 bits to 0..255, which multiplies the indices they hold.
_STRETCH = {"L;2": 85, "L;4": 17}
# zlib level 3 writes label maps three times faster than Pillow's default and 10 to 30 % larger.
_PNG_LEVEL = 3


def read_frame(path: Path) -> Frames:
    """Read an image as RGB, (1, 3, h, w), turned upright by its EXIF orientation.

    Grey and palette images become RGB, 16-bit ones keep their upper eight bits, alpha is dropped.

    Raises:
        FrameError: The file is missing, truncated or no image, or it holds floating-point values.
    """
    with _opened(path, FrameError) as picture:
        upright = picture if _orientation(picture) == _UPRIGHT else ImageOps.exif_transpose(picture)
        pixels = np.array(_as_rgb(upright, path))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def image_size(path: Path) -> tuple[int, int]:
    """Return the (h, w) of the frame that `read_frame` returns, from the file's header alone.

    Raises:
        FrameError: The file is missing or no image.
    """
    with _opened(path, FrameError) as picture:
        w, h = picture.size
        return (w, h) if _orientation(picture) in _TRANSPOSED else (h, w)


def write_frame(path: Path, frame: Frames, *, quality: int = 95) -> None:
    """Write one frame as JPEG (4:4:4, at `quality`) or PNG, by the ending of `path`.

    Raises:
        FrameError: The ending is neither .jpg, .jpeg nor .png.
    """
    (pixels,) = frame
    picture = Image.fromarray(pixels.permute(1, 2, 0).cpu().contiguous().numpy())
    match path.suffix.lower():
        case ".jpg" | ".jpeg":
            with replacing(path) as draft:
                picture.save(draft, format="JPEG", quality=quality, subsampling="4:4:4")
        case ".png":
            with replacing(path) as draft:
                picture.save(draft, format="PNG", compress_level=_PNG_LEVEL)
        case ending:
            raise FrameError(
                f"cannot write {path}: found the ending {ending!r}; expected .jpg, .jpeg or .png"
            )


def read_labels(path: Path, classes: ClassSet, *, size: tuple[int, int] | None = None) -> LabelMaps:
    """Read an index PNG as a label map, (1, h, w): file ids become positions in `classes`, or VOID.

    Palette colours and EXIF orientation are ignored. 255 means VOID unless a class has that id.

    Args:
        size: The (h, w) of the frame that the labels belong to; `None` accepts any size.

    Raises:
        LabelError: The file is missing, truncated or no index PNG; it has another size than its
            frame; it holds an id that is neither a class nor void.
    """
    with _opened(path, LabelError) as picture:
        _check_index_map(picture, path)
        w, h = picture.size
        if size is not None and size != (h, w):
            raise LabelError(
                f"label map {path} is {h} x {w} (h x w), but its frame is {size[0]} x {size[1]}; "
                f"export it at the size of the frame, without smoothing"
            )
        indices = _indices(picture)
    _check_ids(indices, classes, path)
    positions = np.full(256, VOID, np.uint8)
    for position, file_ids in enumerate(classes.all_ids):
        positions[list(file_ids)] = position
    return torch.from_numpy(positions[indices])[None]


def write_labels(path: Path, labels: LabelMaps, classes: ClassSet) -> None:
    """Write one label map as a palette PNG that holds file ids; VOID is written as `classes.void_id`.

    The same labels and classes give the same bytes.

    Raises:
        LabelError: A label is neither a position in `classes` nor VOID.
    """
    (positions,) = labels
    classes.check(labels)
    file_ids = np.full(256, classes.void_id, np.uint8)
    file_ids[: len(classes)] = classes.ids
    picture = Image.fromarray(file_ids[positions.cpu().numpy()])
    picture.putpalette(_palette(classes))
    with replacing(path) as draft:
        picture.save(draft, format="PNG", compress_level=_PNG_LEVEL)


def read_ids(path: Path) -> UInt16[np.ndarray, "h w"]:
    """Read the values of an index PNG of up to 16 bits, as they are.

    Raises:
        LabelError: The file is missing, truncated or no index PNG.
    """
    with _opened(path, LabelError) as picture:
        _check_index_map(picture, path)
        return _indices(picture)


def write_ids(path: Path, ids: UInt8[np.ndarray, "h w"]) -> None:
    """Write values as they are into an 8-bit grey PNG, without a palette."""
    picture = Image.fromarray(ids)
    with replacing(path) as draft:
        picture.save(draft, format="PNG", compress_level=_PNG_LEVEL)


def write_gray(path: Path, values: Confidence) -> None:
    """Write one map of values in 0..1 as an 8-bit grey PNG; 1 becomes 255.

    Raises:
        ValueError: A value is NaN or outside 0..1.
    """
    (only,) = values
    if not bool(((only >= 0) & (only <= 1)).all()):
        raise ValueError(f"values for {path} run from {only.min():g} to {only.max():g}; expected 0 to 1")
    picture = Image.fromarray((only * 255).round().to(torch.uint8).cpu().numpy())
    with replacing(path) as draft:
        picture.save(draft, format="PNG", compress_level=_PNG_LEVEL)


def read_gray(path: Path) -> Confidence:
    """Read a map that `write_gray` wrote, (1, h, w) in 0..1, exact to 1/510.

    Raises:
        FrameError: The file is missing, truncated or not an 8-bit grey image.
    """
    with _opened(path, FrameError) as picture:
        if picture.mode != "L":
            raise FrameError(
                f"{path} is a picture of mode {picture.mode}; expected 8-bit grey, such as a confidence map"
            )
        return torch.from_numpy(np.array(picture))[None] / 255


@contextmanager
def _opened(path: Path, error_class: type[WarpRefineError]) -> Iterator[ImageFile.ImageFile]:
    """Open an image; errors that Pillow raises while it is read are converted to `error_class`."""
    try:
        with Image.open(path) as picture:
            yield picture
    except FileNotFoundError as error:
        raise error_class(f"there is no file {path}; expected a picture") from error
    except UnidentifiedImageError as error:
        raise error_class(f"{path} is no picture that can be read; expected a PNG or JPEG file") from error
    # Pillow has no exception for a damaged file: each of its decoders raises one of these.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise error_class(
            f"cannot read {path}: {error}; copy or export it again, it may be cut short"
        ) from error


def _orientation(picture: Image.Image) -> int:
    # The method of the base class: PngImageFile.getexif decodes the whole image first, to look
    # for EXIF data behind the pixels, where no camera writes it.
    orientation: int = Image.Image.getexif(picture).get(ExifTags.Base.Orientation, _UPRIGHT)
    return orientation


def _as_rgb(picture: Image.Image, path: Path) -> Image.Image:
    if picture.mode in _SIXTEEN_BIT:
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise FrameError(
            f"{path} holds 32-bit values (mode {picture.mode}) of unknown range; "
            f"expected 8 or 16 bits per channel"
        )
    # Via RGBA, because Pillow warns when it drops the transparency of a palette.
    return (picture.convert("RGBA") if picture.has_transparency_data else picture).convert("RGB")


def _check_index_map(picture: ImageFile.ImageFile, path: Path) -> None:
    if picture.format != "PNG":
        raise LabelError(
            f"label map {path} is a {picture.format} file; expected an index PNG, which keeps ids exact"
        )
    if picture.mode not in _INDEX_MODES:
        raise LabelError(
            f"label map {path} is a colour picture (mode {picture.mode}); expected an index PNG, "
            f"one channel of class ids; export indices instead of colours"
        )


def _indices(picture: ImageFile.ImageFile) -> NDArray[np.uint16]:
    """Return the values of an index PNG of any bit depth, (h, w)."""
    stretch = _STRETCH.get(str(picture.tile[0].args), 1)
    return np.asarray(picture).astype(np.uint16) // stretch


def _check_ids(indices: NDArray[np.uint16], classes: ClassSet, path: Path) -> None:
    counts = np.bincount(indices.ravel(), minlength=256)
    valid = {number for file_ids in classes.all_ids for number in file_ids} | {*classes.void_ids, VOID}
    strays = [int(number) for number in np.flatnonzero(counts) if int(number) not in valid]
    if strays:
        raise LabelError(
            f"label map {path} holds ids that are no class: "
            f"{shorten(f'{i} ({counts[i]} px)' for i in strays)}; "
            f"the classes have ids {shorten(classes.ids)}; add it to classes.toml or to void_ids"
        )


def _palette(classes: ClassSet) -> list[int]:
    """Return 256 colours, three numbers each.

    Never fewer: Pillow packs pixels into as few bits as the palette's length needs, and would
    truncate 255 to 1 in a palette of two colours.
    """
    colors = [VOID_COLOR] * 256
    for file_ids, color in zip(classes.all_ids, classes.colors, strict=True):
        for number in file_ids:
            colors[number] = color
    return [channel for color in colors for channel in color]
