"""What the refiners of a run are trained on: key frames that travel through the run's own videos."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from warprefine.core.video import Video
from warprefine.jobs.context import RunContext
from warprefine.propagation.evidence import Models
from warprefine.propagation.stepwise.cycle import cycles_of
from warprefine.training.data.samples import LabelledFrame, Samples, evenly, labelled_frames
from warprefine.training.refiners.cycles import Cycles, ModelsOf
from warprefine.training.refiners.key_frame_pool import KeyFramePool, places_of
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.sample_store import SampleSettings
from warprefine.training.refiners.still_pool import StillPool
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER, Shares
from warprefine.training.segmenter import hold_out

Which: TypeAlias = Literal["unseen", "seen", "both"]
"""Segmenters of samples: held out from the key frame, trained on it, or both."""


@dataclass(frozen=True, kw_only=True)
class RefinerSamples:
    """Samples of both refiners.

    Attributes:
        context: The run.
        key_frames: Its hand-labelled frames.
        held_out: Returns models with a segmenter that was not trained on a key frame.
        labelling: Returns models with the segmenter that labels.
    """

    context: RunContext
    key_frames: Sequence[LabelledFrame]
    held_out: ModelsOf
    labelling: ModelsOf

    def cycles(self, tau: float) -> Sequence[Cycles]:
        """Return the cycles that the paper's refiner is trained on, all run."""
        context, recipe = self.context, self.context.recipe.refiner
        pools = [
            Cycles(context.dataset, context.cache, longest=recipe.longest_cycle, models_of=models_of)
            for models_of in self._models_of(recipe.segmenters)
        ]
        for cycles in pools:
            cycles.prepare(tau, progress=context.progress, world=context.world)
        return pools

    def two_sided(self, models: Models) -> Shares:
        """Return what the two-sided refiner is trained on, all computed.

        Args:
            models: The motion that labels are carried with; no segmenter.
        """
        context, plus = self.context, self.context.recipe.plus
        settings = SampleSettings(cache=context.cache, models=models, carry=plus.carry, training=plus.refiner)
        stills = self.stills() if plus.refiner.synthetic.share else []
        share = plus.refiner.synthetic.share if stills else 0.0
        key_frames = [
            KeyFramePool(context.dataset, settings, models_of)
            for models_of in self._models_of(plus.refiner.segmenters)
        ]
        for pool in key_frames:
            pool.prepare(progress=context.progress, world=context.world)
        shares: list[tuple[KeyFramePool | StillPool, float]] = [
            (pool, (1 - share) / len(key_frames)) for pool in key_frames
        ]
        if stills:
            still_pool = StillPool(stills, settings, self._models_of_still)
            still_pool.prepare(progress=context.progress, world=context.world)
            shares.append((still_pool, share))
        return [(pool, of_pool) for pool, of_pool in shares if of_pool > 0]

    def held_out_places(self, refiners: Collection[str]) -> list[tuple[Video, int]]:
        """Return the key frames whose samples are computed with held-out segmenters; nothing is computed.

        Args:
            refiners: The parts that are trained on the samples, by name.
        """
        context, plus = self.context, self.context.recipe.plus.refiner
        found: list[tuple[Video, int]] = []
        if REFINER.part in refiners and context.recipe.refiner.segmenters != "seen":
            longest = context.recipe.refiner.longest_cycle
            for video in context.dataset.videos:
                found += [(video, cycle.key_frame) for cycle in cycles_of(video, longest)]
        if TWO_SIDED_REFINER.part in refiners:
            if plus.segmenters != "seen":
                found += places_of(context.dataset, plus)
            if plus.synthetic.share:
                own = {video.name for video in context.dataset.videos}
                found += [(one.video, one.frame) for one in self.stills() if one.video.name in own]
        return found

    def stills(self) -> Sequence[LabelledFrame]:
        """Return single images that some segmenter was not trained on: key frames, held-out further data."""
        recipe = self.context.recipe
        further = [
            replace(member, video=replace(member.video, name=f"further-{i}/{member.video.name}"))
            for i, dataset in enumerate(self.context.also_train)
            for member in labelled_frames(dataset)
        ]
        held_out = hold_out(Samples(further), recipe.segmenter.holdout_every)[1].members
        return evenly([*self.key_frames, *held_out], recipe.plus.refiner.synthetic.stills)

    def _models_of(self, which: Which) -> list[ModelsOf]:
        """Return functions that select the segmenter of a key frame's samples, one per kind in `which`."""
        kinds: dict[Which, list[ModelsOf]] = {
            "unseen": [self.held_out],
            "seen": [self.labelling],
            "both": [self.held_out, self.labelling],
        }
        return kinds[which]

    def _models_of_still(self, video: Video, frame: int) -> Models:
        """Return models with a segmenter that was not trained on a single image."""
        own = {one.name for one in self.context.dataset.videos}
        models_of = self.held_out if video.name in own else self.labelling
        return models_of(video, frame)
