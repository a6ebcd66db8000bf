"""Parse, call, print: the commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from warprefine.cli import data as data_sets
from warprefine.cli import experiment as experiments
from warprefine.cli import options, weights
from warprefine.cli import student as students
from warprefine.cli.console import Bars, Commands, console, log_to, print_summary, say_error
from warprefine.datasets import open_dataset
from warprefine.datasets.summary import summarise
from warprefine.evaluation.scores import format_table
from warprefine.io.checkpoints import read_card
from warprefine.jobs.autolabel import Outcome, Started, evaluate_run, label, start
from warprefine.jobs.demo import run_demo
from warprefine.jobs.prepare_plus import PlusPreparation
from warprefine.propagation.methods import DEFAULT_METHODS, NEED_SEGMENTER

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Label a few frames of a video by hand, get the whole video.",
)
app.add_typer(weights.app, name="weights")
app.command("student")(students.student)
app.command("experiment")(experiments.experiment)
app.add_typer(data_sets.convert, name="convert")
app.add_typer(data_sets.split, name="split")


def main() -> None:
    """Run the command line."""
    app()


@app.command("demo")
def demo(
    out: options.Out,
    device: options.Device = "cpu",
    seed: options.Seed = 0,
    threads: options.Threads = 0,
) -> None:
    """Make a street scene, label it with every method, and show how good the labels are.

    Example: `warprefine demo --out runs/demo`
    """
    options.use_threads(threads)
    with Bars() as bars, log_to(out):
        outcome = run_demo(out, device=device, seed=seed, progress=bars)
    show(outcome)


@app.command("inspect")
def inspect(
    data: options.Data,
    reader: options.Reader = "folder",
    split: options.Split = "train",
    keyframes: options.KeyFrames = None,
    check: Annotated[
        bool, typer.Option("--check", help="Open every file and report what is broken.")
    ] = False,
) -> None:
    """List the videos of a data set, how many frames are labelled, and how often each class occurs.

    Says what is missing. To count classes only some label maps of a large data set are opened;
    `--check` opens every file.

    Example: `warprefine inspect data/camvid --reader camvid --split clip15hz --keyframes 10::21`
    """
    dataset = open_dataset(data, reader=reader, split=split, key_frames=keyframes)
    with Bars() as bars:
        summary = summarise(dataset, check=check, progress=bars)
    print_summary(summary)
    if summary.problems:
        raise typer.Exit(1)


@app.command("autolabel")
def autolabel(
    data: options.Data,
    out: options.Out,
    reader: options.Reader = "folder",
    split: options.Split = "train",
    keyframes: options.KeyFrames = None,
    horizon: options.Horizon = 10,
    also_train: options.AlsoTrain = [],  # noqa: B006
    method: options.Method = [],  # noqa: B006
    recipe: options.RecipeFile = None,
    motion: options.Motion = None,
    device: options.Device = "cpu",
    seed: options.Seed = 0,
    threads: options.Threads = 0,
) -> None:
    """Train what has no weights yet, label every frame in reach, measure where there is truth, report.

    Without `--method` it runs warp-refine-plus and what costs nothing more to compare it with. The paper's
    warp-refine wants a refiner of its own; `--method all` runs that too.

    Example: `warprefine autolabel data/camvid --reader camvid --split clip15hz --keyframes 10::21
    --also-train camvid:train:data/camvid --out runs/clip`
    """
    asked = locals()
    methods = options.chosen_methods(method or DEFAULT_METHODS)
    with Bars() as bars, _started(asked, bars, training=bool(NEED_SEGMENTER & set(methods))) as started:
        outcome = label(started, methods)
    show(outcome)


class Part(StrEnum):
    """What can be trained on its own."""

    SEGMENTER = "segmenter"
    REFINER = "refiner"
    SIDE_REFINER = "side-refiner"
    MOTION = "motion"


@app.command("train")
def train(
    part: Annotated[Part, typer.Argument(help="Which network to train.", show_default=False)],
    data: options.Data,
    out: options.Out,
    reader: options.Reader = "folder",
    split: options.Split = "train",
    keyframes: options.KeyFrames = None,
    horizon: options.Horizon = 10,
    also_train: options.AlsoTrain = [],  # noqa: B006
    recipe: options.RecipeFile = None,
    motion: options.Motion = None,
    device: options.Device = "cpu",
    seed: options.Seed = 0,
    threads: options.Threads = 0,
) -> None:
    """Train one network of a run: the segmenter, a refiner with all that its samples need, or motion.

    The side-refiner is that of warp-refine-plus, which sees the key frames on both sides; the refiner is
    that of the paper's warp-refine. Motion learns from the frames alone, to rebuild each from the one
    before, and improves on the flow that it starts from; use it with `--motion`.

    Examples: `warprefine train segmenter data/mine --out runs/mine`

    `warprefine train side-refiner data/mine --out runs/mine`
    """
    asked = locals()
    with Bars() as bars, _started(asked, bars, training=part is not Part.MOTION) as started:
        preparation = started.preparation
        train_part = {
            Part.SEGMENTER: preparation.segmenter,
            Part.REFINER: preparation.refiner,
            Part.SIDE_REFINER: PlusPreparation(preparation=preparation).refiner,
            Part.MOTION: preparation.trained_motion,
        }
        train_part[part]()
    path = preparation.run.checkpoint_path(part)
    console.print(f"weights: {path}")
    if error := read_card(path).facts.get("photometric"):
        console.print(
            f"photometric error on held-out frames: {error['before']:.5f} before, {error['after']:.5f} after"
        )
    _end(started.failures)


@app.command("propagate")
def propagate(
    data: options.Data,
    out: options.Out,
    method: options.Method,
    reader: options.Reader = "folder",
    split: options.Split = "train",
    keyframes: options.KeyFrames = None,
    horizon: options.Horizon = 10,
    also_train: options.AlsoTrain = [],  # noqa: B006
    segmenter: options.Weights = None,
    refiner: options.Weights = None,
    side_refiner: options.Weights = None,
    recipe: options.RecipeFile = None,
    motion: options.Motion = None,
    device: options.Device = "cpu",
    seed: options.Seed = 0,
    threads: options.Threads = 0,
) -> None:
    """Label every frame in reach with weights that are there already; nothing is trained.

    Examples: `warprefine propagate data/mine --out runs/new --method warp-refine-plus
    --segmenter runs/mine/checkpoints/segmenter.safetensors
    --side-refiner runs/mine/checkpoints/side-refiner.safetensors`

    `warprefine propagate data/mine --out runs/new --method warp-refine
    --segmenter runs/mine/checkpoints/segmenter.safetensors
    --refiner runs/mine/checkpoints/refiner.safetensors`
    """
    asked = locals()
    methods = options.chosen_methods(method)
    with Bars() as bars, _started(asked, bars, training=False) as started:
        given = {"segmenter": segmenter, "refiner": refiner, "side-refiner": side_refiner}
        started.preparation.take_weights(given, methods)
        outcome = label(started, methods)
    show(outcome)


@app.command("evaluate")
def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    void_as_class: Annotated[
        bool, typer.Option("--void-as-class", help="Score VOID as a class of its own.")
    ] = False,
) -> None:
    """Print the table of mIoU by method and distance of a finished run.

    Example: `warprefine evaluate runs/clip`
    """
    console.print(format_table(evaluate_run(run, void_as_class=void_as_class)))


@contextmanager
def _started(asked: dict[str, Any], bars: Bars, *, training: bool = True) -> Iterator[Started]:
    """Open the data sets and claim the run folder that a command's options name; keep its log."""
    options.use_threads(asked["threads"])
    dataset = open_dataset(
        asked["data"], reader=asked["reader"], split=asked["split"], key_frames=asked["keyframes"]
    )
    started = start(
        dataset,
        asked["out"],
        horizon=asked["horizon"],
        also_train=options.open_further(asked["also_train"]),
        recipe=options.read_recipe(asked["recipe"], asked["motion"]),
        device=asked["device"],
        seed=asked["seed"],
        training=training,
        progress=bars,
    )
    with log_to(asked["out"]):
        yield started


def show(outcome: Outcome) -> None:
    """Print what a run came to; exit with 1 if videos were left out."""
    if outcome.scores:
        console.print(format_table(outcome.scores))
    console.print(f"labels: {outcome.run.root / 'labels'}")
    console.print(f"report: {outcome.run.report_path}")
    _end(outcome.failures)


def _end(failures: Mapping[str, str]) -> None:
    """Say why videos were left out, and exit with 1 if there are any."""
    for message in failures.values():
        say_error(message)
    if failures:
        raise typer.Exit(1)
