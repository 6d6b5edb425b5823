"""A robot that goes on without a sensor: what it would read, the trust in it, the fallback, the log and its replay."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import register_dataclass

from planning import CEM, Agent, GoalDistance
from planning.control import (
    Bundle,
    BundleEngine,
    Controller,
    LiveEngine,
    Loop,
    Planning,
    RealtimeController,
    Recipe,
    VectorController,
)
from planning.control.engine.contract import Contract
from planning.control.engine.filling import Filler
from planning.control.engine.readings import Kind
from planning.control.loop.frozen import FrozenPictures
from planning.control.loop.guards import ObservationGuard
from planning.control.loop.status import Reason, Source
from planning.control.loop.telemetry import read_lines
from planning.control.worker.fill_log import check_fills
from planning.control.worker.plan_log import replay, runs_of
from planning.model import Heads, Prediction
from planning.observation import ObservationSpec, Sensor
from planning.pytree import static

from ..toys import PERIOD, box

SPEC = ObservationSpec((Sensor("position", (2,)), Sensor("velocity", (2,), optional=True)))
GOAL = {"position": [0.4, -0.2], "velocity": [0.0, 0.0]}


@register_dataclass
@dataclass(frozen=True)
class Mass:
    """A point mass whose position and velocity are sensors of their own; it knows exactly what each would read."""

    params: Any
    filling: bool = static(True)
    history = 2
    observation = SPEC
    embedding_size = SPEC.size
    action_block = 1
    action_size = 2
    latent_size = 4
    ensemble = 1

    @property
    def heads(self):
        return Heads(fill=self.fill if self.filling else None)

    def embed(self, params, observation):
        raise AssertionError("rows of vectors need no network")

    def encode(self, params, embeddings):
        return embeddings[..., -1, :4]

    def predict(self, params, latent, block):
        velocity = latent[..., 2:] + PERIOD * block[..., 0, :] / params
        return Prediction(jnp.concatenate([latent[..., :2] + PERIOD * velocity, velocity], axis=-1))

    def fill(self, params, latent, previous, action, row, known, ages):
        velocity = jnp.where(known[1] > 0, row[2:4], latent[2:] + PERIOD * action / params)
        reading = jnp.concatenate([latent[:2] + PERIOD * velocity, velocity, jnp.ones(1)])
        deviation = 0.01 * jnp.concatenate([jnp.repeat(ages[:1], 2), jnp.repeat(ages[1:], 3)])
        return reading, deviation, jnp.clip(1.0 - 0.1 * ages, 0.0, 1.0)


def make_engine(filling: bool = True) -> LiveEngine:
    planner = CEM(horizon=4, num_samples=16, num_elites=4, iterations=2, num_keep=1, num_best=2)
    return LiveEngine(Agent(Mass(jnp.float32(1.0), filling), planner, {"goal": GoalDistance()}, {"goal": 1.0}, box()))


class Body:
    """The true mass, in NumPy."""

    def __init__(self):
        self.position, self.velocity = np.zeros(2, np.float32), np.zeros(2, np.float32)

    def seen(self) -> dict[str, Any]:
        return {"position": self.position.copy(), "velocity": self.velocity.copy()}

    def move(self, action: np.ndarray) -> None:
        self.velocity = (self.velocity + PERIOD * action).astype(np.float32)
        self.position = (self.position + PERIOD * self.velocity).astype(np.float32)


@pytest.fixture(scope="module")
def engine():
    return make_engine()


@pytest.fixture
def control(engine):
    made = Controller(engine, least_trust=0.55)
    made.reset(GOAL, seed=0)
    return made


LOST = {
    "left out": lambda seen: {"velocity": seen["velocity"]},
    "none": lambda seen: {**seen, "position": None},
    "not a number": lambda seen: {**seen, "position": [np.nan, 0.0]},
}


@pytest.mark.parametrize("how", LOST)
def test_the_robot_goes_on_without_a_sensor_as_if_it_had_it(engine, control, how):
    whole, body, twin = Controller(engine), Body(), Body()
    whole.reset(GOAL, seed=0)
    for step in range(6):
        seen = body.seen()
        action = control.act(LOST[how](seen) if step >= 2 else seen)
        np.testing.assert_allclose(action, whole.act(twin.seen()), atol=1e-4)
        assert list(control.filled) == (["position"] if step >= 2 else [])
        assert (control.source, control.reason) == (Source.PLAN, Reason.OK)
        body.move(action)
        twin.move(action)


def test_trust_falls_with_time_until_the_robot_brakes_and_comes_back_with_the_sensor(control):
    body, trust = Body(), []
    for step in range(8):
        action = control.act(body.seen() if step < 2 else {"velocity": body.velocity})
        trust.append(control.filled.get("position", 1.0))
        trusted = trust[-1] >= 0.55
        assert control.reason == (Reason.OK if trusted else Reason.UNTRUSTED)
        assert control.source == (Source.PLAN if trusted else Source.BRAKE)
        assert trusted or not action.any()  # the rest action
        body.move(action)
    np.testing.assert_allclose(trust, [1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4], atol=1e-6)
    assert control.act(body.seen()).any() and control.source == Source.PLAN and not control.filled


def test_what_a_sensor_would_read_and_how_far_that_may_be_off(control):
    body = Body()
    with pytest.raises(RuntimeError, match="from the second observation"):
        control.expected("position")
    for step in range(4):
        control_action = control.act(body.seen() if step < 2 else {"velocity": body.velocity})
        if step:
            reading, deviation = control.expected("position")
            np.testing.assert_allclose(reading, body.position, atol=1e-5)
            np.testing.assert_allclose(deviation, 0.01 * max(step - 1, 1))
        body.move(control_action)
    with pytest.raises(ValueError, match="no sensor 'sonar': choose from position, velocity"):
        control.expected("sonar")


def test_what_was_never_read_is_not_imagined(control):
    body = Body()
    with pytest.raises(ValueError, match="lacks the sensor position"):
        control.act({"velocity": body.velocity})
    control.act({"position": body.position})  # optional: left out, as the model has learned
    assert not control.filled
    control.act({"position": body.position})
    assert not control.filled
    with pytest.raises(ValueError, match="must have shape"):  # a mistake of the caller's is no failed sensor
        control.act({"position": [0.0]})
    control.reset(GOAL, seed=0)
    with pytest.raises(ValueError, match="lacks the sensor position"):  # nor does an earlier episode count
        control.act({"velocity": body.velocity})


def test_a_refused_beginning_leaves_the_episode_as_it_was(control):
    body = Body()
    control.act(body.seen())
    with pytest.raises(ValueError, match="lacks the sensor position"):  # an episode begins with all that it needs
        control.predict({"velocity": body.velocity}, episode_start=True)
    control.predict({"velocity": body.velocity})
    assert list(control.filled) == ["position"]


def test_what_one_environment_refuses_the_others_have_not_seen(engine):
    several, seen = VectorController(engine.agent, 2), Body().seen()
    several.reset([GOAL, GOAL])
    lost = {"velocity": seen["velocity"]}
    with pytest.raises(ValueError, match="environment 1: .* lacks the sensor position"):
        several.act([seen, lost])
    with pytest.raises(ValueError, match="environment 0: .* lacks the sensor position"):  # it was never read there
        several.act([lost, seen])
    several.act([seen, seen])
    assert np.isfinite(several.act([lost, seen])).all()


def test_a_model_without_the_head_refuses_as_before():
    plain = Controller(make_engine(filling=False))
    plain.reset(GOAL, seed=0)
    plain.act(Body().seen())
    with pytest.raises(ValueError, match="lacks the sensor position"):
        plain.act({"velocity": [0.0, 0.0]})
    with pytest.raises(ValueError, match=r"model\.filling=true"):
        plain.expected("position")
    with pytest.raises(ValueError, match="least_trust must be a number from 0 to 1"):
        Controller(make_engine(filling=False), least_trust=1.5)


class Drive:
    """A controller behind the loop, on a clock of its own."""

    def __init__(self, planner, **words):
        self.now, self.body = 0.0, Body()
        loop = Loop(**words.pop("loop", {}))
        self.control = RealtimeController(planner, loop, worker="inline", clock=lambda: self.now, **words)
        self.control.start()
        self.control.reset(GOAL)

    def step(self, observation: Any = ..., periods: int = 1):
        self.now += periods * PERIOD
        found = self.control.notify_observation(self.body.seen() if observation is ... else observation)
        for _ in range(periods):
            self.body.move(self.control.get_action())
        return found


def test_the_loop_reports_imagined_readings_logs_them_and_replays_them_bit_for_bit(engine, tmp_path):
    log = tmp_path / "run.jsonl"
    drive = Drive(engine, telemetry=log, planning=Planning(log=True), loop={"least_trust": 0.55})
    assert [drive.step() for _ in range(3)] == [Reason.OK] * 3
    assert drive.step({"velocity": drive.body.velocity}) == Reason.FILLED
    command = drive.control.command
    assert (command.source, command.reason, dict(command.filled)) == (
        Source.PLAN, Reason.FILLED, {"position": pytest.approx(0.9)},
    )  # fmt: skip
    assert command.events == ("+filled",)
    before = drive.body.seen()["position"]
    assert drive.step({"position": [np.nan, np.nan], "velocity": drive.body.velocity}) == Reason.FILLED
    np.testing.assert_allclose(drive.control.expected("position")[0], before, atol=1e-4)
    for _ in range(3):
        last = drive.step({"velocity": drive.body.velocity})
    assert last == Reason.UNTRUSTED
    assert drive.control.command.source >= Source.HOLD and drive.control.command.reason == Reason.UNTRUSTED
    assert drive.step() == Reason.OK and drive.control.command.source == Source.PLAN
    drive.control.stop()
    (run,) = runs_of(read_lines(log))
    assert len(run.fills) == 5
    assert check_fills(engine, run.fills).same == 5
    assert replay(engine, run.plans())[1] == []
    damaged = [{**run.fills[0], "filled": [0.0] * SPEC.size}]
    assert check_fills(engine, damaged).different == [run.fills[0]["stamp"]]
    with pytest.raises(ValueError, match="makes none"):
        check_fills(make_engine(filling=False), run.fills)
    steps = [line for line in read_lines(log) if line["kind"] == "step"]
    assert [sorted(line["filled"]) for line in steps] == [[]] * 3 + [["position"]] * 5 + [[]]


def test_dropped_observations_are_bridged_before_a_missing_sensor_is_imagined(engine):
    drive = Drive(engine)
    drive.body.velocity[:] = [1.0, -0.5]
    for _ in range(3):
        drive.step()
    drive.now += 2 * PERIOD  # two observations are lost
    for _ in range(2):
        drive.body.move(drive.control.get_action())
    truth = drive.body.position.copy()
    assert drive.step({"velocity": drive.body.velocity}) == Reason.FILLED
    np.testing.assert_allclose(drive.control._cycle.observed.newest[:2], truth, atol=0.05)
    assert drive.control.command.filled["position"] == pytest.approx(0.7)


def test_a_frozen_or_late_camera_counts_as_missing_where_the_model_fills_it_in():
    spec = ObservationSpec((Sensor("eye", (8, 8, 3), "uint8", features=2), Sensor("speed", (1,), optional=True)))
    contract = replace(make_engine().contract, observation=spec)
    picture = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    push = contract.high
    for tolerant in (False, True):
        guard = ObservationGuard(spec, None, None, FrozenPictures(contract, 2 * PERIOD), tolerant=tolerant)
        for step in range(4):
            reading, reason = guard.check({"eye": picture}, step * PERIOD, push)
        if not tolerant:
            assert (reading, reason) == (None, Reason.STUCK_OBSERVATION)
        else:
            assert reason == Reason.OK and not reading.others
            assert {name: fault.kind for name, fault in reading.missing.items()} == {
                "eye": Kind.REPEATED, "speed": Kind.ABSENT,
            }  # fmt: skip


def test_a_bundle_fills_in_what_its_agent_does_and_one_without_the_head_has_no_program(engine, tmp_path):
    path = tmp_path / "mass.bundle"
    Bundle.of(engine.agent).save(path)
    bundle = Bundle.load(path)
    assert bundle.contract.fills and "fill" in bundle.programs
    asked = np.ones(4), np.ones(5), np.ones(2), np.zeros(5), np.zeros(2), np.full(2, 3.0)
    for one, other in zip(BundleEngine(bundle).fill(*asked), engine.fill(*asked), strict=True):
        np.testing.assert_array_equal(one, other)
    drive = Drive(Recipe.bundle(path))
    for _ in range(3):
        drive.step()
    assert drive.step({"velocity": drive.body.velocity}) == Reason.FILLED
    plain = Bundle.of(make_engine(filling=False).agent)
    assert not plain.contract.fills and "fill" not in plain.programs
    known = plain.contract.to_json()
    assert known.pop("fills") is False and not Contract.from_json(known).fills  # files of earlier versions


def test_an_imagined_reading_enters_the_next_ones(engine):
    filler, row = Filler(engine), np.asarray([0.0, 0.0, 1.0, 0.0, 1.0], np.float32)
    filler.complete(row, (), 0.0, np.zeros(2))
    lost = np.asarray([0.0, 0.0, 1.0, 0.0, 1.0], np.float32)
    found = [filler.complete(lost, ["position"], step, np.zeros(2)).row[0] for step in (1.0, 2.0, 3.0)]
    np.testing.assert_allclose(found, PERIOD * np.arange(1, 4), rtol=1e-5)


def test_what_begins_and_ends_is_logged_once(engine, caplog):
    caplog.set_level(logging.WARNING)
    drive = Drive(engine)
    for step in range(6):
        drive.step({"velocity": drive.body.velocity} if 2 <= step < 4 else ...)
    drive.control.stop()
    said = [record.message for record in caplog.records if "the sensor position" in record.message]
    assert [line for line in said if "imagined" in line] == [
        "the sensor position is missing, and imagined from here on",
        "the sensor position is imagined no more",
    ]
