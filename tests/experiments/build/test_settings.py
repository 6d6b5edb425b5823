import dataclasses
from pathlib import Path

import hydra
import jax
import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

import envs
from envs.behaviours import ColouredNoise, Mixture, Scripted
from experiments import build
from experiments.baselines import sbx
from experiments.build import ActorConfig, RewardAgents
from experiments.build.recipes import CUSTOM
from experiments.cli import COMMANDS
from experiments.shell.folders import config_dir
from experiments.training.online.actor import OnlineActor
from experiments.training.online.config import OnlineConfig
from planning import (
    CEM,
    ICEM,
    MPPI,
    ActionSpec,
    Effort,
    EliteMPPI,
    Given,
    Gradient,
    Hierarchy,
    Knots,
    Landmarks,
    NoOp,
    PolicyPrior,
    PredictiveSampling,
    RateLimit,
    TemporalDistance,
)
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.models.reward_model import RewardModelConfig
from worldmodel.observation import vector
from worldmodel.training.jepa import JepaConfig
from worldmodel.training.settings import TrainingConfig
from worldmodel.training.td import TdConfig
from worldmodel.training.td_trainer import TdTrainer, TdTrainingConfig
from worldmodel.training.video import VideoConfig

from ..recipe import settings


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_composes(command):
    build.compose(command)


OF_BENCH = {"engine", "grid", "suite"}
# Choices of learning from rewards need one another, and a task of Gymnasium or of a package needs its name.
OF_OTHERS = {
    "method": ("td", "sac", "ppo", "ceiling", "gcbc", "video"),
    "objective": ("reward", "reward_free", "video"),
    "model": ("reward",),
    "training": ("online",),
    "task": ("reward", "goal", "installed"),
    "preset": ("cpu", "gpu"),
}


@pytest.mark.parametrize("group", sorted({path.name for path in config_dir().iterdir() if path.is_dir()} - OF_BENCH))
def test_every_choice_of_a_group_builds(group):
    for file in sorted((config_dir() / group).glob("*.yaml")):
        if file.stem in OF_OTHERS.get(group, ()):
            continue
        cfg = build.compose("plan", f"{group}={file.stem}")
        build.planner(cfg)
        build.costs(cfg)
        build.make(cfg.behaviour, "behaviour")
        assert cfg.task.name in (*envs.TASKS, CUSTOM)
        for cls, node in ((JepaConfig, cfg.objective), (TrainingConfig, cfg.training)):
            build.fill(cls, OmegaConf.to_container(node), group)


def test_learning_without_actions_builds():
    cfg = build.compose("plan", "method=video")
    assert build.fill(VideoConfig, OmegaConf.to_container(cfg.objective), "objective") == VideoConfig()


@pytest.mark.parametrize(
    ("cls", "group"),
    [
        (RewardModelConfig, "model"),
        (TdConfig, "objective"),
        (TdTrainingConfig, "training"),
        (OnlineConfig, "online"),
        (ActorConfig, "online"),
    ],
)
def test_what_learns_from_rewards_has_the_defaults_of_its_classes(cls, group):
    cfg = build.compose("train", "method=td", "task=reward", "task.name=gym/Pendulum-v1")
    told = OmegaConf.to_container(cfg[group])
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    for name in ("observation", "action_size", "episodic", "seed", "discount"):  # from the task, or of the command
        defaults.pop(name, None)
    assert {name: told.get(name) for name in defaults} == defaults
    planner = build.planner(cfg)
    assert isinstance(planner, EliteMPPI) and planner.horizon == 3


def test_learning_without_rewards_is_that_with_them_but_for_what_looks_at_rewards():
    words = ["task=reward", "task.name=gym/Pendulum-v1"]
    ours, td = (build.compose("train", "method=td", f"objective={name}", *words) for name in ("reward_free", "reward"))
    differing = {name for name in td.objective if ours.objective[name] != td.objective[name]}
    assert differing == {"reward", "value", "sigreg"} and ours.objective.reward == ours.objective.value == 0
    assert ours.objective.sigreg > 0 and {*ours.objective} == {*td.objective}
    assert (ours.model, ours.training, ours.planner) == (td.model, td.training, td.planner)
    assert ours.online.steps == 0 and ours.online.offline_updates > 0


@pytest.mark.parametrize("file", sorted((config_dir() / "preset").glob("*.yaml")))
def test_a_preset_builds_and_what_one_says_oneself_counts_more(file):
    words = ["method=td", "task=reward", "task.name=gym/Pendulum-v1", f"preset={file.stem}"]
    cfg = build.compose("train", *words, "planner.num_samples=100", "online.seeds=[5]", "training.batch=3")
    assert (cfg.planner.num_samples, cfg.online.seeds, cfg.training.batch) == (100, [5], 3)
    sizes = {"observation": vector(3), "action_size": 1, "episodic": False}
    model = build.fill(RewardModelConfig, {**OmegaConf.to_container(cfg.model), **sizes}, "model")
    actor = build.fill(ActorConfig, {"suggestions": cfg.online.suggestions}, "online")
    trainer = TdTrainer(model.create(0), TdConfig(), build.fill(TdTrainingConfig, {**cfg.training}, "training"))
    spec = ActionSpec.of([-1.0], [1.0], 0.1)
    acting = OnlineActor(RewardAgents(build.compose("train", *words), model, actor, spec, 0.99), "planner")
    acting.init(trainer.weights(trainer.init()), 1, jax.random.key(0))


@pytest.mark.parametrize("name", sbx.ALGORITHMS)
def test_a_baseline_for_rewards_is_a_method_of_its_own(name):
    cfg = build.compose("train", f"method={name}", "task=reward", "task.name=gym/Pendulum-v1", "seed=3")
    assert cfg.method == name and cfg.baseline == {"algorithm": name, "settings": {}} and cfg.seed == 3
    ours = build.compose("train", "method=td", "task=reward", "task.name=gym/Pendulum-v1").online
    assert {key: ours[key] for key in cfg.online} == cfg.online  # as many steps, evaluated as often


def test_the_ceiling_is_a_method_of_its_own():
    cfg = build.compose("train", "method=ceiling", "task=reward", "task.name=gym/Pendulum-v1")
    ours = build.compose("train", "method=td", "task=reward", "task.name=gym/Pendulum-v1").online
    own = {"method", "evaluate_episodes"}
    assert {key: ours[key] for key in cfg.online if key not in own} == {
        k: v for k, v in cfg.online.items() if k not in own
    }
    assert cfg.method == "ceiling" and isinstance(build.planner(cfg), PredictiveSampling)


@pytest.mark.parametrize(
    ("cls", "group"),
    [(ModelConfig, "model"), (JepaConfig, "objective"), (TrainingConfig, "training")],
)
def test_yaml_offers_every_setting_with_the_default_of_its_class(cls, group):
    """The class is the source; YAML repeats it only so that `--help` shows it and overrides are checked."""
    node = OmegaConf.to_container(build.compose("plan", "task=umaze")[group])  # a task without settings of its own
    node.pop("_target_", None)
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    not_settings = {"observation", "action_size", "probe_size", "seed", "asked"}  # from the data, the seed, the task
    assert set(node) == set(defaults) - not_settings
    assert node == {name: defaults[name] for name in node}


PLANNERS = {
    "cem": CEM,
    "elite_mppi": EliteMPPI,
    "gradient": Gradient,
    "hierarchy": Hierarchy,
    "icem": ICEM,
    "landmarks": Landmarks,
    "mppi": MPPI,
    "predictive_sampling": PredictiveSampling,
}


def test_every_planner_has_its_settings():
    assert set(PLANNERS) == {file.stem for file in (config_dir() / "planner").glob("*.yaml")}


@pytest.mark.parametrize("name", PLANNERS)
def test_a_planners_settings_offer_every_field_with_its_default(name):
    cfg = build.compose("plan", f"planner={name}")
    assert set(cfg.planner) == {"_target_", *(field.name for field in dataclasses.fields(PLANNERS[name]))}
    assert build.planner(cfg) == PLANNERS[name]()


def test_a_planner_takes_parameterisations_and_proposals_by_name():
    knots = (
        "planner/parameterization=knots",
        "planner.parameterization.count=3",
        "planner.parameterization.order=cubic",
    )
    built = build.planner(build.compose("plan", *knots, "planner.proposals=[{_target_: planning.NoOp}]"))
    assert built == CEM(parameterization=Knots(3, "cubic"), proposals=(NoOp(),))
    hash(jax.tree.structure(built))  # static under jit


@pytest.mark.parametrize("file", sorted((config_dir() / "planner" / "parameterization").glob("*.yaml")))
def test_a_parameterisations_settings_offer_every_field_with_its_default(file):
    built = build.planner(build.compose("plan", f"planner/parameterization={file.stem}")).parameterization
    assert built == type(built)()
    assert OmegaConf.load(file).keys() == {"_target_", *(field.name for field in dataclasses.fields(built))}


def test_objects_are_what_was_asked_for(tmp_path: Path):
    cfg = settings("plan", tmp_path, "+cost.effort={_target_: planning.Effort, weight: 0.05}")
    costs, weights = build.costs(cfg)
    assert isinstance(costs["distance"], TemporalDistance) and isinstance(costs["effort"], Effort)
    assert weights == {"distance": 1.0, "effort": 0.05}
    assert build.planner(cfg).num_samples == 32
    behaviour = build.make(cfg.behaviour, "behaviour")
    assert behaviour == Mixture((Scripted(patience=100, dwell=10), ColouredNoise(1.0, 0.8)), (0.5, 0.5))


def test_a_task_has_settings_of_its_own_which_give_way_to_those_asked_for():
    own = build.compose("plan", "task=fetch_reach")
    assert own.planner.horizon == 6 and list(own.behaviour.shares) == [0.8, 0.2]
    assert build.planner(own).horizon % own.model.action_block == 0
    asked = build.compose("plan", "task=fetch_reach", "behaviour=scripted", "planner=mppi", "planner.horizon=9")
    assert asked.planner.horizon == 9 and asked.planner._target_ == "planning.MPPI"
    assert asked.behaviour._target_ == "envs.behaviours.Scripted"
    assert build.compose("plan", "task=fetch_reach", "budget=smoke").collection.episodes == 40


@pytest.mark.parametrize("task", sorted(envs.TASKS))
@pytest.mark.parametrize("planner", PLANNERS)
def test_every_task_takes_every_planner(task, planner):
    made = build.planner(build.compose("plan", f"task={task}", f"planner={planner}"))
    assert isinstance(made, PLANNERS[planner])
    if task == "push_t" and planner == "elite_mppi":
        assert made.min_std == 0.02, "what the task says of the search counts for every planner that has it"


def test_a_setting_of_another_planner_is_refused_unless_the_task_brings_it():
    with pytest.raises(ValueError, match="planner.min_std is not a setting of MPPI"):
        build.planner(build.compose("plan", "task=push_t", "planner=mppi", "planner.min_std=0.03"))
    with pytest.raises(ValueError, match="planner._target_=no.Planner cannot be imported"):
        build.planner(build.compose("plan", "task=push_t", "planner._target_=no.Planner"))


@pytest.mark.parametrize("planner", PLANNERS)
def test_the_giant_maze_takes_any_planner_and_its_leaps_are_as_long_as_a_plan(planner):
    cfg = build.compose("plan", "task=giant_maze", f"planner={planner}")
    assert build.planner(cfg).horizon == 9 == cfg.model.leap * cfg.model.action_block
    assert cfg.collection.episodes == 2500


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("planner.num_samples=many", "planner.num_samples must be a whole number; got 'many'"),
        ("planner.num_samples=1.5", "planner.num_samples must be a whole number; got 1.5"),
        ("planner.init_std=wide", "planner.init_std must be a number; got 'wide'"),
        ("planner._target_=planning.Nothing", "planner._target_=planning.Nothing cannot be imported"),
        ("+planner.colour=red", "planner.colour is not a setting of CEM: it has horizon,"),
    ],
)
def test_wrong_values_are_named(tmp_path, override, message):
    with pytest.raises(ValueError, match=message):
        build.planner(settings("plan", tmp_path, override))


def test_model_for_other_sensors_is_refused(tmp_path):
    config = ModelConfig(observation=vector(4), action_size=2, action_block=5, width=16, head_width=8)
    model = freeze(create(config, 0), config)
    with pytest.raises(ValueError, match="trained on 4 sensor values, and reacher gives 6"):
        build.agent(settings("plan", tmp_path), model, envs.make("reacher"))
    with pytest.raises(ValueError, match="horizon is 12 environment steps"):
        build.agent(settings("plan", tmp_path, "planner.horizon=12"), model, envs.make("two_room"))


def two_room_model():
    config = ModelConfig(observation=vector(4), action_size=2, latent_size=8, width=16, head_width=8)
    return freeze(create(config, 0), config)


def test_constraints_risk_and_precision_reach_the_agent(tmp_path):
    rate = "+constraint.rate={_target_: planning.RateLimit, limit: 10}"
    cfg = settings("plan", tmp_path, rate, "precision=bfloat16")
    with jax.numpy_dtype_promotion("standard"):  # flax's norms take their statistics in float32
        agent = build.agent(cfg, two_room_model(), envs.make("two_room"))
    assert agent.constraints == {"rate": RateLimit(10.0)} and agent.precision == "bfloat16"
    with pytest.raises(ValueError, match="the risk CVaR compares the members of an ensemble"):
        build.agent(settings("plan", tmp_path, "risk=cvar"), two_room_model(), envs.make("two_room"))
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16, auto; got 'half'"):
        build.agent(settings("plan", tmp_path, "precision=half"), two_room_model(), envs.make("two_room"))


def test_settings_can_be_composed_within_a_running_command(tmp_path):
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        running = GlobalHydra.instance().hydra
        assert build.compose("plan", "seed=3").seed == 3
        assert GlobalHydra.instance().hydra is running
    assert not GlobalHydra.instance().is_initialized()


def test_the_policy_suggests_and_members_imagine_as_they_are_asked_to():
    task = envs.make("two_room")
    config = ModelConfig(observation=vector(4), action_size=2, latent_size=4, width=8, head_width=8, ensemble=2)
    model = freeze(create(config, 0), config)
    plain = build.agent(build.compose("plan"), model, task)
    assert plain.members == 1 and plain.proposals == () and plain.planner.proposals == ()
    asked = build.agent(build.compose("plan", "suggestions=3", "members=null", "risk=worst"), model, task)
    assert asked.members is None and asked.proposals == (PolicyPrior(3),) and asked.planner.proposals == (Given(3),)
    bare = dataclasses.replace(config, policy=False)
    assert build.agent(build.compose("plan", "suggestions=3"), freeze(create(bare, 0), bare), task).proposals == ()
    with pytest.raises(ValueError, match="members must lie between 1 and the 2 that the model has; got 5"):
        build.agent(build.compose("plan", "members=5"), model, task)
    with pytest.raises(ValueError, match="the risk Worst compares the members of an ensemble, and only one predicts"):
        build.agent(build.compose("plan", "risk=worst"), model, task)
