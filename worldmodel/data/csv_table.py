"""CSV files from spreadsheets and loggers: any usual encoding and separator, one header line.

Numbers are never guessed: ambiguous ones are refused with the file, the line and the column.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

SEPARATORS = ",;\t|"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose byte order mark is a prefix
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE | re.ASCII)

_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Table:
    """Cells of a file, unparsed."""

    path: Path
    names: tuple[str, ...]  # of the columns
    rows: tuple[tuple[str, ...], ...]  # at most as many cells as names
    lines: tuple[int, ...]  # in the file, of each row
    decimal_comma: bool = False

    def column(self, name: str) -> list[str]:
        """Return the cells of one column, "" where a line lacks it.

        Raises:
          ValueError: no column of this name, or two.
        """
        found = [place for place, each in enumerate(self.names) if each == name]
        if len(found) != 1:
            raise ValueError(f"{self.path} has {'no' if not found else 'more than one'} column {name}")
        return [row[found[0]] if found[0] < len(row) else "" for row in self.rows]

    def numbers(self, name: str, rows: int | None = None, optional: bool = False) -> list[float]:
        """Return the numbers of one column, or of its first `rows` cells.

        Args:
          name: of the column.
          rows: the first cells that are read; None: all.
          optional: whether an empty cell is NaN.

        Raises:
          ValueError: a cell that is empty or not a number, with its line.
        """
        return [
            math.nan if optional and not cell.strip() else self.number(cell, name, line)
            for cell, line in zip(self.column(name)[:rows], self.lines, strict=False)
        ]

    def number(self, cell: str, name: str, line: int) -> float:
        """Return the number in a cell. Raises ValueError where it is not a number."""
        text = cell.replace(",", ".").strip() if self.decimal_comma else cell.strip()
        if not _NUMBER.fullmatch(text):
            fix = ": write numbers as 1234.5, without separators of thousands" if re.search(r"\d[.,' ]\d", text) else ""
            what = f"the cell {cell[:40]!r}, which is not a number," if text else "an empty cell"
            raise ValueError(f"{self.path}, line {line} has {what} in its column {name}{fix}")
        return float(text)


def read_table(path: Path, expected: Sequence[str] = ()) -> Table:
    """Read a file whose first line names its columns, including the `expected` ones. An empty file is an empty table.

    Lines without a cell are skipped. Numbers have a decimal comma where the separator is not a comma and no cell
    of an expected column has a point.

    Raises:
      OSError: the file cannot be read.
      ValueError: not a text file, broken quoting, a line with more cells than the header, or decimal commas and points.
    """
    text = _text(path)
    begin = 0
    if named := re.match(r"sep=(.)\r?\n", text):  # a line that spreadsheets write and read
        separator, begin = named[1], named.end()
    else:
        separator = max(SEPARATORS, key=lambda each: _count_columns(text, each, expected))
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    offset = int(begin > 0)
    reader = csv.reader(io.StringIO(text[begin:], newline=""), delimiter=separator)
    try:
        for fields in reader:
            rows.append(tuple(fields))
            lines.append(reader.line_num + offset)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num + offset} is not a line of a CSV file: {error}") from error
    kept = [(cells, line) for cells, line in zip(rows, lines, strict=True) if any(map(str.strip, cells))]
    if not kept:
        return Table(path, (), (), ())
    (head, _), *body = kept
    for cells, line in body:
        if any(map(str.strip, cells[len(head) :])):
            raise ValueError(f"{path}, line {line} has {len(cells)} cells for {len(head)} columns")
    names = tuple(name.strip() for name in head)
    table = Table(path, names, tuple(cells[: len(names)] for cells, _ in body), tuple(line for _, line in body))
    return replace(table, decimal_comma=separator != "," and _has_decimal_commas(table, expected))


def _text(path: Path) -> str:
    """Return the text of a file, in the encoding of its byte order mark or of its content."""
    content = path.read_bytes()
    encodings = [name for mark, name in _MARKS if content.startswith(mark)][:1]
    begin = content[:200]
    if not encodings and 4 * begin.count(0) > len(begin):  # UTF-16 without a mark: every other byte is zero
        encodings = ["utf-16-be" if content[:1] == b"\0" else "utf-16-le"]
    for encoding in encodings or ("utf-8", "cp1252", "latin-1"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ValueError(f"{path} is not text in a usual encoding: save it as CSV in UTF-8")


def _count_columns(text: str, separator: str, expected: Sequence[str]) -> tuple[int, int]:
    """Count the expected columns in the first line with this separator, and all its columns."""
    first = text.lstrip("\r\n").splitlines()[:1]
    try:
        names = [name.strip() for cells in csv.reader(first, delimiter=separator) for name in cells]
    except csv.Error:
        return 0, 0
    return len(set(expected) & set(names)), len(names)


def _has_decimal_commas(table: Table, expected: Sequence[str]) -> bool:
    comma, point = None, None
    for name in expected:
        if table.names.count(name) != 1:
            continue
        for cell, line in zip(table.column(name), table.lines, strict=True):
            comma = comma or _COMMA.fullmatch(cell.strip())
            point = point or ("." in cell and (cell, name, line))
    if comma and point:
        cell, name, line = point
        raise ValueError(
            f"{table.path}, line {line} has {cell[:40]!r} in its column {name}, and other lines have decimal commas: "
            "write all numbers with a point"
        )
    return bool(comma)
