"""EfficientNet-Lite0 with an OCR head: object-contextual features at the cost of a small network.

In the paper the refiner's input includes the object-contextual features of the teacher; this network
computes such features on a CPU.
"""

from __future__ import annotations

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames, size_of
from warprefine.recipe.network import SEGMENTER_WIDTHS
from warprefine.segmentation.compact import without_padding
from warprefine.segmentation.lite0 import Lite0Segmenter
from warprefine.segmentation.ocr import OCRHead


class Lite0OCRSegmenter(Lite0Segmenter):
    """EfficientNet-Lite0, U-Net decoder to stride 4 and OCR head; logits and features at stride 4.

    Args:
        class_count: Number of classes; VOID is not one of them.
        widths: As of `Lite0Segmenter`; the second is the number of channels of the features.
        dropout: Share of the channels before the classifier that is dropped in training.
    """

    name = "lite0-ocr"

    def __init__(
        self, class_count: int, *, widths: tuple[int, ...] = SEGMENTER_WIDTHS, dropout: float = 0.05
    ) -> None:
        super().__init__(class_count, widths=widths)
        del self.last_up, self.dropout, self.classifier
        quarter = widths[1]
        self.head = OCRHead(
            quarter, class_count, channels=quarter, key_channels=max(quarter // 2, 1), dropout=dropout
        )

    def forward(self, frames: Frames) -> Segmentation:
        """Segment frames of any size: logits and features (widths[1] channels) at stride 4."""
        size = size_of(frames)
        x, _ = self.decode(frames)
        scores = self.head(x)
        return Segmentation(
            logits=without_padding(scores.logits, size, 4),
            features=without_padding(scores.features, size, 4),
            first_guess=without_padding(scores.auxiliary, size, 4) if self.training else None,
        )
