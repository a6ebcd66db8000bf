"""Networks of Hugging Face keep their outputs when loaded, and are fine-tuned on the user's classes."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.core.protocols import Segmenter, channels_last
from warprefine.io.bounded_building import bounded_building
from warprefine.ops.resize import pad_to_multiple, to_size
from warprefine.segmentation import huggingface
from warprefine.segmentation.huggingface import HuggingFaceSegmenter, mask_scores
from warprefine.segmentation.huggingface_source import PixelScaling
from warprefine.training.losses.cross_entropy import cross_entropy

transformers = pytest.importorskip("transformers", reason="not installed: extra [hf]")
huggingface_hub = pytest.importorskip("huggingface_hub", reason="not installed: extra [hf]")
pytest.importorskip("scipy", reason="not installed: extra [hf]")

STAGES = ["stage1", "stage2", "stage3", "stage4"]
CONVNEXT = {"hidden_sizes": [4, 8, 8, 8], "depths": [1] * 4, "out_features": STAGES}
SWIN = {"embed_dim": 8, "depths": [1] * 4, "num_heads": [1] * 4, "window_size": 4, "out_features": STAGES}
VIT = {
    "image_size": 64,
    "patch_size": 16,
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
PREPROCESSOR = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
NETWORKS: dict[str, Callable[[], Any]] = {
    "segformer": lambda: transformers.SegformerConfig(
        depths=[1] * 4,
        hidden_sizes=[8, 8, 16, 16],
        num_attention_heads=[1, 1, 2, 2],
        mlp_ratios=[1] * 4,
        decoder_hidden_size=16,
    ),
    "upernet": lambda: transformers.UperNetConfig(
        backbone_config=transformers.ConvNextConfig(**CONVNEXT),
        hidden_size=16,
        auxiliary_in_channels=8,
        auxiliary_channels=8,
    ),
    "dpt": lambda: transformers.DPTConfig(
        **VIT, neck_hidden_sizes=[8] * 4, fusion_hidden_size=12, backbone_out_indices=[0, 1, 2, 3]
    ),
    "beit": lambda: transformers.BeitConfig(**VIT, out_indices=[1, 2, 3, 4], use_relative_position_bias=True),
    "mobilenet_v2": lambda: transformers.MobileNetV2Config(
        depth_multiplier=0.05, min_depth=4, depth_divisible_by=4, output_stride=32
    ),
    "mask2former": lambda: transformers.Mask2FormerConfig(
        backbone_config=transformers.SwinConfig(**SWIN),
        feature_size=32,
        mask_feature_size=20,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=6,
    ),
}
OUTPUTS = {
    # stride of the logits, features, and their stride
    "segformer": (4, 16, 4),
    "upernet": (4, 16, 4),
    "dpt": (2, 12, 4),
    "beit": (4, 16, 4),
    "mobilenet_v2": (16, 256, 16),
    "mask2former": (4, 20, 4),
}
SQUEEZED = {"dpt"}
every_network = pytest.mark.parametrize("kind", list(NETWORKS))


def maker(kind: str) -> Any:
    universal = kind == "mask2former"
    return (
        transformers.AutoModelForUniversalSegmentation
        if universal
        else transformers.AutoModelForSemanticSegmentation
    )


def noise(*size: int) -> Tensor:
    return torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each kind of network, with random weights for five classes."""
    paths = {}
    for kind, configure in NETWORKS.items():
        torch.manual_seed(7)
        paths[kind] = tmp_path_factory.mktemp(kind)
        config = configure()
        config.num_labels = 5
        maker(kind).from_config(config).save_pretrained(paths[kind])
        (paths[kind] / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return paths


@pytest.fixture
def folder(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A SegFormer's folder that may be spoilt."""
    return Path(shutil.copytree(folders["segformer"], tmp_path / "network"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@every_network
@torch.inference_mode()
def test_frames_of_any_size_are_segmented(folders: dict[str, Path], kind: str) -> None:
    """Scores and features lie on a grid that crops fit on, whatever the size of frame and network."""
    network = HuggingFaceSegmenter(3, source=str(folders[kind])).eval()
    stride, channels, feature_stride = OUTPUTS[kind]

    assert isinstance(network, Segmenter)
    assert network.feature_channels == channels
    for h, w in ((70, 90), (33, 128), (1, 40)):
        output = network(noise(h, w))
        assert output.logits.shape == (1, 3, -(-h // stride), -(-w // stride))
        assert output.features.shape == (1, channels, -(-h // feature_stride), -(-w // feature_stride))
        assert output.first_guess is None
        assert bool(output.logits.isfinite().all())


@every_network
@torch.inference_mode()
def test_a_checkpoint_is_rebuilt_without_its_source(folders: dict[str, Path], kind: str) -> None:
    """Configuration and weights are enough to reproduce the output, to the last bit."""
    first = HuggingFaceSegmenter(3, source=str(folders[kind])).eval()
    stored = json.loads(json.dumps(first.config))

    again = HuggingFaceSegmenter(3, source="/is/not/looked/at", config=stored).eval()
    again.load_state_dict(first.state_dict())

    frames = noise(70, 90)
    assert again.config == first.config == stored
    assert not [value for value in stored.values() if value == str(folders[kind])]
    assert torch.equal(first(frames).logits, again(frames).logits)
    assert torch.equal(first(frames).features, again(frames).features)


@every_network
def test_weights_lie_where_torch_lays_them(folders: dict[str, Path], kind: str) -> None:
    """Tensors of a file begin anywhere in memory, and kernels are chosen by address: weights move."""
    network = HuggingFaceSegmenter(3, source=str(folders[kind]))

    assert not [name for name, values in network.state_dict().items() if values.data_ptr() % 64]


@every_network
def test_the_head_begins_anew_and_all_else_is_the_folders(
    folders: dict[str, Path], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What depends on the number of classes is new, which is logged; every other weight is as published."""
    published = maker(kind).from_pretrained(folders[kind]).state_dict()

    with caplog.at_level(logging.INFO, logger="warprefine"):
        own = HuggingFaceSegmenter(3, source=str(folders[kind])).network.state_dict()

    anew = {name for name, values in own.items() if not torch.equal(values, published[name])}
    assert anew
    assert all(
        name.endswith(("classifier.weight", "classifier.bias", "head.4.weight", "head.4.bias"))
        or "class_predictor" in name
        or "classifier.convolution" in name
        for name in anew
    )
    assert "are reinitialised for 3 classes" in caplog.text
    assert min(anew) in caplog.text
    assert all(bool(own[name].isfinite().all()) for name in anew)


@every_network
def test_it_learns_a_picture(folders: dict[str, Path], kind: str) -> None:
    """A few steps lower the cross entropy, in half precision and with kernels laid out for the CPU."""
    network = channels_last(HuggingFaceSegmenter(3, source=str(folders[kind])))
    with torch.inference_mode():
        network.eval()(noise(64, 64))  # a validation between the steps must leave nothing behind
    network.train()
    frames = torch.full((2, 3, 64, 64), 60, dtype=torch.uint8)
    frames[..., 16:48, 32:] = 220
    labels = (frames[:, 0] > 128).to(torch.uint8)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.02)

    losses = []
    for _ in range(6):
        with torch.autocast("cpu", torch.bfloat16):
            output = network(frames)
        loss = cross_entropy(to_size(output.logits.float(), (64, 64)), labels)
        if output.first_guess is not None:
            loss = loss + 0.4 * cross_entropy(to_size(output.first_guess.float(), (64, 64)), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))

    assert losses[-1] < 0.8 * losses[0]
    assert (output.first_guess is not None) == hasattr(network.network, "auxiliary_head")
    heads = [p for name, p in network.named_parameters() if "class" in name]
    assert all(p.grad is not None and bool(p.grad.any()) for p in heads)


@pytest.mark.parametrize("kind", [kind for kind in NETWORKS if kind not in SQUEEZED])
@torch.inference_mode()
def test_convention_scores_lie_where_the_frame_is(folders: dict[str, Path], kind: str) -> None:
    """Rows and columns that fill a frame up to a multiple of 32 are cut off, and nothing is moved."""
    network = HuggingFaceSegmenter(3, source=str(folders[kind])).eval()
    frames = noise(70, 90)
    filled = pad_to_multiple(frames.float(), 32).to(torch.uint8)

    part, whole = network(frames), network(filled)

    assert filled.shape[-2:] == (96, 96)
    for found, expected in ((part.logits, whole.logits), (part.features, whole.features)):
        assert torch.equal(found, expected[..., : found.shape[-2], : found.shape[-1]])
        assert found.shape[-2] < expected.shape[-2]


@pytest.mark.parametrize("cells", [(96, 192), (48, 96), (3, 6), (64, 64), (28, 55)])
def test_convention_a_ramp_stays_where_it_is_on_another_grid(cells: tuple[int, int]) -> None:
    """Scores that rise with x rise alike after they were brought to a stride that is allowed."""
    x = (torch.arange(cells[1]) + 0.5) * 192 / cells[1]
    ramp = x.expand(1, 1, *cells)

    found = huggingface._on_grid(ramp, (96, 192), (90, 190))

    stride = 192 // found.shape[-1]
    assert stride in {2, 4, 8, 16}
    centres = (torch.arange(found.shape[-1]) + 0.5) * stride
    inner = slice(2, -2)
    torch.testing.assert_close(found[0, 0, 1, inner], centres[inner])


@torch.inference_mode()
def test_a_network_of_one_size_sees_the_whole_frame(folders: dict[str, Path]) -> None:
    """What is bound to 64 x 64 gets the frame squeezed to that, not a part of it."""
    network = HuggingFaceSegmenter(3, source=str(folders["dpt"])).eval()
    bright = torch.arange(96.0).expand(1, 3, 32, 96)

    squeezed = network._resize_input(bright)

    assert squeezed.shape == (1, 3, 64, 64)
    torch.testing.assert_close(squeezed[0, 0, 9, 1:-1], ((torch.arange(64) + 0.5) * 1.5 - 0.5)[1:-1])


@torch.inference_mode()
def test_patches_that_fit_no_grid_are_fitted() -> None:
    """A network of patches of 14 pixels covers all of a frame, and its scores still have stride 2."""
    config = transformers.BeitConfig(
        **(VIT | {"patch_size": 14, "image_size": 56}), out_indices=[1, 2, 3, 4]
    ).to_dict()
    network = HuggingFaceSegmenter(3, config=config).eval()

    assert network._resize_input(torch.zeros(1, 3, 96, 64)).shape[-2:] == (98, 70)
    assert network(noise(70, 90)).logits.shape == (1, 3, 35, 45)


@torch.inference_mode()
def test_scores_are_taken_before_they_are_only_enlarged(folders: dict[str, Path]) -> None:
    """UperNet enlarges its scores to the frame's size at the end; enlarging ours gives the same."""
    network = HuggingFaceSegmenter(3, source=str(folders["upernet"])).eval()
    frames = noise(64, 96)
    mean, deviation = (torch.tensor(PREPROCESSOR[key]).view(3, 1, 1) for key in PREPROCESSOR)

    theirs = network.network(pixel_values=(frames / 255 - mean) / deviation).logits

    assert theirs.shape[-2:] == (64, 96)
    torch.testing.assert_close(to_size(network(frames).logits, (64, 96)), theirs)


@torch.inference_mode()
def test_pixels_are_scaled_as_the_folder_says(folder: Path) -> None:
    """Mean, deviation, factor and the order of colours are read from the folder and kept."""
    settings = {**PREPROCESSOR, "rescale_factor": 0.01, "do_flip_channel_order": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    network = HuggingFaceSegmenter(5, source=str(folder)).eval()
    again = HuggingFaceSegmenter(5, config=network.config).eval()
    again.load_state_dict(network.state_dict())
    theirs = transformers.AutoModelForSemanticSegmentation.from_pretrained(folder).eval()
    frames = noise(64, 96)
    mean, deviation = (torch.tensor(PREPROCESSOR[key]).view(3, 1, 1) for key in PREPROCESSOR)

    expected = theirs(pixel_values=(frames.flip(1) * 0.01 - mean) / deviation).logits

    torch.testing.assert_close(network(frames).logits, expected)
    torch.testing.assert_close(again(frames).logits, expected)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"do_normalize": True}, PixelScaling()),
        ({}, PixelScaling(mean=(0.0,) * 3, deviation=(1.0,) * 3)),
        (
            {"do_normalize": False, "image_mean": [0.5] * 3},
            PixelScaling(mean=(0.0,) * 3, deviation=(1.0,) * 3),
        ),
        (
            {"image_mean": [9.0] * 3, "image_std": [2.0] * 3, "do_rescale": False},
            PixelScaling(mean=(9.0,) * 3, deviation=(2.0,) * 3, factor=1.0),
        ),
    ],
)
def test_what_a_preprocessor_leaves_out_is_not_done(settings: dict[str, Any], expected: PixelScaling) -> None:
    """Pixels are normalised where `do_normalize` is set, or where a mean is given."""
    assert PixelScaling.from_preprocessor(settings) == expected


def test_without_a_preprocessor_the_statistics_of_imagenet_are_used(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """That file may be missing, which is logged."""
    (folder / "preprocessor_config.json").unlink()

    with caplog.at_level(logging.INFO, logger="warprefine"):
        network = HuggingFaceSegmenter(3, source=str(folder))

    assert network.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert "preprocessor_config.json is missing; pixels are scaled by the statistics" in caplog.text


def test_a_head_of_as_many_classes_is_kept(folder: Path) -> None:
    """A folder that has the user's classes already is taken as it is."""
    own = HuggingFaceSegmenter(5, source=str(folder)).network.state_dict()

    published = maker("segformer").from_pretrained(folder).state_dict()
    assert own.keys() == published.keys()
    assert all(torch.equal(own[name], values) for name, values in published.items())


NAMES = ("sky", "road", "car", "tree", "person")


def named(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    """Give the classes of a folder's network names."""
    stored = json.loads((folder / "config.json").read_text())
    stored["id2label"] = {str(place): name for place, name in enumerate(names)}
    (folder / "config.json").write_text(json.dumps(stored))
    return folder


@pytest.mark.parametrize("kind", ["segformer", "upernet", "mask2former"])
def test_classes_in_another_order_keep_their_scores(
    folders: dict[str, Path], tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A head that scores the same classes is not taken as it is: each class is looked up by its name."""
    folder = named(shutil.copytree(folders[kind], tmp_path / "network"))
    order = (3, 0, 1, 4, 2)
    published = HuggingFaceSegmenter(5, source=str(folder), class_names=NAMES).eval()

    with caplog.at_level(logging.INFO, logger="warprefine"):
        turned = HuggingFaceSegmenter(5, source=str(folder), class_names=[NAMES[place] for place in order])

    frames = noise(64, 64)
    with torch.inference_mode():
        expected, found = published(frames).logits, turned.eval()(frames).logits
    torch.testing.assert_close(found, expected[:, list(order)])
    assert "the head keeps the scores of 5 classes by name" in caplog.text


def test_other_classes_begin_with_a_new_head(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As many classes are not the same classes, and what has no name is not known to be."""
    published = load_file(folder / "model.safetensors")["decode_head.classifier.weight"]

    def head(names: tuple[str, ...]) -> Tensor:
        network: Any = HuggingFaceSegmenter(len(names), source=str(folder), class_names=names).network
        weight: Tensor = network.decode_head.classifier.weight
        return weight

    with caplog.at_level(logging.INFO, logger="warprefine"):
        assert not torch.equal(head(("a", "b", "c", "d", "e")), published)
        assert "the head begins anew, since the classes that it scores have no names" in caplog.text
        named(folder)
        assert not torch.equal(head(("a", "b", "c", "d", "e")), published)
        assert "begins anew, since none of its classes (sky, road, car, tree, person) has" in caplog.text
        partly = head(("a", "Road"))
        assert torch.equal(partly[1], published[1])
        assert "the head keeps the scores of 1 classes by name; a begin anew" in caplog.text
        assert torch.equal(head(NAMES), published)
        assert "the head is kept, whose classes are those of the data set" in caplog.text


@pytest.mark.parametrize("bare", [True, False])
def test_a_trunk_alone_gets_a_new_head(folder: Path, caplog: pytest.LogCaptureFixture, *, bare: bool) -> None:
    """Encoders trained on ImageNet are what published recipes begin from; the log says what is new."""
    weights = load_file(folder / "model.safetensors")
    trunk = {name: values for name, values in weights.items() if name.startswith("segformer.")}
    trunk |= {} if bare else {"classifier.weight": torch.zeros(1000, 16)}
    save_file(trunk, folder / "model.safetensors", metadata={"format": "pt"})

    with caplog.at_level(logging.INFO, logger="warprefine"):
        own = HuggingFaceSegmenter(3, source=str(folder), class_names=NAMES[:3]).network.state_dict()

    assert "holds the trunk of a segformer alone: all else begins anew" in caplog.text
    assert all(torch.equal(own[name], values) for name, values in trunk.items() if name in own)
    assert all(bool(values.isfinite().all()) for values in own.values())


def test_a_head_under_other_names_is_not_kept_unseen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are translated on the way hide nothing: what cannot be matched is refused."""
    cls = transformers.SegformerForSemanticSegmentation
    theirs = cls.from_pretrained.__func__

    def translated(_: Any, path: None, *, state_dict: dict[str, Tensor], **given: Any) -> Any:
        stored = load_file(folder / "model.safetensors")
        head = {name: stored[name] for name in stored if "classifier" in name}
        return theirs(cls, path, state_dict={**state_dict, **head}, **given)

    monkeypatch.setattr(cls, "from_pretrained", classmethod(translated))

    with pytest.raises(CheckpointError, match="stores its head under other names than decode_head"):
        HuggingFaceSegmenter(5, source=str(folder), class_names=NAMES)


def test_a_trunk_that_lacks_a_layer_is_refused(folder: Path) -> None:
    """Half a trunk is none."""
    weights = load_file(folder / "model.safetensors")
    trunk = {name: values for name, values in weights.items() if name.startswith("segformer.")}
    trunk.pop(min(trunk))
    save_file(trunk, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(CheckpointError, match="that segments, or of its trunk alone; name a model"):
        HuggingFaceSegmenter(3, source=str(folder))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts whose addresses are asked for, none of which is there."""
    hosts: list[str] = []

    def deny(host: str, *_: object, **__: object) -> None:
        hosts.append(host)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", deny)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return hosts


REQUESTS = [
    {"model_type": "upernet", "backbone": "evil/trunk", "use_pretrained_backbone": True},
    {"model_type": "maskformer", "backbone": "evil/trunk", "use_timm_backbone": True, "backbone_kwargs": {}},
    {"model_type": "segformer", "_attn_implementation": "kernels-community/evil"},
    {"model_type": "segformer", "attn_implementation": "evil/kernel", "_name_or_path": "evil/model"},
    {"model_type": "segformer", "quantization_config": {"quant_method": "gptq"}},
    {"model_type": "segformer", "auto_map": {"AutoModelForSemanticSegmentation": "evil/code--m.M"}},
    {"model_type": "segformer", "transformers_weights": "../../evil.safetensors"},
    {
        "model_type": "upernet",
        "backbone_config": {
            "model_type": "swin",
            "_attn_implementation": "evil/k",
            "_name_or_path": "evil/m",
        },
    },
    {
        "model_type": "upernet",
        "backbone_config": {"model_type": "timm_backbone", "backbone": "hf-hub:evil/trunk"},
    },
]


@pytest.mark.parametrize("described", REQUESTS, ids=str)
@pytest.mark.parametrize("source", [True, False])
def test_no_host_is_asked_for_what_a_file_names(
    tmp_path: Path, asked: list[str], described: dict[str, Any], *, source: bool
) -> None:
    """Settings that name a repository, in a folder or in a checkpoint, are not followed."""
    (tmp_path / "config.json").write_text(json.dumps(described))
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")

    with contextlib.suppress(CheckpointError, RecipeError):
        if source:
            HuggingFaceSegmenter(3, source=str(tmp_path))
        else:
            with bounded_building(tmp_path, 0):
                HuggingFaceSegmenter(3, config=described)

    assert asked == []


def test_an_adapter_beside_the_weights_is_not_followed(folder: Path, asked: list[str]) -> None:
    """A file that names another model beside the weights changes nothing."""
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "evil/base"}')

    HuggingFaceSegmenter(3, source=str(folder))

    assert asked == []


def test_the_hub_may_be_asked_again_afterwards(folder: Path, asked: list[str]) -> None:
    """Only while a network is built nothing is fetched."""
    HuggingFaceSegmenter(3, source=str(folder))

    assert huggingface_hub.constants.HF_HUB_OFFLINE is False


@pytest.mark.parametrize(
    "names", [["../other.safetensors"], ["/etc/passwd"], ["a/b.safetensors"], ["no.safetensors"], []]
)
def test_an_index_names_files_of_its_folder_alone(folder: Path, names: list[str]) -> None:
    """Weights in several files are read, and none from elsewhere."""
    whole = HuggingFaceSegmenter(5, source=str(folder)).network.state_dict()
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = ("model-1.safetensors", "model-2.safetensors")
    halves = sorted(weights)[::2], sorted(weights)[1::2]
    for part, half in zip(parts, halves, strict=True):
        save_file({name: weights[name] for name in half}, folder / part, metadata={"format": "pt"})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": parts[0], "b": parts[1]}}))
    save_file(weights, folder.parent / "other.safetensors")

    own = HuggingFaceSegmenter(5, source=str(folder)).network.state_dict()

    assert all(torch.equal(own[name], values) for name, values in whole.items())
    index.write_text(json.dumps({"weight_map": dict(enumerate(names))}))
    with pytest.raises(CheckpointError, match="names files that are not in its folder; restore"):
        HuggingFaceSegmenter(5, source=str(folder))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(folder: Path, bad: float) -> None:
    """The tensor is named, and nothing is labelled with it."""
    weights = load_file(folder / "model.safetensors")
    weights["decode_head.linear_fuse.weight"][0] = bad
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(CheckpointError, match=r"not finite in decode_head\.linear_fuse\.weight"):
        HuggingFaceSegmenter(3, source=str(folder))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.safetensors", "version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        ("config.json", "<!DOCTYPE html>", r"config\.json is a web page"),
        ("config.json", "[" * 100_000, r"config\.json is missing or no JSON"),
        ("config.json", '{"a": ' + "9" * 5000 + "}", r"config\.json is missing or no JSON"),
        ("config.json", '{"model_type": "swin"}', "type 'swin', a trunk without a head that segments"),
        ("config.json", '{"model_type": ["segformer"]}', r"network of type .*segformer"),
        ("config.json", '{"model_type": "segformer", "depths": [1000000000]}', r"\(depths is too large\)"),
        (
            "config.json",
            '{"model_type": "segformer", "depths": 7}',
            "describe no network that|no valid config",
        ),
        (
            "config.json",
            '{"model_type": "segformer", "hidden_sizes": [90000, 90000, 90000, 90000]}',
            "far larger",
        ),
        (
            "config.json",
            '{"model_type": "upernet", "backbone_config": "x"}',
            "no valid configuration of a upernet",
        ),
        (
            "config.json",
            '{"model_type": "upernet", "backbone_config": {"model_type": "x"}}',
            "no valid config",
        ),
        ("preprocessor_config.json", '{"image_mean": 0.5}', "does not say how pixels are scaled"),
        ("preprocessor_config.json", '{"image_mean": [0, 0, 0], "image_std": [1, 0, 1]}', "divided by zero"),
        ("preprocessor_config.json", '{"image_mean": [NaN, 0, 0]}', "does not say how pixels are scaled"),
        ("preprocessor_config.json", "[]", "holds no table of settings"),
    ],
)
def test_files_of_a_folder_that_cannot_be_are_told(
    folder: Path, file: str, content: str, message: str
) -> None:
    """Whatever is in the place of settings or weights ends in one line, without much memory."""
    (folder / file).write_text(content)

    with pytest.raises((CheckpointError, RecipeError), match=message) as raised:
        HuggingFaceSegmenter(3, source=str(folder))

    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("pixels", [{"mean": [1]}, {"deviation": [0, 1, 1]}, "x", {"factor": None}])
def test_a_checkpoint_says_how_pixels_are_scaled(folder: Path, pixels: Any) -> None:
    """What is no scaling is refused."""
    config = HuggingFaceSegmenter(3, source=str(folder)).config

    with pytest.raises(RecipeError, match="does not say how pixels are scaled"):
        HuggingFaceSegmenter(3, config={**config, "pixels": pixels})


def test_weights_in_half_precision_are_trained_in_single(folder: Path) -> None:
    """How weights are stored does not decide how they are trained."""
    weights = {name: values.half() for name, values in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stored, "dtype": "float16"}))

    network = HuggingFaceSegmenter(3, source=str(folder))

    assert {p.dtype for p in network.parameters()} == {torch.float32}
    again = HuggingFaceSegmenter(3, config={**network.config, "dtype": "float16"})
    assert {p.dtype for p in again.parameters()} == {torch.float32}


def test_nothing_of_a_folder_is_executed(folder: Path) -> None:
    """Code beside the weights, which their configuration names, is not run."""
    (folder / "theirs.py").write_text("raise SystemExit('executed')")
    stored = json.loads((folder / "config.json").read_text())
    theirs = {"AutoConfig": "theirs.C", "AutoModelForSemanticSegmentation": "theirs.M"}
    (folder / "config.json").write_text(json.dumps({**stored, "auto_map": theirs}))

    network = HuggingFaceSegmenter(3, source=str(folder))

    assert type(network.network).__module__.startswith("transformers.models.segformer")


def test_nothing_is_written_past_the_log(
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reports and progress bars do not reach the terminal, and later ones are as the user set them."""
    verbosity = transformers.utils.logging.get_verbosity()
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)

    with caplog.at_level(logging.DEBUG, logger=""):
        HuggingFaceSegmenter(3, source=str(folder))

    assert {record.name.partition(".")[0] for record in caplog.records} == {"warprefine"}
    assert capfd.readouterr() == ("", "")
    assert transformers.utils.logging.get_verbosity() == verbosity
    assert transformers.utils.logging.is_progress_bar_enabled()


def test_masks_become_probabilities() -> None:
    """Each mask gives its classes what it covers; "nothing" gives nothing, and all classes share one."""
    certain = 30.0
    classes = torch.tensor([[[certain, 0.0, 0.0], [0.0, certain, 0.0], [0.0, 0.0, certain]]])
    masks = torch.tensor([[[[certain, -certain, 0.0]], [[-certain, certain, 0.0]], [[certain] * 3]]])

    scores = mask_scores(classes, masks)

    torch.testing.assert_close(scores.exp().sum(dim=1), torch.ones(1, 1, 3))
    expected = torch.tensor([[[[1.0, 0.0, 0.5]], [[0.0, 1.0, 0.5]]]])
    torch.testing.assert_close(scores.exp(), expected, atol=1e-5, rtol=0)


def test_a_class_that_no_mask_claims_gets_a_gradient() -> None:
    """What is all but impossible can still be learned."""
    classes = torch.tensor([[[12.0, 0.0, 0.0]]], requires_grad=True)

    mask_scores(classes, torch.zeros(1, 1, 1, 1))[0, 1].sum().backward()

    assert classes.grad is not None
    assert float(classes.grad[0, 0, 1]) > 0.5


def test_weights_that_do_not_fit_are_named(folder: Path) -> None:
    """A missing tensor, or one of another shape, is no reason to begin with noise."""
    weights = load_file(folder / "model.safetensors")
    del weights["decode_head.linear_fuse.weight"]
    weights["decode_head.batch_norm.bias"] = torch.zeros(9)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(
        CheckpointError,
        match=r"lack decode_head\.batch_norm\.bias, decode_head\.linear_fuse\.weight, or have other shapes",
    ):
        HuggingFaceSegmenter(3, source=str(folder))


def test_weights_that_have_no_place_are_said_to_be_unused(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever else lies in the file is left there."""
    weights = {**load_file(folder / "model.safetensors"), "classifier.extra": torch.zeros(2)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with caplog.at_level(logging.INFO, logger="warprefine"):
        HuggingFaceSegmenter(3, source=str(folder))

    assert "classifier.extra are not used" in caplog.text


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (
            "pytorch_model.bin",
            r"as pytorch_model\.bin, expected safetensors.*writing it with `save_pretrained`",
        ),
        ("other.bin", r"holds no model\.safetensors; expected a folder written by"),
    ],
)
def test_only_safetensors_are_read(folder: Path, left: str, message: str) -> None:
    """Weights that can hide code are refused, with the way to convert them."""
    (folder / "model.safetensors").rename(folder / left)

    with pytest.raises(CheckpointError, match=message):
        HuggingFaceSegmenter(3, source=str(folder))


def test_damaged_weights_are_refused(folder: Path) -> None:
    """A file that was cut off is not read."""
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:500])

    with pytest.raises(CheckpointError, match=r"are damaged or do not fit their config\.json"):
        HuggingFaceSegmenter(3, source=str(folder))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"model_type": "bert"}', r"type 'bert', expected one that segments \(beit, .*upernet\)"),
        ("{", r"config\.json is missing or no JSON \(Expecting"),
        ("[]", r"config\.json holds no table of settings"),
        (
            '{"model_type": "segformer", "num_channels": "three"}',
            r"is no valid configuration of a segformer \(Validation error for field 'num_channels'",
        ),
    ],
)
def test_a_configuration_that_is_none_is_refused(folder: Path, content: str, message: str) -> None:
    """What a folder holds is looked at before anything is built from it."""
    (folder / "config.json").write_text(content)

    with pytest.raises(RecipeError, match=message):
        HuggingFaceSegmenter(3, source=str(folder))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", r"network 'huggingface' needs a source; name a folder"),
        ("./no/such/folder", r"\./no/such/folder is no folder; expected one written by `save_pretrained`"),
        ("a" * 5000 + ".", "is neither a folder nor available"),
        ("~nobody-of-that-name/x", "is no folder; expected one written by"),
        ("no\0thing", "is no folder; expected one written by"),
        ("nobody/nothing", r"'nobody/nothing' is neither a folder nor available .*; correct the name"),
    ],
)
def test_a_source_that_is_not_there_is_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    """A folder, or a name that the hub is not there to explain, ends in one line."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(RecipeError, match=message) as raised:
        HuggingFaceSegmenter(3, source=source)

    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("error", ["HTTPError", "RevisionNotFoundError", RuntimeError, OSError])
def test_a_hub_that_fails_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    """Whatever ends a download, the message says what to do without the hub."""
    kind = getattr(huggingface_hub.errors, error) if isinstance(error, str) else error

    def fail(*_: object, **__: object) -> None:
        raise kind.__new__(kind, "read timed out\nat byte 7")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)

    with pytest.raises(RecipeError, match=r"'some/model' is neither a folder nor available") as raised:
        HuggingFaceSegmenter(3, source="some/model")

    assert "\n" not in str(raised.value)


def test_without_transformers_the_recipe_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """A package that is not installed is an error of one line."""
    monkeypatch.setitem(sys.modules, "transformers", None)

    with pytest.raises(RecipeError, match=r"not installed; pip install '\.\[hf\]' in the repository"):
        HuggingFaceSegmenter(3, source=str(folder))


def test_without_scipy_networks_of_masks_are_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]
) -> None:
    """A package that one network needs is named when that network is built."""
    known = transformers.utils.import_utils.BACKENDS_MAPPING
    monkeypatch.setitem(known, "scipy", (lambda: False, "{0} requires the scipy library"))

    with pytest.raises(RecipeError, match=r"a mask2former needs .*requires the scipy library.*\[hf\]"):
        HuggingFaceSegmenter(3, source=str(folders["mask2former"]))


def test_a_network_without_features_is_refused() -> None:
    """The refiner needs features, and a head without a convolution has none."""
    with pytest.raises(RecipeError, match=r"the head of a tipsv2_dpt ends in no convolution"):
        huggingface._feature_layer(nn.Linear(2, 3), "tipsv2_dpt", frozenset({"weight", "bias"}))


def test_a_network_that_takes_no_known_size_is_refused(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A network that fails on a picture, and names no size that it would take, cannot be used."""

    def fail(*_: object) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(HuggingFaceSegmenter, "_run", fail)

    with pytest.raises(RecipeError, match=r"images of any size \(shapes do not match\), and its config"):
        HuggingFaceSegmenter(3, source=str(folder))
