"""Count what a network costs: multiply-adds of a forward pass and bytes of its output, for a pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from warprefine.core.protocols import RefinerInput, Segmentation, module_of
from warprefine.motion.sdcnet import SDCNet
from warprefine.recipe.motion import MotionRecipe
from warprefine.recipe.network import NetworkRecipe
from warprefine.recipe.recipe import Recipe, RefinerRecipe
from warprefine.recipe.two_sided_refiner import TwoSidedNetwork
from warprefine.refinement import REFINERS, TWO_SIDED_REFINERS
from warprefine.refinement.interface import Side, TwoSidedInput
from warprefine.segmentation import SEGMENTERS
from warprefine.training.motion import network_settings
from warprefine.training.refiners.refiner import REFINER

_SIDE, _FRAMES = 128, 2
"""Of the frames that pass through the network, in pixels; two, because batch norm takes no single value."""
_PIXELS = _FRAMES * _SIDE * _SIDE
_COUNTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True, kw_only=True)
class NetworkCost:
    """What a network costs.

    Attributes:
        multiply_adds: Multiply-adds of convolutions and linear layers in a forward pass, for a pixel.
        weight_bytes: Bytes of its checkpoint.
        output_bytes: Of a segmenter: bytes of logits and features for a pixel, in half precision.
        feature_channels: Of a segmenter: channels of its features.
    """

    multiply_adds: float
    weight_bytes: int
    output_bytes: float = 0.0
    feature_channels: int = 0


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Costs of networks, each counted once."""

    class_count: int
    known: dict[str, NetworkCost] = field(default_factory=dict)

    def segmenter(self, recipe: NetworkRecipe, *, training: bool) -> NetworkCost:
        """Return the cost of a segmenter or student."""
        key = f"{training} {recipe.network} {recipe.widths} {recipe.source} {recipe.scales}"
        if key not in self.known:
            self.known[key] = cost_of_segmenter(recipe, self.class_count, training=training)
        return self.known[key]

    def refiner(self, recipe: Recipe, part: str) -> NetworkCost:
        """Return the cost of a refiner."""
        chosen = recipe.refiner if part == REFINER.part else recipe.plus.refiner
        key = f"{part} {chosen.model_dump_json()}"
        if key not in self.known:
            segmenter = self.segmenter(recipe.segmenter, training=False)
            features = segmenter.feature_channels if chosen.features else 0
            self.known[key] = cost_of_refiner(chosen, self.class_count, features)
        return self.known[key]


def cost_of_segmenter(recipe: NetworkRecipe, class_count: int, *, training: bool) -> NetworkCost:
    """Return the cost of a segmenter with random weights.

    Args:
        recipe: Names the network and its settings.
        class_count: The classes that it scores.
        training: Whether it is trained: some networks use other scales then than in labelling.
    """
    segmenter: Any = SEGMENTERS[recipe.network].from_recipe(recipe, class_count)
    output, cost = _passed(segmenter, lambda: segmenter(_frames()), training=training)
    return replace(
        cost, output_bytes=output.nbytes / 2 / _PIXELS, feature_channels=segmenter.feature_channels
    )


def cost_of_refiner(
    recipe: RefinerRecipe | TwoSidedNetwork, class_count: int, feature_channels: int
) -> NetworkCost:
    """Return the cost of a refiner with random weights.

    Args:
        recipe: Names the network and its settings.
        class_count: The classes that it scores, without VOID.
        feature_channels: Channels of the segmenter's features that it joins; 0 for none.
    """
    frames, half, quarter = _frames(), _SIDE // 2, _SIDE // 4
    segmentation = Segmentation(
        logits=torch.zeros(_FRAMES, class_count, half, half),
        features=torch.zeros(_FRAMES, max(feature_channels, 1), quarter, quarter),
    )
    inputs: RefinerInput | TwoSidedInput
    specs: Any
    if isinstance(recipe, RefinerRecipe):
        specs = REFINERS
        labels = torch.zeros(_FRAMES, _SIDE, _SIDE, dtype=torch.uint8)
        inputs = RefinerInput(frame=frames, warped_frame=frames, labels=labels, segmentation=segmentation)
    else:
        specs, side = TWO_SIDED_REFINERS, Side.missing(frames)
        inputs = TwoSidedInput(frame=frames, sides=(side, side), segmentation=segmentation)
    refiner = specs[recipe.network].from_recipe(recipe, class_count, feature_channels)
    return _passed(refiner, lambda: refiner(inputs), training=False)[1]


def cost_of_motion(recipe: MotionRecipe) -> NetworkCost:
    """Return the cost of an SDC-Net with random weights, without that of its input flow."""
    network = SDCNet(**network_settings(recipe))
    frames = torch.zeros(_FRAMES, recipe.frames, 3, _SIDE, _SIDE)
    flows = torch.zeros(_FRAMES, recipe.frames - 1, 2, _SIDE, _SIDE)
    return _passed(network, lambda: network(frames, flows), training=False)[1]


def _frames() -> torch.Tensor:
    return torch.zeros(_FRAMES, 3, _SIDE, _SIDE, dtype=torch.uint8)


def _passed(network: object, forward: Callable[[], Any], *, training: bool) -> tuple[Any, NetworkCost]:
    """Return the output of a forward pass, and its cost."""
    module, counted = module_of(network).train(training), [0]

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        # A weight is used once at each position of the output, or of the input where it is transposed.
        transposed = isinstance(layer, nn.ConvTranspose2d)
        weight, values = layer.get_parameter("weight"), inputs[0] if transposed else output
        counted[0] += weight.numel() * values.numel() // weight.shape[0]

    layers = [layer for layer in module.modules() if isinstance(layer, _COUNTED)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        output = forward()
    for hook in hooks:
        hook.remove()
    return output, NetworkCost(
        multiply_adds=counted[0] / _PIXELS,
        weight_bytes=sum(values.nbytes for values in module.state_dict().values()),
    )
