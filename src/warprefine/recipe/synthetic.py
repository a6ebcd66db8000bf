"""Hyper-parameters of the motion in clips that are rendered from single labelled images."""

from __future__ import annotations

from pydantic import Field

from warprefine.recipe.optimisation import Settings


class SyntheticMotion(Settings):
    """Motion of things and camera between frames; each clip draws its own speeds, in either direction."""

    zoom: float = Field(0.03, ge=0, le=1)
    """Largest zoom of the background per frame."""
    shift: float = Field(0.015, ge=0, le=1)
    """Largest shift of the background per frame, as a share of the image's width."""
    rotation: float = Field(0.3, ge=0, le=180)
    """Largest rotation of the camera per frame, in degrees."""
    parallax: float = Field(2.5, ge=1, le=100)
    """How many times faster than the background the nearest things zoom and shift."""
    moving: float = Field(0.5, ge=0, le=1)
    """Share of things that have a motion of their own in addition."""
    own_shift: float = Field(0.02, ge=0, le=1)
    """Largest own shift of a thing per frame, as a share of the image's width."""
    jitter: float = Field(0.1, ge=0, le=100)
    """How far motion is ahead or behind at each frame, at most, in frames."""
    things: int = Field(12, ge=0, le=254)
    """Most things that are cut out, the largest first."""
    stuff: float = Field(0.04, gt=0, lt=1)
    """Pieces that reach the border and cover more than this share of the image are background."""
    gain: float = Field(0.02, ge=0, le=1)
    """Largest change of brightness per frame, as a share."""
    noise: float = Field(1.5, ge=0, le=255)
    """Standard deviation of the noise, in grey levels of 0..255."""
    blur: float = Field(0.2, ge=0, le=1)
    """Share of frames that are slightly out of focus."""
