"""Where everything meets: the command line, the benchmarks and their results. Only here is Hydra read."""

from .shell.shadowing import require_own_packages

__version__ = "0.1.0"

require_own_packages()
