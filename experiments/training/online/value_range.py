"""Range of rewards and returns that a model can represent, and checks that the data fit into it."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from worldmodel.models.reward_model import RewardModelConfig

logger = logging.getLogger(__name__)

_ROOM = 1.0  # on the symlog scale: a learned policy may return about three times as much as the data

_SMALL = 0.01  # returns that all lie within a few hundredths of a bin


def largest_return(rewards: Float[ndarray, "N"], ended: Bool[ndarray, "N"], discount: float) -> float:
    """The largest magnitude of a reward, and of a discounted return to the end of an episode or of the data."""
    total, largest = 0.0, 0.0
    for reward, last in zip(rewards[::-1].astype(np.float64), ended[::-1], strict=True):
        total = float(reward) + (0.0 if last else discount * total)
        largest = max(largest, abs(total), abs(float(reward)))
    return largest


def suited(config: RewardModelConfig, largest: float, source: object) -> RewardModelConfig:
    """Architecture whose bins cover the rewards and returns, in whole units of symlog.

    Args:
      config: its `bin_limit` is never lowered.
      largest: magnitude of the observed rewards and returns.
      source: of these values, for messages.
    """
    needed = math.log1p(largest)
    if 0 < largest < _SMALL:
        logger.warning(
            "rewards and returns of %s reach %.2g only, which is little beside the resolution of their bins and the "
            "policy's entropy: scale rewards up, so that returns are of the order of 1 to 1000",
            source,
            largest,
        )
    if needed <= config.bin_limit:
        return config
    limit = float(math.ceil(needed + _ROOM))
    logger.warning(
        "rewards and returns of %s reach %.4g, and model.bin_limit=%g ends at %.4g: it is raised to %g",
        source,
        largest,
        config.bin_limit,
        math.expm1(config.bin_limit),
        limit,
    )
    return replace(config, bin_limit=limit)


class RangeWatch:
    """Warning, once per training run, that rewards or returns exceed the range of the model's bins."""

    def __init__(self, bin_limit: float):
        self._limit, self._told = bin_limit, False

    def see(self, values: Float[ndarray, "..."] | Sequence[float], what: str) -> None:
        """Check some values; `what` names them in the warning."""
        largest = float(np.abs(values).max(initial=0.0))
        # Slightly below: targets of a model whose critics are at their limit are the limit itself.
        if self._told or not math.log1p(largest) > self._limit * (1 - 1e-3):
            return
        self._told = True
        logger.warning(
            "%s of %.4g are beyond model.bin_limit=%g, which ends at %.4g: larger ones are learned as that; begin anew "
            "with model.bin_limit=%d",
            what,
            largest,
            self._limit,
            math.expm1(self._limit),
            math.ceil(math.log1p(largest) + _ROOM),
        )
