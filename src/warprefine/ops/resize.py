"""Bring scores and features to the size of a frame, and frames to a size that a network can halve."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_HALVINGS = (1, 2, 4, 8, 16, 32)


def to_size(scores: Float[Tensor, "b c _ _"], size: tuple[int, int]) -> Float[Tensor, "b c _ _"]:
    """Resize scores bilinearly to `size` = (h, w).

    Networks subsample in cells, not at pixel centres, so cells are what is aligned here
    (`align_corners=False`), unlike for points and flow. Where the last cell reaches over the
    frame's edge (361 rows at stride 2 make 181 cells), the surplus is cut off rather than squeezed.
    """
    h, w = scores.shape[-2:]
    if (h, w) == size:
        return scores
    stride = stride_of(scores, size)
    if (h, w) == (-(-size[0] // stride), -(-size[1] // stride)):
        raised = functional.interpolate(scores, scale_factor=stride, mode="bilinear", align_corners=False)
        return raised[..., : size[0], : size[1]]
    return functional.interpolate(scores, size=size, mode="bilinear", align_corners=False)


def stride_of(scores: Tensor, size: tuple[int, int]) -> int:
    """Return how many pixels of a frame of `size` = (h, w) lie along a side of a cell of its scores.

    The last cells may reach over the frame's edge: 70 × 90 pixels have 5 × 6 cells of 16. Networks halve,
    so a power of two is meant where one fits.
    """
    cells = (scores.shape[-2], scores.shape[-1])
    for stride in _HALVINGS:
        if cells == (-(-size[0] // stride), -(-size[1] // stride)):
            return stride
    return max(-(-pixels // count) for pixels, count in zip(size, cells, strict=True))


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column of images (b, c, h, w) until both sizes are multiples.

    Images that are of such a size are returned as they are, not copied.
    """
    h, w = images.shape[-2:]
    if h % multiple == 0 and w % multiple == 0:
        return images
    return functional.pad(images, (0, -w % multiple, 0, -h % multiple), mode="replicate")
