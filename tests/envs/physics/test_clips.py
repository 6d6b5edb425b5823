"""Quadruplets are what they say: twins up to the event, endings exchanged after it, and nothing in the pixels tells."""

import numpy as np
import pytest

from envs.physics.course import STATE, predicted
from envs.physics.possible import possible
from envs.physics.properties import CASES, OCCLUDED, PROPERTIES, quadruplet
from envs.physics.quadruplet import PAIRS
from envs.physics.scene import LOOK, SLOPE, Body, Scene
from envs.physics.studio import Studio
from envs.vision.camera import available

SIZE = 32


@pytest.fixture(scope="module")
def studio():
    if (reason := available()) is not None:
        pytest.skip(reason)
    made = Studio(SIZE, workers=1)
    yield made
    made.close()


def test_a_scene_is_a_vector_and_back():
    scene = Scene(Body("box", 0.12, "cyan", 0.2, 3.0), None, ledge=(-1.0, 0.5, 0.4), ramp=(0.2, -1), pusher=True)
    assert len(scene.vector()) == len(LOOK)
    assert Scene.of_vector(scene.vector()) == scene
    assert Scene.of_vector(Scene().vector()) == Scene()


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_twins_part_at_the_event(case):
    four = quadruplet(*case, 0, 0)
    for fine, impossible in PAIRS:
        one, other = four.clips[fine], four.clips[impossible]
        differs = np.abs(one.rows() - other.rows()).max(axis=1) > 0.01
        assert not differs[: four.event].any() and differs[four.event :].any()
        if not case[0].startswith("agency"):
            np.testing.assert_array_equal(one.actions[: four.event - 1], other.actions[: four.event - 1])


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_laws_of_the_scene_are_broken_by_the_impossible_clips_alone(case):
    """The simulator, from each state on, arrives at the next one; in impossible clips it does not, at the event."""
    four = quadruplet(*case, 1, 0)
    worst = []
    for number, clip in enumerate(four.clips):
        rows = clip.rows()
        away = []
        for now in range(len(rows) - 1):
            later = predicted(rows[now], clip.actions[now : now + 1])[: STATE - 1]
            look = np.abs(rows[now, STATE:] - rows[now + 1, STATE:]).max()
            away.append(np.abs(later - rows[now + 1, : STATE - 1]).max() + look)
        worst.append(max(away))
        assert number < 2 or int(np.argmax(away)) >= four.event - 2
    assert max(worst[:2]) < min(worst[2:])


def test_a_clip_follows_from_its_seed_and_number():
    for make in (lambda seed: possible(seed, 7), lambda seed: quadruplet("support", OCCLUDED, seed, 7).clips[3]):
        one, again, other = make(0), make(0), make(1)
        np.testing.assert_array_equal(one.rows(), again.rows())
        assert not np.array_equal(one.rows(), other.rows())
    held = quadruplet("support", OCCLUDED, 0, 7, "validate").clips[3]
    assert not np.array_equal(held.rows(), quadruplet("support", OCCLUDED, 0, 7).clips[3].rows())


def test_what_is_learned_from_shows_ramps_and_collisions():
    """In one clip of ten each, at least; in the worlds of the tests alone it is one of forty."""
    clips = [possible(0, number) for number in range(200)]
    ramps = [clip for clip in clips if clip.looks[0, LOOK.index("ramp_present")]]
    assert len(ramps) > 20
    met = 0
    for clip in clips:
        if clip.looks[0, LOOK.index("second_present")] and not clip.looks[0, LOOK.index("pusher_present")]:
            speeds = np.diff(clip.states[:, [7, 10]], axis=0)  # of both bodies, along x
            met += bool((np.abs(speeds) > 0.1).all(axis=1).any())
    assert met > 20
    for clip in ramps:  # a body is on its ramp, not within it
        look = dict(zip(LOOK, clip.looks[0], strict=True))
        x, z = (clip.states[0, 0] - look["ramp_foot"]) * look["ramp_direction"], clip.states[0, 1]
        height = z * np.cos(SLOPE) - x * np.sin(SLOPE)
        assert height == pytest.approx(look["first_size"], abs=1e-6)


def test_a_property_that_does_not_exist():
    with pytest.raises(ValueError, match="no property 'gravity' with visibility 'occluded'"):
        quadruplet("gravity", OCCLUDED, 0, 0)
    assert all(each.why for each in PROPERTIES.values() if OCCLUDED not in each.visibilities)


@pytest.mark.parametrize("case", [case for case in CASES if case[1] == OCCLUDED], ids="-".join)
def test_behind_the_screen_the_largest_change_of_pixels_is_the_same_in_twins(case, studio):
    """What only looks at how much changes is right in half of the pairs."""
    drawn = studio.quadruplets(*case, 0, range(2))
    change = np.square(np.diff(drawn.pictures.astype(np.float32), axis=1)).mean(axis=(2, 3, 4))
    peaks, sums = change.max(axis=1).reshape(-1, 4), change.sum(axis=1).reshape(-1, 4)
    for fine, impossible in PAIRS:
        np.testing.assert_array_equal(peaks[:, fine], peaks[:, impossible])
    more = [sums[:, impossible] - sums[:, fine] for fine, impossible in PAIRS]
    np.testing.assert_allclose(more[0], -more[1], atol=0.05 * sums.min())


@pytest.mark.parametrize("case", [("colour", OCCLUDED), ("permanence", OCCLUDED), ("inertia", OCCLUDED)], ids="-".join)
def test_at_the_event_nothing_is_to_be_seen(case, studio):
    drawn = studio.quadruplets(*case, 0, range(3), possible_only=True)
    for first in range(0, len(drawn.pictures), 2):
        one, other = drawn.pictures[first : first + 2]
        event = drawn.events[first]
        np.testing.assert_array_equal(one[event - 2 : event + 2], other[event - 2 : event + 2])
        assert not np.array_equal(one, other)


def test_workers_draw_the_same(studio):
    alone = Studio(SIZE, workers=0)
    together = studio.possible(3, range(70))
    assert studio._processes
    for number in (0, 32, 69):
        one = alone.possible(3, [number])
        np.testing.assert_array_equal(one.pictures[0], together.pictures[number])
        np.testing.assert_array_equal(one.rows[0], together.rows[number])
    for process in studio._processes:
        process.kill()
    again = studio.possible(3, range(70))  # goes on without them
    np.testing.assert_array_equal(again.pictures, together.pictures)
    assert studio._processes == []
    alone.close()
