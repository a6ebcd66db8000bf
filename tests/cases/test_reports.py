"""Situations from public reports of people who do this job (reports)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import av
import pytest
import torch

from warprefine.datasets import open_dataset
from warprefine.io.frames import open_frames
from warprefine.io.images import read_frame


def _miou(text: str) -> float:
    return float(re.findall(r"motion-only .*?([0-9.]+)\*? clip", text)[0])


@pytest.mark.parametrize("command", ["inspect", "autolabel", "propagate", "train segmenter"])
def test_masks_of_0_and_255_are_told(made: Any, warprefine: Any, tiny_recipe: Path, command: str) -> None:
    """A class that no key frame shows, because 255 means void, is a note of every command, with the cure."""
    made("reports/01-masks-0-255")
    words = {
        "inspect": ("--check",),
        "propagate": ("--out=run", "--method=motion-only", "--motion=dis-ultrafast", "--threads=1"),
    }.get(command, ("--out=run", f"--recipe={tiny_recipe}", "--threads=1"))

    called = warprefine(*command.split(), "data/masks", *words)

    assert "no key frame shows object" in called.text
    assert "id = 255 for 'object'" in called.text
    assert called.code == (0 if command in ("inspect", "propagate") else 2)
    assert "no truth shows object" in called.text or command == "train segmenter"


@pytest.mark.parametrize(
    "words", [("inspect",), ("propagate", "--out=run", "--method=motion-only", "--horizon=1")]
)
def test_train_ids_in_the_place_of_ids_are_told(made: Any, warprefine: Any, words: tuple[str, ...]) -> None:
    """Nearly all would be void."""
    made("reports/02-train-ids-under-ids-name")

    called = warprefine(words[0], "data/city", "--reader=cityscapes", *words[1:])

    assert "that is how train ids count the classes" in called.text
    assert "(92 %)" in called.text


def test_thermal_frames_have_contrast(made: Any, motion_only: Any) -> None:
    """14-bit counts in 16 bits are stretched by the range of the video, and labels follow them."""
    made("reports/04-sixteen-bit-thermal")

    called = motion_only("data/raw16", "run", "--motion=dis-fine", "--horizon=2")

    assert len(read_frame(Path("data/raw16/videos/clip/frames/000000.png")).unique()) > 100
    assert _miou(called.text) > 98


def test_decimal_times_are_ordered_by_value(made: Any) -> None:
    """100.05 comes before 100.1."""
    made("reports/05-decimal-times")

    printed, padded = (open_dataset(f"data/{name}").videos[0] for name in ("as-printed", "padded"))

    assert printed.stems == ("100.0", "100.05", "100.1", "100.15", "100.2", "100.25", "100.3", "100.35")
    assert list(map(float, padded.stems)) == list(map(float, printed.stems))


def test_a_damaged_packet_shifts_no_frame_number(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frame i of a damaged HEVC stream is the i-th that a decoder returns."""
    folder = case("reports/07-damaged-hevc-numbers")
    data = bytearray(_hevc(folder))
    packet = len(data) // 188 // 3
    data[packet * 188 + 20 : packet * 188 + 180] = bytes(range(160))
    clip = folder / "data/videos/clip.ts"
    clip.write_bytes(data)
    with av.open(str(clip)) as container:
        theirs = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    (folder / "data/classes.toml").write_text('[[class]]\nname = "a"\n')

    (video,) = open_dataset(folder / "data").videos

    assert len(video) == len(theirs)
    with open_frames(video) as frames:
        for number in (0, len(video) // 2, len(video) - 1):
            theirs_there = torch.from_numpy(theirs[number]).permute(2, 0, 1).float()
            assert (frames[number][0].float() - theirs_there).abs().mean() < 8


def _hevc(folder: Path) -> bytes:
    """Encode 40 frames, each with its number as bright and dark blocks."""
    path = folder / "data/videos/clip.ts"
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        options = {"x265-params": "log-level=none:keyint=10:bframes=2"}
        stream: Any = container.add_stream("libx265", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 112, 48, "yuv420p"
        for number in range(40):
            bits = torch.tensor([235 if number >> bit & 1 else 20 for bit in range(7)], dtype=torch.uint8)
            picture = bits.repeat_interleave(16).expand(48, 112)[..., None].expand(-1, -1, 3).contiguous()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture.numpy(), format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


def test_label_maps_numbered_from_one_are_told(made: Any, warprefine: Any) -> None:
    """Their edges fit the frame before their own better; those numbered from zero are not remarked on."""
    made("reports/08-numbers-from-one")

    one, zero = (warprefine("inspect", f"data/from-{first}", "--check") for first in ("one", "zero"))

    assert "label maps fit the frame before their own better: clip" in one.text
    assert "fit the frame" not in zero.text


def test_frames_that_are_turned_by_exif_are_told(made: Any, warprefine: Any) -> None:
    """Label maps have to fit the upright frames."""
    made("reports/09-upside-down-exif")

    called = warprefine("inspect", "data/set", "--check")

    assert "clip (turned by 180 degrees); label maps must fit the upright frames" in called.text


def test_videos_of_all_endings_are_read(made: Any, warprefine: Any) -> None:
    """Recordings of several devices; one whose label map has another size costs only itself."""
    made("reports/10-video-endings-unknown")

    whole, labelled = warprefine("inspect", "data/set"), warprefine("inspect", "data/labelled", "--check")

    assert "4 videos, 32 frames, 1 key frames" in whole.text
    assert "3 of 4 videos have no key frame and are not labelled: b, c, d" in whole.text
    assert "is 48 x 64 (h x w), but its frame is 64 x 96" in labelled.text


@pytest.mark.parametrize("container", ["mp4", "avi"])
def test_a_title_in_another_encoding_does_not_matter(made: Any, motion_only: Any, container: str) -> None:
    """Both videos are labelled."""
    made("reports/12-title-not-utf8")

    called = motion_only(f"data/{container}", "run", "--horizon=2")

    assert called.code == 0
    assert "2 videos: 6 of 12 frames labelled" in called.text


def test_a_label_map_without_pixels_costs_its_video(made: Any, motion_only: Any) -> None:
    """It is named, and the other video is labelled."""
    made("reports/14-png-without-pixels")

    called = motion_only("data/set", "run", "--horizon=2")

    assert called.code == 1
    assert "bad/labels/000000.png: it holds no pixels" in called.text
    assert "good: 3 of 4 frames labelled" in called.text


def test_recipes_that_extend_each_other_are_refused(made: Any, motion_only: Any) -> None:
    """The message names the circle."""
    made("reports/15-recipe-circle")

    called = motion_only("data/set", "run", "--recipe=data/a.toml")

    assert called.code == 2
    assert "a.toml extends b.toml extends a.toml" in called.text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_lists_of_any_editor_are_read(made: Any, warprefine: Any, encoding: str) -> None:
    """label_colors.txt of CamVid."""
    made("reports/16-list-not-utf8")

    assert warprefine("convert", "camvid32", f"data/{encoding}", "--out=out").code == 0


def test_a_mask_with_a_full_alpha_channel_is_read(made: Any, warprefine: Any) -> None:
    """DAVIS 2016 has such a one."""
    made("reports/18-davis-bear")

    called = warprefine("inspect", "data/davis", "--reader=davis", "--split=all", "--check")

    assert called.code == 0
    assert "2 videos, 12 frames, 12 key frames" in called.text


def test_a_trunk_alone_begins_a_network(made: Any, warprefine: Any) -> None:
    """The head begins anew, which is told."""
    pytest.importorskip("transformers", reason="not installed: extra [hf]")
    made("reports/21-encoder-only-segformer")

    called = warprefine(
        *("train", "segmenter", "data/set", "--out=run", "--horizon=1", "--threads=1"),
        "--recipe=data/tiny.toml",
    )

    assert called.code == 0, called.text
    assert "holds the trunk of a segformer alone: all else begins anew" in called.text


def test_weights_under_other_names_are_found(made: Any, warprefine: Any) -> None:
    """What is missing is told by the names of RAFT: beginnings and containers were seen through."""
    made("reports/22-weights-with-other-prefix")

    for name in ("lightning.ckpt", "twice.pth", "compiled.pth", "with-epoch.pth", "ema.pth"):
        called = warprefine("weights", "import", f"data/{name}", "--as=raft", "--out=x.safetensors")
        assert "the weights of RAFT (small) lack fnet.layer1.0.conv1.weight" in called.text


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("script.pt", "a TorchScript archive"),
        ("page.pth", "is a web page, not the file: open the address in a browser"),
        ("pointer.pth", "is a pointer of Git LFS, not the file: run `git lfs pull`"),
    ],
)
def test_what_is_no_weights_file_is_told(made: Any, warprefine: Any, name: str, told: str) -> None:
    """Fetching the same again would not help."""
    made("reports/23-torchscript")

    called = warprefine("weights", "import", f"data/{name}", "--as=raft", "--out=x.safetensors")

    assert called.code == 2
    assert told in called.text


@pytest.mark.parametrize("place", ["labels/000003.png", "frames/000002.jpg", "clip.mp4"])
@pytest.mark.parametrize("source", ["page.pth", "pointer.pth"])
def test_what_is_no_picture_or_video_is_told(
    made: Any, warprefine: Any, tiny_data: Path, place: str, source: str
) -> None:
    """A web page or a pointer in the place of a label map, a frame or a video is named as such."""
    made("reports/23-torchscript")
    data = shutil.copytree(tiny_data, Path("set"))
    video = data / "videos/street-000"
    shutil.copy(f"data/{source}", video.with_suffix(".mp4") if place == "clip.mp4" else video / place)
    if place == "clip.mp4":
        shutil.rmtree(video / "frames")

    called = warprefine("inspect", data, "--check")

    assert called.code == 1
    assert ("is a web page" if source == "page.pth" else "is a pointer of Git LFS") in called.text


def test_byte_order_marks_do_not_matter(made: Any, warprefine: Any, motion_only: Any) -> None:
    """UTF-8 with a mark, UTF-16, JSON, and a recipe."""
    made("reports/25-bom")

    called = (
        warprefine("inspect", "data/utf-8-sig"),
        warprefine("inspect", "data/utf-16"),
        warprefine("inspect", "data/mapillary", "--reader=mapillary"),
        motion_only("data/utf-8-sig", "run", "--recipe=data/recipe.toml"),
    )

    assert [one.code for one in called] == [0, 0, 0, 0]


def test_label_maps_by_way_of_another_system_match(made: Any, warprefine: Any) -> None:
    """Frames in NFC, the label map in NFD."""
    made("reports/26-nfd")

    called = warprefine("inspect", "data/set", "--check")

    assert called.code == 0
    assert "1 key frames" in called.text


def test_class_names_in_any_script(made: Any, motion_only: Any) -> None:
    """No warning of another library is on the screen."""
    made("reports/28-cjk-names")

    called = motion_only("data/set", "run", "--horizon=1")

    assert called.code == 0
    assert "Glyph" not in called.text
    assert "车辆" in Path("run/report.html").read_text(encoding="utf-8")


def test_a_known_gap_of_a_data_set_is_told(made: Any, warprefine: Any) -> None:
    """The sky of some roads of ApolloScape is 255."""
    made("reports/29-apollo-no-sky")

    called = warprefine("inspect", "data/apollo", "--reader=apolloscape", "--split=all")

    assert "in the published label maps of road02 the sky is 255, which is void" in called.text
    assert "no key frame shows sky" in called.text


def test_ids_of_16_bits(made: Any, warprefine: Any) -> None:
    """Instances are refused with advice that can be followed; 65535 is void, whether it is named or not."""
    made("reports/31-sixteen-bit-ids")

    instances, ignore, told = (
        warprefine("inspect", f"data/{name}", "--check") for name in ("instances", "ignore", "ignore-told")
    )

    assert "ids end at 255, so these may be instances; export class ids" in instances.text
    assert (ignore.code, told.code) == (0, 0)
    assert "void 4.72 %" in ignore.text
    assert "void 4.72 %" in told.text


def test_label_maps_with_other_padding_match(made: Any, warprefine: Any) -> None:
    """00000.png beside a video file, whose frames are named by six digits."""
    made("reports/32-leading-zeros")

    called = warprefine("inspect", "data/set", "--check")

    assert called.code == 0
    assert "40 frames, 1 key frames" in called.text


@pytest.mark.parametrize("damaged", [(), (2,), (28, 29)], ids=str)
def test_a_damaged_stretch_costs_what_it_hits(made: Any, warprefine: Any, damaged: tuple[int, ...]) -> None:
    """All that the sound key frames reach is labelled, in the video file and in pictures of it."""
    made("reports/20-damaged-stretch")
    words = ("--out=run", "--horizon=3", "--method=motion-only", "--motion=dis-ultrafast", "--threads=1")
    whole = Path("data/set/videos/clip.ts")
    stems = open_dataset("data/set").videos[0].stems
    if damaged:
        frames = Path("data/set/videos/clip/frames")
        assert warprefine("frames", whole, "--out", frames).code == 0
        whole.unlink()
        for number in damaged:
            (frames / f"{number:06d}.png").write_bytes(b"")

    called = warprefine("propagate", "data/set", *words)

    assert called.code == (1 if damaged else 0)
    reached = {k for k in (0, 1, 2, 3, 27, 28, 29, 30, 31, 32, 33) if k < len(stems)}
    behind = {2: {2, 3}, 28: {27, 28}, 29: {27, 28, 29}}
    lost = set().union(*(behind[k] for k in damaged))
    labelled = {int(path.stem) for path in Path("run/labels/motion-only/clip").iterdir()}
    assert labelled == reached - lost
    for number in damaged[:1]:
        assert f"{number:06d}.png" in called.text
