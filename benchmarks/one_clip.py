"""The options with which a benchmark names its data set."""

from __future__ import annotations

import argparse

from warprefine.core.video import Dataset
from warprefine.datasets import open_dataset


def parser_for(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of a data set."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="a data set")
    parser.add_argument("--reader", default="folder")
    parser.add_argument("--split", default="train")
    parser.add_argument("--keyframes", default="10::21", help="START::STEP")
    return parser


def dataset_of(options: argparse.Namespace) -> Dataset:
    """Return the data set that the options name."""
    return open_dataset(
        options.data, reader=options.reader, split=options.split, key_frames=options.keyframes
    )
