"""Let the API page show what stands under `Example:` in a docstring as code, as it does under `Examples:`."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

EXAMPLE = re.compile(r"^(\s*)Example:$", re.MULTILINE)


class Examples(Extension):
    """Give the section the name that the parser of Google's style knows."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rename the section in the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(r"\1Examples:", obj.docstring.value)
