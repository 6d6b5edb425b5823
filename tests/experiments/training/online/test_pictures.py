"""Learning from rewards and pictures: a real environment, small pictures and a tiny model."""

import jax
import numpy as np
import pytest

from envs.reward_task import RewardTask
from envs.vision.camera import available
from experiments import build, cli
from experiments.build.learned import learned
from experiments.training.online import loop
from experiments.training.online import run as train_online
from planning.control import Controller
from worldmodel.models.checkpoint import load_reward_model

STEM = "dmc-cartpole-swingup-pixels_proprio-seed0"
TINY = (
    "model.representation_size=16", "model.width=16", "model.encoder_width=16", "model.critic_width=16",
    "model.policy_width=16", "model.depth=1", "observation.size=16", "observation.features=8", "training.batch=8",
    "planner.num_samples=8", "planner.num_elites=2", "planner.iterations=1", "online.suggestions=2",
    "online.seed_decisions=100", "online.slots=110", "online.evaluate_episodes=1", "online.evaluate_every=1600",
    "online.steps=1600", "online.save_every=24", "objective.shift=1",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def drawing():
    if (reason := available()) is not None:
        pytest.skip(reason)


def settings(runs, *words):
    name = ("method=td", "task=reward", "task.name=dmc/cartpole-swingup", "observation=pixels_proprio")
    return build.compose("train", *name, *TINY, f"runs='{runs}'", *words)


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The model of a run that was never stopped, and its folder. Its ring of pictures wraps around."""
    runs = tmp_path_factory.mktemp("whole")
    train_online.run(settings(runs))
    return load_reward_model(runs / f"{STEM}.safetensors"), runs


def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(trained, tmp_path, monkeypatch):
    whole, _ = trained
    tick = loop.OnlineRun._tick

    def until(limit):
        def ticking(self, learner):
            if self.env_steps >= limit:
                raise Killed
            tick(self, learner)

        return ticking

    for limit in (420, 1500):  # among the random decisions, and after the ring was filled
        monkeypatch.setattr(loop.OnlineRun, "_tick", until(limit))
        with pytest.raises(Killed):
            train_online.run(settings(tmp_path))
    monkeypatch.setattr(loop.OnlineRun, "_tick", tick)
    resumed = train_online.run(settings(tmp_path))
    jax.tree.map(np.testing.assert_array_equal, resumed.model.params, whole.model.params)
    kept = {path.name for path in tmp_path.iterdir()}
    assert not [name for name in kept if "frames" in name or "training" in name]


def test_pictures_that_are_missing_end_the_run(tmp_path, monkeypatch):
    tick = loop.OnlineRun._tick

    def ticking(self, learner):
        if self.env_steps >= 300:
            raise Killed
        tick(self, learner)

    monkeypatch.setattr(loop.OnlineRun, "_tick", ticking)
    with pytest.raises(Killed):
        train_online.run(settings(tmp_path))
    next(tmp_path.glob("*.frames.pixels")).unlink()
    with pytest.raises(ValueError, match=r"frames.pixels, with the pictures of the run that was interrupted, is miss"):
        train_online.run(settings(tmp_path))


def test_its_encoder_learns_and_knows_the_mean_picture(trained):
    known, _ = trained
    model, fresh = known.model.module(), known.model.config.create(0)
    encoder = model.pictures["pixels"]
    assert float(encoder.mean[...].std()) > 1
    assert not np.allclose(encoder.basis[...], fresh.pictures["pixels"].basis[...])
    assert [sensor.name for sensor in known.model.observation.sensors] == ["pixels", "proprio"]
    assert known.model.history == 3


@pytest.mark.slow  # plans in batches from pictures
def test_it_is_measured_and_exported_with_its_sensors(trained, tmp_path, capfd):
    known, runs = trained
    file, bundle = runs / f"{STEM}.safetensors", tmp_path / "own.bundle"
    words = ("task=dmc/cartpole-swingup", "observation=pixels_proprio", f"runs={runs}")  # finds the model by them
    few = ("policies=[planner,policy,random]", "episodes=1", "latency_plans=2")
    assert cli.main(["plan", *words, *few]) == 0, capfd.readouterr().err
    rows = (runs / "dmc-cartpole-swingup-plan.csv").read_text()
    assert [row.split(",")[1] for row in rows.splitlines()] == ["policy", "planner", "policy", "random"]
    assert cli.main(["export", f"checkpoint={file}", f"out={bundle}"]) == 0, capfd.readouterr().err
    assert "sensors pixels, proprio" in capfd.readouterr().out
    controller, task = Controller.load(bundle), learned(file).make_task()
    live = build.controller(file)
    seen = task.reset(seed=0)
    actions = []
    for each in (controller, live):
        each.warmup()
        each.reset(seed=0)
        each.act({name: seen[name] for name in ("pixels", "proprio")})
        actions.append(each.act({"proprio": seen["proprio"]}))  # the camera fails
    np.testing.assert_allclose(*actions, atol=1e-4)
    with pytest.raises(ValueError, match=r"must be an array of uint8 \[16, 16, 3\]"):
        live.act({"pixels": seen["pixels"].astype(np.float32)})
    task.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["online.seeds=[0,1]"], r"online.seeds=\[0, 1\] learn side by side from vectors only"),
        (["online.data=some"], "online.data=some cannot be combined with pictures"),
        (["observation.distractor=body"], "observation.distractor=body is for tasks with goals"),
        (["observation.size=20"], "a picture of 20 x 20 cannot be cut into patches"),
        (["online.slots=1000000000000"], "pictures to remember take .* lower online.slots"),
        (["observation.sensors=[sonar]"], "has no sensor 'sonar': choose from state, proprio, pixels"),
    ],
)
def test_what_pictures_cannot_be_combined_with_is_said(words, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        train_online.run(settings(tmp_path, *words))


def test_the_ceiling_draws_nothing(trained, monkeypatch):
    _, runs = trained
    monkeypatch.setattr(RewardTask, "see", lambda *each: pytest.fail("it draws"))
    task = learned(runs / f"{STEM}.safetensors").make_blind_task()
    assert task.reset(seed=0).shape == (5,)
