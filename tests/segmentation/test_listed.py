"""Tests of segmentation/__init__.py: whatever is listed can be built and used."""

from __future__ import annotations

import pytest
import torch

from warprefine.core.protocols import Segmenter
from warprefine.recipe.recipe import SegmenterRecipe
from warprefine.segmentation import SEGMENTERS

NAMED_BY_USERS = {"huggingface", "timm"}
"""Networks whose shape comes from elsewhere."""


@pytest.mark.parametrize("name", sorted(SEGMENTERS.keys() - NAMED_BY_USERS))
def test_every_listed_network_is_a_segmenter(name: str) -> None:
    """A class count and a recipe are enough to build it, and its card to build it again."""
    kind, recipe = SEGMENTERS[name], SegmenterRecipe()

    with torch.device("meta"):  # shapes alone; filling all weights takes seconds
        network = kind.from_recipe(recipe, 3)
        again = kind.from_card(kind.describe(network, recipe), 3)

    assert isinstance(network, Segmenter)
    assert network.class_count == 3
    assert network.feature_channels > 0
    shapes = [{key: value.shape for key, value in made.state_dict().items()} for made in (network, again)]
    assert shapes[0] == shapes[1]
