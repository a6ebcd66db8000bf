"""Tests of io/video_file.py: frame i is frame i, from whichever side one comes, at a bounded cost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import av
import numpy as np
import pytest
import torch

from warprefine.core.errors import FrameError
from warprefine.io import video_file
from warprefine.io.video_file import VideoFile
from warprefine.io.video_index import index_video

Packets = list[av.Packet]

OPEN_GROUPS = "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3"
ROLLING_REFRESH = "intra-refresh=1:keyint=10:bframes=0"
# With uneven gaps, as phones and screen recorders write them.
UNEVEN_MS = tuple(int(t) for t in np.cumsum(np.random.default_rng(0).choice([20, 40, 80, 130], size=40)))
# Frames of 160 x 96 (4:2:0) take 23 kB; so few are kept that nearly every jump has to seek.
LITTLE_MEMORY = 100_000


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_file, "MEMORY", LITTLE_MEMORY)


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the pts of every frame that leaves the decoder."""
    seen: list[int] = []
    decoded = video_file.decoded

    def spy(container: Any, **options: bool) -> Iterator[av.VideoFrame]:
        for frame in decoded(container, **options):
            seen.append(frame.pts)
            yield frame

    monkeypatch.setattr(video_file, "decoded", spy)
    return seen


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize(
    ("name", "codec", "how"),
    [
        pytest.param("a.mp4", "libx264", {"bf": "3"}, id="mp4"),
        pytest.param("a.mov", "libx264", {"x264-params": OPEN_GROUPS}, id="open groups of pictures"),
        pytest.param("a.mp4", "libx264", {"x264-params": ROLLING_REFRESH}, id="rolling refresh"),
        pytest.param("a.mkv", "libx264", {"bf": "3"}, id="mkv"),
        pytest.param("a.mp4", "libx264", {"bf": "3", "times_ms": UNEVEN_MS}, id="uneven times, mp4"),
        pytest.param("a.mkv", "libx264", {"bf": "3", "times_ms": UNEVEN_MS}, id="uneven times, mkv"),
        pytest.param("a.mkv", "ffv1", {"g": "1", "pixel_format": "yuv444p"}, id="ffv1"),
        pytest.param("a.avi", "mpeg4", {"bf": "2"}, id="mpeg4 in avi"),
        pytest.param("a.avi", "mjpeg", {"pixel_format": "yuvj420p"}, id="mjpeg in avi"),
        pytest.param("a.avi", "libx264", {"bf": "3"}, id="h264 in avi, times that lie"),
        pytest.param("a.mpg", "mpeg2video", {"bf": "2"}, id="mpg"),
        pytest.param("a.ts", "libx264", {"bf": "3"}, id="ts"),
        pytest.param("a.webm", "libvpx", {"deadline": "realtime"}, id="webm"),
        pytest.param("a.gif", "gif", {"pixel_format": "rgb8"}, id="gif"),
    ],
)
def test_every_frame_is_the_one_asked_for(studio: Any, name: str, codec: str, how: dict[str, Any]) -> None:
    """Whether one jumps about, walks forwards or walks backwards, frame i shows the number i."""
    path = studio.write(name, codec, **how)
    jumps = [random.Random(0).randrange(40) for _ in range(30)]
    asked = [*jumps, *range(40), *reversed(range(40))]

    with closing(VideoFile(path)) as source:
        assert len(source) == 40
        assert [studio.number_in(source[number]) for number in asked] == asked


@pytest.mark.usefixtures("little_memory")
def test_a_stream_without_usable_times_is_counted_from_the_start(studio: Any) -> None:
    """Two recordings joined end to end repeat their times; their frames are told apart by counting."""
    path = studio.join("twice.ts", *[studio.write("a.ts", pictures=20, bf="3")] * 2)

    with closing(VideoFile(path)) as source:
        asked = [30, 5, 25, 24, 39, 0]
        assert [studio.number_in(source[number]) for number in asked] == [10, 5, 5, 4, 19, 0]


def test_walking_forwards_decodes_each_frame_once(studio: Any, decodings: list[int]) -> None:
    """Reading a video from end to end takes one pass of the decoder, across groups of pictures."""
    with closing(VideoFile(studio.write("a.mp4", bf="3"))) as source:
        assert [studio.number_in(frame) for frame in source] == list(range(40))

    assert len(decodings) == 40


def test_walking_backwards_decodes_each_group_once(studio: Any, decodings: list[int]) -> None:
    """From frame 39 down to 0, each of the groups of 12 is decoded once, forwards."""
    with closing(VideoFile(studio.write("a.mp4", sc_threshold="0"))) as source:
        for number in reversed(range(40)):
            source[number]

    assert len(decodings) == 40


def test_frames_near_the_last_one_are_at_hand(studio: Any, decodings: list[int]) -> None:
    """Going forth and back around a key frame decodes nothing twice."""
    with closing(VideoFile(studio.write("a.mp4", sc_threshold="0"))) as source:
        for number in [14, 15, 16, 17, 18, 14, 13, 12, 18, 19]:
            assert studio.number_in(source[number]) == number

    assert len(decodings) == 8


def test_no_more_frames_are_kept_than_memory_allows(
    studio: Any, decodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With memory for four frames, the fourth last is at hand, and the fifth last is decoded again."""
    monkeypatch.setattr(video_file, "MEMORY", 4 * 128 * 96 * 3)
    numbers = [studio.paint(number, w=128) for number in range(10)]
    path = studio.write("a.mkv", "ffv1", pictures=numbers, pixel_format="yuv444p", g="1")

    with closing(VideoFile(path)) as source:
        for number in range(10):
            source[number]
        source[6]
        assert len(decodings) == 10
        source[5]
        assert len(decodings) == 11


@pytest.mark.usefixtures("little_memory")
def test_the_frames_asked_for_last_are_kept(studio: Any, decodings: list[int]) -> None:
    """A key frame that is looked at again and again stays at hand."""
    with closing(VideoFile(studio.write("a.mkv", "ffv1", g="1"))) as source:
        for number in range(1, 15):
            source[number]
            source[0]

    assert len(decodings) == 15


def test_colours_and_sides_are_kept(studio: Any) -> None:
    """A picture of odd size comes back with its channels, its left and its top where they were."""
    picture = np.random.default_rng(0).integers(0, 256, (97, 161, 3), np.uint8)
    path = studio.write("a.mkv", "ffv1", pictures=[picture], pixel_format="bgr0")

    with closing(VideoFile(path)) as source:
        frame = source[0]

    assert frame.shape == (1, 3, 97, 161)
    assert np.array_equal(frame[0].permute(1, 2, 0).numpy(), picture)


@pytest.mark.parametrize("bt709", [False, True])
def test_colours_follow_the_matrix_that_the_file_names(studio: Any, bt709: bool) -> None:
    """A red of high definition (BT.709) is as red as one of standard definition (BT.601)."""
    picture = np.broadcast_to(np.array([200, 30, 60], np.uint8), (64, 96, 3)).copy()
    path = studio.write("a.mp4", pictures=[picture] * 3, bt709=bt709, crf="5")

    with closing(VideoFile(path)) as source:
        found = source[1][0, :, 32, 48].int()

    assert (found - torch.tensor([200, 30, 60])).abs().max() <= 4


@pytest.mark.parametrize(
    ("turn", "size", "row", "column"),
    [(0, (64, 96), 0, 0), (90, (96, 64), -1, 0), (-90, (96, 64), 0, -1), (180, (64, 96), -1, -1)],
)
def test_phone_videos_are_turned_upright(
    studio: Any, turn: int, size: tuple[int, int], row: int, column: int
) -> None:
    """A video that its camera marked as turned is shown as it was held; the mark counts anticlockwise."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:16, :16] = 255
    path = studio.write("a.mp4", pictures=[picture] * 2, turn=turn)

    with closing(VideoFile(path)) as source:
        frame = source[1]

    assert frame.shape[-2:] == index_video(path).size == size
    assert frame[0, 1, row, column] > 200
    assert (frame[0, 1] > 128).float().mean() < 0.1


ONE, UNIT = 1 << 16, 1 << 30
# Where the stored corners (top left, top right, bottom left) come to lie, as players show them.
TOP_LEFT, TOP_RIGHT, LOW_LEFT, LOW_RIGHT = (0, 0), (0, -1), (-1, 0), (-1, -1)


@pytest.mark.parametrize(
    ("matrix", "corners"),
    [
        ((1, 0, 0, 1), (TOP_LEFT, TOP_RIGHT, LOW_LEFT)),
        ((-1, 0, 0, 1), (TOP_RIGHT, TOP_LEFT, LOW_RIGHT)),
        ((1, 0, 0, -1), (LOW_LEFT, LOW_RIGHT, TOP_LEFT)),
        ((-1, 0, 0, -1), (LOW_RIGHT, LOW_LEFT, TOP_RIGHT)),
        ((0, 1, 1, 0), (TOP_LEFT, LOW_LEFT, TOP_RIGHT)),
        ((0, 1, -1, 0), (TOP_RIGHT, LOW_RIGHT, TOP_LEFT)),
        ((0, -1, 1, 0), (LOW_LEFT, TOP_LEFT, LOW_RIGHT)),
        ((0, -1, -1, 0), (LOW_RIGHT, TOP_RIGHT, LOW_LEFT)),
    ],
)
def test_all_eight_display_matrices_are_followed(
    studio: Any, matrix: tuple[int, ...], corners: tuple[tuple[int, int], ...]
) -> None:
    """Turned or mirrored or both: a stored pixel at (x, y) is shown at (a x + c y, b x + d y)."""
    picture = np.full((64, 96, 3), 20, np.uint8)
    for corner, grey in zip((TOP_LEFT, TOP_RIGHT, LOW_LEFT), (250, 190, 130), strict=True):
        rows, columns = (slice(0, 16) if side == 0 else slice(-16, None) for side in corner)
        picture[rows, columns] = grey
    path = studio.write("a.mp4", pictures=[picture] * 2)
    content = path.read_bytes()
    at = content.index(b"tkhd") + 44
    a, b, c, d = (ONE * number for number in matrix)
    stored = np.array([a, b, 0, c, d, 0, 0, 0, UNIT], ">i4").tobytes()
    path.write_bytes(content[:at] + stored + content[at + len(stored) :])

    with closing(VideoFile(path)) as source:
        frame = source[1]

    assert frame.shape[-2:] == index_video(path).size == ((96, 64) if a == 0 else (64, 96))
    found = [round(int(frame[0, 1, row, column]) / 60) for row, column in corners]
    assert found == [4, 3, 2]


def test_the_matrix_of_an_upright_phone_turns_clockwise(studio: Any) -> None:
    """A phone held upright stores (x, y) -> (-y, x) in its track header: its left side comes to the top."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:, :16] = 255
    path = studio.write("a.mp4", pictures=[picture] * 2)
    content = path.read_bytes()
    matrix = content.index(b"tkhd") + 44
    turned = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 64 << 16, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(content[:matrix] + turned + content[matrix + len(turned) :])

    with closing(VideoFile(path)) as source:
        frame = source[0]

    assert frame.shape[-2:] == (96, 64)
    assert frame[0, 1, :12].min() > 200
    assert frame[0, 1, 20:].max() < 50


def test_a_frame_belongs_to_who_asked_for_it(studio: Any) -> None:
    """Drawing on a frame does not change the one that the next caller gets."""
    with closing(VideoFile(studio.write("a.mp4", pictures=3))) as source:
        source[1].zero_()
        assert source[1].max() > 200


def test_there_are_no_frames_before_the_first_and_after_the_last(studio: Any) -> None:
    """A frame number out of range is our own mistake, and ends a walk through the video."""
    with closing(VideoFile(studio.write("a.mp4", pictures=3))) as source:
        for number in (-1, 3):
            with pytest.raises(IndexError, match=rf"has frames 0 to 2, got {number}"):
                source[number]


def test_a_damaged_frame_is_refused_and_the_rest_can_be_read(studio: Any) -> None:
    """One rubbish packet costs its own frame; frames that do not lean on it are as good as before."""

    def spoil_the_twentieth(packets: Packets) -> Packets:
        return [*packets[:20], studio.spoil(packets[20], b"rubbish" * 20), *packets[21:]]

    whole = studio.write("a.avi", "mjpeg", pixel_format="yuvj420p")
    path = studio.remux(whole, "bad.avi", spoil_the_twentieth)

    with closing(VideoFile(path)) as source:
        with pytest.raises(
            FrameError, match=r"frame 20 of .*bad\.avi: it is damaged, or depends on a damaged"
        ):
            source[20]
        asked = [19, 21, 39, 0]
        assert [studio.number_in(source[number]) for number in asked] == asked


def test_a_frame_that_the_decoder_swallows_is_not_replaced_by_the_next(
    studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a frame is lost without a word, those behind it are not taken for it."""
    path = studio.write("a.mp4", sc_threshold="0")
    lost = index_video(path).frame_pts[20]
    decoded = video_file.decoded

    def swallow(container: Any, **options: bool) -> Iterator[av.VideoFrame]:
        return (frame for frame in decoded(container, **options) if frame.pts != lost)

    monkeypatch.setattr(video_file, "decoded", swallow)

    with closing(VideoFile(path)) as source:
        for number in (20, 21):
            with pytest.raises(FrameError, match=rf"frame {number} of .*: it is damaged, or depends"):
                source[number]
        assert [studio.number_in(source[number]) for number in (19, 24, 39)] == [19, 24, 39]


def test_a_damaged_stretch_costs_only_what_it_hits(studio: Any, decodings: list[int]) -> None:
    """Frames before the damage and from the next starting point on are as good as in the whole stream."""
    path = studio.damage(studio.write("a.ts", pictures=60, g="10", bf="2"), 1, packets=6)
    with closing(VideoFile(path)) as source:
        sound = []
        for number in range(len(source)):
            with suppress(FrameError):
                sound.append(studio.number_in(source[number]))

    assert [*range(10), *range(50, 60)] == [number for number in sound if number < 10 or number >= 50]
    assert 60 - len(sound) < 30
    assert len(decodings) < 6 * 60


def test_thermal_video_is_stretched_by_its_range(studio: Any) -> None:
    """Fourteen bits in 16 are no flat grey, and all frames have one range."""
    warm = [np.full((64, 96), 7000 + 20 * number, np.uint16) for number in range(15)]
    path = studio.write("a.mkv", "ffv1", pictures=warm, pixel_format="gray16le", g="1")

    with closing(VideoFile(path)) as source:
        greys = [int(source[number].max()) for number in range(15)]

    assert greys == [round(255 * number / 14) for number in range(15)]
    assert source._kept == {}


def test_a_last_frame_that_never_comes_is_refused(studio: Any) -> None:
    """A stream that breaks off in its last packet says so when that frame is asked for."""
    path = studio.cut(studio.write("a.flv", "flv1"), 0.97)
    last = index_video(path).count - 1

    with closing(VideoFile(path)) as source:
        assert studio.number_in(source[last - 1]) == last - 1
        with pytest.raises(FrameError, match=rf"cannot decode frame {last} of .*: it is damaged, or depends"):
            source[last]


def test_a_container_that_cannot_be_sought_in_is_read_from_its_start(studio: Any) -> None:
    """Matroska without marked key frames has no index, and is read all the same."""

    def unmarked(packets: Packets) -> Packets:
        for packet in packets:
            packet.is_keyframe = False
        return packets

    path = studio.remux(studio.write("a.mkv", "ffv1", g="1"), "unmarked.mkv", unmarked)

    with closing(VideoFile(path)) as source:
        asked = [20, 21, 3, 39, 0]
        assert [studio.number_in(source[number]) for number in asked] == asked


@pytest.mark.usefixtures("little_memory")
def test_a_seek_that_lands_too_late_costs_little(studio: Any, decodings: list[int]) -> None:
    """MPEG streams are sought in by bytes; from frame 119 back to 50 takes two groups of pictures or so."""
    with closing(VideoFile(studio.write("a.ts", pictures=120, bf="3"))) as source:
        source[119]
        before = len(decodings)
        assert studio.number_in(source[50]) == 50

    assert len(decodings) - before < 3 * 12


def test_a_video_that_changes_its_size_is_refused(studio: Any) -> None:
    """A stream of two sizes is told at the first frame that does not fit."""
    small = studio.write("a.ts", pictures=20)
    large = studio.write("b.ts", pictures=[studio.paint(number, h=128, w=176) for number in range(5)])

    with closing(VideoFile(studio.join("both.ts", small, large))) as source:
        assert studio.number_in(source[19]) == 19
        with pytest.raises(
            FrameError, match=r"frame 20 of .* is 128 x 176 \(h x w\), but frame 0 is 96 x 160"
        ):
            source[20]
