from __future__ import annotations

import os
import resource
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.bench.latency import rows as latency_table
from experiments.records import results, table_file
from experiments.records.results import Row, Value, append_csv, append_values

ROOT = Path(__file__).parents[3]
ROW = Row(task="two_room", policy="model", seed=0)


@dataclass(frozen=True)
class Sample:
    name: str
    count: int
    value: float = field(metadata={"column": "the value"})
    more: int | None
    share: float | None


FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)
SAMPLES = st.builds(Sample, TEXT, st.integers(), FINITE, st.none() | st.integers(), st.none() | FINITE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@settings(max_examples=25)  # each is synced to the disk
@given(rows=st.lists(SAMPLES, max_size=4))
def test_whatever_is_written_comes_back(folder: Path, rows: list[Sample]) -> None:
    """Words with quotes, line ends and separators in them, too."""
    table_file.write(folder / "t.csv", Sample, rows, digits=None)
    assert table_file.read(folder / "t.csv", Sample) == rows


@settings(max_examples=25)
@given(rows=st.lists(SAMPLES, max_size=3), order=st.permutations(range(5)))
def test_the_order_of_columns_does_not_matter(folder: Path, rows: list[Sample], order: list[int]) -> None:
    import csv

    path = folder / "t.csv"
    table_file.write(path, Sample, rows, digits=None)
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[line[place] for place in order] for line in lines])
    assert table_file.read(path, Sample) == rows


@pytest.mark.parametrize(
    "text", ["", "[", "7", '{"a": 1}', '[{"rows": 1}]', '[{"rows": [[[1]]], "manifest": {}}]', "\x00"]
)
def test_damaged_manifests_are_one_sentence_and_nothing_is_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.csv"
    append_csv(path, [ROW], {})
    table = path.read_text()
    (tmp_path / "state.manifest.json").write_text(text)
    for call in (lambda: append_csv(path, [ROW], {}), lambda: results.read_manifests(path)):
        with pytest.raises(ValueError, match="state.manifest.json .*: restore it, or remove state.csv as well"):
            call()
    assert path.read_text() == table and (tmp_path / "state.manifest.json").read_text() == text


def test_manifests_of_other_tables_are_told(tmp_path: Path) -> None:
    (tmp_path / "v.manifest.json").write_text("[7]")
    with pytest.raises(ValueError, match="the manifests beside v.csv are those of another table"):
        append_values(tmp_path / "v.csv", [Value("a", 1.0, "s")], {"command": "x"})
    with pytest.raises(ValueError, match="the manifests next to v.csv are damaged"):
        latency_table.read_manifests(tmp_path / "v.csv", [])


def test_a_full_disk_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.csv"
    append_csv(path, [ROW], {})
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="state.manifest.json could not be written .*: .*; nothing was changed"):
            append_csv(path, [Row(task="x" * 2000)], {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


AS_NOBODY = """
import os, sys
from pathlib import Path
from experiments.records.results import Row, append_csv, read_csv
from worldmodel.files import write_atomically
if os.getuid() == 0:
    os.setgroups([])
    os.setuid(65534)
folder = Path(sys.argv[1])
calls = {
    "append": lambda: append_csv(folder / "state.csv", [Row(task="a")], {}),
    "write": lambda: write_atomically(folder / "report.html", "x"),
    "read": lambda: read_csv(folder / "state.csv"),
}
for name, call in calls.items():
    try:
        call()
    except OSError as error:
        print(name, error)
"""


def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    append_csv(folder / "state.csv", [ROW], {})
    (folder / "state.csv").chmod(0o600 if os.getuid() == 0 else 0o200)
    folder.chmod(0o755 if os.getuid() == 0 else 0o555)
    for parent in (tmp_path, *tmp_path.parents[:3]):  # pytest's own are for their owner alone
        if parent != Path("/tmp") and parent.stat().st_uid == os.getuid():
            parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    append, write, read = done.stdout.splitlines()
    assert f"{folder}/state.csv cannot be locked (Permission denied): choose a folder that you may write to" in append
    assert "report.html could not be written (Permission denied): choose a folder that you may write to" in write
    assert read.startswith("read [Errno 13] Permission denied") and "state.csv" in read
    assert sorted(os.listdir(folder)) == ["state.csv", "state.manifest.json"]


def test_rows_of_a_folder_in_place_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "state.csv").mkdir()
    for call in (results.read_csv, lambda path: append_csv(path, [ROW], {})):
        with pytest.raises(IsADirectoryError, match="state.csv"):
            call(tmp_path / "state.csv")
    assert os.listdir(tmp_path) == ["state.csv"]


def test_all_rows_that_share_the_replaced_fields_give_way(tmp_path: Path) -> None:
    """With their manifests; other rows stay."""
    path, make = tmp_path / "rows.csv", lambda case, unit: Value(case, 1.0, unit)  # noqa: E731
    table_file.add(path, Value, [make("a", "s"), make("a", "m"), make("b", "s")], ("case", "unit"), {"n": 1})
    table_file.add(path, Value, [make("a", "kg")], ("case", "unit"), {"n": 2}, replaced=("case",))
    assert [(row.case, row.unit) for row in table_file.read(path, Value)] == [("b", "s"), ("a", "kg")]
    assert [entry["rows"] for entry in table_file.read_entries(path)] == [[["b", "s"]], [["a", "kg"]]]
