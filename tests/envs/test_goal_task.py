"""Gymnasium goal environments as tasks: two of gymnasium-robotics, and one of a user's own."""

import inspect
import json
import logging
import subprocess
import sys

import gymnasium
import minari
import mujoco
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

import envs
from envs import GoalTask
from envs.behaviours import ColouredNoise, FromPolicy, Scripted
from envs.collect import collect
from envs.suites import goal_workers

REAL = ("goal/FetchPush-v4", "goal/AntMaze_UMaze-v5")
BOX = spaces.Box(-np.inf, np.inf, (2,))


class Point(gymnasium.Env):
    """What a user writes: a point in the plane that follows its velocity command."""

    observation_space = spaces.Dict(observation=BOX, achieved_goal=BOX, desired_goal=BOX)
    action_space = spaces.Box(-1.0, 1.0, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.goal = self.np_random.uniform(-1, 1, (2, 2))
        return self.seen(), {}

    def step(self, action):
        self.x = self.x + 0.1 * action
        return self.seen(), self.compute_reward(self.x, self.goal, {}), False, False, {}

    def seen(self):
        return {"observation": self.x, "achieved_goal": self.x, "desired_goal": self.goal}

    def compute_reward(self, achieved_goal, desired_goal, info):
        return -float(np.linalg.norm(achieved_goal - desired_goal) > 0.05)


@pytest.fixture(scope="module", params=(*REAL, "own"))
def task(request):
    task = GoalTask(Point()) if request.param == "own" else envs.make(request.param)
    yield task
    task.close()


def pairs(task, n, seed=0):
    rng = np.random.default_rng(seed)
    states, goals = zip(*(task.sample_pair(rng) for _ in range(n)), strict=True)
    return np.stack(states), np.stack(goals)


def pushes(task, n, steps):
    return np.random.default_rng(1).uniform(-1, 1, (n, steps, *task.action_space.shape)).astype(np.float32)


@pytest.mark.filterwarnings("ignore:.*Box observation space (min|max)imum value")  # nobody knows the bounds
def test_gymnasium_finds_nothing_to_complain_about(task):
    check_env(task, skip_render_check=True)


def test_states_are_exact_and_batches_equal_steps(task):
    states, goals = pairs(task, 3)
    actions = pushes(task, 3, 12)
    after = task.simulate(states, actions)
    np.testing.assert_array_equal(task.simulate(states[::-1], actions[::-1])[::-1], after)
    np.testing.assert_array_equal(task.simulate(after[:, 5], actions[:, 6:]), after[:, 6:])
    task.reset(options={"state": states[1], "goal": goals[1]})
    for t in range(12):
        observation, *_, info = task.step(actions[1, t])
        np.testing.assert_array_equal(info["state"], after[1, t])
        np.testing.assert_array_equal(observation, task.observe(after)[1, t])
    far = np.full_like(actions, 7.0)
    np.testing.assert_array_equal(task.simulate(states, far), task.simulate(states, np.ones_like(far)))
    assert not np.array_equal(after[:, 0], after[:, -1])


@pytest.mark.parametrize("name", REAL)
def test_steps_and_observations_are_the_environments_own(name):
    """From one reset on, whatever contacts come; solver warm start is off in both."""
    task, own = envs.make(name), gymnasium.make(name.removeprefix("goal/"), disable_env_checker=True)
    own.unwrapped.model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_WARMSTART)
    seen, _ = own.reset(seed=5)
    state, goal = task._start(5)
    np.testing.assert_array_equal(goal, seen["desired_goal"])
    for t, action in enumerate(pushes(task, 1, 20)[0]):
        seen, reward, *_, info = own.step(action)
        state = task.simulate(state[None], action[None, None])[0, 0]
        np.testing.assert_allclose(task.achieved_goal(state), seen["achieved_goal"], atol=2e-3)
        if "AntMaze" in name:  # the last numbers are contact forces, which the original reads a physics step late
            expected = np.concatenate([seen["observation"][:27], seen["achieved_goal"]])
            found = np.concatenate([task.observe(state)[:27], task.observe(state)[-2:]])
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=f"step {t}")
        else:
            np.testing.assert_allclose(task.observe(state)[:25], seen["observation"], atol=5e-3, err_msg=f"step {t}")


@pytest.mark.parametrize(
    ("name", "kind"), [(REAL[0], "step by step"), (REAL[1], "rollout"), ("goal/PointMaze_UMaze-v3", "step by step")]
)
def test_plain_steps_run_in_c_threads(name, kind):
    """PointMaze clips velocities at each step, and Fetch leads a mocap body: neither is plain."""
    assert kind in envs.make(name).describe()["simulator"]


def test_success_is_the_environments_own_judgement(task):
    states, goals = pairs(task, 6)
    achieved = task.achieved_goal(states)
    assert not task.success(states, goals).any()
    assert task.success(states, achieved).all()
    np.testing.assert_allclose(task.cost(states, achieved), 0)
    inner = task.env.unwrapped
    for away in (0.02, 0.048, 0.052, 0.3, 0.44, 0.46, 2.0):
        other = achieved.copy()
        other[:, 0] += away
        rewards = [inner.compute_reward(here, there, {}) for here, there in zip(achieved, other, strict=True)]
        best = inner.compute_reward(achieved[0], achieved[0], {})
        assert task.success(states, other).tolist() == [reward == best for reward in rewards]
        np.testing.assert_allclose(task.cost(states, other), away)
    wide = task.success(states[:, None], np.stack([goals, achieved], axis=1))
    assert wide.tolist() == [[False, True]] * 6


def test_a_goal_asks_for_the_achieved_part_alone(task):
    states, goals = pairs(task, 2)
    wanted, mask = task.goal_observation(goals), task.goal_mask
    assert wanted.shape == (2, *mask.shape) and wanted.dtype == np.float32
    assert mask[-task.goal_size :].all() and mask.all() == (task.name == "goal/Point")
    # What is asked for beside it is the goal once more, as where FetchPush observes its block.
    repeated = wanted[:, : -task.goal_size][:, mask[: -task.goal_size]]
    assert all(any(np.array_equal(each, g) for g in goals.astype(np.float32).T) for each in repeated.T)
    np.testing.assert_array_equal(wanted[:, -task.goal_size :], goals.astype(np.float32))
    achieved = task.achieved_goal(states).astype(np.float32)
    np.testing.assert_array_equal(task.observe(states)[:, -task.goal_size :], achieved)


def test_description_is_json(task):
    described = json.loads(json.dumps(task.describe()))
    assert described["task"] == task.name and described["observation"][0]["name"] == "state"
    assert (task.budget, task.control_period) == {
        "goal/FetchPush-v4": (50, 0.04),
        "goal/AntMaze_UMaze-v5": (700, pytest.approx(0.05)),
        "goal/Point": (100, 1.0),
    }[task.name]


def test_noise_and_policies_make_data(task, tmp_path):
    noise = collect(task, ColouredNoise(), episodes=3, steps=8, seed=0, path=tmp_path / "noise")
    policy = FromPolicy(
        lambda seen, goals: np.ones((len(seen), *task.action_space.shape)), noise=ColouredNoise(scale=0.0)
    )
    collect(task, policy, episodes=3, steps=8, seed=0, path=tmp_path / "policy")
    assert noise.detour_share == 0
    for name in ("noise", "policy"):
        for episode in minari.MinariDataset(tmp_path / name).iterate_episodes():
            states = episode.infos["state"]
            np.testing.assert_array_equal(task.observe(states), episode.observations)
            np.testing.assert_array_equal(task.simulate(states[:1], episode.actions[None])[0], states[1:])
    with pytest.raises(ValueError, match=f"{task.name} has no script, which the behaviour asks for"):
        collect(task, Scripted(), episodes=1, steps=2, seed=0, path=tmp_path / "script")


def test_an_own_environment_is_found_by_its_id(caplog):
    gymnasium.register("OwnPoint-v0", entry_point=Point, max_episode_steps=30)
    task = envs.make("goal/OwnPoint-v0")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):  # many steps say it, once
            task.simulate(np.repeat(task.state[None], 200, axis=0), np.zeros((200, 20, 2)))
    task.close()
    assert (task.name, task.budget) == ("goal/OwnPoint-v0", 30)
    assert [record.getMessage() for record in caplog.records] == [
        "goal/OwnPoint-v0 does not run on MuJoCo: its steps are taken in Python, which is slower"
    ]
    states, goals = pairs(task, 1)
    for _ in range(30):
        action = np.clip(10 * (goals - task.achieved_goal(states)), -1, 1)
        states = task.simulate(states, action[:, None])[:, 0]
    assert task.success(states, goals).all()
    assert GoalTask(Point(), budget=7, control_period=0.1).describe()["control_period"] == 0.1


class OwnState(Point):
    """Keeps its state where no attribute shows it."""

    def reset(self, *, seed=None, options=None):
        seen, info = super().reset(seed=seed)
        self.hidden = [self.x.copy()]
        return seen, info

    def step(self, action):
        self.x = self.hidden[-1] + 0.1 * action
        self.hidden = [self.x]
        return super().step(0 * action)


class Told(OwnState):
    def get_state(self):
        return self.hidden[-1]

    def set_state(self, state):
        self.hidden = [np.array(state)]


def test_a_hidden_state_is_refused_unless_the_environment_tells_it():
    with pytest.raises(ValueError, match="goal/OwnState cannot be put back to an earlier state.*get_state"):
        GoalTask(OwnState())
    task = GoalTask(Told())
    states, _ = pairs(task, 2)
    after = task.simulate(states, pushes(task, 2, 6))
    np.testing.assert_array_equal(task.simulate(after[:, 2], pushes(task, 2, 6)[:, 3:]), after[:, 3:])


class Noisy(Point):
    def step(self, action):
        self.x = self.x + 0.1 * self.np_random.standard_normal(2)
        return super().step(action)


class Dense(Point):
    def compute_reward(self, achieved_goal, desired_goal, info):
        return -np.linalg.norm(achieved_goal - desired_goal, axis=-1)


class DenseThatJudges(Dense):
    def is_success(self, achieved_goal, desired_goal):
        return np.linalg.norm(achieved_goal - desired_goal, axis=-1) < 0.2


class Discrete(Point):
    action_space = spaces.Discrete(4)


class Flat(Point):
    observation_space = BOX


def with_a_memory():
    """A robot of gymnasium-robotics whose step remembers, in Python, what no physics state holds."""
    env = gymnasium.make("FetchReach-v4", disable_env_checker=True)
    set_action, last = env.unwrapped._set_action, np.zeros(4)

    def filtered(action):
        nonlocal last
        last = 0.5 * last + 0.5 * action
        set_action(last)

    env.unwrapped._set_action = filtered
    return GoalTask(env)


def without_reward():
    return GoalTask(gymnasium.make("Pendulum-v1", disable_env_checker=True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (without_reward, r"^goal/Pendulum-v1 has no compute_reward\(.*: add the method, or learn from its reward"),
        (with_a_memory, "goal/FetchReach-v4 cannot be put back"),
        (lambda: GoalTask(Noisy()), "goal/Noisy cannot be put back.*make its dynamics deterministic"),
        (lambda: GoalTask(Dense()), "the reward of goal/Dense is dense.*give it is_success"),
        (lambda: envs.make("goal/AntMaze_UMazeDense-v5"), "the reward of goal/AntMaze_UMazeDense-v5 is dense"),
        (lambda: GoalTask(Discrete()), r"the actions of goal/Discrete are Discrete\(4\), but planning needs a Box"),
        (lambda: GoalTask(Flat()), "the observations of goal/Flat are Box.*observation, achieved_goal, desired_goal"),
        (lambda: envs.make("goal/FetchPsh-v4"), "no environment 'FetchPsh-v4' here: did you mean .*goal/FetchPush-v"),
        (lambda: envs.make("goal/FetchPush-v4", action_repeat=2), "has goals and no reward: it takes neither"),
    ],
)
def test_what_is_no_goal_environment_is_told_in_one_sentence(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_judgement_of_its_own_comes_before_the_reward():
    task = GoalTask(DenseThatJudges())
    states, _ = pairs(task, 4)
    near = task.achieved_goal(states) + [0.19, 0.0]
    assert task.success(states, near).all() and not task.success(states, near + [0.02, 0.0]).any()


def test_wrong_input_is_named(task):
    task.reset(seed=0)
    size = task.state.size
    for call, message in (
        (lambda: task.step(np.zeros(9)), r"the action has shape \(9,\), but goal/.* expects"),
        (lambda: task.set_state(np.full(size, np.nan)), "the state holds a value that is not finite"),
        (
            lambda: task.simulate(np.zeros((2, 3)), np.zeros((2, 1, 2))),
            r"states \(2, 3\) and actions \(2, 1, 2\) do not fit",
        ),
        (lambda: task.reset(options={"gaol": 0}), "no option 'gaol'"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_importing_envs_leaves_the_suites_alone():
    code = "import envs, sys; sys.exit('gymnasium_robotics' in sys.modules or 'dm_control' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """The user's environment in a module of its own, as other processes need it."""
    source = inspect.getsource(Point).replace("BOX", "spaces.Box(-np.inf, np.inf, (2,))")
    head = "import gymnasium\nimport numpy as np\nfrom gymnasium import spaces\n\n\n"
    (tmp_path / "own_point.py").write_text(head + source)
    monkeypatch.syspath_prepend(str(tmp_path))
    gymnasium.register("InModule-v0", entry_point="own_point:Point", max_episode_steps=30)
    yield "goal/InModule-v0"
    del gymnasium.registry["InModule-v0"]


def test_large_batches_are_stepped_in_other_processes_to_the_same_bits(own_module, monkeypatch, caplog):
    monkeypatch.setattr(goal_workers, "WORTH_WORKERS", 20)
    monkeypatch.setattr(goal_workers, "available_cores", lambda: 2)
    for name in ("goal/FetchReach-v4", own_module):
        task = envs.make(name)
        states, _ = pairs(task, 5)
        actions = pushes(task, 5, 6)
        after = task.simulate(states, actions)
        (worker,) = task._workers._processes
        alone = task._simulator.simulate(states, actions.astype(np.float64))
        np.testing.assert_array_equal(after, alone)
        assert worker.poll() is None
        caplog.clear()
        worker.kill()
        worker.wait()
        np.testing.assert_array_equal(task.simulate(states, actions), alone)
        assert "has ended: its steps are taken in this one" in caplog.text
        np.testing.assert_array_equal(task.simulate(states, actions), alone)
        task.close()


def test_processes_end_with_the_task(own_module, monkeypatch):
    monkeypatch.setattr(goal_workers, "WORTH_WORKERS", 1)
    monkeypatch.setattr(goal_workers, "available_cores", lambda: 2)
    task = envs.make(own_module)
    states, _ = pairs(task, 2)
    task.simulate(states, pushes(task, 2, 2))
    (worker,) = task._workers._processes
    task.close()
    assert worker.poll() is not None


def test_an_environment_that_no_other_process_can_make_is_stepped_here(monkeypatch):
    monkeypatch.setattr(goal_workers, "WORTH_WORKERS", 1)
    monkeypatch.setattr(goal_workers, "available_cores", lambda: 2)
    for task in (GoalTask(Point()), envs.make("goal/OwnPoint-v0")):
        states, _ = pairs(task, 2)
        task.simulate(states, pushes(task, 2, 2))
        assert task._workers._processes == []
