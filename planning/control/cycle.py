"""The planner's side of the loop: one situation in, one published plan out, and a log line that replays it.

It runs in a thread, in a process of its own, or in the caller's hands. It knows no time but the stamps that it is given
and how long its own work takes, so that a loop on a virtual clock plans exactly as one on the wall's does.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, final

import jax
import numpy as np
from numpy import ndarray

from ..anytime import Timings
from ..types import Status
from .engine import Engine
from .guards import Validator
from .messages import Verdict, plan_type, request_type
from .surprise import Prediction, Surprise, SurpriseMonitor

logger = logging.getLogger(__name__)

KEPT = 64  # latents and imagined places of the last plans


@dataclass(frozen=True)
class Planning:
    """How a planner answers. Times in seconds.

    Raises:
      ValueError: a time or a count that is not positive.
    """

    deadline: float | None = None  # for one plan; None: the control period
    validity: float | None = None  # of a plan, from its stamp on; None: half the horizon, or 4 periods past replanning
    iterations: int | None = None  # at most; None: the planner's own
    validator: Validator = Validator()
    surprise: Surprise | None = None
    most_disagreement: float | None = None  # of an ensemble along the plan, above which it counts as surprised
    imagine: bool = False  # publish where the plan should lead, and how far the last one was off
    log: bool = False  # write a line for each plan, from which `replay` makes it again
    priority: int = 0  # real-time priority of a planner process once it is ready; 0: an ordinary process

    def __post_init__(self) -> None:
        for name in ("deadline", "validity", "iterations"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive; got {value}")
        if self.priority < 0:
            raise ValueError(f"priority must be 0 or a real-time priority; got {self.priority}")

    def to_json(self) -> dict[str, Any]:
        """For a planner process. Raises ValueError on a check that is a function: there it must be named."""
        if any(not isinstance(check, str) for check in self.validator.checks):
            raise ValueError("a planner process imports its checks: name each as module:function")
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            **values,
            "validator": asdict(self.validator),
            "surprise": None if self.surprise is None else self.surprise.to_json(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Planning:
        """Read what `to_json` gave."""
        validator = Validator(tuple(values["validator"]["checks"]), values["validator"]["tolerance"])
        surprise = None if values["surprise"] is None else Surprise.from_json(values["surprise"])
        return cls(**{**values, "validator": validator, "surprise": surprise})


@final
class PlanningCycle:
    """Answers situations with plans, one after the other.

    Args:
      engine: plans.
      planning: how.
      log: takes a dictionary for each plan.
      clock: seconds, for durations only.
    """

    def __init__(
        self,
        engine: Engine,
        planning: Planning,
        log: Callable[[dict[str, Any]], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ):
        contract = engine.contract
        self._engine, self._contract, self._clock = engine, contract, clock
        self._planning = replace(planning, validator=planning.validator.resolved())
        self._log = log if planning.log else None
        self._deadline = planning.deadline or contract.control_period
        horizon = contract.horizon * contract.control_period
        needed = (contract.replan_every + 4) * contract.control_period
        self._validity = min(planning.validity or max(horizon / 2, needed), horizon)
        self._limit = planning.iterations or contract.iterations
        self._request_type, self._plan_type = request_type(contract), plan_type(contract)
        self._refining, self._finishing = Timings(0.95, 64), Timings(0.95, 64)
        self._monitor = None if planning.surprise is None else SurpriseMonitor(planning.surprise)
        rest = (contract.low + contract.high) / 2
        self._idle = np.broadcast_to(rest, (contract.action_block, contract.action_size)).astype(np.float32)
        self._weights = np.asarray([engine.weights[name] for name in contract.terms], np.float32)
        self._epoch, self._state, self._sequence = -1, None, 0
        self._stamp, self._window = 0.0, np.zeros(0, np.float32)
        self._aligned = 0.0  # the moment that the state's plan begins at, in whole control periods
        self._roots: deque[tuple[float, ndarray]] = deque(maxlen=KEPT)
        self._pictures: deque[tuple[float, ndarray]] = deque(maxlen=KEPT)

    def warmup(self) -> None:
        """Compile all that an answer needs. What was planned before is forgotten."""
        self._engine.warmup()
        contract, request = self._contract, np.zeros((), self._request_type)
        request["known"], request["weights"] = contract.history, self._weights
        log, self._log = self._log, None
        for number in range(contract.action_block + 2):
            request["number"], request["stamp"] = number, number * contract.control_period
            request["known"], request["epoch"] = contract.history + number, 0
            self.answer(request.tobytes())
        self._log, self._epoch, self._state, self._sequence = log, -1, None, 0
        self._refining, self._finishing = Timings(0.95, 64), Timings(0.95, 64)

    def answer(self, message: bytes) -> bytes | None:
        """A message of `plan_type` for one of `request_type`; None where it asks nothing new."""
        began = self._clock()
        request = np.frombuffer(message, self._request_type)[0]
        epoch, stamp, window = int(request["epoch"]), float(request["stamp"]), request["window"]
        fresh = epoch != self._epoch or self._state is None
        if not fresh and stamp <= self._stamp:
            return None
        weights = request["weights"]
        if not np.array_equal(weights, self._weights):
            self._engine.weights = dict(zip(self._contract.terms, weights.tolist(), strict=True))
            self._weights = weights.copy()
        steps, rows = self._catch_up(request, fresh)
        state, frozen = self._state, int(request["frozen"])
        state = self._engine.freeze(state, request["committed"], frozen)
        state, iterations = self._refine(state, began)
        finishing = self._clock()
        plan = self._engine.plan(state)
        record = np.zeros((), self._plan_type)
        self._judge(record, state, plan)
        self._compare(record, request, state)
        self._epoch, self._stamp, self._window, self._state = epoch, stamp, window.copy(), state
        follows, self._sequence = None if fresh else self._sequence, int(request["number"])
        for name, value in {
            "sequence": self._sequence,
            "epoch": epoch,
            "stamp": stamp,
            "valid_until": stamp + self._validity,
            "iterations": iterations,
            "frozen": frozen,
            "spread": plan.spread,
        }.items():
            record[name] = value
        now = self._clock()
        self._finishing.add(now - finishing)
        record["compute"], record["missed"] = now - began, now - began > self._deadline
        if self._log is not None:
            self._log(self._line(request, record, plan, follows, steps, rows))
        if not np.isfinite(record["actions"]).all():
            self._state = None  # whatever became of it, the next answer begins anew
        return record.tobytes()

    def _catch_up(self, request: Any, fresh: bool) -> tuple[int, ndarray]:
        """Bring the state to the request's observation; how many actions were taken, and which rows were new."""
        contract, window, stamp = self._contract, request["window"], float(request["stamp"])
        latest = window[-contract.history :]
        if fresh:
            self._state = self._engine.begin(request["goal"], int(request["seed"]), int(request["episode"]))
            self._roots.clear()
            self._pictures.clear()
            if self._monitor is not None:
                self._monitor.reset()
            steps, rows = 0, latest[-max(1, min(int(request["known"]), contract.history)) :]
            self._aligned = stamp
        else:
            elapsed = round((stamp - self._aligned) / contract.control_period)
            self._aligned += elapsed * contract.control_period
            steps = min(max(elapsed, 0), contract.horizon)
            follows = elapsed == 1 and np.array_equal(window[:-1], self._window[1:])
            rows = latest[-1:] if follows else latest
        state = self._state
        for _ in range(steps):
            _, state = self._engine.commit(state)
        for row in rows:
            state = self._engine.observe(state, row)
        self._state = state
        return steps, rows

    def _refine(self, state: Any, began: float) -> tuple[Any, int]:
        """As many iterations as fit the deadline, at least one."""
        made = 0
        while made < self._limit:
            expected = self._refining.expected() + self._finishing.expected()
            if made and self._clock() - began + expected > self._deadline:
                break
            start = self._clock()
            state = jax.block_until_ready(self._engine.refine(state))
            self._refining.add(self._clock() - start)
            made += 1
        return state, made

    def _judge(self, record: Any, state: Any, plan: Any) -> None:
        """Which of the best sequences is published, if any."""
        contract, validator = self._contract, self._planning.validator
        record["actions"], record["cost"], rank = plan.actions, plan.cost, 0
        record["terms"] = [plan.terms[name] for name in contract.terms]
        record["margins"] = [plan.margins[name] for name in contract.margins]
        if int(plan.status) == Status.FAILED or not np.isfinite(plan.actions).all():
            record["verdict"], record["rank"] = Verdict.FAILED, -1
            return
        if contract.margins or validator.checks:
            evaluation = self._engine.evaluate(state, plan.sequences)
            costs = np.where(np.isfinite(plan.costs), evaluation.cost, np.inf)
            margins = {name: np.asarray(margin) for name, margin in evaluation.margins.items()}
            found, _ = validator.first(plan.sequences, costs, margins)
            if found is None:
                record["verdict"], record["rank"] = Verdict.INFEASIBLE, -1
                return
            rank = found
            record["actions"], record["cost"] = plan.sequences[rank], evaluation.cost[rank]
            record["terms"] = [evaluation.terms[name][rank] for name in contract.terms]
            record["margins"] = [evaluation.margins[name][rank] for name in contract.margins]
        record["verdict"], record["rank"] = Verdict.OK, rank

    def _compare(self, record: Any, request: Any, state: Any) -> None:
        """What was predicted for now, by the model and by the last plans, against what is seen."""
        contract, planning = self._contract, self._planning
        record["surprise"] = record["disagreement"] = record["prediction_error"] = np.nan
        stamp, span = float(request["stamp"]), contract.action_block * contract.control_period
        if self._monitor is not None:
            root = self._engine.root(state)
            before = self._near(self._roots, stamp - span)
            if before is None and int(request["known"]) > contract.action_block:
                before = self._root_of(request["window"][: contract.history], state)
            self._roots.append((stamp, root))
            if before is not None:
                predicted = self._engine.predict(before, request["executed"])
                idle = self._engine.predict(before, self._idle)
                record["surprise"] = self._monitor.add(Prediction(root, predicted, idle, before))
                record["surprised"] = not record["surprise"] <= self._monitor.surprise.threshold
        if planning.most_disagreement is not None:
            disagreement = self._engine.disagreement(state)
            if disagreement is not None:
                record["disagreement"] = disagreement.max()
                record["surprised"] |= not record["disagreement"] <= planning.most_disagreement
        if planning.imagine:
            root = self._engine.root(state)
            seen = root if (decoded := self._engine.probe(root)) is None else decoded
            expected = self._near(self._pictures, stamp)
            if expected is not None:
                record["prediction_error"] = np.linalg.norm(expected - seen)
            record["imagined"] = picture = self._engine.imagined(state)
            self._pictures.append((stamp + span, picture[0]))
        else:
            record["imagined"] = np.nan

    def _near(self, known: deque[tuple[float, ndarray]], moment: float) -> ndarray | None:
        """What was kept for a moment, within a quarter of a control period."""
        for stamp, value in reversed(known):
            if abs(stamp - moment) < 0.25 * self._contract.control_period:
                return value
        return None

    def _root_of(self, window: ndarray, state: Any) -> ndarray:
        """The latent of earlier observations [P, O]; the state stays as it is."""
        for row in window:
            state = self._engine.observe(state, row)
        return self._engine.root(state)

    def _line(
        self, request: Any, record: Any, plan: Any, follows: int | None, steps: int, rows: ndarray
    ) -> dict[str, Any]:
        """All that it takes to make this plan again, given that those before it were."""
        frozen = int(request["frozen"])
        line: dict[str, Any] = {"kind": "plan", "sequence": self._sequence, "follows": follows}
        line |= {"epoch": int(request["epoch"])}
        if follows is None:
            names = ("seed", "episode")
            line |= {"begin": {name: int(request[name]) for name in names} | {"goal": request["goal"].tolist()}}
        return line | {
            "stamp": float(request["stamp"]),
            "steps": steps,
            "observations": rows.tolist(),
            "frozen": request["committed"][:frozen].tolist(),
            "iterations": int(record["iterations"]),
            "weights": self._weights.tolist(),
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
