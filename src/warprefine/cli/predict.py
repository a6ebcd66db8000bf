"""Label a clip without labels by a network from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from warprefine.cli import options
from warprefine.cli.console import Bars, console, print_error
from warprefine.cli.log import log_to
from warprefine.core.errors import shorten
from warprefine.core.threads import use_threads
from warprefine.datasets.class_file import read_classes
from warprefine.jobs.predict import label_clip, start_prediction


def predict(
    model: Annotated[
        Path,
        typer.Argument(
            help="Checkpoint of a student, or the segmenter of a run: RUN/checkpoints/segmenter.safetensors.",
            show_default=False,
        ),
    ],
    video: Annotated[
        Path, typer.Argument(help="Folder of pictures, or a video file; without labels.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the labels; give it again to resume.", show_default=False)
    ],
    classes: Annotated[
        Path | None,
        typer.Option(
            help="classes.toml of the data that the network was trained on, for its numbers and colours; "
            "without it classes are numbered from 0."
        ),
    ] = None,
    device: options.Device = "cpu",
    threads: options.Threads = 0,
) -> None:
    """Label a clip that has no labels, frame by frame, with a student or a segmenter.

    Writes label maps, confidence and pictures of the labels over the frames. The same command again goes on
    where it stopped.

    Example: `warprefine predict runs/student/student-seed0.safetensors clip.mp4 --out runs/clip
    --classes data/mine/classes.toml`
    """
    use_threads(threads)
    job = start_prediction(
        model, video, out, classes=read_classes(classes) if classes else None, device=device
    )
    with Bars() as bars, log_to(out):
        done = label_clip(job, progress=bars)
    failures = [f"frame {number}: {problem}" for number, problem in done.failures.items()]
    console.print(f"{len(done.video) - len(failures)} of {len(done.video)} frames labelled")
    for kind in ("labels", "confidence", "overlay"):
        console.print(f"{kind}: {done.out / kind}")
    if failures:
        print_error(f"{len(failures)} of the frames cannot be read: {shorten(failures, most=3)}")
        raise typer.Exit(1)
