"""Convert published data sets to data set folders, and divide them into splits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from warprefine.cli import options
from warprefine.cli.console import Bars, console, print_notes
from warprefine.cli.program import Program
from warprefine.datasets.apolloscape import write_apolloscape_split
from warprefine.jobs.convert_camvid32 import convert_camvid32
from warprefine.jobs.convert_nyuv2 import ClipSettings, convert_nyuv2

Converted = Annotated[
    Path, typer.Option(help="Folder for the converted data set; give it again to resume.", show_default=False)
]

convert = Program("Convert a published data set to data set folders, once.")
split = Program("Divide a data set into splits, written to a file that can be shared.")


@convert.command("nyuv2")
def nyuv2(
    root: Annotated[
        Path,
        typer.Argument(
            help="Folder of nyu_depth_v2_labeled.mat, splits.mat and classMapping40.mat.", show_default=False
        ),
    ],
    out: Converted,
    raw: Annotated[
        Path | None,
        typer.Option(help="Folder of the raw scenes; without it every clip is the labelled frame alone."),
    ] = None,
    fps: Annotated[float, typer.Option(min=0.01, help="Frames a second in a clip.")] = 2.0,
    reach: Annotated[int, typer.Option(min=0, help="Frames on either side of the labelled one.")] = 10,
    border: Annotated[int, typer.Option(min=0, help="Pixels to cut off on every side.")] = 8,
    as_they_are: Annotated[
        bool, typer.Option("--as-they-are", help="Keep the lens distortion of the raw frames.")
    ] = False,
) -> None:
    """Write NYU-Depth V2 with 40 classes: clips around the training frames, and single test frames.

    Read the result with `--reader nyuv2` and `--split train` or `test`. Needs the extra `nyuv2`.

    Example: `warprefine convert nyuv2 downloads/nyuv2 --raw downloads/nyuv2_raw --out data/nyuv2`
    """
    clips = ClipSettings(fps=fps, reach=reach, border=border, as_they_are=as_they_are)
    with Bars() as bars:
        notes = convert_nyuv2(root, out, raw=raw, clips=clips, progress=bars)
    print_notes(notes)
    console.print(f"data: {out}; read it with --reader nyuv2")


@convert.command("camvid32")
def camvid32(
    root: Annotated[
        Path,
        typer.Argument(help="Folder of 701_StillsRaw_full and LabeledApproved_full.", show_default=False),
    ],
    out: Converted,
    lists: Annotated[
        Path | None,
        typer.Option(
            help="Folder of train.txt, val.txt and test.txt, which name the pictures of each split; "
            "SegNet's split, if not given."
        ),
    ] = None,
) -> None:
    """Write CamVid with all of its 32 labels, whose archive holds them as colours.

    Read the result with `--reader camvid32` and `--split train`, `val` or `test`.

    Example: `warprefine convert camvid32 downloads/camvid --out data/camvid32`
    """
    with Bars() as bars:
        convert_camvid32(root, out, lists=lists, progress=bars)
    console.print(f"data: {out}; read it with --reader camvid32")


@split.command("apolloscape")
def apolloscape(
    root: options.Data,
    out: Annotated[Path, typer.Option(help="File to write, such as split.json.", show_default=False)],
    seed: options.Seed = 0,
) -> None:
    """Divide the records of ApolloScape into training and validation, about 83 to 17.

    Read the parts with `--reader apolloscape` and `--split train@split.json` or `val@split.json`.

    Example: `warprefine split apolloscape data/apolloscape --seed 0 --out split.json`
    """
    written = write_apolloscape_split(root, out, seed=seed)
    console.print(
        f"split: {out}, {len(written.train)} records for training, {len(written.val)} for validation"
    )
