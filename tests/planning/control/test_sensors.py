"""A body with a camera and a speedometer that fails: observations by sensor, from the check to the bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import register_dataclass

from planning import CEM, Agent, GoalDistance
from planning.control import Bundle, BundleEngine, Controller, Goal, LiveEngine, Loop, RealtimeController, Reason, Route
from planning.control.bundle import program_check
from planning.control.engine.contract import Contract
from planning.control.engine.goal import checked_goal
from planning.control.engine.readings import Fault, Reading, read
from planning.control.loop.window import Observed
from planning.model import Heads, Prediction
from planning.observation import ObservationSpec, Sensor, vector
from planning.pytree import static

from ..toys import box

SIDE = 64
LAYOUT = ("NHWC", "HWIO", "NHWC")
SPEC = ObservationSpec(
    (
        Sensor("camera", (SIDE, SIDE, 3), "uint8", interpolates=False, features=4),
        Sensor("speed", (2,), units=("m/s", "m/s"), optional=True),
        Sensor("heading", (1,), period=(360.0,)),
    )
)
FRAME = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
SEEN = {"camera": FRAME, "speed": [0.5, -0.5], "heading": [10.0]}
GOAL = {"camera": FRAME[::-1].copy(), "speed": [0.0, 0.0], "heading": [20.0]}


@register_dataclass
@dataclass(frozen=True)
class Seeing:
    """A fixed random convolution for an eye; the latent is the embedding, and actions push its first numbers."""

    params: Any
    history: int = static(2)
    observation = SPEC
    embedding_size = SPEC.size
    action_block = 1
    action_size = 2
    latent_size = SPEC.size
    ensemble = 1

    @property
    def heads(self):
        return Heads(goal=lambda params, row, mask: jnp.where(mask, row, 0.0))

    def embed(self, params, observation):
        picture = observation["camera"].astype(jnp.float32)[None] / 255
        maps = jax.lax.conv_general_dilated(picture, params, (8, 8), "SAME", dimension_numbers=LAYOUT)
        pooled = jnp.mean(jax.nn.relu(maps[0]), axis=(0, 1))
        return jnp.concatenate([pooled, observation["speed"], observation["speed_present"], observation["heading"]])

    def encode(self, params, embeddings):
        return embeddings[..., -1, :]

    def predict(self, params, latent, block):
        push = jnp.concatenate([block[..., 0, :], jnp.zeros((*latent.shape[:-1], SPEC.size - 2))], axis=-1)
        return Prediction(latent + 0.1 * push)


def seeing() -> Agent:
    kernel = jax.random.normal(jax.random.key(0), (8, 8, 3, 4))
    planner = CEM(horizon=4, num_samples=16, num_elites=4, iterations=2, num_keep=1, num_best=2)
    return Agent(Seeing(kernel), planner, {"goal": GoalDistance()}, {"goal": 1.0}, box())


class Counting(LiveEngine):
    """Counts embeddings, and the shapes that the compiled step is called with."""

    def __init__(self, agent: Agent):
        super().__init__(agent)
        self.embedded = 0
        self.shapes: set[tuple[int, ...]] = set()

    def embed(self, readings):
        self.embedded += 1
        return super().embed(readings)

    def step(self, state, observation):
        self.shapes |= {np.shape(leaf) for leaf in jax.tree.leaves((state, observation)) if np.ndim(leaf)}
        return super().step(state, observation)


def test_a_picture_is_embedded_once_a_control_step():
    engine = Counting(seeing())
    control = Controller(engine)
    control.warmup()
    control.reset(goal=GOAL, seed=0)
    before = engine.embedded
    for step in range(5):
        control.act(SEEN)
        assert engine.embedded == before + step + 1
    assert (SIDE, SIDE, 3) not in engine.shapes  # the history holds embeddings, not frames
    assert engine.embedded == before + 5


def test_the_real_time_loop_embeds_once_an_observation_on_its_own_clock():
    engine = Counting(seeing())
    period, clock = engine.contract.control_period, [0.0]
    control = RealtimeController(engine, Loop(latency=0.0), worker="inline", clock=lambda: clock[0])
    with control:
        control.reset(GOAL)
        before = engine.embedded
        for step in range(6):
            clock[0] = step * period
            assert control.notify_observation(SEEN) == Reason.OK
            control.get_action()
        assert engine.embedded == before + 6
        assert control.notify_observation({**SEEN, "camera": FRAME / 255}) == Reason.MALFORMED_OBSERVATION
        assert control.notify_observation({**SEEN, "heading": [np.nan]}) == Reason.NONFINITE_OBSERVATION
        assert engine.embedded == before + 6  # what is refused is not looked at


def test_a_bundle_brings_its_eye_along(tmp_path):
    agent = seeing()
    Bundle.of(agent, task="seeing").save(tmp_path / "eye.bundle")
    bundle = Bundle.load(tmp_path / "eye.bundle")
    assert bundle.contract.observation == ObservationSpec.of(SPEC.sensors) and "embed" in bundle.programs
    live, control = Controller(agent, seed=3), Controller(BundleEngine(bundle), seed=3)
    for each in (live, control):
        each.reset(goal=GOAL)
    for missing in (False, True):
        seen = {**SEEN, "speed": None if missing else SEEN["speed"]}
        np.testing.assert_array_equal(live.act(seen), control.act(seen))


def test_the_work_of_a_convolution_is_counted():
    def work(side: int, features: int) -> float:
        kernel = jnp.ones((3, 3, 3, features))

        def embed(picture):
            return jax.lax.conv_general_dilated(
                picture, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )

        return work_of(embed, jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32))

    small, large = work(16, 4), work(32, 4)
    assert large / small == pytest.approx(4, rel=0.2) and work(16, 64) / small == pytest.approx(16, rel=0.3)
    assert small > 16 * 16 * 4 * 27 / 16  # a product and a sum for each of a kernel's elements, sixteen at a time
    pooled = work_of(lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (8, 8), (1, 1), "SAME"), (32, 32))
    assert pooled >= 32 * 32 * 64


def work_of(function, shape) -> float:
    """What `program_check` counts for a program."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    aval = jax.ShapeDtypeStruct(shape, jnp.float32) if isinstance(shape, tuple) else shape
    content = jax.export.export(jax.jit(function))(aval).mlir_module_serialized
    context = ir.Context()
    stablehlo.register_dialect(context)
    module = stablehlo.deserialize_portable_artifact(context, content)  # outlives the work that looks into it
    return program_check.Work(module).of_function("main")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"heading": ...}, "lacks the sensor heading: give camera, speed, heading"),
        ({"sonar": 1.0}, "has the sensor 'sonar', and the model knows camera, speed, heading"),
        ({"speed": [1.0]}, r"of the sensor speed must have shape \(2,\); got \(1,\)"),
        ({"speed": ["a", "b"]}, "of the sensor speed must be 2 plain real numbers"),
        ({"speed": [np.inf, 0]}, "of the sensor speed must be finite; element 0 is inf"),
        ({"camera": FRAME.astype(np.float32)}, r"must be an array of uint8 \[64, 64, 3\]; got float32 \[64, 64, 3\]"),
        ({"camera": FRAME[:, :32]}, r"must be an array of uint8 \[64, 64, 3\]; got uint8 \[64, 32, 3\]"),
        ({"camera": "file.png"}, "must be an array of uint8 .*; got str"),
        ({"camera": np.zeros_like(FRAME)}, "shows the same value everywhere: the camera is covered, off or broken"),
    ],
)
def test_a_bad_observation_is_one_sentence_that_names_the_sensor(change, words):
    seen = {name: value for name, value in {**SEEN, **change}.items() if value is not ...}
    found = read(seen, SPEC, None)
    assert isinstance(found, Fault)
    with pytest.raises(AssertionError) if not words else pytest.raises(ValueError, match=words):
        raise ValueError(found.sentence)
    control = Controller(seeing())
    control.reset(goal=GOAL)
    with pytest.raises(ValueError, match=words):
        control.act(seen)
    with pytest.raises(ValueError, match="must be a mapping from camera, speed, heading to readings; got list"):
        control.act([1.0, 2.0])


def test_a_missing_reading_is_zeros_and_a_flag():
    for missing in ({"speed": None}, {"speed_present": 0}, {"speed_present": np.zeros(1, np.uint8)}, {"speed": ...}):
        seen = {name: value for name, value in {**SEEN, **missing}.items() if value is not ...}
        found = read(seen, SPEC, None)
        assert isinstance(found, Reading)
        np.testing.assert_array_equal(found.row[SPEC.slices["speed"]], 0.0)
        assert found.row[SPEC.flags["speed"]] == 0
    whole = read(SEEN, SPEC, None)
    assert isinstance(whole, Reading) and whole.row[SPEC.flags["speed"]] == 1
    np.testing.assert_array_equal(whole.row[SPEC.slices["speed"]], np.float32([0.5, -0.5]))


def contract() -> Contract:
    return LiveEngine(seeing()).contract


def embedded(others, row):
    return np.where(np.arange(SPEC.size) < 4, np.float32(7.0), row)


def test_a_goal_is_an_observation_and_a_mask():
    place, speed, heading = (SPEC.slices[name] for name in ("camera", "speed", "heading"))
    only = checked_goal({"heading": [90.0]}, contract(), embed=embedded)
    assert only[heading] == 90 and np.isnan(only[place]).all() and np.isnan(only[speed]).all()
    masked = checked_goal(Goal(GOAL, {"camera": True, "speed": [True, False]}), contract(), embed=embedded)
    assert (masked[place] == 7).all() and masked[speed][0] == 0 and np.isnan(masked[speed][1])
    assert masked[SPEC.flags["speed"]] == 1 and np.isnan(masked[heading]).all()
    for goal, words in (
        (Goal(GOAL, {"camera": False}), "the goal gives no sensor's value"),
        ({}, "the goal gives no sensor's value"),
        (Goal(GOAL, {"sonar": True}), "the goal's mask names the sensor 'sonar'"),
        (Goal(GOAL, {"speed": [True]}), "the goal's mask of speed must be true, false, or 2 of them"),
        ({"heading": [np.nan]}, "the goal gives no sensor's value"),
    ):
        with pytest.raises(ValueError, match=words):
            checked_goal(goal, contract(), embed=embedded)


def test_angles_take_the_shorter_way():
    spec = ObservationSpec((Sensor("heading", (1,), period=(360.0,)), Sensor("height", (1,))))
    near, far = np.float32([350.0, 1.0]), np.float32([10.0, 3.0])
    np.testing.assert_allclose(spec.difference(near, far), [-20.0, -2.0])
    route = Route([{"heading": [355.0]}, {"heading": [5.0], "height": [1.0]}], tolerance=15.0, observation=spec)
    assert not route.passed({"heading": [20.0], "height": [0.0]}) and route.passed({"heading": [8.0], "height": [0.0]})
    assert route.goal == {"heading": [5.0], "height": [1.0]}


def test_only_what_may_be_interpolated_is():
    spec = ObservationSpec(
        (
            Sensor("heading", (1,), period=(360.0,)),
            Sensor("speed", (1,), optional=True),
            Sensor("code", (1,), interpolates=False),
        )
    )
    observed = Observed(1.0, spec)
    observed.add(0.0, np.float32([350.0, 2.0, 1.0, 5.0]))
    observed.add(1.5, np.float32([10.0, 0.0, 0.0, 7.0]))
    observed.add(2.0, np.float32([20.0, 4.0, 1.0, 7.0]))
    rows, _ = observed.window(3)
    np.testing.assert_allclose(rows[1] % 360, [350 + 20 * 2 / 3 - 360, 0.0, 0.0, 7.0], atol=1e-3)  # the nearer one's


def test_a_model_and_its_contract_name_the_same_sensors():
    from worldmodel.observation import ObservationSpec as Learned

    again = Learned.from_json([{**each, "features": 0} for each in [{"name": "a", "shape": [2], "optional": True}]])
    assert ObservationSpec.of(again.sensors).size == again.size == 3
    assert ObservationSpec.from_json(SPEC.to_json()) == SPEC
    assert Learned.of(again.sensors) == again and vector(3).is_plain
