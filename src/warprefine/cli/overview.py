"""The list of commands that `warprefine` and `warprefine --help` print, without importing what they do."""

from __future__ import annotations

import typer
from typer import rich_utils

from warprefine.cli.terminal import replace_what_cannot_be_shown

ABOUT = "Label a few frames of a video by hand, get the whole video."
COMMANDS = {
    "demo": "Render a procedural street, label it with every method, and report how good the labels are.",
    "inspect": "List the videos of a data set, how many frames are labelled, and how often each class "
    "occurs.",
    "frames": "Extract the frames of a video file as PNG, under the numbers that label maps are matched by.",
    "autolabel": "Train missing networks, label every frame within the horizon, evaluate where there is "
    "truth, report.",
    "train": "Train one network of a run: the segmenter, a refiner with all that its samples need, or "
    "motion.",
    "propagate": "Label every frame within the horizon with existing weights; nothing is trained.",
    "evaluate": "Print the table of mIoU by method and distance of a finished run.",
    "review": "Look at the labels of a run in the browser; accept, reject and correct frames.",
    "corrections": "List the frames that were corrected in a run; copy their label maps into the data set on "
    "request.",
    "suggest": "Name the frames whose labelling would help most, the best first, each with the reason.",
    "predict": "Label a clip that has no labels, frame by frame, with a student or a segmenter.",
    "student": "Train a single-frame network on hand-made labels and pseudo-labels, and test it.",
    "experiment": "Run an experiment of the paper and write its tables, charts and pictures.",
    "cache": "Show the base segmenters that are kept for later runs, and what they take on disk.",
    "weights": "Import published weights; show what a checkpoint holds.",
    "classes": "Propose a classes.toml for label PNGs that have none, from the values or colours that they "
    "hold.",
    "import": "Import labels from the format of an annotation tool into a data set folder.",
    "export": "Export the labels of a run to the format of an annotation tool or of a training.",
    "convert": "Convert a published data set to data set folders, once.",
    "split": "Divide a data set into splits, written to a file that can be shared.",
}
"""The commands in the order of the list, each with the first sentence of its help."""


class _Words:
    """Replaces the emoji filter of help texts, which would turn `:train:` in an example into a picture."""

    @staticmethod
    def replace(text: str) -> str:
        return text


rich_utils.Emoji = _Words  # type: ignore[attr-defined, assignment]


def print_overview() -> None:
    """Print the list of commands, as the help of `warprefine` itself."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", help=ABOUT)
    for name, about in COMMANDS.items():
        app.command(name, help=about)(_nothing)
    replace_what_cannot_be_shown()
    app()


def _nothing() -> None:
    """Stand for a command."""
