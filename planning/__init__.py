"""Planning in imagination: objectives over a latent world model, planners, and the agent that acts."""

from .agent import Agent, AgentState
from .batch import redirect_many, reset_many, step_many
from .cem import CEM
from .constraints import (
    AccelerationLimit,
    Constraint,
    JerkLimit,
    JointLimits,
    KeepOut,
    RateLimit,
    SpeedLimit,
    WorkspaceBox,
)
from .control.engine.anytime import Anytime
from .costs import ActionRate, Custom, Effort, GoalDistance, Penalty, TemporalDistance
from .gradient import Gradient
from .hierarchy import Hierarchy
from .host import plan_on_host
from .icem import ICEM
from .imagined import Cost, Imagined
from .landmarks import Landmarks
from .model import Heads, LatentModel, Prediction
from .mppi import MPPI, EliteMPPI
from .noise import coloured_noise
from .objective import LatentObjective, imagine, score
from .parameterization import Blocks, Knots, Parameterization, Steps
from .precision import fastest_precision
from .predictive_sampling import PredictiveSampling
from .probe_costs import ProbeDistance, ProbeGoalDistance
from .proposals import Given, InverseDynamics, ModelProposal, NoOp, PolicyPrior, Proposal, TakesProposals, given_by
from .returns import Return, Reward, Value
from .risk import CVaR, Disagreement, Mean, Risk, Worst
from .sampling import SamplingPlanner
from .types import ActionSpec, AskTell, Evaluation, Objective, Plan, Planner, Status

__version__ = "0.1.0"

__all__ = [
    "AccelerationLimit",
    "ActionRate",
    "ActionSpec",
    "Agent",
    "AgentState",
    "Anytime",
    "AskTell",
    "Blocks",
    "CEM",
    "CVaR",
    "Constraint",
    "Cost",
    "Custom",
    "Disagreement",
    "Effort",
    "EliteMPPI",
    "Evaluation",
    "Given",
    "GoalDistance",
    "Gradient",
    "Heads",
    "Hierarchy",
    "ICEM",
    "Imagined",
    "InverseDynamics",
    "JerkLimit",
    "JointLimits",
    "KeepOut",
    "Knots",
    "Landmarks",
    "LatentModel",
    "LatentObjective",
    "MPPI",
    "Mean",
    "ModelProposal",
    "NoOp",
    "Objective",
    "Parameterization",
    "Penalty",
    "Plan",
    "Planner",
    "PolicyPrior",
    "Prediction",
    "PredictiveSampling",
    "ProbeDistance",
    "ProbeGoalDistance",
    "Proposal",
    "RateLimit",
    "Return",
    "Reward",
    "Risk",
    "SamplingPlanner",
    "SpeedLimit",
    "Status",
    "Steps",
    "TakesProposals",
    "TemporalDistance",
    "Value",
    "WorkspaceBox",
    "Worst",
    "coloured_noise",
    "fastest_precision",
    "given_by",
    "imagine",
    "plan_on_host",
    "redirect_many",
    "reset_many",
    "score",
    "step_many",
]
