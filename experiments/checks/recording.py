"""What makes recorded data good to learn a world model from, measured: docs/recording.md."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
from numpy import ndarray
from scipy.spatial import cKDTree

from worldmodel.data.episodes import EpisodeData
from worldmodel.data.logs import out_of_bounds

from ..build.recipes import Source, named, places
from ..shell.overrides import command_line
from .actuation import delays
from .finding import Finding, judged
from .signals import Signals

logger = logging.getLogger(__name__)

# Near rest is a change within a control period of less than a tenth of that in the fastest twentieth of the moments,
# but at least and at most of these shares of the spread: slow among the data, and slow for a model.
SLOW = 0.1
SLOWEST = 0.05, 0.065
REST = 0.042  # least share of moments near rest: the data of this project's own tasks have 0.049 and more
COARSE = 0.35  # median change within a control period beyond which the motion is too coarse
MOTION = 0.02  # change in the fastest twentieth of the moments, below which hardly anything moves
FEW = 10_000  # steps
SHORT = 20  # steps of an episode
NARROW = 0.2  # share of an actuator's range that 98 % of its values must span
SATURATED = 0.5  # share of an actuator's values at a bound
TOGETHER = 0.95  # correlation of two actuators
REPEATED = 0.05  # share of steps whose readings repeat the last ones although actions are taken
NEAR = 0.25  # distance, as a share of the spread, within which the data know a moment
KNOWN = 0.5  # least share of an unseen episode's moments that the others know
FAR = 100.0  # times the range of 98 % of a column: no working sensor reads that
_FRAMES = 1500  # pairs of pictures that stand for all
_MOMENTS = 1000, 40_000  # tried for `KNOWN`, and tried against


def motion(data: EpisodeData, signals: Signals) -> list[Finding]:
    """Return the findings about rest and speed, the most important ones."""
    speed = signals.speed if signals.values.shape[1] else _picture_speed(data)
    middle, fast = float(np.median(speed)), float(np.percentile(speed, 95))
    rest = float(np.mean(speed < np.clip(SLOW * fast, *SLOWEST)))
    return [
        judged(
            "rest",
            rest >= REST,
            f"{rest:.1%} of the moments are near rest (at least {REST:.1%} are needed)",
            "record rest as well as motion: stop at many places and stay there; a model that has hardly seen rest does "
            "not know how to stand still at a goal, however healthy it looks",
            value=rest,
        ),
        judged(
            "speed",
            fast >= MOTION and middle <= COARSE,
            f"from one decision to the next the state changes by {middle:.1%} of its spread in the median, "
            f"{fast:.1%} in the fastest twentieth",
            "move more gently, or decide more often: between two decisions everything changes"
            if middle > COARSE
            else "move more, or decide less often: hardly anything changes between two decisions",
            value=middle,
        ),
    ]


def actions(data: EpisodeData, signals: Signals, period: float | None) -> Iterator[Finding]:
    """Findings about the actuators: span, bounds, whether they move alone, and when they take effect."""
    steps = signals.steps[data.labelled[signals.steps]]
    if not len(steps):
        return
    taken, low, high = data.actions[steps], data.action_low, data.action_high
    bounded = np.isfinite(low) & np.isfinite(high) & (low < high)
    if outside := np.flatnonzero(out_of_bounds(taken, low, high).any(axis=0)).tolist():
        yield Finding("bounds", "fault", f"actuators {_list(outside)} leave their bounds", "store what was executed")
    half = np.where(bounded, high - low, 1.0)
    span = np.where(bounded, np.ptp(np.percentile(taken, [1, 99], axis=0), axis=0) / half, 1.0)
    at_end = ((taken <= low + 0.005 * half) | (taken >= high - 0.005 * half)).mean(axis=0) * bounded
    narrow, ends = np.flatnonzero(span < NARROW).tolist(), np.flatnonzero(at_end > SATURATED).tolist()
    yield judged(
        "actions",
        not narrow,
        f"98 % of each actuator's values span {span.min():.0%} of its range or more",
        f"use more of the range of actuators {_list(narrow)}, or give their true bounds",
        value=float(span.min()),
    )
    yield judged(
        "saturation",
        not ends,
        f"at most {at_end.max():.0%} of an actuator's values are at a bound",
        f"push actuators {_list(ends)} less hard: at a bound they teach two commands only",
        value=float(at_end.max()),
    )
    if taken.shape[1] > 1 and (taken.std(axis=0) > 0).all():
        alike = np.abs(np.corrcoef(taken.T) - np.eye(taken.shape[1]))
        yield judged(
            "independence",
            float(alike.max()) < TOGETHER,
            f"the most alike actuators correlate by {alike.max():.2f}",
            "move actuators one by one as well: what always moves together cannot be told apart",
            value=float(alike.max()),
        )
    if data.is_labelled and (seen := delays(data, signals)) is not None:
        ms = f" ({1e3 * period * seen.steps:.0f} ms)" if period else ""
        yield judged(
            "delay",
            seen.steps == 0,
            f"actions show after {seen.steps} steps{ms}, by the linear fit that explains {seen.explained:.0%}"
            if seen.steps
            else f"actions show in the next reading (a linear fit explains {seen.explained:.0%})",
            "log actions when they are executed; a true delay goes into the loop (docs/control_loop.md) or needs a "
            f"longer model.history, of {seen.steps + 2} or more (model.memory reaches further back)",
            value=float(seen.steps),
        )


def rows(data: EpisodeData, signals: Signals) -> Iterator[Finding]:
    """Findings about columns and rows: still, repeated, far off, outliers, angles."""
    still = [name for name, flag in zip(signals.names, signals.still, strict=True) if flag]
    yield judged("constant", not still, _named(still, "columns never change"), "leave them out, or check their logging")
    acted = np.nan_to_num(data.actions)
    busy = np.abs(acted[signals.steps]).max(axis=1) > 1e-3 * np.abs(acted).max(initial=1e-9)
    same = (signals.changes == 0).all(axis=1) & busy if signals.values.shape[1] else np.zeros(1, bool)
    yield judged(
        "repeated",
        float(same.mean()) <= REPEATED,
        f"{same.mean():.1%} of the readings repeat the one before although actions are taken",
        "log at the rate of the sensors, or take a longer control period",
        value=float(same.mean()),
    )
    least, most = np.percentile(signals.values, [1, 99], axis=0) if signals.values.size else (np.zeros(0),) * 2
    apart = np.abs(signals.values - np.clip(signals.values, least, most)).max(axis=0, initial=0.0)
    out = [
        name for name, far in zip(signals.names, (apart > FAR * (most - least)) & (most > least), strict=True) if far
    ]
    yield judged("outliers", not out, _named(out, "columns have readings far off"), "leave those episodes out")
    wraps, winds, off = signals.wraps(), signals.winds(), signals.far_off()
    yield judged("angles", not wraps, _named(wraps, "columns jump by a turn"), "observe sine and cosine instead")
    yield judged(
        "unbounded",
        not winds,
        _named(winds, "columns grow with time"),
        "observe an angle by its sine and cosine, and leave clocks and counters out",
    )
    yield judged("offset", not off, _named(off, "columns lie far from zero"), "subtract the offset before logging")


def episodes(data: EpisodeData, signals: Signals, period: float | None) -> Iterator[Finding]:
    """Findings about amount, lengths and repetition."""
    lengths = np.unique(data.first, return_counts=True)[1] - 1
    hours = f", {data.steps * period / 3600:.2f} h of robot time" if period else ""
    yield judged(
        "amount",
        data.steps >= FEW,
        f"{data.episodes} episodes, {data.steps} steps{hours}",
        "record more: the recipes of this project learn from 150000 steps, simple robots from a tenth of it",
        value=float(data.steps),
    )
    short = float(np.mean(lengths < SHORT))
    yield judged(
        "lengths",
        short < 0.2,
        f"episodes of {lengths.min()} to {lengths.max()} steps, {np.median(lengths):.0f} in the median",
        f"record longer episodes: {short:.0%} have fewer than {SHORT} steps; gaps in the time stamps begin new ones",
        value=float(np.median(lengths)),
    )
    yield judged(
        "control period",
        period is not None,
        f"{1e3 * period:g} ms" if period else "unknown",
        "add control_period=SECONDS",
        value=period,
        bad="fault",
    )
    begins = [data.actions[first : first + 8] for first in np.unique(data.first) if data.labelled[first]]
    prints = [hash(np.round(actions, 4).tobytes()) for actions in begins]
    twice = 1 - len(set(prints)) / max(len(prints), 1)
    yield judged(
        "duplicates",
        twice <= 0.05,
        f"{twice:.1%} of the episodes begin with the same actions as another",
        "record other motions: copies add nothing, and a held-out copy is no test",
        value=twice,
    )
    if signals.values.shape[1] and data.episodes >= 5:
        known = _known(data, signals)
        yield judged(
            "coverage",
            known >= KNOWN,
            f"{known:.0%} of the moments of a fifth of the episodes are near some moment of the others",
            "record more, or a smaller part of what the robot can do: an unseen episode is mostly new to these data",
            value=known,
        )


def recording(data: EpisodeData, period: float | None) -> list[Finding]:
    """Return all findings about recorded data, those that matter most first.

    Args:
      data: the episodes.
      period: seconds between two decisions; None: not known.
    """
    signals = Signals.of(data)
    return [
        *motion(data, signals),
        *actions(data, signals, period),
        *episodes(data, signals, period),
        *rows(data, signals),
    ]


def most_important(data: EpisodeData) -> Finding | None:
    """Return the first finding about rest, speed and actions that does not pass; None if all of them do."""
    signals = Signals.of(data)
    found = [*motion(data, signals), *actions(data, signals, None)]
    return next((each for each in found if each.state != "pass"), None)


def warn_of_most_important(data: EpisodeData, source: Source) -> None:
    """Log the finding of `most_important`, with the command that shows all of them."""
    if (fault := most_important(data)) is not None:
        every = places(source)
        command = command_line("check", {"data": every[0] if len(every) == 1 else every})
        logger.warning("%s: %s; %s; all of it: %s", named(source), fault.found, fault.fix, command)


def _known(data: EpisodeData, signals: Signals) -> float:
    """Share of the moments of every fifth episode that lie near one of the other episodes."""
    starts = np.unique(data.first)
    number = np.searchsorted(starts, data.first)
    moving = ~signals.still & (signals.spread > 0)
    scaled = signals.values[:, moving] / signals.spread[moving] / np.sqrt(max(moving.sum(), 1))
    held, kept = np.flatnonzero(number % 5 == 0), np.flatnonzero(number % 5 != 0)
    held, kept = (each[:: max(1, len(each) // most)] for each, most in zip((held, kept), _MOMENTS, strict=True))
    distance, _ = cKDTree(scaled[kept]).query(scaled[held])
    return float(np.mean(distance < NEAR))


def _picture_speed(data: EpisodeData) -> ndarray:
    """Change of the pictures from a row to the next, as a share of their spread over the data."""
    steps = np.flatnonzero(data.last != np.arange(data.rows))
    steps = steps[:: max(1, len(steps) // _FRAMES)]

    def seen(rows: ndarray) -> ndarray:  # [N, pixels], thinned
        frames = [data.readings[sensor.name][rows].reshape(len(rows), -1)[:, ::7] for sensor in data.spec.pictures]
        return np.concatenate(frames, axis=1).astype(np.float32)

    before, after = seen(steps), seen(steps + 1)
    spread = float(np.sqrt(np.square(before - before.mean(axis=0)).mean()))
    return np.sqrt(np.square(after - before).mean(axis=1)) / max(spread, 1e-9)


def _list(indices: Sequence[int]) -> str:
    return ", ".join(map(str, indices))


def _named(names: Sequence[str], what: str) -> str:
    return f"{len(names)} {what}: {', '.join(names[:8])}" if names else f"no {what}"
