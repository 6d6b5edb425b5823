"""Scalars of parallel runs: each seed has its own losses, at steps that never go back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.training.online.watches import Watches
from experiments.watching.scalars import ScalarTable, read
from experiments.watching.watch import Watch
from experiments.watching.writer import Run


def test_each_seed_has_its_losses_returns_and_speed(tmp_path):
    tables = [tmp_path / f"seed{number}.scalars.csv" for number in range(2)]
    made = [Watch(ScalarTable(table), Run(table.stem, Path(tmp_path), {})) for table in tables]
    with Watches(made, offline_updates=500) as watches:
        watches.learned({"loss": np.array([1.0, 2.0]), "rate": np.array(0.5)}, [0, 0], 500, 10.0)
        watches.evaluated(1, 0, 500, np.array([3.0, 5.0]))
        watches.learned({"loss": np.array([0.5, 0.25]), "rate": np.array(0.5)}, [100, 120], 600, 20.0)
    first, second = map(read, tables)
    assert [row["step"] for row in first] == [500, 600] and [row["step"] for row in second] == [500, 620]
    assert [row["losses/loss"] for row in first] == [1.0, 0.5] and [row["losses/loss"] for row in second] == [2.0, 0.25]
    assert second[0]["losses/rate"] == 0.5 and "return/mean" not in first[0]
    assert (second[0]["return/mean"], second[0]["return/lowest"], second[0]["return/highest"]) == (4.0, 3.0, 5.0)
    assert first[1]["time/steps_per_second"] == 10.0 and first[1]["time/updates"] == 600
