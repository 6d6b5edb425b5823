"""Generated text between two markers of a page whose prose is written by hand."""

from __future__ import annotations

import re
from pathlib import Path


def between(page: Path, text: str, marker: str, content: str) -> str:
    """The text with `content` between the line `<!-- MARKER -->` and the next `<!-- end -->`.

    Args:
      page: for the message.
      text: of the page.
      marker: its name.
      content: without a line break at its end.

    Raises:
      ValueError: a marker is missing.
    """
    pattern = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{page.name} needs a line <!-- {marker} --> and after it one with <!-- end -->: restore them")
    return pattern.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)


def unmeasured(suite: str) -> str:
    """Text in place of a table without rows."""
    return f"Not measured yet: `jepa-mpc bench suite={suite}`."
