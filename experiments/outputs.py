"""Can the results be written? Asked before a command begins, and not when it has them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

FOLDERS = ("runs",)
FILES = ("out", "results", "telemetry", "online.curves", "suite.log")  # or folders: a place in a folder at least


def check_outputs(cfg: DictConfig) -> None:
    """Raise OSError, with the setting's name, where a file could not be written in the place that a setting names."""
    for key in (*FOLDERS, *FILES):
        value = OmegaConf.select(cfg, key)
        if value is not None and not OmegaConf.is_missing(cfg, key):
            _try(key, Path(str(value)) if key in FOLDERS else Path(str(value)).parent)


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
