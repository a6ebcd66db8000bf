"""Import labels from annotation tools, and export labels to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from warprefine.cli import import_options
from warprefine.cli.console import Bars, console, print_notes
from warprefine.core.errors import RecipeError
from warprefine.core.names import counted
from warprefine.datasets.class_file import write_classes
from warprefine.interchange import EXPORTERS, IMPORTERS
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.native import refuse_existing
from warprefine.interchange.proposal import propose_classes
from warprefine.io.places import place_of
from warprefine.jobs.export_labels import ExportSettings, Wanted, export_labels
from warprefine.jobs.import_labels import import_labels


def _list(formats: Mapping[str, Importer | Exporter]) -> None:
    """Print the formats and what each keeps and loses."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # a path that is longer than a line is not cut
    for name in sorted(formats):
        one = formats[name]
        table.add_row(name, one.about)
        table.add_row("", f"keeps: {one.keeps}")
        table.add_row("", f"loses: {one.loses}")
    console.print(table)
    raise typer.Exit


def _list_importers(value: bool) -> bool:
    if value:
        _list(IMPORTERS)
    return value


def _list_exporters(value: bool) -> bool:
    if value:
        _list(EXPORTERS)
    return value


def import_command(
    name: Annotated[
        str,
        typer.Argument(metavar="FORMAT", help=f"One of: {', '.join(sorted(IMPORTERS))}.", show_default=False),
    ],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC", help="What the tool has exported: a file, a folder or a zip.", show_default=False
        ),
    ],
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Data set folder to make, or to add to.", show_default=False),
    ],
    add: Annotated[
        bool, typer.Option("--add", help="Add to a data set folder that is there, for frames without labels.")
    ] = False,
    frames: import_options.Frames = None,
    video: import_options.VideoName = None,
    rename: import_options.Rename = [],  # noqa: B006
    background: import_options.Background = None,
    classes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A classes.toml with the classes of the new data set.")
    ] = None,
    names: import_options.Names = "",
    reduce_zero_label: import_options.ReduceZeroLabel = False,
    suffix: import_options.Suffix = "",
    listed: Annotated[
        bool,
        typer.Option(
            "--list",
            callback=_list_importers,
            is_eager=True,
            help="List the formats, what each keeps and loses.",
        ),
    ] = False,
) -> None:
    """Import labels from the format of an annotation tool into a data set folder.

    Frames are matched by name or decode index, never by guess; what is unlabelled becomes void. A class that
    the data set does not have is an error, which `--map` mends. After an error nothing is written.

    Example: `warprefine import coco instances.json data/mine --frames pictures`

    Example: `warprefine import cvat-images task.zip data/mine --add --map "traffic sign"=sign --map person=`
    """
    settings = import_options.settings_of(locals(), classes=classes)
    with Bars() as bars:
        report = import_labels(name, source, data, add=add, settings=settings, progress=bars)
    for one, count in report.labels.items():
        console.print(f"{one}: {counted(count, 'label map')}")
    print_notes(report.notes)
    console.print(
        f"data: {data}, {counted(len(report.classes), 'class', 'classes')}; see `warprefine inspect {data}`"
    )


def export_command(
    name: Annotated[
        str,
        typer.Argument(metavar="FORMAT", help=f"One of: {', '.join(sorted(EXPORTERS))}.", show_default=False),
    ],
    run: Annotated[
        Path,
        typer.Argument(
            parser=place_of,
            metavar="RUN",
            help="Run folder, or a data set folder with label maps, or the URL of one.",
            show_default=False,
        ),
    ],
    dest: Annotated[
        Path,
        typer.Argument(
            metavar="DEST", help="Folder to make; a name with .zip makes an archive.", show_default=False
        ),
    ],
    method: Annotated[
        str | None, typer.Option(help="Method whose labels are exported; the best of the run, if not given.")
    ] = None,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Labels that are less sure become void.")
    ] = 0.0,
    frames: Annotated[
        str,
        typer.Option(metavar="key|labelled|all", help="Which frames: key frames, all with labels, or all."),
    ] = "labelled",
    split: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="SHARE", help="Share of frames for train, the others are val; whole videos."
        ),
    ] = None,
    instances: Annotated[
        bool, typer.Option("--instances", help="Write each connected region of a class as an instance.")
    ] = False,
    pictures: Annotated[
        bool | None,
        typer.Option(
            "--pictures/--no-pictures", help="Write the pictures too; if not given, as the format needs."
        ),
    ] = None,
    opacity: Annotated[
        float, typer.Option(min=0, max=1, help="How much of the labels a video shows over its pictures.")
    ] = 0.5,
    rename: Annotated[
        list[str],
        typer.Option(
            "--map",
            metavar="OLD=NEW",
            help="Export a class of the run as another; OLD= makes it void; repeatable.",
        ),
    ] = [],  # noqa: B006
    listed: Annotated[
        bool,
        typer.Option(
            "--list",
            callback=_list_exporters,
            is_eager=True,
            help="List the formats, what each keeps and loses.",
        ),
    ] = False,
) -> None:
    """Export the labels of a run to the format of an annotation tool or of a training.

    Example: `warprefine export coco runs/mine coco --min-confidence 0.8`

    Example: `warprefine export index-png runs/mine data/mmseg --split 0.9`

    Example: `warprefine export cityscapes runs/mine gt --map Car=car --map Van=car --map logo=`
    """
    del listed
    settings = ExportSettings(
        method=method,
        min_confidence=min_confidence,
        frames=_wanted(frames),
        split=split,
        instances=instances,
        pictures=pictures,
        opacity=opacity,
        renames=import_options.renames_of(rename),
    )
    with Bars() as bars:
        report = export_labels(name, run, dest, settings=settings, progress=bars)
    print_notes(report.notes)
    console.print(
        f"{name}: {dest}, {counted(sum(report.frames.values()), 'frame')} "
        f"of {counted(len(report.frames), 'video')}"
    )


def _wanted(word: str) -> Wanted:
    match word:
        case "key" | "labelled" | "all":
            return word
        case _:
            raise RecipeError(f"--frames is {word!r}; expected key, labelled or all")


def classes_command(
    data: Annotated[
        Path,
        typer.Argument(
            help="Data set folder without classes.toml, or a folder of label PNGs.", show_default=False
        ),
    ],
    names: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME",
            help="Names of the classes in the order of the values; if not given, class-0, ...",
        ),
    ] = "",
    void: Annotated[
        list[int],
        typer.Option(min=0, max=65535, metavar="VALUE", help="A further value that is void; repeatable."),
    ] = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write; if not given, DATA/classes.toml.")
    ] = None,
) -> None:
    """Propose a classes.toml for label PNGs that have none, from the values or colours that they hold.

    Colours are different for all eyes; pictures in colours keep their own, and are read with this file as
    they are.

    Example: `warprefine classes data/mine --names road,car,person`
    """
    target = out or data / "classes.toml"
    refuse_existing(target)
    with Bars() as bars:
        found = propose_classes(data, names=import_options.names_of(names), void=void, progress=bars)
    write_classes(target, found.classes)
    table = Table("class", "id", "colour", "pixels", box=None, pad_edge=False)
    total = sum(found.pixels)
    classes = found.classes
    for name, number, color, count in zip(
        classes.names, classes.ids, classes.colors, found.pixels, strict=True
    ):
        table.add_row(name, str(number), ", ".join(map(str, color)), f"{100 * count / total:.2f} %")
    console.print(table)
    kind = "colours" if found.in_colors else "values"
    console.print(
        f"classes: {target}, {len(classes)} from the {kind} of {counted(found.files, 'label PNG')}; "
        "rename them there"
    )
