"""The stateful shell around an agent, for robots and for everything that speaks NumPy."""

from .bundle import Bundle as Bundle
from .bundle import BundleError as BundleError
from .bundle_engine import BundleEngine as BundleEngine
from .command import Command as Command
from .contract import Contract as Contract
from .controller import Controller as Controller
from .engine import Engine as Engine
from .fallback import Fallback as Fallback
from .goal import Route as Route
from .guards import Validator as Validator
from .heartbeat import Heartbeat as Heartbeat
from .heartbeat import read_heartbeat as read_heartbeat
from .limiter import Limiter as Limiter
from .live_engine import LiveEngine as LiveEngine
from .loop import Loop as Loop
from .messages import PublishedPlan as PublishedPlan
from .planning import Planning as Planning
from .realtime import RealtimeController as RealtimeController
from .recipe import Recipe as Recipe
from .scheduling import real_time as real_time
from .status import Reason as Reason
from .status import Source as Source
from .surprise import Surprise as Surprise
from .telemetry import PlanReport as PlanReport
from .telemetry import Telemetry as Telemetry
