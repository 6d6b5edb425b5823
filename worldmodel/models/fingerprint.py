"""Settings stored in a file compared with those of a run: nested, as JSON.

Settings are added over time. A setting that did not exist when a file was written counts as its default, which
preserves the earlier behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any]


def differing(stored: Settings, requested: Settings, defaults: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the entries of `stored` and of `requested` that differ, down to the innermost settings.

    Args:
      stored: settings from the file.
      requested: settings of the run.
      defaults: values of missing settings, nested like the others; None where there is no default.
    """
    was: dict[str, Any] = {}
    now: dict[str, Any] = {}
    for name in sorted({*stored, *requested}):
        default = defaults.get(name)
        one, other = stored.get(name, default), requested.get(name, default)
        if same(one, other, default):
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            one, other = differing(one, other, default if isinstance(default, Mapping) else {})
        was[name], now[name] = one, other
    return was, now


def same(one: Any, other: Any, default: Any = None) -> bool:
    """Whether two settings are equal, where a missing entry counts as that of `default`."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        known = default if isinstance(default, Mapping) else {}
        return all(same(*(each.get(name, known.get(name)) for each in (one, other, known))) for name in {*one, *other})
    if isinstance(one, list) and isinstance(other, list):
        members = default if isinstance(default, list) and len(default) == len(other) else [None] * len(other)
        return len(one) == len(other) and all(map(same, one, other, members))
    return bool(one == other)


def unknown(stored: Settings, requested: Settings, defaults: Settings) -> list[str]:
    """Return dotted names of the settings in groups of `stored` that this version does not have."""
    found = []
    for group, values in sorted(stored.items()):
        known, current = defaults.get(group), requested.get(group)
        if not all(isinstance(each, Mapping) for each in (values, known, current)):
            continue
        if values.get("_target_") == current.get("_target_"):  # type: ignore[union-attr]
            found += [f"{group}.{name}" for name in sorted({*values} - {*known} - {*current})]  # type: ignore[misc]
    return found


def unknown_clause(names: list[str]) -> str:
    """Return a clause for an error message that names unknown settings; empty where there are none."""
    if not names:
        return ""
    return f" ({', '.join(names[:4])}: unknown to this version of jepa-mpc; a newer one may have written them)"
