"""Values of suites that count or time things: charts of those with one unit, a table of the rest, and the promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from html import escape
from typing import Any

from omegaconf import OmegaConf

from ..pages.dots import Dot, dots
from ..pages.markup import table as markup_table
from ..pages.scale import Scale, number
from ..records import promises
from ..records.findings import Finding
from ..shell.folders import config_dir
from ..shell.overrides import command_line
from .measures import Charts
from .pooling import Setting
from .tables import Cells, Table, suite_of

# Units in which the cases of a suite count different things, so that one axis for them would say nothing.
_APART = ("count", "steps", "files", "minutes", "programs", "")
FEWEST = 2  # cases of a chart


@dataclass(frozen=True)
class Case:
    """One value of a suite, and the largest value that was promised for it."""

    suite: str
    name: str
    value: float
    unit: str
    limit: float | None

    @property
    def broken(self) -> bool:
        """Whether the value is above what was promised."""
        return self.limit is not None and not self.value <= self.limit


def findings(table: Table, whole: bool = True) -> list[Finding]:
    """Broken promises first, then what was promised and not measured.

    Args:
      table: of values.
      whole: whether it has all its rows; of a selection nothing is missing.
    """
    if not table.values:
        return []
    found = []
    for suite, rows in _by_suite(table).items():
        values = {row["case"]: float(row["value"]) for row in rows}
        for pattern, most in promised(table, suite).items():
            measured = [case for case in values if fnmatchcase(case, pattern)]
            command = command_line("bench", {"suite": suite, "redo": True})
            for sentence in promises.broken({pattern: most}, values):
                if measured or whole:
                    found.append(
                        Finding(sentence, command, serious=bool(measured), place=f"{table.name}, suite={suite}")
                    )
    return sorted(found, key=lambda each: not each.serious)


def promised(table: Table, suite: str) -> Mapping[str, Any]:
    """Largest values by case: those in the manifest of the rows, or else those that the suite has now."""
    if not suite:
        return {}
    for manifest in table.made():
        if suite_of(manifest) == suite and "promises" in manifest["config"]["suite"]:
            return manifest["config"]["suite"]["promises"] or {}
    file = config_dir() / "suite" / f"{suite}.yaml"
    if not file.is_file():
        return {}
    return OmegaConf.to_container(OmegaConf.load(file)).get("promises") or {}  # type: ignore[union-attr]


def cases(table: Table) -> dict[str, list[Case]]:
    """The values by suite, in the order of the table."""
    found: dict[str, list[Case]] = {}
    for suite, rows in _by_suite(table).items():
        limits = promised(table, suite)
        for row in rows:
            limit = next((float(most) for pattern, most in limits.items() if fnmatchcase(row["case"], pattern)), None)
            case = Case(suite, row["case"], float(row["value"]), row["unit"] or "", limit)
            found.setdefault(suite, []).append(case)
    return found


def values(table: Table, settings: Sequence[Setting]) -> list[Charts]:
    """Charts of values with one unit, and a table of those that stand alone; a heading for each suite."""
    if not table.values:
        return []
    made = []
    for suite, found in cases(table).items():
        groups: dict[str, list[Case]] = {}
        for each in found:
            groups.setdefault(each.unit, []).append(each)
        drawn, alone = [], []
        for unit, group in groups.items():
            if len(group) < FEWEST or unit in _APART:
                alone += group
                continue
            drawn.append(_chart(unit, group))
        if alone:
            drawn.append(_list(alone))
        lines = any(each.limit is not None and each not in alone for each in found)
        lead = "Upright line: the most that was promised." if lines else ""
        made.append(Charts(f"Suite {suite}" if suite else "Values", lead, tuple(drawn)))
    return made


def _by_suite(table: Table) -> dict[str, list[Cells]]:
    usual = table.suites()
    groups: dict[str, list[Cells]] = {}
    for row, manifest in zip(table.rows, table.manifests, strict=True):
        suite = suite_of(manifest) or (usual[0] if len(usual) == 1 else "")
        groups.setdefault(suite, []).append(row)
    return groups


def _chart(unit: str, group: Sequence[Case]) -> str:
    title, names = _names([each.name for each in group])
    limits = [each.limit for each in group if each.limit is not None]
    shares = unit.startswith("share") or unit == "AUROC"
    scale = Scale(0.0, 1.0) if shares else Scale.of([*(each.value for each in group), *limits], zero=True)
    rows = [
        Dot(
            name=name,
            value=each.value,
            shown=number(each.value),
            text=f"{each.name}\n{each.value:.6g} {unit}" + _limit(each),
            limit=each.limit,
            kind="bad" if each.broken else "",
        )
        for name, each in zip(names, group, strict=True)
    ]
    return dots(title, rows, scale, unit)


def _limit(case: Case) -> str:
    return "" if case.limit is None else f"\nat most {case.limit:g} was promised{': broken' if case.broken else ''}"


def _list(group: Sequence[Case]) -> str:
    _, names = _names([each.name for each in group])
    rows = []
    for name, each in zip(names, group, strict=True):
        kept = '<span class="bad">✗ broken</span>' if each.broken else '<span class="ok">✓ kept</span>'
        promise = "–" if each.limit is None else f"at most {each.limit:g} {kept}"
        unit = "" if each.unit == "count" else escape(each.unit)
        rows.append(
            f'<tr role="row"><th role="rowheader" scope="row">{escape(name)}</th>'
            f'<td role="cell" class="number" data-label="value">{number(each.value)} {unit}</td>'
            f'<td role="cell" data-label="promised">{promise}</td></tr>'
        )
    return markup_table(["case", "value", "promised"], rows, kind="compact")


def _names(cases: Sequence[str]) -> tuple[str, list[str]]:
    """The words that all names begin with, the last word of each excepted, and the names without them."""
    split = [name.replace("_", " ").split() or [name] for name in cases]
    same = 0
    while len(split) > 1 and all(len(words) > same + 1 and words[same] == split[0][same] for words in split):
        same += 1
    return " ".join(split[0][:same]), [" ".join(words[same:]) for words in split]
