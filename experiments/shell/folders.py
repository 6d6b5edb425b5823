"""The folders of the settings and of compiled programs."""

from __future__ import annotations

import os
from pathlib import Path

from .shadowing import PROGRAM, ROOT

CHECKPOINTS = Path(__file__).resolve().parents[1] / "checkpoints"  # the models that ship with jepa-mpc
RESULTS = Path(__file__).resolve().parents[1] / "results"  # the rows that ship with jepa-mpc


def config_dir() -> Path:
    """The folder of YAML files: inside this package in a wheel, next to the packages in a checkout.

    Raises:
      FileNotFoundError: it is in neither place; the installation is broken.
    """
    for folder in (Path(__file__).resolve().parents[1] / "configs", ROOT / "configs"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no configs folder in {ROOT} or its experiments: install jepa-mpc again")


def cache_dir() -> Path:
    """The user's folder of programs that are compiled once and loaded by later runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / PROGRAM / "xla"
