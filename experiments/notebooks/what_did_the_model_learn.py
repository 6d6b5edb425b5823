# %% [markdown]
# # What did the model learn?
#
# A world model that predicts in representation space has no picture of the future to show: nothing in it was ever
# trained to draw. It can be asked all the same. Four questions, each with one picture and what to look for: is the
# body's place in the representation, does what it imagines come true, does it know how far things are, and does it
# notice when the world is no longer as it learned it?
#
# `jepa-mpc diagnose` asks these and more, and judges the answers.

# %% tags=["parameters"]
TASK = "two_room"  # a puck with inertia, two rooms, one door; umaze works as well
CHECKPOINT = "published"  # or a model file of your own
EPISODES = 48  # held-out ones, of the kind that the model was trained on
STEPS = 120  # of each
GOAL = (0.6, -0.6)  # of the distance map, in metres
CELLS = 60  # of the distance map, along each side
OUT = "runs/notebooks"  # where the pictures go

# %%
# %matplotlib inline
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

import envs
from envs.faults import simulate_with
from experiments import build
from experiments.build.bundles import calibrated
from experiments.build.published import checkpoint_file
from experiments.diagnosis.held_out import fresh
from experiments.training.prepared import probe_targets
from planning.control import LiveEngine
from planning.control.worker.surprise import SurpriseMonitor, predictions
from worldmodel.data.windows import WindowSampler
from worldmodel.diagnostics.foresight import foresight
from worldmodel.diagnostics.linear_probe import linear_probe
from worldmodel.models.checkpoint import load_model

BLUE, GREY, INK, RED = "#2457d6", "#8a94a3", "#1b2330", "#c2255c"

cfg = build.compose("plan", f"task={TASK}")
task = envs.make(TASK)
model = load_model(checkpoint_file(CHECKPOINT, TASK)).model
held = fresh(task, build.make(cfg.behaviour, "behaviour"), EPISODES, STEPS, seed=11)
data, scene = held.data, task.scene()
blocks = 5  # model steps ahead
sampler = WindowSampler.of(data, model.history, blocks, model.action_block, probe_targets(task, data.states))
out = Path(OUT)
out.mkdir(parents=True, exist_ok=True)
print(f"{held.source}; {model.parameters:,} parameters, {model.latent_size} numbers in a representation")


def room(axes):
    """The task from above."""
    for x, y, half_width, half_height in scene.walls:
        axes.add_patch(
            Rectangle((x - half_width, y - half_height), 2 * half_width, 2 * half_height, color=GREY, lw=0, zorder=3)
        )
    axes.set(
        xlim=(scene.low[0] - 0.05, scene.high[0] + 0.05),
        ylim=(scene.low[1] - 0.05, scene.high[1] + 0.05),
        aspect="equal",
    )
    axes.set_axis_off()


# %% [markdown]
# ## Is the place of the body in its representation?
#
# A linear map is fitted from representations to positions and speeds on every other episode, and judged on those
# between: R² = 1 is perfect. The picture is of the model's own probe, a small network that was trained beside it and
# may not shape it.

# %%
rows = np.random.default_rng(0).permutation(len(data.observations))[:2000]
stacks = model.embed(model.params, sampler.stack(jnp.asarray(rows, jnp.int32)))
latents = model.encode(model.params, stacks)
scores = linear_probe(np.asarray(latents), np.stack(list(held.targets.values()), axis=1)[rows], data.first[rows])
for name, score in zip(held.targets, scores, strict=True):
    print(f"{name:<10} R² {score:.3f}")

true, decoded = probe_targets(task, data.states)[rows], np.asarray(model.heads.probe(model.params, latents))
figure = Figure(figsize=(7.0, 3.6), layout="constrained")
for axes, places, title in zip(
    figure.subplots(1, 2), (true, decoded), ("where it is", "where the probe sees it"), strict=True
):
    room(axes)
    axes.scatter(*places[:, -2:].T, c=true[:, -2] + 0.5 * true[:, -1], s=4, cmap="viridis", linewidths=0)
    axes.set_title(title, fontsize=10)
figure.savefig(out / "learned_places.png", dpi=110)
figure

# %% [markdown]
# What to look for: the right picture is the left one. The colours say which place is which; where they mix, or where
# the cloud is torn, representations of different places look the same to the planner.
#
# ## Does what it imagines come true?
#
# The model is given the first representation of a held-out window and the actions that were taken, and never sees
# another observation. Its error is set beside that of predicting that nothing changes, and beside its own with the
# actions of another window.

# %%
seen = foresight(model, sampler, jax.random.key(0))
ahead = np.arange(1, blocks + 1) * model.action_block * task.control_period
figure = Figure(figsize=(7.6, 3.6), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.1))
left.plot(ahead, seen.model / seen.unchanged, color=BLUE, marker="o", markersize=4, label="model")
left.plot(ahead, seen.shuffled / seen.unchanged, color=GREY, label="model, other actions")
left.axhline(1.0, color=INK, linewidth=0.9, linestyle="--", label="nothing changes")
left.set(xlabel="seconds ahead", ylabel="error / that of no change", ylim=(0, None))
left.legend(fontsize=8, frameon=False)
moved = np.linalg.norm(seen.executed[:, -1] - seen.executed[:, 0], axis=-1)
for index in np.argsort(moved)[len(moved) // 2 :: max(1, len(moved) // 40)]:
    right.plot(*seen.executed[index, :, -2:].T, color=INK, linewidth=3.5, alpha=0.25)
    right.plot(*seen.imagined[index, :, -2:].T, color=BLUE, linewidth=1.1, marker="o", markersize=2)
room(right)
right.set_title("blue: imagined; grey: what happened", fontsize=9)
figure.savefig(out / "learned_future.png", dpi=110)
figure

# %% [markdown]
# What to look for: the blue curve far below both others at every step, and blue lines inside their grey ones. With
# other actions the error is large: the model does not just continue what it saw, it knows what actions do.
#
# ## Does it know how far things are?
#
# The critic counts the steps from one representation to another. Here it is asked for the way from everywhere, at rest,
# to one goal; beside it stands the length of the shortest way around the walls, which it was never told, and the plain
# distance in representation space.

# %%
goal = np.array(GOAL)
x, y = (np.linspace(low, high, CELLS) for low, high in zip(scene.low, scene.high, strict=True))
places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def at_rest(goals):
    """Representations of standing still at these places."""
    stacks = np.repeat(task.goal_observation(goals)[:, None], model.history, axis=1)
    return model.encode(model.params, jnp.asarray(stacks, jnp.float32))


start, end = at_rest(places), at_rest(np.repeat(goal[None], len(places), axis=0))
steps = np.asarray(model.heads.distance(model.params, start, end))
maps = {
    "critic: steps": steps,
    "in truth: metres around walls": task.cost(task.pack(places, np.zeros_like(places)), goal),
    "representation: Euclid": np.asarray(jnp.linalg.norm(start - end, axis=-1)),
}
figure = Figure(figsize=(9.6, 3.5), layout="constrained")
for axes, (title, values) in zip(figure.subplots(1, 3), maps.items(), strict=True):
    extent = (scene.low[0], scene.high[0], scene.low[1], scene.high[1])
    grid = values.reshape(CELLS, CELLS)
    axes.imshow(grid, origin="lower", extent=extent, cmap="Blues_r")
    axes.contour(x, y, grid, levels=12, colors=INK, linewidths=0.5, alpha=0.6)
    axes.add_patch(Circle(goal, task.tolerance, facecolor="none", edgecolor="#f5a524", linewidth=2, zorder=5))
    room(axes)
    axes.set_title(title, fontsize=9)
figure.savefig(out / "learned_distance.png", dpi=110)
figure

# %% [markdown]
# What to look for: the lines of equal distance in the first picture bend around the wall and leave through the opening,
# as those of the second do; those of the third run through it. A planner that looks 15 steps ahead goes downhill in the
# first. Closed lines away from the goal are errors: pockets in which a plan can be caught.
#
# ## Does it notice when the world is not as it learned it?
#
# Surprise is the distance between what was predicted for now and what is seen, set against what is usual on held-out
# data. The threshold is calibrated for one false alarm a minute. Then something breaks on purpose: the actuators give
# half of what they are asked for.

# %%
engine = LiveEngine(build.agent(cfg, model, task))
surprise = calibrated(engine, data, alarms_a_minute=1.0)
onset, length, count = 30, 60, 8
rng = np.random.default_rng(5)
begin = np.stack([task.sample_state(rng) for _ in range(count)])
_, actions = build.make(cfg.behaviour, "behaviour").rollout(task, begin, rng.spawn(count), length)
figure = Figure(figsize=(7.6, 3.0), layout="constrained")
axes = figure.subplots()
cases = (("as learned", length, 0, GREY), ("half the force from here on", onset, onset, RED))
for title, broken_from, shown_from, colour in cases:  # before it breaks, both are the same
    read = simulate_with(task, "half_gain", broken_from, begin, actions, np.random.default_rng(0)).observations
    observed = np.concatenate([task.observe(begin)[:, None], read], axis=1)
    alarms = 0
    for episode in range(count):
        monitor = SurpriseMonitor(surprise)
        score = np.array([monitor.add(each) for each in predictions(engine, observed[episode], actions[episode])])
        when = np.arange(len(score)) + model.action_block
        shown = when >= shown_from
        axes.plot(when[shown], score[shown], color=colour, linewidth=1.0, label=title if episode == 0 else None)
        alarms += bool((score[when > onset] > surprise.threshold).any())
    print(f"{title}: an alarm after step {onset} in {alarms} of {count} episodes")
axes.axhline(surprise.threshold, color=INK, linewidth=0.9, linestyle="--", label="alarm")
axes.axvline(onset, color=RED, linewidth=0.9, linestyle=":")
axes.set(xlabel="control step", ylabel="surprise", ylim=(0, None))
axes.legend(fontsize=8, frameon=False, loc="upper left")
figure.savefig(out / "learned_surprise.png", dpi=110)
figure

# %% [markdown]
# What to look for: grey stays below the dashed line, and most of red rises above it in the second or two after the
# dotted one, though every single observation is a perfectly ordinary one. Where the puck hardly pushes, half of its
# force is hardly missed. The control loop can act on an alarm: docs/control_loop.md.
