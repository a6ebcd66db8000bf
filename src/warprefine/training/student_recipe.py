"""Name the hyper-parameters of a student: a single-frame network that learns from propagated labels too."""

from __future__ import annotations

from math import ceil
from pathlib import Path

from pydantic import Field, PositiveInt

from warprefine.training.network_recipe import Augmentation, NetworkRecipe
from warprefine.training.optimisation import Optimisation
from warprefine.training.settings_file import read_settings


class StudentRecipe(NetworkRecipe):
    """How a student is built and trained; the mix of its samples is the paper's (section 4.2)."""

    offsets: tuple[PositiveInt, ...] = Field((2, 4, 6, 8), min_length=1)
    """Distances from the key frame, both ways, at which generated labels are taken (the paper's)."""
    joint_offsets: tuple[PositiveInt, ...] = Field((2,), min_length=1)
    """The same for motion-only, whose labels are shown with pictures carried alike (the paper's)."""
    generated_share: float = Field(0.7, ge=0, le=1)
    """Share of an epoch whose labels are generated (the paper: 0.7)."""
    generated_share_with_coarse: float = Field(0.3, ge=0, le=1)
    """The same where there are coarse labels too (the paper: 0.3)."""
    coarse_share: float = Field(0.5, ge=0, le=1)
    """Share of coarse labels in what is made by hand, where there are such (not said in the paper)."""
    even: bool = True
    """Where only a part of the images have generated neighbours, generate only that part of the share."""
    epoch_factor: float = Field(3.0, gt=0)
    """Samples of an epoch for each image labelled by hand, however much is generated (the paper: 3)."""
    epochs: float = Field(0.0, ge=0)
    """Length of the training (the paper: 175); 0 leaves it to the steps of the optimisation."""
    tile: int = Field(0, ge=0)
    """Side in pixels of the tiles whose class centroids crops are placed on; 0: half the shorter side."""
    optimisation: Optimisation = Optimisation()
    """Its training; class weights come from the labels made by hand alone."""
    augmentation: Augmentation = Augmentation()
    """Training images."""

    def epoch_length(self, manual_count: int) -> int:
        """Return the samples of an epoch."""
        return max(round(self.epoch_factor * manual_count), 1)

    def resolved(self, manual_count: int) -> StudentRecipe:
        """Return the recipe with the steps that its epochs come to, and the drop of the learning rate."""
        if not self.epochs:
            return self
        per_epoch = self.epoch_length(manual_count) / (self.optimisation.batch * self.optimisation.accumulate)
        steps = ceil(self.epochs * per_epoch)
        drop = min(max(round(per_epoch), 1), steps)
        changed = self.optimisation.model_copy(update={"steps": steps, "steps_per_drop": drop})
        return self.model_copy(update={"optimisation": changed})

    def shares(self, *, covered: float, coarse: bool) -> tuple[float, float, float]:
        """Return the shares of an epoch that are made by hand, generated and coarse.

        In the paper every image labelled by hand has generated neighbours. Where few have, 70 % of an
        epoch would show the few scenes around them and push the others out; `even` prevents that.

        Args:
            covered: The share of the images labelled by hand that have generated neighbours.
            coarse: Whether there are coarse labels.
        """
        share = self.generated_share_with_coarse if coarse else self.generated_share
        of_generated = share * (covered if self.even else float(covered > 0))
        of_coarse = (1 - of_generated) * self.coarse_share if coarse else 0.0
        return 1 - of_generated - of_coarse, of_generated, of_coarse


def shipped_student_recipes() -> dict[str, Path]:
    """Return the recipes for students that come with warprefine, by name."""
    folder = Path(__file__).parent / "recipes" / "student"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_student_recipe(path: Path) -> StudentRecipe:
    """Read a student's recipe from a TOML file, or take a shipped one by its name.

    Raises:
        RecipeError: The file is missing, is not TOML, has an unknown key or a value out of range.
    """
    return read_settings(path, StudentRecipe(), shipped=shipped_student_recipes())
