"""`jepa-mpc compare`: learning curves side by side, with statistics and confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worldmodel.files import write_atomically

from ..bench import shipped
from ..comparison import published as published_curves
from ..comparison.comparison import PUBLISHED, Comparison, compare
from ..comparison.far import far, sentences
from ..comparison.figures import AXES, draw
from ..comparison.page import Content, render
from ..comparison.tables import COLUMNS, TextTable, left_out, scores_csv, tables
from ..pages.figures import to_png
from ..records import curves, table_file
from ..records.curves import CurveRow
from ..records.manifest import manifest
from ..shell.say import say

OURS = shipped.FOLDER / shipped.TABLES["rewards"].file  # default table
BASELINE = "sac"


def run(cfg: DictConfig) -> Comparison:
    """Print the tables, and write them as Markdown, a CSV and a page, with the curves as pictures.

    Raises:
      FileNotFoundError: there is no table of curves.
      ValueError: a table of another kind, a method or a task without rows, or no run that reaches `at`.
    """
    if not isinstance(cfg.at, int | float) or cfg.at < 1 or cfg.at != int(cfg.at):
        raise ValueError(f"at must be a whole number of environment steps, 1 or more; got {cfg.at}")
    rows = _selected(_rows(_files(cfg)), _words(cfg.methods), _words(cfg.tasks))
    runs = curves.runs_of(rows)
    methods = list(dict.fromkeys(each.method for each in runs))
    ours = _method(cfg.ours, methods, "ours") or methods[0]
    usual = any(each.method == BASELINE and each.reaches(int(cfg.at)) for each in runs)
    baseline = _method(cfg.baseline, methods, "baseline") or (BASELINE if usual else None)
    published = published_curves.chosen(
        published_curves.read(), _words(cfg.published), list(dict.fromkeys(each.task for each in runs))
    )
    found = compare(runs, published, int(cfg.at), ours, baseline, int(cfg.seed))
    warnings = sentences(far(runs, published_curves.read(), int(cfg.at)))
    console = Console()
    source = _source(cfg)
    console.print(f"{source}\n", markup=False, highlight=False)
    for table in tables(found):
        _show(table, console)
    for sentence in (*warnings, left_out(found)):
        if sentence:
            console.print(f"{sentence}\n", markup=False, highlight=False)
    content = Content(found, runs, published, _manifests(_files(cfg), rows), warnings)
    page = _write(Path(cfg.out), content, {"curves": source, **manifest(cfg, [int(cfg.seed)])})
    say(f"page: {page}\ntables: {page.with_suffix('.md')}\nscores: {page.with_name('scores.csv')}")
    return found


def document(cfg: DictConfig, found: Comparison) -> dict[str, Any]:
    """Content of the JSON document: `rows` are those of scores.csv, `tables` the printed ones, with words as cells."""
    rows = [{name: getattr(score, name) for name in COLUMNS} for score in found.scores]
    shown = [{"title": each.title, "note": each.note, "heads": each.heads, "rows": each.rows} for each in tables(found)]
    return {"rows": rows, "tables": shown}


def _files(cfg: DictConfig) -> list[Path]:
    return [Path(path) for path in _words(cfg.curves)] or [OURS]


def _rows(files: Sequence[Path]) -> list[CurveRow]:
    """Rows of all files, in the order of the files."""
    rows = []
    for file in files:
        if not file.exists():
            raise FileNotFoundError(f"there is no table of learning curves at {file}: add curves=[FILE]")
        rows += curves.read(file)
    if not rows:
        raise ValueError(f"{', '.join(file.name for file in files)} has no rows: train something first")
    return rows


def _manifests(files: Sequence[Path], rows: Sequence[CurveRow]) -> list[dict[str, Any]]:
    """Manifests of the rows, where there are some beside their files."""
    kept = {(row.method, row.task) for row in rows}
    entries = [entry for file in files for entry in table_file.read_entries(file)]
    return [entry["manifest"] for entry in entries if any(tuple(each[:2]) in kept for each in entry["rows"])]


def _source(cfg: DictConfig) -> str:
    """Source of the curves: the given files, or the shipped table and its machines."""
    if paths := _words(cfg.curves):
        return f"curves: {', '.join(Path(path).name for path in paths)}"
    machines = "; ".join(shipped.by_machine("rewards"))
    return f"curves: shipped with jepa-mpc, measured on {machines}, not here; curves=[FILE] reads your own"


def _selected(rows: Sequence[CurveRow], methods: Sequence[str], tasks: Sequence[str]) -> list[CurveRow]:
    for name, requested, column in (("methods", methods, "method"), ("tasks", tasks, "task")):
        known = list(dict.fromkeys(getattr(row, column) for row in rows))
        for each in requested:
            if each not in known:
                raise ValueError(f"{name} has {each!r}, of which there are no rows: choose from {', '.join(known)}")
    kept = [row for row in rows if row.method in (methods or [row.method]) and row.task in (tasks or [row.task])]
    if not kept:
        raise ValueError(f"there are no rows of {', '.join(methods)} on {', '.join(tasks)}: choose others")
    return kept


def _method(name: str | None, known: Sequence[str], setting: str) -> str | None:
    if name is not None and name not in known:
        raise ValueError(f"{setting}={name} is a method without rows: choose from {', '.join(known)}")
    return name


def _words(setting: Any) -> list[str]:
    """Names from a list or a single name."""
    if setting is None:
        return []
    return [setting] if isinstance(setting, str) else [str(each) for each in setting]


def _show(table: TextTable, console: Console) -> None:
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place, head in enumerate(table.heads):
        shown.add_column(Text(head), justify="right" if place else "left", no_wrap=place == 0)
    for row in table.rows:
        shown.add_row(*map(Text, row))
    console.print(Text(table.title, style="bold"), shown, Text(f"{table.note}\n", style="dim"))


def _write(folder: Path, content: Content, made: dict[str, Any]) -> Path:
    """Write the files of a comparison and return the path of its page."""
    page, found = folder / "compare.html", content.found
    images = []
    for axis, name in AXES.items():
        figure = draw(content.runs, content.published, axis)
        if figure is not None:
            write_atomically(folder / f"{axis}.png", to_png(figure))
            images.append(f"![Return against {name}]({axis}.png)\n")
    texts = [f"{made['curves']}\n", *(f"{each}.\n" for each in content.warnings), *images]
    texts += [table.markdown() for table in tables(found)]
    quoted = {score.method: score.source for score in found.scores if score.kind == PUBLISHED}
    sources = [f"- {method}, published: {source}" for method, source in quoted.items()]
    write_atomically(page.with_suffix(".md"), "\n".join([*texts, left_out(found), "", *sources, ""]))
    write_atomically(folder / "scores.csv", scores_csv(found.scores))
    write_atomically(page, render(content, made))
    return page
