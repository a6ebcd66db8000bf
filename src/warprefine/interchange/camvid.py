"""Write CamVid's layout, as CVAT's "CamVid 1.0" and datumaro have it; it is read as a folder of colour PNGs.

DEST/label_colors.txt               a line "r g b name" for each class
DEST/SPLIT/VIDEO/STEM.png           pictures, on request
DEST/SPLITannot/VIDEO/STEM.png      label maps in colours, black for void
DEST/SPLIT.txt                      a line with the picture and the label map of each frame
"""

from __future__ import annotations
