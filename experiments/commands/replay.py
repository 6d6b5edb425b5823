"""`jepa-mpc replay`: recompute logged plans, bit for bit, from the bundle that made them.

Where the pictures are kept beside the log, they are embedded again and compared with the log, and `moment=` saves one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio.v3
import numpy as np
from omegaconf import DictConfig

from planning.control import Contract
from planning.control.log.stored_frames import StoredFrames
from planning.control.loop.telemetry import frames_beside, read_lines
from planning.control.worker.fill_log import CheckedFills, check_fills
from planning.control.worker.plan_log import CheckedFrames, LoggedRun, check_frames, replay, runs_of
from planning.control.worker.recipe import Recipe, file_hash, make_engine

from ..shell.say import say

logger = logging.getLogger(__name__)


# Contract fields that must match between a bundle and the one that wrote the log.
_SHAPES = ("embedding_size", "action_low", "horizon", "action_block", "history", "terms")


@dataclass(frozen=True)
class Replayed:
    """Result of a replay."""

    plans: int
    different: list[int]  # sequence numbers of plans that differ
    actions: np.ndarray  # [T, A] actions of the last plan
    same_bundle: bool
    run: int  # which run of the log, the oldest is 1
    runs: int  # number of runs in the log
    frames: CheckedFrames = CheckedFrames(0, [], 0)  # of the replayed plans
    fills: CheckedFills = CheckedFills(0, [])  # imagined readings of the whole run


def run(cfg: DictConfig) -> Replayed | list[Path]:
    """Replay `cfg.log` with `cfg.bundle`: all plans of its run `cfg.run`, or up to the sequence number `cfg.plan`.

    With `cfg.moment`, the picture that was seen then is saved instead; returns the files.

    Raises:
      FileNotFoundError: the log or the bundle does not exist.
      ValueError: the file is not a plan log, has no plans, or lacks the requested one.
    """
    if cfg.moment is not None:
        files = save_picture(cfg.log, float(cfg.moment), cfg.run, None if cfg.out is None else Path(cfg.out))
        say("picture: " + ", ".join(map(str, files)))
        return files
    if cfg.bundle is None:
        raise ValueError("plans are recomputed by the bundle that made them: add bundle=FILE")
    engine = make_engine(Recipe.bundle(cfg.bundle).spec)
    return replay_log(cfg.log, engine, cfg.plan, file_hash(cfg.bundle), cfg.run)


def replay_log(
    path: str | Path, engine: Any, plan: int | None = None, sha256: str | None = None, run: int | None = None
) -> Replayed:
    """Recompute the plans of one run in a log.

    Args:
      path: of the log; its rotated files are read, too.
      engine: recomputes the plans.
      plan: sequence number of the last plan to recompute; None: all.
      sha256: of the engine's bundle, to be compared with the log's.
      run: which run of the log, counted from 1, the oldest; None: the newest.

    Raises:
      FileNotFoundError: the log does not exist.
      ValueError: the file is not a plan log, has no plans, lacks the requested one, or is of another robot.
    """
    name, runs = Path(path).name, runs_of(read_lines(path))
    if not any(each.episodes for each in runs):
        raise ValueError(f"{name} holds no plans: they are logged with Planning(log=True)")
    number = _chosen(runs, run)
    logged = runs[number - 1]
    if not logged.episodes:
        other = max(place for place, each in enumerate(runs, 1) if each.episodes)
        raise ValueError(
            f"{name} holds no plans in run {number} of {len(runs)}: they are logged with Planning(log=True); "
            f"run {other} has {len(runs[other - 1].plans())}, add run={other}"
        )
    episodes = logged.episodes
    if plan is not None:
        episodes = [lines for lines in episodes if any(line["sequence"] == plan for line in lines)]
        if not episodes:
            raise ValueError(_no_plan(name, runs, number, plan))
    _check_contract(name, logged.header, engine)
    if len(runs) > 1:
        logger.info("run %d of %d in %s; add run=NUMBER for another one", number, len(runs), name)
    same = sha256 is None or logged.header.get("bundle_sha256") == sha256
    if not same:
        logger.warning("this is not the bundle that made the log: its plans need not come out the same")
    different: list[int] = []
    replayed: list[dict[str, Any]] = []
    count, actions = 0, np.zeros(0)
    for lines in episodes:
        if "begin" not in lines[0] and plan is None:  # the files before the oldest one are gone
            logger.warning("the first %d plans belong to an episode whose beginning is not logged", len(lines))
            continue
        actions, wrong = replay(engine, lines, plan)
        different += wrong
        here = len(lines) if plan is None else [line["sequence"] for line in lines].index(plan) + 1
        count += here
        replayed += lines[:here]
    if not count:
        raise ValueError(f"{name} holds no episode from its beginning, so no plan can be made again: keep more files")
    logger.info("%d of %d plans came out bit for bit as they were logged", count - len(different), count)
    frames = check_frames(engine, replayed, StoredFrames(frames_beside(path)))
    if frames.same or frames.different or frames.missing:
        logger.info(
            "%d of %d stored pictures gave the logged embedding, bit for bit; %d were overwritten",
            frames.same,
            frames.same + len(frames.different),
            frames.missing,
        )
    fills = check_fills(engine, logged.fills)
    if logged.fills:
        logger.info(
            "%d of %d imagined readings came out bit for bit as they were logged", fills.same, len(logged.fills)
        )
    return Replayed(count, different, actions, same, number, len(runs), frames, fills)


def save_picture(path: str | Path, moment: float, run: int | None = None, out: Path | None = None) -> list[Path]:
    """Save what the cameras showed at a moment as PNG, a file for each; returns the files.

    Args:
      path: of the log.
      moment: seconds on the loop's clock, as `time` in the log's lines.
      run: which run of the log, counted from 1, the oldest; None: the newest.
      out: of the first camera's file; None: beside the log, named by the frame's number.

    Raises:
      FileNotFoundError: the log does not exist.
      ValueError: the log refers to no picture at this moment, or it was overwritten.
    """
    name, runs = Path(path).name, runs_of(read_lines(path))
    if not runs:
        raise ValueError(f"{name} holds no run")
    steps = runs[_chosen(runs, run) - 1].frames
    if not steps:
        raise ValueError(
            f"{name} refers to no pictures: they are kept where the model has a camera and a log is written"
        )
    numbers = [frame for time, frame in steps if time <= moment]
    if not numbers:
        raise ValueError(f"the pictures in {name} begin at {steps[0][0]:g} s, after moment={moment:g}")
    stored = StoredFrames(frames_beside(path))
    frame = stored.get(numbers[-1])
    if frame is None:
        left = [time for time, number in steps if number in set(stored.numbers)]
        kept = f"those from {left[0]:g} to {left[-1]:g} s are there" if left else "none is left"
        raise ValueError(
            f"the picture {numbers[-1]} of {name} was overwritten: {kept}; raise Telemetry(frame_bytes=...)"
        )
    first = out or Path(path).with_name(f"{Path(path).stem}-frame-{frame.number}.png")
    files: list[Path] = []
    for sensor, picture in frame.pictures.items():
        files.append(first if not files else first.with_name(f"{first.stem}-{sensor}{first.suffix}"))
        imageio.v3.imwrite(files[-1], picture, extension=".png")
    return files


def _chosen(runs: list[LoggedRun], run: Any) -> int:
    """Number of the chosen run, from 1."""
    if run is None:
        return len(runs)
    if type(run) is not int or not 1 <= run <= len(runs):
        raise ValueError(f"run must be a whole number from 1 to {len(runs)}, the newest; got {run!r}")
    return run


def _no_plan(name: str, runs: list[LoggedRun], number: int, plan: int) -> str:
    others = [place for place, each in enumerate(runs, 1) if any(line["sequence"] == plan for line in each.plans())]
    where = f" in run {number} of {len(runs)}" if len(runs) > 1 else ""
    hint = f": run {others[-1]} has it, add run={others[-1]}" if others else ""
    return f"{name} does not hold the plan {plan}{where}{hint}"


def _check_contract(name: str, header: dict[str, Any], engine: Any) -> None:
    """Raise ValueError if the log's contract does not match this engine's."""
    if not isinstance(header.get("contract"), dict):
        return
    logged, ours = Contract.from_json(header["contract"]), engine.contract
    for field in _SHAPES:
        if (was := getattr(logged, field)) != (now := getattr(ours, field)):
            raise ValueError(
                f"{name} was made with {field}={was}, and this bundle has {now}: give the bundle that made it"
            )


def exit_code(result: Replayed | list[Path]) -> int:
    """Exit code: 1 if a plan differs, the embedding of a picture, or an imagined reading."""
    wrong = isinstance(result, Replayed) and (result.different or result.frames.different or result.fills.different)
    return int(bool(wrong))
