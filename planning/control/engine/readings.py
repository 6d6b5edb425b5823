"""Numbers from outside: what a sensor, an operator or a policy hands over, read without guessing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from .contract import Contract


def numbers_of(value: Any) -> ndarray | None:
    """The value as a new float32 array, infinite beyond float32's range; None where it is not plain real numbers.

    Masked arrays, complex numbers, strings, dates and objects are no readings: NumPy would turn some of them into
    numbers in silence.
    """
    if isinstance(value, np.ma.MaskedArray):
        return None
    try:
        raw = np.asarray(value)  # a masked element in a list becomes NaN
    except Exception:  # whatever an object's own conversion raises
        return None
    if raw.dtype.kind not in "biuf":
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(raw, np.float32)


def checked_action(action: Any, contract: Contract) -> ndarray:
    """What the actuators do now, [A] float32, brought into the bounds.

    Raises:
      ValueError: it is not one finite number for each actuator.
    """
    values = numbers_of(action)
    if values is None or values.shape != (contract.action_size,) or not np.isfinite(values).all():
        raise ValueError(
            f"previous must be {contract.action_size} finite numbers, one for each actuator; got {action!r}"
        )
    return np.clip(values, contract.low, contract.high)
