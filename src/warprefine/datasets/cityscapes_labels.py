"""Labels of Cityscapes, shared by the KITTI semantics benchmark: ids, categories, colours.

Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding (CVPR 2016).
"""

from __future__ import annotations

from typing import NamedTuple

from warprefine.core.classes import ClassSet, Color
from warprefine.core.tensors import VOID


class CityscapesLabel(NamedTuple):
    """One label of the Cityscapes annotation.

    Files hold the `id`. A `train_id` is the position among the classes that are scored; VOID, or -1
    for licence plates, marks the others. `instance_size` is the mean size of one instance in
    pixels, in 1024 × 2048 images; labels without separate instances have none.
    """

    name: str
    id: int
    train_id: int
    category: str
    color: Color
    instance_size: float | None = None

    @property
    def evaluated(self) -> bool:
        """Whether the benchmark scores this label."""
        return self.train_id not in (VOID, -1)

    @property
    def has_instances(self) -> bool:
        """Whether its instances are annotated separately."""
        return self.instance_size is not None


CITYSCAPES_LABELS = (
    CityscapesLabel("unlabeled", 0, VOID, "void", (0, 0, 0)),
    CityscapesLabel("ego vehicle", 1, VOID, "void", (0, 0, 0)),
    CityscapesLabel("rectification border", 2, VOID, "void", (0, 0, 0)),
    CityscapesLabel("out of roi", 3, VOID, "void", (0, 0, 0)),
    CityscapesLabel("static", 4, VOID, "void", (0, 0, 0)),
    CityscapesLabel("dynamic", 5, VOID, "void", (111, 74, 0)),
    CityscapesLabel("ground", 6, VOID, "void", (81, 0, 81)),
    CityscapesLabel("road", 7, 0, "flat", (128, 64, 128)),
    CityscapesLabel("sidewalk", 8, 1, "flat", (244, 35, 232)),
    CityscapesLabel("parking", 9, VOID, "flat", (250, 170, 160)),
    CityscapesLabel("rail track", 10, VOID, "flat", (230, 150, 140)),
    CityscapesLabel("building", 11, 2, "construction", (70, 70, 70)),
    CityscapesLabel("wall", 12, 3, "construction", (102, 102, 156)),
    CityscapesLabel("fence", 13, 4, "construction", (190, 153, 153)),
    CityscapesLabel("guard rail", 14, VOID, "construction", (180, 165, 180)),
    CityscapesLabel("bridge", 15, VOID, "construction", (150, 100, 100)),
    CityscapesLabel("tunnel", 16, VOID, "construction", (150, 120, 90)),
    CityscapesLabel("pole", 17, 5, "object", (153, 153, 153)),
    CityscapesLabel("polegroup", 18, VOID, "object", (153, 153, 153)),
    CityscapesLabel("traffic light", 19, 6, "object", (250, 170, 30)),
    CityscapesLabel("traffic sign", 20, 7, "object", (220, 220, 0)),
    CityscapesLabel("vegetation", 21, 8, "nature", (107, 142, 35)),
    CityscapesLabel("terrain", 22, 9, "nature", (152, 251, 152)),
    CityscapesLabel("sky", 23, 10, "sky", (70, 130, 180)),
    CityscapesLabel("person", 24, 11, "human", (220, 20, 60), 3462.4756337644),
    CityscapesLabel("rider", 25, 12, "human", (255, 0, 0), 3930.4788056518),
    CityscapesLabel("car", 26, 13, "vehicle", (0, 0, 142), 12794.0202738185),
    CityscapesLabel("truck", 27, 14, "vehicle", (0, 0, 70), 27855.1264367816),
    CityscapesLabel("bus", 28, 15, "vehicle", (0, 60, 100), 35732.1511111111),
    CityscapesLabel("caravan", 29, VOID, "vehicle", (0, 0, 90), 36771.8241758242),
    CityscapesLabel("trailer", 30, VOID, "vehicle", (0, 0, 110), 16926.9763313609),
    CityscapesLabel("train", 31, 16, "vehicle", (0, 80, 100), 67583.7075812274),
    CityscapesLabel("motorcycle", 32, 17, "vehicle", (0, 0, 230), 6298.7200839748),
    CityscapesLabel("bicycle", 33, 18, "vehicle", (119, 11, 32), 4672.3249222261),
    CityscapesLabel("license plate", -1, -1, "vehicle", (0, 0, 142)),
)
"""All labels in the order of the benchmark; a non-negative id is a position in it."""

_CLASSES = tuple(label for label in CITYSCAPES_LABELS if label.evaluated)  # in the order of train ids

CITYSCAPES_CLASSES = ClassSet(
    names=tuple(label.name for label in _CLASSES),
    colors=tuple(label.color for label in _CLASSES),
    file_ids=tuple(label.id for label in _CLASSES),
    void_ids=tuple(label.id for label in CITYSCAPES_LABELS if not label.evaluated and label.id >= 0),
    categories=tuple(label.category for label in _CLASSES),
)
"""The 19 classes that are scored; a position is a train id, and files hold ids."""
