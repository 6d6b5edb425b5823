"""`jepa-mpc collect rate=true`: what is measured, and where it goes."""

from functools import partial

import pytest

from envs.vision.camera import available
from experiments import build
from experiments.commands.data import collect
from experiments.records.results import Value
from experiments.records.table_file import read


@pytest.mark.parametrize("observation", ["state", "pixels"])
def test_rates_are_rows_and_pictures_are_drawn_where_there_are_any(tmp_path, monkeypatch, observation):
    if observation == "pixels" and (reason := available()) is not None:
        pytest.skip(reason)
    for name in ("benchmark_collection", "benchmark_frames"):
        monkeypatch.setattr(collect, name, partial(getattr(collect, name), episodes=2, steps=5, rounds=1))
    table = tmp_path / "rates.csv"
    words = ["task=two_room", f"observation={observation}", "collection.episodes=2", "collection.steps=5", "rate=true"]
    collect.run(build.compose("collect", *words, f"out={tmp_path / 'data'}", f"results={table}"))
    rates = {row.case: (row.value, row.unit) for row in read(table, Value)}
    names = ["collection", "raw", "ratio", "env_steps", *(["frames"] if observation == "pixels" else [])]
    assert list(rates) == [f"two_room {name}" for name in names]
    assert all(value > 0 for value, _ in rates.values())
    assert rates.get("two_room frames", (1.0, "pictures/s"))[1] == "pictures/s"
