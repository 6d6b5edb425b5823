# %% [markdown]
# # Change the goal without retraining
#
# A policy that was learned from a reward knows the goal of that reward. A world model that was learned from rollouts,
# without any reward, knows what actions do: the goal is told to the planner, and so are the costs and the limits. Here
# both are driven to the goal that the policy was made for, and then to another one. The model comes along with the
# library, and nothing is trained for it here.
#
# The policy is soft actor-critic (SAC) of the extra `baselines`; where that is not installed, its part is left out.

# %% tags=["parameters"]
TASK = "two_room"  # a puck with inertia, two rooms, one door
GOALS = {"old": (0.6, -0.6), "new": (-0.6, 0.7)}  # metres
CENTER = (-0.34, 0.5)  # of a disc on the way to the new goal, which is forbidden in the third section
RADIUS = 0.15
EPISODES = 20
SAC_STEPS = 5_000  # environment steps that SAC learns from, for the old goal alone
PLANNER = []  # settings of the planner, as in ["planner.num_samples=32"]
OUT = "runs/notebooks"  # where the pictures go

# %%
# %matplotlib inline
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

import envs
from experiments import build
from experiments.baselines import sbx
from experiments.build.published import checkpoint_file
from experiments.evaluation.goals.protocols import Pairs, honest
from experiments.evaluation.goals.rollout import run_episodes
from experiments.evaluation.policy import ModelPolicy
from experiments.evaluation.reactive import ReactivePolicy
from planning import Effort, KeepOut
from worldmodel.models.checkpoint import load_model

task = envs.make(TASK)
checkpoint = load_model(checkpoint_file("published", TASK))
agent = build.agent(build.compose("plan", f"task={TASK}", *PLANNER), checkpoint.model, task)
out = Path(OUT)
out.mkdir(parents=True, exist_ok=True)
print(f"the model saw {checkpoint.metadata['env_steps']:,} steps of noise and of other goals, and no reward")

# %% [markdown]
# ## How it is measured
#
# Held-out starts in both rooms, at rest; the goal is the same for all of them. An episode succeeds as soon as the puck
# is within 10 cm of the goal, and has 80 steps of 50 ms for it. Effort is the mean square of the actions, which are 1
# at their bounds.

# %%
starts = honest(task, 2 * EPISODES, seed=7).states
starts = starts[np.linalg.norm(task.achieved_goal(starts) - CENTER, axis=1) > 2 * RADIUS][:EPISODES]


class Measured:
    """A policy as it is, and what it did."""

    def __init__(self, policy):
        self.policy, self.name, self.effort = policy, policy.name, []

    def reset(self, episodes):
        self.policy.reset(episodes)

    def act(self, observations, active):
        actions = self.policy.act(observations, active)
        self.effort += list(np.square(actions[active]).mean(axis=-1))
        return actions


def drive(title, policy, goal):
    """Episodes from all starts to one goal; prints what came of them."""
    goals = np.repeat([goal], EPISODES, axis=0).astype(np.float64)
    measured = Measured(policy)
    records = run_episodes(task, measured, Pairs("one goal", starts, goals, task.budget))
    reached = [record.steps for record in records if record.success]
    steps = f"{np.mean(reached):5.1f} steps" if reached else "      –    "
    inside = sum((np.linalg.norm(record.path - CENTER, axis=1) < RADIUS).any() for record in records)
    print(f"{title:<34} {len(reached):>3} of {EPISODES}   {steps}   effort {np.mean(measured.effort):.2f}   ", end="")
    print(f"{inside:>2} through the disc")
    return records


def model(with_agent):
    return ModelPolicy(with_agent, seed=0)


# %% [markdown]
# ## The same model, another goal
#
# The goal is an argument of the plan. Neither line trains anything, and the second does not even compile.

# %%
runs = {}
runs["old goal"] = drive("model, old goal", model(agent), GOALS["old"])
runs["new goal"] = drive("model, new goal", model(agent), GOALS["new"])

# %% [markdown]
# ## The same model, another cost, another limit
#
# `Effort` is one more cost, weighed against the steps that are left; `KeepOut` is a constraint: candidates that enter
# the disc rank behind all that do not, and since predictions err, the disc it is told is a little larger. Both are
# judged on what the model imagines. Any function of the imagined future does as well (`planning.Custom`).

# %%
gentle = replace(agent, costs={**agent.costs, "effort": Effort()}, weights={**agent.weights, "effort": 150.0})
careful = replace(agent, constraints={"disc": KeepOut(CENTER, RADIUS + 0.03)})
runs["new goal, gently"] = drive("model, new goal, effort costs", model(gentle), GOALS["new"])
runs["new goal, around the disc"] = drive("model, new goal, keep out", model(careful), GOALS["new"])


# %%
def picture(named, marks):
    """Paths from above, blue where the goal was reached and red where not; a ring where it is."""
    figure = Figure(figsize=(2.7 * len(named), 3.0), layout="constrained")
    scene = task.scene()
    for axes, (title, records) in zip(figure.subplots(1, len(named), squeeze=False)[0], named.items(), strict=True):
        for x, y, half_width, half_height in scene.walls:
            axes.add_patch(
                Rectangle((x - half_width, y - half_height), 2 * half_width, 2 * half_height, color="#8a94a3", lw=0)
            )
        if title in marks:
            axes.add_patch(Circle(CENTER, RADIUS, facecolor="#f5a524", alpha=0.35, lw=0))
        for record in records:
            axes.plot(*record.path.T, color="#2457d6" if record.success else "#c2255c", linewidth=0.9, alpha=0.7)
            axes.plot(*record.path[0], ".", color="#1b2330", markersize=3)
        axes.add_patch(
            Circle(records[0].goal, task.tolerance, facecolor="none", edgecolor="#15803d", linewidth=2, zorder=5)
        )
        reached = sum(record.success for record in records)
        axes.set_title(f"{title}: {reached} of {len(records)}", fontsize=9)
        axes.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal")
        axes.set_axis_off()
    return figure


figure = picture(runs, marks=["new goal", "new goal, around the disc"])
figure.savefig(out / "goal_model.png", dpi=110)
figure

# %% [markdown]
# What to look for: the second panel goes where the first does not, with the same weights; the last one leaves the disc
# free that the second one crosses.
#
# ## A policy that was made for the old goal
#
# SAC is given more than the model has: its reward is minus the length of the way that is left around the walls, which
# is privileged knowledge. It learns from `SAC_STEPS` environment steps, and is driven from the same starts.


# %%
class OneGoal(gymnasium.Wrapper):
    """The task with one goal for ever, whose reward is minus the way that is left."""

    def reset(self, *, seed=None, options=None):
        return self.env.reset(seed=seed, options={"goal": np.array(GOALS["old"])})

    def step(self, action):
        observation, _, terminated, truncated, info = self.env.step(action)
        return observation, -float(self.env.cost(info["state"], info["goal"])), terminated, truncated, info


def sac_policy():
    from sbx import SAC

    learner = SAC("MlpPolicy", OneGoal(envs.make(TASK)), learning_starts=SAC_STEPS // 20, learning_rate=1e-3, seed=0)
    learner.learn(SAC_STEPS)
    print(f"SAC learned from {SAC_STEPS:,} environment steps, all of them towards the old goal")
    return ReactivePolicy(
        "sac", 1, lambda goals: goals, lambda stacks, _: learner.predict(stacks[:, -1], deterministic=True)[0]
    )


if sbx.installed():
    sac = sac_policy()
    one_goal = {f"SAC, {name} goal": drive(f"SAC for the old, {name} goal", sac, goal) for name, goal in GOALS.items()}
    figure = picture(one_goal, marks=[])
    figure.savefig(out / "goal_sac.png", dpi=110)
else:
    figure = None
    print("SAC is not installed here: pip install sbx-rl stable-baselines3, and run this again for the comparison")
figure

# %% [markdown]
# SAC does what it was asked for, and goes on doing it: nothing in its weights says where else one could go. Every
# further goal costs it the training again, or has to be among those that it was trained on. The model paid once, with
# more steps (the first line above), and before anyone knew the goals. Where one task with one reward is all that is
# wanted, learn from the reward: `compare_with_rl`.
