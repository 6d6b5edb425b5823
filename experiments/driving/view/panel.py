"""The parts of a drive's panel: the words, the sliders, and the curves of the last seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray

from .state import Picture
from .theme import Theme

FRAMES = 15.0  # a second
WINDOW = 10.0  # seconds that the charts show


@dataclass
class History:
    """History of the last seconds, for the charts."""

    terms: int
    _moments: deque[float] = field(default_factory=lambda: deque(maxlen=int(FRAMES * WINDOW)))
    _values: deque[ndarray] = field(default_factory=lambda: deque(maxlen=int(FRAMES * WINDOW)))

    def add(self, now: float, picture: Picture) -> None:
        """Append one moment."""
        terms = np.full(self.terms, np.nan) if picture.terms is None else picture.terms
        self._moments.append(now)
        self._values.append(np.append(terms, np.nan if picture.plan_ms is None else picture.plan_ms))

    def charts(self, now: float, deadline_ms: float) -> tuple[tuple[ndarray, ...], tuple[ndarray, ...]]:
        """Columns of both charts: seconds before now, then the curves."""
        seconds = np.array(self._moments) - now
        values = np.stack(self._values).T.astype(np.float64)
        return (seconds, *values[:-1]), (seconds, values[-1], np.full_like(seconds, deadline_ms))


def weight_slider(gui: Any, name: str, value: float) -> Any:
    """Slider from 0 to twice the current weight."""
    most = max(2 * abs(value), 1.0)
    return gui.add_slider(name.replace("_", " "), 0.0 if value >= 0 else -most, most, most / 100, float(value))


def chart(gui: Any, names: tuple[str, ...], unit: str, theme: Theme, colours: tuple[str, ...] = ()) -> Any:
    """Curves over the last seconds.

    Args:
      gui: of viser.
      names: of the curves.
      unit: of the values.
      theme: of the page.
      colours: names of the theme's colours; empty: its series.
    """
    chosen = [theme.css(each) for each in colours] or [f"rgb{each}" for each in theme.series * len(names)]
    series: list[Any] = [{"label": "seconds ago"}]
    for name, colour in zip(names, chosen, strict=False):
        series.append({"label": name.replace("_", " "), "stroke": colour, "width": 2})
    axes = (
        {"label": "seconds ago", "labelSize": 18, "size": 34, "stroke": theme.css("ink")},
        {"label": unit, "labelSize": 18, "size": 44, "stroke": theme.css("ink")},
    )
    nothing = tuple(np.array([-WINDOW, 0.0]) * (index == 0) for index in range(len(names) + 1))
    scales = {"x": {"time": False, "range": (-WINDOW, 0.0)}}
    return gui.add_uplot(nothing, tuple(series), scales=scales, axes=axes, height=170, padding=(12, 16, 0, 0))


def status(picture: Picture | None, theme: Theme) -> str:
    """Status of the drive, in a few words."""
    if picture is None:
        return "<p style='margin:6px 12px'>The simulator starts …</p>"
    word = picture.source.lower().replace("_", " ")
    colour = theme.css("goal" if picture.source == "PLAN" else "body")
    why = ", ".join(each.lower().replace("_", " ") for each in picture.wrong)
    planning = "–" if picture.plan_ms is None else f"{picture.plan_ms:.1f} ms"
    rows = {
        "action from": f"<b style='color:{colour}'>{word}</b>{f' ({why})' if why else ''}",
        "goals reached": f"{picture.successes} of {picture.episodes}" if picture.known else "not known",
        "this episode": f"{picture.seconds:.1f} s" + (", reached" if picture.reached else ""),
        "planning": planning,
        "late actions": str(picture.late),
    }
    cells = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows.items())
    key = " ".join(
        f"<span><span style='color:{theme.css(name)}'>●</span> {what}</span>"
        for name, what in (("body", "robot"), ("plan", "imagined"), ("goal", "goal"), ("ink", "path"))
    )
    return f"<div class='drive-status'><div class='drive-key'>{key}</div><dl>{cells}</dl></div>"
