"""Generated text between two markers of a page whose prose is written by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ..records import table_file
from ..records.manifest import machine_of

R = TypeVar("R")


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


def measured(
    path: Path,
    kind: type[R],
    columns: Callable[[Sequence[R]], tuple[list[str], list[list[str]]]],
    words: int,
    about: Callable[[Sequence[R]], str] = lambda rows: "",
) -> str:
    """The rows of a suite as a Markdown table, with the machines that they were measured on.

    Args:
      path: of the table `SUITE.csv`.
      kind: dataclass of its rows.
      columns: header and lines of some rows.
      words: columns of words, which come first; the others hold numbers.
      about: a sentence about the rows, with a space at its end.
    """
    rows = table_file.read(path, kind)
    if not rows:
        return unmeasured(path.stem)
    header, lines = columns(rows)
    machines = "; ".join(dict.fromkeys(machine_of(entry["manifest"]) for entry in table_file.read_entries(path)))
    table = [header, ["---"] * words + ["---:"] * (len(header) - words), *lines]
    found = [f"| {' | '.join(line)} |" for line in table]
    return "\n".join([*found, "", f"{about(rows)}Measured on {machines}. Rows: `experiments/results/{path.name}`."])
