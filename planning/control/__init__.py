"""Stateful controllers around an agent, for robots and other NumPy code."""

from .bundle.bundle import Bundle, BundleError
from .bundle.engine import BundleEngine
from .controller import Controller
from .engine.contract import Contract
from .engine.goal import Goal
from .engine.interface import Engine
from .engine.live import LiveEngine
from .engine.route import Route
from .loop.command import Command
from .loop.fallback import Fallback
from .loop.heartbeat import Heartbeat, read_heartbeat
from .loop.limiter import Limiter
from .loop.settings import Loop
from .loop.status import Reason, Source
from .loop.telemetry import PlanReport, Telemetry
from .picture import camera_picture
from .realtime import RealtimeController
from .vector import VectorController
from .worker.messages import PublishedPlan
from .worker.recipe import Recipe
from .worker.scheduling import real_time
from .worker.settings import Planning
from .worker.surprise import Surprise
from .worker.validator import Validator

__all__ = [
    "Bundle",
    "BundleEngine",
    "BundleError",
    "Command",
    "Contract",
    "Controller",
    "Engine",
    "Fallback",
    "Goal",
    "Heartbeat",
    "Limiter",
    "LiveEngine",
    "Loop",
    "PlanReport",
    "Planning",
    "PublishedPlan",
    "RealtimeController",
    "Reason",
    "Recipe",
    "Route",
    "Source",
    "Surprise",
    "Telemetry",
    "Validator",
    "VectorController",
    "camera_picture",
    "read_heartbeat",
    "real_time",
]
