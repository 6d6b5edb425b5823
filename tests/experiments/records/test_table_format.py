"""Versions of tables: which columns may be missing, what is refused, and what is upgraded."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from experiments.records import results, table_file
from experiments.records.manifest import manifest
from experiments.records.results import Row


@dataclass(frozen=True)
class Sample:
    name: str
    seconds: float = field(metadata={"column": "time"})
    count: int = 3


def table(folder: Path, text: str, beside: Any = None) -> Path:
    (folder / "t.csv").write_text(text)
    if beside is not None:
        (folder / "t.manifest.json").write_text(json.dumps(beside))
    return folder / "t.csv"


def milliseconds_to_seconds(kind: type[Any], cells: dict[str, str]) -> dict[str, str]:
    """A made-up upgrade: times were kept in milliseconds."""
    if kind is not Sample or "ms" not in cells:
        return cells
    rest = {name: cell for name, cell in cells.items() if name != "ms"}
    return {**rest, "time": str(float(cells["ms"]) / 1000) if cells["ms"] else ""}


def test_columns_with_a_default_may_be_missing_and_others_not(tmp_path: Path) -> None:
    assert table_file.read(table(tmp_path, "name,time\na,2\n"), Sample) == [Sample("a", 2.0)]
    assert results.read_csv(table(tmp_path, "task,seed\ntwo_room,1\n")) == [Row(task="two_room", seed=1)]
    with pytest.raises(ValueError, match=r"t.csv is another table: foreign columns none, missing \['time'\]"):
        table_file.read(table(tmp_path, "name,count\na,2\n"), Sample)
    for text in ("", "\n"):
        with pytest.raises(ValueError, match="t.csv is another table"):
            results.read_csv(table(tmp_path, text))


def test_an_unknown_column_is_named_with_both_versions(tmp_path: Path) -> None:
    words = (
        r"foreign columns \[.flavour.\], missing none; where a newer jepa-mpc wrote it \(format version 1; this version"
    )
    with pytest.raises(ValueError, match=words):
        table_file.read(table(tmp_path, "name,time,count,flavour\na,2,3,4\n"), Sample)


@pytest.mark.parametrize("of", [lambda made: [{"rows": [], "manifest": made}], lambda made: {"a": made}])
def test_a_newer_table_is_refused_with_the_fix(tmp_path: Path, of) -> None:
    newer = table_file.FORMAT + 1
    path = table(tmp_path, "name,time,count\na,2,3\n", of({table_file.FORMAT_KEY: newer}))
    for call in (
        lambda: table_file.read(path, Sample),
        lambda: table_file.add(path, Sample, [Sample("b", 1.0)], ["name"], {}),
    ):
        with pytest.raises(ValueError, match=f"t.csv has format version {newer}, and this version reads .*update jepa"):
            call()
    assert path.read_text() == "name,time,count\na,2,3\n"


@pytest.mark.parametrize("version", [0, -3])
def test_a_version_that_there_never_was_is_refused(tmp_path: Path, version: int) -> None:
    path = table(tmp_path, "name,time\na,2\n", {"a": {table_file.FORMAT_KEY: version}})
    with pytest.raises(ValueError, match=f"t.csv has format version {version}, and this version reads"):
        table_file.read(path, Sample)


def test_an_older_table_is_upgraded_and_rewritten_with_the_next_row(tmp_path: Path, monkeypatch) -> None:
    older = [{"rows": [["a"]], "manifest": {table_file.FORMAT_KEY: 0}}]
    path = table(tmp_path, "ms,name\n2000,a\n", older)
    monkeypatch.setitem(table_file.UPGRADES, 0, milliseconds_to_seconds)
    assert table_file.read(path, Sample) == [Sample("a", 2.0)]
    made = manifest({}, [])
    assert made[table_file.FORMAT_KEY] == table_file.FORMAT
    table_file.add(path, Sample, [Sample("b", 1.0)], ["name"], made)
    assert path.read_text() == "name,time,count\na,2,3\nb,1,3\n"
    monkeypatch.delitem(table_file.UPGRADES, 0)  # it is of the present version now
    assert table_file.read(path, Sample) == [Sample("a", 2.0), Sample("b", 1.0)]


def test_a_damaged_manifest_does_not_hide_the_rows(tmp_path: Path) -> None:
    path = table(tmp_path, "name,time\na,2\n")
    for text in ("[", "7", '["x"]', '[{"manifest": 7}]', '{"a": {"table_format": "2"}}'):
        (tmp_path / "t.manifest.json").write_text(text)
        assert table_file.read(path, Sample) == [Sample("a", 2.0)]
