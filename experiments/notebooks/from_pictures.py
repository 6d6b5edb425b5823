# %% [markdown]
# # From pictures
#
# A model that has never seen a coordinate: pictures of a camera in, actions out. It plans to a goal that is a picture,
# too. It comes along with the library, and nothing is trained here; `jepa-mpc demo observation=pixels` trains one.

# %% tags=["parameters"]
TASK = "two_room"  # a puck with inertia, two rooms, one door
EPISODES = 20  # of held-out starts and goals
REMEMBERED = 24  # episodes of random motion whose frames show what a latent stands for
PLANNER = []  # settings of the planner, as in ["planner.num_samples=32"]
OUT = "runs/notebooks"  # where the pictures go

# %%
# %matplotlib inline
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments import build
from experiments.build import goal_tasks
from experiments.build.embeddings import embedded
from experiments.build.published import checkpoint_file
from experiments.evaluation.goals.protocols import honest
from experiments.evaluation.goals.rollout import run_episodes
from experiments.evaluation.policy import ModelPolicy
from worldmodel.models.checkpoint import load_model

checkpoint = load_model(checkpoint_file("published", TASK, ["pixels"]))
model, task = checkpoint.model, goal_tasks.of_model(checkpoint)
agent = build.agent(build.compose("plan", f"task={TASK}", "observation=pixels", *PLANNER), model, task)
out = Path(OUT)
out.mkdir(parents=True, exist_ok=True)
camera = model.observation.sensors[0]
print(f"{camera.name}: {camera.shape}, {camera.dtype}; {model.parameters:,} parameters")
print(f"trained in {checkpoint.metadata['train_seconds']:.0f} s from {checkpoint.metadata['env_steps']:,} frames")


def row(pictures, titles, name, width=1.5):
    """A row of pictures, saved as a file."""
    figure = Figure(figsize=(width * len(pictures), width + 0.35), layout="constrained")
    for axes, picture, title in zip(figure.subplots(1, len(pictures), squeeze=False)[0], pictures, titles, strict=True):
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(title, fontsize=8)
        axes.set_axis_off()
    figure.savefig(out / f"{name}.png", dpi=110)
    return figure


# %% [markdown]
# ## What the camera sees, and what is left of it
#
# The mean picture of the training data is subtracted, so walls and floor are zero. The rest is cut into patches, and
# each becomes a few numbers: a linear filter, fitted to the training data, that keeps what moves and leaves out what
# stands still. This is the embedding of one moment. Below: a picture, its difference from the mean picture, and the
# smallest difference that has the same embedding.

# %%
pairs = honest(task, EPISODES, seed=7)
seen = task.observe(pairs.states)["pixels"]
encoder = model.module().pictures["pixels"]
mean, basis = np.asarray(encoder.mean[...]), np.asarray(encoder.basis[...])
side, patch = seen.shape[1], int(round((basis.shape[0] / 3) ** 0.5))
parts = embedded(model, {"pixels": seen[:1]}).reshape(side // patch, side // patch, -1) @ np.linalg.pinv(basis)
kept = parts.reshape(side // patch, side // patch, patch, patch, 3).transpose(0, 2, 1, 3, 4).reshape(side, side, 3)
scale = (seen[0] - mean).std() / kept.std()  # embeddings are in other units than pixels


def shifted(difference):
    return np.clip(128 + difference, 0, 255).astype(np.uint8)


figure = row(
    [seen[0], mean.astype(np.uint8), shifted(seen[0] - mean), shifted(scale * kept)],
    ["picture", "mean picture", "difference", f"{basis.shape[1]} numbers a patch"],
    "pictures_embedding",
)
figure

# %% [markdown]
# ## It plans to pictures
#
# Held-out starts and goals, at rest. The policy sees pictures alone; that the goal was reached is judged by the
# simulator, which knows the coordinates.

# %%
policy = ModelPolicy(agent, seed=0)
records = run_episodes(task, policy, pairs, imagine_every=agent.planner.horizon // 2, model=model)
print(f"{sum(record.success for record in records)} of {EPISODES} goals reached")
longest = max(
    (each for each in range(EPISODES) if records[each].success), key=lambda each: records[each].steps, default=0
)
path = records[longest].states
moments = np.linspace(0, len(path) - 1, 6).astype(int)
goal_picture = task.goal_observation(pairs.goals[longest])["pixels"]
figure = row(
    [goal_picture, *task.observe(path[moments])["pixels"]],
    ["goal", *(f"step {moment}" for moment in moments)],
    "pictures_episode",
)
figure

# %% [markdown]
# ## What it expects
#
# The model predicts no pictures. To see what an imagined latent stands for, the nearest one among remembered frames is
# shown: retrieval in place of a decoder. Above, what really came; below, what the model expected at the first step from
# the actions that were then taken.

# %%
rng = np.random.default_rng(0)
low, high = task.action_space.low, task.action_space.high
starts = np.stack([task.sample_state(rng) for _ in range(REMEMBERED)])
wander = np.repeat(rng.uniform(low, high, (REMEMBERED, 8, len(low))), 5, axis=1)
states = np.concatenate([starts[:, None], task.simulate(starts, wander)], axis=1)
history = model.history
frames = task.observe(states)["pixels"]
memory = embedded(model, {"pixels": frames.reshape(-1, *frames.shape[2:])}).reshape(*frames.shape[:2], -1)
past = np.maximum(np.arange(frames.shape[1])[:, None] - np.arange(history - 1, -1, -1), 0)
latents = np.asarray(model.encode(model.params, jnp.asarray(memory[:, past]))).reshape(-1, model.latent_size)
flat = frames.reshape(-1, *frames.shape[2:])


def embedding(picture):
    """Embedding of one picture."""
    return jnp.asarray(embedded(model, {"pixels": picture[None]})[0])


step = jax.jit(agent.step)
state = agent.reset(agent.init(jax.random.key(0)), embedding(goal_picture), jax.random.key(1), 0)
body, came, expected = pairs.states[longest], [], None
for moment in range(agent.planner.horizon + 1):
    picture = task.observe(body[None])["pixels"][0]
    action, _, state = step(state, embedding(picture))
    if expected is None:
        expected = np.asarray(agent.imagined(state))
    if moment % model.action_block == 0:
        came.append(picture)
    body = task.simulate(body[None], np.asarray(action, np.float64)[None, None])[0, 0]
nearest = [flat[np.square(latents - latent).sum(axis=-1).argmin()] for latent in expected]
times = [f"step {model.action_block * number}" for number in range(len(came))]
figure = row(came, [f"{time}, came" for time in times], "pictures_came")
figure

# %%
figure = row([came[0], *nearest], ["now", *(f"{time}, expected" for time in times[1:])], "pictures_expected")
figure

# %% [markdown]
# The frames of the second row are other moments of other episodes: only what the latent holds is alike, place and
# speed. The plan is made anew at every step, so the two rows may part where the planner changed its mind.
#
# ## When the impossible happens
#
# The model says what comes next, so what it does not expect can be measured: the error of the latent predicted one
# block ahead. Here the puck is moved by half a metre between two pictures.

# %%
blocks, jump = 12, 7
path = [pairs.states[0]]
for number in range(blocks):
    actions = np.repeat(rng.uniform(low, high, (1, 1, len(low))), model.action_block, axis=1)
    path += list(task.simulate(path[-1][None], actions)[0])
    if number == 0:
        taken = [actions[0]]
    else:
        taken.append(actions[0])
    if number + 1 == jump:
        moved = task.achieved_goal(path[-1]) * np.array([1.0, -1.0]) + np.array([0.0, 0.3])
        path[-1] = task.at_goal(np.clip(moved, -0.8, 0.8))
rows = embedded(model, {"pixels": task.observe(np.stack(path))["pixels"]})
past = np.maximum(np.arange(len(rows))[:, None] - np.arange(history - 1, -1, -1), 0)
real = np.asarray(model.encode(model.params, jnp.asarray(rows[past])))[:: model.action_block]
ahead = model.predict(model.params, jnp.asarray(real[:-1]), jnp.asarray(np.stack(taken), jnp.float32)).latent
error = np.square(np.asarray(ahead) - real[1:]).mean(axis=-1)
figure = Figure(figsize=(6, 2.4), layout="constrained")
axes = figure.subplots()
axes.bar(
    np.arange(1, blocks + 1),
    error,
    color=["#c2255c" if number == jump else "#2457d6" for number in range(1, blocks + 1)],
)
axes.set(xlabel="action block", ylabel="error of the latent", title="the puck is moved at block 7", yscale="log")
figure.savefig(out / "pictures_surprise.png", dpi=110)
print(f"{error[jump - 1] / np.median(error):.0f} times the median error")
figure

# %% [markdown]
# On a robot this is an alarm, calibrated on data: `docs/safety.md`. Guards find what is wrong with the camera itself,
# such as a frozen, black or late picture: `docs/control_loop.md`.
