"""Strictness for every test: shapes are checked at each call, and JAX promotes neither ranks nor types silently."""

import gc
import os
from importlib.metadata import version

from experiments.shell.folders import cache_dir

# What is compiled once is there for the other workers and for the next run, as it is for the command line.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_dir()))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")  # hundreds of small ones are what takes long
# Most of a test's time is XLA's, on programs that then run for milliseconds: without LLVM's optimisations, and with the
# emitter that writes less code, it takes a third. `XLA_FLAGS= make test` compiles as users do. XLA ends a process on a
# flag that it does not know, so only versions that were tried get them.
if version("jax").startswith("0.10."):
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1 "
        "--xla_cpu_use_fusion_emitters=false",
    )

# What is said to the last bit is said of processors: a GPU adds up in another order, and multiplies with fewer digits.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import hypothesis
import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache
from jaxtyping import install_import_hook

install_import_hook(["planning", "worldmodel", "envs"], "beartype.beartype")

gc.set_threshold(50_000, 10, 10)  # as the command line does: tracing allocates a million objects

# imageio-ffmpeg forks by hand otherwise, which JAX warns of; the command line sets the same.
os.environ.setdefault("IMAGEIO_FFMPEG_NO_PREVENT_SIGINT", "1")

hypothesis.settings.register_profile("tests", deadline=None)  # no test is about how busy the machine is
hypothesis.settings.load_profile("tests")

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


def pytest_collection_finish():
    """Leave the half million objects of imports and tests out of every later garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture(autouse=True, scope="module")
def forget_compiled_programs():
    """Keep the process small: with the programs of every file it grows by gigabytes, and the disk has them too."""
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture
def compiled(tmp_path):
    """Names of the programs that were compiled in the test so far, as a function; none is known at its start."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    for name, value in zip(names, (str(tmp_path / "xla"), 0.0), strict=True):
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # JAX reads the settings once per process
    jax.clear_caches()
    yield lambda: {path.name for path in (tmp_path / "xla").glob("*-cache")}
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
