"""A whole dataset, encoded by a finished encoder: what later parts of a model learn from."""

from __future__ import annotations

from ..data.frame_windows import FrameWindows
from ..data.windows import LatentSampler, WindowSampler
from ..models.goal_model import WorldModel


def encoded(sampler: WindowSampler | FrameWindows, model: WorldModel) -> LatentSampler:
    """Return the embeddings and the latents of all moments of the data.

    Args:
      sampler: of the data.
      model: with the finished encoder.
    """
    if isinstance(sampler, FrameWindows):
        return LatentSampler.of(sampler.windows, sampler.embeddings(model.embed), model.encode)
    return LatentSampler.of(sampler, model.embed(sampler.observations), model.encode)
