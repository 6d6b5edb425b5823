"""Strictness for every test: shapes are checked at each call, and JAX promotes neither ranks nor types silently."""

import os

from experiments.shell.folders import cache_dir

# What is compiled once is there for the other workers and for the next run, as it is for the command line.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_dir()))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

# What is said to the last bit is said of processors: a GPU adds up in another order, and multiplies with fewer digits.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest
from jaxtyping import install_import_hook

install_import_hook(["planning", "worldmodel", "envs"], "beartype.beartype")

# imageio-ffmpeg forks by hand otherwise, which JAX warns of; the command line sets the same.
os.environ.setdefault("IMAGEIO_FFMPEG_NO_PREVENT_SIGINT", "1")

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture
def key():
    return jax.random.key(0)
