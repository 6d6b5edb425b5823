"""Steps one after the other in this process, which shares models and compiled programs between them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from .durations import time_left
from .step import Step

logger = logging.getLogger(__name__)


def run(
    steps: Sequence[Step],
    spent: Mapping[str, Sequence[float]] | None = None,
    on_done: Callable[[Step, float], None] | None = None,
) -> dict[str, str]:
    """Run the steps in order and log the progress of each; return the failed ones with their reasons.

    A failure is logged, and steps that do not depend on it still run.

    Args:
      steps: each after those that it needs.
      spent: durations of earlier steps, by kind, for the estimate of the time left.
      on_done: gets each finished step and its seconds.
    """
    failed: dict[str, str] = {}
    took = {kind: list(seconds) for kind, seconds in (spent or {}).items()}
    for number, step in enumerate(steps, start=1):
        left = time_left(steps[number - 1 :], took)
        logger.info("[%d/%d] %s%s", number, len(steps), step.name, f"; {left} left" if left else "")
        if missing := [name for name in step.needs if name in failed]:
            failed[step.name] = f"it needs {missing[0]}, which failed"
            logger.error("%s was skipped: %s", step.name, failed[step.name])
            continue
        began = time.monotonic()
        if (reason := attempt(step)) is not None:
            failed[step.name] = reason
            continue
        seconds = time.monotonic() - began
        took.setdefault(step.kind, []).append(seconds)
        if on_done is not None:
            on_done(step, seconds)
    return failed


def attempt(step: Step) -> str | None:
    """Run a step; return the reason if it failed, which is logged."""
    try:
        step.run()
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        logger.error("%s failed: %s", step.name, error, exc_info=logger.isEnabledFor(logging.DEBUG))
        return str(error)
    except Exception as error:
        logger.exception("%s failed", step.name)
        return repr(error)
    return None
