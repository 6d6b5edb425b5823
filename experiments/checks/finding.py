"""Findings of a check: what was looked at, what was seen, and the fix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

State = Literal["pass", "warning", "fault"]
_COLOURS = {"pass": "green", "warning": "yellow", "fault": "bold red"}


@dataclass(frozen=True)
class Finding:
    """Result of one check. A warning is a drawback; with a fault, the commands fail or learn nothing useful.

    Attributes:
      name: what was looked at.
      state: the verdict.
      found: what was seen.
      fix: what to do; empty where nothing is.
      value: the measured number behind the verdict, where there is one.
    """

    name: str
    state: State
    found: str
    fix: str = ""
    value: float | None = None


def judged(
    name: str, good: bool, found: str, fix: str, *, value: float | None = None, bad: State = "warning"
) -> Finding:
    """Return a finding that passes where it is good.

    Args:
      name: what was looked at.
      good: whether it passes.
      found: what was seen.
      fix: what to do if it does not pass.
      value: the measured number.
      bad: the state if it does not pass.
    """
    return Finding(name, "pass" if good else bad, found, "" if good else fix, value)


def attempted(name: str, look: Callable[[], Iterable[Finding]], fix: str) -> list[Finding]:
    """Return the findings of a check, or a fault with the error that it raised."""
    try:
        return list(look())
    except Exception as error:  # a user's own code may raise anything
        return [Finding(name, "fault", f"{type(error).__name__}: {' '.join(str(error).split())}", fix)]


def has_faults(findings: Sequence[Finding]) -> bool:
    """Whether a finding is a fault."""
    return any(finding.state == "fault" for finding in findings)


def show(findings: Sequence[Finding], title: str, console: Console | None = None) -> None:
    """Print the findings as a table, and how many of each state there are."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in ("", "check", "found", "fix"):
        table.add_column(column, overflow="fold")
    for each in findings:
        table.add_row(f"[{_COLOURS[each.state]}]{each.state}[/]", each.name, escape(each.found), escape(each.fix))
    console = console or Console()
    console.print(table)
    counts = {state: sum(each.state == state for each in findings) for state in _COLOURS}
    console.print(f"{counts['pass']} pass, {counts['warning']} warnings, {counts['fault']} faults")
