"""Other systems: our planner in their evaluations, and their data in our training. None of them is imported here."""

from .world_episodes import world_episodes as world_episodes
from .world_policy import WorldPolicy as WorldPolicy
