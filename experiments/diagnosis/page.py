"""The page of a diagnosis: figures with their ranges, curves, and the causes of failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..pages.figures import to_svg
from ..pages.frame import findings_section, manifest_section, next_section, page
from ..pages.health import health_findings, health_section
from ..pages.markup import grid, section, table
from ..pages.provenance import made
from ..records.findings import Finding
from ..training.health import judged
from .diagnosis import Diagnosis
from .failure_attribution import FAULTS
from .figures import alone, panels
from .hover import hover


def render(found: Diagnosis, title: str, manifest: Mapping[str, Any], steps: Sequence[tuple[str, str]]) -> str:
    """Render the page as a string; names and paths in it come from users and are escaped.

    Args:
      found: the diagnosis.
      title: of the page.
      manifest: of this run.
      steps: what to do next: reason, and command.
    """
    health = judged(found.values)
    sections = [
        findings_section([*_failed(found), *health_findings(health)], "All figures are in their healthy range."),
        _failures(found),
        _curves(found),
        health_section(health),
        next_section(steps),
        manifest_section(manifest),
    ]
    summary = f"Is this model healthy? Judged on {found.source}."
    return page(title, found.task, summary, sections, made([manifest]))


def _failed(found: Diagnosis) -> list[Finding]:
    if not found.failed:
        return []
    text = f"{found.failed} of {found.episodes} held-out goals were not reached"
    counts = Counter(failure.fault for failure in found.failures)
    if counts:
        text += "; at fault: " + ", ".join(f"{fault} in {count}" for fault, count in counts.most_common())
    return [Finding(text)]


def _curves(found: Diagnosis) -> str:
    pictures = []
    for name, (panel, meaning) in panels(found).items():
        figure = alone(panel, found)
        svg = to_svg(figure, f"{name}: {meaning}.", hover(name, figure.axes[0], found))
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
