"""Length and schedule of an online training run."""

from __future__ import annotations

from dataclasses import dataclass

from ...build.agents import ActorConfig
from ...build.defaults import REWARD, Groups


@dataclass(frozen=True)
class OnlineConfig:
    """Length and schedule of online training. Steps are environment steps, action repeats included.

    Raises:
      ValueError: a count below its least.
    """

    steps: int = 100_000
    environments: int = 1
    seed_decisions: int = 1000
    updates: int = 1  # per decision
    offline_updates: int = 0  # before the first step, on data that were there before
    slots: int = 200_000
    evaluate_every: int = 20_000
    evaluate_episodes: int = 10
    save_every: int = 10_000

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            least = 0 if name in ("updates", "offline_updates", "steps") else 1
            if getattr(self, name) < least:
                raise ValueError(f"online.{name} must be at least {least}; got {getattr(self, name)}")
        if self.seed_decisions < 100 * self.environments:
            raise ValueError(
                f"online.seed_decisions must be at least 100 for each environment; got {self.seed_decisions}"
            )


GROUPS: Groups = {**REWARD, "online": (OnlineConfig, ActorConfig)}  # the dataclasses of a run's settings
