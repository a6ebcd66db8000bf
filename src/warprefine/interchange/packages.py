"""Import the packages of the extra `formats`, only when a format needs them."""

from __future__ import annotations

import importlib
from typing import Any

from warprefine.core.errors import DatasetError


def package(name: str, *, needed_for: str, extra: str = "formats") -> Any:
    """Return a module of a package that is not among the requirements.

    Args:
        name: The module, such as "pycocotools.mask".
        needed_for: What needs it, for the message: "COCO".
        extra: The extra of warprefine that holds the package.

    Raises:
        DatasetError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DatasetError(
            f"{needed_for} needs the package {name.split('.', maxsplit=1)[0]}, which is missing; pip install "
            f"'.[{extra}]' in the "
            "repository"
        ) from error
