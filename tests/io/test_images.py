"""Tests of io/images.py: what a picture file means, whatever its mode, depth or damage."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from warprefine.core.classes import ClassSet
from warprefine.core.errors import FrameError, LabelError
from warprefine.core.tensors import VOID
from warprefine.io import pictures
from warprefine.io.images import (
    image_size,
    image_turn,
    read_frame,
    read_gray,
    read_ids,
    read_labels,
    write_frame,
    write_gray,
    write_ids,
    write_labels,
)

CLASSES = ClassSet(
    names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)), file_ids=(7, 26), void_ids=(0, 3)
)
PLAIN = ClassSet(names=("a", "b", "c"), colors=((1, 2, 3), (4, 5, 6), (7, 8, 9)))
DAVIS = ClassSet(
    names=("background", "object"),
    colors=((0, 0, 0), (255, 255, 255)),
    file_ids=(0, 255),
    merged_ids=((), (1,)),
    void_ids=(254,),
)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY = 0  # colour type of a PNG
MASK = np.array([[0, 1, 1], [2, 0, 2]], np.uint8)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def header(*, h: int, w: int, depth: int = 8) -> bytes:
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, GREY, 0, 0, 0))


def grey_png(rows: list[bytes], *, w: int, depth: int = 8, behind: bytes = b"") -> bytes:
    """Make a grey PNG of any bit depth by hand, with some chunks behind the pixels."""
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return header(h=len(rows), w=w, depth=depth) + pixels + behind + chunk(b"IEND", b"")


def exif(orientation: int) -> Image.Exif:
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def rgb(h: int = 4, w: int = 6) -> NDArray[np.uint8]:
    """Return a picture in which no two pixels and no two channels agree."""
    return (np.arange(h * w * 3, dtype=np.uint8) * 3).reshape(h, w, 3)


# frames


def test_convention_frames_are_rgb_with_x_to_the_right(tmp_path: Path) -> None:
    """The pixel at x = 2, y = 1 of a picture is frame[0, :, 1, 2], red first."""
    pixels = rgb()
    Image.fromarray(pixels).save(tmp_path / "a.png")

    frame = read_frame(tmp_path / "a.png")

    assert frame.shape == (1, 3, 4, 6)
    assert frame.dtype == torch.uint8
    assert frame[0, :, 1, 2].tolist() == pixels[1, 2].tolist()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_frame_is_turned_as_its_camera_was_held(tmp_path: Path, orientation: int) -> None:
    """Each of the eight EXIF orientations shows the same upright scene, and its size is known beforehand."""
    upright = np.kron(np.array([[250, 5, 5, 5], [5, 5, 5, 90]], np.uint8), np.ones((8, 8), np.uint8))
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, quality=100, exif=exif(orientation))

    frame = read_frame(path)

    assert image_size(path) == (16, 32)
    assert frame.shape == (1, 3, 16, 32)
    assert (frame[0, 0].int() - torch.from_numpy(upright.astype(np.int32))).abs().max() <= 3


def test_a_turn_is_told_in_words(tmp_path: Path) -> None:
    """So that whoever drew labels on the stored picture can be told."""
    for orientation, words in ((1, "upright"), (3, "turned by 180 degrees"), (2, "mirrored left to right")):
        Image.fromarray(rgb()).save(tmp_path / "a.jpg", exif=exif(orientation))
        assert str(image_turn(tmp_path / "a.jpg")) == words


def test_size_and_frame_agree_on_exif_data_behind_the_pixels(tmp_path: Path) -> None:
    """A PNG whose EXIF data come after its pixels is taken as upright by both readers."""
    path = tmp_path / "a.png"
    rows = [bytes([y * 10 + x for x in range(5)]) for y in range(3)]
    path.write_bytes(grey_png(rows, w=5, behind=chunk(b"eXIf", exif(6).tobytes()[6:])))

    assert image_size(path) == (3, 5)
    assert read_frame(path)[0, 0, 2].tolist() == [20, 21, 22, 23, 24]


def test_sixteen_bit_grey_keeps_its_upper_eight_bits(tmp_path: Path) -> None:
    """A 16-bit grey picture becomes three equal channels, 65535 being white."""
    Image.fromarray(np.array([[0, 256, 65535]], np.uint16)).save(tmp_path / "deep.png")

    assert read_frame(tmp_path / "deep.png")[0, :, 0].tolist() == [[0, 1, 255]] * 3


def test_a_scene_of_few_values_in_sixteen_bits_is_stretched(tmp_path: Path) -> None:
    """A thermal camera fills some hundred of 65536 values; dead pixels do not make a range."""
    values = np.linspace(7000, 7200, 10_000).astype(np.uint16)
    values[[0, -1]] = 0, 65535
    Image.fromarray(values.reshape(100, 100)).save(tmp_path / "a.png")

    frame = read_frame(tmp_path / "a.png")

    assert len(frame.unique()) > 190
    assert (frame.min(), frame.max()) == (0, 255)


def test_colours_of_few_values_in_sixteen_bits_are_stretched_alike(tmp_path: Path) -> None:
    """Twelve bits in 16 are not black; all channels have one range."""
    rows = b"".join(b"\0" + struct.pack(">9H", *[v, v, v, v, v, 0, v // 2, 0, 0]) for v in (4095, 2048))
    ihdr = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(
        SIGNATURE + ihdr + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )

    frame = read_frame(tmp_path / "a.png")

    assert frame[0, :, 0].T.tolist() == [[255, 255, 255], [255, 255, 0], [127, 0, 0]]


def test_frames_of_a_video_have_one_range(tmp_path: Path) -> None:
    """What is told beside a frame decides how it is stretched."""
    for name, top in (("a", 1000), ("b", 2000)):
        Image.fromarray(np.array([[0, top]], np.uint16)).save(tmp_path / f"{name}.png")

    frame = read_frame(tmp_path / "a.png", beside=[tmp_path / "a.png", tmp_path / "b.png"])

    assert frame[0, 0, 0].tolist() == [0, 128]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK"])
def test_every_mode_becomes_three_channels(tmp_path: Path, mode: str) -> None:
    """White stays white and black stays black, whatever the mode of the picture."""
    picture = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("RGB").convert(mode)
    ending = "tif" if mode == "CMYK" else "png"
    picture.save(tmp_path / f"a.{ending}")

    assert read_frame(tmp_path / f"a.{ending}")[0, :, 0].tolist() == [[0, 255]] * 3


def test_a_transparent_palette_is_read_without_a_warning(tmp_path: Path) -> None:
    """A palette picture with a transparent colour keeps that colour."""
    picture = Image.fromarray(MASK)
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90] + [0] * 759)
    picture.save(tmp_path / "a.png", transparency=b"\x80\x00\xff")

    assert read_frame(tmp_path / "a.png")[0, :, 0, 1].tolist() == [40, 50, 60]


def test_floating_point_pictures_are_refused(tmp_path: Path) -> None:
    """A picture of floats has no known white, so it is refused instead of guessed at."""
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "depth.tif")

    with pytest.raises(FrameError, match=r"depth\.tif holds 32-bit values \(mode F\).*expected 8 or 16 bits"):
        read_frame(tmp_path / "depth.tif")


@pytest.mark.parametrize("read", [read_frame, image_size, read_gray])
def test_a_missing_picture_is_named(tmp_path: Path, read: object) -> None:
    """A file that is not there is one line, not a traceback of the operating system."""
    assert callable(read)
    with pytest.raises(FrameError, match=r"there is no file .*gone\.jpg; expected a picture"):
        read(tmp_path / "gone.jpg")


def test_a_text_file_is_no_picture(tmp_path: Path) -> None:
    """A file with a picture's ending and other content is told apart from a damaged picture."""
    (tmp_path / "a.jpg").write_text("not a picture")

    with pytest.raises(FrameError, match=r"a\.jpg is no picture that can be read"):
        read_frame(tmp_path / "a.jpg")


@pytest.mark.filterwarnings("ignore:Truncated File Read")  # Pillow's word for it, ahead of its error
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "bmp", "tif"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.0, 0.9))
def test_a_picture_cut_short_is_never_read(tmp_path: Path, ending: str, share: float) -> None:
    """However much of a picture is missing, it gives one line that names it, and no pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    path = tmp_path / f"a.{ending}"
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])

    with pytest.raises(FrameError, match=r"a\.(jpg|png|webp|bmp|tif)[: ]") as caught:
        read_frame(path)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(SIGNATURE + chunk(b"IHDR", b"short"), "Truncated IHDR chunk", id="header"),
        pytest.param(
            header(h=9, w=9) + chunk(b"IDAT", b"x\x9c") + chunk(b"I\0AT", b""), "broken PNG file", id="chunks"
        ),
        pytest.param(header(h=9, w=9) + chunk(b"IDAT", b"rubbish"), "broken data stream", id="pixels"),
    ],
)
def test_a_damaged_picture_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    """Whatever is wrong inside a picture, its name and the reason are one line."""
    (tmp_path / "a.png").write_bytes(content)

    with pytest.raises(FrameError, match=rf"cannot read .*a\.png: {reason}.*; copy or export it again"):
        read_frame(tmp_path / "a.png")


def test_a_picture_that_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few bytes that claim to be a gigantic picture are not unpacked."""
    monkeypatch.setattr(pictures, "MOST_PIXELS", 10)
    Image.fromarray(rgb()).save(tmp_path / "a.png")

    with pytest.raises(FrameError, match=r"a\.png is 4 x 6 \(h x w\); expected at most 10 pixels; make it"):
        read_frame(tmp_path / "a.png")


@pytest.mark.parametrize("side", [10_000, 15_000, 100_000])
def test_pillow_does_not_unpack_it_either(tmp_path: Path, side: int) -> None:
    """Its remark on a large picture and its refusal of a larger one are our one line."""
    (tmp_path / "a.png").write_bytes(header(h=side, w=side) + chunk(b"IDAT", zlib.compress(bytes(99))))

    with pytest.raises(FrameError, match=r"a\.png.*(pixels|limit)") as caught:
        image_size(tmp_path / "a.png")

    assert "\n" not in str(caught.value)


def test_only_formats_that_endings_promise_are_opened(tmp_path: Path) -> None:
    """Pillow would start another program for PostScript, whatever the ending."""
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    Image.fromarray(rgb()).save(tmp_path / "b.png", format="ICNS")

    for name in "ab":
        with pytest.raises(
            FrameError, match=rf"{name}\.png is no picture that can be read; expected a PNG or"
        ):
            read_frame(tmp_path / f"{name}.png")


def test_a_jpeg_with_the_ending_of_a_png_is_read(tmp_path: Path) -> None:
    """What counts is what a file holds."""
    Image.fromarray(rgb()).save(tmp_path / "a.png", format="JPEG")

    assert read_frame(tmp_path / "a.png").shape == (1, 3, 4, 6)


def test_what_is_no_file_is_never_opened(tmp_path: Path) -> None:
    """A folder, a pipe into which nobody writes and a device without end, as frame and as label map."""
    os.mkfifo(tmp_path / "a.png")

    for path, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "a.png", "is a pipe"),
        (Path("/dev/zero"), "is a device"),
    ):
        with pytest.raises(FrameError, match=f"{words}; expected a picture"):
            read_frame(path)
        with pytest.raises(LabelError, match=f"{words}; expected a picture"):
            read_labels(path, PLAIN)


@pytest.mark.parametrize("read", [read_frame, image_size, read_gray, partial(read_labels, classes=PLAIN)])
def test_a_png_without_pixels_is_told(tmp_path: Path, read: Callable[[Path], object]) -> None:
    """Header and end are there, and nothing between."""
    (tmp_path / "a.png").write_bytes(header(h=2, w=3) + chunk(b"IEND", b""))

    with pytest.raises((FrameError, LabelError), match=r"cannot read .*a\.png: it holds no pixels; copy"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3 << 20))), id="megabytes of text"),
        pytest.param(chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(3 << 20))), id="megabytes of profile"),
        pytest.param(chunk(b"gAMA", b""), id="empty gamma"),
        pytest.param(chunk(b"pHYs", b"\0"), id="short size"),
    ],
)
@pytest.mark.parametrize("place", ["before", "behind"])
def test_what_a_png_carries_besides_pixels_does_not_matter(tmp_path: Path, extra: bytes, place: str) -> None:
    """Text without end and damaged remarks are passed over."""
    sound = grey_png([b"\0\1\2", b"\2\1\0"], w=3)
    cut = len(header(h=2, w=3)) if place == "before" else sound.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(sound[:cut] + extra + sound[cut:])

    assert read_labels(tmp_path / "a.png", PLAIN)[0].tolist() == [[0, 1, 2], [2, 1, 0]]
    assert read_frame(tmp_path / "a.png").shape == (1, 3, 2, 3)
    assert image_size(tmp_path / "a.png") == (2, 3)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(h=st.integers(1, 9), w=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_png_frame_comes_back_exactly(tmp_path: Path, h: int, w: int, seed: int) -> None:
    """PNG loses nothing, whatever the size."""
    frame = torch.randint(
        0, 256, (1, 3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )

    write_frame(tmp_path / "a.png", frame)

    assert torch.equal(read_frame(tmp_path / "a.png"), frame)
    assert image_size(tmp_path / "a.png") == (h, w)


def test_a_jpeg_frame_keeps_its_colour_edges(tmp_path: Path) -> None:
    """JPEG frames are written 4:4:4, so a colour edge between two pixels stays where it was."""
    frame = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    frame[:, 0, :, :7] = 255
    frame[:, 2, :, 7:] = 255

    write_frame(tmp_path / "a.jpg", frame)

    assert (read_frame(tmp_path / "a.jpg").int() - frame.int()).abs().max() <= 12


def test_quality_decides_how_much_a_jpeg_loses(tmp_path: Path) -> None:
    """A lower quality makes a smaller file."""
    frame = torch.randint(
        0, 256, (1, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    write_frame(tmp_path / "fine.jpg", frame)
    write_frame(tmp_path / "rough.jpg", frame, quality=30)

    assert (tmp_path / "rough.jpg").stat().st_size < (tmp_path / "fine.jpg").stat().st_size / 2


def test_frames_are_written_as_jpeg_or_png_only(tmp_path: Path) -> None:
    """An ending that says nothing about the format is refused."""
    with pytest.raises(FrameError, match=r"found the ending '\.gif'; expected \.jpg, \.jpeg or \.png"):
        write_frame(tmp_path / "a.gif", torch.zeros(1, 3, 2, 2, dtype=torch.uint8))


# label maps


def write_index_png(path: Path, ids: NDArray[np.generic]) -> None:
    Image.fromarray(ids).save(path)


def label_maps(classes: ClassSet) -> st.SearchStrategy[torch.Tensor]:
    values = st.sampled_from([*range(len(classes)), VOID])
    shapes = st.tuples(st.integers(1, 6), st.integers(1, 6))
    return shapes.flatmap(
        lambda shape: st.lists(values, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
            lambda flat: torch.tensor(flat, dtype=torch.uint8).reshape(1, *shape)
        )
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), classes=st.sampled_from([CLASSES, PLAIN, DAVIS]))
def test_labels_come_back_as_they_were_written(
    tmp_path: Path, data: st.DataObject, classes: ClassSet
) -> None:
    """Writing and reading is the identity, VOID included, also where a class has the file id 255."""
    labels = data.draw(label_maps(classes))

    write_labels(tmp_path / "a.png", labels, classes)

    assert torch.equal(read_labels(tmp_path / "a.png", classes), labels)


def test_label_files_hold_file_ids_and_class_colours(tmp_path: Path) -> None:
    """A label file is a palette PNG of 256 colours that holds the ids of classes.toml, 255 for VOID."""
    write_labels(tmp_path / "a.png", torch.tensor([[[0, 1, VOID]]], dtype=torch.uint8), CLASSES)

    with Image.open(tmp_path / "a.png") as picture:
        assert (picture.mode, picture.format) == ("P", "PNG")
        assert np.asarray(picture).tolist() == [[7, 26, 255]]
        assert np.asarray(picture.convert("RGB")).tolist() == [[[128, 64, 128], [0, 0, 142], [0, 0, 0]]]
        assert len(picture.getpalette() or []) == 768


def test_void_is_written_as_a_void_id_where_a_class_has_255(tmp_path: Path) -> None:
    """In DAVIS 255 is the object, so VOID is written as the number that the class set names for it."""
    write_labels(tmp_path / "a.png", torch.tensor([[[0, 1, VOID]]], dtype=torch.uint8), DAVIS)

    with Image.open(tmp_path / "a.png") as picture:
        assert np.asarray(picture).tolist() == [[0, 255, 254]]


def test_one_class_may_have_several_file_ids(tmp_path: Path) -> None:
    """A number from merged_ids is read as its class."""
    write_index_png(tmp_path / "a.png", np.array([[0, 1, 255, 254]], np.uint8))

    assert read_labels(tmp_path / "a.png", DAVIS)[0].tolist() == [[0, 1, 1, VOID]]


def test_the_same_labels_give_the_same_bytes(tmp_path: Path) -> None:
    """Label files can be compared byte for byte."""
    labels = torch.from_numpy(MASK)[None]
    write_labels(tmp_path / "a.png", labels, PLAIN)
    write_labels(tmp_path / "b.png", labels, PLAIN)

    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_labels_outside_the_class_set_are_not_written(tmp_path: Path) -> None:
    """A position that no class has never reaches a file."""
    with pytest.raises(LabelError, match="holds class 5, but this class set ends at 1"):
        write_labels(tmp_path / "a.png", torch.full((1, 2, 2), 5, dtype=torch.uint8), CLASSES)

    assert list(tmp_path.iterdir()) == []


def test_void_ids_and_255_are_read_as_void(tmp_path: Path) -> None:
    """File ids become positions; void ids and 255 become VOID."""
    write_index_png(tmp_path / "a.png", np.array([[7, 26, 0, 3, 255]], np.uint8))

    assert read_labels(tmp_path / "a.png", CLASSES)[0].tolist() == [[0, 1, VOID, VOID, VOID]]


def test_palette_labels_are_read_as_indices_not_colours(tmp_path: Path) -> None:
    """The colours of a palette say nothing; its indices do."""
    picture = Image.fromarray(MASK)
    picture.putpalette([9, 9, 9, 0, 0, 0, 2, 2, 2])
    picture.save(tmp_path / "a.png")

    assert read_labels(tmp_path / "a.png", PLAIN)[0].tolist() == MASK.tolist()


@pytest.mark.parametrize(
    ("depth", "row", "expected"),
    [
        (1, b"\x60", [0, 1, 1]),
        (2, b"\x18", [0, 1, 2]),
        (4, b"\x01\x20", [0, 1, 2]),
        (8, b"\x00\x01\x02", [0, 1, 2]),
        (16, b"\x00\x00\x00\x01\x00\x02", [0, 1, 2]),
    ],
)
def test_labels_of_any_bit_depth_hold_plain_indices(
    tmp_path: Path, depth: int, row: bytes, expected: list[int]
) -> None:
    """A grey PNG of 1, 2, 4, 8 or 16 bits per pixel holds indices, not brightness."""
    (tmp_path / "a.png").write_bytes(grey_png([row], w=3, depth=depth))

    assert read_labels(tmp_path / "a.png", PLAIN)[0].tolist() == [expected]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_palettes_of_any_bit_depth_hold_plain_indices(tmp_path: Path, bits: int) -> None:
    """Annotation tools pack small palettes into few bits; the indices stay what they are."""
    picture = Image.fromarray(MASK)
    picture.putpalette([9, 9, 9, 0, 0, 0, 2, 2, 2])
    picture.save(tmp_path / "a.png", bits=bits)

    assert read_labels(tmp_path / "a.png", PLAIN)[0].tolist() == MASK.tolist()


def test_labels_are_never_turned(tmp_path: Path) -> None:
    """EXIF orientation is for cameras; a label map lies as it is stored."""
    Image.fromarray(MASK).save(tmp_path / "a.png", exif=exif(6))

    assert read_labels(tmp_path / "a.png", PLAIN, size=(2, 3))[0].tolist() == MASK.tolist()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_channels_that_say_nothing_are_dropped(tmp_path: Path, mode: str) -> None:
    """Ids in equal channels, with a full alpha, as several tools and one file of DAVIS have them."""
    Image.fromarray(MASK).convert(mode).save(tmp_path / "a.png")

    assert read_labels(tmp_path / "a.png", PLAIN)[0].tolist() == MASK.tolist()
    assert read_ids(tmp_path / "a.png").tolist() == MASK.tolist()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_label_map_that_is_partly_transparent_is_refused(tmp_path: Path, mode: str) -> None:
    """An alpha channel that says something is not passed over."""
    picture = Image.fromarray(MASK).convert(mode)
    picture.putalpha(Image.fromarray(np.array([[255, 255, 255], [255, 255, 9]], np.uint8)))
    picture.save(tmp_path / "a.png")

    with pytest.raises(LabelError, match=rf"a\.png is partly transparent \(mode {mode}\); expected an index"):
        read_labels(tmp_path / "a.png", PLAIN)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_of_the_classes_are_read(tmp_path: Path, mode: str) -> None:
    """A picture in the colours of classes.toml says as much as ids do; black is VOID."""
    colors = np.array([[(4, 5, 6), (1, 2, 3), (7, 8, 9), (0, 0, 0)]], np.uint8)
    Image.fromarray(colors).convert(mode).save(tmp_path / "a.png")

    assert read_labels(tmp_path / "a.png", PLAIN)[0].tolist() == [[1, 0, 2, VOID]]


def test_black_is_a_class_where_one_is_black(tmp_path: Path) -> None:
    """The background of DAVIS is black, in ids and in colours."""
    Image.fromarray(np.array([[[0] * 3, [255] * 3]], np.uint8)).save(tmp_path / "a.png")

    assert read_labels(tmp_path / "a.png", DAVIS)[0].tolist() == [[0, 1]]


def test_colours_of_no_class_are_told_all_at_once(tmp_path: Path) -> None:
    """Every stray colour with its pixels, not one after another; a colour of two classes is one of them."""
    twins = ClassSet(names=("a", "b", "c"), colors=((1, 2, 3), (4, 5, 6), (4, 5, 6)))
    colors = [(9, 0, number) for number in range(8)] + [(9, 0, 0), (4, 5, 6), (1, 2, 3)]
    Image.fromarray(np.array([colors], np.uint8)).save(tmp_path / "a.png")

    with pytest.raises(LabelError, match=r"a\.png is a colour picture, with colours of no class") as caught:
        read_labels(tmp_path / "a.png", twins)

    listed = "(4, 5, 6) (1 px), (9, 0, 0) (2 px), " + ", ".join(f"(9, 0, {n}) (1 px)" for n in range(1, 8))
    assert f": {listed}; give each class its own colour in classes.toml" in str(caught.value)


def test_grey_that_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    """Black and white in three channels: as ids 0 and void, as colours two classes."""
    classes = ClassSet(names=("background", "thing"), colors=((0, 0, 0), (255, 255, 255)))
    Image.fromarray(np.array([[[0] * 3, [255] * 3]], np.uint8)).save(tmp_path / "a.png")

    with pytest.raises(
        LabelError, match=r"a\.png is grey in three channels, which can be read as ids and as"
    ):
        read_labels(tmp_path / "a.png", classes)


def test_ids_of_sixteen_bits_in_several_channels_are_refused(tmp_path: Path) -> None:
    """Their lower halves would be lost."""
    ihdr = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + b"\0\1" * 3))
    (tmp_path / "a.png").write_bytes(SIGNATURE + ihdr + pixels + chunk(b"IEND", b""))

    with pytest.raises(LabelError, match=r"a\.png has RGB of 16 bits; expected an index PNG"):
        read_labels(tmp_path / "a.png", PLAIN)


def test_void_of_sixteen_bits_is_void(tmp_path: Path) -> None:
    """65535 is what 255 is, unless 255 is a class."""
    write_index_png(tmp_path / "a.png", np.array([[0, 1, 65535, 255]], np.uint16))

    assert read_labels(tmp_path / "a.png", PLAIN)[0].tolist() == [[0, 1, VOID, VOID]]
    with pytest.raises(LabelError, match=r"ids that are no class: 65535 \(1 px\); .* these may be instances"):
        read_labels(tmp_path / "a.png", DAVIS)


def test_a_label_map_on_the_stored_picture_is_told_of_the_turn(tmp_path: Path) -> None:
    """Whoever drew labels on a picture that is turned when it is read sees why the sizes differ."""
    write_index_png(tmp_path / "a.png", MASK)

    with pytest.raises(LabelError, match=r"its frame is 3 x 2 as its EXIF data or header turn it; export it"):
        read_labels(tmp_path / "a.png", PLAIN, size=(3, 2))


def test_lossy_pictures_are_no_label_maps(tmp_path: Path) -> None:
    """A JPEG blurs ids into each other, so it is refused, whatever its name says."""
    Image.fromarray(MASK).save(tmp_path / "a.png", format="JPEG")

    with pytest.raises(LabelError, match=r"a\.png is a JPEG file; expected an index PNG"):
        read_labels(tmp_path / "a.png", PLAIN)


def test_unknown_ids_are_named_with_their_size(tmp_path: Path) -> None:
    """Up to five strange ids are told with their pixel counts, and where to add them."""
    write_index_png(tmp_path / "a.png", np.array([[7, 9, 9, 10, 11, 12, 13, 14, 15]], np.uint8))

    with pytest.raises(LabelError) as caught:
        read_labels(tmp_path / "a.png", CLASSES)

    message = str(caught.value)
    assert "9 (2 px), 10 (1 px), 11 (1 px), 12 (1 px), 13 (1 px) and 2 more" in message
    assert message.endswith("the classes have ids 7, 26; add it to classes.toml or to void_ids")


def test_instance_ids_are_unknown_ids(tmp_path: Path) -> None:
    """A 16-bit instance map in the place of a class map is told by its large ids."""
    write_index_png(tmp_path / "a.png", np.array([[26, 26001]], np.uint16))

    with pytest.raises(
        LabelError,
        match=r"ids that are no class: 26001 \(1 px\); .*ids end at 255, .*; export class ids, or name",
    ):
        read_labels(tmp_path / "a.png", CLASSES)


def test_labels_must_have_the_size_of_their_frame(tmp_path: Path) -> None:
    """A label map of another size than its frame is refused with both sizes, height first."""
    write_index_png(tmp_path / "a.png", MASK)

    with pytest.raises(LabelError, match=r"a\.png is 2 x 3 \(h x w\), but its frame is 4 x 6"):
        read_labels(tmp_path / "a.png", PLAIN, size=(4, 6))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.0, 0.9))
def test_labels_cut_short_are_never_read(tmp_path: Path, share: float) -> None:
    """A label map with missing bytes gives one line, and no labels."""
    noise = np.random.default_rng(0).integers(0, 3, (24, 32), np.uint8)
    write_labels(tmp_path / "a.png", torch.from_numpy(noise)[None], PLAIN)
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: int(len(content) * share)])

    with pytest.raises(LabelError, match=r"a\.png") as caught:
        read_labels(tmp_path / "a.png", PLAIN)

    assert "\n" not in str(caught.value)


def test_a_missing_label_map_is_a_label_error(tmp_path: Path) -> None:
    """A label map that is not there is named as such."""
    with pytest.raises(LabelError, match=r"there is no file .*gone\.png"):
        read_labels(tmp_path / "gone.png", PLAIN)


# ids


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_ids_are_read_as_they_are(tmp_path: Path, kind: type[np.generic]) -> None:
    """Numbers of 8 and 16 bits come back exactly, whether or not a class has them."""
    most = np.iinfo(kind).max
    write_index_png(tmp_path / "a.png", np.array([[0, 34, 255], [most - 1, most, 1]], kind))

    ids = read_ids(tmp_path / "a.png")

    assert ids.dtype == np.uint16
    assert ids.tolist() == [[0, 34, 255], [most - 1, most, 1]]


@pytest.mark.parametrize("bits", [2, 4])
def test_packed_ids_are_not_stretched(tmp_path: Path, bits: int) -> None:
    """A grey PNG of few bits holds small numbers, not brightness."""
    row = b"\x18" if bits == 2 else b"\x01\x20"
    (tmp_path / "a.png").write_bytes(grey_png([row], w=3, depth=bits))

    assert read_ids(tmp_path / "a.png").tolist() == [[0, 1, 2]]


def test_ids_are_written_as_plain_grey(tmp_path: Path) -> None:
    """A file of ids has no palette, for some readers take a palette's colours for the numbers."""
    write_ids(tmp_path / "a.png", MASK)

    with Image.open(tmp_path / "a.png") as picture:
        assert (picture.mode, picture.format) == ("L", "PNG")
    assert read_ids(tmp_path / "a.png").tolist() == MASK.tolist()


def test_pictures_of_colours_hold_no_ids(tmp_path: Path) -> None:
    """Colours in the place of ids are refused, and so is a file that is not there."""
    Image.fromarray(rgb()).save(tmp_path / "a.png")

    with pytest.raises(LabelError, match=r"a\.png is a colour picture \(mode RGB\); expected an index PNG"):
        read_ids(tmp_path / "a.png")
    with pytest.raises(LabelError, match=r"there is no file .*gone\.png"):
        read_ids(tmp_path / "gone.png")


# grey maps


def test_grey_maps_come_back_to_within_half_a_step(tmp_path: Path) -> None:
    """Confidence is stored in 255 steps, 0 and 1 exactly."""
    values = torch.linspace(0, 1, 600).reshape(1, 20, 30)

    write_gray(tmp_path / "a.png", values)
    found = read_gray(tmp_path / "a.png")

    assert found.dtype == torch.float32
    assert (found - values).abs().max() <= 1 / 510 + 1e-6
    assert (found[0, 0, 0].item(), found[0, -1, -1].item()) == (0.0, 1.0)


@pytest.mark.parametrize("wrong", [float("nan"), -0.01, 1.01])
def test_grey_maps_refuse_what_they_cannot_hold(tmp_path: Path, wrong: float) -> None:
    """NaN and values outside 0..1 stop the run instead of becoming some grey."""
    with pytest.raises(ValueError, match=r"a\.png run from .* expected 0 to 1"):
        write_gray(tmp_path / "a.png", torch.tensor([[[0.5, wrong]]]))


def test_a_colour_picture_is_no_grey_map(tmp_path: Path) -> None:
    """A grey map is 8-bit grey and nothing else."""
    Image.fromarray(rgb()).save(tmp_path / "a.png")

    with pytest.raises(FrameError, match=r"a\.png is a picture of mode RGB; expected 8-bit grey"):
        read_gray(tmp_path / "a.png")


def test_two_frames_do_not_fit_in_one_file(tmp_path: Path) -> None:
    """A batch of two is our own mistake, not silently cut to its first frame."""
    with pytest.raises(ValueError, match="too many values to unpack"):
        write_frame(tmp_path / "a.png", torch.zeros(2, 3, 2, 2, dtype=torch.uint8))
