"""The command cache: what is kept for later runs."""

from __future__ import annotations

from typing import Annotated

import typer

from warprefine.cli.console import console
from warprefine.training.base_store import BaseStore


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete all that is kept.")] = False,
) -> None:
    """Show the base segmenters that are kept for later runs, and what they take on disk.

    They lie in the user's cache folder, or in the one that WARPREFINE_CACHE names; "off" keeps none.

    Example: `warprefine cache --clear`
    """
    store = BaseStore.of_user()
    if store.folder is None:
        console.print("nothing is kept: WARPREFINE_CACHE is off, or there is no home")
        return
    kept = store.kept()
    size = sum(path.stat().st_size for path in kept)
    if clear:
        for path in kept:
            path.unlink(missing_ok=True)
    state = "deleted" if clear else "kept"
    count = f"{len(kept)} base segmenter" + ("" if len(kept) == 1 else "s")
    console.print(f"{count} {state} in {store.folder}, {size / 1e6:.0f} MB")
