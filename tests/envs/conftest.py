import pytest

import envs

NOT_PLAIN = (
    "two_room_roofed",
    "two_room_sensors",
    "stirred_tank",
    "push_t",
    "reacher_tip",
    "fetch_push",
    "fetch_pick_and_place",
    "cube_single",
)  # a roof over two_room, dictionaries of sensors, no body, contact, two elbows: each has a test file of its own
BODIES = tuple(name for name in envs.TASKS if name not in NOT_PLAIN)


@pytest.fixture(scope="module", params=BODIES)
def task(request):
    task = envs.make(request.param)
    yield task
    task.close()
