"""The moving picture of README: `python -m experiments.examples.planning_video docs/planning.webp`, or `make media`.

The published model of two_room from pictures drives to held-out goals in the other room. Every frame is one control
step that was executed: the picture that the model sees, some candidates of the planner's first iteration, cheap ones
brighter, and the plan whose first action is taken. The model's probe decodes the imagined positions.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs import Task
from envs.task import planar_view
from experiments import build
from experiments.build import goal_tasks
from experiments.build.published import checkpoint_file
from experiments.evaluation.goals.protocols import honest
from experiments.evaluation.moments import Senses, goal_mask, goal_rows
from experiments.pages.planning import Episode, Film, Moment, webp
from planning import Agent, imagine
from worldmodel.files import write_atomically
from worldmodel.models.checkpoint import load_model

TASK, CAMERA = "two_room", "pixels"
EPISODES, SHOWN = 2, 40  # episodes, and candidates in a frame
MILLISECONDS = 100  # a frame: half of the real speed


@jax.jit
def _considered(agent: Agent, state: Any, row: Any) -> tuple[Any, Any]:
    """Imagined positions of the first iteration's candidates, the present first, and their costs."""
    planner: Any = agent.planner
    state = agent.observe(state, row)
    candidates = planner.propose(planner.warm_start(state.search, agent.spec, state.executed), agent.spec)
    latents = imagine(agent.model, state.root, candidates, agent.precision, agent.members).latent
    return _decoded(agent, state.root, latents), agent.objective(state)(candidates).cost


@jax.jit
def _taken(agent: Agent, state: Any, row: Any) -> tuple[Any, Any, Any]:
    """The next action, the imagined positions of the plan that it is of, and the agent's state after it."""
    action, _, state = agent.step(state, row)
    return action, _decoded(agent, state.root, agent.imagined(state)[None])[0], state


def _decoded(agent: Agent, root: Any, latents: Any) -> Any:
    probe: Any = agent.model.heads.probe
    path = jnp.concatenate([jnp.broadcast_to(root, (len(latents), 1, root.shape[-1])), latents], axis=1)
    return probe(agent.model.params, path)


def drive(task: Task, agent: Agent, start: np.ndarray, goal: np.ndarray, number: int, seed: int) -> Episode:
    """Drive one episode, as `jepa-mpc plan` does, and keep what is drawn of it.

    Args:
      task: observed by one camera.
      agent: of its model.
      start: simulator state.
      goal: of the task.
      number: of the episode.
      seed: of the plans.
    """
    key, view = jax.random.key(seed), planar_view(task)
    senses = Senses(task, seed, [number], agent.model)
    wanted = goal_mask(task, agent.model)
    mask = None if wanted is None else jnp.asarray(wanted)
    begun = agent.init(key)
    state = agent.reset(begun, jnp.asarray(goal_rows(task, goal, agent.model)), key, number, mask)
    here, moments, reached = start, list[Moment](), False
    while True:
        row = jnp.asarray(senses.rows(here[None])[0])
        paths, costs = map(np.asarray, _considered(agent, state, row))
        action, best, state = _taken(agent, state, row)
        chosen = np.argsort(costs)[:: max(1, len(costs) // SHOWN)]
        seen: Any = task.observe(here[None])
        body = view.keypoints(here)[-1]
        moments.append(Moment(seen[CAMERA][0], body, paths[chosen], costs[chosen], np.asarray(best), reached))
        if reached or len(moments) > task.budget:
            break
        here = task.simulate(here[None], np.asarray(action, np.float64)[None, None])[0, 0]
        reached = bool(task.success(here, goal))
    pictured: Any = task.goal_observation(goal)
    return Episode(moments, view.goal_keypoints(goal)[-1], pictured[CAMERA])


def main(out: str, episodes: int = EPISODES, seed: int = 0) -> Path:
    """Write the picture, and return its path."""
    cfg = build.compose("plan", f"task={TASK}", f"observation={CAMERA}", "checkpoint=published")
    checkpoint = load_model(checkpoint_file("published", TASK, (CAMERA,)))
    task = goal_tasks.of_model(checkpoint)
    agent = build.agent(cfg, checkpoint.model, task)
    pairs = honest(task, 60, seed)
    places = np.stack([planar_view(task).keypoints(state)[-1] for state in pairs.states])
    through = [n for n in range(len(pairs)) if places[n, 0] * pairs.goals[n, 0] < -0.25][:episodes]
    driven = [drive(task, agent, pairs.states[n], pairs.goals[n], n, seed) for n in through]
    planner: Any = agent.planner
    notes = (
        f"{planner.num_samples} candidates,",
        f"{planner.iterations} times",
        f"every {1e3 * task.control_period:.0f} ms",
    )
    frames = Film(planar_view(task).scene(), notes).frames(driven, hold=8)
    path = Path(out)
    write_atomically(path, webp(frames, MILLISECONDS))
    reached = sum(each.moments[-1].reached for each in driven)
    print(f"{path}: {len(frames)} frames, {path.stat().st_size / 1e3:.0f} kB, {reached} of {len(driven)} goals reached")
    return path


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "planning.webp")
