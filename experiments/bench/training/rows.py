"""The table of `jepa-mpc bench suite=training_speed`: its row, and the values that its promises are about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from rich.table import Table

from ...records.intervals import pool
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

    The median over the pairs of the ratio of training times, and, for each task with committed rows, by how much its
    success rate lies below their interval.
    """
    ratios = [now.train_seconds / before.train_seconds for before, now in pairs(rows)]
    found = [Value("training_speed_median_now_to_before", median(ratios), "ratio")] if ratios else []
    for task in dict.fromkeys(row.task for row in rows if row.version == NOW):
        known = [row for row in committed if row.task == task]
        low = pool(known).ci_low if known else None
        if low is not None:
            rate = _rate([row for row in rows if row.task == task and row.version == NOW])
            found.append(Value(f"training_speed_shortfall_{task}", low - rate, "success rate"))
    return found


def table(rows: Sequence[SpeedRow], committed: Sequence[Row]) -> Table:
    """One line per task, with the means over its seeds."""
    title = "goal training: seconds, GFLOP and successes of both versions, and the committed interval of successes"
    result = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    for column in ("task", "before s", "now s", "ratio", "GFLOP", "sgemm", "before", "now", "committed"):
        result.add_column(column, justify="left" if column == "task" else "right", no_wrap=True)
    for task in dict.fromkeys(row.task for row in rows):
        of = {version: [row for row in rows if (row.task, row.version) == (task, version)] for version in VERSIONS}
        ratios = [now.train_seconds / before.train_seconds for before, now in pairs([*of[BEFORE], *of[NOW]])]
        shares = [row.sgemm_share for row in of[NOW] if row.sgemm_share is not None]
        known = [row for row in committed if row.task == task]
        row = pool(known) if known else None
        result.add_row(
            task,
            *(
                f"{fmean(each.train_seconds for each in of[version]):.1f}" if of[version] else ""
                for version in VERSIONS
            ),
            f"{median(ratios):.2f}" if ratios else "",
            f"{of[NOW][0].gflops:,.0f}" if of[NOW] and of[NOW][0].gflops is not None else "",
            f"{fmean(shares):.0%}" if shares else "",
            *(f"{_rate(of[version]):.1%}" if of[version] else "" for version in VERSIONS),
            f"{100 * row.ci_low:.1f}–{100 * row.ci_high:.1f}" if row and row.ci_low and row.ci_high else "",
        )
    return result


def _rate(rows: Sequence[SpeedRow]) -> float:
    return sum(row.successes for row in rows) / sum(row.episodes for row in rows)
