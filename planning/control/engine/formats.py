"""The version of contracts and bundles, and the upgrades that bring an earlier contract up to it.

A field with a default needs no new version. To change a contract otherwise: raise `FORMAT`, add one function to
`UPGRADES`, and keep a small bundle of the old version in `tests/data/formats`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FORMAT = 1

Fields = dict[str, Any]  # of a contract, as JSON
Upgrade = Callable[[Fields], Fields]

# From each earlier version to the next one. An upgrade is a pure function that is named after what it changes.
UPGRADES: dict[int, Upgrade] = {}


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
            f"it has another format than {FORMAT}, which this version reads (it says {version!r:.40}): export it again"
        )


def upgraded(contract: Fields) -> Fields:
    """The contract in the present format, `format` included; one that names no format is of the present one.

    Raises:
      ValueError: a version that this one does not read, or a contract that an upgrade cannot use.
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
