"""The commands: parse the options, call the job, print the result."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from warprefine.cli import cache as caches
from warprefine.cli import corrections as corrected
from warprefine.cli import data as data_sets
from warprefine.cli import experiment as experiments
from warprefine.cli import import_options, interchange, options, quality, weights
from warprefine.cli import predict as predictions
from warprefine.cli import review as reviews
from warprefine.cli import student as students
from warprefine.cli import train as trainings
from warprefine.cli.console import Bars, console, print_notes, print_summary
from warprefine.cli.engines import engine_of, threads_of
from warprefine.cli.log import log_to
from warprefine.cli.overview import ABOUT
from warprefine.cli.program import Program
from warprefine.cli.run import run_of, show
from warprefine.core.threads import available_cores, use_threads
from warprefine.datasets import READERS, open_dataset
from warprefine.datasets.summary import summarise
from warprefine.interchange import IMPORTERS, format_name
from warprefine.jobs.autolabel import label, label_in_stages
from warprefine.jobs.demo import MOST_WORKERS, run_demo
from warprefine.jobs.extract_frames import extract_frames
from warprefine.jobs.open_export import imported_for_now
from warprefine.jobs.reuse import use_checkpoints
from warprefine.propagation.methods import DEFAULT_METHODS, PLUS, needs_of

app = Program(ABOUT)
app.add_typer(weights.app, name="weights")
app.command("student")(students.student)
app.command("predict")(predictions.predict)
app.command("corrections")(corrected.corrections)
app.command("review")(reviews.review)
app.command("cache")(caches.cache)
app.command("experiment")(experiments.experiment)
app.command("classes")(interchange.classes_command)
app.command("import")(interchange.import_command)
app.command("export")(interchange.export_command)
app.add_typer(data_sets.convert, name="convert")
app.add_typer(data_sets.split, name="split")


@app.command("demo")
def demo(
    out: options.Out,
    device: options.Device = "cpu",
    seed: options.Seed = 0,
    threads: options.Threads = 0,
    workers: options.Workers = None,
) -> None:
    """Render a procedural street, label it with every method, and report how good the labels are.

    Its networks are small, so several processes use the cores of this machine better than one with as many
    threads: as many as there are cores, up to four, unless `--workers` says otherwise.

    Example: `warprefine demo --out runs/demo`
    """
    if workers is None and device == "cpu" and not threads:
        workers = min(available_cores(), MOST_WORKERS)
    several = None if workers == 1 else workers
    arguments = {"engine": None, "address": None, "workers": several, "threads": threads, "device": device}
    use_threads(threads_of(arguments))
    with engine_of(arguments) as engine, Bars() as bars, log_to(out):
        finished = run_demo(out, device=device, seed=seed, engine=engine, progress=bars)
    show(finished)


@app.command("inspect")
def inspect(
    data: options.Data,
    reader: options.Reader = "folder",
    split: options.Split = "train",
    keyframes: options.KeyFrames = None,
    check: Annotated[
        bool, typer.Option("--check", help="Open every file and report what is broken.")
    ] = False,
    export_format: import_options.FormatName = None,
    frames: import_options.Frames = None,
    video: import_options.VideoName = None,
    rename: import_options.Rename = [],  # noqa: B006
    background: import_options.Background = None,
    names: import_options.Names = "",
    reduce_zero_label: import_options.ReduceZeroLabel = False,
    suffix: import_options.Suffix = "",
) -> None:
    """List the videos of a data set, how many frames are labelled, and how often each class occurs.

    Also lists what is missing. Classes of a large data set are counted over a part of its label maps;
    `--check` opens every file.

    An export of an annotation tool is opened by the name of its format, as `--format` or as `--reader`.

    Examples:
    - `warprefine inspect data/camvid --reader camvid --split clip15hz --keyframes 10::21`
    - `warprefine inspect instances.json --reader coco --frames pictures`
    """
    arguments = locals()
    is_export = reader not in READERS or data.is_file() or frames is not None
    if export_format is None and is_export and format_name(reader) in IMPORTERS:
        export_format, reader = reader, "folder"
    settings = import_options.settings_of(arguments)
    with Bars() as bars, ExitStack() as stack:
        if export_format is not None:
            data, notes = stack.enter_context(
                imported_for_now(export_format, data, settings=settings, progress=bars)
            )
            print_notes(notes)
        dataset = open_dataset(data, reader=reader, split=split, key_frames=keyframes)
        summary = summarise(dataset, check=check, progress=bars)
    print_summary(summary)
    if summary.problems:
        raise typer.Exit(1)


@app.command("frames")
def frames(
    video: Annotated[Path, typer.Argument(help="Video file.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="Folder for the frames; give it again to resume.", show_default=False)
    ],
    every: Annotated[int, typer.Option(min=1, help="Extract every N-th frame, from frame 0 on.")] = 1,
) -> None:
    """Extract the frames of a video file as PNG, under the numbers that label maps are matched by.

    Frames are numbered from 0: 000000.png is the first. (`ffmpeg -i VIDEO %06d.png` counts from 1.) A label
    map that is drawn on 000012.png belongs into DATA/videos/NAME/labels/000012.png.

    Example: `warprefine frames data/mine/videos/drive.mp4 --out to_label --every 10`
    """
    with Bars() as bars:
        count = extract_frames(video, out, every=every, progress=bars)
    console.print(f"frames: {out}, {count} of them, numbered from 0")


@app.command("autolabel")
def autolabel(
    data: options.Data,
    out: options.OutOrUrl,
    reader: options.Reader = "folder",
    split: options.Split = "train",
    keyframes: options.KeyFrames = None,
    horizon: options.Horizon = 10,
    until: options.Until = "good",
    time_limit: options.TimeLimit = None,
    method: options.Method = [],  # noqa: B006
    recipe: options.RecipeFile = None,
    device: options.Device = "cpu",
    threads: options.Threads = 0,
    seed: options.Seed = 0,
    also_train: options.AlsoTrain = [],  # noqa: B006
    base: options.Base = None,
    motion: options.Motion = None,
    unreached: options.UnreachedFrames = "skip",
    calibrate: options.Calibrate = False,
    retrain: options.Retrain = False,
    boundaries: options.Boundaries = True,
    workers: options.Workers = None,
    engine: options.EngineName = None,
    address: options.Address = None,
    cache: options.Cache = None,
    cache_size: options.CacheSize = None,
    reuse: options.Reuse = True,
    export_format: import_options.FormatName = None,
    frames: import_options.Frames = None,
    video: import_options.VideoName = None,
    rename: import_options.Rename = [],  # noqa: B006
    background: import_options.Background = None,
    names: import_options.Names = "",
    reduce_zero_label: import_options.ReduceZeroLabel = False,
    suffix: import_options.Suffix = "",
) -> None:
    """Train missing networks, label every frame within the horizon, evaluate where there is truth, report.

    Without `--method` it runs warp-refine-plus, the oracle, and the baselines that need no further training.
    Labels of warp-refine-plus come in stages: first has labels of all frames as soon as possible, good
    replaces them, and best, if asked for, those. Each ends with scores and a report.

    With `--format`, DATA is what an annotation tool has exported; it is imported into OUT-data first. With
    several GPUs, start it by torchrun: they share trainings and frames.

    Examples:
    - `warprefine autolabel data/mine --out runs/mine --until best --time-limit 1h`
    - `warprefine autolabel data/camvid --reader camvid --split clip15hz --keyframes 10::21 --out runs/clip`
    - `warprefine autolabel data/mine --out runs/mine --workers 4`
    - `warprefine autolabel data/mine --out runs/mine --engine ray --address auto --threads 4`
    - `warprefine autolabel task.zip --format cvat-images --frames pictures --out runs/mine`
    - `torchrun --nproc-per-node 8 -m warprefine autolabel data/city --device cuda --out runs/city`
    """
    arguments = locals()
    deadline = None if time_limit is None else time.monotonic() + time_limit
    methods = options.chosen_methods(method or DEFAULT_METHODS)
    arguments["until"] = until if PLUS in methods else None
    arguments["threads"] = threads_of(arguments)
    training = "segmenter" in needs_of(methods)
    with (
        engine_of(arguments) as chosen,
        run_of(arguments, training=training, engine=chosen) as networks,
    ):
        finished = label_in_stages(networks, methods, until=until, deadline=deadline)
    if networks.context.world.is_first:
        show(finished)


app.command("train")(trainings.train)


@app.command("propagate")
def propagate(
    data: options.Data,
    out: options.OutOrUrl,
    method: options.Method,
    reader: options.Reader = "folder",
    split: options.Split = "train",
    keyframes: options.KeyFrames = None,
    horizon: options.Horizon = 10,
    segmenter: options.Weights = None,
    refiner: options.Weights = None,
    two_sided_refiner: options.Weights = None,
    recipe: options.RecipeFile = None,
    device: options.Device = "cpu",
    threads: options.Threads = 0,
    seed: options.Seed = 0,
    also_train: options.AlsoTrain = [],  # noqa: B006
    motion: options.Motion = None,
    workers: options.Workers = None,
    engine: options.EngineName = None,
    address: options.Address = None,
    cache: options.Cache = None,
    cache_size: options.CacheSize = None,
) -> None:
    """Label every frame within the horizon with existing weights; nothing is trained.

    Examples:
    - `warprefine propagate data/mine --out runs/new --method warp-refine-plus
      --segmenter runs/mine/checkpoints/segmenter.safetensors
      --two-sided-refiner runs/mine/checkpoints/two-sided-refiner.safetensors`
    - `warprefine propagate data/mine --out runs/new --method warp-refine
      --segmenter runs/mine/checkpoints/segmenter.safetensors
      --refiner runs/mine/checkpoints/refiner.safetensors`
    """
    arguments = locals()
    arguments["threads"] = threads_of(arguments)
    methods = options.chosen_methods(method)
    with engine_of(arguments) as chosen, run_of(arguments, training=False, engine=chosen) as networks:
        given = {"segmenter": segmenter, "refiner": refiner, "two-sided-refiner": two_sided_refiner}
        networks.context.world.of_first(lambda: use_checkpoints(networks, given, methods))
        finished = label(networks, methods)
    if networks.context.world.is_first:
        show(finished)


app.command("evaluate")(quality.evaluate)
app.command("suggest")(quality.suggest)
