"""A belief: what it may know at each moment, what it learns, and that nothing else of a model changes with it."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from worldmodel.losses.belief import LONGEST, SHORTEST, belief_loss, hidden_behind
from worldmodel.models.checkpoint import load_model, load_training, save_model, save_training
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import create
from worldmodel.nets.belief import SPANS, Belief, inside, later
from worldmodel.observation import ObservationSpec, Sensor
from worldmodel.training.jepa import JepaConfig
from worldmodel.training.settings import TrainingConfig
from worldmodel.training.trainer import Trainer
from worldmodel.training.video import VideoConfig
from worldmodel.types import Sequences

from ..small import SMALL, episodes

CONFIG = replace(SMALL, belief=32, probe_size=0, ensemble=1)
NONE = {"frozen_updates": 10, "critic_updates": 0, "policy_updates": 0}
TRAINING = TrainingConfig(
    updates=10, **NONE, belief_updates=500, doubt_updates=100, belief_moments=12, updates_per_call=10, critic_batch=16
)


def pushed(lengths, seed=0):
    """The pushed point, with the action of a moment moving it to the next one."""
    data = episodes(lengths, seed)
    return replace(data, actions=np.roll(data.actions, -1, axis=0))


@pytest.fixture(scope="module")
def run():
    """A training run of a belief, and the model after each stage."""
    trainer = Trainer.of(pushed([40] * 30), CONFIG, JepaConfig(), TRAINING)
    found = {"": copied(trainer.model(trainer.init()))}

    def keep(state, metrics):
        ended = [name for name, updates in trainer.stages.items() if updates.stop == int(state.update)]
        found.update({name: copied(trainer.model(state)) for name in ended})

    trainer.train(trainer.init(), keep)
    return trainer, found


def copied(model):
    """The next updates take the arrays of a state."""
    graph, state = nnx.split(model)
    return nnx.merge(graph, jax.tree.map(jnp.copy, state))


def numbers(model) -> dict[str, np.ndarray]:
    flat = nnx.to_flat_state(nnx.state(model))
    return {".".join(map(str, path)): np.asarray(value[...]) for path, value in flat}


def changed(before, after) -> set[str]:
    """Modules whose numbers differ."""
    one, other = numbers(before), numbers(after)
    return {".".join(name.split(".")[:2]) for name in one if not np.array_equal(one[name], other[name])}


def test_each_stage_trains_its_own_parts_alone(run):
    _, found = run
    assert changed(found["frozen"], found["belief"]) == {
        "belief.moment",
        "belief.correction",
        "belief.dynamics",
        "belief.expectation",
    }
    assert changed(found["belief"], found["doubt"]) == {"belief.doubt"}


def test_the_others_are_the_same_without_a_belief(run):
    _, found = run
    trainer = Trainer.of(pushed([40] * 30), replace(CONFIG, belief=0), JepaConfig(), TRAINING)
    plain = numbers(trainer.model(trainer.train(trainer.init())))
    there = numbers(found["doubt"])
    assert {name for name in there if name not in plain} == {name for name in there if name.startswith("belief.")}
    for name, values in plain.items():
        np.testing.assert_array_equal(values, there[name])


def foreseen(model, seed: int = 5):
    """Errors on new episodes by span, relative to those of no change, and how unlikely the doubt makes them."""
    data = pushed([20] * 40, seed)
    rows = jnp.asarray(data.readings["state"]).reshape(40, 21, 4)
    actions = jnp.asarray(data.actions).reshape(40, 21, 2)[:, :-1]
    foresight = model.foresee(rows, actions)
    moments = model.belief.moment(model.encoder.moment(rows))
    still = np.square(np.asarray(later(moments) - moments[:, :, None]))
    square, counted = np.square(np.asarray(foresight.error)), np.asarray(inside(21)) > 0
    counted[:2] = False
    doubt = np.asarray(foresight.log_variance)
    unlikely = square * np.exp(-doubt) + doubt
    relative = [square[:, counted[:, j], j].mean() / still[:, counted[:, j], j].mean() for j in range(SPANS)]
    return np.asarray(relative), unlikely[:, counted].mean()


def test_it_foresees_new_episodes_and_knows_how_well(run):
    _, found = run
    relative, unlikely = foreseen(found["doubt"])
    assert (relative < 0.6).all(), relative
    assert unlikely < foreseen(found["belief"])[1] - 0.5


def test_actions_that_were_not_taken_surprise(run):
    _, found = run
    data = pushed([20] * 40, 6)
    rows = jnp.asarray(data.readings["state"]).reshape(40, 21, 4)
    actions = jnp.asarray(data.actions).reshape(40, 21, 2)[:, :-1]

    def surprise(actions):
        foresight = found["doubt"].foresee(rows, actions)
        return float(jnp.mean((foresight.error**2 * jnp.exp(-foresight.log_variance))[:, 3:16, 0]))

    assert surprise(-actions) > 3 * surprise(actions)


def test_a_belief_knows_the_past_alone_and_foresees_by_the_actions_to_come():
    belief = Belief(3, 4, 2, 8, nnx.Rngs(0))
    kernel = belief.dynamics.output.kernel
    kernel[...] = jax.random.normal(jax.random.key(9), kernel.shape)
    seen, actions = jax.random.normal(jax.random.key(0), (2, 9, 4)), jax.random.normal(jax.random.key(1), (2, 8, 2))
    beliefs = belief.along(seen, actions)
    other = belief.along(seen.at[:, 5].add(1.0), actions)
    np.testing.assert_array_equal(beliefs[:, :5], other[:, :5])
    assert (np.abs(beliefs[:, 5:] - other[:, 5:]).max(axis=(0, 2)) > 1e-4).all(), "what was seen once is not forgotten"
    acted = actions.at[:, 6].add(1.0)
    np.testing.assert_array_equal(beliefs[:, :7], belief.along(seen, acted)[:, :7])
    moved = np.abs(belief.foreseen(beliefs, actions) - belief.foreseen(beliefs, acted)).max(axis=(0, 3)) > 1e-6
    at, span = np.meshgrid(np.arange(9), np.arange(1, SPANS + 1), indexing="ij")
    np.testing.assert_array_equal(moved, (at <= 6) & (at + span > 6))


def test_later_moments_stay_inside_the_sequence():
    moments = jnp.arange(10, dtype=jnp.float32).reshape(1, 5, 2)
    found, within = np.asarray(later(moments)), np.asarray(inside(5))
    for at in range(5):
        for span in range(1, SPANS + 1):
            assert within[at, span - 1] == (at + span < 5)
            np.testing.assert_array_equal(found[0, at, span - 1], moments[0, at + span] if at + span < 5 else 0)


CAMERA = ObservationSpec((Sensor("place", (3,)), Sensor("pixels", (64, 64, 3), "uint8", features=128)))


def test_one_region_is_hidden_for_some_moments():
    embeddings = jax.random.normal(jax.random.key(1), (200, 32, CAMERA.size))
    found = np.asarray(hidden_behind(embeddings, CAMERA, {"pixels": (8, 8)}, jax.random.key(0)))
    before = np.asarray(embeddings)
    np.testing.assert_array_equal(found[:, :, :3], before[:, :, :3], "what is no picture stays")
    patches = before[:, :, 3:].reshape(-1, 2)
    found, before = (each[:, :, 3:].reshape(200, 32, 8, 8, 2) for each in (found, before))
    hidden = (found != before).any(axis=-1)
    for number, one in enumerate(hidden):
        if not one.any():
            continue
        when, down, across = (np.flatnonzero(one.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
        assert one.sum() == len(when) * len(down) * len(across), "a box"
        assert all(np.all(np.diff(each) == 1) for each in (when, down, across)) and len(when) <= LONGEST
        surface = np.unique(found[number][one], axis=0)
        assert len(surface) == 1, "a plain surface"
        assert (surface == 0).all() if number % 2 == 0 else (patches == surface).all(axis=1).any()
    inner = [one.any(axis=(1, 2)) for one in hidden if one.any() and not one[0].any() and not one[-1].any()]
    assert min(each.sum() for each in inner) == SHORTEST and hidden.any(axis=(1, 2, 3)).mean() > 0.8


def test_what_is_hidden_is_to_be_foreseen_all_the_same():
    config = replace(CONFIG, observation=CAMERA, latent_size=8, pictures="components")
    model = create(config, 0)
    sequences = Sequences(jax.random.normal(jax.random.key(0), (16, 12, CAMERA.size)), jnp.zeros((16, 11, 2)))

    def parts(hidden):
        return belief_loss(model, sequences, jax.random.key(1), hidden, 0.0, 8)[1]

    plain, half, hidden = parts(0.0), parts(0.5), parts(1.0)
    assert plain["belief_sigreg"] == half["belief_sigreg"] == hidden["belief_sigreg"], "SIGReg is of what is there"
    assert "presence" not in plain and half["presence"] != hidden["presence"]
    assert len({float(each["foresight"]) for each in (plain, half, hidden)}) == 3


def test_it_is_kept_with_the_model(run, tmp_path):
    _, found = run
    path = tmp_path / "model.safetensors"
    frozen = freeze(found["doubt"], CONFIG)
    save_model(path, frozen, metadata={})
    loaded = load_model(path).model
    assert loaded.config.belief == 32
    assert foreseen(loaded.module())[0] == pytest.approx(foreseen(found["doubt"])[0])


def test_a_run_that_stopped_goes_on_to_the_same_bits(run, tmp_path):
    trainer, found = run
    state = trainer.init()
    while int(state.update) < 510:
        state, _ = trainer.step(state)
    path = tmp_path / "state.safetensors"
    save_training(path, state, {}, {})
    state, _ = load_training(path, trainer.init(), {}, {})
    after = numbers(trainer.model(trainer.train(state)))
    for name, values in numbers(found["doubt"]).items():
        np.testing.assert_array_equal(values, after[name])


def test_what_cannot_be_learned_is_refused():
    data = episodes([20] * 4)
    with pytest.raises(ValueError, match="sequences of 64 moments .* longest episode has 21 moments: lower"):
        Trainer.of(data, CONFIG, JepaConfig(), replace(TRAINING, belief_moments=64))
    with pytest.raises(ValueError, match="as method=jepa does: set model.belief to 0"):
        Trainer.of(data, replace(CONFIG, latent_action=2), VideoConfig(), TRAINING)
    with pytest.raises(ValueError, match="hidden must be a share"):
        JepaConfig(hidden=1.5)
    with pytest.raises(ValueError, match="belief_moments must be at least 4"):
        TrainingConfig(belief_moments=3)


def test_sequences_lack_no_action():
    data = pushed([20] * 6)
    actions = data.actions.copy()
    actions[[30, 70]] = np.nan  # not recorded
    trainer = Trainer.of(replace(data, actions=actions), CONFIG, JepaConfig(), TRAINING)
    starts = np.asarray(trainer.batches("belief", trainer.init()).starts)
    last = TRAINING.belief_moments - 1
    whole = [row for row in range(len(actions) - last) if data.first[row] == data.first[row + last]]
    expected = [row for row in whole if not np.isnan(actions[row : row + last]).any()]
    assert starts.tolist() == expected and 0 < len(expected) < len(whole)


def test_a_representation_of_moments_that_does_not_learn_stays(run):
    trainer = Trainer.of(
        episodes([40] * 30), CONFIG, JepaConfig(learned_encoder=False), replace(TRAINING, belief_updates=10)
    )
    before, after = trainer.model(trainer.init()), trainer.model(trainer.train(trainer.init()))
    assert "belief.moment" not in changed(before, after) and "belief.correction" in changed(before, after)
