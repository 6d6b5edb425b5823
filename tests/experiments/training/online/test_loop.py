"""Learning from rewards while acting, on a real environment and a tiny model."""

import threading
from dataclasses import replace

import gymnasium
import jax
import minari
import numpy as np
import pytest
from flax import nnx

from envs.registry import make_reward_task
from experiments import build, cli
from experiments.build import ActorConfig, RewardAgents
from experiments.evaluation.rewards.rollout import episode_returns
from experiments.training.online.actor import CalmActor, OnlineActor
from experiments.training.online.config import OnlineConfig
from experiments.training.online.loop import OnlineRun
from experiments.training.online.run import discount_for
from experiments.watching.scalars import read
from planning import ActionSpec
from worldmodel.data.rewards import load_rewards
from worldmodel.models.checkpoint import load_reward_model
from worldmodel.models.reward_model import RewardModelConfig
from worldmodel.observation import vector
from worldmodel.training.td import TdConfig
from worldmodel.training.td_trainer import TdTrainer, TdTrainingConfig

MODEL = RewardModelConfig(
    vector(3), 1, representation_size=16, width=16, encoder_width=16, critic_width=16, policy_width=16, depth=1
)
CONFIG = OnlineConfig(
    steps=480, environments=2, seed_decisions=200, updates=1, slots=300, evaluate_every=440, evaluate_episodes=2,
    save_every=60,
)  # fmt: skip


def make_task():
    return make_reward_task("gym/Pendulum-v1", 1)


@pytest.fixture(scope="module")
def parts():
    task, cfg = make_task(), build.compose("train", "method=td", "task=reward", "task.name=gym/Pendulum-v1")
    model = MODEL.create(0)
    model.scale.fit(task.low, task.high)
    trainers = [TdTrainer(model, TdConfig(horizon=2), TdTrainingConfig(batch=8, seed=seed)) for seed in (7, 8)]
    spec = ActionSpec.of(task.low, task.high, task.control_period)
    return trainers, OnlineActor(RewardAgents(cfg, MODEL, ActorConfig(suggestions=4), spec, 0.99), "planner")


def started(parts, path, rows, seeds=(7,), config=CONFIG):
    trainers, actor = parts

    def evaluated(seed, env_steps, updates, seconds, returns):
        rows.append((seed, env_steps, updates, *returns))

    chosen = [trainer for trainer in trainers if trainer.training.seed in seeds]
    return OnlineRun(make_task, chosen, actor, config, seeds, path, {"run": [*seeds]}, evaluated)


class Killed(Exception):
    pass


def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(parts, tmp_path):
    def until(limit):
        def told(done, total):
            assert total == 480
            if done >= limit:
                raise Killed

        return told

    whole, rows = started(parts, tmp_path / "whole", whole_rows := []), []
    whole.run(lambda done, total: None)
    for limit in (150, 338, 470):  # among the random steps, while learning, after an evaluation
        with pytest.raises(Killed):
            started(parts, tmp_path / "killed", rows).run(until(limit))
    resumed = started(parts, tmp_path / "killed", rows)
    resumed.run(lambda done, total: None)
    jax.tree.map(np.testing.assert_array_equal, resumed.weights(), whole.weights())
    # The second: with the updates that make up for the random steps.
    assert [row[:3] for row in whole_rows] == [(7, 0, 0), (7, 440, 440), (7, 480, 480)]
    assert dict.fromkeys(rows) == dict.fromkeys(whole_rows)
    first = parts[0][0].weights(parts[0][0].init())
    assert any(not np.array_equal(one, other) for one, other in zip(first, whole.weights(), strict=True))
    with pytest.raises(ValueError, match=r"belongs to a run with run=\[7\], and this one has run=\[8\]"):
        started(parts, tmp_path / "killed", [], seeds=(8,))


def test_the_environment_moves_while_the_updates_run(parts, tmp_path, monkeypatch):
    run = started(parts, tmp_path / "run", [], config=replace(CONFIG, steps=210))
    moved, (batch,), together, waited = threading.Event(), run.batches, TdTrainer.updates_together, []
    step = batch.step

    def stepping(actions):
        moved.set()
        return step(actions)

    def updating(self, lanes, states, replays, keys, count):
        if count < 100:  # not those that make up for the random decisions
            waited.append(moved.wait(60))
        moved.clear()
        return together(self, lanes, states, replays, keys, count)

    monkeypatch.setattr(batch, "step", stepping)
    monkeypatch.setattr(TdTrainer, "updates_together", updating)
    run.run(lambda done, total: moved.clear())
    assert waited == [True] * 5  # would wait in vain if the decision came after its updates


def test_what_diverges_beside_a_decision_ends_the_run(parts, tmp_path, monkeypatch):
    config = replace(CONFIG, steps=1010, seed_decisions=1000, slots=2000, evaluate_every=2000, save_every=2000)
    run, together = started(parts, tmp_path / "run", [], config=config), TdTrainer.updates_together

    def updating(self, lanes, states, replays, keys, count):
        states, metrics = together(self, lanes, states, replays, keys, count)
        return states, metrics if count == 100 else {**metrics, "loss": np.float32(np.nan)}

    monkeypatch.setattr(TdTrainer, "updates_together", updating)
    with pytest.raises(FloatingPointError, match="training diverged after 1000 decisions .*lower training.learning"):
        run.run(lambda done, total: None)


@pytest.mark.slow  # compiles the updates of each seed apart and of both together
def test_seeds_that_learn_side_by_side_learn_what_each_learns_alone(parts, tmp_path):
    config = replace(CONFIG, steps=220, evaluate_every=220)
    both = started(parts, tmp_path / "both", rows := [], seeds=(7, 8), config=config)

    def killed(done, total):
        if done >= 215:
            raise Killed

    with pytest.raises(Killed):
        both.run(killed)
    both = started(parts, tmp_path / "both", rows, seeds=(7, 8), config=config)
    assert both.env_steps > 0  # it goes on
    both.run(lambda done, total: None)
    for number, seed in enumerate((7, 8)):
        alone = started(parts, tmp_path / f"{seed}", expected := [], seeds=(seed,), config=config)
        alone.run(lambda done, total: None)
        for one, other in zip(both.weights(number), alone.weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-2, atol=2e-3)
        mine = dict.fromkeys(row for row in rows if row[0] == seed)
        np.testing.assert_allclose([*mine], expected, rtol=2e-2)
    of_both = zip(both.weights(0), both.weights(1), strict=True)
    assert any(not np.allclose(one, other, atol=0.1) for one, other in of_both)


def recorded(folder, episodes=3):
    """Random episodes of the same environment, as Minari records them."""
    task = make_task()
    env = minari.DataCollector(gymnasium.make("Pendulum-v1"), record_infos=False)
    env.action_space.seed(0)
    for seed in range(episodes):
        env.reset(seed=seed)
        for _ in range(60):
            env.step(env.action_space.sample())
    env.create_dataset(f"pendulum/{folder.name}-v0")
    env.close()
    task.close()
    return f"pendulum/{folder.name}-v0"


@pytest.mark.filterwarnings("ignore")  # Minari misses an author, a code link and a description
def test_it_learns_from_data_alone_and_goes_on_from_there(parts, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    data, (trainers, actor) = load_rewards(recorded(tmp_path)), parts
    assert [len(episode.rewards) for episode in data] == [60, 60, 60]
    config = replace(CONFIG, environments=1, steps=0, offline_updates=600)

    def run(config, path, rows):
        def evaluated(seed, env_steps, updates, seconds, returns):
            rows.append((env_steps, updates))

        learning = OnlineRun(make_task, trainers[:1], actor, config, [7], tmp_path / path, {"run": 1}, evaluated, data)
        learning.run(lambda done, total: None)
        return learning

    offline = run(config, "offline", rows := [])
    assert rows == [(0, 600)] and offline.env_steps == 0
    run(config, "offline", rows)
    assert rows == [(0, 600)]  # complete: nothing is done again
    run(replace(config, steps=40, evaluate_every=40), "both", rows)
    assert rows[1:] == [(0, 600), (40, 640)]  # not one random decision
    with pytest.raises(ValueError, match="online.steps=0 and online.offline_updates=600 need data"):
        OnlineRun(make_task, trainers[:1], actor, config, [7], tmp_path / "none", {}, lambda *_: None)


def test_an_evaluation_is_the_same_whoever_asks_and_has_no_noise(parts):
    (trainer, _), actor = parts
    weights = trainer.weights(trainer.init())
    calm = [CalmActor(actor, weights, jax.random.key(3)) for _ in range(2)]
    one, other = (episode_returns(make_task, each, 2, 3) for each in calm)
    np.testing.assert_array_equal(one, other)
    assert np.isfinite(one).all() and (one < 0).all()


def test_exploring_is_noisy_and_within_the_bounds(parts):
    (trainer, _), actor = parts
    weights = trainer.weights(trainer.init())
    observations, begins = np.zeros((2, 3), np.float32), np.ones(2, bool)
    states = actor.init(weights, 2, jax.random.key(0))
    drawn = np.stack(
        [actor.act(weights, states, observations, begins, jax.random.key(n), explore=True)[0] for n in range(8)]
    )
    calm = [actor.act(weights, states, observations, begins, jax.random.key(n), explore=False)[0] for n in range(2)]
    assert np.abs(drawn).max() <= 2.0 and drawn.std(axis=0).min() > 0.05 and (drawn[:, 0] != drawn[:, 1]).any()
    np.testing.assert_array_equal(*calm)


def test_the_discount_follows_the_length_of_an_episode():
    assert (discount_for(500), discount_for(10), discount_for(None)) == (0.99, 0.95, 0.99)
    assert discount_for(1e9) == 0.995


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=gym/CartPole-v1"], "CartPole-v1"),
        (["task=dmc/walker-wlak"], "walker-walk"),
        (["task=gym/Pendulum-v1", "online.slots=100000000000"], "lower online.slots"),
        (
            ["task=gym/Pendulum-v1", "online.actor=plan"],
            "online.actor must be one of policy, planner; did you mean planner",
        ),
        (["task=gym/Pendulum-v1", "online.seed_decisions=3"], "online.seed_decisions must be at least 100"),
    ],
)
def test_what_cannot_be_learned_from_is_told_in_one_sentence(words, said, tmp_path, capfd):
    assert cli.main(["train", "method=td", f"runs={tmp_path}", *words]) == 2
    error = capfd.readouterr().err.strip()
    assert said in error and error.count("\n") == 0, error
    assert not list(tmp_path.iterdir())


def test_the_command_learns_and_keeps_model_and_curve(tmp_path, capfd):
    words = ["model.width=16", "model.encoder_width=16", "model.critic_width=16", "model.policy_width=16"]
    words += ["online.steps=300", "online.seed_decisions=100", "online.evaluate_every=200", "online.slots=500"]
    words += ["online.evaluate_episodes=1", "online.action_repeat=2", "training.batch=8", "online.actor=policy"]
    words = ["train", "method=td", "task=gym/Pendulum-v1", f"runs={tmp_path}", *words]
    assert cli.main(words) == 0, capfd.readouterr().err
    names = {path.name for path in tmp_path.iterdir()}
    stem = "gym-Pendulum-v1-seed0"
    endings = ("safetensors", "csv", "manifest.json", "scalars.csv", "card.md")
    assert names == {f"{stem}.{ending}" for ending in endings}
    scalars = read(tmp_path / f"{stem}.scalars.csv")
    returns = {row["step"]: row["return/mean"] for row in scalars if "return/mean" in row}
    assert list(returns) == [0, 200, 300]
    rows = (tmp_path / f"{stem}.csv").read_text().splitlines()
    assert rows[0] == "method,task,seed,env_steps,gradient_steps,wall_s,return,action_repeat,command"
    assert [row.split(",")[3:5] for row in rows[1:]] == [["0", "0"], ["200", "100"], ["300", "150"]]
    metadata = load_reward_model(tmp_path / f"{stem}.safetensors").metadata
    assert metadata["env_steps"] == 300 and metadata["faults"] == {}
    low, high = np.asarray(metadata["sensor_range"])  # cosine, sine and speed of a pendulum
    assert (low < high).all() and (np.abs([low[:2], high[:2]]) <= 1).all() and high[2] <= 8
    assert cli.main(words) == 0 and "learned with these settings already" in capfd.readouterr().out
    assert cli.main([*words, "training.batch=9"]) == 2
    assert "was learned with other settings (training)" in capfd.readouterr().err
    model = tmp_path / f"{stem}.safetensors"
    several = [*words, "online.seeds=[0,3]"]  # that of seed 0 is there
    assert cli.main(several) == 0, capfd.readouterr().err
    assert load_reward_model(tmp_path / "gym-Pendulum-v1-seed3.safetensors").metadata["settings"]["seed"] == 3
    assert not list(tmp_path.glob("*.training.safetensors"))
    assert cli.main([*several, f"out={tmp_path / 'one.safetensors'}"]) == 2
    assert "is one file for the models of 2 seeds: choose a folder with runs=" in capfd.readouterr().err
    further = [*words, "seed=5", f"online.start_from={model}", f"out={tmp_path / 'further.safetensors'}"]
    assert cli.main([*further, "model.width=32"]) == 2
    assert "has width=16 and not 32: learning goes on with a model of the same sizes" in capfd.readouterr().err
    assert cli.main(further) == 0
    before, after = (load_reward_model(path).model for path in (model, tmp_path / "further.safetensors"))
    fresh = jax.tree.leaves(nnx.state(before.config.create(5)))

    def apart(weights):
        return sum(float(np.abs(one - other).sum()) for one, other in zip(after.params, weights, strict=True))

    assert 0 < apart(before.params) < 0.5 * apart(fresh)
