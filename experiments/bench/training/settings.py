"""Settings that rows and trained models were made with, compared with those of now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from worldmodel.models.fingerprint import differing

from ...build.defaults import defaults
from ...records import table_file


def stored_cells(path: Path) -> dict[tuple[Any, ...], Any]:
    """What determined each row of a table, from the manifests beside it."""
    return {
        tuple(identity): entry["manifest"].get("cell")
        for entry in table_file.read_entries(path)
        for identity in entry["rows"]
    }


def same_settings(stored: Any, now: dict[str, Any]) -> bool:
    """Whether something was measured with the settings `now`; a recipe's missing settings have their defaults."""
    if not isinstance(stored, dict):
        return False
    was, _ = differing(stored, now, {"recipe": defaults(now.get("recipe", {}))})
    return not was
