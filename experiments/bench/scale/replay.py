"""Makespan of a benchmark on many machines, replayed from the durations that its shipped rows name."""

from __future__ import annotations

from statistics import median

from ...engine.schedule import least_makespan, makespan
from ...engine.step import Step
from ...records.results import Row

COLLECTING = 20.0  # seconds, generous: a dataset of state vectors is rolled out in 2 to 3
EVALUATING = 40.0  # seconds of a row of 100 episodes, its compilation included


def graph(rows: list[Row], copies: int) -> tuple[list[Step], dict[str, float]]:
    """Steps of the suite `goal` as its rows were measured, and their seconds.

    Training takes what each row says; data and evaluation, which rows do not time, take a constant.

    Args:
      rows: of a table of goal tasks.
      copies: of the whole suite, as if there were so many times the seeds.
    """
    trained = {
        (row.task, row.observation, row.seed): row.train_seconds
        for row in rows
        if row.policy == "model" and row.train_seconds and not row.variant
    }
    usual = median(trained.values())
    steps, seconds = list[Step](), dict[str, float]()

    def add(name: str, kind: str, took: float, *needs: str) -> str:
        if name not in seconds:
            steps.append(Step(name, kind, _nothing, needs))
            seconds[name] = took
        return name

    for copy in range(copies):
        for number, row in enumerate(rows):
            where = f"{copy}: {row.task} from {row.observation}, seed {row.seed}"
            if row.policy in ("model", "reflex", "oracle"):
                data = add(f"data of {where}", "data", COLLECTING)
                took = trained.get((row.task, row.observation, row.seed), usual)
                model = add(f"model of {where}", "model", took, data)
                add(f"row {number} of {where}", "row", EVALUATING, model)
            else:
                add(f"row {number} of {where}", "row", EVALUATING)
    return steps, seconds


def ratio(rows: list[Row], slots: int, copies: int) -> float:
    """Makespan over the least one that any schedule could reach.

    Args:
      rows: of a table of goal tasks.
      slots: machines.
      copies: of the whole suite.
    """
    steps, seconds = graph(rows, copies)
    return makespan(steps, seconds, slots) / least_makespan(steps, seconds, slots)


def _nothing() -> None:
    """A step that is not run."""
