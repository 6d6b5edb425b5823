"""The stateful shell around an agent, for robots and for everything that speaks NumPy."""

from .controller import Controller as Controller
