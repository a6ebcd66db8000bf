"""Tests of propagation/labeller.py: the labellers of all methods satisfy one interface."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from warprefine.propagation.labeller import Labeller
from warprefine.propagation.methods import METHODS, ORACLE, PAPER_METHODS, PLUS

METHODS_OF = {"stepwise": PAPER_METHODS, "two_sided": (PLUS,), "oracle": (ORACLE,)}


@pytest.fixture(params=METHODS_OF)
def labeller(drive: Any, request: pytest.FixtureRequest) -> Labeller:
    """A labeller of each kind in turn."""
    made: Labeller = getattr(drive, request.param)()
    return made


def test_every_method_has_one_labeller() -> None:
    """The methods of all labellers are all methods, each once."""
    methods = [method for of_labeller in METHODS_OF.values() for method in of_labeller]

    assert sorted(methods) == sorted(METHODS)


def test_each_labeller_satisfies_the_interface(
    labeller: Labeller, drive: Any, request: pytest.FixtureRequest
) -> None:
    """It has methods, models, units, fingerprints and labels; the networks are not labellers."""
    assert isinstance(labeller, Labeller)
    assert not isinstance(drive.motion(), Labeller)
    assert labeller.methods == METHODS_OF[request.node.callspec.params["labeller"]]
    assert callable(labeller.models.motion)


def test_each_labeller_labels_its_units_by_the_due_methods_alone(labeller: Labeller, drive: Any) -> None:
    """Each frame of a unit is labelled once by each due method; confidence is a probability."""
    video = drive.video([0, 5], truth=[1, 2, 3, 4])
    evidence = drive.evidence(video, labeller.models)
    units = labeller.units(video, 9)
    assert sorted(frame for unit in units for frame in unit.frames) == [1, 2, 3, 4]

    for methods in (labeller.methods, labeller.methods[:1]):
        for unit in units:
            found = list(labeller.label(evidence, unit, methods))
            labelled = [(pseudo.frame, pseudo.provenance.method) for pseudo in found]
            assert sorted(labelled) == sorted((k, method) for k in unit.frames for method in methods)
            for pseudo in found:
                assert pseudo.labels.shape == pseudo.confidence.shape == (1, *drive.size)
                assert pseudo.labels.dtype == torch.uint8
                assert 0 <= pseudo.confidence.min() <= pseudo.confidence.max() <= 1
                assert pseudo.provenance.distance == unit.distance(pseudo.frame)
                assert {*pseudo.provenance.key_frames} <= {*unit.key_frames}


def test_fingerprints_differ_between_units_and_methods(labeller: Labeller, drive: Any) -> None:
    """The labels of one unit by one method are never taken for those of another, and stay valid."""
    video = drive.video([0, 2, 5], truth=[1, 3, 4])
    due = [(unit, method) for unit in labeller.units(video, 9) for method in labeller.methods]

    fingerprints = [labeller.fingerprint(video, *one) for one in due]

    assert len(set(fingerprints)) == len(due) > 1
    assert [labeller.fingerprint(video, *one) for one in due] == fingerprints
