"""The version of contracts and bundles, and the upgrades that bring an earlier contract up to it.

A field with a default needs no new version. To change a contract otherwise: raise `FORMAT`, add one function to
`UPGRADES`, and keep a small bundle of the old version in `tests/data/formats`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FORMAT = 2

Fields = dict[str, Any]  # of a contract, as JSON
Upgrade = Callable[[Fields], Fields]

_WORDS = {"sensors": "components", "sensor_units": "units", "sensor_low": "low", "sensor_high": "high"}


def one_vector(contract: Fields) -> Fields:
    """Upgrade from 1 to 2: the observation was one vector of `observation_size` numbers, with words for each."""
    size = contract["observation_size"]
    if type(size) is not int or size < 1:
        raise ValueError(f"observation_size must be a whole number from 1; got {size!r:.40}")
    words = {field: contract[word] for word, field in _WORDS.items() if contract.get(word)}
    kept = {name: value for name, value in contract.items() if name not in ("observation_size", *_WORDS)}
    return {**kept, "observation": [{"name": "state", "shape": [size], **words}]}


# From each earlier version to the next one. An upgrade is a pure function, named after what it changes.
UPGRADES: dict[int, Upgrade] = {1: one_vector}


def check_version(version: Any) -> None:
    """Check that this jepa-mpc reads files of `version`.

    Raises:
      ValueError: it does not; the message names both versions and the fix.
    """
    whole = type(version) is int
    if whole and version > FORMAT:
        raise ValueError(
            f"it has the newer format {version!r:.40}, and this version reads {FORMAT}: update jepa-mpc, or export it "
            "again with this one"
        )
    if not whole or not all(older in UPGRADES for older in range(version, FORMAT)):
        raise ValueError(
            f"it has another format than {FORMAT}, which this version reads (it has {version!r:.40}): export it again"
        )


def upgraded(contract: Fields) -> Fields:
    """Return the contract in the present format, `format` included; one without a format counts as the present one.

    Raises:
      ValueError: an unknown version, or a contract that an upgrade cannot use.
    """
    version = contract.get("format", FORMAT)
    check_version(version)
    for older in range(version, FORMAT):
        upgrade = UPGRADES[older]
        try:
            contract = upgrade(contract)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            name = getattr(upgrade, "__name__", upgrade)
            raise ValueError(
                f"the contract of format {version} cannot be upgraded to {FORMAT} ({name}: {error!r:.80}): export it "
                "again"
            ) from error
    return {**contract, "format": FORMAT}
