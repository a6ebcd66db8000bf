"""Hyper-parameters that the trainings of all networks share, and the base class of all settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

SettingsT = TypeVar("SettingsT", bound="Settings")


MOST_STEPS = 100_000_000
"""Like all upper limits of recipes far beyond what is of use: they catch slips before work begins."""


class Settings(BaseModel):
    """A table of a recipe: immutable, and without any fields but the declared ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @classmethod
    def with_present_keys(cls, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return a table of a file with keys of former versions at their present places, at any depth."""
        fields = {name: field.default for name, field in cls.model_fields.items()}
        return {
            key: type(fields[key]).with_present_keys(value)
            if isinstance(value, Mapping) and isinstance(fields.get(key), Settings)
            else value
            for key, value in table.items()
        }

    def part(self, declared_by: type[Settings]) -> dict[str, Any]:
        """Return the values of those fields that a base class declares, as JSON can hold them."""
        return self.model_dump(mode="json", include=set(declared_by.model_fields))

    def changed(self: SettingsT, place: Sequence[str], value: object) -> SettingsT:
        """Return the same settings with another value at a place, such as ("carry", "motion").

        Example:
            >>> from warprefine.recipe.recipe import Recipe
            >>> recipe = Recipe().changed(("plus", "carry", "motion"), "dis-medium")
            >>> recipe.plus.carry.motion, recipe.propagation.motion
            ('dis-medium', 'best')
        """
        name, *below = place
        now: Any = getattr(self, name)
        return self.model_copy(update={name: now.changed(below, value) if below else value})

    def to_dict(self) -> dict[str, Any]:
        """Return all values, as JSON can hold them."""
        return self.model_dump(mode="json")


class Optimisation(Settings):
    """How a network is trained; the defaults are for few steps from random weights."""

    steps: int = Field(2000, ge=1, le=MOST_STEPS)
    """Number of optimiser steps."""
    batch: int = Field(8, ge=1, le=10_000)
    """Samples per batch, over all processes."""
    accumulate: int = Field(1, ge=1, le=10_000)
    """Batches whose gradients are added up for one step."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    """AdamW, which gets further in few steps, or the paper's SGD."""
    learning_rate: float = Field(2e-3, gt=0, le=100)
    """Learning rate after the warm-up; for SGD about 0.05."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of SGD."""
    weight_decay: float = Field(0.03, ge=0, le=100)
    """Weight decay; decoupled with AdamW; for SGD about 1e-4."""
    decayed: Literal["kernels", "all"] = "kernels"
    """Which weights decay: kernels alone, or biases and norms too, as in the paper's code."""
    schedule: Literal["poly", "poly2", "scaled-poly"] = "poly"
    """How the learning rate falls; poly2 doubles the power at its turn, scaled-poly restarts there."""
    poly_power: float = Field(0.9, gt=0, le=100)
    """The learning rate falls as (1 - step / steps) to this power."""
    turn: float = Field(0.6, gt=0, lt=1)
    """Share of the steps after which poly2 and scaled-poly turn."""
    second_power: float = Field(1.5, gt=0, le=100)
    """The power of scaled-poly after its turn."""
    second_scale: float = Field(1.0, gt=0, le=1000)
    """Learning rate at the restart of scaled-poly, as a multiple of the first."""
    steps_per_drop: int = Field(1, ge=1, le=MOST_STEPS)
    """Steps between changes of the learning rate; those of an epoch for the paper's schedule by epoch."""
    warmup: int = Field(50, ge=0, le=MOST_STEPS)
    """Steps over which the learning rate rises from zero."""
    average_decay: float = Field(0.99, ge=0, lt=1)
    """Decay of the running average of the weights that is kept in the end; 0 keeps the last weights."""
    clip_norm: float = Field(5.0, gt=0)
    """Largest norm of the gradient; longer gradients are clipped to it."""
    class_balance: float = Field(0.55, ge=0, le=1)
    """Loss weights fall as class frequency to minus this power; 0 weighs all pixels alike."""
    mixed_precision: bool = True
    """Compute in bfloat16 where it is safe; in float16, with a scaled loss, on GPUs that lack it."""
    recompute: bool = False
    """Compute activations of large networks again in the backward pass: less memory, 40 % more time."""
    checkpoint_every: int = Field(100, ge=1)
    """Steps between saved states, from which a killed training continues."""
    validate_every: int = Field(250, ge=1)
    """Steps between validations; the best weights are kept."""

    def for_epochs(self, epochs: float, length: int) -> Optimisation:
        """Return the training with epochs as steps, and a learning rate that changes once per epoch.

        Args:
            epochs: Number of epochs; 0 leaves the training as it is.
            length: Samples of an epoch.

        Example:
            >>> paper = Optimisation(batch=8).for_epochs(175.0, 3 * 2975)
            >>> paper.steps, paper.steps_per_drop
            (195235, 1116)
        """
        if not epochs:
            return self
        per_epoch = length / (self.batch * self.accumulate)
        steps = ceil(epochs * per_epoch)
        drop = min(max(round(per_epoch), 1), steps)
        return self.model_copy(update={"steps": steps, "steps_per_drop": drop})


class Epochs(Settings):
    """The length of a training in epochs of a size that depends on the images labelled by hand alone."""

    epoch_factor: float = Field(3.0, gt=0, le=1000)
    """Samples of an epoch per image labelled by hand, however many pseudo-labels there are (the paper: 3)."""
    epochs: float = Field(0.0, ge=0, le=100_000)
    """Length of the training (the paper: 175); 0 leaves it to the steps of the optimisation."""

    def epoch_length(self, manual_count: int) -> int:
        """Return the number of samples of an epoch."""
        return max(round(self.epoch_factor * manual_count), 1)
