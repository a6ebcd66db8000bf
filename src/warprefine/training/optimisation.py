"""Name the hyper-parameters that the trainings of all networks share."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """A table of a recipe: it cannot be changed, and has no other fields than those named."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class Optimisation(Settings):
    """How a network is trained: in few steps from random weights, unless said otherwise."""

    steps: int = Field(2000, ge=1)
    """Number of optimiser steps."""
    batch: int = Field(8, ge=1)
    """Samples per batch, over all processes."""
    accumulate: int = Field(1, ge=1)
    """Batches whose gradients are added up for one step."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    """AdamW, which gets further in few steps, or the paper's SGD."""
    learning_rate: float = Field(2e-3, gt=0)
    """Learning rate after the warm-up; SGD wants about 0.05."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of SGD."""
    weight_decay: float = Field(0.03, ge=0)
    """Decay of the weights; decoupled with AdamW, while SGD wants about 1e-4."""
    decayed: Literal["kernels", "all"] = "kernels"
    """What decays: kernels alone, or biases and norms too, as in the paper's code."""
    schedule: Literal["poly", "poly2", "scaled-poly"] = "poly"
    """How the learning rate falls; poly2 doubles the power at its turn, scaled-poly begins anew there."""
    poly_power: float = Field(0.9, gt=0)
    """The learning rate falls as (1 - step / steps) to this power."""
    turn: float = Field(0.6, gt=0, lt=1)
    """Share of the steps after which poly2 and scaled-poly turn."""
    second_power: float = Field(1.5, gt=0)
    """The power of scaled-poly after its turn."""
    second_scale: float = Field(1.0, gt=0)
    """The learning rate with which scaled-poly begins anew, as a multiple of the first."""
    steps_per_drop: int = Field(1, ge=1)
    """Steps over which the learning rate stays; an epoch's for the paper's schedule by epoch."""
    warmup: int = Field(50, ge=0)
    """Steps over which the learning rate rises from zero."""
    average_decay: float = Field(0.99, ge=0, lt=1)
    """Decay of the running average of the weights that is kept in the end; 0 keeps the last weights."""
    clip_norm: float = Field(5.0, gt=0)
    """Gradients longer than this are shortened to it."""
    class_balance: float = Field(0.55, ge=0, le=1)
    """Loss weights fall as class frequency to minus this power; 0 weighs all pixels alike."""
    mixed_precision: bool = True
    """Compute in bfloat16 where it is safe; in float16, with a scaled loss, on GPUs that lack it."""
    checkpoint_every: int = Field(100, ge=1)
    """Steps between states from which a killed training goes on."""
    validate_every: int = Field(250, ge=1)
    """Steps between validations; the best weights are kept."""
