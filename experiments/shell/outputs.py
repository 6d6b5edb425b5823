"""Can the results be written? Asked before a command begins, and not when it has them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

FOLDERS = ("runs",)
FILES = ("out", "results", "telemetry", "online.curves", "suite.log")  # or folders: a place in a folder at least
TABLES = ("results", "online.curves")  # CSV files; of `bench`, results are a folder


def check_outputs(cfg: DictConfig) -> None:
    """Whether a file can be written in each place that a setting names.

    Raises:
      OSError: none can be written there; the setting is named.
      ValueError: a table that is no CSV file.
    """
    for key in (*FOLDERS, *FILES):
        value = OmegaConf.select(cfg, key)
        if value is not None and not OmegaConf.is_missing(cfg, key):
            _try(key, Path(str(value)) if key in FOLDERS else Path(str(value)).parent)
            if key in TABLES and "suite" not in cfg and Path(str(value)).suffix != ".csv":
                raise ValueError(f"{key} must be a .csv file; got {value}")


def _try(key: str, folder: Path) -> None:
    place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    try:
        if not place.is_dir():
            raise NotADirectoryError(f"{place} is a file, and no folder")
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"{key}: nothing can be written in {folder} ({reason}): choose another place with {key}="
        ) from error
