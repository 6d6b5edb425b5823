"""Learning without rewards from recorded episodes, and rewards from there."""

import jax
import numpy as np
import pytest
from flax import nnx

from envs.behaviours import ColouredNoise
from envs.registry import make_reward_task
from experiments import cli
from experiments.records import curves
from experiments.training.online.run import first_model
from experiments.training.recording import record
from worldmodel.data.rewards import load_rewards
from worldmodel.models.checkpoint import load_reward_model

TINY = ["model.width=16", "model.encoder_width=16", "model.critic_width=16", "model.policy_width=16"]
TINY += ["online.seed_decisions=100", "online.slots=1000", "online.evaluate_episodes=1", "training.batch=8"]
TINY += ["online.actor=policy", "model.depth=1", "objective.horizon=1"]


def test_episodes_are_recorded_whole_and_each_by_its_own_number(tmp_path):
    task = make_reward_task("gym/Pendulum-v1", action_repeat=3)
    assert record(task, ColouredNoise(), 3, 1000, 5, tmp_path / "three") == 600  # Pendulum ends after 200 steps
    assert record(task, ColouredNoise(), 2, 20, 5, tmp_path / "two") == 120
    three, two = load_rewards(tmp_path / "three"), load_rewards(tmp_path / "two")
    assert [len(each.actions) for each in (*three, *two)] == [67, 67, 67, 20, 20]
    assert not any(each.terminated.any() for each in three)
    assert not np.array_equal(three[0].observations[0], three[1].observations[0])
    for whole, part in zip(three, two, strict=False):
        np.testing.assert_array_equal(whole.observations[0], part.observations[0])
    assert all((each.rewards < 0).all() and np.ptp(each.observations, axis=0).min() > 0.1 for each in three)
    with pytest.raises(FileExistsError, match="there is something at"):
        record(task, ColouredNoise(), 1, 1, 0, tmp_path / "two")
    with pytest.raises(ValueError, match="at least one episode and decision; got 0 and 1"):
        record(task, ColouredNoise(), 0, 1, 0, tmp_path / "none")
    assert {path.name for path in tmp_path.iterdir()} == {"three", "two"}


@pytest.mark.slow  # collects and learns three times
@pytest.mark.filterwarnings("ignore")  # Minari misses an author, a code link and a description
def test_rewards_are_learned_from_nothing_and_from_what_never_saw_one(tmp_path, capfd, caplog):
    words = ["bench", "suite=fine_tuning", f"results={tmp_path}", f"runs={tmp_path / 'runs'}", "suite.seeds=[3]"]
    words += ["suite.tasks=[gym/Pendulum-v1]", "suite.episodes=3", "suite.updates=40", "suite.steps=200"]
    words += ["suite.evaluate_every=100", f"suite.settings={TINY}"]
    assert cli.main(words) == 0, capfd.readouterr().err
    rows = curves.read(tmp_path / "fine_tuning.csv")
    assert [(row.method, row.seed, row.env_steps, row.gradient_steps) for row in rows] == [
        (method, 3, steps, steps) for method in ("jepa-mpc", "from reward-free") for steps in (0, 100, 200)
    ]
    folder = tmp_path / "runs" / "fine_tuning"
    free = folder / "gym-Pendulum-v1-seed3-free.safetensors"
    known, task = load_reward_model(free).model, make_reward_task("gym/Pendulum-v1")
    started = first_model(str(free), ["encoder", "dynamics"], known.config, task, 3)
    tuned = load_reward_model(folder / "gym-Pendulum-v1-seed3-from-reward-free.safetensors").metadata
    assert tuned["settings"]["online"]["start_parts"] == ["encoder", "dynamics"]
    fresh = first_model(None, None, known.config, task, 3)
    for part in ("encoder", "dynamics", "actor"):
        weights = [nnx.state(getattr(each, part)) for each in (started, known.module(), fresh)]
        of_started, of_known, of_fresh = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(each)])
                                          for each in weights)  # fmt: skip
        taken = part in ("encoder", "dynamics")
        assert np.array_equal(of_started, of_known) == taken, part
        assert np.array_equal(of_started, of_fresh) != taken, part
    assert cli.main(words) == 0 and curves.read(tmp_path / "fine_tuning.csv") == rows  # complete: nothing is done again


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["online.start_parts=[encoder]"], "add online.start_from=MODEL"),
        (
            ["online.start_parts=[decoder]", "online.start_from=x"],
            "may name encoder, dynamics, critics, actor; got dec",
        ),
        (["objective.sigreg=-1"], "objective.sigreg must not be negative; got -1"),
    ],
)
def test_settings_that_make_no_sense_are_told(words, said, tmp_path, capfd):
    assert cli.main(["train", "method=td", "task=gym/Pendulum-v1", f"runs={tmp_path}", *words]) == 2
    assert said in capfd.readouterr().err
