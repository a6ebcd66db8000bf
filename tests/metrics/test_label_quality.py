"""Check what is compared with what: methods, distances, and frames with and without truth."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from warprefine import open_dataset
from warprefine.core.errors import DatasetError, LabelError, RunFolderError
from warprefine.io.images import read_labels, write_labels
from warprefine.io.run import RunFolder
from warprefine.metrics.boundaries import count_boundaries, mean_boundary_f_score
from warprefine.metrics.confusion import count, mean_iou
from warprefine.metrics.label_quality import evaluate, has_truth
from warprefine.metrics.run_labels import predicted_labels


def test_each_distance_has_a_matrix_of_its_own_over_all_videos(run, dataset, world):
    """What lies k frames from its key frame, before or after, in any video, is scored together."""
    scores = evaluate(run, dataset, methods=world.methods, horizon=world.horizon)

    # Key frame 2: distance 1 is frames 1 and 3, distance 2 is 0 and 4, distance 3 is 5 (without truth).
    pairs = [(world.motion_only(frame, 2), world.truth(frame)) for frame in (0, 4)]
    expected = 2 * sum(count(prediction, truth, class_count=3) for prediction, truth in pairs)
    assert scores["motion-only"].frames_by_distance == [4, 4, 0, 2]
    assert scores["motion-only"].frames == 10
    assert scores["motion-only"].miou_by_distance[1] == pytest.approx(100 * mean_iou(expected))
    assert scores["warp-refine"].miou_by_distance == [100, 100, None, 100]


def test_the_mean_runs_over_the_distances_that_have_truth(run, dataset, world):
    """A distance without truth has no part in the mean."""
    scores = evaluate(run, dataset, methods=["motion-only"], horizon=world.horizon)["motion-only"]

    measured = [value for value in scores.miou_by_distance if value is not None]
    assert len(measured) == 3
    assert scores.miou == pytest.approx(sum(measured) / 3)


def test_boundaries_are_counted_at_each_distance(run, dataset, world):
    """Warp-refine has every boundary in its place; motion-only loses more of them with each frame."""
    scores = evaluate(run, dataset, methods=world.methods, horizon=world.horizon)

    counts = sum(
        count_boundaries(world.motion_only(frame, 2), world.truth(frame), class_count=3) for frame in (0, 4)
    )
    by_distance = scores["motion-only"].boundary_f_by_distance
    assert scores["warp-refine"].boundary_f_by_distance == [100, 100, None, 100]
    assert by_distance[1] == pytest.approx(100 * mean_boundary_f_score(counts))
    assert 0 < scores["motion-only"].boundary_f < scores["warp-refine"].boundary_f == 100


def test_frames_too_small_for_optical_flow_have_no_consistency(run, dataset, world):
    """What cannot be measured is unknown, and no reason to stop."""
    assert evaluate(run, dataset, methods=world.methods, horizon=1)["warp-refine"].consistency is None


def test_how_steady_labels_are_is_measured_on_all_frames(tiny_data, tmp_path):
    """The truth of a moving street is steadier than the same labels with every other frame shifted."""
    dataset = open_dataset(tiny_data)
    run = RunFolder(tmp_path / "run")
    for video in dataset.videos:
        for frame, path in video.truth.items():
            labels = read_labels(path, dataset.classes)
            shifted = labels.roll(3 * (frame % 2), dims=1)
            for method, made in (("oracle", labels), ("shaky", shifted)):
                write_labels(run.labels_path(method, video.name, video.stems[frame]), made, dataset.classes)

    scores = evaluate(run, dataset, methods=["oracle", "shaky"], horizon=3)

    assert 60 < scores["oracle"].consistency <= 100
    assert scores["shaky"].consistency < scores["oracle"].consistency - 10


def test_key_frames_are_not_scored(run, dataset, world):
    """A method gets no credit for the labels it was given, even if they stand among the truth."""
    cheating = tuple(replace(v, truth={**v.truth, 2: v.labels[2]}) for v in dataset.videos)

    scores = evaluate(run, replace(dataset, videos=cheating), methods=world.methods, horizon=world.horizon)

    assert scores["warp-refine"].frames == 10


def test_frames_beyond_the_horizon_are_not_scored(run, dataset, world):
    """A horizon of 1 compares the neighbours of the key frame and nothing else."""
    scores = evaluate(run, dataset, methods=world.methods, horizon=1)

    assert scores["warp-refine"].frames_by_distance == [4]


def test_methods_come_in_the_usual_order(run, dataset, world):
    """Tables list the methods as the paper does, whatever order they were asked for in."""
    assert list(evaluate(run, dataset, methods=world.methods[::-1], horizon=1)) == list(world.methods)


def test_void_as_a_class_takes_part_in_the_mean(run, dataset, world):
    """A method that labels the void corner pays for it only where void is a class."""
    for video in dataset.videos:
        for frame in (1, 3):
            filled = world.truth(frame)
            filled[filled == 255] = 0
            path = run.labels_path("warp-refine", video.name, video.stems[frame])
            write_labels(path, filled, world.classes)

    plain = evaluate(run, dataset, methods=["warp-refine"], horizon=1)["warp-refine"]
    with_void = evaluate(run, dataset, methods=["warp-refine"], horizon=1, void_as_class=True)["warp-refine"]

    assert (plain.miou, plain.ignore_iou) == (100, 0)
    assert with_void.miou < 70


def test_a_data_set_without_truth_is_told_so(run, dataset, blind, world):
    """Nothing to compare with is an error that says how to get some."""
    assert has_truth(dataset, world.horizon)
    assert not has_truth(blind, world.horizon)
    with pytest.raises(DatasetError, match=r"no truth for any frame within 4 .*--keyframes START::STEP"):
        evaluate(run, blind, methods=world.methods, horizon=world.horizon)


def test_a_missing_label_map_is_named(run, dataset, world):
    """An unfinished run cannot be scored; the message says which file and how to make it."""
    path = run.labels_path("warp-refine", "near", "003")
    path.unlink()

    with pytest.raises(RunFolderError, match=r"no label map .*near/003\.png.*warprefine autolabel"):
        evaluate(run, dataset, methods=world.methods, horizon=world.horizon)


def test_truth_of_another_size_is_named(run, dataset, world):
    """Truth is compared pixel by pixel and never resized."""
    path = dataset.videos[0].truth[3]
    write_labels(path, torch.zeros((1, world.h, world.w // 2), dtype=torch.uint8), world.classes)

    with pytest.raises(LabelError, match=rf"{path.name} is 12 x 10 .* its frame is 12 x 20"):
        evaluate(run, dataset, methods=world.methods, horizon=world.horizon)


def test_predicted_labels_are_read_back_as_they_were_written(run, dataset, world):
    """What a method wrote for a frame is what is scored."""
    labels = predicted_labels(run, world.classes, method="motion-only", video=dataset.videos[0], frame=4)

    assert labels.equal(world.motion_only(4, 2))


@pytest.fixture
def two_keys(dataset):
    """The same data set with two key frames, 2 and 4, in each video."""

    def moved(video):
        labelled = {**video.truth, **video.labels}
        keys = {k: labelled.pop(k) for k in (2, 4)}
        return replace(video, labels=keys, truth=labelled)

    return replace(dataset, videos=tuple(map(moved, dataset.videos)))


def test_frames_between_and_beside_key_frames_are_scored_apart(run, two_keys, world):
    """Frame 3 lies between key frames 2 and 4; 0, 1 and 6 have them on one side only."""
    scores = evaluate(run, two_keys, methods=world.methods, horizon=2)["motion-only"]

    def miou(*predicted):  # made from key frame 2, see `run`
        pairs = [(world.motion_only(k, abs(k - 2)), world.truth(k)) for k in predicted]
        return 100 * mean_iou(sum(count(prediction, truth, class_count=3) for prediction, truth in pairs))

    assert scores.frames_by_distance == [4, 4]
    assert (scores.between.frames_by_distance, scores.beside.frames_by_distance) == ([2, 0], [2, 4])
    assert scores.between.miou_by_distance == [pytest.approx(miou(3)), None]
    assert scores.beside.miou_by_distance == pytest.approx([miou(1), miou(0, 6)])
    assert scores.miou_by_distance == pytest.approx([miou(1, 3), miou(0, 6)])
    assert scores.between.miou == pytest.approx(miou(3))
    assert scores.beside.iou_by_class["car"] < scores.between.iou_by_class["car"] < 100


def test_a_group_without_frames_has_no_scores(run, dataset, two_keys, world):
    """One key frame has nothing between; where nothing beside is in the horizon there is no such score."""
    alone = evaluate(run, dataset, methods=["motion-only"], horizon=2)["motion-only"]
    shut = replace(two_keys, videos=tuple(replace(v, truth={3: v.truth[3]}) for v in two_keys.videos))
    enclosed = evaluate(run, shut, methods=["motion-only"], horizon=1)["motion-only"]

    assert (alone.between, alone.beside.miou) == (None, alone.miou)
    assert (enclosed.beside, enclosed.between.miou) == (None, enclosed.miou)


def test_void_counts_as_a_class_in_both_groups(run, two_keys, world):
    """The rule of the whole is the rule of its parts."""
    plain, with_void = (
        evaluate(run, two_keys, methods=["motion-only"], horizon=2, void_as_class=rule)["motion-only"]
        for rule in (False, True)
    )

    assert with_void.between.miou != plain.between.miou
    assert with_void.beside.miou != plain.beside.miou
