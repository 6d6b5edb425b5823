"""Faults, logged once when they begin and once when they end, and counted."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from typing import final

from ..log.journal import Journal
from .status import Reason


@final
class Events:
    """Beginnings and ends of the faults of one controller.

    Args:
      journal: takes the log lines; it never blocks.
      name: of the controller, for the log.
    """

    def __init__(self, journal: Journal, name: str = "control loop"):
        self._journal, self._name = journal, name
        self._active: dict[Reason, float] = {}
        self.counts: Counter[str] = Counter()  # beginnings, by name

    @property
    def active(self) -> tuple[Reason, ...]:
        """Current faults, most serious first."""
        return tuple(sorted(self._active, key=lambda reason: reason.severity, reverse=True))

    def update(self, wrong: Iterable[Reason], now: float) -> tuple[str, ...]:
        """Record all faults at `now`; returns what began (`+late`) and ended (`-late`)."""
        current = set(wrong)
        if not current and not self._active:
            return ()
        changes = []
        for reason in sorted(current - self._active.keys()):
            self._active[reason] = now
            self.counts[reason.name.lower()] += 1
            changes.append(f"+{reason.name.lower()}")
            self._journal.write(logging.WARNING, "%s: %s begins at %.3f s", self._name, reason.name.lower(), float(now))
        for reason in sorted(self._active.keys() - current):
            began = self._active.pop(reason)
            changes.append(f"-{reason.name.lower()}")
            self._journal.write(
                logging.WARNING, "%s: %s ends after %.3f s", self._name, reason.name.lower(), float(now - began)
            )
        return tuple(changes)
