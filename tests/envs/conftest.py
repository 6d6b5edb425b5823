import pytest

import envs


@pytest.fixture(scope="module", params=envs.TASKS)
def task(request):
    task = envs.make(request.param)
    yield task
    task.close()
