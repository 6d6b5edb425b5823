"""Sequential steps of a long run: a failure is logged, and steps that do not depend on it still run."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """A step. Steps of one `kind` take about the same time; the estimate of the time left relies on this."""

    name: str
    kind: str
    run: Callable[[], object]
    needs: tuple[str, ...] = ()  # names of steps that it depends on


def run_all(steps: Sequence[Step]) -> dict[str, str]:
    """Run the steps in order and log the progress of each; return the failed steps with their reasons."""
    failed: dict[str, str] = {}
    spent: dict[str, list[float]] = defaultdict(list)
    for number, step in enumerate(steps, start=1):
        left = time_left(steps[number - 1 :], spent)
        logger.info("[%d/%d] %s%s", number, len(steps), step.name, f"; {left} left" if left else "")
        if missing := [name for name in step.needs if name in failed]:
            failed[step.name] = f"it needs {missing[0]}, which failed"
            logger.error("%s was skipped: %s", step.name, failed[step.name])
            continue
        began = time.monotonic()
        try:
            step.run()
        except (ValueError, OSError, ImportError, FloatingPointError) as error:
            failed[step.name] = str(error)
            logger.error("%s failed: %s", step.name, error, exc_info=logger.isEnabledFor(logging.DEBUG))
        except Exception as error:
            failed[step.name] = repr(error)
            logger.exception("%s failed", step.name)
        else:
            spent[step.kind].append(time.monotonic() - began)
    return failed


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


def time_left(ahead: Sequence[Step], spent: dict[str, list[float]]) -> str:
    """Estimated time of the steps ahead, from the mean of their kind or, where none is done yet, of all."""
    everything = [seconds for kind in spent.values() for seconds in kind]
    if not everything:
        return ""
    seconds = sum(fmean(spent.get(step.kind) or everything) for step in ahead)
    return f"about {seconds / 3600:.1f} h" if seconds > 5400 else f"about {max(1, round(seconds / 60))} min"
