"""The log of an episode's plans, and the plans that come of it again.

A line holds all that it takes to make its plan, given that those before it were made: the actions taken since, the
observations, what was committed, and how many iterations there was time for.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy import ndarray

from ..types import Plan
from .engine import Engine
from .messages import Verdict


def plan_line(
    request: Any, record: Any, plan: Plan, weights: ndarray, follows: int | None, steps: int, rows: ndarray
) -> dict[str, Any]:
    """All that it takes to make this plan again, given that those before it were."""
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
        "previous": request["executed"][-1].tolist(),
        "frozen": request["committed"][:frozen].tolist(),
        "iterations": int(record["iterations"]),
        "weights": weights.tolist(),
        "verdict": Verdict(int(record["verdict"])).name.lower(),
        "rank": int(record["rank"]),
        "cost": float(plan.cost),
        "compute_ms": round(1e3 * float(record["compute"]), 3),
        "plan": digest(plan.actions),
        "actions": plan.actions.tolist(),
    }


def digest(actions: Any) -> str:
    """A fingerprint of a plan's actions [T, A], bit for bit."""
    return hashlib.sha256(np.ascontiguousarray(actions, np.float32).tobytes()).hexdigest()[:16]


def replay(engine: Engine, lines: list[dict[str, Any]], until: int | None = None) -> tuple[ndarray, list[int]]:
    """Make the plans of one episode's log again, up to the one with the sequence number `until`.

    Returns:
      The last plan's actions [T, A], and the sequence numbers of plans that came out otherwise than they were logged.

    Raises:
      ValueError: the log does not begin with the episode, or misses a plan.
    """
    if not lines or "begin" not in lines[0]:
        raise ValueError("the log does not hold the beginning of this episode: keep more files when it rotates")
    contract, state = engine.contract, None
    actions = np.zeros((contract.horizon, contract.action_size), np.float32)
    different: list[int] = []
    before: int | None = None
    for line in lines:
        if line["follows"] not in (None, before):
            raise ValueError(f"the log misses the plan {line['follows']}, on which the plan {line['sequence']} stands")
        before = line["sequence"]
        engine.weights = dict(zip(contract.terms, line["weights"], strict=True))
        if "begin" in line:
            begin = line["begin"]
            state = engine.begin(np.asarray(begin["goal"], np.float32), begin["seed"], begin["episode"])
        for _ in range(line["steps"]):
            _, state = engine.commit(state)
        for row in line["observations"]:
            state = engine.observe(state, np.asarray(row, np.float32))
        if "previous" in line:  # logs of earlier versions have none, and took the plan's own action
            state = engine.with_previous(state, np.asarray(line["previous"], np.float32))
        committed = np.zeros((contract.horizon, contract.action_size), np.float32)
        committed[: len(line["frozen"])] = np.reshape(line["frozen"], (-1, contract.action_size))
        state = engine.freeze(state, committed, len(line["frozen"]))
        for _ in range(line["iterations"]):
            state = engine.refine(state)
        actions = np.asarray(engine.plan(state).actions)
        if digest(actions) != line["plan"]:
            different.append(line["sequence"])
        if line["sequence"] == until:
            break
    return actions, different
