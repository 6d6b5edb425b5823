"""The log of an episode's plans, and their replay.

A line holds everything needed to recompute its plan, after those before it: the actions taken since, the
observations, what was committed, and how many iterations fit the deadline.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray

from ...types import Plan, Status
from ..engine.contract import MOST
from ..engine.embedding import readings_of
from ..engine.interface import Engine, take_in
from ..log.stored_frames import StoredFrames

# The inputs of a plan.
_FIELDS: dict[str, Any] = {
    "follows": int | None,
    "steps": int,
    "observations": list,
    "frozen": list,
    "iterations": int,
    "weights": list,
    "plan": str,
}


def plan_line(
    request: Any, record: Any, plan: Plan, weights: ndarray, follows: int | None, steps: int, rows: ndarray
) -> dict[str, Any]:
    """Log everything needed to recompute this plan, after those before it.

    Args:
      request: the situation that was planned for.
      record: header of the published plan.
      plan: the plan.
      weights: of the costs.
      follows: number of the plan that this one started from; None: none.
      steps: actions taken since that plan.
      rows: [n, E] embeddings that are new since then.
    """
    frozen = int(request["frozen"])
    line: dict[str, Any] = {"kind": "plan", "sequence": int(request["number"]), "follows": follows}
    line |= {"epoch": int(request["epoch"])}
    if follows is None:
        names = ("seed", "episode")
        line |= {"begin": {name: int(request[name]) for name in names} | {"goal": request["goal"].tolist()}}
    return line | {
        "stamp": float(request["stamp"]),
        "steps": steps,
        "observations": rows.tolist(),
        **_frames(request["frames"][-len(rows) :].tolist()),
        "previous": request["executed"][-1].tolist(),
        "frozen": request["committed"][:frozen].tolist(),
        "iterations": int(record["iterations"]),
        "weights": weights.tolist(),
        "verdict": Status(int(record["verdict"])).name.lower(),
        "rank": int(record["rank"]),
        "cost": float(plan.cost),
        "compute_ms": round(1e3 * float(record["compute"]), 3),
        "plan": digest(plan.actions),
        "actions": plan.actions.tolist(),
    }


def _frames(numbers: list[int]) -> dict[str, list[int | None]]:
    """Return the numbers of the rows' stored pictures, null for none; nothing where there is no camera."""
    return {"frames": [None if each < 0 else each for each in numbers]} if max(numbers) >= 0 else {}


def digest(actions: Any) -> str:
    """Return a fingerprint of a plan's actions [T, A], bit for bit."""
    return hashlib.sha256(np.ascontiguousarray(actions, np.float32).tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class LoggedRun:
    """Log of one controller from its start to its end."""

    header: dict[str, Any]  # the bundle's hash and its contract
    episodes: list[list[dict[str, Any]]] = field(default_factory=list)  # their plans, in order
    frames: list[tuple[float, int]] = field(default_factory=list)  # time and frame of each step that has one, in order
    fills: list[dict[str, Any]] = field(default_factory=list)  # moments with imagined readings, in order

    def plans(self) -> list[dict[str, Any]]:
        """Return the plans of all episodes."""
        return [line for episode in self.episodes for line in episode]


def runs_of(lines: Iterable[dict[str, Any]]) -> list[LoggedRun]:
    """Return the runs in a log, the oldest first: each `run` line opens a file, and a run may take several.

    A file that continues a run has the same header, and its step and plan numbers continue.

    Raises:
      ValueError: a plan without its number.
    """
    runs: list[LoggedRun] = []
    opened: dict[str, Any] | None = None  # a file that was opened, and not yet assigned to a run
    last: dict[str, int] = {}
    for line in lines:
        kind = str(line.get("kind"))
        if kind == "run":
            opened = line
            continue
        number = _number(kind, line)
        if kind == "plan" and number is None:
            raise ValueError("the log has a plan without a sequence number: take an intact copy")
        restarted = number is not None and number <= last.get(kind, -1)
        if not runs or (opened is not None and (restarted or opened != runs[-1].header)):
            runs.append(LoggedRun(opened or {}))
            last = {}
        if number is not None:
            opened, last[kind] = None, number
        if kind == "plan":
            if "begin" in line or not runs[-1].episodes:
                runs[-1].episodes.append([])
            runs[-1].episodes[-1].append(line)
        if kind == "fill":
            runs[-1].fills.append(line)
        if kind == "step" and _is_count(line.get("frame")) and isinstance(line.get("time"), int | float):
            runs[-1].frames.append((float(line["time"]), line["frame"]))
    return runs


def replay(engine: Engine, lines: list[dict[str, Any]], until: int | None = None) -> tuple[ndarray, list[int]]:
    """Recompute the plans of one episode's log, up to the one with the sequence number `until`.

    Returns:
      The last plan's actions [T, A], and the sequence numbers of plans that differ from the log.

    Raises:
      ValueError: the log does not begin with the episode, misses a plan, is damaged, or belongs to another bundle.
    """
    if not lines or "begin" not in lines[0]:
        raise ValueError("the log does not hold the beginning of this episode: keep more files when it rotates")
    state: Any = None
    actions = np.zeros((engine.contract.horizon, engine.contract.action_size), np.float32)
    different: list[int] = []
    before: int | None = None
    for line in lines:
        _check(line)
        if line["follows"] not in (None, before):
            raise ValueError(f"the log misses the plan {line['follows']}, which the plan {line['sequence']} continues")
        before = line["sequence"]
        try:
            state = _recompute(engine, state, line)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"the plan {before} in the log does not fit this bundle: {error}") from error
        actions = np.asarray(engine.plan(state).actions)
        if digest(actions) != line["plan"]:
            different.append(line["sequence"])
        if line["sequence"] == until:
            break
    return actions, different


@dataclass(frozen=True)
class CheckedFrames:
    """Stored frames of a log, embedded again."""

    same: int  # that give the logged embedding, bit for bit
    different: list[int]  # numbers of frames that do not
    missing: int  # that the log refers to, and that were overwritten since


def check_frames(engine: Engine, lines: list[dict[str, Any]], frames: StoredFrames) -> CheckedFrames:
    """Embed the stored frames of some plans, and compare with the embeddings that these plans were made from.

    Args:
      engine: embeds the pictures.
      lines: of the plans.
      frames: beside the log.

    Raises:
      ValueError: a frame, or its row in the log, does not fit the engine.
    """
    spec, seen = engine.contract.observation, dict[int, bool | None]()
    for line in lines:
        rows = line["observations"]
        for row, number in zip(rows[-len(line.get("frames", ())) :], line.get("frames", ()), strict=False):
            if not _is_count(number) or number in seen:
                continue
            stored = frames.get(number)
            if stored is None:
                seen[number] = None
                continue
            try:
                logged = np.asarray(row, np.float32).reshape(spec.size)
                found = engine.embed(readings_of(logged, stored.pictures, spec))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"the frame {number} does not fit this bundle: {error}") from error
            places = [spec.slices[name] for name in stored.pictures]
            seen[number] = all(found[place].tobytes() == logged[place].tobytes() for place in places)
    same, missing = list(seen.values()).count(True), list(seen.values()).count(None)
    return CheckedFrames(same, [number for number, good in seen.items() if good is False], missing)


def _recompute(engine: Engine, state: Any, line: dict[str, Any]) -> Any:
    """Recompute the plan of one line; returns the state after it."""
    contract = engine.contract
    engine.weights = dict(zip(contract.terms, line["weights"], strict=True))
    if "begin" in line:
        begin = line["begin"]
        state = engine.begin(np.asarray(begin["goal"], np.float32), begin["seed"], begin["episode"])
    for _ in range(line["steps"]):
        _, state = engine.commit(state)
    rows = [np.asarray(row, np.float32).reshape(contract.embedding_size) for row in line["observations"]]
    state = take_in(engine, state, np.stack(rows))
    if "previous" in line:  # logs of earlier versions have none, and took the plan's own action
        state = engine.with_previous(state, np.asarray(line["previous"], np.float32).reshape(contract.action_size))
    committed = np.zeros((contract.horizon, contract.action_size), np.float32)
    committed[: len(line["frozen"])] = np.reshape(line["frozen"], (-1, contract.action_size))
    state = engine.freeze(state, committed, len(line["frozen"]))
    for _ in range(line["iterations"]):
        state = engine.refine(state)
    return state


def _check(line: dict[str, Any]) -> None:
    """Raise ValueError where a line lacks an input of its plan, or would plan forever."""
    for name, kind in _FIELDS.items():
        if name not in line:
            raise ValueError(f"the plan {line['sequence']} in the log has no {name}: take an intact copy")
        value = line[name]
        if not isinstance(value, kind) or (kind is int and not (_is_count(value) and value <= MOST)):
            raise ValueError(f"the plan {line['sequence']} in the log has {value!r:.40} as {name}: take an intact copy")


def _number(kind: str, line: dict[str, Any]) -> int | None:
    """Return the number of a line, where it has one."""
    value = line.get({"plan": "sequence", "step": "step"}.get(kind, ""))
    return value if _is_count(value) else None


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0
