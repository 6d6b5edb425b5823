"""Text tables of a comparison, for terminal, Markdown and page, and its scores as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .comparison import HIGHEST, MEASURED, PUBLISHED, Comparison, Score
from .published import SUITE
from .time_to_score import LEARNED

COLUMNS = (
    "task",
    "method",
    "kind",
    "env_steps",
    "runs",
    "mean",
    "low",
    "high",
    "area",
    "action_repeat",
    "gradient_steps",
    "wall_s",
    "source",
)
NONE = "–"


@dataclass(frozen=True)
class TextTable:
    """A table of words; the first column names the rows."""

    title: str
    note: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table as Markdown, with title and note."""
        lines = [f"## {self.title}", "", f"| {' | '.join(map(_plain, self.heads))} |"]
        lines.append(f"|---|{'---:|' * (len(self.heads) - 1)}")
        lines += [f"| {' | '.join(map(_plain, row))} |" for row in self.rows]
        return "\n".join([*lines, "", self.note, ""])


def tables(found: Comparison) -> list[TextTable]:
    """The tables that have rows: final returns, over all tasks, probability of improvement, time to the baseline."""
    made = [_returns(found), _aggregates(found), _improvements(found), _races(found)]
    return [table for table in made if table.rows]


def scores_csv(scores: Sequence[Score]) -> str:
    """CSV text of the scores, one line per method and task; unknown values are empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for score in scores:
        values = (getattr(score, name) for name in COLUMNS)
        writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in values])
    return text.getvalue()


def _returns(found: Comparison) -> TextTable:
    columns = list(dict.fromkeys((score.kind, score.method) for score in found.scores))
    cells = {(score.kind, score.method, score.task): score for score in found.scores}
    rows = []
    for task in found.tasks:
        here = [cells.get((*column, task)) for column in columns]
        rows.append((short(task), *(_score(score) for score in here)))
    if len(found.shared) > 1:
        means = {(each.kind, each.method): f"{each.mean:.0f}" for each in found.aggregates}
        rows.append((f"mean of {_count(len(found.shared), 'task')}", *(means.get(column, NONE) for column in columns)))
    heads = ("task", *(method if kind == MEASURED else f"{method} *" for kind, method in columns))
    note = "Mean return of the runs, their number in brackets."
    repeats = {
        method: " ".join(dict.fromkeys(s.action_repeat for s in found.scores if s.method == method and s.kind == kind))
        for kind, method in columns
        if kind == MEASURED
    }
    note += f" Action repeat: {', '.join(f'{method} {each}' for method, each in repeats.items())}."
    if any(kind == PUBLISHED for kind, _ in columns):
        note += f" *: {PUBLISHED}, quoted and not measured here."
    if len(found.shared) > 1 and set(found.shared) != set(found.tasks):
        note += f" The mean is of what every measured method has: {', '.join(map(short, found.shared))}."
    return TextTable(f"Return at {found.at:,} environment steps", note, heads, tuple(rows))


def _score(score: Score | None) -> str:
    if score is None:
        return NONE
    return f"{score.mean:.0f}" + ("" if score.runs is None else f" ({score.runs})")


def _aggregates(found: Comparison) -> TextTable:
    rows = [
        (
            each.method if each.kind == MEASURED else f"{each.method}, {PUBLISHED}",
            NONE if each.iqm is None else f"{each.iqm:.3f}",
            _interval(each.interval, 3),
            f"{each.mean / HIGHEST:.3f}",
            NONE if each.runs is None else str(each.runs),
            str(each.tasks),
        )
        for each in found.aggregates
    ]
    note = (
        f"Interquartile mean over runs and tasks, returns divided by {HIGHEST:g}, on the tasks of DeepMind Control "
        "that every measured method has; stratified bootstrap, which needs two runs of every task."
    )
    heads = ("method", "IQM", "95 % interval", "mean", "runs", "tasks")
    return TextTable("Over all tasks", note, heads, tuple(rows))


def _improvements(found: Comparison) -> TextTable:
    rows = [
        (each.method, f"{each.probability:.2f}", _interval(each.interval, 2), str(each.tasks))
        for each in found.improvements
    ]
    note = f"How probably a run of {found.ours} returns more than one of the other method on a task drawn at random."
    heads = (f"{found.ours} against", "probability", "95 % interval", "tasks")
    return TextTable("Probability of improvement", note, heads, tuple(rows))


def _races(found: Comparison) -> TextTable:
    rows = []
    for race in found.races:
        sign = "" if race.reached else ">\u00a0"
        ratios = [NONE if ratio is None else f"{sign}{ratio:.2f}" for ratio in race.ratios]
        mine = [sign + text if text != NONE else NONE for text in (_steps(race.ours[0]), _seconds(race.ours[1]))]
        theirs = (_steps(race.baseline[0]), _seconds(race.baseline[1]))
        score = f"{race.score:.0f}"
        rows.append((short(race.task), score, mine[0], theirs[0], ratios[0], mine[1], theirs[1], ratios[1]))
    if rows:
        sign = "" if found.all_reached() else ">\u00a0"
        means = [found.geometric_mean(column) for column in (0, 1)]
        first, second = (NONE if mean is None else f"{sign}{mean:.2f}" for mean in means)
        rows.append(("geometric mean", "", "", "", first, "", "", second))
    note = (
        f"When the mean curves first reach the return that {found.baseline} has at {found.at:,} environment steps, on "
        f"tasks where that is {LEARNED:g} or more. A ratio below 1: {found.ours} is sooner; >: not until its end. "
        "Times are of the machine in the rows' manifests, evaluations left out."
    )
    ours, baseline = found.ours, found.baseline
    heads = (
        "task",
        "return",
        f"{ours} steps",
        f"{baseline} steps",
        "ratio",
        f"{ours} time",
        f"{baseline} time",
        "ratio",
    )
    return TextTable(f"Time to the final return of {found.baseline}", note, heads, tuple(rows))


def left_out(found: Comparison) -> str:
    """A sentence on the runs that the tables leave out; empty if none."""
    names = [
        f"{run.method} on {run.task}, seed {run.seed} ({run.env_steps[0]:,.0f} to {run.env_steps[-1]:,.0f})"
        for run in found.left_out
    ]
    return f"Left out of the tables, not evaluated until {found.at:,}: {'; '.join(names)}." if names else ""


def short(task: str) -> str:
    """The task without the prefix of DeepMind Control."""
    return task.removeprefix(SUITE)


def _interval(interval: tuple[float, float] | None, digits: int) -> str:
    return NONE if interval is None else f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"


def _steps(value: float | None) -> str:
    return NONE if value is None else f"{np.round(value):,.0f}"


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f} s"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _plain(cell: str) -> str:
    return cell.replace("|", "\\|")
