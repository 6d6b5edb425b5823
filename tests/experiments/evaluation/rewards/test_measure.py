"""What is done with a model that learned from rewards: measured, driven, exported."""

import gymnasium
import numpy as np
import pytest

from experiments import build, cli
from experiments.build.learned import learned
from experiments.evaluation.rewards import measure
from experiments.evaluation.rewards.measure import ReturnRow
from experiments.records import table_file
from planning import CEM, EliteMPPI, Return
from planning.control import Controller
from worldmodel.models.checkpoint import MODEL, REWARD_MODEL, kind_of, save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

from ...reward_recipe import save_random_reward_model

TASK = "gym/Pendulum-v1"  # 200 control steps, which are 50 decisions


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_random_reward_model(tmp_path_factory.mktemp("rewards") / "gym-Pendulum-v1-seed0.safetensors")


@pytest.fixture(scope="module")
def goals(tmp_path_factory):
    path = tmp_path_factory.mktemp("goals") / "two_room.safetensors"
    config = ModelConfig(observation=vector(4), action_size=2, latent_size=4, width=8, head_width=8)
    save_model(path, create(config, 0), config, {"task": {"task": "two_room"}})
    return path


def test_the_command_measures_every_row(checkpoint, tmp_path, capfd):
    table = tmp_path / "rows.csv"
    words = ["plan", f"checkpoint={checkpoint}", f"results={table}", "latency_plans=60", f"runs={tmp_path}"]
    words += ["policies=[planner,policy,random,ceiling]", "simulated_episodes=1"]
    words += [f"ceiling={['planner.num_samples=12', 'planner.iterations=1', 'planner.horizon=10']}"]
    assert cli.main(words) == 0, capfd.readouterr().err
    shown = capfd.readouterr().out
    assert "undiscounted return on held-out episodes" in shown and "decisions/s" in shown
    rows = {row.policy: row for row in table_file.read(table, ReturnRow)}
    assert list(rows) == ["planner", "policy", "random", "ceiling"]
    assert [row.episodes for row in rows.values()] == [3, 3, 3, 1]  # as in training; the ceiling is slow
    assert [row.planner for row in rows.values()] == ["elitemppi", "", "", "predictivesampling"]
    planner, ceiling = rows["planner"], rows["ceiling"]
    assert (planner.task, planner.action_repeat, planner.trained_seed, planner.env_steps) == (TASK, 4, 0, 1000)
    for row in rows.values():
        assert -3300 < row.lowest <= row.mean_return <= row.highest < 0
        assert (row.ci_low is None) == (row.episodes == 1)
        assert row.ci_low is None or row.lowest <= row.ci_low <= row.mean_return <= row.ci_high <= row.highest
        assert (row.plan_ms_p50 is None) == (row.policy == "random") == (row.decisions_per_second is None)
    assert ceiling.mean_return > max(rows["random"].highest, planner.highest)  # it swings up
    (entry,) = table_file.read_beside(table)
    assert len(entry["rows"]) == 4 and entry["manifest"]["config"]["planner"]["num_samples"] == 8
    # The same once more comes to the same, also found by its task alone.
    again = measure.run(checkpoint, f"results={table}", "policies=[planner,random]", "latency_plans=1")
    assert [row.mean_return for row in again] == pytest.approx(
        [planner.mean_return, rows["random"].mean_return], rel=1e-3
    )
    assert len(table_file.read(table, ReturnRow)) == 4


def test_the_planner_is_the_one_that_it_learned_with_but_for_what_is_asked_for(checkpoint):
    def planner(*words):
        return learned(checkpoint, *words).agent().planner

    as_learned = planner()
    assert isinstance(as_learned, EliteMPPI)
    assert (as_learned.num_samples, as_learned.num_elites, as_learned.horizon) == (8, 2, 2)
    words = ("planner.horizon=6", "planner/parameterization=knots")
    other = planner("planner.num_samples=64", *words)  # 64 is what method=td has, and is asked for nevertheless
    assert (other.num_samples, other.num_elites, other.horizon) == (64, 2, 6)
    assert type(other.parameterization).__name__ == "Knots"
    assert isinstance(planner("planner=cem", "planner.horizon=4"), CEM)
    agent = learned(checkpoint, "replan_every=2", "+constraint.rate={_target_: planning.RateLimit, limit: 10}").agent()
    assert agent.replan_every == 2 and list(agent.constraints) == ["rate"]
    assert agent.costs == {"return": Return(0.9)} and agent.proposals[0].count == 2
    assert float(agent.spec.high[0]) == 2.0 and agent.spec.control_period == pytest.approx(0.2)  # of four steps


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=two_room"], "learned on the task gym/Pendulum-v1, but task=two_room was requested"),
        (["task=dmc/walker-walk"], "but task=dmc/walker-walk was requested: add task=gym/Pendulum-v1"),
        (["policies=[model]"], "no row called 'model' for a model that learned from rewards: choose from planner,"),
        (["cost=goal_distance"], "cost has no effect on a model that learned from rewards"),
        (["risk=worst"], "risk has no effect on a model that learned from rewards"),
        (["method=ceiling"], "was trained by method=td, but method=ceiling was requested"),
        (["objective=true_dynamics"], "was trained by method=td, but method=ceiling was requested"),
        (["planner.num_samples=1"], "num_samples"),
        (["planner.num_sample=8"], "did you mean planner.num_samples?"),
        (["episodes=0"], "episodes must be at least 1; got 0"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(checkpoint, words, said, tmp_path, capfd):
    assert cli.main(["plan", f"checkpoint={checkpoint}", f"runs={tmp_path}", *words]) == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert said in error, error
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_kind_is_refused(checkpoint, goals, tmp_path, capfd):
    assert (kind_of(checkpoint), kind_of(goals)) == (REWARD_MODEL, MODEL)
    assert cli.main(["plan", f"checkpoint={goals}", "task=gym/Pendulum-v1"]) == 2
    assert "was trained for the task two_room" in capfd.readouterr().err
    assert cli.main(["plan", "task=gym/Pendulum-v1", f"runs={tmp_path}"]) == 2
    assert (
        "begin with `jepa-mpc train method=td task=gym/Pendulum-v1`" in capfd.readouterr().err
    )  # where training would have put it
    with pytest.raises(ValueError, match="is a model file: expected a reward model file"):
        learned(goals)
    with pytest.raises(ValueError, match="outside of a command, call experiments.evaluation.rewards.measure.run"):
        from experiments.commands import plan

        plan.run(build.compose("plan", f"checkpoint='{checkpoint}'"))
    broken = tmp_path / "broken.safetensors"
    for content in (checkpoint.read_bytes()[:40], b"", b"\xff" * 64, b"\x02" + 7 * b"\0" + b"[]"):
        broken.write_bytes(content)
        with pytest.raises(ValueError, match="is truncated or is not a safetensors file"):
            kind_of(broken)


@pytest.fixture(scope="module")
def controller(checkpoint):
    made = build.controller(checkpoint, "planner.num_samples=12")
    made.warmup()
    return made


def test_it_drives_a_gymnasium_environment(controller):
    """Without a goal, through the face of Stable-Baselines3's policies; its own environment repeats the action."""
    env = gymnasium.make("Pendulum-v1")
    contract = controller.engine.contract
    assert not contract.goals and contract.control_period == pytest.approx(4 * 0.05) and contract.reflex
    taken = []
    for _ in range(2):
        observation, _ = env.reset(seed=1)
        controller.reset(seed=3)
        for _ in range(5):
            action, _ = controller.predict(observation, episode_start=None)
            taken.append(action)
            for _ in range(4):
                observation, *_ = env.step(action)
    actions = np.stack(taken)
    assert actions.shape == (10, 1) and np.abs(actions).max() <= 2.0
    np.testing.assert_array_equal(actions[:5], actions[5:])
    sequences = []
    for _ in range(2):  # other candidates in the next episode
        controller.reset()
        controller.act(observation)
        sequences.append(controller.plan.sequences)
    assert np.isfinite(controller.plan.terms["return"]) and not np.array_equal(*sequences)


def test_a_model_for_goals_still_needs_one(controller):
    config = ModelConfig(observation=vector(3), action_size=1, latent_size=4, width=8, head_width=8, action_block=1)
    from worldmodel.models.freeze import freeze

    cfg = build.compose("plan", "cost=goal_distance", "planner.horizon=2")
    other = Controller(build.agent_for(cfg, freeze(create(config, 0), config), controller.agent.spec))
    assert other.engine.contract.goals
    with pytest.raises(ValueError, match="reset needs a goal the first time"):
        other.reset()


def test_its_bundle_acts_as_it_does(checkpoint, tmp_path, controller, capfd):
    out = tmp_path / "pendulum.bundle"
    words = ["export", f"checkpoint={checkpoint}", f"out={out}", "planner.num_samples=12"]
    assert cli.main([*words, "calibration=logs"]) == 2
    assert "its surprise alarm cannot be calibrated" in capfd.readouterr().err
    assert cli.main(words) == 0, capfd.readouterr().err
    loaded = Controller.load(out)
    assert not loaded.engine.contract.goals and loaded.engine.contract.task == TASK
    observation = np.array([0.8, 0.6, -1.0], np.float32)
    actions = []
    for each in (loaded, controller):
        each.reset(seed=11)
        actions.append([each.act(observation), each.act(-observation)])
    np.testing.assert_array_equal(*actions)
    window = observation[None]
    np.testing.assert_array_equal(*(each.engine.reflex(window, 0 * observation) for each in (loaded, controller)))
