"""Tell the pixels of a small pretrained network about the objects around them: Lite0 with OCR.

The paper's teacher joins its object-contextual features to the refiner. This is how to have such
features on a CPU, in the time that a small network takes.
"""

from __future__ import annotations

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames
from warprefine.segmentation.compact import without_padding
from warprefine.segmentation.lite0 import Lite0Segmenter
from warprefine.segmentation.ocr import OCRHead


class Lite0OCRSegmenter(Lite0Segmenter):
    """EfficientNet-Lite0 and its way up to stride 4, then an OCR head; logits and features at stride 4.

    Args:
        class_count: Number of classes; VOID is not one of them.
        widths: As of `Lite0Segmenter`; the second is the number of channels of the features.
        dropout: Share of the channels before the classifier that is dropped in training.
    """

    name = "lite0-ocr"

    def __init__(
        self, class_count: int, *, widths: tuple[int, ...] = (24, 64, 128, 192, 256), dropout: float = 0.05
    ) -> None:
        super().__init__(class_count, widths=widths)
        del self.last_up, self.dropout, self.classifier
        quarter = widths[1]
        self.head = OCRHead(
            quarter, class_count, channels=quarter, key_channels=max(quarter // 2, 1), dropout=dropout
        )

    def forward(self, frames: Frames) -> Segmentation:
        """Segment frames of any size: logits and features (widths[1] channels) at stride 4."""
        size = (frames.shape[-2], frames.shape[-1])
        x, _ = self.climb(frames)
        found = self.head(x)
        return Segmentation(
            logits=without_padding(found.logits, size, 4),
            features=without_padding(found.features, size, 4),
            first_guess=without_padding(found.auxiliary, size, 4) if self.training else None,
        )
