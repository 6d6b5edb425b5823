"""The JSON document of a command with `format=json`: what it prints as tables, for scripts.

    {"schema": 1, "command": "plan", "version": "0.1.0", "exit_code": 0, "rows": [{...}, ...]}

One document is one line on standard output; a multirun writes one for each job. Everything else that the command
prints goes to standard error. `rows` has the columns of the command's CSV file; a number that is not finite is null.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ..shell.shadowing import PROGRAM

SCHEMA = 1  # raised when a key changes its meaning or goes; a further key needs no new number


def is_wanted(cfg: DictConfig) -> bool:
    """Whether the command's settings ask for a document in place of tables."""
    return cfg.get("format") == "json"


@contextmanager
def tables_aside() -> Iterator[None]:
    """Context in which standard output is standard error, for Python and for what it starts."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def rows_of(result: Any) -> list[dict[str, Any]]:
    """The rows of a command's result, a sequence of dataclasses or mappings, each by column."""
    return [_row(each) for each in result or []]


def text(command: str, exit_code: int, content: Mapping[str, Any]) -> str:
    """The document as one line.

    Args:
      command: the name of the command.
      exit_code: of the command.
      content: `rows`, and what else the command has.
    """
    version = importlib.metadata.version(PROGRAM)
    whole = {"schema": SCHEMA, "command": command, "version": version, "exit_code": exit_code, **content}
    return json.dumps(_plain(whole), ensure_ascii=False, allow_nan=False) + "\n"


def _row(each: Any) -> dict[str, Any]:
    if isinstance(each, Mapping):
        return {str(key): value for key, value in each.items()}
    return {field.metadata.get("column", field.name): getattr(each, field.name) for field in fields(each)}


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(_row(value))
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):  # a number of NumPy's
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)
