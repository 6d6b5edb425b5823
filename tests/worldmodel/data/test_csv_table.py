from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldmodel.data.csv_table import read_table

WORDS = st.text("abxyzäöüé_ [/]", min_size=1, max_size=8).map(str.strip).filter(bool)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**6), 10**6)


def written(names, rows, separator=",", comma=False, newline="\n", quoting=csv.QUOTE_MINIMAL):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=newline, quoting=quoting)
    writer.writerow(names)
    writer.writerows([repr(cell).replace(".", ",") if comma else repr(cell) for cell in row] for row in rows)
    return text.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@given(data=st.data())
def test_numbers_are_the_same_however_they_are_written(folder, data):
    """Encoding, separator, decimal comma, line ends, quotes and the order of columns are all a program's own choice."""
    names = data.draw(st.lists(WORDS, min_size=2, max_size=5, unique=True))
    rows = data.draw(st.lists(st.lists(NUMBERS, min_size=len(names), max_size=len(names)), max_size=4))
    separator = data.draw(st.sampled_from(",;\t|"))
    comma = separator != "," and data.draw(st.booleans())
    newline = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    text = written(names, rows, separator, comma, newline, quoting)
    if data.draw(st.booleans()):
        text += newline + separator * (len(names) - 1) + newline
    encoding = data.draw(
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
    )
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    table = read_table(path, data.draw(st.permutations(names)))
    assert table.names == tuple(names) and len(table.rows) == len(rows)
    for place, name in enumerate(names):
        assert table.numbers(name) == [float(row[place]) for row in rows]


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_table_or_one_sentence(folder, content):
    path = folder / "table.csv"
    path.write_bytes(content)
    try:
        table = read_table(path, ("x", "y"))
        for name in table.names:
            table.numbers(name)
    except ValueError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error).replace(str(path), "")


@pytest.mark.parametrize(
    ("content", "numbers"),
    [
        ("sep=;\r\nx;y\r\n1,5;2\r\n", [1.5]),
        ("x,y,\n1.5,2,\n", [1.5]),  # a separator at the end of each line
        ("\n\nx , y\n 1.5 ,2\n\n\n", [1.5]),
        ("x,y,name\n1.5,2,\n-3.,4\n", [1.5, -3.0]),  # a line that ends early
        ('x;y;note\n1,5;2;"a;b,c"\n', [1.5]),
        ("x;y;version\n1;2;1.5\n", [1.0]),  # a point in a column that nobody asked for
        ("", []),
        ("\n \n", []),
        ("x,y\n", []),
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path: Path, content, numbers):
    path = tmp_path / "t.csv"
    path.write_text(content)
    table = read_table(path, ("x", "y"))
    assert (table.numbers("x") if table.names else []) == numbers


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x;y\n1,5;2\n1.5;2\n", "line 3 has '1.5' in its column x, and other lines have decimal commas"),
        (
            "x;y\n1.234,5;2\n",
            "line 2 has the cell '1.234,5', which is not a number, in its column x: write numbers as 1234.5",
        ),
        (
            'x,y\n"1,234.5",2\n',
            "line 2 has the cell '1,234.5', which is not a number, in its column x: write numbers as",
        ),
        ("x,y\n1_000,2\n", "line 2 has the cell '1_000', which is not a number, in its column x"),
        ("x,y\n1,2\n,2\n", "line 3 has an empty cell in its column x"),
        ("x,y\n1,2,3\n", "line 2 has 3 cells for 2 columns"),
        ("x,x\n1,2\n", "has more than one column x"),
        ("x,y\n1,\x002\n", "is not text in a usual encoding"),
        (f"x,y\n{'9' * 200_000},2\n", "line 2 is not a line of a CSV file: field larger than field limit"),
        (
            'x,y\n"1,2\n' + "1,2\n" * 50_000,
            "is not a line of a CSV file: field larger than field limit",
        ),  # a quote left open
    ],
)
def test_what_is_no_table_of_numbers_is_one_sentence(tmp_path: Path, content, words):
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(ValueError) as raised:
        read_table(path, ("x", "y")).numbers("x")
    assert str(raised.value).startswith(str(path)) and words in str(raised.value)


def test_many_numbers_are_read_in_their_order(tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(50, 3))
    path = tmp_path / "t.csv"
    path.write_text(written("xyz", values.tolist()))
    np.testing.assert_array_equal(np.transpose([read_table(path).numbers(name) for name in "xyz"]), values)
