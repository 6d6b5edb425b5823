"""An action as it was handed out, and its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy import ndarray

from ..engine.contract import Contract
from ..worker.messages import PublishedPlan
from .status import Reason, Source
from .telemetry import PlanReport


@dataclass(frozen=True)
class Command:
    """An action as it was handed out."""

    time: float
    action: ndarray  # [A]
    source: Source
    reason: Reason
    wrong: tuple[Reason, ...]  # all faults, most serious first
    guards: tuple[str, ...]  # what changed the action: bounds, rate, nonfinite
    events: tuple[str, ...]  # faults that began (+) and ended (-)
    plan: PublishedPlan | None  # the plan in execution, or the last one
    filled: Mapping[str, float] = field(default_factory=dict)  # imagined sensors, and the trust in each, 0 to 1


def report(
    command: Command,
    step: int,
    contract: Contract,
    record: Any,
    age: float,
    latency: float,
    deadline: float,
    threshold: float | None,
    frame: int | None = None,
) -> PlanReport:
    """Build the telemetry line of one control step.

    Args:
      command: of the step.
      step: its number.
      contract: names costs and constraints.
      record: the planner's latest record, of `plan_type(contract)`; None: nothing yet.
      age: seconds, of the newest observation; NaN where there is none.
      latency: seconds, from an observation that is sent to the use of its plan.
      deadline: seconds, for a plan.
      threshold: of surprise, where it is measured.
      frame: number of the newest observation's pictures, where they are stored.
    """
    plan, known = command.plan, record is not None
    return PlanReport(
        time=command.time,
        step=step,
        source=command.source,
        reason=command.reason,
        action=command.action.tolist(),
        guards=command.guards,
        events=command.events,
        plan=None if plan is None else plan.sequence,
        plan_age_ms=None if plan is None else 1e3 * (command.time - plan.stamp),
        observation_age_ms=1e3 * age,
        latency_ms=1e3 * latency,
        compute_ms=1e3 * float(record["compute"]) if known else None,
        deadline_margin_ms=1e3 * (deadline - float(record["compute"])) if known else None,
        iterations=int(record["iterations"]) if known else None,
        frozen=int(record["frozen"]) if known else None,
        cost=float(record["cost"]) if known else None,
        terms=dict(zip(contract.terms, record["terms"].tolist(), strict=True)) if known else {},
        margins=dict(zip(contract.margins, record["margins"].tolist(), strict=True)) if known else {},
        rank=int(record["rank"]) if known else None,
        spread=float(record["spread"]) if known else None,
        surprise=float(record["surprise"]) if known else None,
        surprise_threshold=threshold,
        disagreement=float(record["disagreement"]) if known else None,
        prediction_error=float(record["prediction_error"]) if known else None,
        filled=dict(command.filled),
        frame=frame,
    )
