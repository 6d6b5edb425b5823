import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.engine.schedule import Schedule, least_makespan, makespan
from experiments.engine.step import Step


def step(name, *needs):
    return Step(name, "row", print, needs)


@st.composite
def graphs(draw):
    """Steps, each of which needs some of those before it, and how long each takes."""
    count = draw(st.integers(1, 25))
    steps = [
        step(str(number), *map(str, draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else ()))
        for number in range(count)
    ]
    return steps, {each.name: draw(st.integers(1, 100)) for each in steps}


@given(graphs(), st.integers(1, 8))
def test_every_step_runs_once_after_what_it_needs_on_no_more_slots_than_there_are(graph, slots):
    steps, seconds = graph
    schedule, started = Schedule(steps, seconds), []
    while not schedule.is_over:
        new = schedule.start(slots)
        started += [each.name for each in new]
        assert len(schedule.running) <= slots
        assert all(set(each.needs) <= schedule.done for each in new)
        schedule.finish(min(schedule.running))
    assert sorted(started) == sorted(each.name for each in steps)
    assert schedule.done == set(started) and not schedule.left


@given(graphs(), st.integers(1, 8))
def test_a_schedule_keeps_to_the_bounds_of_list_scheduling(graph, slots):
    """Graham, Bounds on multiprocessing timing anomalies, 1969."""
    steps, seconds = graph
    least, found = least_makespan(steps, seconds, slots), makespan(steps, seconds, slots)
    assert least - 1e-9 <= found <= (2 - 1 / slots) * least + 1e-9


def test_the_longest_chain_starts_first():
    steps = [step("short"), step("data"), step("model", "data"), step("other")]
    seconds = {"short": 5.0, "data": 1.0, "model": 9.0, "other": 5.0}
    assert [each.name for each in Schedule(steps, seconds).start(2)] == ["data", "short"]
    assert makespan(steps, seconds, 2) == 10.0


def test_what_failed_takes_along_what_needs_it_and_nothing_else():
    schedule = Schedule(
        [step("data"), step("model", "data"), step("row", "model"), step("floor")],
        {}.fromkeys(("data", "model", "row", "floor"), 1.0),
    )
    schedule.start(1)
    assert not schedule.fail("data", "the disk is full")
    assert schedule.failed == {
        "data": "the disk is full",
        "model": "it needs data, which failed",
        "row": "it needs model, which failed",
    }
    assert [each.name for each in schedule.start(2)] == ["floor"]


def test_a_lost_step_starts_again_as_often_as_allowed():
    schedule = Schedule([step("row")], {"row": 1.0}, retries=2)
    for again in (True, True, False):
        assert schedule.start(1)
        assert schedule.fail("row", "killed", again=True) is again
    assert schedule.failed == {"row": "killed"} and schedule.is_over


def test_a_step_that_ran_out_of_memory_runs_alone():
    steps = [step("large"), step("small"), step("last")]
    schedule = Schedule(steps, dict.fromkeys(("large", "small", "last"), 1.0), retries=1)
    assert [each.name for each in schedule.start(2)] == ["large", "small"]
    assert schedule.fail("large", "no memory", again=True, alone=True)
    assert [each.name for each in schedule.start(2)] == ["last"]
    schedule.finish("small")
    assert not schedule.start(2)
    schedule.finish("last")
    assert [each.name for each in schedule.start(2)] == ["large"]
    assert not schedule.start(2)
    schedule.finish("large")
    assert schedule.is_over


def test_a_step_alone_keeps_others_away():
    steps = [step("large"), step("small")]
    schedule = Schedule(steps, {"large": 2.0, "small": 1.0}, retries=1)
    assert [each.name for each in schedule.start(1)] == ["large"]
    schedule.fail("large", "no memory", again=True, alone=True)
    assert [each.name for each in schedule.start(2)] == ["large"]


@pytest.mark.parametrize("slots", [1, 3, 100])
def test_a_benchmark_of_many_seeds_comes_near_to_the_least_time(slots):
    steps, seconds = [], {}
    for number in range(60):
        for kind, took, needs in (("data", 60, ()), ("model", 160, ("data",)), ("row", 40, ("model",))):
            steps.append(step(f"{kind} {number}", *(f"{each} {number}" for each in needs)))
            seconds[steps[-1].name] = took + number % 7
    assert makespan(steps, seconds, slots) <= 1.1 * least_makespan(steps, seconds, slots)
