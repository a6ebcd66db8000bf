"""Write videos that show labels over the pictures, with a legend, to look at: DEST/VIDEO.mp4."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain, groupby
from pathlib import Path
from typing import TypeAlias

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError
from warprefine.core.tensors import VOID
from warprefine.core.video import Video
from warprefine.interchange.exported import Exported, ExportedFrame, ExportOptions
from warprefine.interchange.format import Exporter
from warprefine.interchange.imported import Positions
from warprefine.interchange.legend import BACKGROUND, draw_legend
from warprefine.io.video_stream import open_video, video_stream

Picture: TypeAlias = UInt8[np.ndarray, "h w 3"]

_CODECS = ("libx264", "libopenh264", "mpeg4")
"""The first that FFmpeg was built with."""
_SETTINGS = {"libx264": {"crf": "18"}, "mpeg4": {"q": "3"}}
_RATE = 10
"""Frames per second where pictures have none, or frames are left out."""
_BT709 = 1  # FFmpeg's AVCOL_SPC_BT709, AVCOL_PRI_BT709 and AVCOL_TRC_BT709: what players expect
_NARROWEST = 160
_WIDEST = 16_384  # H.264's in FFmpeg


def write_overlay(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write DEST/VIDEO.mp4 for each video: the pictures, the labels over them, and the classes below.

    Void shows the picture alone.

    Raises:
        DatasetError: A frame is too large for H.264.
    """
    notes: list[str] = []
    videos = {video.name: video for video in labelled.videos}
    for name, frames in groupby(labelled.frames(), key=lambda frame: frame.video):
        rate = _rate(videos[name], labelled.numbers[name])
        _write(dest / f"{name}.mp4", frames, labelled.classes, rate or Fraction(_RATE), options)
        if rate is None:
            notes.append(
                f"{name}.mp4 shows {_RATE} frames a second, as no rate is known or frames are left out"
            )
    return notes


def _rate(video: Video, numbers: Sequence[int]) -> Fraction | None:
    """Return the frames per second of a video file; None if it has none, or frames between are left out."""
    if video.container is None or len(numbers) != numbers[-1] - numbers[0] + 1:
        return None
    with open_video(video.container) as container:
        rate = video_stream(container).average_rate
    return rate.limit_denominator(1001) if rate and 0 < rate <= 1000 else None


def _write(
    path: Path, frames: Iterator[ExportedFrame], classes: ClassSet, rate: Fraction, options: ExportOptions
) -> None:
    """Write the frames of one video, which are of one size."""
    first = next(frames)
    h, w = first.size
    canvas = _canvas(first.size, classes)
    if max(canvas.shape) > _WIDEST:
        raise DatasetError(
            f"{first.video}/{first.stem} is {h} x {w} (h x w), which makes a video of {canvas.shape[0]} x "
            f"{canvas.shape[1]}; expected at most {_WIDEST}; export it as color-png"
        )
    colors = np.zeros((VOID + 1, 3), np.uint8)
    colors[: len(classes)] = classes.colors
    with _encoder(path, canvas.shape[:2], rate) as encode:
        for frame in chain([first], frames):
            canvas[:h, :w] = blend_labels(frame.pixels(), frame.labels(), colors, opacity=options.opacity)
            encode(canvas)


def _canvas(size: tuple[int, int], classes: ClassSet) -> Picture:
    """Return the picture of the legend with room for frames of a size above it; its sides are even."""
    h, w = size[0], max(_NARROWEST, size[1])
    legend = draw_legend(classes, width=w, letters=max(11, round(w / 64)))
    below = h + len(legend)
    canvas = np.full((below + below % 2, w + w % 2, 3), BACKGROUND, np.uint8)
    canvas[h:below, :w] = legend
    return canvas


def blend_labels(
    pixels: Picture, labels: Positions, colors: UInt8[np.ndarray, "256 3"], *, opacity: float
) -> Picture:
    """Paint labels over a picture; void shows the picture alone.

    Args:
        pixels: The picture, RGB.
        labels: Positions, or VOID.
        colors: The colour of each of the 256 values, (256, 3).
        opacity: 0 shows the picture alone, 1 the labels alone.

    Example:
        >>> grey, labels = np.full((1, 2, 3), 100, np.uint8), np.array([[0, VOID]], np.uint8)
        >>> blend_labels(grey, labels, np.full((256, 3), 200, np.uint8), opacity=0.5)[0, :, 0].tolist()
        [150, 100]
    """
    mixed = cv2.addWeighted(colors[labels], opacity, pixels, 1 - opacity, 0)
    painted: Picture = np.where((labels == VOID)[..., None], pixels, mixed)
    return painted


@contextmanager
def _encoder(path: Path, size: tuple[int, int], rate: Fraction) -> Iterator[Callable[[Picture], None]]:
    """Yield what appends a picture, RGB, to a new mp4 that any player shows."""
    codec = next(name for name in _CODECS if name in av.codecs_available)
    with av.open(str(path.absolute()), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream(codec, rate=rate, options=_SETTINGS.get(codec, {}))
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.thread_type = "AUTO"
        context, reformatter = stream.codec_context, VideoReformatter()
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG

        def encode(picture: Picture) -> None:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = reformatter.reformat(frame, format="yuv420p", dst_colorspace=Colorspace.ITU709)
            frame.pts = None
            container.mux(stream.encode(frame))

        yield encode
        container.mux(stream.encode())


EXPORT_VIDEO = Exporter(
    write=write_overlay,
    about="VIDEO.mp4 to look at: labels over the pictures, a legend below; --opacity",
    keeps="what eyes see: colours of classes, void as the picture alone, names in the legend",
    loses="labels as such: H.264 smears colours; export index-png beside it",
    lossless=False,
    pictures=True,
)
