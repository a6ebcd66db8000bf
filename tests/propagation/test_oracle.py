"""Tests of propagation/oracle.py: the truth, where there is any."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from warprefine.io.images import write_labels
from warprefine.propagation.methods import ORACLE
from warprefine.propagation.units import Unit


def test_the_oracle_is_the_truth_where_there_is_some(drive: Any) -> None:
    """It returns the labels that were held back, with confidence 1, and none where there are none."""
    video, labeller = drive.video([0], truth=[1, 4]), drive.oracle()
    evidence = drive.evidence(video, labeller.models)

    found = {
        pseudo.frame: pseudo
        for unit in labeller.units(video, 9)
        for pseudo in labeller.label(evidence, unit, labeller.methods)
    }

    assert sorted(found) == [1, 4]
    for frame, pseudo in found.items():
        assert torch.equal(pseudo.labels, drive.hand_labels(frame))
        assert torch.equal(pseudo.confidence, torch.ones(1, *drive.size))
    assert (labeller.models.motion.calls, labeller.models.segmenter.calls) == (0, 0)


def test_its_provenance_is_that_of_the_other_methods(drive: Any) -> None:
    """Frames count as labelled from their nearest key frame, so that scores compare by distance."""
    video, labeller = drive.video([0, 5], truth=[1, 3]), drive.oracle()
    evidence = drive.evidence(video)

    found = [
        pseudo for unit in labeller.units(video, 9) for pseudo in labeller.label(evidence, unit, [ORACLE])
    ]

    assert {pseudo.provenance.method for pseudo in found} == {ORACLE}
    origins = {pseudo.frame: (pseudo.provenance.key_frames, pseudo.provenance.distance) for pseudo in found}
    assert origins == {1: ((0,), 1), 3: ((5,), 2)}


def test_its_units_hold_only_frames_with_truth(drive: Any) -> None:
    """Of each walk within the horizon the frames with truth remain; a walk without any is no unit."""
    video = drive.video([0, 5], truth=[2, 4])

    assert drive.oracle().units(video, 9) == [
        Unit(video="drive", frames=(2,), key_frames=(0,)),
        Unit(video="drive", frames=(4,), key_frames=(5,)),
    ]
    assert drive.oracle().units(video, 1) == [Unit(video="drive", frames=(4,), key_frames=(5,))]
    assert drive.oracle().units(drive.video([0, 5]), 9) == []


def test_its_labels_depend_on_the_truth_alone(drive: Any) -> None:
    """When the truth of a frame changes its unit is labelled again; key-frame labels do not count."""
    video, labeller = drive.video([1], truth=[0, 2]), drive.oracle()
    forwards, backwards = labeller.units(video, 2)
    before = [labeller.fingerprint(video, unit, ORACLE) for unit in (forwards, backwards)]
    write_labels(video.labels[1], drive.hand_labels(0), drive.classes)
    assert [labeller.fingerprint(video, unit, ORACLE) for unit in (forwards, backwards)] == before

    write_labels(video.truth[2], drive.hand_labels(0), drive.classes)

    after = [labeller.fingerprint(video, unit, ORACLE) for unit in (forwards, backwards)]
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_its_provenance_follows_the_key_frames(drive: Any) -> None:
    """A frame that belongs to another key frame is recorded again, though its truth is the same."""
    video, labeller = drive.video([1], truth=[2]), drive.oracle()
    (unit,) = labeller.units(video, 2)

    other = replace(unit, key_frames=(3,))

    assert labeller.fingerprint(video, unit, ORACLE) != labeller.fingerprint(video, other, ORACLE)
