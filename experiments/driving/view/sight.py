"""What the cameras see beside what the model expects, as pictures in the panel of a drive's page."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from planning.control import Contract
from worldmodel.observation import ObservationSpec

from ...pictures.memory import Memory
from .expectation import UNKNOWN, Expectation
from .state import Moment
from .theme import Theme

TILE = 192  # pixels of a picture, at least, so that browsers do not blur it much
_GAP = 12
_HEADS = "<div class='drive-heads'>{}</div>"


@dataclass(frozen=True)
class Sight:
    """Parts of the panel for a model that observes pictures."""

    contract: Contract
    memory: Memory | None = None  # of the model
    expectation: Expectation | None = None


@final
class SightPanel:
    """For each camera: what it sees beside what was expected for now, and the goal beside the end of the plan.

    Args:
      gui: of viser.
      sight: parts.
      theme: of the page.
    """

    def __init__(self, gui: Any, sight: Sight, theme: Theme):
        self._sight, self._theme, contract = sight, theme, sight.contract
        self._moments: deque[Moment] = deque(maxlen=contract.history + contract.action_block)
        self._goal: dict[str, ndarray] = {}
        self._found = (UNKNOWN, UNKNOWN)
        self._images: dict[str, tuple[Any, Any]] = {}
        ago = contract.action_block * contract.control_period
        ahead = contract.horizon // contract.action_block * ago
        expected = "expected for now" if sight.memory else "no memory file"
        cameras = ObservationSpec.of(contract.observation.sensors).pictures
        for sensor in cameras:
            nothing = self._row(self._empty(sensor.shape), self._empty(sensor.shape))
            title = "Camera" if len(cameras) == 1 else f"Camera {sensor.name}"
            with gui.add_folder(title):
                gui.add_html(_head("seen now", expected))
                above = gui.add_image(nothing, format="png")
                gui.add_html(_head("goal", f"expected in {ahead:.2g} s"))
                self._images[sensor.name] = above, gui.add_image(nothing, format="png")

    def begin(self, goal: Mapping[str, ndarray]) -> None:
        """Begin another episode, or go on towards another goal; `goal` holds its pictures by camera."""
        self._goal = dict(goal)

    def take(self, moments: Sequence[Moment]) -> None:
        """Take in control instants, in order."""
        for moment in moments:
            if self._moments and moment.number != self._moments[-1].number + 1:
                self._moments.clear()  # another episode, or an instant was missed: the window has no gaps
                self._found = UNKNOWN, UNKNOWN
            self._moments.append(moment)

    def draw(self) -> None:
        """Show the newest moment, and ask for what is expected."""
        if not self._moments:
            return
        self._ask()
        newest = self._moments[-1].observation
        now, later = self._found
        for name, (above, below) in self._images.items():
            seen = newest[name]
            above.image = self._row(seen, self._remembered(name, now, seen.shape))
            below.image = self._row(
                self._goal.get(name, self._empty(seen.shape)), self._remembered(name, later, seen.shape)
            )

    def _ask(self) -> None:
        expectation, contract = self._sight.expectation, self._sight.contract
        if expectation is None:
            return
        found = expectation.answer()
        self._found = self._found if found is None else found
        if not expectation.idle:
            return
        window = list(self._moments)
        executed = np.full((contract.action_block, contract.action_size), np.nan, np.float32)
        if len(window) == self._moments.maxlen:
            executed = np.stack([each.action for each in window[-contract.action_block - 1 : -1]])
        plan = window[-1].plan
        nothing = np.zeros((0, contract.action_size), np.float32)
        expectation.ask([each.observation for each in window], executed, nothing if plan is None else plan)

    def _remembered(self, name: str, number: int, shape: tuple[int, ...]) -> ndarray:
        memory = self._sight.memory
        return self._empty(shape) if memory is None or number == UNKNOWN else memory.frames[name][number]

    def _empty(self, shape: tuple[int, ...]) -> UInt8[ndarray, "h w 3"]:
        return np.full(shape, self._theme.blank, np.uint8)

    def _row(self, left: UInt8[ndarray, "h w 3"], right: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "H W 3"]:
        """Two pictures side by side, enlarged by a whole number."""
        times = max(1, -(-TILE // left.shape[0]))
        large = [each.repeat(times, axis=0).repeat(times, axis=1) for each in (left, right)]
        gap = np.full((len(large[0]), _GAP, 3), self._theme.paper, np.uint8)
        return np.concatenate([large[0], gap, large[1]], axis=1)


def _head(*words: str) -> str:
    return _HEADS.format("".join(f"<span>{word}</span>" for word in words))
