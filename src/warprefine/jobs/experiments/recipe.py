"""The recipe of an experiment: its data, how they are labelled, the student, and what is varied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import Field, PositiveInt

from warprefine.core.errors import RecipeError
from warprefine.core.names import look_up
from warprefine.recipe.network import NetworkRecipe
from warprefine.recipe.optimisation import Settings
from warprefine.recipe.recipe import Recipe, load_recipe
from warprefine.recipe.settings_file import read_settings
from warprefine.recipe.student import StudentRecipe
from warprefine.segmentation import SEGMENTERS

NetworkT = TypeVar("NetworkT", bound=NetworkRecipe)


class StreetRecipe(Settings):
    """The procedural street, for experiments without a data set."""

    videos: int = Field(8, ge=1)
    """Clips whose middle frame is a key frame."""
    test_videos: int = Field(4, ge=1)
    """Clips of other streets to test on."""
    length: int = Field(21, ge=3)
    """Frames of a clip."""
    size: tuple[PositiveInt, PositiveInt] = (144, 240)
    """Height and width of a frame, in pixels."""


class DataRecipe(Settings):
    """Which parts of a data set an experiment uses; all come from one folder and one reader."""

    reader: str = "street"
    """Layout of the data set: a name in `datasets.READERS`, or street, which is rendered when needed."""
    split: str = "train"
    """The videos to be labelled from their key frames."""
    key_frames: str = ""
    """START::STEP, to use those labelled frames as key frames and hold the others back; empty: use all."""
    horizon: int = Field(10, ge=1)
    """Frames before and after a key frame that are labelled (the paper: 10)."""
    manual: tuple[str, ...] = ()
    """Further splits labelled by hand, for the segmenter and the students, such as train[::12]."""
    coarse: str = ""
    """Split with coarse labels, for the experiments that use them."""
    coarse_gap: int = Field(0, ge=0)
    """Pixels of VOID between two classes, to derive coarse labels from fine ones; 0: they are coarse."""
    test: str = ""
    """Split that students are tested on."""
    shown: str = ""
    """Split whose frames show students in figure C, with labels or without; empty: the test split."""
    submit: str = ""
    """Split to write a submission for."""
    folds: int = Field(0, ge=0)
    """Of the experiment benchmark: number of folds; {fold} in the names of splits is the fold's number."""
    street: StreetRecipe = StreetRecipe()
    """The procedural street."""


class ExperimentRecipe(Settings):
    """All that an experiment depends on besides seeds and device."""

    methods: tuple[str, ...] = ("motion-only", "semantic-only", "warp-inpaint", "warp-refine")
    """Methods whose labels are compared."""
    oracle: bool = True
    """Train a student on the truth too, where there is any: an upper bound."""
    train_motion: bool = False
    """Train SDC-Net on the videos first and propagate labels with it, as the paper does."""
    seeds: int = Field(3, ge=1)
    """Trainings of each student; the table has their mean and sample standard deviation (the paper: 3)."""
    ranges: tuple[PositiveInt, ...] = Field((2, 4, 6, 8, 10), min_length=1)
    """Of the experiment horizon: largest distances from the key frame at which labels are taken."""
    range_methods: tuple[str, ...] = ("motion-only", "warp-refine")
    """Of the experiment horizon: methods whose labels are taken."""
    networks: tuple[str, ...] = Field(
        ("deeplabv3-resnext50", "ocrnet-resnext50", "hrnet-ocr-w48"), min_length=1
    )
    """Of the experiment architectures: the students' networks."""
    relaxed_offset: int = Field(3, ge=1)
    """Of the experiment relaxation: at which distance motion-only labels are taken (the paper: 3)."""
    baseline_rate: float = Field(1.0, gt=0, le=1000)
    """Of the experiment relaxation: learning rate of B, as a multiple of the others' (the paper: 8)."""
    longest_cycles: tuple[PositiveInt, ...] = Field(tuple(range(1, 11)), min_length=1)
    """Of the experiment cycle-length: the longest cycles that refiners are trained on."""
    motions: tuple[str, ...] = ("dis-medium", "dis-fine")
    """Of the experiment motion: estimators beside the run's own, names in `MOTIONS` or checkpoints."""
    variants: tuple[str, ...] = ()
    """Of the experiment ablation: the variants to run, names in its tables; empty: all."""
    key_frame_sets: tuple[str, ...] = ()
    """Of the experiment ablation: other key frames to compare with, each START::STEP."""
    shown_classes: tuple[str, ...] = ()
    """Of quality and benchmark: classes of figure 5, or whose gain is tabulated; empty: the hardest, none."""
    grid: dict[str, tuple[float, ...]] = Field({})
    """Of the experiment benchmark with folds: values to choose from, by key below [student]; empty: none."""
    other_weights: str = ""
    """Of relaxation, coarse and benchmark: a checkpoint of another data set that students start from."""
    initial_weights: dict[str, str] = Field({})
    """Checkpoints that teacher and students begin from, by network: of the whole network, or its trunk."""
    data: DataRecipe = DataRecipe()
    """The data."""
    labels: Recipe = load_recipe("scratch").changed(("propagation", "stop_at_cuts"), False)
    """How frames are labelled; what is not set is as in scratch, and cuts are not looked for, as before."""
    student: StudentRecipe = StudentRecipe()
    """How students are trained."""

    def beginning(self, recipe: NetworkT) -> NetworkT:
        """Return the recipe of a teacher or student with the initial weights of its network.

        Weights that the recipe names itself take precedence.

        Example:
            >>> begun = ExperimentRecipe(initial_weights={"compact": "first.safetensors"})
            >>> begun.beginning(StudentRecipe()).weights
            'first.safetensors'
        """
        weights = recipe.weights or self.initial_weights.get(recipe.network, "")
        return recipe.model_copy(update={"weights": weights})

    def initialised(self) -> ExperimentRecipe:
        """Return the recipe with initial weights of teacher and student."""
        labels = self.labels.changed(("segmenter",), self.beginning(self.labels.segmenter))
        return self.model_copy(update={"labels": labels, "student": self.beginning(self.student)})

    def student_of(self, network: str) -> StudentRecipe:
        """Return the recipe of a student of another network, with that network's initial weights."""
        if network == self.student.network:
            return self.student
        return self.beginning(self.student.model_copy(update={"network": network, "weights": ""}))

    def from_scratch(self) -> ExperimentRecipe:
        """Return the recipe with random weights where it names none."""
        labels = self.labels.changed(("segmenter", "pretrained"), False)
        return self.model_copy(
            update={"labels": labels, "student": self.student.changed(("pretrained",), False)}
        )

    def lacking_weights(
        self, networks: Sequence[str] = (), *, teacher: bool = True, student: bool = True
    ) -> list[str]:
        """Return the networks that are to begin from published weights, but have none.

        Args:
            networks: Of students, besides that of the recipe's own student.
            teacher: Whether there is a segmenter that labels.
            student: Whether students are trained.
        """
        used = [
            *([self.labels.segmenter] if teacher else []),
            *([self.student] if student else []),
            *map(self.student_of, networks),
        ]
        return list(
            dict.fromkeys(
                one.network
                for one in used
                if one.pretrained
                and not one.weights
                and look_up(SEGMENTERS, one.network, what="segmenter").imported
            )
        )


def shipped_recipes(experiment: str) -> dict[str, Path]:
    """Return the shipped recipes of an experiment, by the name of their data set or size."""
    folder = Path(__file__).parent / "recipes"
    paths = sorted(folder.glob(f"{experiment}-*.toml"))
    return {path.stem.removeprefix(f"{experiment}-"): path for path in paths}


def load_experiment_recipe(experiment: str, name: str) -> ExperimentRecipe:
    """Read the recipe of an experiment: a TOML file, or a shipped one.

    Raises:
        RecipeError: There is none of that name, or it has an unknown key or a value out of range.
    """
    shipped = shipped_recipes(experiment)
    if not Path(name).is_file() and name not in shipped:
        raise RecipeError(
            f"the experiment {experiment} has no recipe {name!r}; expected a TOML file, or one of: "
            f"{', '.join(shipped)}"
        )
    return read_settings(Path(name), ExperimentRecipe(), shipped=shipped).initialised()
