"""Choose actions by imagining: objectives over a latent world model, planners, and the agent that acts."""

from .agent import Agent as Agent
from .agent import AgentState as AgentState
from .agent import reset_many as reset_many
from .agent import step_many as step_many
from .cem import CEM as CEM
from .costs import Cost as Cost
from .costs import Effort as Effort
from .costs import GoalDistance as GoalDistance
from .costs import Imagined as Imagined
from .costs import TemporalDistance as TemporalDistance
from .host import plan_on_host as plan_on_host
from .noise import coloured_noise as coloured_noise
from .objective import LatentObjective as LatentObjective
from .objective import imagine as imagine
from .objective import score as score
from .sampling import SamplingPlanner as SamplingPlanner
from .types import ActionSpec as ActionSpec
from .types import Evaluation as Evaluation
from .types import LatentModel as LatentModel
from .types import Objective as Objective
from .types import Plan as Plan
from .types import Planner as Planner
from .types import Status as Status
