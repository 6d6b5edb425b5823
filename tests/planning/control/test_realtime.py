from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning.control import Fallback, Loop, Planning, RealtimeController, Reason, Source, Validator
from planning.control.engine.anytime import Timings
from planning.control.engine.live import LiveEngine, _refine
from planning.control.loop.telemetry import read_lines
from planning.control.worker.messages import PublishedPlan
from planning.parameterization import Knots, Steps
from planning.types import Status

from .loops import GOAL, PERIOD, Rig, constrained_engine, make_engine


@pytest.fixture(scope="module")
def engine():
    return make_engine()


class Mad(LiveEngine):
    """An engine whose refinements can be made to fail."""

    def __init__(self, engine):
        super().__init__(engine.agent)
        self.mad = False

    def plan(self, state):
        plan = super().plan(state)
        if self.mad:
            plan = replace(plan, actions=np.full_like(plan.actions, np.nan))
        return plan


def test_it_drives_to_the_goal_with_a_plan_at_each_step(engine):
    rig = Rig(engine)
    for _ in range(60):
        command = rig.step()
        assert command.source == Source.PLAN and command.reason == Reason.OK
    assert np.linalg.norm(rig.position - GOAL) < 0.05


def published(actions, playback, stamp=10.0, valid=0.5):
    return PublishedPlan(1, 1, stamp, stamp + valid, PERIOD, Status.OK, actions, None, playback)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 7), st.floats(0, 1e4), st.sampled_from([Steps(), Knots(8, "linear"), Knots(8, "cubic")]))
def test_a_plan_read_at_its_control_instants_is_the_plan(step, stamp, playback):
    actions = np.random.default_rng(0).uniform(-1, 1, (8, 2)).astype(np.float32)
    plan = published(actions, playback, stamp)
    np.testing.assert_allclose(plan.at(stamp + step * PERIOD), actions[step], atol=1e-4)


def test_a_plan_is_read_at_the_moment_of_effect_and_not_of_its_observation(engine):
    rig = Rig(engine, Loop(latency=2 * PERIOD, replan_period=4 * PERIOD))
    for _ in range(12):
        command = rig.step()
        plan = command.plan
        if command.source <= Source.PREVIOUS_PLAN:
            age = round((command.time - plan.stamp) / PERIOD)
            np.testing.assert_allclose(command.action, np.clip(plan.actions[age], -1, 1), atol=1e-5)
    assert plan.stamp < command.time - PERIOD


@pytest.mark.parametrize("delay", [1, 3])
def test_what_is_committed_already_is_frozen_into_the_plan(engine, delay):
    rig = Rig(engine, Loop(actuation_delay=delay * PERIOD), delay=delay)
    sent = []
    for _ in range(30):
        command = rig.step()
        assert command.plan.record["frozen"] == delay
        if len(sent) >= delay:
            np.testing.assert_array_equal(command.plan.actions[:delay], sent[-delay:])
        sent.append(command.action)
        np.testing.assert_array_equal(command.action, command.plan.actions[delay])


def test_compensating_a_delay_brings_the_body_to_rest_where_ignoring_it_does_not(engine):
    missed = {}
    for compensate in (True, False):
        rig = Rig(engine, Loop(actuation_delay=3 * PERIOD, compensate=compensate), delay=3)
        distances = []
        for _ in range(120):
            rig.step()
            distances.append(np.linalg.norm(rig.position - GOAL))
        missed[compensate] = np.mean(distances[60:])
    assert missed[True] < 0.6 * missed[False]


FAULTS = {
    "nan": (dict(observation=[np.nan, 0]), Reason.NONFINITE_OBSERVATION, Source.PREVIOUS_PLAN),
    "out of range": (dict(observation=[99.0, 0]), Reason.OUT_OF_RANGE_OBSERVATION, Source.PREVIOUS_PLAN),
    "shape": (dict(observation=[0.0]), Reason.MALFORMED_OBSERVATION, Source.PREVIOUS_PLAN),
    "keys": (dict(observation={"x": 0}), Reason.MALFORMED_OBSERVATION, Source.PREVIOUS_PLAN),
    "dropped": (dict(observation=None), Reason.STALE_OBSERVATION, Source.PREVIOUS_PLAN),
    "old": (dict(stamp=0.1), Reason.OUT_OF_ORDER_OBSERVATION, Source.PREVIOUS_PLAN),
    "from the future": (dict(stamp=1e6), Reason.OUT_OF_ORDER_OBSERVATION, Source.PREVIOUS_PLAN),
    "stamp nan": (dict(stamp=float("nan")), Reason.OUT_OF_ORDER_OBSERVATION, Source.PREVIOUS_PLAN),
    "clock back": (dict(advance=-0.5), Reason.CLOCK_BACKWARDS, Source.HOLD),
    "clock leaps": (dict(observation=None, advance=50.0), Reason.NO_PLAN, Source.BRAKE),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_answered_as_declared_within_one_period_and_gone_soon_after(engine, name):
    fault, reason, source = FAULTS[name]
    loop = Loop(
        max_observation_age=0.5 * PERIOD, observation_low=(-5.0, -5.0), observation_high=(5.0, 5.0), rate_limit=3.0
    )
    rig = Rig(engine, loop)
    for _ in range(5):
        command = rig.step()
    before = command.action
    command = rig.step(**fault)
    assert reason in command.wrong and command.source == source
    assert f"+{reason.name.lower()}" in command.events
    assert np.isfinite(command.action).all() and (np.abs(command.action - before) <= 3.0 * PERIOD + 1e-5).all()
    for _ in range(3):
        command = rig.step()
    assert command.source == Source.PLAN and not command.wrong


def test_a_stuck_sensor_is_answered_at_its_declared_count(engine):
    rig = Rig(engine, Loop(stuck_after=4))
    sources = [rig.step([0.0, 0.0]).source for _ in range(5)]
    assert sources == [Source.PLAN] * 3 + [Source.HOLD] * 2


@pytest.mark.parametrize("between", ["a reset", "a clock that goes back"])
def test_a_stuck_sensor_stays_stuck_through(engine, between):
    rig = Rig(engine, Loop(stuck_after=4))
    for _ in range(3):
        rig.step([0.0, 0.0])
    if between == "a reset":
        rig.control.reset(goal=[-0.3, 0.0])
    else:
        rig.step(None, advance=-0.5)
    command = rig.step([0.0, 0.0])
    assert Reason.STUCK_OBSERVATION in command.wrong and command.source >= Source.HOLD
    assert Reason.STUCK_OBSERVATION not in rig.step([0.0, 0.1]).wrong


def test_a_plan_that_is_no_number_is_not_executed(engine):
    mad = Mad(engine)
    rig = Rig(mad)
    for _ in range(3):
        command = rig.step()
    good, mad.mad = command.plan, True
    command = rig.step()
    assert command.reason == Reason.NONFINITE_PLAN and command.source == Source.PREVIOUS_PLAN
    assert command.plan is good and np.array_equal(command.action, good.actions[1])
    mad.mad = False
    assert rig.step().source == Source.PLAN


def test_when_no_plan_keeps_the_margins_none_is_executed():
    rig = Rig(constrained_engine(-1.0))
    command = rig.step()
    assert {Reason.INFEASIBLE, Reason.NO_PLAN} <= set(command.wrong) and command.source == Source.BRAKE
    assert Rig(constrained_engine(1e9)).step().source == Source.PLAN


def never(actions):
    return 1.0


def test_a_users_check_can_refuse_every_plan(engine):
    rig = Rig(engine, planning=Planning(validator=Validator((never,))))
    assert Reason.INFEASIBLE in rig.step().wrong


def test_a_plan_expires_and_nothing_is_held_for_ever(engine):
    rig = Rig(
        engine, Loop(max_observation_age=1e9), Planning(validity=2.5 * PERIOD), Fallback(hold_seconds=2.5 * PERIOD)
    )
    rig.step()
    rig.control.worker.send = lambda message, now: None  # the planner is silent from here on
    sources = [rig.step().source for _ in range(8)]
    assert sources == [Source.PLAN] * 2 + [Source.HOLD] * 2 + [Source.BRAKE] * 4
    np.testing.assert_array_equal(rig.control.command.action, [0, 0])


def test_an_empty_queue_is_answered_by_a_declared_action_and_never_by_none(engine):
    control = RealtimeController(engine, worker="inline", fallback=Fallback(brake=(0.25, -0.25)), clock=lambda: 0.0)
    np.testing.assert_array_equal(control.get_action(), np.float32([0.25, -0.25]))
    assert control.command.source == Source.BRAKE and Reason.MISSING_OBSERVATION in control.command.wrong


def test_the_reflex_answers_where_there_is_no_plan_unless_it_fails_too(engine):
    answers = iter([[0.5, 0.5], [np.nan, 0.0], RuntimeError, [0.5]])

    def reflex(observation):
        answer = next(answers)
        if answer is RuntimeError:
            raise RuntimeError("no idea")
        return answer

    rig = Rig(engine, Loop(latency=1e9), fallback=Fallback(reflex=reflex, hold_seconds=10.0))
    assert [rig.step().source for _ in range(4)] == [Source.REFLEX] + [Source.BRAKE] * 3  # no plan: nothing to hold
    assert Reason.REFLEX_REFUSED in rig.control.command.wrong


def test_a_late_plan_is_told_from_one_in_time(engine):
    rig = Rig(engine, Loop(late_after=1.5 * PERIOD))
    rig.step()
    rig.control.worker.send = lambda message, now: None
    command = rig.step()
    assert command.source == Source.PLAN
    command = rig.step()
    assert command.reason == Reason.LATE and command.source == Source.PREVIOUS_PLAN


def test_a_reset_discards_the_plan_that_is_being_made(engine):
    rig = Rig(engine, Loop(latency=1.5 * PERIOD))
    rig.step()
    rig.control.reset(goal=[-0.3, 0.0])
    rig.step()
    command = rig.step()
    assert command.plan is None and Reason.NO_PLAN in command.wrong


def test_another_goal_does_not_interrupt(engine):
    rig = Rig(engine, Loop(latency=0.5 * PERIOD))
    for _ in range(3):
        rig.step()
    rig.control.redirect([-0.3, 0.0])
    for _ in range(60):
        assert rig.step().source == Source.PLAN
    assert np.linalg.norm(rig.position - [-0.3, 0.0]) < 0.05


def test_weights_change_without_a_compile(engine):
    rig = Rig(engine)
    rig.step()
    before = _refine._cache_size()
    rig.control.weights = {"goal": 3.0}
    record = rig.step().plan.record
    assert record["terms"][0] == pytest.approx(record["cost"], rel=1e-5)
    assert _refine._cache_size() == before and engine.weights == {"goal": 3.0}
    rig.control.weights = {"goal": 1.0}
    rig.step()
    with pytest.raises(ValueError, match="must be a finite number"):
        rig.control.weights = {"goal": float("nan")}


def test_one_latency_spike_is_forgotten():
    times = Timings(0.95, 64)
    for latency in [0.01] * 20 + [5.0] + [0.01] * 64:
        times.add(latency)
    assert times.expected() == 0.01


def test_the_three_times_are_told_apart(engine, tmp_path):
    loop = Loop(actuation_delay=PERIOD, latency=0.5 * PERIOD, max_observation_age=1.0)
    rig = Rig(engine, loop, telemetry=tmp_path / "run.jsonl")
    for _ in range(5):
        rig.now += PERIOD
        rig.control.notify_observation(rig.position, rig.now - 0.02)
        rig.control.get_action()
    rig.control.stop()
    *_, last = read_lines(tmp_path / "run.jsonl")
    assert last["observation_age_ms"] == pytest.approx(20.0)
    assert last["latency_ms"] == pytest.approx(100.0)  # one tick
    assert last["frozen"] == 3  # 20 + 100 + 100 ms, in whole steps of 100


def test_bad_settings_are_refused_in_one_sentence(engine):
    with pytest.raises(ValueError, match="worker must be process, thread or inline"):
        RealtimeController(engine, worker="cloud")
    with pytest.raises(ValueError, match="a planner process builds its own engine"):
        RealtimeController(engine)
    with pytest.raises(ValueError, match="brake must be 2 numbers"):
        RealtimeController(engine, worker="inline", fallback=Fallback(brake=(9.0, 0.0)))
    control = RealtimeController(engine, worker="inline")
    with pytest.raises(ValueError, match="reset needs a goal the first time"):
        control.reset()
    with pytest.raises(ValueError, match="the goal must be finite; element 0 is nan"):
        control.reset(goal=[np.nan, 0])
