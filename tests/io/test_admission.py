"""Tests of io/admission.py: a name out of a file stays the name of one file in one folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from warprefine.core.errors import DatasetError
from warprefine.io.admission import admitted_name


@pytest.mark.parametrize("name", ["kitchen_0004", "Straße 3", "a..b", "x:y", "会議", "a" * 200])
def test_names_of_files_are_admitted(name: str) -> None:
    """Whatever a file system takes for a name, in any script."""
    assert admitted_name(name, source=Path("a.mat"), error_class=DatasetError) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../a",
        "/a",
        "a/b",
        "a\\b",
        "C:\\a",
        ".hidden",
        "a\0b",
        "a\nb",
        "\x1b[2J",
        "\x7f",
        "\ud800",
        "a" * 201,
        "ß" * 101,
    ],
)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    """Out of the folder, out of sight, onto the terminal, or to no file, in one printable line."""
    with pytest.raises(
        DatasetError, match=r"^a\.mat names '.*'; expected the name of a file or folder$"
    ) as caught:
        admitted_name(name, source=Path("a.mat"), error_class=DatasetError)

    assert str(caught.value).isprintable()
