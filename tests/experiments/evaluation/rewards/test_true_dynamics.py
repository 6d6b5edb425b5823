"""The ceiling of the learning curves, which learns nothing."""

import numpy as np
import pytest

from envs.registry import make_reward_task
from experiments import build, cli
from experiments.comparison import comparison
from experiments.evaluation.rewards.rollout import RewardEpisodes
from experiments.evaluation.rewards.true_dynamics import TrueDynamics
from experiments.records import curves
from planning import Gradient

TINY = ["planner.num_samples=10", "planner.iterations=1", "planner.horizon=5", "planner.parameterization.count=3"]
TINY += ["online.steps=400", "online.action_repeat=5", "online.evaluate_episodes=1"]


def test_its_rows_are_a_level_line_that_comparisons_can_read(tmp_path, capfd, caplog):
    words = ["bench", "suite=rewards", f"results={tmp_path}", f"runs={tmp_path / 'runs'}"]
    words += ["suite.tasks=[gym/Pendulum-v1]", "suite.methods=[ceiling]", f"suite.settings.ceiling={TINY}"]
    assert cli.main(words) == 0, capfd.readouterr().err
    table = tmp_path / "dmc_curves.csv"
    rows = curves.read(table)
    told = [(row.method, row.env_steps, row.gradient_steps, row.wall_s, row.action_repeat) for row in rows]
    assert told == [("true dynamics", 0, 0, 0.0, 5), ("true dynamics", 400, 0, 0.0, 5)]
    assert rows[0].mean_return == rows[1].mean_return < 0
    found = comparison.compare(curves.runs_of(rows), [], at=400, ours="true dynamics", baseline=None, seed=0)
    assert [(score.mean, score.gradient_steps) for score in found.scores] == [(rows[0].mean_return, 0)]
    assert cli.main(words) == 0 and "1 of 1 runs are measured already" in caplog.text
    # By itself it comes to the same, and is measured once.
    alone = ["train", "method=ceiling", "task=gym/Pendulum-v1", f"runs={tmp_path}", *TINY]
    assert cli.main(alone) == 0 and "ms a decision" in capfd.readouterr().out
    own = curves.read(tmp_path / "gym-Pendulum-v1-true-dynamics-seed0.csv")
    assert [row.mean_return for row in own] == [row.mean_return for row in rows]
    assert cli.main(alone) == 0 and "already" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=gym/CartPole-v1"], "CartPole-v1"),
        (["task=gym/Pendulum-v1", "online.steps=0"], "online.steps must be at least 1; got 0"),
        (["task=gym/Pendulum-v1", "online.evaluate_episodes=0"], "online.evaluate_episodes must be at least 1; got 0"),
    ],
)
def test_what_cannot_be_planned_in_is_told_in_one_sentence(words, said, tmp_path, capfd):
    assert cli.main(["train", "method=ceiling", f"runs={tmp_path}", *words]) == 2
    assert said in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_planner_that_needs_a_gradient_cannot_plan_there():
    task = make_reward_task("gym/Pendulum-v1", 1)
    with pytest.raises(ValueError, match="Gradient needs a differentiable model and cannot plan in a simulator"):
        TrueDynamics(lambda: task, Gradient(), build.reward_spec(task), 0)


def test_candidates_differ_between_episodes_and_repeat_with_the_seed():
    cfg = build.compose("train", "method=ceiling", "task=reward", "task.name=gym/Pendulum-v1", *TINY)

    def make_task():
        return make_reward_task("gym/Pendulum-v1", 5)

    episodes = RewardEpisodes(make_task, 2, 0)
    spec, seen = build.reward_spec(episodes.tasks[0]), episodes.observe()
    one, same, other = (TrueDynamics(make_task, build.planner(cfg), spec, seed) for seed in (0, 0, 1))
    for policy in (one, same, other):
        policy.reset(episodes)
    first = one.act(seen, episodes.active)
    np.testing.assert_array_equal(first, same.act(seen, episodes.active))
    assert not np.array_equal(first, other.act(seen, episodes.active)) and first[0] != first[1]
    assert one.act(seen, np.array([False, True]))[0] == 0.0 and len(one.milliseconds) == 3
