import pytest

from planning.control import Recipe


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """A folder for what planner processes compile: one that comes back finds what the one before compiled."""
    return tmp_path_factory.mktemp("xla")


@pytest.fixture(scope="module")
def recipe(compiled):
    """Of an engine that is small enough for a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(compiled))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield Recipe.factory("experiments.bench.robot.tiny_engine:make")
