"""Import published weights, and show the card of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from warprefine.cli.console import console
from warprefine.cli.program import Program
from warprefine.core.errors import shorten
from warprefine.datasets.class_file import read_classes
from warprefine.io.checkpoints import Card, read_card
from warprefine.jobs.weights import IMPORTERS, import_weights

app = Program("Import published weights; show what a checkpoint holds.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Published checkpoint: .pth, .pt or .safetensors.")],
    name: Annotated[str, typer.Option("--as", help=f"Network that it holds: {', '.join(IMPORTERS)}.")],
    out: Annotated[Path, typer.Option(help="Where to write it; ends in .safetensors.")],
    classes: Annotated[
        Path | None, typer.Option(help="classes.toml with the classes that a segmenter scores.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "",
) -> None:
    """Check published weights tensor by tensor and store them with a card, running no code of the file.

    Example: `warprefine weights import raft-sintel.pth --as raft --out weights/raft-sintel.safetensors`
    """
    class_names = read_classes(classes).names if classes else ()
    _show(out, import_weights(file, out, name=name, class_names=class_names, licence=licence))


@app.command("show")
def show(file: Annotated[Path, typer.Argument(help="Checkpoint of warprefine.")]) -> None:
    """Show what a checkpoint holds, its source and its licence.

    Example: `warprefine weights show runs/mine/checkpoints/segmenter.safetensors`
    """
    _show(file, read_card(file))


def _show(file: Path, card: Card) -> None:
    console.print(f"{file}: {card.part}, {card.network}")
    if card.class_names:
        console.print(f"classes: {len(card.class_names)}, {shorten(card.class_names)}")
    for fact in ("source", "sha256", "licence", "tau", "photometric"):
        if fact in card.facts:
            console.print(f"{fact}: {card.facts[fact]}")
