"""RAFT (Teed and Deng, ECCV 2020): optical flow from all-pairs correlation and iterative refinement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Literal
from zipfile import ZipFile

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.errors import CheckpointError
from warprefine.core.precision import computing
from warprefine.core.protocols import channels_last, device_of
from warprefine.core.tensors import Flow, Frames
from warprefine.io.published import load_renamed
from warprefine.io.torch_files import READING_ERRORS
from warprefine.motion.raft_ops import CELL_PX, CorrelationPyramid, upsample_bilinear, upsample_convex
from warprefine.motion.raft_parts import LARGE, LEVELS, SMALL, Encoder, UpdateBlock, published_name
from warprefine.ops.warp import source_points

Size = Literal["large", "small"]
_LAYOUTS = {"large": LARGE, "small": SMALL}
SIZES: dict[str, Size] = {"raft-small": "small", "raft-sintel": "large", "raft-kitti": "large"}
"""Published weights by name, and the size of the network that they belong to."""
_SMALLEST_PX = CELL_PX * 2 ** (LEVELS - 1)
"""Smaller frames would leave the coarsest level of the correlation pyramid empty."""


class RAFT(nn.Module):
    """RAFT, large (5.3 million weights) or small (1 million).

    Returns the flow of the last iteration alone, as in the paper's evaluation.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.layout = _LAYOUTS[size]
        context_channels = self.layout.hidden + self.layout.context
        self.feature_encoder = Encoder(self.layout.features, self.layout, nn.InstanceNorm2d)
        self.context_encoder = Encoder(context_channels, self.layout, self.layout.context_norm)
        self.update = UpdateBlock(self.layout)

    def forward(
        self,
        frame_b: Float[Tensor, "b 3 h w"],
        frame_a: Float[Tensor, "b 3 h w"],
        *,
        iterations: int = 12,
    ) -> Float[Tensor, "b 2 h w"]:
        """Return `flow_ba` in pixels, (x, y), for frames of any size.

        Args:
            frame_b: Red, green and blue from 0 to 255.
            frame_a: Likewise.
            iterations: Number of refinement iterations, 1 or more; the paper uses 12 in training and
                up to 32 in its evaluation.
        """
        h, w = frame_b.shape[-2:]
        left, _, top, _ = margins = _margins(h, w)
        b, a = (
            functional.pad(2 * frame / 255 - 1, margins, mode="replicate").contiguous(
                memory_format=torch.channels_last
            )
            for frame in (frame_b, frame_a)
        )
        flow = self._flow(b, a, iterations=iterations)
        return flow[..., top : top + h, left : left + w]

    def _flow(self, b: Tensor, a: Tensor, *, iterations: int) -> Tensor:
        features_b, features_a = self.feature_encoder(torch.cat((b, a))).float().chunk(2)
        # Each correlation determines the next look-up; half precision would blur it.
        with torch.autocast(b.device.type, enabled=False):
            pyramid = CorrelationPyramid(features_b, features_a, levels=LEVELS)
        hidden, context = self.context_encoder(b).split((self.layout.hidden, self.layout.context), dim=1)
        hidden, context = hidden.tanh(), context.relu()
        flow = torch.zeros_like(features_b[:, :2])
        for _ in range(iterations):
            points = torch.stack(source_points(flow), dim=1)
            cost = pyramid.look_up(points, radius=self.layout.radius)
            hidden, change = self.update(hidden, context, cost, flow)
            flow = flow + change.float()
        if self.update.mask is None:
            return upsample_bilinear(flow)
        return upsample_convex(flow, self.update.mask(hidden) / 4)

    def load_published(self, published: Mapping[str, Tensor]) -> None:
        """Load the released weights, with or without the prefix `module.` of their names.

        Raises:
            CheckpointError: A weight is missing, left over or of another shape.
        """
        plain = {name.removeprefix("module."): values for name, values in published.items()}
        rename = partial(published_name, gru_count=len(self.layout.gru_kernels))
        load_renamed(self, _without_duplicates(plain), rename, name=f"RAFT ({self.size})")


class RAFTFlow:
    """RAFT as a `MotionEstimator`, computed in the precision of its device.

    Args:
        network: The network with its weights, on the device that it computes on; set to evaluation mode.
        name: Key of the cache: names the weights and the iterations, as in "raft-sintel-12".
        iterations: Number of refinement iterations.
    """

    def __init__(self, network: RAFT, *, name: str, iterations: int) -> None:
        self.name = name
        self._network = channels_last(network).eval()
        self._iterations = iterations

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        """Return `flow_ba`, (b, 2, h, w) in pixels, on the device of the frames."""
        device = device_of(self._network)
        b, a = frame_b.to(device).float(), frame_a.to(device).float()
        with torch.inference_mode(), computing(self._network):
            flow: Tensor = self._network(b, a, iterations=self._iterations)
        # A copy outside of inference mode is an ordinary tensor, which training can use.
        return flow.clone(memory_format=torch.contiguous_format).to(frame_b.device)


def read_raft(source: Path, name: str) -> RAFT:
    """Read published RAFT weights and build their network.

    Args:
        source: A folder with the released .pth files, or an archive (zip, wheel) that holds them.
        name: One of `SIZES`: "raft-small", "raft-sintel" or "raft-kitti".

    Raises:
        CheckpointError: There is no such file, or it does not hold these weights.
    """
    if name not in SIZES:
        raise CheckpointError(f"there are no RAFT weights {name!r}; choose one of {', '.join(SIZES)}")
    network = RAFT(SIZES[name])
    try:
        with _open_entry(source, f"{name}.pth") as file:
            network.load_published(torch.load(file, map_location="cpu", weights_only=True))
    except READING_ERRORS as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"cannot read {name}.pth in {source}: {reason}; expected weights as RAFT's authors released them"
        ) from error
    return network


@contextmanager
def _open_entry(source: Path, name: str) -> Iterator[IO[bytes]]:
    """Open the file of that name in a folder or an archive, at any depth."""
    if source.is_dir():
        with (source / name).open("rb") as file:
            yield file
        return
    with ZipFile(source) as archive:
        entry = next((entry for entry in archive.namelist() if Path(entry).name == name), None)
        if entry is None:
            raise FileNotFoundError("the archive holds no such file")
        with archive.open(entry) as packed:
            yield packed


def _without_duplicates(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop `norm3` of a shortcut, which the released files repeat as `downsample.1`."""
    copies = {name: name.replace(".norm3.", ".downsample.1.") for name in published if ".norm3." in name}
    for name, copy in copies.items():
        if copy in published and not torch.equal(published[name], published[copy]):
            raise CheckpointError(
                f"RAFT's weights {name} and {copy} differ, expected equal tensors; "
                "take the file as it was released"
            )
    return {name: values for name, values in published.items() if copies.get(name) not in published}


def _margins(h: int, w: int) -> tuple[int, int, int, int]:
    """Return the padding on the left, right, top and bottom for whole cells, half on either side."""
    across, down = (max(-(-side // CELL_PX) * CELL_PX, _SMALLEST_PX) - side for side in (w, h))
    return across // 2, across - across // 2, down // 2, down - down // 2
