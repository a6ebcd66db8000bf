"""Hyper-parameters of a student: a single-frame network trained on pseudo-labels too."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, PositiveInt

from warprefine.recipe.network import Augmentation, BatchAugmentation, NetworkRecipe
from warprefine.recipe.optimisation import Epochs, Optimisation
from warprefine.recipe.settings_file import read_settings


class StudentRecipe(NetworkRecipe, Epochs):
    """How a student is built and trained; the mix of its samples is the paper's (section 4.2)."""

    offsets: tuple[PositiveInt, ...] = Field((2, 4, 6, 8), min_length=1)
    """Distances from the key frame, before and after it, at which pseudo-labels are taken (the paper's)."""
    joint_offsets: tuple[PositiveInt, ...] = Field((2,), min_length=1)
    """The same for motion-only, whose labels are paired with images propagated alike (the paper's)."""
    pseudo_label_share: float = Field(0.7, ge=0, le=1)
    """Share of an epoch with pseudo-labels (the paper: 0.7)."""
    pseudo_label_share_with_coarse: float = Field(0.3, ge=0, le=1)
    """The same where there are coarse labels too (the paper: 0.3)."""
    confident: float = Field(0.0, ge=0, le=1)
    """Least confidence of the pseudo-labels that are trained on; the others are VOID. 0 (the paper): all."""
    coarse_share: float = Field(0.5, ge=0, le=1)
    """Share of coarse labels among those made by hand, where there are such (not given in the paper)."""
    even: bool = True
    """Where only some labelled images have neighbours with pseudo-labels, reduce the share accordingly."""
    tile: int = Field(0, ge=0)
    """Side in pixels of the tiles whose class centroids crops are placed on; 0: half the shorter side."""
    optimisation: Optimisation = Optimisation()
    """The training; class weights come from the images labelled by hand alone."""
    augmentation: BatchAugmentation = Augmentation()
    """Augmentation of the training images."""

    def resolved(self, manual_count: int) -> StudentRecipe:
        """Return the recipe with its epochs as steps, and the learning rate changed once per epoch."""
        training = self.optimisation.for_epochs(self.epochs, self.epoch_length(manual_count))
        return self.model_copy(update={"optimisation": training})

    def shares(self, *, covered: float, coarse: bool) -> tuple[float, float, float]:
        """Return the shares of an epoch that have hand-made labels, pseudo-labels and coarse labels.

        In the paper every image labelled by hand has neighbours with pseudo-labels. Where few have, 70 % of
        an epoch would show the few scenes around them and crowd out the others; `even` prevents that.

        Args:
            covered: The share of the images labelled by hand whose neighbours have pseudo-labels.
            coarse: Whether there are coarse labels.

        Example:
            >>> [round(share, 2) for share in StudentRecipe().shares(covered=0.5, coarse=False)]
            [0.65, 0.35, 0.0]
        """
        share = self.pseudo_label_share_with_coarse if coarse else self.pseudo_label_share
        of_pseudo_labels = share * (covered if self.even else float(covered > 0))
        of_coarse = (1 - of_pseudo_labels) * self.coarse_share if coarse else 0.0
        return 1 - of_pseudo_labels - of_coarse, of_pseudo_labels, of_coarse


def shipped_student_recipes() -> dict[str, Path]:
    """Return the recipes for students that come with warprefine, by name."""
    folder = Path(__file__).parent / "shipped" / "student"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_student_recipe(path: Path | str) -> StudentRecipe:
    """Read a student's recipe from a TOML file, or take a shipped one by its name.

    Raises:
        RecipeError: The file is missing, is not TOML, has an unknown key or a value out of range.
    """
    return read_settings(path, StudentRecipe(), shipped=shipped_student_recipes())
