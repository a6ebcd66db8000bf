"""Tests of jobs/start.py: a run folder is claimed once all that can be checked quickly is in order."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from warprefine import Recipe, load_recipe, open_dataset
from warprefine.core.errors import (
    CheckpointError,
    DeviceError,
    FrameError,
    KeyFrameError,
    LabelError,
    RecipeError,
    RunFolderError,
)
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID, Flow, Frames
from warprefine.datasets.class_file import read_classes, write_classes
from warprefine.io.atomic import draft_of
from warprefine.io.run import RunFolder
from warprefine.jobs.context import GivenParts
from warprefine.jobs.networks import Networks
from warprefine.jobs.run_records import recorded_job
from warprefine.jobs.start import announce, start
from warprefine.motion import MOTIONS
from warprefine.propagation.two_sided.direct_flow import RefinesFlow
from warprefine.recipe.former import FORMER_VALUES
from warprefine.recipe.stages import overridden


class Rigid:
    """Motion between neighbouring frames alone: nothing moves."""

    name = "rigid"

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        return torch.zeros(frame_b.shape[0], 2, *frame_b.shape[-2:])


class Blind:
    """A segmenter of so many classes, all of them equally probable."""

    name, feature_channels = "blind", 1

    def __init__(self, class_count: int) -> None:
        self.class_count = class_count

    def __call__(self, frames: Frames) -> Segmentation:
        b, _, h, w = frames.shape
        return Segmentation(logits=torch.zeros(b, self.class_count, h, w), features=torch.zeros(b, 1, h, w))


def test_a_run_that_has_begun_knows_its_job_and_recipe(
    tiny_data: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """Job and resolved recipe are written down, and what was checked is in the context."""
    dataset, recipe = open_dataset(tiny_data), load_recipe(tiny_recipe)

    context = start(dataset, tmp_path / "run", horizon=3, recipe=recipe, seed=5)

    assert load_recipe(tmp_path / "run/recipe.toml") == recipe
    job = json.loads((tmp_path / "run/job.json").read_text())
    assert (job["horizon"], job["seed"], job["recipe"]) == (3, 5, recipe.to_dict())
    assert "parts" not in job
    assert [video.name for video in context.dataset.videos] == ["street-000", "street-001"]
    assert (context.horizon, context.seed, context.recipe, context.left_out) == (3, 5, recipe, {})
    assert context.device == torch.device("cpu")


def test_broken_videos_are_left_out_of_the_context(data: Path, tmp_path: Path) -> None:
    """The others go on, and the problem of each is kept by name."""
    (data / "videos/street-000/frames/000003.jpg").write_bytes(b"no picture")

    context = start(open_dataset(data), tmp_path / "run", horizon=3)

    assert [video.name for video in context.dataset.videos] == ["street-001"]
    assert list(context.left_out) == ["street-000"]
    assert "000003.jpg" in context.left_out["street-000"]


# what label maps do not show


def blank(path: Path) -> None:
    """Write a label map without one labelled pixel."""
    Image.new("L", (64, 48), VOID).save(path)


def test_a_video_without_a_key_frame_is_set_aside_with_its_reason(data: Path, tmp_path: Path) -> None:
    """It is not dropped without a word: context and notes name it, and the others go on."""
    shutil.rmtree(data / "videos/street-000/labels")

    context = start(open_dataset(data), tmp_path / "run", horizon=3)

    assert [video.name for video in context.dataset.videos] == ["street-001"]
    assert context.left_out == {}
    assert context.set_aside == {
        "street-000": "video 'street-000' has no key frame: no label map has a frame's name"
    }
    assert "1 of 2 videos have no key frame and are not labelled: street-000" in context.notes[0]


def test_a_key_frame_without_a_labelled_pixel_is_none(data: Path, tmp_path: Path) -> None:
    """The others of its video are used, as far as they reach."""
    blank(data / "videos/street-000/labels/000001.png")
    (data / "videos/street-000/truth/000001.png").unlink()

    context = start(open_dataset(data), tmp_path / "run", horizon=3)

    assert [video.key_frames for video in context.dataset.videos] == [(3,), (3,)]
    assert list(context.set_aside) == ["street-000/000001"]
    assert re.search("000001.png holds no labelled pixel and makes no key", *context.set_aside.values())


def test_a_video_of_blank_key_frames_alone_is_set_aside(data: Path, tmp_path: Path) -> None:
    """Networks that were trained on it would invent labels."""
    blank(data / "videos/street-000/labels/000003.png")

    context = start(open_dataset(data), tmp_path / "run", horizon=3)

    assert [video.name for video in context.dataset.videos] == ["street-001"]
    assert list(context.set_aside) == ["street-000"]


def test_a_data_set_of_blank_key_frames_alone_is_refused(data: Path, tmp_path: Path) -> None:
    """The message names them, and where void is defined."""
    for number in (0, 1):
        blank(data / f"videos/street-00{number}/labels/000003.png")

    with pytest.raises(KeyFrameError, match=r"no label map of .* holds a labelled pixel: .*000003\.png, "):
        start(open_dataset(data), tmp_path / "run", horizon=3)
    assert not (tmp_path / "run/job.json").exists()


def test_what_label_maps_may_not_mean_is_logged_before_the_work(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every job logs the notes of its context, the reader's among them."""
    for number in (0, 1):
        Image.new("L", (64, 48), 0).save(data / f"videos/street-00{number}/labels/000003.png")
    dataset = replace(open_dataset(data), notes=("a folder is missing",))
    context = start(dataset, tmp_path / "run", horizon=3)

    announce(context)

    assert [record.levelname for record in caplog.records] == ["WARNING"] * len(context.notes)
    assert caplog.messages == list(context.notes)
    assert context.notes[0] == "a folder is missing"
    assert "no key frame shows" in context.notes[1]


# what is refused before anything is written


def other_classes(data: Path) -> dict[str, Any]:
    classes = read_classes(data / "classes.toml")
    names = ("heaven", *classes.names[1:])
    write_classes(data / "classes.toml", type(classes)(names=names, colors=classes.colors))
    return {"also_train": [open_dataset(data)]}


@pytest.mark.parametrize(
    "mistake",
    [
        (
            lambda _: {"recipe": Recipe().changed(("refiner", "network"), "compakt")},
            RecipeError,
            "no refiner is called 'compakt'",
        ),
        (lambda _: {"horizon": 0}, KeyFrameError, "horizon 0 is no number of frames"),
        (other_classes, LabelError, "has the classes heaven, .* needs the same classes in the same order"),
        (
            lambda _: {"parts": GivenParts(segmenter=Blind(3))},
            LabelError,
            "the segmenter 'blind' scores 3 classes, but .*data has 11; supply one whose class_count is 11",
        ),
        (lambda _: {"device": "quantum"}, DeviceError, "device 'quantum' cannot be used"),
        (lambda _: {"seed": -1}, RecipeError, "seed -1 cannot be used"),
        (
            lambda _: {"recipe": Recipe().changed(("propagation", "motion"), "rigit")},
            RecipeError,
            "no motion estimator is called 'rigit'",
        ),
        (
            lambda _: {"recipe": Recipe().changed(("plus", "carry", "motion"), "rigit")},
            RecipeError,
            "no motion estimator is called 'rigit'",
        ),
    ],
    ids=["network", "horizon", "classes", "given classes", "device", "seed", "motion", "motion of plus"],
)
def test_a_job_that_cannot_be_done_claims_no_folder(
    tiny_data: Path, data: Path, tmp_path: Path, mistake: tuple[Any, type[Exception], str]
) -> None:
    """What is refused leaves nothing behind that would stand in the way of the right job."""
    wrong, error, message = mistake
    with pytest.raises(error, match=message):
        start(open_dataset(tiny_data), tmp_path / "run", **{"horizon": 3, **wrong(data)})

    assert not (tmp_path / "run/job.json").exists()
    assert not (tmp_path / "run/recipe.toml").exists()


def test_the_folder_of_another_job_is_refused_before_the_data_are_read(data: Path, tmp_path: Path) -> None:
    """A run's folder belongs to its data set, horizon, seed and recipe."""
    start(open_dataset(data), tmp_path / "run", horizon=3)
    (data / "videos/street-000/frames/000005.jpg").write_bytes(b"")

    with pytest.raises(
        RunFolderError, match=r"run holds a run with seed = 0, but this command says 1; choose anot"
    ):
        start(open_dataset(data), tmp_path / "run", horizon=3, seed=1)


def test_a_run_with_nothing_to_label_claims_no_folder(data: Path, tmp_path: Path) -> None:
    """If every clip is broken, the folder is free for whatever comes next."""
    for picture in data.rglob("*.jpg"):
        picture.write_bytes(b"no picture")

    with pytest.raises(FrameError, match="all 2 videos are broken"):
        start(open_dataset(data), tmp_path / "run", horizon=3)

    assert not (tmp_path / "run/job.json").exists()


def test_weights_to_start_from_have_to_be_there_where_a_segmenter_is_trained(
    tiny_data: Path, tmp_path: Path
) -> None:
    """They are missed before hours of other work, unless nothing is trained or the segmenter is supplied."""
    dataset, recipe = open_dataset(tiny_data), Recipe().changed(("segmenter", "weights"), "none.safetensors")
    options: dict[str, Any] = {"horizon": 3, "recipe": recipe}

    with pytest.raises(CheckpointError, match=r"none\.safetensors does not exist"):
        start(dataset, tmp_path / "run", **options)
    assert not (tmp_path / "run/job.json").exists()

    start(dataset, tmp_path / "used", **options, training=False)
    start(dataset, tmp_path / "given", **options, parts=GivenParts(segmenter=Blind(11)))


# motion that the recipe asks too much of


def long_range(motion: str = "dis-ultrafast") -> Recipe:
    recipe = Recipe().changed(("plus", "carry", "long_range"), True)
    return recipe.changed(("plus", "carry", "motion"), motion)


@pytest.mark.parametrize("supplied", [False, True], ids=["by name", "as an object"])
def test_long_range_needs_motion_that_can_start_from_a_flow(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, supplied: bool
) -> None:
    """Other motion is refused before anything is claimed, and does where only neighbours are compared."""
    monkeypatch.setitem(MOTIONS, "rigid", Rigid)
    dataset, parts = open_dataset(tiny_data), GivenParts(motion=Rigid() if supplied else None)

    with pytest.raises(
        RecipeError,
        match=r"long_range needs motion that can start from a flow, but rigid cannot; set motion under",
    ):
        start(dataset, tmp_path / "run", horizon=3, recipe=long_range("rigid"), parts=parts)
    assert list(tmp_path.rglob("job.json")) == []

    recipe = long_range("rigid").changed(("plus", "carry", "long_range"), False)
    context = start(dataset, tmp_path / "run", horizon=3, recipe=recipe, parts=parts)
    assert Networks(context).motion("two-sided").name == "rigid"


def test_dis_can_estimate_flow_straight_to_the_key_frame(tiny_data: Path, tmp_path: Path) -> None:
    """A recipe with long_range begins with motion that starts from a flow."""
    context = start(open_dataset(tiny_data), tmp_path / "run", horizon=3, recipe=long_range())

    assert isinstance(Networks(context).motion("two-sided"), RefinesFlow)


# parts that are supplied


def test_parts_that_are_supplied_belong_to_the_job(tiny_data: Path, tmp_path: Path) -> None:
    """Another one, or none, is another job."""
    dataset, options = open_dataset(tiny_data), {"horizon": 3}
    start(dataset, tmp_path / "run", **options, parts=GivenParts(motion=Rigid(), segmenter=Blind(11)))

    assert json.loads((tmp_path / "run/job.json").read_text())["parts"] == {
        "motion": "rigid",
        "segmenter": "blind",
    }
    with pytest.raises(RunFolderError, match=r"parts\.motion = 'rigid', but this command says None; choose"):
        start(dataset, tmp_path / "run", **options)
    other = GivenParts(motion=MOTIONS["dis-ultrafast"](), segmenter=Blind(11))
    with pytest.raises(RunFolderError, match=r"parts\.motion = 'rigid', but this command says 'dis-ultrafas"):
        start(dataset, tmp_path / "run", **options, parts=other)


def test_supplied_motion_is_that_of_all_methods(tiny_data: Path, tmp_path: Path) -> None:
    """The paper's methods and warp-refine-plus use the same object."""
    motion = Rigid()
    context = start(open_dataset(tiny_data), tmp_path / "run", horizon=3, parts=GivenParts(motion=motion))
    networks = Networks(context)

    assert networks.motion("stepwise") is networks.motion("two-sided") is motion


def test_one_class_is_refused_before_anything_is_written(data: Path, tmp_path: Path) -> None:
    """A segmenter of one class cannot be trained, and no label map need be read to know it."""
    (data / "classes.toml").write_text('[[class]]\nname = "car"\ncolor = [0, 0, 142]\n')
    dataset = open_dataset(data)

    with pytest.raises(LabelError, match=r"'car' is the only class, so a segmenter would give it to every"):
        start(dataset, tmp_path / "run", horizon=3)

    assert not (tmp_path / "run/job.json").exists()


@pytest.mark.parametrize("horizon", [3, 10, "all"])
def test_a_run_remembers_the_horizon_that_was_asked_for(
    tiny_data: Path, tmp_path: Path, horizon: int | str
) -> None:
    """It labels as far as the clips go; frames that are added later are within reach of the same command."""
    context = start(open_dataset(tiny_data), tmp_path / "run", horizon=horizon)  # type: ignore[arg-type]

    assert context.horizon == 3
    assert json.loads((tmp_path / "run/job.json").read_text())["horizon"] == horizon


# run folders of earlier versions


def of_earlier_version(run: Path) -> Recipe:
    """Take the newer keys out of a run's job; return the recipe that does what was done without them."""
    job = json.loads((run / "job.json").read_text())
    for key in FORMER_VALUES:
        *above, last = key.split(".")
        table = job["recipe"]
        for name in above:
            table = table[name]
        del table[last]
    (run / "job.json").write_text(json.dumps(job))
    return overridden(Recipe(**job["recipe"]), FORMER_VALUES)


def test_a_run_folder_of_an_earlier_version_goes_on_with_what_was_done_then(
    tiny_data: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """Keys that it lacks count as equal at their former values, and at no others."""
    dataset, recipe = open_dataset(tiny_data), load_recipe(tiny_recipe)
    start(dataset, tmp_path, horizon=3, recipe=recipe)
    former = of_earlier_version(tmp_path)

    assert start(dataset, tmp_path, horizon=3, recipe=former).recipe == former
    assert recorded_job(tmp_path / "job.json", RunFolder(tmp_path).job())[2] == former
    for key, value in {"plus.refiner.left_out": 0.5, "segmenter.steps_per_picture": 75}.items():
        with pytest.raises(
            RunFolderError, match=rf"recipe\.{re.escape(key)} = .*, but this command says {value}"
        ):
            start(dataset, tmp_path, horizon=3, recipe=overridden(former, {key: value}))


def test_a_shared_cache_is_rid_of_what_killed_processes_left_in_it(
    tiny_data: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """Drafts of other runs that are being written stay."""
    old, new = draft_of(tmp_path / "cache/flow/a.bin"), draft_of(tmp_path / "cache/flow/b.bin")
    old.parent.mkdir(parents=True)
    for draft in (old, new):
        draft.touch()
    os.utime(old, (0, 0))
    recipe = load_recipe(tiny_recipe)

    start(open_dataset(tiny_data), tmp_path / "run", horizon=3, recipe=recipe, cache=tmp_path / "cache")

    assert [path for path in (tmp_path / "cache/flow").rglob("*") if path.is_file()] == [new]
