"""Small video files whose frames show their own number, written with PyAV."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

Picture = NDArray[np.uint8] | NDArray[np.uint16]

BITS = 8
BIT_PX = 12
TOP = slice(4, 20)
DOT_PX = 10


class VideoStudio:
    """Write and spoil video files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @staticmethod
    def paint(number: int, h: int = 96, w: int = 160) -> Picture:
        """Draw a number as eight bright or dark blocks, lowest bit first, and a moving red dot below."""
        picture = np.full((h, w, 3), 40, np.uint8)
        for bit in range(BITS):
            picture[TOP, BIT_PX * bit : BIT_PX * (bit + 1)] = 230 if number >> bit & 1 else 20
        x = 3 * number % (w - DOT_PX)
        picture[40 : 40 + DOT_PX, x : x + DOT_PX] = (230, 20, 20)
        return picture

    @staticmethod
    def number_in(frame: torch.Tensor) -> int:
        """Read the number that `paint` drew, from a frame (1, 3, h, w)."""
        row = frame[0, 1, TOP].float().mean(dim=0)
        blocks = row[: BITS * BIT_PX].reshape(BITS, BIT_PX)[:, 2:-2].mean(dim=1)
        return sum(int(value > 128) << bit for bit, value in enumerate(blocks.tolist()))

    def write(
        self,
        name: str,
        codec: str = "libx264",
        *,
        pictures: Sequence[Picture] | int = 40,
        pixel_format: str = "yuv420p",
        times_ms: Sequence[int] | None = None,
        turn: int = 0,
        bt709: bool = False,
        title: str = "",
        **options: str,
    ) -> Path:
        """Write a video of `pictures`, or of that many numbers, at 25 fps or at `times_ms`.

        `turn` is the display rotation in degrees, `options` are the encoder's.
        """
        shown = [self.paint(number) for number in range(pictures)] if isinstance(pictures, int) else pictures
        with av.open(str(self.folder / name), "w") as container:
            if title:
                container.metadata["title"] = title
            stream = container.add_stream(codec, rate=25, options={"g": "12", **options})
            assert isinstance(stream, av.VideoStream)
            stream.height, stream.width = shown[0].shape[:2]
            stream.pix_fmt = pixel_format
            if turn:
                stream.set_display_rotation(turn)
            if bt709:
                stream.codec_context.colorspace = 1
            if times_ms is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            for number, picture in enumerate(shown):
                frame = av.VideoFrame.from_ndarray(
                    picture, format="rgb24" if picture.ndim == 3 else pixel_format
                )
                if bt709:
                    frame = frame.reformat(format=pixel_format, dst_colorspace="ITU709")
                if times_ms is not None:
                    frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return self.folder / name

    def remux(
        self, source: Path, name: str, change: Callable[[list[av.Packet]], list[av.Packet]], **options: str
    ) -> Path:
        """Copy the packets of a video file into another, after `change` has had its way with them."""
        with av.open(str(source)) as read, av.open(str(self.folder / name), "w", options=options) as written:
            stream = written.add_stream_from_template(read.streams.video[0])
            written.start_encoding()
            for packet in change([packet for packet in read.demux(video=0) if packet.size]):
                packet.stream = stream
                written.mux(packet)
        return self.folder / name

    @staticmethod
    def spoil(packet: av.Packet, content: bytes) -> av.Packet:
        """Return a packet with the times of another and other bytes."""
        changed = av.Packet(content)
        changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
        return changed

    def join(self, name: str, *sources: Path) -> Path:
        """Write files one behind the other."""
        (self.folder / name).write_bytes(b"".join(source.read_bytes() for source in sources))
        return self.folder / name

    def damage(self, source: Path, seed: int, *, packets: int = 1) -> Path:
        """Write an MPEG stream again with random bytes in some of its packets of 188 bytes, in its middle."""
        content, draws = bytearray(source.read_bytes()), random.Random(seed)
        count = len(content) // 188
        first = draws.randrange(count // 4, count // 2)
        for number in range(first, first + packets):
            content[number * 188 + 20 : number * 188 + 180] = draws.randbytes(160)
        target = self.folder / f"damaged_{seed}_{source.name}"
        target.write_bytes(content)
        return target

    def cut(self, source: Path, share: float) -> Path:
        """Write the first `share` of a file into another."""
        content = source.read_bytes()
        target = self.folder / f"cut_{source.name}"
        target.write_bytes(content[: int(len(content) * share)])
        return target


@pytest.fixture
def studio(tmp_path: Path) -> VideoStudio:
    """Give a place to make videos in: the folder of the test."""
    return VideoStudio(tmp_path)
