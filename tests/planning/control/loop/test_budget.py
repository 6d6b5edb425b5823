"""Holding and the reflex are bounded in time, counted from the last action of a validated plan, whatever happens."""

import numpy as np
import pytest

from planning.control import Fallback, Loop, Planning, Reason, Source, Validator

from ..loops import GOAL, PERIOD, Rig, make_engine

HOLD = 2.5 * PERIOD


@pytest.fixture(scope="module")
def engine():
    return make_engine()


def silent(rig):
    rig.control.worker.send = lambda message, now: None  # the planner is dead from here on


EVENTS = {
    "a goal at every 4th step": lambda rig, step: step % 4 or rig.control.reset(goal=GOAL),
    "the clock a little back at every 4th call": lambda rig, step: step % 4 or rig.step(None, advance=-0.005),
    "another goal": lambda rig, step: rig.control.redirect([-0.1, 0.1]),
    "a second start": lambda rig, step: rig.control.start(),
    "a pause": lambda rig, step: step % 4 or rig.step(None, advance=5.0),
}


@pytest.mark.parametrize("event", EVENTS)
def test_nothing_but_a_plan_buys_a_hold_more_time(engine, event):
    rig = Rig(engine, Loop(max_observation_age=1e6), Planning(validity=2 * PERIOD), Fallback(hold_seconds=HOLD))
    for _ in range(5):
        rig.step()
    silent(rig)
    sources = []
    for step in range(40):
        EVENTS[event](rig, step)
        sources.append(rig.step().source)
    assert sources.count(Source.HOLD) <= 2 and set(sources[6:]) == {Source.BRAKE}
    np.testing.assert_array_equal(rig.control.command.action, [0.0, 0.0])


@pytest.mark.parametrize("change", ["redirect", "reset"])
def test_the_last_action_survives_another_goal_and_a_dead_planner(engine, change):
    rig = Rig(engine, Loop(rate_limit=5.0))
    before = np.zeros(2)
    for step in range(30):
        if step % 5 == 4:
            getattr(rig.control, change)(goal=[[-0.6, 0.5], [0.7, -0.7]][step % 2])
        if step == 20:
            silent(rig)
        action = rig.step().action
        assert (np.abs(action - before) <= 5.0 * PERIOD + 1e-5).all()
        before = action


def test_plans_count_changes_from_what_was_sent_and_not_from_what_was_planned():
    rig = Rig(make_engine(), Loop(rate_limit=0.5))
    seen = []
    with_previous = type(rig.control.worker._cycle._engine).with_previous
    rig.control.worker._cycle._engine.with_previous = lambda state, action: (
        seen.append(np.array(action)) or with_previous(rig.control.worker._cycle._engine, state, action)
    )
    sent = [np.zeros(2)]
    for step in range(12):
        if step == 6:
            rig.control.redirect([-0.3, 0.2])
        sent.append(rig.step().action)
    np.testing.assert_allclose(seen, sent[:-1], atol=1e-6)


def test_the_loop_starts_from_the_measured_action(engine):
    rig = Rig(engine, Loop(rate_limit=2.0))
    rig.control.stop()
    rig.control.start(previous=[0.8, -0.8])
    rig.control.reset(goal=GOAL)
    np.testing.assert_allclose(rig.step().action, [0.8, -0.8], atol=2.0 * PERIOD + 1e-5)
    rig.control.reset(goal=GOAL, previous=[-0.6, 0.6])
    np.testing.assert_allclose(rig.step().action, [-0.6, 0.6], atol=2.0 * PERIOD + 1e-5)
    with pytest.raises(ValueError, match="previous must be 2 finite numbers"):
        rig.control.reset(goal=GOAL, previous=[np.inf, 0.0])


def never(actions):
    return 1.0


def raises(actions):
    raise RuntimeError("no idea")


@pytest.mark.parametrize("check", [never, raises])
def test_a_validator_that_always_objects_objects_to_the_reflex_too(engine, check):
    planning = Planning(validator=Validator((check,)))
    rig = Rig(engine, planning=planning, fallback=Fallback(reflex=lambda observation: [1.0, 1.0]))
    for _ in range(5):
        command = rig.step()
        assert command.source == Source.BRAKE
        assert {Reason.INFEASIBLE, Reason.REFLEX_REFUSED} <= set(command.wrong)
    np.testing.assert_array_equal(command.action, [0.0, 0.0])


def gentle(actions):
    return float(np.abs(actions).max()) - 0.3


def moving(actions):
    """Refuses a plan that repeats one action."""
    return 1.0 if (actions == actions[:1]).all() else -1.0


def test_what_the_reflex_says_passes_the_checks(engine):
    said = iter([[0.2, 0.0], [0.9, 0.0]])
    validator = Validator((gentle,))
    rig = Rig(engine, Loop(latency=1e9), Planning(validator=validator), Fallback(reflex=lambda _: next(said)))
    assert [rig.step().source for _ in range(2)] == [Source.REFLEX, Source.BRAKE]


def test_what_is_held_passes_the_checks(engine):
    for check, after in ((moving, Source.BRAKE), (lambda actions: -1.0, Source.HOLD)):
        planning = Planning(validity=2 * PERIOD, validator=Validator((check,)))
        rig = Rig(engine, Loop(max_observation_age=1e6), planning, Fallback(hold_seconds=10.0))
        for _ in range(4):
            assert rig.step().source == Source.PLAN
        silent(rig)
        assert [rig.step().source for _ in range(5)][-1] == after


def test_the_reflex_ends_in_time(engine):
    fallback = Fallback(reflex=lambda observation: [0.5, 0.5], reflex_seconds=3.5 * PERIOD, hold_seconds=10.0)
    rig = Rig(engine, Loop(latency=1e9), fallback=fallback)
    assert [rig.step().source for _ in range(6)] == [Source.REFLEX] * 3 + [Source.BRAKE] * 3


def test_a_brake_may_be_a_function_of_the_observation(engine):
    said = iter([[0.5, 0.0], RuntimeError, [0.5], [np.nan, 0.0]])

    def gravity(observation):
        answer = next(said)
        if answer is RuntimeError:
            raise RuntimeError("no idea")
        np.testing.assert_array_equal(observation, np.float32([0.1, 0.0]))
        return answer

    rig = Rig(engine, Loop(latency=1e9), fallback=Fallback(brake=gravity))
    commands = [rig.step([0.1, 0.0]) for _ in range(4)]
    assert [command.action.tolist() for command in commands] == [[0.5, 0.0]] + [[0.0, 0.0]] * 3
    assert not any(Reason.LOOP_ERROR in command.wrong for command in commands)  # a user's mistake, and answered as one


def test_a_fault_that_latches_keeps_the_brake_until_it_is_acknowledged(engine):
    fallback = Fallback(hold_seconds=0.0, latch=(Reason.STUCK_OBSERVATION,))
    rig = Rig(engine, Loop(stuck_after=3, max_observation_age=10 * PERIOD), fallback=fallback)
    for _ in range(4):
        rig.step()
    rig.step(advance=50.0)  # a fault that does not latch
    assert rig.step().source == Source.PLAN
    for _ in range(3):
        rig.step([0.0, 0.0])
    assert rig.control.latched == Reason.STUCK_OBSERVATION
    for step in range(6):
        if step == 3:
            rig.control.reset(goal=GOAL)
        command = rig.step()
        assert command.source == Source.BRAKE and command.reason == Reason.LATCHED
    assert rig.control.acknowledge() == Reason.STUCK_OBSERVATION and rig.control.acknowledge() is None
    assert rig.step().source == Source.PLAN and rig.control.latched is None


def test_every_fault_latches_where_asked_but_not_the_wait_for_the_first_plan(engine):
    rig = Rig(engine, Loop(latency=2 * PERIOD), fallback=Fallback(hold_seconds=0.0, latch=True))
    assert [rig.step().source for _ in range(4)][:2] == [Source.BRAKE] * 2
    assert rig.step().source == Source.PLAN and rig.control.latched is None
    rig.step(None, advance=50.0)
    assert rig.control.latched == Reason.NO_PLAN
    rig.control.stop()
    rig.control.start()
    assert rig.step().reason == Reason.STOPPED or Reason.LATCHED in rig.step().wrong
    assert rig.control.latched == Reason.NO_PLAN


def test_a_planner_that_failed_is_told_apart_from_one_that_is_dead(engine):
    rig = Rig(engine)
    rig.step()
    rig.control.worker.dead = lambda: True
    command = rig.step()
    assert Reason.PLANNER_DEAD in command.wrong and Reason.PLANNER_FAILED not in command.wrong
    rig.control.worker.failure = "it does not start"
    command = rig.step()
    assert Reason.PLANNER_FAILED in command.wrong and Reason.PLANNER_DEAD not in command.wrong


@pytest.mark.parametrize("bad", [[1e10, 0.0], [-3.1, 0.0]])
def test_readings_and_goals_far_outside_the_training_data_are_refused(bad):
    engine = make_engine(words=dict(sensor_low=(-1.0, -1.0), sensor_high=(1.0, 1.0)))
    rig = Rig(engine)
    assert rig.step().source == Source.PLAN
    assert rig.control.notify_observation(bad, rig.now + 0.01) == Reason.OUT_OF_RANGE_OBSERVATION
    for change in (rig.control.reset, rig.control.redirect):
        with pytest.raises(ValueError, match="the goal is implausible: element 0 is"):
            change(goal=bad)
    assert rig.step([2.9, 0.0]).source == Source.PLAN
    wide = Rig(engine, Loop(observation_low=(-50.0, -50.0)))
    wide.control.reset(goal=[-40.0, 0.0])
    assert wide.control.notify_observation([-40.0, 0.0], 0.0) == Reason.OK


@pytest.mark.parametrize(
    "reading",
    [
        np.ma.masked_array([0.1, 0.2], mask=[True, False]),
        [0.1, np.ma.masked],
        np.array([0.1 + 1j, 0.2]),
        ["0.1", "0.2"],
        np.array(["2026-01-01", "2026-01-02"], "datetime64[D]"),
        [object(), 0.1],
        [[0.1], [0.1, 0.2]],
    ],
)
def test_a_reading_that_is_no_plain_number_is_refused(engine, reading):
    rig = Rig(engine)
    rig.step()
    assert rig.control.notify_observation(reading, rig.now + 0.05) == Reason.MALFORMED_OBSERVATION
    with pytest.raises(ValueError, match="the goal must"):
        rig.control.reset(goal=reading)


def test_an_expired_plan_is_not_executed_whatever_is_declared(engine):
    fallback = Fallback(answers={Reason.NO_PLAN: Source.PLAN}, hold_seconds=0.0)
    rig = Rig(engine, Loop(max_observation_age=1e6), Planning(validity=2 * PERIOD), fallback)
    for _ in range(4):
        rig.step()
    silent(rig)
    assert [rig.step().source for _ in range(5)][-2:] == [Source.BRAKE] * 2


def test_a_plan_towards_the_goal_before_is_not_taken_once_there_is_another(engine):
    rig = Rig(engine, Loop(latency=1.5 * PERIOD))
    for _ in range(6):
        rig.step()
    before, sent, send = rig.control.plan.sequence, [], rig.control.worker.send
    number = rig.control._cycle.link._request_type.fields["number"][1]

    def listening(message, now):
        sent.append(int(np.frombuffer(message[number : number + 8], np.int64)[0]))
        send(message, now)

    rig.control.worker.send = listening
    rig.control.redirect([-0.3, 0.2])
    taken = {rig.step().plan.sequence for _ in range(6)} - {before}
    assert taken and min(taken) >= sent[0]
