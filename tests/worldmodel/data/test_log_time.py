import json

import numpy as np
import pytest

from worldmodel.data.dataset import load

PERIOD = 0.05
DESCRIPTION = {
    "control_period": PERIOD,
    "action_low": [-1],
    "action_high": [1],
    "sensors": ["x", "y"],
    "actuators": ["u"],
}


def folder(path, **changes):
    (path / "dataset.json").write_text(json.dumps({**DESCRIPTION, **changes}))
    return path


def write_csv(path, times, name="time", x=None):
    x = np.arange(len(times), dtype=float) if x is None else x
    lines = [f"{name},x,y,u"]
    for row, (time, value) in enumerate(zip(times, x, strict=True)):
        lines.append(f"{float(time)!r},{float(value)!r},{-row},{'' if row == len(times) - 1 else 0.001 * row}")
    (path / "run.csv").write_text("\n".join(lines))


def even(count, step=PERIOD, start=0.0):
    return start + step * np.arange(count)


def test_a_gap_begins_another_episode(tmp_path, caplog):
    write_csv(folder(tmp_path), np.concatenate([even(50), even(50, start=350.0)]))
    data = load(tmp_path)
    assert data.episodes == 2 and data.steps == 98
    assert data.last.tolist() == [49] * 50 + [99] * 50
    np.testing.assert_array_equal(data.observations[:, 0], np.arange(100))
    np.testing.assert_allclose(data.actions[50:99, 0], 0.001 * np.arange(50, 99), rtol=1e-6)
    assert data.name(1) == "run.csv from row 51"
    assert "pass between rows 50 and 51, and a step lasts 0.05 s: it is read as 2 episodes" in caplog.text


def test_steps_of_another_period_are_refused(tmp_path):
    write_csv(folder(tmp_path), np.concatenate([even(50), even(50, 0.2, start=350.0)]))
    with pytest.raises(ValueError, match=r"run.csv: the rows from row 51 on are 0.2 s apart by their time, and contr"):
        load(tmp_path)


@pytest.mark.parametrize("step", [0.02, 0.04, 0.06, 0.07, 0.2])
def test_another_period_throughout_is_refused(tmp_path, step):
    write_csv(folder(tmp_path), even(60, step))
    with pytest.raises(ValueError, match=rf"run.csv: the rows from row \d+ on are {step} s apart"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "scale"), [("t", 1.0), ("Time", 1.0), ("timestamp", 1e9), ("time_ms", 1e3), ("stamp_us", 1e6), ("t", 1e3)]
)
def test_times_are_read_in_their_unit(tmp_path, name, scale):
    jitter = np.random.default_rng(0).uniform(-0.01, 0.01, size=60)
    write_csv(folder(tmp_path), (1.7e9 + even(60) + jitter) * scale, name)
    data = load(tmp_path)
    assert data.episodes == 1 and data.steps == 59


def test_a_missing_row_is_a_gap_and_what_is_left_alone_is_left_out(tmp_path):
    write_csv(folder(tmp_path), np.delete(even(60), [20, 40, 42]))
    data = load(tmp_path)
    assert data.episodes == 3 and data.steps == 19 + 18 + 16


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([0.0, 0.05, 0.05, 0.1], "time does not increase from row 2 to row 3"),
        ([0.0, 0.05, 0.02, 0.1], "time does not increase from row 2 to row 3"),
        ([0.0, np.nan, 0.1, 0.15], "has no time in its column time at row 2"),
    ],
)
def test_times_that_make_no_sense_are_refused(tmp_path, times, words):
    write_csv(folder(tmp_path), times)
    with pytest.raises(ValueError, match=words):
        load(tmp_path)


def test_a_sensor_called_t_is_no_clock_and_a_clock_may_have_any_name(tmp_path):
    write_csv(folder(tmp_path, sensors=["t", "x"]), np.random.default_rng(0).normal(size=30), "t")
    assert load(tmp_path).episodes == 1
    write_csv(folder(tmp_path, time="clock"), np.concatenate([even(10), even(10, start=9.0)]), "clock")
    assert load(tmp_path).episodes == 2
    folder(tmp_path, time="watch")
    with pytest.raises(ValueError, match="has no column watch, which dataset.json names as its time"):
        load(tmp_path)


@pytest.mark.parametrize("count", [40, 39])  # one for each observation, or for each action
def test_times_in_an_npz_file(tmp_path, count):
    times = np.concatenate([even(20), even(20, start=7.0)])[:count]
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "run.npz", observations=rng.normal(size=(40, 2)), actions=np.zeros((39, 1)), time=times)
    data = load(folder(tmp_path))
    assert data.episodes == 2 and data.steps == 38
    np.savez(tmp_path / "run.npz", observations=np.zeros((40, 2)), actions=np.zeros((39, 1)), time=times[:7])
    with pytest.raises(ValueError, match="has 7 numbers as its time: expected one for each of 40 observations"):
        load(tmp_path)


def test_a_large_offset_is_told_with_its_file_and_column(tmp_path, caplog):
    rows = np.arange(40)
    write_csv(folder(tmp_path), even(40), x=np.where(rows % 2, 5_500_000.1, 5_500_000.2))
    load(tmp_path)
    assert "sensor 0 (x) in run.csv of" in caplog.text and "subtract 5500000 from it" in caplog.text
