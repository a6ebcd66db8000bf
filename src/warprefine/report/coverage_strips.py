"""Strips of the report that show which frames of a video have labels, and where cuts keep them from it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from warprefine.core.names import counted
from warprefine.core.spans import consecutive
from warprefine.core.video import Video
from warprefine.propagation.units import frames_in_reach

_H, _MOST_VIDEOS = 12, 40
_COLOURS = {
    "labelled": "#5b8def",
    "key frame": "#1d3f8f",
    "no key frame in reach": "#c9ced6",
    "cut": "#d03b3b",
}


def coverage_section(videos: Sequence[Video], horizon: int) -> str:
    """Return a strip for each video with cuts, blank frames or frames out of reach; nothing without any."""
    shown = [video for video in videos if _is_broken(video, horizon)]
    if not shown:
        return ""
    strips = "".join(
        f"<figure><figcaption>{escape(video.name)}</figcaption>{coverage_strip(video, horizon)}</figure>\n"
        for video in shown[:_MOST_VIDEOS]
    )
    left_out = len(shown) - _MOST_VIDEOS
    more = f"<p>{counted(left_out, 'further video')} not shown.</p>" if left_out > 0 else ""
    legend = ", ".join(
        f'<span style="color:{colour}">■</span> {escape(name)}' for name, colour in _COLOURS.items()
    )
    return f"""<section>
<h2>Frames in reach</h2>
<p>From the first frame to the last: {legend}. No label is carried across a cut.</p>
{strips}{more}</section>"""


def coverage_strip(video: Video, horizon: int) -> str:
    """Return an SVG: a unit of width for each frame, labelled or not; key frames and cuts are lines.

    Example:
        >>> from pathlib import Path
        >>> paths, labels = [Path(f"{k}.jpg") for k in range(6)], {1: Path("1.png")}
        >>> video = Video(name="drive", stems="012345", frame_paths=paths, labels=labels)
        >>> coverage_strip(video, horizon=2).count("<rect")
        3
    """
    reached = frames_in_reach(video, horizon)
    parts = [_bar(0, len(video), "no key frame in reach")]
    parts += [_bar(span.start, len(span), "labelled") for span in consecutive(reached)]
    parts += [_bar(key, 1, "key frame") for key in video.key_frames]
    parts += [
        f'<line x1="{cut}" x2="{cut}" y1="0" y2="{_H}" stroke="{_COLOURS["cut"]}" stroke-width="3" '
        'vector-effect="non-scaling-stroke"/>'
        for cut in video.continuity.cuts
    ]
    text = f"{video.name}: {len(reached)} of {len(video)} frames in reach, {video.continuity}"
    return (
        f'<svg role="img" aria-label="{escape(text)}" viewBox="0 0 {len(video)} {_H}" width="100%" '
        f'height="{_H}" preserveAspectRatio="none">{"".join(parts)}</svg>'
    )


def _bar(first: int, count: int, kind: str) -> str:
    return f'<rect x="{first}" y="0" width="{count}" height="{_H}" fill="{_COLOURS[kind]}"/>'


def _is_broken(video: Video, horizon: int) -> bool:
    return bool(video.continuity) or len(frames_in_reach(video, horizon)) < len(video)
