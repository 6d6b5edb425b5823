"""`jepa-mpc export`: a trained model and a planner's settings as one file for the robot. No simulator is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from planning import ActionSpec, Agent
from planning.control import Bundle, LiveEngine
from worldmodel.checkpoint import REWARD_MODEL, Checkpoint, kind_of, load_model
from worldmodel.dataset import load

from .build import agent_for
from .calibration import calibrated
from .fits import check_data, check_moves, check_range
from .published import PUBLISHED, checkpoint_file
from .sensor_ranges import contract_words
from .shell.say import say

OWN = ("checkpoint", "out", "rest", "platforms", "calibration", "alarms_a_minute")  # settings of this command alone


def run(cfg: DictConfig) -> Bundle:
    """Write the bundle, and say how to drive it.

    Raises:
      FileNotFoundError: no checkpoint, or no dataset to calibrate on, there.
      FileExistsError: there is something at `out` already.
      ValueError: the settings do not fit the model, or a program of theirs cannot be exported.
    """
    path = checkpoint_file(cfg.checkpoint, cfg.task.name)
    beside = Path(f"{path.stem}.bundle") if cfg.checkpoint == PUBLISHED else path.with_suffix(".bundle")
    out = Path(cfg.out) if cfg.out else beside
    if out.exists():
        raise FileExistsError(f"there is something at {out} already: choose another file with out=, or remove it")
    if kind_of(path) == REWARD_MODEL:
        return _tell(_of_rewards(cfg, path), out)
    checkpoint = load_model(path)
    parts: dict[str, Any] = {}
    if cfg.calibration is not None:
        data = load(cfg.calibration)
        check_data(data, checkpoint.metadata["task"], cfg.calibration, owner=f"the model {cfg.checkpoint}")
        check_range(data, cfg.calibration)
        check_moves(data, cfg.calibration)
        engine = LiveEngine(_agent(cfg, checkpoint))
        guards, extra = calibrated(engine, data, float(cfg.alarms_a_minute)).for_bundle()
        parts = {"guards": guards, "extra": extra}
    return _tell(make_bundle(cfg, checkpoint, **parts), out)


def _tell(bundle: Bundle, out: Path) -> Bundle:
    """Write it, and say how to drive it."""
    bundle.save(out)
    contract = bundle.contract
    say(
        f"{out} ({out.stat().st_size / 1e6:.1f} MB): {contract.observation_size} sensors, {contract.action_size} "
        f"actuators, {1e3 * contract.control_period:g} ms a step, {len(bundle.programs)} programs for "
        f"{', '.join(bundle.platforms)}\n"
        f"drive it: planning.control.Controller.load({str(out)!r}); docs/robot.md says what has to be installed"
    )
    return bundle


def make_bundle(cfg: DictConfig, checkpoint: Checkpoint, **parts: Any) -> Bundle:
    """The bundle of a checkpoint; `parts` are more of what `Bundle.of` takes (guards, extra)."""
    robot = checkpoint.metadata["task"]
    agent = _agent(cfg, checkpoint)
    return Bundle.of(agent, task=robot["task"], platforms=tuple(cfg.platforms), **contract_words(checkpoint), **parts)


def _of_rewards(cfg: DictConfig, path: Path) -> Bundle:
    """The bundle of a model that learned from rewards, with the planner that it learned with unless told otherwise."""
    from .reward_checkpoint import learned, words_of_command  # these need the simulated task, for its bounds

    if cfg.calibration is not None:
        raise ValueError(f"{path} learned from rewards, and its alarm of surprise cannot be calibrated: leave that out")
    known = learned(path, *(word for word in words_of_command(path) if word.partition("=")[0] not in OWN))
    words = contract_words(known.checkpoint)
    return Bundle.of(known.agent(needs_period=True), task=known.task, platforms=tuple(cfg.platforms), **words)


def _agent(cfg: DictConfig, checkpoint: Checkpoint) -> Agent:
    robot = checkpoint.metadata["task"]
    rest = None if cfg.rest is None else [float(value) for value in cfg.rest]
    spec = ActionSpec.of(robot["action_low"], robot["action_high"], robot["control_period"], rest)
    return agent_for(cfg, checkpoint.model, spec)
