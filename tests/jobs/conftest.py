"""Make the same run twice: undisturbed, and killed at every stage of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from warprefine import Recipe, autolabel, load_recipe, open_dataset
from warprefine.datasets.class_file import write_classes
from warprefine.datasets.street import STREET_CLASSES, StreetScene, write_street
from warprefine.io.checkpoints import Card, save_checkpoint
from warprefine.io.images import write_frame, write_labels
from warprefine.jobs.labelled_data import record_labelled
from warprefine.jobs.labellers import make_job
from warprefine.jobs.networks import Networks
from warprefine.jobs.start import start
from warprefine.propagation.methods import PLUS
from warprefine.propagation.run import propagate
from warprefine.report import figures, sections
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER
from warprefine.training.segmenter import build_segmenter

MOMENTS = (
    ("open", "street-001/frames/000005.jpg", 1),  # checking the data
    ("os.rename", "checkpoints/segmenter.state", 2),
    ("os.rename", "checkpoints/segmenter-fold1.safetensors", 1),
    ("os.rename", "cache/cycle", 5),
    ("os.rename", "checkpoints/refiner.state", 3),
    ("os.rename", "cache/side", 3),
    ("os.rename", "checkpoints/two-sided-refiner.state", 3),
    ("os.rename", "labels/warp-refine/street-001", 4),
    ("os.rename", "labels/warp-refine-plus/street-001", 4),
    ("os.rename", "confidence/oracle/street-001/000003.png", 1),  # copying a key frame
    ("os.rename", "run/report.html", 1),
)
PRIVATE = {"cache", "log.txt", "manifest.sqlite"}
TAU = 0.2


def in_processes(calls: list[tuple[list[str], tuple[str, str, int] | None]]) -> list[tuple[int, int]]:
    """Run the command line in processes of its own, see killing.py; return exit codes and peak memories."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("killing.py")],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(code, memory) for code, memory in json.loads(done.stdout)]


@dataclass(frozen=True)
class Runs:
    """Two run folders of the same job, and how each process that worked on them ended."""

    whole: Path
    killed: Path
    codes: list[int]
    data_before: dict[str, str]

    @staticmethod
    def hashes(folder: Path) -> dict[str, str]:
        """Return a hash of every file below a folder that users of a run are meant to look at."""
        paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return {
            path.as_posix(): hashlib.sha256((folder / path).read_bytes()).hexdigest()
            for path in sorted(paths)
            if path.parts[0] not in PRIVATE
        }

    @staticmethod
    def times(folder: Path) -> dict[str, int]:
        """Return when each file below a folder was written."""
        return {path.as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def runs(tiny_data: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Every method in one go, and in a run that was killed at each of `MOMENTS` and started again."""
    data_before = Runs.hashes(tiny_data)
    whole, killed = (tmp_path_factory.mktemp(name) / "run" for name in ("whole", "killed"))
    words = ["autolabel", str(tiny_data), "--method=all", "--horizon=3", f"--recipe={tiny_recipe}"]
    words += ["--threads=1", "--out"]
    calls = [([*words, str(whole)], None)]
    calls += [([*words, str(killed)], moment) for moment in (*MOMENTS, None)]
    codes = [code for code, _ in in_processes(calls)]
    return Runs(whole=whole, killed=killed, codes=codes, data_before=data_before)


@pytest.fixture(scope="session")
def calibrated_run(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over a street with four key frames, calibrated with refiners that are held out from a fold.

    Copy it before you change it.
    """
    folder = tmp_path_factory.mktemp("calibrated")
    write_street(folder / "data", videos=1, length=13, start=0, step=4, h=48, w=64)
    recipe = load_recipe(tiny_recipe).changed(("propagation", "calibration_steps"), 2)
    recipe = recipe.changed(("propagation", "calibration_key_frames"), 8)
    methods = ("motion-only", "semantic-only", PLUS)
    autolabel(open_dataset(folder / "data"), folder / "run", horizon=1, methods=methods, recipe=recipe)
    return folder / "run"


@pytest.fixture(scope="session")
def joined_streets() -> Callable[..., Path]:
    """A function that writes a video of two streets joined end to end; each has `each` frames."""

    def written(root: Path, *, by_hand: Sequence[int], each: int = 8) -> Path:
        write_classes(root / "classes.toml", STREET_CLASSES)
        scenes = [StreetScene(seed=seed, h=96, w=160, length=each) for seed in (0, 3)]
        for number in range(2 * each):
            scene, t = scenes[number // each], number % each
            kind = "labels" if number in by_hand else "truth"
            write_frame(root / f"videos/drive/frames/{number:06d}.png", scene.frame(t))
            write_labels(root / f"videos/drive/{kind}/{number:06d}.png", scene.labels(t), STREET_CLASSES)
        return root

    return written


@pytest.fixture(autouse=True)
def _reports_without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take most of the time of a small run, and have tests of their own."""
    monkeypatch.setattr(sections, "_chart", lambda draw, alt: "")
    monkeypatch.setattr(figures, "plot_horizon", lambda scores, kind: b"")
    monkeypatch.setattr(figures, "plot_hard_classes", lambda scores, classes, kind: b"")


@pytest.fixture
def processes() -> Callable[..., list[tuple[int, int]]]:
    """Run the command line several times, each in a process of its own."""
    return in_processes


@pytest.fixture(scope="module")
def processes_of_module() -> Callable[..., list[tuple[int, int]]]:
    """The same, for what the tests of a module share."""
    return in_processes


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """A data set folder of one's own, to spoil."""
    return shutil.copytree(tiny_data, tmp_path / "data")


class Workshop:
    """Write checkpoints as another run would have trained them, and start runs to use them in."""

    tau = TAU

    def __init__(self, folder: Path, data: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe
        self.dataset = open_dataset(data)

    def networks(self, recipe: Recipe | None = None) -> Networks:
        """Start a run that has no weights."""
        return Networks(start(self.dataset, self.folder / "run", horizon=3, recipe=recipe or self.recipe))

    def segmenter(self, *, names: tuple[str, ...] = (), seed: int = 7, features: int = 8) -> Path:
        """Write a segmenter of this data set's classes, or of others."""
        names = names or self.dataset.classes.names
        widths = (8, features, 8, 8, 8)
        settings = self.recipe.segmenter.model_copy(update={"widths": widths})
        network = build_segmenter(settings, len(names), seed=seed)
        return self._save("segmenter", network, names, {"widths": list(widths)}, {})

    def refiner(self, *, names: tuple[str, ...] = (), features: int = 8) -> Path:
        """Write a refiner that was trained with `tau` on a segmenter with so many feature channels."""
        names = names or self.dataset.classes.names
        settings = self.recipe.refiner
        network = REFINER.build(settings, class_count=len(names), feature_channels=features, seed=7)
        shape = {"widths": list(settings.widths), "feature_channels": features}
        return self._save("refiner", network, names, shape, {"tau": self.tau})

    def two_sided_refiner(self, *, names: tuple[str, ...] = (), features: int = 8, **carry: Any) -> Path:
        """Write a two-sided refiner that was trained beside a segmenter with so many feature channels."""
        names = names or self.dataset.classes.names
        settings = self.recipe.plus.refiner
        network = TWO_SIDED_REFINER.build(settings, class_count=len(names), feature_channels=features, seed=7)
        shape = {"widths": list(settings.widths), "feature_channels": features}
        facts = {"carry": self.recipe.plus.carry.to_dict() | carry}
        return self._save("two-sided-refiner", network, names, shape, facts, network_name="two-sided")

    def given(self, parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Path | None]:
        """Write checkpoints of these parts, each with its own options."""
        write = {
            "segmenter": self.segmenter,
            "refiner": self.refiner,
            "two-sided-refiner": self.two_sided_refiner,
        }
        return {part: write[part](**options) for part, options in parts.items()}

    def _save(
        self,
        part: str,
        network: Any,
        names: tuple[str, ...],
        settings: dict[str, Any],
        facts: dict[str, Any],
        *,
        network_name: str = "compact",
    ) -> Path:
        card = Card(
            part=part, network=network_name, class_names=names, settings=settings, recipe={}, facts=facts
        )
        path = self.folder / f"other/{part}.safetensors"
        save_checkpoint(path, network, card)
        return path


@pytest.fixture
def workshop(tmp_path: Path, tiny_data: Path, tiny_recipe: Path) -> Workshop:
    """Checkpoints of another run, and runs to use them in."""
    return Workshop(tmp_path, tiny_data, load_recipe(tiny_recipe))


@pytest.fixture
def checkpoints() -> Callable[[Networks], list[str]]:
    """A function that lists the checkpoints of a run by name."""

    def listed(networks: Networks) -> list[str]:
        folder = networks.context.run.root / "checkpoints"
        return sorted(path.name.removesuffix(".safetensors") for path in folder.glob("*"))

    return listed


@pytest.fixture(scope="session")
def trained_plus(tiny_data: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which all networks of warp-refine-plus were trained."""
    run = tmp_path_factory.mktemp("plus") / "run"
    context = start(open_dataset(tiny_data), run, horizon=3, recipe=load_recipe(tiny_recipe))
    Networks(context).refiner("two-sided")
    return run


@pytest.fixture
def start_plus(
    trained_plus: Path, tiny_data: Path, tiny_recipe: Path, tmp_path: Path
) -> Callable[..., Networks]:
    """A function that starts a run of other settings under [plus], with chosen weights of `trained_plus`."""

    def started(*weights: str, changes: Mapping[str, object] | None = None) -> Networks:
        recipe = load_recipe(tiny_recipe)
        for place, value in (changes or {}).items():
            recipe = recipe.changed(("plus", *place.split(".")), value)
        run = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        context = start(open_dataset(tiny_data), run, horizon=3, recipe=recipe)
        (run / "checkpoints").mkdir()
        for name in weights:
            for path in (trained_plus / "checkpoints").glob(f"{name}.safetensors"):
                shutil.copy(path, run / "checkpoints")
        return Networks(context)

    return started


@pytest.fixture(scope="session")
def labelled(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two streets of nineteen frames with three key frames each, and a run that labelled them."""
    folder = tmp_path_factory.mktemp("three")
    write_street(folder / "data", videos=2, length=19, start=1, step=8, h=48, w=64)
    dataset, recipe = open_dataset(folder / "data"), load_recipe(tiny_recipe)
    # As `autolabel` does it, without scores and a report.
    context = start(dataset, folder / "run", horizon=5, recipe=recipe, reuse=False)
    job = make_job(Networks(context), ["motion-only", "warp-refine-plus", "oracle"])
    propagate(job, context.run)
    record_labelled(context.run, context.dataset, job.methods, horizon=context.horizon)
    return folder
