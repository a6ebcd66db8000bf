"""Tests of io/class_rows.py: scores follow the names of their classes."""

from __future__ import annotations

import torch

from warprefine.io.class_rows import ClassRows

STORED = torch.arange(6.0).view(3, 2)
OWN = -torch.ones(3, 2)


def test_rows_follow_the_names_of_their_classes() -> None:
    """The same classes in another order are scored as before, each under its own name."""
    rows = ClassRows(stored=["sky", "road", "car"], names=["road", "car", "sky"])

    assert not rows.are_the_same
    assert rows.moved(OWN, STORED).tolist() == [[2, 3], [4, 5], [0, 1]]
    assert rows.describe() == "the head keeps the scores of 3 classes by name"


def test_classes_without_a_counterpart_begin_anew() -> None:
    """A row that no stored class, or more than one, is meant by is left as it is."""
    rows = ClassRows(stored=["sky", "Other", "other"], names=["sky", "other", "car"])

    assert rows.places == [0, None, None]
    assert rows.moved(OWN, STORED).tolist() == [[0, 1], [-1, -1], [-1, -1]]
    assert rows.describe() == "the head keeps the scores of 1 classes by name; other, car begin anew"


def test_no_object_stays_last() -> None:
    """Networks that classify masks score one class more, which is no class of the data set."""
    rows = ClassRows(stored=["sky", "road"], names=["road"])

    assert rows.moved(OWN[:2], STORED).tolist() == [[2, 3], [4, 5]]


def test_another_number_of_classes_is_matched_too() -> None:
    """A network of many classes lends the scores of those that the data set has."""
    rows = ClassRows(stored=["sky", "road", "car"], names=["car"])

    assert rows.moved(OWN[:1, 0], STORED[:, 0]).tolist() == [4]


def test_layers_that_differ_in_more_begin_anew() -> None:
    """A layer with other inputs has no scores to lend."""
    rows = ClassRows(stored=["sky", "road", "car"], names=["road", "car", "sky"])

    assert torch.equal(rows.moved(OWN, torch.ones(3, 5)), OWN)
    assert torch.equal(rows.moved(torch.tensor(7.0), STORED), torch.tensor(7.0))


def test_spellings_of_a_name_are_one() -> None:
    """Capitals, hyphens, underscores and spaces do not tell classes apart."""
    assert ClassRows(stored=["Traffic_Light", "sky"], names=["traffic light", "SKY"]).are_the_same


def test_classes_without_names_are_matched_with_none() -> None:
    """What is not known to be the same begins anew, and the log tells why."""
    assert not ClassRows(stored=(), names=["sky"]).are_the_same
    assert "have no names" in ClassRows(stored=(), names=["sky"]).describe()
    assert "none of its classes (road) has a name" in ClassRows(stored=["road"], names=["sky"]).describe()
