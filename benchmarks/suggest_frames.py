"""Which frame to label next: `warprefine suggest` against other ways, on a clip whose truth is known.

Every way begins with the frame in the middle of the clip and adds one frame at a time, but for uniform, which
places all its frames anew. After each frame the whole clip is labelled, and the mIoU of all its frames (one
confusion matrix, key frames included) is printed.

  suggest      the frame that `warprefine suggest -n 1` names
  uniform      the middles of as many equal parts, as if the budget had been known from the start
  largest-gap  the frame farthest from all key frames
  random       drawn, the mean of so many draws and their standard deviation

Without a folder of data, a procedural street of 101 frames is rendered.

Example: python benchmarks/suggest_frames.py data/camvid --reader camvid --split clip15hz --until first
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from rendered_street import street

from warprefine import Recipe, autolabel, load_recipe, open_dataset
from warprefine.core.threads import use_threads
from warprefine.core.video import Dataset, Video
from warprefine.io.images import read_labels
from warprefine.metrics import confusion
from warprefine.propagation.methods import PLUS


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """The clip, labelled from some key frames.

    Attributes:
        miou: Of all frames, in percent.
        suggested: The frame to label next.
    """

    miou: float
    suggested: int


class Clip:
    """A clip with truth, labelled from any of its frames; each choice of key frames is labelled once.

    Args:
        dataset: One video of which every frame has a label map.
        recipe: The recipe.
        until: The last stage.
        out: Where runs and what they share are kept.
        seed: Seed of all trainings.
    """

    def __init__(self, dataset: Dataset, recipe: Recipe, *, until: str, out: Path, seed: int) -> None:
        self._dataset, self._recipe, self._until, self._out, self._seed = dataset, recipe, until, out, seed
        self._known: dict[tuple[int, ...], Labelled] = {}

    def __len__(self) -> int:
        return len(self._video)

    @cached_property
    def _video(self) -> Video:
        (video,) = self._dataset.videos
        return video

    def labelled(self, key_frames: Sequence[int]) -> Labelled:
        """Return what labelling the clip from these key frames gives."""
        place = tuple(sorted(key_frames))
        if place not in self._known:
            self._known[place] = self._label(place)
        return self._known[place]

    def _label(self, place: tuple[int, ...]) -> Labelled:
        maps = {**self._video.labels, **self._video.truth}
        video = replace(
            self._video,
            labels={frame: maps[frame] for frame in place},
            truth={frame: path for frame, path in maps.items() if frame not in place},
        )
        run = self._out / "run"
        shutil.rmtree(run, ignore_errors=True)
        finished = autolabel(
            replace(self._dataset, videos=(video,)),
            run,
            horizon="all",
            methods=(PLUS,),
            recipe=self._recipe,
            seed=self._seed,
            cache=self._out / "cache",
            reuse=False,
            until=self._until,  # type: ignore[arg-type]  # checked by autolabel
        )
        classes, total = self._dataset.classes, None
        for frame, stem in enumerate(video.stems):
            truth = read_labels(maps[frame], classes)
            labels = truth
            if frame not in place:
                labels = read_labels(run / "labels" / PLUS / video.name / f"{stem}.png", classes)
            matrix = confusion.count(labels, truth, class_count=len(classes))
            total = matrix if total is None else total + matrix
        assert total is not None
        return Labelled(
            miou=100 * confusion.mean_iou(total), suggested=finished.suggest(n=1, method=PLUS)[0].frame
        )


def uniform(clip: Clip, count: int) -> tuple[int, ...]:
    """Return the middles of `count` equal parts."""
    return tuple(int((i + 0.5) * len(clip) / count) for i in range(count))


def by_suggestion(clip: Clip, chosen: tuple[int, ...]) -> int:
    """Return the frame that is suggested next."""
    return clip.labelled(chosen).suggested


def in_largest_gap(clip: Clip, chosen: tuple[int, ...]) -> int:
    """Return the frame farthest from all key frames."""
    return max(range(len(clip)), key=lambda frame: min(abs(frame - key) for key in chosen))


def at_random(rng: np.random.Generator) -> Callable[[Clip, tuple[int, ...]], int]:
    """Return a function that draws a frame that is no key frame."""

    def draw(clip: Clip, chosen: tuple[int, ...]) -> int:
        return int(rng.choice([frame for frame in range(len(clip)) if frame not in chosen]))

    return draw


def curve(
    clip: Clip, most: int, choose: Callable[[Clip, tuple[int, ...]], int]
) -> tuple[list[float], tuple[int, ...]]:
    """Return the mIoU after 2, 3, ..., `most` key frames, and the key frames in the order of their choice."""
    chosen: tuple[int, ...] = (len(clip) // 2,)
    found = []
    while len(chosen) < most:
        chosen = (*chosen, choose(clip, chosen))
        found.append(clip.labelled(chosen).miou)
    return found, chosen


def line(name: str, values: Sequence[float], note: object = "") -> str:
    """Format a row of the table."""
    return f"{name:<14}" + "".join(f"{value:>8.2f}" for value in values) + f"  {note}"


def main() -> None:
    """Label with each way of choosing and print the curves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", type=Path, help="a data set with one video, all of it labelled")
    parser.add_argument("--reader", default="folder")
    parser.add_argument("--split", default="train")
    parser.add_argument("--most", type=int, default=5, help="key frames at most")
    parser.add_argument("--draws", type=int, default=20, help="random draws")
    parser.add_argument("--until", default="first", help="first, good or best")
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    use_threads(options.threads)
    out = Path(tempfile.mkdtemp(prefix="warprefine-suggest_frames-"))
    data = options.data or street(out / "street", videos=1, seed=options.seed)
    dataset = open_dataset(data, reader=options.reader, split=options.split)
    recipe = load_recipe(options.recipe) if options.recipe else Recipe()
    clip = Clip(dataset, recipe, until=options.until, out=out, seed=options.seed)
    budgets = range(2, options.most + 1)
    print(f"{'mIoU, frames:':<14}" + "".join(f"{n:>8}" for n in budgets), flush=True)
    for name, choose in (("suggest", by_suggestion), ("largest-gap", in_largest_gap)):
        values, chosen = curve(clip, options.most, choose)
        print(line(name, values, chosen), flush=True)
    places = [uniform(clip, n) for n in budgets]
    print(line("uniform", [clip.labelled(place).miou for place in places], places), flush=True)
    rng = np.random.default_rng(options.seed)
    draws = []
    for number in range(1, options.draws + 1):
        values, chosen = curve(clip, options.most, at_random(rng))
        draws.append(values)
        print(line(f"random {number}", values, chosen), flush=True)
    if draws:
        by_budget = list(zip(*draws, strict=True))
        print(line("random", [statistics.fmean(of) for of in by_budget], f"mean of {len(draws)} draws"))
        print(line("  deviation", [statistics.pstdev(of) for of in by_budget]))
        print(line("  best", [max(of) for of in by_budget]))
    shutil.rmtree(out)


if __name__ == "__main__":
    main()
