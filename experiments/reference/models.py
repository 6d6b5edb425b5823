"""The trained models: those that ship with jepa-mpc, and those under a folder of runs. Only headers are read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ..shell.folders import CHECKPOINTS, RESULTS

_HEADER = "jepa-mpc"  # key of the header in a model file
_MODELS = ("model", "reward model")  # kinds of files that can plan
_DEEPEST = 3  # folders below the folder of runs in which models are looked for
_OF_MODEL = ("model", "planner")  # policies of rows that plan with a model


def rows(runs: Path) -> list[dict[str, Any]]:
    """Every model, the shipped ones first, with the success of its newest row, where one is found.

    Args:
      runs: the folder of trained models; it need not exist.
    """
    shipped = [*_measured([RESULTS / "published.csv"])]
    found = [_row(path, shipped, "published") for path in sorted(CHECKPOINTS.glob("*.safetensors"))]
    places = [runs.joinpath(*["*"] * depth) for depth in range(_DEEPEST)]
    own = sorted({path for place in places for path in runs.glob(str((place / "*.safetensors").relative_to(runs)))})
    tables = [path for place in places for path in runs.glob(str((place / "*").relative_to(runs))) if _is_table(path)]
    measured = [*_measured(sorted(tables, key=lambda path: path.stat().st_mtime))]
    return [*filter(None, found), *filter(None, (_row(path, measured, str(path)) for path in own))]


def _row(path: Path, measured: list[dict[str, Any]], checkpoint: str) -> dict[str, Any] | None:
    """The row of a file; None for one that is no model, such as the state of a training."""
    try:
        with safe_open(path, framework="numpy") as opened:
            header = json.loads((opened.metadata() or {})[_HEADER])
            numbers = sum(_size(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    if header.get("kind") not in _MODELS:
        return None
    metadata = header.get("metadata") or {}
    task = metadata.get("task")
    name = str(task.get("task", "") if isinstance(task, dict) else task or "")
    seconds = metadata.get("train_seconds")
    none: dict[str, Any] = {}
    row = next((each for each in reversed(measured) if _is_of(each, name, _observation(metadata), seconds)), none)
    return {
        "task": name,
        "observation": _observation(metadata),
        "checkpoint": checkpoint,
        "method": "jepa" if header["kind"] == _MODELS[0] else "td",
        "parameters": numbers,
        "train_seconds": seconds,
        "written": "" if checkpoint == "published" else _date(path),
        "success_rate": _number(row.get("success_rate")),
        "return": _number(row.get("return")),
        "episodes": None if not row else _number(row.get("episodes")),
    }


def _observation(metadata: dict[str, Any]) -> str:
    """What a model sees: `state`, or its sensors."""
    seen = (metadata.get("recipe") or metadata.get("settings") or {}).get("observation") or {}
    return "_".join(seen.get("sensors") or ["state"])


def _is_of(row: dict[str, Any], task: str, observation: str, seconds: float | None) -> bool:
    """Whether a row was measured with the model of this training, which its duration tells to the microsecond."""
    if row.get("task") != task or row.get("policy") not in _OF_MODEL or (row.get("variant") or ""):
        return False
    measured = _number(row.get("train_seconds"))
    return seconds is not None and measured is not None and abs(measured - seconds) < 1e-3 * max(1.0, seconds)


def _is_table(path: Path) -> bool:
    return path.suffix == ".csv" or (path.suffix == ".json" and not path.name.endswith(".manifest.json"))


def _measured(paths: list[Path]) -> Iterator[dict[str, Any]]:
    """The rows of tables, older files first; other files have none."""
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".csv":
                yield from csv.DictReader(text.splitlines())
                continue
            content = json.loads(text)
        except (OSError, ValueError):
            continue
        listed = content.get("rows") if isinstance(content, dict) else None
        yield from (each for each in listed or [] if isinstance(each, dict))


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _size(shape: list[int]) -> int:
    size = 1
    for each in shape:
        size *= each
    return size


def _date(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M")
