"""Networks of timm: requirements, tested on a stand-in, and the real ones where timm is installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.core.network_spec import NetworkSpec
from warprefine.core.protocols import Pretrained, Segmenter, channels_last
from warprefine.ops.resize import to_size
from warprefine.segmentation import timm_trunk
from warprefine.segmentation.timm_trunk import TimmSegmenter, TimmTrunk
from warprefine.training.losses.cross_entropy import cross_entropy

WIDTHS = (4, 8, 12, 8, 16)
KIND = NetworkSpec(make=TimmSegmenter, settings=("source", "widths"))
SIZES = [(64, 96), (33, 47), (1, 1), (97, 65)]
REAL = {"resnet18": 2, "mobilenetv3_small_100": 2, "efficientnet_lite0": 2, "convnext_atto": 4}
"""Networks of timm, and the stride of their finest features."""
_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
"""Kept for as long as the process lives: its declarations end with it."""


class Pyramid(nn.Module):
    """A stand-in for a network of timm: averages of the picture, mixed by a convolution per stride."""

    def __init__(
        self, *strides: int, nhwc: bool = False, only: tuple[int, int] | None = None, surplus: int = 0
    ) -> None:
        super().__init__()
        self.strides, self.nhwc, self.only, self.surplus = strides, nhwc, only, surplus
        self.mixers = nn.ModuleList(nn.Conv2d(3, 5 + place, 1) for place in range(len(strides)))
        self.feature_info = SimpleNamespace(reduction=lambda: list(strides))
        self.pretrained_cfg = {"mean": (0.5, 0.25, 0.0), "std": (0.25, 0.5, 1.0)}
        self.inputs = torch.empty(0)

    def forward(self, x: Tensor) -> list[Tensor]:
        if self.only not in (None, x.shape[-2:]):
            raise AssertionError(f"Input height ({x.shape[-2]}) doesn't match model ({self.only[0]}).")
        self.inputs = x
        pooled = [functional.avg_pool2d(x, stride) for stride in self.strides]
        found = [mix(each) for mix, each in zip(self.mixers, pooled, strict=True)]
        found[-1] = functional.pad(found[-1], (0, self.surplus))
        return [each.permute(0, 2, 3, 1) for each in found] if self.nhwc else found


@dataclass
class StandIn:
    """A stand-in for the package: two names with weights, and others without."""

    pretrained: dict[str, Pyramid] = field(default_factory=dict)
    failure: Exception | None = None

    def list_models(self) -> list[str]:
        return ["halving", "halving_late", "last_first", "doubled", "vit", "fixed", "odd"]

    def list_pretrained(self) -> list[str]:
        return ["halving.a1"]

    def is_model_pretrained(self, name: str) -> bool:
        return name in ("halving", "halving.a1")

    def create_model(self, name: str, *, features_only: bool, pretrained: bool) -> Pyramid:
        assert features_only
        if pretrained and self.failure is not None:
            raise self.failure
        network = {
            "halving": lambda: Pyramid(2, 4, 8, 16, 32),
            "halving_late": lambda: Pyramid(4, 8, 16, 32),
            "last_first": lambda: Pyramid(4, 8, 16, 32, nhwc=True),
            "doubled": lambda: Pyramid(1, 2, 4, 4, 8, 16, 32),
            "vit": lambda: Pyramid(16, 16, 16),
            "fixed": lambda: Pyramid(4, 8, 16, 32, only=(224, 224)),
            "odd": lambda: Pyramid(2, 4, 8, 16, 32, surplus=1),
        }[name.partition(".")[0]]()
        if pretrained:
            self.pretrained[name] = network
        return network


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The stand-in, found where timm would be."""
    package = StandIn()
    monkeypatch.setitem(sys.modules, "timm", package)  # type: ignore[arg-type]
    return package


@pytest.fixture(scope="module")
def timm() -> Any:
    """The package itself.

    The torchvision of PyPI needs a torch with CUDA: elsewhere it misses two operators, which none of these
    networks uses, so it is enough to declare them.
    """
    for package in ("torchvision", "timm"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: extra [timm]")
    try:
        importlib.import_module("torchvision")
    except (RuntimeError, OSError):
        for operator in ("nms", "qnms"):
            _OPERATORS.define(f"{operator}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    try:
        return importlib.import_module("timm")
    except (ImportError, RuntimeError, OSError) as error:
        pytest.skip(f"timm cannot be imported: {error}")


def noise(*size: int, count: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=generator)


def check_sizes(network: TimmSegmenter, size: tuple[int, int], stride: int) -> None:
    """Check the sizes of a three-class network's outputs for a frame."""
    with torch.inference_mode():
        output = network.eval()(noise(*size))

    h, w = size
    assert output.logits.shape == (1, 3, -(-h // stride), -(-w // stride))
    assert output.features.shape == (1, network.feature_channels, -(-h // 4), -(-w // 4))


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("source", "stride"), [("halving", 2), ("halving_late", 4), ("last_first", 4), ("doubled", 2)]
)
def test_frames_of_any_size_are_segmented(source: str, stride: int, size: tuple[int, int]) -> None:
    """Logits come at the finest stride of the trunk from 2 on, features at 4, rounded up where odd."""
    network = TimmSegmenter(3, source=source, widths=WIDTHS)

    assert isinstance(network, Segmenter)
    assert isinstance(network, Pretrained)
    assert network.training
    assert network.trunk.network.training
    check_sizes(network, size, stride)


@pytest.mark.usefixtures("stand_in")
def test_channels_that_come_last_are_brought_to_the_front() -> None:
    """A trunk that returns (b, h, w, channels) is read as one that returns (b, channels, h, w)."""
    first, last = TimmTrunk("halving_late"), TimmTrunk("last_first")
    last.load_state_dict(first.state_dict())

    assert last.channels == first.channels == (5, 6, 7, 8)
    for a, b in zip(first(noise(64, 96)), last(noise(64, 96)), strict=True):
        assert torch.equal(a, b)


@pytest.mark.usefixtures("stand_in")
def test_of_several_features_at_a_stride_the_last_are_taken() -> None:
    """Those at stride 1 are left out, and of two at stride 4 the later ones are the deeper."""
    assert TimmTrunk("doubled").channels == (6, 8, 9, 10, 11)


@pytest.mark.usefixtures("stand_in")
def test_colours_are_scaled_as_the_network_was_trained() -> None:
    """The network's own mean and deviation, of colours from 0 to 1, are used; no checkpoint holds them."""
    trunk = TimmTrunk("halving")
    frames = torch.tensor([255, 0, 51], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 32)

    trunk(frames)

    torch.testing.assert_close(trunk.network.inputs[0, :, 0, 0], torch.tensor([2.0, -0.5, 0.2]))
    assert all(key.startswith("network.") for key in trunk.state_dict())


def test_pretrained_weights_are_those_of_the_package(stand_in: StandIn) -> None:
    """All weights of the trunk are taken over, and what is behind it stays as it was."""
    network = TimmSegmenter(3, source="halving.a1", widths=WIDTHS)
    scores = network.classifier.weight.clone()

    network.load_pretrained()

    published = stand_in.pretrained["halving.a1"].state_dict()
    for name, values in network.trunk.network.state_dict().items():
        assert torch.equal(values, published[name]), name
    assert torch.equal(network.classifier.weight, scores)


@pytest.mark.parametrize("failure", [OSError, RuntimeError, ValueError, KeyError, SafetensorError])
def test_weights_that_cannot_be_fetched_are_told_of(stand_in: StandIn, failure: type[Exception]) -> None:
    """Without the hub, the error names the remedy, in one line."""
    network = TimmSegmenter(3, source="halving", widths=WIDTHS)
    stand_in.failure = failure("No route.\nRetry.")

    with pytest.raises(
        RecipeError,
        match=r"weights of 'halving' cannot be fetched \('?No route.*\); fetch .* set pretrained = false",
    ) as raised:
        network.load_pretrained()

    assert "\n" not in str(raised.value)


def test_weights_that_are_not_finite_are_refused(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken training is not what a network begins from; the tensor is named."""
    network = TimmSegmenter(3, source="halving", widths=WIDTHS)
    create = stand_in.create_model

    def broken(name: str, **given: bool) -> Pyramid:
        made = create(name, **given)
        next(made.parameters()).data.fill_(float("nan"))
        return made

    monkeypatch.setattr(stand_in, "create_model", broken)

    with pytest.raises(CheckpointError, match="halving has values that are not finite in"):
        network.load_pretrained()


@pytest.mark.usefixtures("stand_in")
def test_weights_that_do_not_exist_are_told_of() -> None:
    """A network that nobody trained does not begin from random weights behind the user's back."""
    network = TimmSegmenter(3, source="halving_late", widths=WIDTHS)

    with pytest.raises(RecipeError, match="no pretrained weights of 'halving_late'; set pretrained = false"):
        network.load_pretrained()


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "network 'timm' needs a source; name a network of timm under"),
        ("halvin", r"no network called 'halvin'; did you mean 'halving'\?"),
        ("halving.a2", r"no network called 'halving\.a2'; did you mean 'halving\.a1'\?"),
        ("hf-hub:some/halving", "no network called 'hf-hub:some/halving'; did you mean"),
        ("vit", "'vit' of timm has features at strides 16, expected 4, 8, 16, 32; name a network"),
        ("fixed", r"'fixed' .* any size \(Input height \(96\) doesn't match model \(224\)\); name another"),
        ("odd", r"'odd' .* any size \(of 96 × 160 pixels it makes 3 × 6 cells\); name another"),
    ],
)
def test_networks_that_cannot_be_used_are_refused(source: str, message: str) -> None:
    """What is unknown, too coarse, or bound to one size is an error before any training."""
    with pytest.raises(RecipeError, match=message):
        TimmSegmenter(3, source=source, widths=WIDTHS)


@pytest.mark.parametrize("failure", [ImportError, RuntimeError, OSError])
def test_without_the_package_the_recipe_is_told_what_to_do(
    failure: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that is missing, or whose torchvision does not match torch, is an error of one line."""

    def failing(name: str) -> Any:
        raise failure(f"operator of {name} does not exist\nmore")

    monkeypatch.setattr(timm_trunk.importlib, "import_module", failing)

    with pytest.raises(
        RecipeError,
        match=r"cannot be imported here \(operator of timm does not exist\); "
        r"pip install '\.\[timm\]' in the repository where torch and torchvision match, or choose another",
    ):
        TimmSegmenter(3, source="halving", widths=WIDTHS)


@pytest.mark.usefixtures("stand_in")
def test_a_network_is_built_again_from_its_own_settings() -> None:
    """A card describes the network that was built, even if the recipe names another one."""
    recipe = SimpleNamespace(source="halving", widths=WIDTHS)
    network = KIND.from_recipe(recipe, 3, init_from={"source": "halving_late", "widths": list(WIDTHS)})

    settings = KIND.describe(network, recipe)
    again = KIND.from_card(settings, 3)

    assert settings == {"source": "halving_late", "widths": list(WIDTHS)}
    again.load_state_dict(network.state_dict())
    frames = noise(40, 50)
    assert torch.equal(again.eval()(frames).logits, network.eval()(frames).logits)


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("source", REAL)
def test_networks_of_timm_segment_frames_of_any_size(source: str, size: tuple[int, int]) -> None:
    """Its own networks are as coarse as the stand-ins above."""
    check_sizes(TimmSegmenter(3, source=source, widths=WIDTHS), size, REAL[source])


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize("source", REAL)
def test_networks_of_timm_learn_as_a_whole(source: str) -> None:
    """A training step reaches every weight, from the first convolution of the trunk to the last."""
    torch.manual_seed(0)
    network = channels_last(TimmSegmenter(3, source=source, widths=WIDTHS)).train()
    labels = noise(64, 64, count=2)[:, 0].remainder(3)

    logits = to_size(network(noise(64, 64, count=2)).logits, (64, 64))
    cross_entropy(logits, labels).backward()

    assert not [name for name, weight in network.named_parameters() if weight.grad is None]
    first = next(network.trunk.parameters()).grad
    assert first is not None
    assert first.isfinite().all()
    assert first.abs().max() > 0


@pytest.mark.parametrize("source", REAL)
def test_networks_of_timm_are_built_again(timm: Any, source: str) -> None:
    """The same settings and weights give the same output, for the trunk that of timm's own network."""
    network = TimmSegmenter(3, source=source, widths=WIDTHS)
    again = KIND.from_card(network.settings, 3)
    again.load_state_dict(network.state_dict())
    whole = timm.create_model(source, features_only=True).eval()
    whole.load_state_dict(network.trunk.network.state_dict())
    frames = noise(64, 96)
    pixels = frames / 255 - torch.tensor(whole.pretrained_cfg["mean"]).view(3, 1, 1)

    with torch.inference_mode():
        assert torch.equal(again.eval()(frames).logits, network.eval()(frames).logits)
        expected = whole(pixels / torch.tensor(whole.pretrained_cfg["std"]).view(3, 1, 1))
        for a, b in zip(network.trunk(frames), expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("timm")
def test_networks_of_timm_that_do_not_fit_are_refused() -> None:
    """Its transformers without stages, and those of one size, are refused."""
    with pytest.raises(RecipeError, match="features at strides 16, expected 4, 8, 16, 32"):
        TimmSegmenter(3, source="vit_tiny_patch16_224", widths=WIDTHS)
    with pytest.raises(RecipeError, match=r"any size \(of 96 × 160 pixels it makes 45 × 77 cells\)"):
        TimmSegmenter(3, source="inception_v3", widths=WIDTHS)
    with pytest.raises(RecipeError, match=r"called 'resnet_18'; did you mean 'resnet18'"):
        TimmSegmenter(3, source="resnet_18", widths=WIDTHS)


def test_weights_of_timm_come_from_its_hub(timm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the hub cannot be reached, timm's own message is passed on, in one line."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert timm.is_model_pretrained("test_resnet")
    network = TimmSegmenter(3, source="test_resnet", widths=WIDTHS)

    with pytest.raises(RecipeError, match=r"weights of 'test_resnet' cannot be fetched \(.+\); fetch them"):
        network.load_pretrained()
