"""The log of imagined readings, and their replay: a line holds everything that one depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from ..engine.filling import Filled, Filler, Question
from ..engine.interface import Engine


def fill_line(stamp: float, filled: Filled) -> dict[str, Any]:
    """Log an imagined moment, at `stamp` in seconds, and the question that it answers."""
    asked = filled.question
    assert asked is not None
    return {
        "kind": "fill",
        "stamp": stamp,
        **{name: getattr(asked, name).tolist() for name in ("window", "action", "row", "known", "ages")},
        "filled": filled.row.tolist(),
        "trust": dict(filled.trust),
    }


@dataclass(frozen=True)
class CheckedFills:
    """Imagined moments of a log, made again."""

    same: int  # bit for bit
    different: list[float]  # stamps of those that differ, seconds


def check_fills(engine: Engine, lines: list[dict[str, Any]]) -> CheckedFills:
    """Imagine the logged moments again, and compare.

    Args:
      engine: of the model.
      lines: of a log, of the kind `fill`.

    Raises:
      ValueError: a line is damaged or does not fit the engine, or its model does not fill in sensors.
    """
    if not lines:
        return CheckedFills(0, [])
    if not engine.contract.fills:
        raise ValueError("the log has imagined readings, and this bundle's model makes none: give the log's own")
    filler, spec = Filler(engine), engine.contract.observation
    same, different = 0, list[float]()
    for line in lines:
        try:
            trust, stamp = line["trust"], float(line["stamp"])
            question = Question(
                _array(line["window"]).reshape(-1, spec.size),
                _array(line["action"]).reshape(engine.contract.action_size),
                _array(line["row"]).reshape(spec.size),
                _array(line["known"]).reshape(len(spec.sensors)),
                _array(line["ages"]).reshape(len(spec.sensors)),
            )
            found = filler.completed(question, list(trust))
            if found.trust == trust and found.row.tobytes() == _array(line["filled"]).tobytes():
                same += 1
            else:
                different.append(stamp)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"an imagined moment in the log does not fit this bundle: {error}") from error
    return CheckedFills(same, different)


def _array(values: Any) -> ndarray:
    return np.asarray(values, np.float32)
