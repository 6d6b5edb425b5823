"""The stateful shell around an agent, for robots and for everything that speaks NumPy."""

from .contract import Contract as Contract
from .controller import Controller as Controller
from .engine import Engine as Engine
from .engine import LiveEngine as LiveEngine
