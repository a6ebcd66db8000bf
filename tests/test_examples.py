"""Run the examples that stand in docstrings."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import warprefine

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(warprefine.__path__, "warprefine.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module_print_what_they_show(name: str) -> None:
    """Every `>>>` in a docstring runs, and prints what stands below it."""
    module = importlib.import_module(name)

    failed, _ = doctest.testmod(module)

    assert not failed
