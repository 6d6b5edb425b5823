import pytest

import envs

NOT_PLAIN = (
    "two_room_roofed",
    "two_room_sensors",
    "stirred_tank",
)  # two_room with a roof, dictionaries of sensors, no body: test_two_room_roofed.py, test_sensors.py, test_stirred_tank.py
BODIES = tuple(name for name in envs.TASKS if name not in NOT_PLAIN)


@pytest.fixture(scope="module", params=BODIES)
def task(request):
    task = envs.make(request.param)
    yield task
    task.close()
