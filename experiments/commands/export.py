"""`jepa-mpc export`: a trained model and a planner's settings as one file for the robot. No simulator is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from planning.control import Bundle, Contract, LiveEngine
from worldmodel.models.checkpoint import REWARD_MODEL, kind_of, load_model

from ..build.bundles import bundle_agent, calibrated, make_bundle, reward_bundle
from ..build.published import PUBLISHED, checkpoint_file
from ..build.robots import robot_of
from ..pictures.memory import copy_memory
from ..shell.command_words import words_of_command
from ..shell.say import say
from ..training.data_checks import check_data, check_moves, check_range
from ..training.given_data import load_for_model
from ..training.labels import require_labels_learned

OWN = ("checkpoint", "out", "rest", "platforms", "calibration", "alarms_a_minute")  # settings of this command only


def run(cfg: DictConfig) -> Bundle:
    """Write the bundle, and print how to drive it.

    Raises:
      FileNotFoundError: the checkpoint, or the dataset to calibrate on, is missing.
      FileExistsError: `out` exists already.
      ValueError: the settings do not fit the model, or a compiled program cannot be exported.
    """
    path = checkpoint_file(cfg.checkpoint, cfg.task.name, cfg.observation.sensors)
    beside = Path(f"{path.stem}.bundle") if cfg.checkpoint == PUBLISHED else path.with_suffix(".bundle")
    out = Path(cfg.out) if cfg.out else beside
    if out.exists():
        raise FileExistsError(f"there is something at {out} already: choose another file with out=, or remove it")
    if kind_of(path) == REWARD_MODEL:
        words = [word for word in words_of_command(path) if word.partition("=")[0] not in OWN]
        return _save(reward_bundle(cfg, path, words), out)
    checkpoint = load_model(path)
    require_labels_learned(checkpoint, path)
    parts: dict[str, Any] = {}
    if cfg.calibration is not None:
        data = load_for_model(checkpoint, cfg.calibration)
        check_data(data, robot_of(checkpoint), cfg.calibration, owner=f"the model {cfg.checkpoint}")
        check_range(data, cfg.calibration)
        check_moves(data, cfg.calibration)
        engine = LiveEngine(bundle_agent(cfg, checkpoint))
        guards, extra = calibrated(engine, data, float(cfg.alarms_a_minute)).for_bundle()
        parts = {"guards": guards, "extra": extra}
    bundle = _save(make_bundle(cfg, checkpoint, **parts), out)
    copy_memory(path, out)
    return bundle


def _save(bundle: Bundle, out: Path) -> Bundle:
    """Write the bundle, and print how to drive it."""
    bundle.save(out)
    contract = bundle.contract
    say(
        f"{out} ({out.stat().st_size / 1e6:.1f} MB): {_sensors(contract)}, {contract.action_size} "
        f"actuators, {1e3 * contract.control_period:g} ms a step, {len(bundle.programs)} programs for "
        f"{', '.join(bundle.platforms)}\n"
        + "".join(
            f"make {sensor} on the robot from {how}, of planning.control\n" for sensor, how in contract.cameras.items()
        )
        + f"drive it: planning.control.Controller.load({str(out)!r}); docs/robot.md says what has to be installed"
    )
    return bundle


def _sensors(contract: Contract) -> str:
    """Size of the only sensor, or the names of several."""
    spec = contract.observation
    return f"{spec.size} sensors" if spec.is_plain else f"sensors {', '.join(each.name for each in spec.sensors)}"
