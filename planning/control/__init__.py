"""The stateful shell around an agent, for robots and for everything that speaks NumPy."""

from .bundle import Bundle as Bundle
from .bundle import BundleError as BundleError
from .bundle_engine import BundleEngine as BundleEngine
from .contract import Contract as Contract
from .controller import Controller as Controller
from .engine import Engine as Engine
from .engine import LiveEngine as LiveEngine
