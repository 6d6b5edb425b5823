import pytest

import envs

NOT_PLAIN = (
    "two_room_sensors",
    "stirred_tank",
)  # dictionaries of sensors, no body: test_sensors.py, test_stirred_tank.py
BODIES = tuple(name for name in envs.TASKS if name not in NOT_PLAIN)


@pytest.fixture(scope="module", params=BODIES)
def task(request):
    task = envs.make(request.param)
    yield task
    task.close()
