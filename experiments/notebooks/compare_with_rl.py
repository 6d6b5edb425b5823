# %% [markdown]
# # Compare with reinforcement learning on one task
#
# A world model learns a task from its reward while it acts, soft actor-critic (SAC) learns the same task beside it, and
# a policy of one's own enters the same table. Then the same comparison on the rows that come along, which took longer
# than anyone wants to wait here.
#
# SAC needs the extra `baselines`; where it is not installed, its live part is left out.

# %% tags=["parameters"]
TASK = "dmc/cartpole-swingup"  # or any dmc/<domain>-<task>, gym/<id> with Box spaces
ACTION_REPEAT = 8  # control steps that an action is held for, the same for everyone
STEPS = 8_000  # environment steps: control steps, those that an action is repeated for included
EVALUATE_EVERY = 2_000
EPISODES = 3  # of each evaluation
SETTINGS = ["online.seed_decisions=250"]  # of `jepa-mpc train method=td`, for so short a run
OUT = "runs/notebooks"  # models, rows and pictures

# %%
# %matplotlib inline
from pathlib import Path

import numpy as np

from envs.registry import make_reward_task
from experiments import build
from experiments.baselines import sbx
from experiments.baselines.reward_env import RewardEnv
from experiments.commands import compare, train
from experiments.comparison import published as published_curves
from experiments.comparison.comparison import compare as compared
from experiments.comparison.figures import draw
from experiments.comparison.tables import left_out, tables
from experiments.evaluation.rewards.returns import add_policy
from experiments.records import curves
from experiments.records.manifest import manifest

out = Path(OUT)
out.mkdir(parents=True, exist_ok=True)
table = out / f"{TASK.replace('/', '-')}.csv"  # one row an evaluation, of every method

# %% [markdown]
# ## A world model, from rewards
#
# This is `jepa-mpc train method=td task=dmc/cartpole-swingup ...` from Python. It imagines representations, rewards
# and values, decodes no observation, and plans three decisions ahead with the value beyond (docs/rewards.md). Run
# again, it is read and not learned anew.

# %%
shared = [
    "task=reward",
    f"task.name={TASK}",
    f"runs={out}",
    f"online.curves={table}",
    f"online.action_repeat={ACTION_REPEAT}",
]
shared += [f"online.steps={STEPS}", f"online.evaluate_every={EVALUATE_EVERY}", f"online.evaluate_episodes={EPISODES}"]
learned = train.run(build.compose("train", "method=td", *shared, *SETTINGS))
print(f"{STEPS // ACTION_REPEAT:,} decisions, learned in {learned.metadata['train_seconds']:.0f} s")

# %% [markdown]
# ## SAC, beside it
#
# The same task, steps, action repeat, seed and evaluations; the algorithm is that of `sbx` with its own settings.

# %%
if sbx.installed():
    train.run(build.compose("train", "method=sac", *shared))
else:
    print("SAC is not installed here: pip install sbx-rl stable-baselines3, and run this again for its curve")

# %% [markdown]
# ## A policy of one's own
#
# Any object with `predict(observation, deterministic=True) -> (action, state)` enters the table; a model of
# Stable-Baselines3 is one. This one draws at random, which is the floor. It learns nothing, so it is the same before
# and after.


# %%
def make_env():
    return RewardEnv(make_reward_task(TASK, ACTION_REPEAT))


class Random:
    def __init__(self, space):
        self.space, self.rng = space, np.random.default_rng(0)

    def predict(self, observation, deterministic=True):
        return self.rng.uniform(self.space.low, self.space.high), None


made = manifest({"policy": "random"}, seeds=[0])
for steps in (0, STEPS):
    policy = Random(make_env().action_space)
    row = add_policy(
        table, "random", TASK, make_env, policy, made, episodes=EPISODES, env_steps=steps, action_repeat=ACTION_REPEAT
    )
print(f"random: a return of {row.mean_return:.0f}")

# %% [markdown]
# ## Side by side: against steps, and against seconds
#
# Steps are what a robot pays with, seconds what a simulation pays with; evaluations count for neither. When the outputs
# that are kept here were made, the machine was busy with other work: read the seconds with that in mind.

# %%
runs = curves.runs_of(curves.read(table))
figure = draw(runs, [], "env_steps")
figure.savefig(out / "compare_steps.png", dpi=110)
figure

# %%
figure = draw(runs, [], "wall_s")
figure.savefig(out / "compare_seconds.png", dpi=110)
figure

# %% [markdown]
# What to look for: how early a curve leaves the floor, more than where it ends: one task and one seed say little about
# who is better in the end. The table below says so, too: it gives no interval where there is a single run.

# %%
baseline = "sac" if any(run.method == "sac" for run in runs) else None
for each in tables(compared(runs, [], STEPS, "jepa-mpc", baseline, seed=0)):
    print(each.markdown())

# %% [markdown]
# ## The rows that come along
#
# The same functions over `experiments/results/dmc_curves.csv`: longer runs on more tasks, each with its command and the
# machine it was measured on in the manifest beside it. Grey marks were published by others and are quoted: not measured
# here, on other machines and with action repeats of their authors'. `jepa-mpc compare` does all of this at once.

# %%
rows = curves.read(compare.OURS)
measured = curves.runs_of(rows)
methods = ["TD-MPC2", "BMPC", "SAC (SimbaV2 repo)"]
quoted = published_curves.chosen(published_curves.read(), methods, [run.task for run in measured])
figure = draw(measured, quoted, "env_steps") if measured else None
print(f"{len(rows)} rows of {len(measured)} runs" if measured else "no rows came along with this copy")
figure

# %%
ours = [run for run in measured if run.method == "jepa-mpc"]
if ours:
    at = min(100_000, int(max(run.env_steps[-1] for run in ours)))
    baseline = "sac" if any(run.method == "sac" and run.reaches(at) for run in measured) else None
    found = compared(measured, quoted, at, "jepa-mpc", baseline, seed=0)
    for each in tables(found):
        print(each.markdown())
    print(left_out(found))
