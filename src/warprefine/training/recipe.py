"""Name every hyper-parameter once; a TOML file fills them and an unknown key is an error."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, PositiveFloat, PositiveInt, ValidationError

from warprefine.core.errors import RecipeError
from warprefine.core.names import nearest_name
from warprefine.training.motion_recipe import MotionRecipe
from warprefine.training.optimisation import Optimisation, Settings


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError("the smaller comes first")
    return limits


Channels = Annotated[int, Field(ge=4)]
"""Fewer than 4 leave nothing to split up."""
Gridded = Annotated[int, Field(ge=16, multiple_of=16)]
"""Crops that end on multiples of 16 pixels cut through no cell of features at stride 16 or less."""


class Augmentation(Settings):
    """How training images are varied: the paper's scale, flip, blur and colour jitter."""

    crop: tuple[PositiveInt, PositiveInt] = (288, 352)
    """Height and width of a training crop, in pixels."""
    scale: Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_ascending)] = (0.5, 2.0)
    """Smallest and largest zoom."""
    flip: float = Field(0.5, ge=0, le=1)
    """Share of the samples that is mirrored."""
    jitter: float = Field(0.25, ge=0, lt=1)
    """Largest relative change of brightness, contrast and saturation."""
    blur: float = Field(0.25, ge=0, le=1)
    """Share of the samples that is blurred, sigma 0.15 to 1.3 pixels."""
    class_uniform: float = Field(0.5, ge=0, le=1)
    """Share of the crops that is placed on a class drawn uniformly."""


class SegmenterRecipe(Settings):
    """How g_psi is built and trained."""

    network: str = "compact"
    """Which network: a name in `segmentation.SEGMENTERS`."""
    pretrained: bool = True
    """Begin from weights trained on ImageNet, where the network has such (lite0, lite0-ocr, timm)."""
    weights: str = ""
    """A checkpoint to begin from, made by `warprefine weights import`: of this network, or of its trunk."""
    source: str = ""
    """Of the network huggingface: a folder, or a name on its hub; of timm: the name of a trunk."""
    widths: tuple[Channels, ...] = Field((24, 64, 128, 192, 256), min_length=5, max_length=5)
    """Channels at strides 2, 4, 8, 16 and 32 (compact, lite0, lite0-ocr and timm)."""
    scales: tuple[PositiveFloat, ...] = Field((0.5, 1.0, 2.0), min_length=1)
    """Scales at which hrnet-ocr looks at a frame once it is trained; it is trained at 0.5 and 1."""
    loss: str = "cross-entropy"
    """Which loss: a name in `training.losses.LOSSES`."""
    first_guess_weight: float = Field(0.4, ge=0)
    """Weight of the loss of a first guess, where the network makes one (the paper's OCR: 0.4)."""
    scale_weight: float = Field(0.05, ge=0)
    """Weight of the loss of each scale by itself, where the network looks at several (the paper: 0.05)."""
    optimisation: Optimisation = Optimisation()
    """The main training: on the further labelled data where there is some, else on the key frames."""
    adaptation: Optimisation = Optimisation(
        steps=400, learning_rate=1e-3, warmup=20, average_decay=0.98, class_balance=0.3
    )
    """The second training, on the key frames, of a network trained on further data before."""
    augmentation: Augmentation = Augmentation()
    """Training images of both."""
    key_frame_share: float = Field(0.5, ge=0, le=1)
    """Share of the samples drawn from key frames in the adaptation; the rest is further data."""
    holdout_every: int = Field(20, ge=2)
    """One labelled frame in so many is held out to choose the checkpoint, once there are as many."""
    folds: int = Field(2, ge=1)
    """Parts of the key frames that a segmenter of their own never saw; cycles are made with it."""
    mirrored: bool = True
    """Average what it says of a frame and of its mirror image; better, and twice the time."""


class RefinerRecipe(Settings):
    """How Omega is built and trained."""

    network: str = "compact"
    """Which network: a name in `refinement.REFINERS`."""
    widths: tuple[Channels, ...] = Field((24, 48, 96, 128), min_length=4, max_length=4)
    """Channels at strides 1, 2, 4 and 8 of the network compact."""
    width: int = Field(64, ge=4)
    """Channels at stride 1 of the network pix2pix; each of two halvings doubles them."""
    blocks: int = Field(9, ge=1)
    """Residual blocks of the network pix2pix."""
    votes: bool = True
    """Let the network pix2pix begin at "leave the labels as they are", unlike the paper's."""
    features: bool = True
    """Join the segmenter's features, as the paper does; they help only where folds share a base network."""
    segmenters: Literal["unseen", "seen", "both"] = "both"
    """Make cycles with segmenters that have not seen the key frame, with the one that labels, or both."""
    loss: str = "cross-entropy"
    """Which loss: a name in `training.losses.LOSSES`."""
    longest_cycle: int = Field(6, ge=1)
    """Cycles t -> t + l -> t are made for l = 1 to this, both ways (the paper: 6)."""
    optimisation: Optimisation = Optimisation(
        steps=800, batch=4, learning_rate=1e-3, average_decay=0.98, class_balance=0.2
    )
    """Its training."""
    crop: tuple[Gridded, Gridded] = (256, 320)
    """Height and width of a training crop, in pixels, multiples of 16."""
    jitter: float = Field(0.2, ge=0, lt=1)
    """Largest relative change of brightness, contrast and saturation, the same for both images."""
    mirrored: bool = True
    """Average what it says of a frame and of its mirror image; better, and twice the time."""


class PropagationRecipe(Settings):
    """How labels are carried."""

    motion: str = "best"
    """A name in `motion.MOTIONS`, a checkpoint, or best: what was trained in this run, else dis-medium."""
    motion_iterations: int = Field(12, ge=1)
    """How often RAFT improves its flow."""
    tau: float | None = Field(None, gt=0)
    """Largest RGB distance (images in 0..1) at which motion is trusted; none: chosen from the key frames."""
    tau_candidates: tuple[PositiveFloat, ...] = Field((0.12, 0.18, 0.25, 0.35, 0.5), min_length=1)
    """The values among which tau is chosen."""
    semantic_threshold: float = Field(0.9, ge=0, le=1)
    """Probability up to which semantic-only says VOID (the paper: 0.9)."""


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


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with warprefine, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "recipes").glob("*.toml"))}


def load_recipe(path: Path) -> Recipe:
    """Read a recipe from a TOML file, or take a shipped one by its name.

    What a recipe leaves out has its default. A file goes before a shipped recipe of the same name.

    Raises:
        RecipeError: The file is missing, is not TOML, has an unknown key or a value out of range.
    """
    if not path.exists():
        path = shipped_recipes().get(str(path), path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(
            f"{path} does not exist; expected a recipe in TOML, or one that comes along: "
            f"{', '.join(shipped_recipes())}"
        ) from None
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}; expected a recipe in TOML") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}; mend that line") from error
    try:
        return Recipe.model_validate(_merged(Recipe().model_dump(), content))
    except ValidationError as error:
        raise RecipeError(f"{path}: " + "; ".join(_explain(problem) for problem in error.errors())) from error


def recipe_to_toml(recipe: BaseModel, prefix: str = "") -> str:
    """Write a recipe as TOML, each value below the line that explains it."""
    own, tables = [], []
    for name, field in type(recipe).model_fields.items():
        value = getattr(recipe, name)
        if isinstance(value, BaseModel):
            heading = f"{prefix}{name}"
            tables.append(f"[{heading}]\n{recipe_to_toml(value, heading + '.')}")
        else:
            unset = "# " if value is None else ""
            own.append(f"# {field.description}\n{unset}{name} = {_toml(value)}\n")
    return "".join(own) + "\n" + "".join(tables)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay a file's values over the defaults; a partly given table keeps the rest of its own."""
    merged = dict(base)
    for key, value in over.items():
        below = base.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _toml(value: object) -> str:
    if value is None:
        return "(chosen from the data)"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    return json.dumps(value, ensure_ascii=False)  # TOML has no surrogate pairs


def _explain(problem: Any) -> str:
    """Say in one line what is wrong with a recipe's key or value."""
    place = [str(part) for part in problem["loc"]]
    if problem["type"] != "extra_forbidden":
        said = problem["msg"].removeprefix("Value error, ").lower()
        return f"{'.'.join(place)} = {problem['input']!r}: {said}"
    model: type[BaseModel] = Recipe
    for part in place[:-1]:
        model = type(model.model_fields[part].default)
    return f"unknown key {'.'.join(place)!r}; {nearest_name(place[-1], model.model_fields)}"
