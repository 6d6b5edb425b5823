"""Values of a diagnosis at the pointer: a place and a text for each point that its panels draw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from numpy import ndarray

from ..pages.figures import Hover
from .diagnosis import Diagnosis
from .figures import probe_names, typical


def hover(title: str, axes: Axes, found: Diagnosis) -> list[Hover]:
    """Places of one panel, by its title; none for a panel of paths.

    Args:
      title: as in `figures.panels`.
      axes: that the panel was drawn in.
      found: what it shows.
    """
    places = _PANELS.get(title)
    return [] if places is None else places(axes, found)


def _horizon(axes: Axes, found: Diagnosis) -> list[Hover]:
    seen = found.foresight
    assert seen is not None
    steps = np.arange(1, len(seen.model) + 1) * found.action_block
    return [
        Hover(axes, float(step), float(ratio), f"{name}, {step} steps ahead\n{ratio:.3g} of the error of no change")
        for name, errors in (("shuffled actions", seen.shuffled), ("model", seen.model))
        for step, ratio in zip(steps, errors / seen.unchanged, strict=True)
    ]


def _distances(axes: Axes, found: Diagnosis) -> list[Hover]:
    reach = found.reach
    assert reach is not None
    if "critic" not in reach.distances:
        return []
    steps, (low, median, high) = reach.curve("critic")
    return [
        Hover(axes, float(at), float(middle), f"{at:g} steps left\ncritic: {middle:.3g} ({least:.3g} to {most:.3g})")
        for at, middle, least, most in zip(steps, median, low, high, strict=True)
    ]


def _probes(axes: Axes, found: Diagnosis) -> list[Hover]:
    return [
        Hover(
            axes,
            0.5,
            float(place),
            f"{name}\nR² {found.probes[name]:.3f}; from the sensors {found.sensed[name]:.3f}",
            (1.0, 0.62),
        )
        for place, name in enumerate(probe_names(found))
    ]


def _landscape(which: str) -> Callable[[Axes, Diagnosis], list[Hover]]:
    def places(axes: Axes, found: Diagnosis) -> list[Hover]:
        chosen = typical(found)
        values = chosen.model if which == "model" else chosen.truth
        size = (_step(chosen.first), _step(chosen.second))
        first, second = chosen.names
        return [
            Hover(
                axes, float(x), float(y), f"cost {values[row, column]:.4g}\n{first}: {x:.3g}\n{second}: {y:.3g}", size
            )
            for row, y in enumerate(chosen.second)
            for column, x in enumerate(chosen.first)
        ]

    return places


def _step(values: ndarray) -> float:
    return float(values[1] - values[0])


_PANELS: dict[str, Callable[[Axes, Diagnosis], list[Hover]]] = {
    "Horizon error": _horizon,
    "Distance against steps": _distances,
    "Linear probes": _probes,
    "Cost landscape: model": _landscape("model"),
    "Cost landscape: truth": _landscape("truth"),
}
