"""Tests of jobs/preflight.py: errors are found before anything is done."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from warprefine import Recipe, open_dataset
from warprefine.core.errors import DeviceError, FrameError, KeyFrameError, LabelError, RecipeError
from warprefine.datasets.street import write_street
from warprefine.jobs.context import GivenParts
from warprefine.jobs.preflight import (
    LARGEST_SEED,
    check_device,
    check_further,
    check_names,
    check_parts,
    check_reach,
    check_seed,
    describe_job,
)
from warprefine.motion import MOTIONS
from warprefine.training.engine import loop

MOTION = MOTIONS["dis-ultrafast"]()


# names, device, reach


def test_the_names_of_the_default_recipe_are_all_there() -> None:
    """The recipe that users get without asking can be carried out."""
    check_names(Recipe())


@pytest.mark.parametrize(
    ("part", "key", "message"),
    [
        ("segmenter", "network", r"no segmenter is called 'compakt'; did you mean 'compact'\?"),
        ("refiner", "network", r"no refiner is called 'compakt'; did you mean 'compact'\?"),
        ("segmenter", "loss", r"no loss is called 'compakt'; did you mean 'cross-entropy'\?"),
        ("refiner", "loss", r"no loss is called 'compakt'; did you mean 'cross-entropy'\?"),
        ("plus.refiner", "network", r"no two-sided refiner is called 'compakt'; did you mean 'auto'\?"),
        ("plus.refiner", "loss", r"no loss is called 'compakt'; did you mean 'cross-entropy'\?"),
    ],
)
def test_a_part_that_does_not_exist_is_named_with_the_nearest_one(part: str, key: str, message: str) -> None:
    """A recipe that calls for an unknown part is refused before hours are spent on the others."""
    with pytest.raises(RecipeError, match=message):
        check_names(Recipe().changed((*part.split("."), key), "compakt"))


class Scoring:
    """A network that scores so many classes."""

    feature_channels = 1

    def __init__(self, class_count: int) -> None:
        self.name, self.class_count = f"scoring {class_count}", class_count

    def __call__(self, inputs: Any) -> Any:
        raise AssertionError("it is only looked at")


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("segmenter", "segmenter"),
        ("refiner", "refiner"),
        ("two_sided_refiner", "two-sided-refiner"),
    ],
)
def test_a_supplied_network_has_to_score_the_classes_of_the_data(
    tiny_data: Path, kind: str, named: str
) -> None:
    """Another number of classes is refused before hours of work; motion has none."""
    dataset = open_dataset(tiny_data)
    check_parts(GivenParts(motion=MOTION, **{kind: Scoring(11)}), dataset)

    with pytest.raises(
        LabelError,
        match=f"the {named} 'scoring 3' scores 3 classes, but .*data has 11; supply one whose class",
    ):
        check_parts(GivenParts(**{kind: Scoring(3)}), dataset)


def test_a_device_is_tried_before_it_is_used() -> None:
    """The CPU is always there."""
    assert check_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    "device",
    [
        "quantum",
        "meta",
        "vulkan",
        "hpu",
        "privateuseone",
        pytest.param("cuda", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")),
    ],
)
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    """A machine without a GPU is no reason to wait."""
    with pytest.raises(
        DeviceError, match=f"device '{device}' cannot be used here; expected cpu, or cuda where"
    ):
        check_device(device)


@pytest.mark.parametrize("seed", [-1, 2**32, 10**14, -(10**5000)], ids=["-1", "2^32", "10^14", "-10^5000"])
def test_a_seed_that_numbers_cannot_be_drawn_from_is_refused(seed: int) -> None:
    """The same line, whether the seed comes from the command line or from Python."""
    with pytest.raises(
        RecipeError, match=r"seed .*cannot be used; expected a whole number from 0 to 4294967295$"
    ):
        check_seed(seed)


def test_the_largest_seed_is_one_for_torch_and_numpy(tmp_path: Path) -> None:
    """A training draws from the seed times a million and more, on many ranks."""
    check_seed(LARGEST_SEED)
    rank, step = 1023, 10**12

    torch.manual_seed(LARGEST_SEED * 1_000_003 + step + rank * loop._RANK_STRIDE)
    np.random.default_rng((LARGEST_SEED, step, 0))


def test_a_data_set_without_key_frames_cannot_be_labelled(data: Path) -> None:
    """Somebody has to label something."""
    for video in ("street-000", "street-001"):
        shutil.rmtree(data / "videos" / video / "labels")

    with pytest.raises(KeyFrameError, match=r"data has no key frame at all; put label maps into videos/NAME"):
        check_reach(open_dataset(data), 3)


@pytest.mark.parametrize("horizon", [-1, 0])
def test_a_horizon_is_a_number_of_frames(tiny_data: Path, horizon: int) -> None:
    """At least the neighbours of key frames are labelled."""
    with pytest.raises(KeyFrameError, match=rf"horizon {horizon} is no number of frames; choose 1 or more, "):
        check_reach(open_dataset(tiny_data), horizon)


@pytest.mark.parametrize(("horizon", "reached"), [(1, 1), (6, 6), (7, 3), (10**8, 3), ("all", 3)], ids=str)
def test_clips_are_labelled_as_far_as_they_go(
    tiny_data: Path, horizon: int | Literal["all"], reached: int
) -> None:
    """Of seven frames with the middle one labelled, none is farther than three from it."""
    assert check_reach(open_dataset(tiny_data), horizon) == reached


def test_the_longest_clip_decides_how_far_the_horizon_reaches(data: Path) -> None:
    """Clips without labels do not count."""
    (data / "videos/street-000/labels/000003.png").rename(data / "videos/street-000/labels/000000.png")
    assert check_reach(open_dataset(data), "all") == 6

    shutil.rmtree(data / "videos/street-000/labels")
    assert check_reach(open_dataset(data), "all") == 3


def test_where_all_frames_are_labelled_the_horizon_is_still_a_number(data: Path) -> None:
    """There is nothing to do, which is no mistake."""
    for name in ("street-000", "street-001"):
        for path in (data / "videos" / name / "truth").iterdir():
            path.rename(data / "videos" / name / "labels" / path.name)

    assert check_reach(open_dataset(data), "all") == 1


def test_a_broken_video_is_not_taken_for_one_without_labels(data: Path) -> None:
    """Where the only labelled video cannot be opened, its problem is raised."""
    shutil.rmtree(data / "videos/street-001/labels")
    shutil.rmtree(data / "videos/street-000/frames")
    (data / "videos/street-000.mp4").write_bytes(b"no video")

    with pytest.raises(FrameError, match=r"street-000\.mp4"):
        check_reach(open_dataset(data), 3)


def test_no_further_video_may_be_broken(data: Path) -> None:
    """Nobody would notice that it was not trained on, so it is an error."""
    dataset = open_dataset(data)
    check_further(dataset, [open_dataset(data)])
    (data / "videos/street-002.mp4").write_bytes(b"no video")

    with pytest.raises(FrameError, match=r"street-002\.mp4"):
        check_further(dataset, [open_dataset(data)])


def test_further_data_need_the_same_classes(tiny_data: Path) -> None:
    """Classes in another order would be taken for one another."""
    dataset = open_dataset(tiny_data)
    classes = replace(dataset.classes, names=dataset.classes.names[::-1])

    with pytest.raises(LabelError, match=r"data has .*; further training data needs the same classes in the"):
        check_further(dataset, [dataset, replace(dataset, classes=classes)])


def test_single_pictures_are_no_videos(tiny_data: Path) -> None:
    """A set of labelled pictures has nothing to propagate to, and the message names its use."""
    dataset = open_dataset(tiny_data)
    (video, _) = dataset.videos
    picture = replace(video, stems=video.stems[3:4], frame_paths=video.frame_paths[3:4], labels={}, truth={})
    picture = replace(picture, labels={0: video.labels[3]})

    with pytest.raises(KeyFrameError, match=r"no video of .* has more than one frame; .* with --also-train"):
        check_reach(replace(dataset, videos=(picture,)), 1)


# the job


def test_a_job_names_all_that_decides_what_comes_out(tiny_data: Path) -> None:
    """Jobs are equal if data, key frames, further data, horizon, seed, recipe and supplied parts are."""
    dataset = open_dataset(tiny_data)
    settings: dict[str, Any] = {
        "horizon": 3,
        "also_train": [],
        "seed": 0,
        "recipe": Recipe(),
        "parts": GivenParts(),
    }
    other_refiner = Recipe().refiner.model_copy(update={"longest_cycle": 2})
    changed: list[dict[str, Any]] = [
        {"horizon": 2},
        {"also_train": [dataset]},
        {"also_train": [open_dataset(tiny_data, split="val")]},
        {"also_train": [open_dataset(tiny_data, key_frames="0::2")]},
        {"seed": 1},
        {"recipe": Recipe().model_copy(update={"refiner": other_refiner})},
        {"parts": GivenParts(motion=MOTION)},
        {"parts": GivenParts(segmenter=Scoring(11))},
        {"parts": GivenParts(segmenter=Scoring(12))},
        {"parts": GivenParts(two_sided_refiner=Scoring(11))},
    ]

    jobs = [
        describe_job(dataset, **settings),
        describe_job(open_dataset(tiny_data, key_frames="0::3"), **settings),
    ]
    jobs += [describe_job(dataset, **{**settings, **change}) for change in changed]

    written = [json.dumps(job, sort_keys=True) for job in jobs]
    assert len(set(written)) == len(written)
    assert describe_job(open_dataset(tiny_data), **settings) == jobs[0]


def test_a_data_set_made_in_memory_is_known_by_its_folder(tiny_data: Path) -> None:
    """Where nobody can open it again by name, its root still tells it from others."""
    dataset = replace(open_dataset(tiny_data), origin={})

    job = describe_job(dataset, horizon=3, also_train=[], seed=0, recipe=Recipe(), parts=GivenParts())

    assert job["data"] == {"root": str(tiny_data)}


def test_a_video_that_is_mended_is_part_of_the_job_already(data: Path) -> None:
    """A run that had to leave a video out can go on with it later."""
    settings: dict[str, Any] = {
        "horizon": 3,
        "also_train": [],
        "seed": 0,
        "recipe": Recipe(),
        "parts": GivenParts(),
    }
    whole = describe_job(open_dataset(data), **settings)
    frames = data / "videos/street-000/frames"
    frames.rename(data / "elsewhere")
    dataset = open_dataset(data)

    assert list(dataset.broken) == ["street-000"]
    assert describe_job(dataset, **settings) == whole


def test_a_segmenter_alone_may_learn_from_single_pictures(tmp_path: Path) -> None:
    """Where nothing is to be labelled, key frames do."""
    write_street(tmp_path / "stills", videos=2, length=1, start=0, step=1, h=48, w=64)

    assert check_reach(open_dataset(tmp_path / "stills"), 10, single_frames=True) == 1
