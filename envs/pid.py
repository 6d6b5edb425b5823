"""A discrete PID controller for batches of loops: the baseline of process control, and a source of data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray


class PidState(NamedTuple):
    """Controller state of B loops."""

    integral: ndarray  # [B] in units of the control
    reference: ndarray  # [B] rate-limited set-point
    slope: ndarray  # [B] filtered rate of the measurement, per second
    last: ndarray  # [B] previous measurement


@dataclass(frozen=True)
class Pid:
    """PID control with the derivative of the filtered measurement, anti-windup, and a limit on the set-point's rate.

    `u = bias + gain (r - y) + I - gain Td dy/dt`, clipped to [low, high], and `dI/dt = gain / Ti (r - y) + (clipped u -
    u) / Tt`: the integral follows the actuator where it saturates (back-calculation; Åström and Hägglund, Advanced PID
    Control, 2006, chapter 3).

    Args:
      gain: units of control for each unit of measurement.
      integral_time: Ti, seconds; infinity for none.
      derivative_time: Td, seconds; 0 for none.
      low: least control.
      high: greatest control.
      period: seconds between two measurements.
      bias: control at rest.
      setpoint_rate: maximum rate of the set-point, in units of measurement per second; infinity for no limit.
      filter_time: seconds, of the derivative's first-order filter; 0 for none.
      tracking_time: Tt, seconds, of the anti-windup; infinity for none.

    Raises:
      ValueError: a time or rate that is not positive where it has to be, or bounds in the wrong order.
    """

    gain: float
    integral_time: float
    derivative_time: float
    low: float
    high: float
    period: float
    bias: float = 0.0
    setpoint_rate: float = math.inf
    filter_time: float = 0.0
    tracking_time: float = math.inf

    def __post_init__(self) -> None:
        for name in ("integral_time", "period", "setpoint_rate", "tracking_time"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, but it must be positive")
        for name in ("derivative_time", "filter_time"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, but it must not be negative")
        if not self.low < self.high:
            raise ValueError(f"the bounds are low={self.low} and high={self.high}, but low must lie below high")

    def init(self, measured: Float[ndarray, "B"], control: Float[ndarray, "B"] | float | None = None) -> PidState:
        """Return the state of loops at rest at the measurements, held there by `control` (default: `bias`)."""
        start = np.asarray(measured, np.float64)
        held = np.broadcast_to(self.bias if control is None else control, start.shape)
        return PidState(held - self.bias, start.copy(), np.zeros_like(start), start.copy())

    def control(
        self, state: PidState, setpoint: Float[ndarray, "B"], measured: Float[ndarray, "B"]
    ) -> tuple[Float[ndarray, "B"], PidState]:
        """Return the controls of this period, within the bounds, and the state for the next."""
        step = self.setpoint_rate * self.period
        reference = state.reference + np.clip(setpoint - state.reference, -step, step)
        keep = math.exp(-self.period / self.filter_time) if self.filter_time else 0.0
        slope = keep * state.slope + (1 - keep) * (measured - state.last) / self.period
        error = reference - measured
        unclipped = self.bias + self.gain * (error - self.derivative_time * slope) + state.integral
        clipped = np.clip(unclipped, self.low, self.high)
        rise = self.gain / self.integral_time * error + (clipped - unclipped) / self.tracking_time
        return clipped, PidState(state.integral + self.period * rise, reference, slope, np.array(measured, np.float64))
