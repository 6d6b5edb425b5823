"""Learning from rewards while acting, on a real environment and a tiny model."""

import jax
import numpy as np
import pytest

from envs.reward_task import make_reward_task
from experiments import build, cli
from experiments.online import OnlineConfig, OnlineRun, evaluate
from experiments.online_agent import ActorConfig, OnlineActor
from experiments.train_online import discount_for
from planning import ActionSpec
from worldmodel.reward_model import RewardModelConfig
from worldmodel.td import TdConfig
from worldmodel.td_training import TdTrainer, TdTrainingConfig

MODEL = RewardModelConfig(3, 1, representation_size=16, width=16, encoder_width=16, critic_width=16, policy_width=16)
CONFIG = OnlineConfig(
    steps=480, environments=2, seed_decisions=200, updates=1, slots=300, evaluate_every=440, evaluate_episodes=2,
    save_every=60,
)  # fmt: skip


def make_task():
    return make_reward_task("gym/Pendulum-v1", 1)


@pytest.fixture(scope="module")
def parts():
    task, cfg = make_task(), build.compose("train", "objective=td", "task=reward", "task.name=gym/Pendulum-v1")
    model = MODEL.create(0)
    model.scale.fit(task.low, task.high)
    trainer = TdTrainer(model, TdConfig(), TdTrainingConfig(batch=8))
    spec = ActionSpec.of(task.low, task.high, task.control_period)
    return trainer, OnlineActor(cfg, MODEL, ActorConfig(suggestions=4), spec, 0.99)


def started(parts, path, rows):
    def evaluated(env_steps, updates, seconds, returns):
        rows.append((env_steps, updates, *returns))

    return OnlineRun(make_task, *parts, CONFIG, 7, path, {"run": 1}, evaluated)


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
    jax.tree.map(np.testing.assert_array_equal, resumed.weights, whole.weights)
    assert [row[:2] for row in whole_rows] == [(440, 440), (480, 480)]  # with those that make up for the random steps
    assert dict.fromkeys(rows) == dict.fromkeys(whole_rows)
    first = parts[0].weights(parts[0].init())
    assert any(not np.array_equal(one, other) for one, other in zip(first, whole.weights, strict=True))
    with pytest.raises(ValueError, match="belongs to a run with run=1, and this one has run=2"):
        OnlineRun(make_task, *parts, CONFIG, 7, tmp_path / "killed", {"run": 2}, lambda *_: None)


def test_an_evaluation_is_the_same_whoever_asks_and_has_no_noise(parts):
    trainer, actor = parts
    weights = trainer.weights(trainer.init())
    one, other = (evaluate(make_task, actor, weights, 2, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert np.isfinite(one).all() and (one < 0).all()


def test_exploring_is_noisy_and_within_the_bounds(parts):
    trainer, actor = parts
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
        (["task=gym/Pendulum-v1", "online.actor=plan"], "online.actor must be planner or policy; got 'plan'"),
        (["task=gym/Pendulum-v1", "online.seed_decisions=3"], "online.seed_decisions must be at least 100"),
    ],
)
def test_what_cannot_be_learned_from_is_told_in_one_sentence(words, said, tmp_path, capfd):
    assert cli.main(["train", "objective=td", f"runs={tmp_path}", *words]) == 2
    error = capfd.readouterr().err.strip()
    assert said in error and error.count("\n") == 0, error
    assert not list(tmp_path.iterdir())


def test_the_command_learns_and_keeps_model_and_curve(tmp_path, capfd):
    words = ["model.width=16", "model.encoder_width=16", "model.critic_width=16", "model.policy_width=16"]
    words += ["online.steps=300", "online.seed_decisions=100", "online.evaluate_every=200", "online.slots=500"]
    words += ["online.evaluate_episodes=1", "online.action_repeat=2", "training.batch=8", "online.actor=policy"]
    words = ["train", "objective=td", "task=gym/Pendulum-v1", f"runs={tmp_path}", *words]
    assert cli.main(words) == 0, capfd.readouterr().err
    names = {path.name for path in tmp_path.iterdir()}
    stem = "gym-Pendulum-v1-seed0"
    assert names == {f"{stem}.safetensors", f"{stem}.csv", f"{stem}.manifest.json"}
    rows = (tmp_path / f"{stem}.csv").read_text().splitlines()
    assert rows[0] == "method,task,seed,env_steps,gradient_steps,wall_s,return,action_repeat,command"
    assert [row.split(",")[3:5] for row in rows[1:]] == [["200", "100"], ["300", "150"]]
    assert cli.main(words) == 0 and "learned with these settings already" in capfd.readouterr().out
    assert cli.main([*words, "training.batch=9"]) == 2
    assert "was learned with other settings (training)" in capfd.readouterr().err
