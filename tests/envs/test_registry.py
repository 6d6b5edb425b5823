"""One `make` for goals and rewards, and imports within the package that run one way."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import envs
from envs.registry import usual_action_repeat
from envs.reward_task import RewardTask

ROOT = Path(envs.__file__).parent


def test_make_gives_goals_and_rewards():
    assert isinstance(envs.make("reacher"), envs.Task)
    swingup = envs.make("dmc/cartpole-swingup", action_repeat=8)
    assert isinstance(swingup, RewardTask) and (swingup.name, swingup.action_repeat) == ("dmc/cartpole-swingup", 8)
    pendulum = envs.make("gym/InvertedPendulum-v5", action_repeat=2, control_period=0.08)
    assert (pendulum.name, pendulum.control_period) == ("gym/InvertedPendulum-v5", 0.08)
    assert envs.make("gym/Pendulum-v1").action_repeat == 1
    assert (usual_action_repeat("dmc/cartpole-swingup"), usual_action_repeat("gym/Pendulum-v1")) == (8, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: envs.make("dmc/cartpole-swingup", "rgb_array"),
            "dmc/cartpole-swingup is a reward task and draws nothing",
        ),
        (
            lambda: envs.make("reacher", action_repeat=2),
            "reacher has goals and no reward: it takes neither action_repeat",
        ),
        (lambda: envs.make("dmc/walker-wlk"), "did you mean dmc/walker-walk"),
    ],
)
def test_settings_of_the_other_kind_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_imports_of_the_package_have_no_circle():
    """Those in functions and behind TYPE_CHECKING among them."""
    graph = {}
    for file in ROOT.rglob("*.py"):
        parts = file.relative_to(ROOT).with_suffix("").parts
        package = parts[:-1]
        found = graph.setdefault(".".join(parts), set())
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = package[: len(package) + 1 - node.level] + tuple(
                    (node.module or "").split(".") if node.module else ()
                )
                names = [".".join(base)] + [".".join((*base, alias.name)) for alias in node.names]
                found.update(name for name in names if (ROOT / Path(*name.split("."))).with_suffix(".py").is_file())
    assert "reward_task" in graph["registry"]
    TopologicalSorter(graph).prepare()  # raises CycleError
