"""The paper's own refiner: the generator of pix2pixHD, with the segmenter's features joined in."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.layout import in_fast_layout
from warprefine.core.protocols import RefinerInput
from warprefine.core.tensors import Logits, size_of
from warprefine.ops.resize import to_size
from warprefine.refinement.compact import one_hot_with_void
from warprefine.refinement.spade import SpadeNorm

STRIDE = 4
SMALLEST = 8
"""Reflecting a border and taking a variance both need two cells a side, at stride 4."""
_DEVIATION = 0.02


class Pix2PixRefiner(nn.Module):
    """Encoder down to stride 4, the segmenter's features joined there, residual blocks, decoder.

    The paper (section C.3 of the supplement) feeds equation (A) to the encoder - one-hot warp-inpainted
    labels (C + 1), the warped image, the target image - and the encoding with the segmenter's features
    of the target image to the decoder; both are "based on pix2pix" (Wang et al., CVPR 2018,
    "pix2pixHD"): 7 x 7 convolutions at both ends, 3 x 3 between, two halvings here, residual blocks,
    two doublings, borders reflected at the ends and in the blocks, instance norm without weights,
    kernels drawn from N(0, 0.02). It ends in scores rather than in colours, so there is no tanh; biases
    that a norm would take away again are left out. The 1 x 1 convolution that joins the features, and
    the place (stride 4), are ours.

    An instance norm subtracts what is constant over an image. Where one class fills it (a small crop of
    road, or only VOID) its plane of ones becomes zeros, and the scores cannot depend on it. `spade` feeds
    the labels to every layer behind the encoder; `votes` adds them once, behind the last layer, whose
    scores may outweigh them. With neither, train on crops that show several classes. The norm also makes
    the scores of a pixel depend slightly on the whole image.

    Args:
        class_count: Number of classes C; VOID is one more.
        feature_channels: Channels of the segmenter's features; 0 leaves them out.
        width: Channels at stride 1; twice as many at stride 2, four times at stride 4.
        blocks: Number of residual blocks.
        spade: Condition the norms behind the encoder on the labels (Park et al., CVPR 2019), which the
            paper cites beside pix2pixHD.
        votes: Add learned multiples of the labels and of the segmenter's log-probabilities to the
            scores, so that training starts near the identity. Not in the paper.
    """

    def __init__(
        self,
        class_count: int,
        feature_channels: int,
        *,
        width: int = 64,
        blocks: int = 9,
        spade: bool = False,
        votes: bool = True,
    ) -> None:
        super().__init__()
        self.name = "pix2pix-spade" if spade else "pix2pix"
        self.class_count = class_count
        planes = class_count + 1
        full, half, quarter = width, 2 * width, 4 * width

        def norm(channels: int) -> nn.Module:
            plain = nn.InstanceNorm2d(channels)
            if not spade:
                return plain
            return SpadeNorm(plain, channels=channels, map_channels=planes, hidden=2 * width)

        self.encoder = nn.Sequential(
            *(_end(planes + 6, full, bias=False), nn.InstanceNorm2d(full), nn.ReLU()),
            *(_halving(full, half), nn.InstanceNorm2d(half), nn.ReLU()),
            *(_halving(half, quarter), nn.InstanceNorm2d(quarter), nn.ReLU()),
        )
        self.join: NormalisedConv | None = None
        if feature_channels:
            merge = nn.Conv2d(quarter + feature_channels, quarter, 1, bias=False)
            self.join = NormalisedConv(merge, norm(quarter))
        self.blocks = nn.ModuleList(
            ReflectedBlock(
                NormalisedConv(_reflected(quarter), norm(quarter)),
                NormalisedConv(_reflected(quarter), norm(quarter)),
            )
            for _ in range(blocks)
        )
        self.up2 = NormalisedConv(_doubling(quarter, half), norm(half))
        self.up1 = NormalisedConv(_doubling(half, full), norm(full))
        self.classifier = _end(full, planes, bias=True)
        self.votes = Votes() if votes else None
        self.apply(_initialise)

    def forward(self, inputs: RefinerInput) -> Logits:
        """Return logits (b, C + 1, h, w) for frames of any size; the last channel is VOID."""
        h, w = size = size_of(inputs.frame)
        cells = (-(-h // STRIDE), -(-w // STRIDE))
        labels = one_hot_with_void(inputs.labels, self.class_count)
        images = torch.cat((inputs.warped_frame, inputs.frame), dim=1).float() / 127.5 - 1
        grown = (max(STRIDE * cells[0], SMALLEST), max(STRIDE * cells[1], SMALLEST))
        padded = _extend(torch.cat((labels, images), dim=1), grown)
        padded_labels = padded[:, : self.class_count + 1]
        x: Tensor = self.encoder(in_fast_layout(padded))
        if self.join is not None:
            features = to_size(inputs.segmentation.features.float(), cells)
            joined = torch.cat((x, _extend(features, size_of(x))), dim=1)
            x = functional.relu(self.join(joined, padded_labels))
        for block in self.blocks:
            x = block(x, padded_labels)
        x = functional.relu(self.up2(x, padded_labels))
        x = functional.relu(self.up1(x, padded_labels))
        scores: Tensor = self.classifier(x)[..., :h, :w]
        if self.votes is None:
            return scores
        votes: Tensor = self.votes(labels, to_size(inputs.segmentation.logits.float(), size))
        return scores + votes


class NormalisedConv(nn.Module):
    """A convolution and the norm behind it, which may depend on the labels."""

    def __init__(self, conv: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.conv, self.norm = conv, norm

    def forward(self, x: Tensor, label_planes: Tensor) -> Tensor:
        """Transform `x`; labels (b, C + 1, h, w) of another size are resized to the result."""
        x = self.conv(x)
        return torch.as_tensor(
            self.norm(x, label_planes) if isinstance(self.norm, SpadeNorm) else self.norm(x)
        )


class ReflectedBlock(nn.Module):
    """Two convolutions around a shortcut, a ReLU after the first and none after the sum."""

    def __init__(self, first: NormalisedConv, second: NormalisedConv) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Float[Tensor, "b c h w"], label_planes: Tensor) -> Float[Tensor, "b c h w"]:
        """Return a tensor of the same shape."""
        y = functional.relu(self.first(x, label_planes))
        return x + torch.as_tensor(self.second(y, label_planes))


class Votes(nn.Module):
    """Learned multiples of the labels and of the segmenter's log-probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.label_weight = nn.Parameter(torch.tensor(3.0))
        self.segmenter_weight = nn.Parameter(torch.tensor(0.3))

    def forward(self, label_planes: Logits, logits: Float[Tensor, "b _ h w"]) -> Logits:
        """Return logits (b, C + 1, h, w); the segmenter does not score VOID."""
        # Smaller probabilities carry no information, but their logarithms would outweigh the labels.
        log_probabilities = logits.softmax(dim=1).clamp(min=1e-4).log()
        log_probabilities = functional.pad(log_probabilities, (0, 0, 0, 0, 0, 1))
        return self.label_weight * label_planes + self.segmenter_weight * log_probabilities


def _end(channels_in: int, channels: int, *, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, 7, padding=3, padding_mode="reflect", bias=bias)


def _halving(channels_in: int, channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, 3, stride=2, padding=1, bias=False)


def _doubling(channels_in: int, channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels_in, channels, 3, stride=2, padding=1, output_padding=1, bias=False)


def _reflected(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=_DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _extend(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Repeat the last row and column of (b, c, h, w) until it has `size`."""
    h, w = values.shape[-2:]
    return functional.pad(values, (0, size[1] - w, 0, size[0] - h), mode="replicate")
