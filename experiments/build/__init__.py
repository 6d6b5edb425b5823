"""Builders of agents, controllers and bundles from composed settings and files."""

from .agents import ActorConfig as ActorConfig
from .agents import RewardAgents as RewardAgents
from .agents import action_spec as action_spec
from .agents import agent as agent
from .agents import agent_for as agent_for
from .agents import constraints as constraints
from .agents import control_period as control_period
from .agents import costs as costs
from .agents import planner as planner
from .agents import reward_spec as reward_spec
from .checkpoints import controller as controller
from .settings import compose as compose
from .settings import fill as fill
from .settings import make as make
