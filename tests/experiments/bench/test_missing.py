import logging

import pytest

from experiments.bench.budgets import population, rollouts, sized
from experiments.bench.missing import missing
from planning import CEM, Gradient


@pytest.mark.parametrize(("redo", "left"), [(False, [1, 3]), (True, [1, 2, 3])])
def test_what_the_table_has_is_left_out_unless_all_is_measured_again(redo, left, caplog):
    with caplog.at_level(logging.INFO):
        assert missing(iter([1, 2, 3]), lambda point: point == 2, redo, "runs") == left
    assert caplog.messages == [f"{3 - len(left)} of 3 runs are measured already"]


def test_a_planner_is_resized_to_a_budget():
    small = sized(CEM(num_samples=100, num_elites=10, iterations=4), 50, 2)
    assert (small.num_samples, small.num_elites, small.iterations, rollouts(small)) == (50, 5, 2, 100)
    starts = sized(Gradient(), 8, 3)
    assert population(starts) == "num_starts" and rollouts(starts) == 24
