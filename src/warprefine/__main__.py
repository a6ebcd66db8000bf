"""Run the command line as `python -m warprefine`."""

from __future__ import annotations

from warprefine.cli import main

if __name__ == "__main__":
    main()
