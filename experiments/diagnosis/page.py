"""The page of a diagnosis: figures with their ranges, curves, and the causes of failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..pages.figures import to_svg
from ..pages.markup import grid, section, table
from ..pages.report import commands_section, health_section, manifest_section, page
from ..training.health import judged
from .diagnosis import Diagnosis
from .failure_attribution import FAULTS
from .figures import alone, panels


def render(found: Diagnosis, title: str, manifest: Mapping[str, Any], commands: Sequence[str]) -> str:
    """Render the page as a string; names and paths in it come from users and are escaped."""
    sections = [
        health_section(judged(found.values)),
        _curves(found),
        _failures(found),
        commands_section(commands),
        manifest_section(manifest),
    ]
    return page(title, found.task, f"Is this model healthy? Judged on {found.source}.", sections)


def _curves(found: Diagnosis) -> str:
    pictures = []
    for name, (panel, meaning) in panels(found).items():
        svg = to_svg(alone(panel, found), f"{name}: {meaning}.")
        pictures.append(f"<figure><figcaption><b>{escape(name)}</b>{escape(meaning)}</figcaption>{svg}</figure>")
    return section("Step by step", "", grid(pictures, "wide")) if pictures else ""


def _failures(found: Diagnosis) -> str:
    if not found.episodes:
        return ""
    lead = f"{found.episodes - found.failed} of {found.episodes} held-out goals were reached"
    if not found.failures:
        return section("Whose fault are the failures?", f"{lead}.", "")
    counts = Counter(failure.fault for failure in found.failures)
    rows = [
        f'<tr role="row"><th role="rowheader" scope="row">{fault}</th>'
        f'<td role="cell" class="number" data-label="episodes">{counts[fault]}</td>'
        f'<td role="cell" class="meaning"><small>{escape(reason)}</small></td></tr>'
        for fault, reason in FAULTS.items()
    ]
    again = f"{len(found.failures)} of the failures {'was' if len(found.failures) == 1 else 'were'}"
    lead += f"; {again} played again with true dynamics."
    caption = "Failed episodes: " + ", ".join(f"{each.episode} ({each.fault})" for each in found.failures)
    return section("Whose fault are the failures?", lead, table(["fault", "episodes", "why"], rows, caption))
