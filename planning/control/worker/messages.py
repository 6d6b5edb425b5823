"""Messages between the two sides of the loop: the situation goes to the planner, a plan comes back.

Both are records of fixed size, so that they fit a mailbox in shared memory. Times are seconds on the loop's own clock:
the planner only returns them, and has no clock of its own that could disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from ...parameterization import Parameterization
from ...types import Status
from ..engine.contract import Contract


def request_type(contract: Contract) -> np.dtype:
    """Record type of a situation.

    `window` are the last observations one control period apart, newest last, of which `known` are real and the earliest
    repeated before them, and `frames` the numbers of their stored pictures or -1; `executed` are the actions that led
    from the K-th last of them to the last, `committed` those that will be taken from the last one on, the first
    `frozen` of them in any case.
    """
    observation, actions = (contract.embedding_size,), contract.action_size
    return np.dtype(
        [
            ("number", "i8"),
            ("epoch", "i8"),
            ("seed", "i8"),
            ("episode", "i8"),
            ("stamp", "f8"),
            ("goal", "f4", observation),
            ("window", "f4", (contract.history + contract.action_block, *observation)),
            ("known", "i4"),
            ("frames", "i8", (contract.history + contract.action_block,)),
            ("executed", "f4", (contract.action_block, actions)),
            ("committed", "f4", (contract.horizon, actions)),
            ("frozen", "i4"),
            ("weights", "f4", (len(contract.terms),)),
        ]
    )


def plan_type(contract: Contract) -> np.dtype:
    """Record type of a plan and its statistics. What does not apply is NaN."""
    steps = contract.horizon // contract.action_block
    return np.dtype(
        [
            ("sequence", "i8"),
            ("epoch", "i8"),
            ("stamp", "f8"),
            ("valid_until", "f8"),
            ("verdict", "i4"),
            ("rank", "i4"),
            ("iterations", "i4"),
            ("frozen", "i4"),
            ("missed", "i4"),
            ("surprised", "i4"),
            ("compute", "f8"),
            ("actions", "f4", (contract.horizon, contract.action_size)),
            ("cost", "f4"),
            ("terms", "f4", (len(contract.terms),)),
            ("margins", "f4", (len(contract.margins),)),
            ("spread", "f4"),
            ("surprise", "f4"),
            ("disagreement", "f4"),
            ("prediction_error", "f4"),
            ("imagined", "f4", (steps, contract.probe_size or contract.latent_size)),
        ]
    )


@dataclass(frozen=True)
class PublishedPlan:
    """A plan as the loop executes it. `stamp` is the time of its first action on the loop's clock."""

    sequence: int  # the number of the situation that it answers, so it always grows
    epoch: int
    stamp: float  # seconds
    valid_until: float  # seconds
    control_period: float  # seconds
    verdict: Status
    actions: ndarray  # [T, A]
    record: Any  # the rest of the planner's answer, a record of `plan_type`
    playback: Parameterization

    @classmethod
    def of(cls, message: bytes, kind: np.dtype, contract: Contract, playback: Parameterization) -> PublishedPlan:
        """Read a message.

        Args:
          message: bytes from the mailbox.
          kind: `plan_type(contract)`.
          contract: of the planner.
          playback: how the actions go between the plan's steps.
        """
        record = np.frombuffer(message, kind)[0]
        return cls(
            sequence=int(record["sequence"]),
            epoch=int(record["epoch"]),
            stamp=float(record["stamp"]),
            valid_until=float(record["valid_until"]),
            control_period=contract.control_period,
            verdict=Status(int(record["verdict"])),
            actions=record["actions"],
            record=record,
            playback=playback,
        )

    def at(self, moment: float) -> ndarray:
        """Return the action [A] that takes effect at `moment`, by the planner's own interpolation."""
        horizon = len(self.actions)
        return self.playback.evaluate(self.actions, moment - self.stamp, self.control_period, horizon)

    def valid(self, moment: float) -> bool:
        """Whether the plan may be executed at `moment`: within its window, from the stamp to `valid_until`."""
        return self.stamp <= moment <= self.valid_until
