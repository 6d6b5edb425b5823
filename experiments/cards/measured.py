"""The rows of results that were measured with one model, found in tables by the training time and the parameters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from worldmodel.models.checkpoint import Checkpoint, RewardCheckpoint

from ..evaluation.rewards.measure import ReturnRow
from ..records import table_file
from ..records.results import Row

REFERENCES = ("random", "noop")  # policies without a model, measured by the same command


@dataclass(frozen=True)
class Measured:
    """Rows of one model, with those of the references beside them."""

    successes: Sequence[Row] = ()
    returns: Sequence[ReturnRow] = ()

    @classmethod
    def of(cls, checkpoint: Checkpoint | RewardCheckpoint, tables: Iterable[Path]) -> Measured:
        """Find the rows of a model in tables of any kind; later tables replace equal measurements of earlier ones."""
        seconds, parameters = checkpoint.metadata.get("train_seconds"), checkpoint.model.parameters
        found: dict[tuple[Any, ...], Row | ReturnRow] = {}
        for table in tables:
            rows = _rows(table)
            own = [row for row in rows if row.train_seconds == seconds and row.parameters == parameters]
            commands = {row.command for row in own}
            beside = [row for row in rows if row.policy in REFERENCES and row.command in commands]
            for row in (*own, *beside):
                found[_identity(row)] = row
        successes = [row for row in found.values() if isinstance(row, Row) and row.success_rate is not None]
        return cls(successes, [row for row in found.values() if isinstance(row, ReturnRow)])


def beside(model: Path) -> list[Path]:
    """Tables that `jepa-mpc plan` wrote in the folder of a model."""
    return sorted(each for each in model.parent.glob("*-plan*") if each.suffix in (".json", ".csv"))


def _rows(table: Path) -> list[Row] | list[ReturnRow]:
    """Rows of a table; none where it is missing, broken or of another kind."""
    try:
        if table.suffix == ".json":
            known = {field.name for field in fields(Row)}
            listed = json.loads(table.read_bytes())["rows"]
            return [Row(**{name: each[name] for name in known & each.keys()}) for each in listed]
        head = table.read_text(encoding="utf-8").partition("\n")[0]
        return table_file.read(table, Row) if "success_rate" in head else table_file.read(table, ReturnRow)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _identity(row: Row | ReturnRow) -> tuple[Any, ...]:
    if isinstance(row, Row):
        return row.identity()
    return row.task, row.policy, row.planner, row.variant, row.trained_seed, row.seed
