"""Date, commit and machine of measured rows, for the top of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..records.manifest import machine_of

SHOWN = 4  # commits by name; of more the newest, and how many there are
DIGITS = 9  # of a commit


def made(manifests: Sequence[Mapping[str, Any]]) -> str:
    """Line with the dates, commits and machines of manifests; empty without any."""
    if not manifests:
        return ""
    newest_first = sorted(manifests, key=lambda each: str(each.get("time", "")), reverse=True)
    days = sorted({day for each in manifests if (day := str(each.get("time", ""))[:10])})
    parts = []
    if days:
        parts.append(f"Measured {days[0]}" + (f" to {days[-1]}" if days[1:] else ""))
    commits = list(dict.fromkeys(filter(None, map(commit, newest_first))))
    if commits:
        more = f" and {len(commits) - SHOWN} earlier" if len(commits) > SHOWN else ""
        parts.append(f"commit{'s' if commits[1:] else ''} {', '.join(commits[:SHOWN])}{more}")
    installed = [f"jepa-mpc {version(each)}, installed" for each in newest_first if not commit(each) and version(each)]
    parts += dict.fromkeys(installed)
    parts.append("; ".join(dict.fromkeys(machine(each) for each in newest_first)))
    return f'<p class="made">{escape(" · ".join(part for part in parts if part))}</p>'


def commit(manifest: Mapping[str, Any]) -> str:
    """The commit of a manifest, with a remark where files had been changed; empty for an installed wheel."""
    git = manifest.get("git")
    if not isinstance(git, Mapping):
        return ""
    return str(git.get("commit"))[:DIGITS] + (" with uncommitted changes" if git.get("dirty") else "")


def version(manifest: Mapping[str, Any]) -> str:
    """The version of jepa-mpc in a manifest; empty where it is not recorded."""
    versions = manifest.get("versions")
    return str(versions.get("jepa-mpc") or "") if isinstance(versions, Mapping) else ""


def machine(manifest: Mapping[str, Any]) -> str:
    """The machine of a manifest; empty where it is not recorded."""
    try:
        return machine_of(manifest)
    except (KeyError, TypeError):
        return ""
