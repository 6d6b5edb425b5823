"""Strictness for every test: shapes are checked at each call, and JAX promotes neither ranks nor types silently."""

import os

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
