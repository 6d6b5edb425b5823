"""The frame of every page, and what all of them share: what is wrong, what to do next, how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from ..records.findings import Finding
from .markup import section


def page(title: str, task: str, summary: str, sections: Sequence[str], made: str = "") -> str:
    """Assemble a page from sections of markup; empty ones are left out.

    Args:
      title: of the page, plain text.
      task: the line above the title, plain text.
      summary: the sentence under the title, plain text.
      sections: markup.
      made: markup of the line with date, commit and machine.
    """
    folder = files(__package__)
    template = Template(folder.joinpath("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title),
        task=escape(task),
        summary=escape(summary),
        made=made,
        sections="\n".join(part for part in sections if part),
        hover=folder.joinpath("hover.js").read_text(encoding="utf-8"),
    )


def findings_section(findings: Sequence[Finding], clean: str = "") -> str:
    """Section of what went wrong and what to know about it, failures first; `clean` is said where there is nothing."""
    if not findings:
        return f'<p class="notice good" role="note">{escape(clean)}</p>' if clean else ""
    failures = [each for each in findings if each.serious]
    notes = [each for each in findings if not each.serious]
    body = "".join(_finding(each) for each in (*failures, *notes))
    heading = "What is wrong" if failures else "What to know first"
    return section(heading, "", f'<ul class="findings">{body}</ul>')


def _finding(finding: Finding) -> str:
    place = f"<small>{escape(finding.place)}</small> " if finding.place else ""
    sign = '<span class="bad">✗ failed</span>' if finding.serious else '<span class="note">! note</span>'
    kind = "serious" if finding.serious else "minor"
    return f'<li class="{kind}">{sign}<div>{place}{escape(finding.text)}.{command_block(finding.command)}</div></li>'


def next_section(steps: Sequence[tuple[str, str]], heading: str = "What to do next", note: str = "") -> str:
    """Section of reasons and the commands for them, with a copy button; a step without a command is a sentence."""
    body = "".join(f"<li>{escape(reason)}{command_block(command)}</li>" for reason, command in steps)
    return section(heading, escape(note), f'<ol class="steps">{body}</ol>') if steps else ""


def manifest_section(manifest: Mapping[str, Any]) -> str:
    """Section with the collapsed manifest."""
    text = json.dumps(manifest, indent=2, default=str, ensure_ascii=False)
    lead = "Versions, device, configuration and seeds that made these figures."
    body = f"<details><summary>Show the manifest</summary><pre>{escape(text)}</pre></details>"
    return section("How this was made", lead, body)


def command_block(command: str) -> str:
    """A command with a copy button; empty without one."""
    return f'<div class="command"><pre><code>{escape(command)}</code></pre></div>' if command else ""
