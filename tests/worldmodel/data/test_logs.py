from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from worldmodel.data.dataset import load

DESCRIPTION = {
    "control_period": 0.05,
    "action_low": [-1],
    "action_high": [1],
    "sensors": ["Höhe", "y"],
    "actuators": ["a"],
}
PLAIN = "Höhe,y,a\n1.5,2,0.5\n2.5,3,\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dataset.json").write_text(json.dumps(DESCRIPTION))
    return tmp_path


def check(folder: Path, episodes: int = 1) -> None:
    data = load(folder)
    assert data.episodes == episodes
    np.testing.assert_array_equal(data.observations[:2], [[1.5, 2], [2.5, 3]])
    assert data.actions[0, 0] == 0.5


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (PLAIN, "utf-8-sig"),
        (PLAIN, "latin-1"),
        (PLAIN, "utf-16"),
        (PLAIN.replace("\n", "\r\n"), "utf-8"),
        (PLAIN.replace(",", ";").replace(".", ","), "cp1252"),
        ("sep=;\n" + PLAIN.replace(",", ";"), "utf-8"),
        ("Höhe,y,a,note\n1.5,2,0.5,x\n2.5,3\n", "utf-8"),
    ],
)
def test_files_of_other_programs_are_read(folder: Path, text: str, encoding: str) -> None:
    (folder / "e0.csv").write_bytes(text.encode(encoding))
    check(folder)


def test_what_is_no_episode_is_left_out_with_one_line(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "E0.CSV").write_text(PLAIN)
    (folder / "._E0.CSV").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    (folder / "~$E0.csv").write_bytes(b"\x05user")
    (folder / "x.csv").mkdir()
    (folder / "e1.csv.gz").write_bytes(b"\x1f\x8b")
    (folder / "README.txt").write_text("about the robot")
    check(folder)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "left out" in line and all(name in line for name in ("._E0.CSV", "~$E0.csv", "x.csv", "e1.csv.gz"))


@pytest.mark.parametrize("content", ["", "\n", "Höhe,y,a\n", "Höhe,y,a\n1,2,\n"])
def test_a_file_without_a_step_is_left_out_with_its_name(
    folder: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    (folder / "e0.csv").write_text(content)
    (folder / "e1.csv").write_text(PLAIN)
    check(folder)
    assert "e0.csv holds no step and was left out" in caplog.text
    (folder / "e1.csv").unlink()
    with pytest.raises(ValueError, match="it holds no episode with a step"):
        load(folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"H\xf6he,y,a\n1,2,x\n3,4,\n", "line 2 has the cell 'x', which is not a number, in its column a"),
        (f"Höhe,y,a\n{'9' * 200_000},2,0\n1,2,\n".encode(), "field larger than field limit"),
        ("Höhe,y,y,a\n1,2,2,0\n1,2,2,\n".encode(), "has more than one column y"),
        ("Höhe,y,a\n1,2,0\n1,2\x00,\n".encode(), "is not text in a usual encoding"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "is not text in a usual encoding"),
        ("Höhe,y,a\n1,2,0\n1,2,0\n,,\n".encode(), None),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence_with_its_name(folder: Path, content: bytes, words: str) -> None:
    (folder / "e0.csv").write_bytes(content)
    if words is None:
        assert load(folder).steps == 1
        return
    with pytest.raises(ValueError) as raised:
        load(folder)
    assert "e0.csv" in str(raised.value) and words in str(raised.value)


def arrays(**changes):
    found = {"observations": np.array([[1.5, 2], [2.5, 3]]), "actions": np.array([[0.5]]), **changes}
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    "extra",
    [
        {"operator": "Ada"},
        {"note": np.array([{"a": 1}], object)},
        {"time": np.array(["12:00", "12:01"])},
        {"stamp": np.array(["2026-01-01", "2026-01-02"], "datetime64[s]")},
        {"image": np.zeros((2, 3), complex)},
    ],
)
def test_text_beside_the_arrays_of_an_npz_file_is_no_obstacle(folder: Path, extra: dict) -> None:
    np.savez(folder / "e0.npz", **arrays(**extra))
    check(folder)


def test_a_column_of_clock_times_as_text_is_no_obstacle(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "e0.csv").write_text("time,Höhe,y,a\n12:00:01,1.5,2,0.5\n12:00:02,2.5,3,\n")
    check(folder)
    assert "gaps are not detected, because its times are not numbers: line 2 has the cell '12:00:01'" in caplog.text
    (folder / "dataset.json").write_text(json.dumps({**DESCRIPTION, "time": "time"}))
    with pytest.raises(ValueError, match="e0.csv has no numbers in time, which dataset.json names as its time: line 2"):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"observations": np.array([["a", "b"], ["c", "d"]])}, "has observations of the type <U1: expected numbers"),
        ({"actions": np.array([[1j]])}, "has actions of the type complex128: expected numbers"),
        ({"positions": np.array(["a", "b"])}, "has positions of the type <U1: expected numbers"),
        ({"observations": None}, "has actions: expected observations"),
        ({"observations": np.array([[1e300, 2], [2.5, 3]])}, "observations at step 0 that is not finite"),
        ({"observations": np.float64(1.0)}, r"has observations of the shape \(\)"),
    ],
)
def test_an_npz_file_without_numbers_is_one_sentence(folder: Path, changes: dict, words: str) -> None:
    np.savez(folder / "e0.npz", **arrays(**changes))
    with pytest.raises(ValueError, match=words):
        load(folder)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"x,y\n1,2\n"])
def test_what_is_no_npz_file_is_named(folder: Path, content: bytes) -> None:
    (folder / "e0.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"e0.npz is not an npz file of numbers \(\w+\)"):
        load(folder)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_description_that_another_editor_saved_is_read(folder: Path, encoding: str) -> None:
    (folder / "dataset.json").write_bytes(json.dumps(DESCRIPTION, ensure_ascii=False).encode(encoding))
    (folder / "e0.csv").write_text(PLAIN)
    check(folder)
    (folder / "dataset.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="dataset.json is not JSON"):
        load(folder)
