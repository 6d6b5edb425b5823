import numpy as np
import pytest

import envs
from experiments import build
from experiments.bench.goal.partial_goals import PARTS, resting, unsolved
from experiments.commands import bench
from experiments.evaluation.goals.protocols import honest
from experiments.training.prepared import probe_targets
from worldmodel.models.checkpoint import save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector


@pytest.mark.parametrize(("name", "part"), list(PARTS))
def test_a_part_is_reached_at_rest_at_the_goal_and_told_by_its_sensors(name, part):
    task, what = envs.make(name), PARTS[name, part]
    pairs = honest(task, 20, 3)
    other = np.random.default_rng(0).permutation(20)
    for goal, elsewhere in zip(pairs.goals, pairs.goals[other], strict=True):
        state = resting(task, goal)
        assert what.reached(task, state, goal)
        np.testing.assert_allclose(task.observe(state), task.goal_observation(goal), atol=1e-6)
        told = list(what.sensors)
        apart = np.abs(task.goal_observation(elsewhere)[told] - task.goal_observation(goal)[told]).max()
        if apart > 2 * task.tolerance:
            assert not what.reached(task, resting(task, elsewhere), goal)
    assert max(what.probed) < probe_targets(task, resting(task, pairs.goals[0])[None]).shape[1]
    assert 0 < len(unsolved(task, what, pairs)) <= 20


def test_the_three_ways_are_measured_end_to_end(tmp_path):
    config = ModelConfig(observation=vector(4), action_size=2, probe_size=2, latent_size=4, width=8, head_width=8)
    path = tmp_path / "m.safetensors"
    save_model(path, create(config, 0), config, {"task": {"task": "two_room"}})
    others = ("~suite.checkpoints.umaze", "~suite.checkpoints.reacher")
    chosen = (f"suite.checkpoints.two_room='{path}'", *others, "suite.episodes=2", f"results='{tmp_path}'")
    small = "suite.overrides=['planner.num_samples=12','planner.num_elites=3','planner.iterations=1']"
    found = bench.run(build.compose("bench", "suite=partial_goals", *chosen, small))
    assert set(found) == {
        f"partial_goal_two_room_{part}_{way}" for part in ("place", "x") for way in ("rest", "encoder", "probe")
    }
    lines = (tmp_path / "partial_goals.csv").read_text().splitlines()
    assert len(lines) == 7 and lines[0] == "case,value,unit,command"
