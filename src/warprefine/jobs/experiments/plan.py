"""The plan of an experiment: trainings, steps, frames, disk and hours, which follow from throughputs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from warprefine.jobs.experiments.disk import Disk
from warprefine.report.result_table import Cell, ResultTable

_TERA, _MEGA, _HOUR = 1e12, 1e6, 3600


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """What a machine does in a second.

    Attributes:
        training: Multiply-adds of trainings, in 10^12.
        labelling: Multiply-adds of networks that label, in 10^12.
        frames: Megapixels of frames that are read, followed by flow, warped and written, in each method.
    """

    training: float
    labelling: float
    frames: float


THROUGHPUTS = {
    "cpu": Throughput(training=0.1, labelling=0.2, frames=1.0),
    "cuda": Throughput(training=15.0, labelling=20.0, frames=4.0),
}
"""Defaults: two CPU cores, as docs/networks.md has them; and an assumption for one GPU with 32 GB, a quarter
to a third of its peak in half precision. The steps per second of a training tell what a machine does."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training that is due: its checkpoint in OUT, its network, steps, samples and multiply-adds."""

    name: str
    network: str
    steps: int
    samples: int
    multiply_adds: float
    weight_bytes: int


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Frames that a method labels in a run: their number, pixels and multiply-adds."""

    run: str
    method: str
    frames: int
    pixels: float
    multiply_adds: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an experiment would do."""

    trainings: tuple[Training, ...]
    labels: tuple[Labels, ...]
    disk: Disk
    throughput: Throughput

    @property
    def steps(self) -> int:
        """Steps of all trainings."""
        return sum(one.steps for one in self.trainings)

    @property
    def frames(self) -> int:
        """Frames that are labelled, counted for each method."""
        return sum(one.frames for one in self.labels)

    @property
    def training_hours(self) -> float:
        """Hours of all trainings, one after the other."""
        work = sum(one.multiply_adds for one in self.trainings)
        return work / (_TERA * self.throughput.training) / _HOUR

    @property
    def labelling_hours(self) -> float:
        """Hours of labelling."""
        seconds = sum(one.multiply_adds for one in self.labels) / (_TERA * self.throughput.labelling)
        seconds += sum(one.pixels for one in self.labels) / (_MEGA * self.throughput.frames)
        return seconds / _HOUR

    def totals(self) -> dict[str, Any]:
        """Return the sums."""
        return {
            "trainings": len(self.trainings),
            "steps": self.steps,
            "frames": self.frames,
            "disk_bytes": round(self.disk.total),
            "training_hours": self.training_hours,
            "labelling_hours": self.labelling_hours,
        }

    def to_json(self) -> dict[str, Any]:
        """Return all of it, as JSON can hold it."""
        return {
            "totals": self.totals(),
            "disk": {key: round(size) for key, size in asdict(self.disk).items()},
            "trainings": [asdict(one) for one in self.trainings],
            "labels": [asdict(one) for one in self.labels],
            "throughput": asdict(self.throughput),
        }

    def tables(self) -> tuple[ResultTable, ...]:
        """Return it as tables: trainings, labels, totals."""
        rate = _TERA * self.throughput.training * _HOUR
        trainings: list[tuple[Cell, ...]] = [
            (one.name, one.network, one.steps, one.samples, one.multiply_adds / rate)
            for one in self.trainings
        ]
        hours = self.training_hours + self.labelling_hours
        sums: list[tuple[Cell, ...]] = [
            ("trainings", len(self.trainings)),
            ("steps", self.steps),
            ("frames to label", self.frames),
            ("disk, GB", self.disk.total / 1e9),
            *((f"disk, {part}, GB", size / 1e9) for part, size in asdict(self.disk).items()),
            ("hours, trainings", self.training_hours),
            ("hours, labels", self.labelling_hours),
            ("hours", hours),
        ]
        return (
            ResultTable(
                title="Trainings that are due",
                columns=("weights", "network", "steps", "samples", "hours"),
                rows=tuple(trainings),
            ),
            ResultTable(
                title="Frames to label",
                columns=("run", "method", "frames"),
                rows=tuple((one.run, one.method, one.frames) for one in self.labels),
            ),
            ResultTable(title="All together", columns=("", "sum"), rows=tuple(sums)),
        )
