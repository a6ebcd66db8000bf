"""The command line.

Its parts are imported when they are needed, because torch takes seconds to import.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] in ([], ["--help"]):
        from warprefine.cli.overview import print_overview

        print_overview()
    else:
        from warprefine.core.memory import keep_freed_memory

        keep_freed_memory()  # first: threads that are started before keep a heap of their own
        from warprefine.cli.commands import app

        app()
