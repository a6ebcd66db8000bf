"""Spatially displaced convolution of SDC-Net (Reda et al., ECCV 2018): per-pixel motion and kernels.

A flow alone samples one point, a kernel alone reaches no further than its taps; together they cover
large motion and blend several pixels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from warprefine.core.errors import FrameError, LabelError
from warprefine.core.tensors import VOID, Flow, LabelMaps

_CHUNK_VALUES = 1 << 22
"""Values looked up at a time: 16 MiB in single precision, however large the frame and the kernels."""


def displaced_convolution(
    values_a: Float[Tensor, "b c h w"],
    flow_ba: Float[Tensor, "b 2 h w"],
    vertical: Float[Tensor, "b n h w"],
    horizontal: Float[Tensor, "b n h w"],
) -> Float[Tensor, "b c h w"]:
    """Spatially displaced convolution: filter the patch of a around each pixel's source with its own kernel.

    Reda et al. (ECCV 2018), the equation of the SDC module: out(x, y) = K(x, y) * P_a(x + u, y + v), where
    (u, v) is the flow, K the outer product of a vertical and a horizontal kernel of n taps, and P_a the
    patch of n × n pixels centred at the source. Between pixels the patch is bilinear; beyond the border the
    nearest border value is repeated. Taps run downwards and to the right. With identity kernels (one at
    the centre, else zero) this is `resample2d`.

    Differentiable in all four arguments. Memory does not grow with the squared number of taps: rows of
    taps are looked up one after the other, and recomputed in the backward pass.

    Raises:
        FrameError: The number of taps is even, so that there is no central tap.

    Example:
        >>> values_a = torch.arange(4.0).view(1, 1, 1, 4)
        >>> centre, right = torch.zeros(2, 1, 3, 1, 4)
        >>> centre[:, 1], right[:, 2] = 1, 1
        >>> displaced_convolution(values_a, torch.zeros(1, 2, 1, 4), centre, right)
        tensor([[[[1., 2., 3., 3.]]]])
    """
    taps, (h, w) = vertical.shape[1], flow_ba.shape[-2:]
    if taps % 2 == 0:
        raise FrameError(
            f"displaced kernels have {taps} taps, expected an odd number, so that one is in the middle"
        )
    x = flow_ba[:, 0] + torch.arange(w, device=flow_ba.device, dtype=flow_ba.dtype)
    y = flow_ba[:, 1] + torch.arange(h, device=flow_ba.device, dtype=flow_ba.dtype)[:, None]
    left, top = x.detach().floor(), y.detach().floor()
    across, down = _shifted(horizontal, x - left), _shifted(vertical, y - top)
    # A patch wholly beyond the border is the same at any distance.
    first_x = (left - taps // 2).clamp(-taps, w - 1).long() + taps
    first_y = (top - taps // 2).clamp(-taps, h - 1).long() + taps
    padded = functional.pad(values_a, (taps,) * 4, mode="replicate")
    wide = padded.shape[-1]
    start = first_y * wide + first_x
    pixels = padded.flatten(2).transpose(1, 2).contiguous()
    lines = max(1, _CHUNK_VALUES // (pixels.shape[0] * pixels.shape[2] * w * (taps + 1)))
    bands = []
    for band in (slice(line, line + lines) for line in range(0, h, lines)):
        filtered = pixels.new_zeros(())
        for tap in range(taps + 1):
            row = checkpoint(
                _filter_line,
                pixels,
                start[:, band] + tap * wide,
                across[:, band],
                use_reentrant=False,
                preserve_rng_state=False,
            )
            filtered = filtered + down[:, band, :, tap, None] * row
        bands.append(filtered)
    return torch.cat(bands, dim=1).permute(0, 3, 1, 2)


def displaced_labels(
    labels_a: LabelMaps,
    flow_ba: Flow,
    vertical: Float[Tensor, "b n h w"],
    horizontal: Float[Tensor, "b n h w"],
    *,
    class_count: int,
) -> LabelMaps:
    """Warp label maps from a to b with displaced kernels: a patch's pixels vote with their kernel weights.

    The label with most votes wins, the smaller one on a tie. VOID votes like any class. Weights may be
    negative, but a label that is absent from a map never wins there. Beyond the border the border's labels
    are repeated.

    Raises:
        LabelError: A label is neither a class nor VOID.
        FrameError: As for `displaced_convolution`.

    Example:
        >>> labels_a = torch.tensor([[[0, 0, 2, 2]]], dtype=torch.uint8)
        >>> centre, right = torch.zeros(2, 1, 3, 1, 4)
        >>> centre[:, 1], right[:, 2] = 1, 1
        >>> displaced_labels(labels_a, torch.zeros(1, 2, 1, 4), centre, right, class_count=3)
        tensor([[[0, 2, 2, 2]]], dtype=torch.uint8)
    """
    found = torch.unique(labels_a).tolist()
    if strays := [label for label in found if class_count <= label != VOID]:
        raise LabelError(
            f"label map holds class {strays[0]}, but there are {class_count} classes; "
            f"map unused ids to VOID ({VOID}) first"
        )
    planes = labels_a[:, None] == torch.tensor(found, device=labels_a.device).view(1, -1, 1, 1)
    with torch.no_grad():
        votes = displaced_convolution(planes.to(flow_ba.dtype), flow_ba, vertical, horizontal)
    absent = ~planes.flatten(2).any(dim=2)
    winner = votes.masked_fill(absent[:, :, None, None], -torch.inf).argmax(dim=1)
    return torch.tensor(found, dtype=torch.uint8, device=labels_a.device)[winner]


def _shifted(kernel: Tensor, fraction: Tensor) -> Tensor:
    """Turn (b, n, h, w) taps between pixels into (b, h, w, n + 1) taps on whole pixels.

    All taps of a pixel lie the same `fraction` of a pixel, (b, h, w), beyond a whole pixel. Weighting a
    bilinear sample equals weighting the two pixels that it lies between.
    """
    taps, fraction = kernel.permute(0, 2, 3, 1), fraction[..., None]
    return functional.pad(taps * (1 - fraction), (0, 1)) + functional.pad(taps * fraction, (1, 0))


def _filter_line(pixels: Tensor, start: Tensor, kernel: Tensor) -> Tensor:
    """Return the weighted sum of a row of consecutive pixels from each start on.

    Args:
        pixels: All pixels of an image in row-major order, (b, p, c).
        start: Index of the first pixel, (b, h, w).
        kernel: Weights, (b, h, w, n).

    Returns:
        Sums, (b, h, w, c).
    """
    image = torch.arange(pixels.shape[0], device=pixels.device).view(-1, 1, 1, 1)
    columns = start[..., None] + torch.arange(kernel.shape[-1], device=pixels.device)
    return (pixels[image, columns] * kernel[..., None]).sum(dim=-2)
