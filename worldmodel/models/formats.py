"""Version of the project's safetensors files, and the upgrades from earlier versions.

A field with a default needs no new version. For any other change of the format: raise `FORMAT`, add one function to
`UPGRADES`, and keep small files of the old version in `tests/data/formats`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from numpy import ndarray

from .architecture import few

FORMAT = 2

Header = dict[str, Any]
Tensors = dict[str, ndarray]
Upgrade = Callable[[Header, Tensors], tuple[Header, Tensors]]


def one_state_sensor(header: Header, tensors: Tensors) -> tuple[Header, Tensors]:
    """Upgrade from 1 to 2: a model observed one vector of `observation_size` numbers."""
    if "model" not in header:  # a training state
        return header, tensors
    model = dict(header["model"])
    model["observation"] = [{"name": "state", "shape": [model.pop("observation_size")]}]
    return {**header, "model": model}, tensors


# From each earlier version to the next one. An upgrade is a pure function, named after its change. It receives
# files of every kind (`header["kind"]`) and returns those that it does not concern unchanged.
UPGRADES: dict[int, Upgrade] = {1: one_state_sensor}


def check_version(path: str | Path, version: Any) -> None:
    """Check that this jepa-mpc reads files of `version`.

    Raises:
      ValueError: another version; the message names both versions and the fix.
    """
    whole = type(version) is int
    if whole and version > FORMAT:
        raise ValueError(
            f"{path} has format version {version!r:.40}, and this version reads {FORMAT} and earlier: a newer jepa-mpc "
            "wrote it, so update jepa-mpc, or train the model again with this one"
        )
    if not whole or not all(older in UPGRADES for older in range(version, FORMAT)):
        raise ValueError(
            f"{path} has format version {version!r:.40}, and this version reads {FORMAT}: take an intact copy, or "
            "train the model again"
        )


def upgraded(path: str | Path, header: Header, tensors: Tensors) -> tuple[Header, Tensors]:
    """Return header and tensors in the current format; `header["format"]` remains the version of the file.

    Raises:
      ValueError: a header that an upgrade cannot use.
    """
    version = header["format"]
    for older in range(version, FORMAT):
        upgrade = UPGRADES[older]
        try:
            header, tensors = upgrade(header, tensors)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            name = getattr(upgrade, "__name__", upgrade)
            raise ValueError(
                f"{path} is damaged: format version {version} cannot be upgraded to {FORMAT} ({name}: {error!r:.80})"
            ) from error
    return {**header, "format": version}, tensors


def check_fields(header: Header, known: Iterable[str]) -> None:
    """Check that a header has no fields other than `known`.

    Raises:
      ValueError: unknown fields; the message names them.
    """
    if unknown := sorted({*header} - {"format", "kind", *known}):
        raise ValueError(f"it has unknown fields: {few(unknown)}")


def unusable(path: str | Path, header: Header, error: Exception) -> ValueError:
    """Return the error for a header whose version is supported but whose content is not valid."""
    version = header["format"]
    newer = (
        ", which a newer jepa-mpc may have written: update jepa-mpc, or train again" if "unknown" in str(error) else ""
    )
    return ValueError(
        f"{path} has a header that this version cannot use: {error}{newer} (the file has format version {version}, and "
        f"this version reads {FORMAT})"
    )
