"""Where everything meets: the command line, the benchmarks and their results. Only here is Hydra read."""

from .shell.shadowing import require_own_packages

require_own_packages()
