"""Step of a suite: the unit that an engine places, retries and counts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path

logger = getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """A step: a function of the suite's settings to files and rows, done again without harm.

    A process of its own makes the same steps from the same settings, and runs the one with this name.

    Args:
      name: unique in the suite, and the same in each of its runs.
      kind: steps of one kind take about the same time; the estimate of the time left relies on this.
      run: does it.
      needs: names of the steps that it depends on.
      reads: files and folders below the suite's `runs` that it takes from other steps: what another machine needs.
      clears: files and folders below `runs` that are of no use once it is done: the engine removes them.
    """

    name: str
    kind: str
    run: Callable[[], object]
    needs: tuple[str, ...] = ()
    reads: tuple[Path, ...] = ()
    clears: tuple[Path, ...] = ()

    def clear(self) -> None:
        """Remove what is of no use once the step is done."""
        for path in self.clears:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def exit_on_failure(failed: Mapping[str, str]) -> None:
    """Exit with code 1 if any step failed, and log the failures again at the end of the output.

    Raises:
      SystemExit: a step failed.
    """
    if not failed:
        return
    for name, reason in failed.items():
        logger.error("failed: %s (%s)", name, reason)
    raise SystemExit(1)
