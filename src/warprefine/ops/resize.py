"""Resize scores and features to the size of a frame, and pad frames to a size that a network can halve."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import size_of

LARGEST_STRIDE = 32
"""Frames whose sides are multiples of it have whole cells at the stride of any network."""
_HALVINGS = (1, 2, 4, 8, 16, LARGEST_STRIDE)


def to_size(scores: Float[Tensor, "b c _ _"], size: tuple[int, int]) -> Float[Tensor, "b c _ _"]:
    """Resize scores bilinearly to `size` = (h, w).

    A network's stride divides a frame into cells, so cells are aligned (`align_corners=False`), unlike
    for points and flow. Where the last cell extends beyond the frame (361 rows at stride 2 give 181
    cells), the surplus is cropped; the cells keep their size.

    Example:
        >>> import torch
        >>> scores = torch.tensor([0.0, 4.0]).view(1, 1, 1, 2)  # stride 2
        >>> to_size(scores, (1, 4)).flatten()
        tensor([0., 1., 3., 4.])
        >>> to_size(scores, (1, 3)).flatten()
        tensor([0., 1., 3.])
    """
    cells = size_of(scores)
    if cells == size:
        return scores
    stride = stride_of(scores, size)
    if cells == (-(-size[0] // stride), -(-size[1] // stride)):
        upsampled = functional.interpolate(scores, scale_factor=stride, mode="bilinear", align_corners=False)
        return upsampled[..., : size[0], : size[1]]
    return functional.interpolate(scores, size=size, mode="bilinear", align_corners=False)


def stride_of(scores: Tensor, size: tuple[int, int]) -> int:
    """Return the stride of scores: pixels of a frame of `size` = (h, w) along a side of one of their cells.

    The last cells may extend beyond the frame: 70 × 90 pixels have 5 × 6 cells of 16. Networks halve,
    so the smallest power of two that fits is returned, if there is one.

    Example:
        >>> import torch
        >>> stride_of(torch.zeros(1, 19, 5, 6), (70, 90))
        16
    """
    cells = size_of(scores)
    for stride in _HALVINGS:
        if cells == (-(-size[0] // stride), -(-size[1] // stride)):
            return stride
    return max(-(-pixels // count) for pixels, count in zip(size, cells, strict=True))


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Pad images (b, c, h, w) with their last row and column until both sizes are multiples.

    Images of such a size are returned as they are, not copied.

    Example:
        >>> import torch
        >>> pad_to_multiple(torch.zeros(1, 3, 70, 96), 32).shape
        torch.Size([1, 3, 96, 96])
    """
    h, w = size_of(images)
    if h % multiple == 0 and w % multiple == 0:
        return images
    return functional.pad(images, (0, -w % multiple, 0, -h % multiple), mode="replicate")
