"""`jepa-mpc replay`: make logged plans again, bit for bit, from the bundle that made them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from planning.control.plan_log import replay
from planning.control.recipe import Recipe, file_hash, make_engine
from planning.control.telemetry import read_lines

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Replayed:
    """What came of it."""

    plans: int
    different: list[int]  # sequence numbers of plans that came out otherwise
    actions: np.ndarray  # [T, A] of the last one
    same_bundle: bool


def run(cfg: DictConfig) -> Replayed:
    """Replay `cfg.log` with `cfg.bundle`: all plans, or those up to the sequence number `cfg.plan`.

    Raises:
      FileNotFoundError: no such log or bundle.
      ValueError: no log of ours, no plan in it, or not the one that was asked for.
    """
    engine = make_engine(Recipe.bundle(cfg.bundle).spec)
    return replay_log(cfg.log, engine, cfg.plan, file_hash(cfg.bundle))


def replay_log(path: str | Path, engine: Any, plan: int | None = None, sha256: str | None = None) -> Replayed:
    """See `run`; `engine` plans, and `sha256` is its bundle's, to be compared with the log's."""
    header: dict[str, Any] = {}
    episodes: list[list[dict[str, Any]]] = []
    for line in read_lines(path):
        if line.get("kind") == "run":
            header = line
        elif line.get("kind") == "plan":
            if "begin" in line or not episodes:
                episodes.append([])
            episodes[-1].append(line)
    if not episodes:
        raise ValueError(f"{Path(path).name} holds no plans: they are logged with Planning(log=True)")
    if plan is not None:
        episodes = [lines for lines in episodes if any(line["sequence"] == plan for line in lines)]
        if not episodes:
            raise ValueError(f"{Path(path).name} does not hold the plan {plan}")
    same = sha256 is None or header.get("bundle_sha256") == sha256
    if not same:
        logger.warning("this is not the bundle that made the log: its plans need not come out the same")
    different: list[int] = []
    count, actions = 0, np.zeros(0)
    for lines in episodes:
        if "begin" not in lines[0] and plan is None:  # the files before the oldest one are gone
            logger.warning("the first %d plans belong to an episode whose beginning is not logged", len(lines))
            continue
        actions, wrong = replay(engine, lines, plan)
        different += wrong
        count += len(lines) if plan is None else [line["sequence"] for line in lines].index(plan) + 1
    logger.info("%d of %d plans came out bit for bit as they were logged", count - len(different), count)
    return Replayed(count, different, actions, same)


def exit_code(result: Replayed) -> int:
    """1 where a plan came out otherwise."""
    return int(bool(result.different))
