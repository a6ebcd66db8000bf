"""The recipe of a run: all hyper-parameters, filled from a TOML file; an unknown key is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from warprefine.core.stages import GOOD, Stage
from warprefine.recipe.motion import MotionRecipe
from warprefine.recipe.network import (
    Augmentation,
    BatchAugmentation,
    Channels,
    GriddedCrop,
    NetworkRecipe,
    ZoomRange,
)
from warprefine.recipe.optimisation import MOST_STEPS, Epochs, Optimisation, Settings
from warprefine.recipe.plus import PlusRecipe
from warprefine.recipe.settings_file import read_settings
from warprefine.recipe.stages import NO_CHANGES, StageSettings, StagesRecipe, overridden
from warprefine.recipe.two_sided_refiner import REFINER_WIDTHS

BEST_MOTION, DEFAULT_MOTION = "best", "dis-medium"
"""`best` stands for the motion that was trained in the run, else for the default (docs/networks.md)."""

CALIBRATION_KEY_FRAMES = 8
"""As many show how sure a method is; each is labelled again."""

CropMargin = Annotated[int, Field(ge=0, le=1024)]
Tau = Annotated[float, Field(gt=0, le=1000)]


class FeatureSettings(Settings):
    """Crops of which the features of a frozen trunk are computed once (the network lite0-frozen)."""

    crops: int = Field(550, ge=1, le=1_000_000)
    """Most crops of each set of pictures; a crop of 352 x 480 pixels takes 1.1 MB on disk and in memory."""
    variants: int = Field(24, ge=1, le=1000)
    """Most crops of one picture."""
    margin: tuple[CropMargin, CropMargin] = (64, 128)
    """Height and width, in pixels, by which crops are larger than the windows that are trained on."""


class SegmenterRecipe(NetworkRecipe, Epochs):
    """How g_psi is built and trained."""

    network: str = "lite0-frozen"
    """Which network: a name in `segmentation.SEGMENTERS`."""
    optimisation: Optimisation = Optimisation(steps=200, warmup=20, average_decay=0.98, class_balance=0.4)
    """The main training: on the further labelled data where there is some, else on the key frames."""
    steps_per_picture: int = Field(75, ge=1, le=MOST_STEPS)
    """Steps of the main training at most, for each labelled picture; two key frames need few."""
    tile: int = Field(0, ge=0)
    """Side in pixels of the tiles for class centroids, in trainings by epochs; 0: half the shorter side."""
    further: bool = True
    """Learn from further labelled data, where there are some, and not from the key frames alone."""
    adaptation: Optimisation = Optimisation(
        steps=60, learning_rate=5e-4, warmup=20, average_decay=0.98, class_balance=0.3
    )
    """The second training, on the key frames, of a network trained on further data before."""
    augmentation: BatchAugmentation = Augmentation(scale=(0.7, 1.6))
    """Augmentation of the training images, in both trainings."""
    features: FeatureSettings = FeatureSettings()
    """What the head of a frozen trunk is trained on."""
    key_frame_share: float = Field(0.75, ge=0, le=1)
    """Share of the samples drawn from key frames in the adaptation; the rest is further data."""
    holdout_every: int = Field(20, ge=2)
    """One labelled frame in so many is held out to choose the checkpoint, if that makes at least three."""
    folds: int = Field(2, ge=1, le=1000)
    """Parts of the key frames, each with a segmenter held out from it, which the refiner's cycles use."""
    held_out: Literal["folds", "base"] = "base"
    """Held-out segmenters in cycles: the base segmenter where there is one, or one per fold of key frames."""
    mirrored: bool = True
    """Average the output over a frame and its mirror image; better, and twice the time."""

    def main_training(self, pictures: int) -> Optimisation:
        """Return the main training on a number of labelled pictures; epochs take precedence over steps.

        Example:
            >>> SegmenterRecipe().main_training(2).steps, SegmenterRecipe().main_training(400).steps
            (150, 200)
        """
        if self.epochs:
            return self.optimisation.for_epochs(self.epochs, self.epoch_length(pictures))
        most = self.steps_per_picture * max(pictures, 1)
        return self.optimisation.changed(("steps",), min(self.optimisation.steps, most))


class RefinerRecipe(Epochs):
    """How Omega is built and trained."""

    network: str = "compact"
    """Which network: a name in `refinement.REFINERS`."""
    widths: tuple[Channels, ...] = Field(REFINER_WIDTHS, min_length=4, max_length=4)
    """Channels at strides 1, 2, 4 and 8 of the network compact."""
    width: int = Field(64, ge=4, le=512)
    """Channels at stride 1 of the network pix2pix; each of two halvings doubles them."""
    blocks: int = Field(9, ge=1, le=1000)
    """Residual blocks of the network pix2pix."""
    votes: bool = True
    """Start the training of pix2pix near the identity, which leaves labels as they are; not in the paper."""
    features: bool = True
    """Join the segmenter's features, as the paper does; they help only where folds share a base network."""
    segmenters: Literal["unseen", "seen", "both"] = "both"
    """Segmenters used in cycles: held out from the key frame, trained on it, or both."""
    loss: str = "cross-entropy"
    """Which loss: a name in `training.losses.LOSSES`."""
    longest_cycle: int = Field(6, ge=1, le=1000)
    """Cycles t -> t + l -> t are run for l = 1 to this, in both directions (the paper: 6)."""
    optimisation: Optimisation = Optimisation(
        steps=800, batch=4, learning_rate=1e-3, average_decay=0.98, class_balance=0.2
    )
    """Its training."""
    crop: GriddedCrop = (256, 320)
    """Height and width of a training crop, in pixels, multiples of 16."""
    jitter: float = Field(0.2, ge=0, lt=1)
    """Largest relative change of brightness, contrast and saturation, the same for both images."""
    scale: ZoomRange = (1.0, 1.0)
    """Smallest and largest zoom of the samples, drawn uniformly (the paper: 0.5 to 2)."""
    blur: float = Field(0.0, ge=0, le=1)
    """Share of the samples whose images are blurred alike, sigma 0.15 to 1.3 pixels."""
    class_uniform: float = Field(0.0, ge=0, le=1)
    """Share of the crops that is placed on centroids of classes, class by class (the paper: 0.5)."""
    tile: int = Field(0, ge=0)
    """Side in pixels of the tiles whose class centroids crops are placed on; 0: half the shorter side."""
    mirrored: bool = True
    """Average the output over a frame and its mirror image; better, and twice the time."""

    def resolved(self, pictures: int) -> RefinerRecipe:
        """Return the recipe with its epochs, of a number of key frames, as steps.

        Example:
            >>> RefinerRecipe(epochs=175).resolved(795).optimisation.steps
            104344
        """
        training = self.optimisation.for_epochs(self.epochs, self.epoch_length(pictures))
        return self.changed(("optimisation",), training)


class PropagationRecipe(Settings):
    """How labels are propagated by the paper's methods, and what every method caches."""

    motion: str = BEST_MOTION
    """A name in `motion.MOTIONS`, a checkpoint, or best: what was trained in this run, else dis-medium."""
    keep: Literal["all", "flow", "nothing"] = "all"
    """What is cached on disk besides samples of refiners: flow, segmentations and features; flow; nothing."""
    motion_iterations: int = Field(12, ge=1, le=1000)
    """Iterations of RAFT."""
    tau: Tau | None = None
    """Largest RGB distance (images in 0..1) at which motion is trusted; none: chosen from the key frames."""
    tau_candidates: tuple[Tau, ...] = Field((0.12, 0.18, 0.25, 0.35, 0.5), min_length=1)
    """Candidates for tau."""
    semantic_threshold: float = Field(0.9, ge=0, le=1)
    """Probability up to which semantic-only labels are VOID (the paper: 0.9)."""
    calibration_key_frames: int = Field(0, ge=0, le=10_000)
    """Key frames that confidence is calibrated on at most; 0: it stays as each method estimates it."""
    calibration_steps: int = Field(0, ge=0, le=MOST_STEPS)
    """Steps of a refiner held out from each fold, to calibrate methods that refine; 0: these are not."""
    stop_at_cuts: bool = True
    """Find cuts and blank frames, and carry no labels across them; by no method, nor in trainings."""
    cut_sensitivity: float = Field(1.0, ge=0.1, le=10)
    """Larger finds more cuts: the change that a cut needs is divided by it."""


class Recipe(Settings):
    """All hyper-parameters of a run."""

    segmenter: SegmenterRecipe = SegmenterRecipe()
    """The segmenter g_psi."""
    refiner: RefinerRecipe = RefinerRecipe()
    """The refiner Omega."""
    motion: MotionRecipe = MotionRecipe()
    """The motion estimator f_theta, where it is trained: `warprefine train motion`."""
    propagation: PropagationRecipe = PropagationRecipe()
    """The step Psi."""
    plus: PlusRecipe = PlusRecipe()
    """The method warp-refine-plus."""
    stages: StagesRecipe = StagesRecipe()
    """The stages in which `warprefine autolabel` works besides good, which is this recipe as it is."""

    @field_validator("stages")
    @classmethod
    def _check_stages(cls, stages: StagesRecipe, fields: Any) -> StagesRecipe:
        """Check that the recipe of each stage is one; `fields` is pydantic's `ValidationInfo`."""
        if len(fields.data) < len(cls.model_fields) - 1:
            return stages  # another part is wrong
        base = cls.model_construct(**fields.data, stages=NO_CHANGES)
        for name, settings in stages:
            try:
                if settings.changes:
                    overridden(base, settings.changes)
            except ValueError as error:
                raise ValueError(f"under [stages.{name}.changes]: {error}") from error
        return stages

    def for_stage(self, stage: Stage) -> Recipe:
        """Return the recipe of a stage; that of stage good is this one.

        Example:
            >>> Recipe().for_stage("first").plus.refiner.enabled
            False
        """
        if stage == GOOD:
            return self
        settings: StageSettings = getattr(self.stages, stage)
        return overridden(self.changed(("stages",), NO_CHANGES), settings.changes)

    def calibrating(self) -> Recipe:
        """Return the recipe with confidence calibrated by all methods, where it does not say how.

        Refiners that are held out for it are trained for as long as those that label.

        Example:
            >>> Recipe().calibrating().propagation.calibration_steps
            800
        """
        own = self.propagation
        steps = max(self.plus.refiner.optimisation.steps, self.refiner.optimisation.steps)
        return self.changed(
            ("propagation", "calibration_key_frames"), own.calibration_key_frames or CALIBRATION_KEY_FRAMES
        ).changed(("propagation", "calibration_steps"), own.calibration_steps or steps)

    def has_stage(self, stage: Stage) -> bool:
        """Return whether there is a stage; there is always one called good."""
        return stage == GOOD or bool(getattr(self.stages, stage).enabled)


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with warprefine, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "shipped").glob("*.toml"))}


def load_recipe(path: Path | str) -> Recipe:
    """Read a recipe from a TOML file, or take a shipped one by its name.

    Keys that the file leaves out have their defaults. A file takes precedence over a shipped recipe.

    Raises:
        RecipeError: The file is missing, is not TOML, has an unknown key or a value out of range.
    """
    return read_settings(path, Recipe(), shipped=shipped_recipes())
