"""Episodes of a reward task as a Minari dataset, with actions that do not depend on its reward."""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from envs.behaviours import OpenLoop
from envs.reward_task import RewardTask
from envs.streams import episode_rng

from ..baselines.reward_env import RewardEnv


def record(task: RewardTask, behaviour: OpenLoop, episodes: int, decisions: int, seed: int, path: Path) -> int:
    """Write `episodes` of at most `decisions` each to the folder `path`, complete or not at all.

    An episode depends on (seed, its number) alone. Returns the number of environment steps, action repeats
    included.

    Raises:
      ValueError: fewer than one episode or decision.
      FileExistsError: `path` exists already.
    """
    from minari.data_collector import EpisodeBuffer  # here: Minari brings h5py and much else
    from minari.dataset.minari_storage import MinariStorage

    if episodes < 1 or decisions < 1:
        raise ValueError(f"recording takes at least one episode and decision; got {episodes} and {decisions}")
    if path.exists():
        raise FileExistsError(f"there is something at {path} already: choose another path or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    spaces, taken = RewardEnv(task), 0
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent.resolve()))
    try:
        storage = MinariStorage.new(
            partial, spaces.observation_space, spaces.action_space, data_format="hdf5", jpeg_encoding=False
        )
        known = {"dataset_id": "jepa-mpc/recorded-v0", "minari_version": version("minari"), "seed": seed}
        known["task"] = json.dumps(task.describe())
        storage.update_metadata({**known, "algorithm_name": str(behaviour.describe()["behaviour"])})
        for number in range(episodes):
            rng = episode_rng(seed, "collect", number)
            observations = [task.reset(seed=int(rng.integers(2**31)))]
            actions = behaviour.actions(task.low, task.high, decisions, rng).astype(np.float32)
            steps = []
            for action in actions:
                steps.append(task.step(action))
                observations.append(steps[-1].observation)
                if steps[-1].terminated or steps[-1].truncated:
                    break
            taken += sum(step.control_steps for step in steps)
            ends = np.arange(len(steps)) == len(steps) - 1
            terminations = np.asarray([step.terminated for step in steps], bool)
            storage.update_episodes(
                [
                    EpisodeBuffer(
                        observations=np.asarray(observations, np.float32),
                        actions=actions[: len(steps)],
                        rewards=np.asarray([step.reward for step in steps], np.float32),
                        terminations=terminations,
                        truncations=ends & ~terminations,
                        infos={},
                    )
                ]
            )
        partial.chmod(0o755)  # mkdtemp creates folders that only their owner can read
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # already moved on success
    return taken
