"""Check of the output locations before a command begins, not after it has its results."""

from __future__ import annotations

import tempfile
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

FOLDERS = ("runs",)
FILES = ("out", "results", "telemetry", "online.curves", "suite.log")  # or folders; their parent must be writable
TABLES = ("results", "online.curves")  # CSV files; in `bench`, `results` is a folder


def check_outputs(cfg: DictConfig) -> None:
    """Check that a file can be written at each location that a setting names.

    Raises:
      OSError: a location is not writable; the message names the setting.
      ValueError: a table is not a CSV file.
    """
    for key in (*FOLDERS, *FILES):
        value = OmegaConf.select(cfg, key)
        if value is not None and not OmegaConf.is_missing(cfg, key):
            _require_writable(key, Path(str(value)) if key in FOLDERS else Path(str(value)).parent)
            if key in TABLES and "suite" not in cfg and Path(str(value)).suffix != ".csv":
                raise ValueError(f"{key} must be a .csv file; got {value}")


def _require_writable(key: str, folder: Path) -> None:
    place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    try:
        if not place.is_dir():
            raise NotADirectoryError(f"{place} is a file, not a folder")
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"{key}: cannot write in {folder} ({reason}): choose another folder with {key}=") from error
