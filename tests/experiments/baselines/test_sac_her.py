"""The environment for hindsight replay, and the baseline itself where its extra is installed."""

import numpy as np
import pytest

import envs
from experiments.baselines import sac_her
from experiments.baselines.goal_env import GoalEnv
from experiments.evaluation.goals.protocols import honest
from experiments.evaluation.goals.rollout import GoalEpisodes

TINY = sac_her.SacHerConfig(width=8, depth=1, batch=16, learning_starts=130, round=40)
needs_extra = pytest.mark.skipif(not sac_her.installed(), reason="the extra `baselines` (sbx, torch) is not installed")


@pytest.mark.parametrize("name", ("two_room", "umaze", "medium_maze", "giant_maze", "reacher", "fetch_reach"))
def test_rewards_are_those_of_the_task_also_after_relabelling(name):
    task = envs.make(name)
    env, pairs = GoalEnv(task, 50), honest(task, 1, 0)
    seen, _ = env.reset(seed=0, options={"state": pairs.states[0], "goal": pairs.goals[0]})
    assert env.observation_space.contains(seen)
    achieved, states = [], []
    for _ in range(5):
        action = env.action_space.sample()
        seen, reward, terminated, _, info = env.step(action)
        assert reward == float(info["success"]) - 1 and not terminated
        achieved.append(seen["achieved_goal"])
        states.append(info["state"])
    achieved, states = np.stack(achieved), np.stack(states)
    for goal, state in zip(achieved, states, strict=True):  # any achieved moment as the goal of all of them
        wanted = task.success(states, task.achieved_goal(state)) - 1.0
        np.testing.assert_array_equal(env.compute_reward(achieved, np.broadcast_to(goal, achieved.shape), {}), wanted)
    visible = seen["desired_goal"][: env.visible]
    np.testing.assert_allclose(visible, env.scaled(task.goal_observation(pairs.goals[0])))
    assert np.abs(seen["observation"]).max() < 5


@pytest.mark.parametrize("name", ("two_room", "umaze", "medium_maze", "giant_maze", "reacher", "fetch_reach"))
def test_networks_see_places_spread_out_however_close_together_they_lie(name):
    """A gripper moves by a tenth around 1.3 m: next to the bounds of what its sensor could read, that is nothing."""
    task, rng = envs.make(name), np.random.default_rng(1)
    env = GoalEnv(task, 300)
    goals = env.scaled(task.goal_observation(np.stack([task.sample_goal(rng) for _ in range(300)])))
    spread = goals.std(axis=0)
    vary = spread > 0
    assert vary.any() and np.abs(goals[:, vary].mean(axis=0)).max() < 0.3
    np.testing.assert_allclose(spread[vary], 1.0, atol=0.25)


def test_an_episode_lasts_its_budget():
    task = envs.make("umaze")
    env = GoalEnv(task, 2)
    env.reset(seed=0)
    ends = [env.step(np.zeros(2, np.float32))[3] for _ in range(task.budget)]
    assert ends == [False] * (task.budget - 1) + [True]


def test_without_the_extra_the_mend_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sac_her, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install sbx-rl stable-baselines3"):
        sac_her.train_to_file(tmp_path / "x", envs.make("umaze"), 10, 0, TINY, {})


@needs_extra
@pytest.mark.filterwarnings("ignore")  # of other people's packages
def test_a_killed_run_goes_on_and_its_actor_is_the_one_that_was_trained(tmp_path, monkeypatch):
    import jax

    jax.config.update("jax_numpy_rank_promotion", "allow")  # sbx was written without these
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    task, path = envs.make("umaze"), tmp_path / "sac.safetensors"
    monkeypatch.setattr(sac_her, "CHECKPOINT_SECONDS", -1.0)
    models, real = [], sac_her._create
    monkeypatch.setattr(sac_her, "_create", lambda *arguments: models.append(real(*arguments)) or models[-1])
    write, written = sac_her.weights.write, []

    def write_and_stop(where, tensors, header):
        write(where, tensors, header)
        written.append(header)
        if header.get("steps") == 200 and len(models) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(sac_her.weights, "write", write_and_stop)
    with pytest.raises(KeyboardInterrupt):
        sac_her.train_to_file(path, task, 400, 0, TINY, {"seed": 0})
    assert not path.exists()
    with pytest.raises(ValueError, match="was made with seed=0"):
        sac_her.train_to_file(path, task, 400, 0, TINY, {"seed": 1})
    written.clear()
    sac_her.train_to_file(path, task, 400, 0, TINY, {"seed": 0})
    assert written[1]["steps"] == 240 and written[1]["updates"] == 3 * 40  # nothing before step 200 again
    assert [file.name for file in tmp_path.iterdir()] == ["sac.safetensors"]

    policy, known = sac_her.load(path, task, {"seed": 0})
    pairs = honest(task, 4, 0)
    episodes = GoalEpisodes(task, pairs)
    policy.reset(episodes)
    actions = policy.act(episodes.observe(), episodes.active)
    env = GoalEnv(task, TINY.draws)
    for state, goal, action in zip(pairs.states, pairs.goals, actions, strict=True):
        seen, _ = env.reset(options={"state": state, "goal": goal})
        expected, _ = models[-1].predict(seen, deterministic=True)
        np.testing.assert_allclose(action, expected, atol=1e-5)
    assert known["env_steps"] == 400 and known["parameters"] > 0
    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax.config.update("jax_numpy_dtype_promotion", "strict")
