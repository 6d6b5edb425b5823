"""A plain Gymnasium loop around a controller: `python -m experiments.examples.gymnasium_loop MODEL.safetensors`."""

from __future__ import annotations

import sys

import envs
from experiments import build
from worldmodel.models.checkpoint import load_model


def main(checkpoint: str, episodes: int = 5, *overrides: str) -> int:
    """Run some episodes of the model's task, and return the number that reached their goal."""
    env = envs.make(load_model(checkpoint).metadata["task"]["task"])
    controller = build.controller(checkpoint, *overrides)  # with the settings of `jepa-mpc plan`
    controller.warmup()  # compiles everything; afterwards nothing compiles

    reached = 0
    for episode in range(episodes):
        observation, info = env.reset(seed=episode)
        controller.reset(goal=env.goal_observation(info["goal"]), seed=episode)
        success = truncated = False
        while not (success or truncated):
            action = controller.act(observation)
            observation, _, _, truncated, info = env.step(action)
            success = info["success"]
        print(f"episode {episode}: {'reached' if success else 'not reached'}")
        reached += success
    return reached


if __name__ == "__main__":
    main(sys.argv[1])
