"""Read and write single images: frames as RGB, label maps as palette indices, maps of 0..1 as grey."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8, UInt16
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

from warprefine.core.classes import VOID_COLOR, ClassSet
from warprefine.core.errors import FrameError, LabelError
from warprefine.core.tensors import Confidence, Frames, LabelMaps
from warprefine.io.atomic import replacing
from warprefine.io.deep_pixels import deep_pixels, span_of_files
from warprefine.io.label_pixels import label_pixels, positions_of_colors, positions_of_ids
from warprefine.io.pictures import with_picture
from warprefine.io.turning import Turn, turn_of_exif

# zlib level 3 writes label maps three times faster than Pillow's default and 10 to 30 % larger.
_PNG_LEVEL = 3


def read_frame(path: Path, *, beside: Sequence[Path] = ()) -> Frames:
    """Read an image as RGB, (1, 3, h, w), turned upright by its EXIF orientation.

    Grey and palette images become RGB, alpha is dropped. Those of 16 bits keep their upper eight bits; if
    their values span less than 14 bits, these are stretched to 0..255 instead.

    Args:
        beside: The frames of the same video whose values decide on the stretch, `path` alone if empty.

    Raises:
        FrameError: The file is missing, truncated or no image, or it holds floating-point values.
    """

    def upright(picture: ImageFile.ImageFile) -> NDArray[np.uint8]:
        return _turn(picture)(_rgb(picture, path, beside))

    pixels = with_picture(path, upright, error_class=FrameError)
    return torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))[None]


def image_size(path: Path) -> tuple[int, int]:
    """Return the (h, w) of the frame that `read_frame` returns, from the file's header alone.

    Raises:
        FrameError: The file is missing or no image.
    """
    (h, w), turn = with_picture(path, lambda p: (p.size[::-1], _turn(p)), error_class=FrameError)
    return turn.size(h, w)


def image_turn(path: Path) -> Turn:
    """Return how `read_frame` turns an image, from the file's header alone.

    Raises:
        FrameError: The file is missing or no image.
    """
    return with_picture(path, _turn, error_class=FrameError)


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
    """Read a PNG as a label map, (1, h, w): file ids become positions in `classes`, or VOID.

    Palette colours and EXIF orientation are ignored. 255 means VOID unless a class has that id, and in
    files of 16 bits 65535 then does too. A picture in colours is read by the colours of the classes, black
    being VOID unless a class has it; one whose channels are equal, by its ids.

    Args:
        size: The (h, w) of the frame that the labels belong to; `None` accepts any size.

    Raises:
        LabelError: The file is missing, truncated or no PNG; it has another size than its frame; it holds
            an id or a colour that is neither a class nor void.
    """

    def positions(picture: ImageFile.ImageFile) -> NDArray[np.uint8]:
        w, h = picture.size
        if size is not None and size != (h, w):
            turned = " as its EXIF data or header turn it" if size == (w, h) else ""
            raise LabelError(
                f"label map {path} is {h} x {w} (h x w), but its frame is {size[0]} x {size[1]}{turned}; "
                f"export it at the size of the frame, without smoothing"
            )
        pixels = label_pixels(picture, path)
        if pixels.ndim == 2:
            return positions_of_ids(pixels, classes, path)
        return positions_of_colors(pixels, classes, path)

    return torch.from_numpy(with_picture(path, positions, error_class=LabelError))[None]


def write_labels(path: Path, labels: LabelMaps, classes: ClassSet) -> None:
    """Write one label map as a palette PNG that holds file ids; VOID is written as `classes.void_id`.

    The same labels and classes give the same bytes.

    Raises:
        LabelError: A label is neither a position in `classes` nor VOID.
    """
    content = labels_as_png(labels, classes)
    with replacing(path) as draft:
        draft.write_bytes(content)


def labels_as_png(labels: LabelMaps, classes: ClassSet) -> bytes:
    """Return the content of the file that `write_labels` writes.

    Raises:
        LabelError: A label is neither a position in `classes` nor VOID.
    """
    (positions,) = labels
    classes.check(labels)
    file_ids = np.full(256, classes.void_id, np.uint8)
    file_ids[: len(classes)] = classes.ids
    picture = Image.fromarray(file_ids[positions.cpu().numpy()])
    picture.putpalette(_palette(classes))
    content = io.BytesIO()
    picture.save(content, format="PNG", compress_level=_PNG_LEVEL)
    return content.getvalue()


def read_ids(path: Path) -> UInt16[np.ndarray, "h w"]:
    """Read the values of an index PNG of up to 16 bits, as they are.

    Raises:
        LabelError: The file is missing, truncated or no index PNG.
    """

    def ids(picture: ImageFile.ImageFile) -> NDArray[np.uint16]:
        pixels = label_pixels(picture, path)
        if pixels.ndim == 3 and (pixels != pixels[..., :1]).any():
            raise LabelError(
                f"label map {path} is a colour picture (mode {picture.mode}); expected an index PNG, "
                f"one channel of class ids; export indices instead of colours"
            )
        return (pixels if pixels.ndim == 2 else pixels[..., 0]).astype(np.uint16)

    return with_picture(path, ids, error_class=LabelError)


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

    def gray(picture: ImageFile.ImageFile) -> NDArray[np.uint8]:
        if picture.mode != "L":
            raise FrameError(
                f"{path} is a picture of mode {picture.mode}; expected 8-bit grey, such as a confidence map"
            )
        return np.array(picture)

    return torch.from_numpy(with_picture(path, gray, error_class=FrameError))[None] / 255


def _turn(picture: Image.Image) -> Turn:
    # The method of the base class: PngImageFile.getexif decodes the whole image first, to look
    # for EXIF data behind the pixels, where no camera writes it.
    return turn_of_exif(Image.Image.getexif(picture).get(ExifTags.Base.Orientation))


def _rgb(picture: ImageFile.ImageFile, path: Path, beside: Sequence[Path]) -> NDArray[np.uint8]:
    """Return the pixels of a picture of any mode, (h, w, 3), as they are stored."""
    deep = deep_pixels(picture, path)
    if deep is not None:
        eight = span_of_files(beside or (path,)).to_eight_bits(deep)
        return np.stack([eight] * 3, axis=-1) if eight.ndim == 2 else eight
    if picture.mode.startswith(("I", "F")):
        raise FrameError(
            f"{path} holds 32-bit values (mode {picture.mode}) of unknown range; "
            f"expected 8 or 16 bits per channel"
        )
    # Via RGBA, because Pillow warns when it drops the transparency of a palette.
    return np.asarray((picture.convert("RGBA") if picture.has_transparency_data else picture).convert("RGB"))


def _palette(classes: ClassSet) -> list[int]:
    """Return 256 colours, three numbers each.

    Never fewer: Pillow packs pixels into as few bits as the palette's length needs, and would
    truncate 255 to 1 in a palette of two colours.
    """
    colors = [VOID_COLOR] * 256
    for file_ids, color in zip(classes.all_ids, classes.colors, strict=True):
        for number in file_ids:
            if number < len(colors):
                colors[number] = color
    return [channel for color in colors for channel in color]
