"""`jepa-mpc convert`: recorded data as a LeRobot dataset."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from worldmodel.data.lerobot.convert import Converted, to_lerobot

from ...shell.progress import progress_bar
from ...shell.say import say


def run(cfg: DictConfig) -> Converted:
    """Write the dataset, and print what is in it.

    Raises:
      FileExistsError: something is at `out` already.
      FileNotFoundError: there is no dataset at `data`.
      ImportError: pyarrow or PyAV is not installed.
      ValueError: data that cannot be read, or that LeRobot has no place for; or several datasets.
    """
    for name in ("data", "out"):
        if not isinstance(cfg[name], str):
            raise ValueError(f"{name} must be the folder of one dataset; got {cfg[name]}")
    with progress_bar("write episodes", 1) as show:
        written = to_lerobot(
            cfg.data,
            Path(cfg.out),
            instruction=cfg.instruction,
            lossless=bool(cfg.lossless),
            control_period=cfg.control_period,
            on_progress=show,
        )
    say(
        f"{written.path}: {written.episodes} episodes, {written.rows} frames at {written.fps:g} a second, "
        f"{written.megabytes:.1f} MB, LeRobot v3.0"
    )
    return written
