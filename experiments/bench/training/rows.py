"""Table of `jepa-mpc bench suite=training_speed`: its row, and the values that its promises are about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from rich.table import Table

from ...records.intervals import pool, wilson
from ...records.results import Row, Value

BEFORE, NOW = "before", "now"
VERSIONS = (BEFORE, NOW)
IDENTITY = ("task", "version", "seed")


@dataclass(frozen=True, kw_only=True)
class SpeedRow:
    """One training run of one version."""

    task: str
    version: str  # before or now
    seed: int  # of data, weights, training and held-out pairs
    train_seconds: float  # wall time of training, with compiling or loading its programs; without collection
    successes: int  # of the policy `model`
    episodes: int
    gflops: float | None  # matrix products of all updates, in GFLOP, from the traced program
    sgemm_share: float | None  # their rate over the run, as a share of a plain product's in the same run
    command: str

    @property
    def identity(self) -> tuple[str, str, int]:
        """The fields of `IDENTITY`."""
        return self.task, self.version, self.seed


def pairs(rows: Sequence[SpeedRow]) -> Iterator[tuple[SpeedRow, SpeedRow]]:
    """Each task and seed that both versions have."""
    found = {row.identity: row for row in rows}
    for row in rows:
        if row.version == NOW and (before := found.get((row.task, BEFORE, row.seed))):
            yield before, row


def values(rows: Sequence[SpeedRow], committed: Sequence[Row]) -> list[Value]:
    """Values that the suite's promises are about.

    The median over the pairs of the ratio of training times, and, for each task with committed rows, by how much the
    95 % interval of its success rate lies below theirs.
    """
    ratios = [now.train_seconds / before.train_seconds for before, now in pairs(rows)]
    found = [Value("training_speed_median_now_to_before", median(ratios), "ratio")] if ratios else []
    for task in dict.fromkeys(row.task for row in rows if row.version == NOW):
        known = [row for row in committed if row.task == task]
        low = pool(known).ci_low if known else None
        if low is not None:
            own = [row for row in rows if row.task == task and row.version == NOW]
            _, high = wilson(sum(row.successes for row in own), sum(row.episodes for row in own))
            found.append(Value(f"training_speed_shortfall_{task}", low - high, "success rate"))
    return found


def table(rows: Sequence[SpeedRow], committed: Sequence[Row]) -> Table:
    """One line per task, with means over seeds, and the committed interval of its success rate."""
    header, lines = columns(rows)
    title = "goal training: time, matrix products and successes of both versions, and the committed interval"
    result = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    for name in (*header, "committed"):
        result.add_column(name, justify="left" if name == "task" else "right")
    for line in lines:
        known = [row for row in committed if row.task == line[0]]
        row = pool(known) if known else None
        interval = (
            "" if row is None or row.ci_low is None or row.ci_high is None else _interval(row.ci_low, row.ci_high)
        )
        result.add_row(*(cell.partition(" (")[0] for cell in line), interval)  # their intervals would be too wide
    return result


def columns(rows: Sequence[SpeedRow]) -> tuple[list[str], list[list[str]]]:
    """Header and lines of a table with one line per task.

    Times are means over the seeds that both versions have, since a version's first seed compiles; over all of its own
    where there are none.
    """
    lines = []
    for task in dict.fromkeys(row.task for row in rows):
        of = {version: [row for row in rows if (row.task, row.version) == (task, version)] for version in VERSIONS}
        both = list(pairs([*of[BEFORE], *of[NOW]]))
        timed = {BEFORE: [before for before, _ in both], NOW: [now for _, now in both]} if both else of
        counts = [row.gflops for row in timed[NOW] if row.gflops is not None]
        shares = [row.sgemm_share for row in timed[NOW] if row.sgemm_share is not None]
        line = [task]
        line += [f"{fmean(row.train_seconds for row in timed[each]):.1f} s" if timed[each] else "" for each in VERSIONS]
        line += [f"{median(now.train_seconds / before.train_seconds for before, now in both):.2f}" if both else ""]
        line += [f"{fmean(counts):,.0f}" if counts else "", f"{fmean(shares):.0%}" if shares else ""]
        line += [_success(of[each]) for each in VERSIONS]
        lines.append(line)
    return ["task", "before", "now", "ratio", "GFLOP", "sgemm", "success before", "success now"], lines


def _success(rows: Sequence[SpeedRow]) -> str:
    if not rows:
        return ""
    reached, episodes = sum(row.successes for row in rows), sum(row.episodes for row in rows)
    return f"{reached / episodes:.1%} ({_interval(*wilson(reached, episodes))})"


def _interval(low: float, high: float) -> str:
    return f"{100 * low:.1f}–{100 * high:.1f}"
