"""Strictness for every test: shapes are checked at each call, and JAX promotes neither ranks nor types silently."""

import jax
import pytest
from jaxtyping import install_import_hook

install_import_hook(["planning", "worldmodel", "envs"], "beartype.beartype")

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture
def key():
    return jax.random.key(0)
