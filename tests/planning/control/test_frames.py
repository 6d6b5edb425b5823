"""Pictures beside a log: referred to by number, embedded again bit for bit, and never in the way of a control step."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.commands.replay import replay_log, save_picture
from planning.control import LiveEngine, Loop, Planning, RealtimeController, Reason, Telemetry
from planning.control.log.stored_frames import StoredFrames
from planning.control.loop.telemetry import frames_beside, read_lines

from .loops import Rig, make_engine
from .test_sensors import GOAL, SEEN, SIDE, seeing

RNG = np.random.default_rng(1)


@pytest.fixture(scope="module")
def engine():
    return LiveEngine(seeing())


def moment(step):
    return {**SEEN, "camera": RNG.integers(0, 255, (SIDE, SIDE, 3), np.uint8), "heading": [10.0 + step]}


def drive(engine, path, steps=12, **options):
    """One run; returns the pictures by number of the observation. The second is refused, the third has none."""
    now, shown = [0.0], []
    telemetry = Telemetry(path, **options)
    control = RealtimeController(
        engine, planning=Planning(log=True), worker="inline", clock=lambda: now[0], telemetry=telemetry
    )
    control.start()
    control.reset(GOAL, seed=0)
    for step in range(steps):
        now[0] += engine.contract.control_period
        seen = moment(step)
        if step == 1:
            seen["camera"] = np.zeros_like(seen["camera"])
        shown.append(seen["camera"].copy())
        reason = control.notify_observation(seen)
        assert reason == (Reason.OUT_OF_RANGE_OBSERVATION if step == 1 else Reason.OK)
        seen["camera"][:] = 0  # the driver's buffer
        control.get_action()
    control.stop()
    telemetry.close()
    return [picture for step, picture in enumerate(shown) if step != 1]


def test_a_log_refers_to_its_pictures_and_replay_embeds_them_again(engine, tmp_path):
    path = tmp_path / "run.jsonl"
    shown = drive(engine, path)
    lines = list(read_lines(path))
    steps = [line["frame"] for line in lines if line["kind"] == "step"]
    assert steps == [1, 1, *range(2, 12)]  # the newest accepted picture at each step
    plans = [line["frames"] for line in lines if line["kind"] == "plan"]
    assert {number for numbers in plans for number in numbers} == set(range(1, 12))
    stored = StoredFrames(frames_beside(path))
    for number, picture in enumerate(shown, 1):
        np.testing.assert_array_equal(stored.get(number).pictures["camera"], picture)
    result = replay_log(path, engine)
    assert not result.different and (result.frames.same, result.frames.different, result.frames.missing) == (11, [], 0)


def test_a_picture_that_gives_another_embedding_is_named(engine, tmp_path):
    path = tmp_path / "run.jsonl"
    drive(engine, path)
    drive(engine, tmp_path / "other.jsonl")
    (file,), (foreign,) = (list(frames_beside(each).iterdir()) for each in (path, tmp_path / "other.jsonl"))
    foreign.rename(file)
    result = replay_log(path, engine)
    assert not result.different and result.frames.different == list(range(1, 12))
    file.unlink()
    gone = replay_log(path, engine)
    assert gone.frames.missing == 11 and not gone.frames.different


def test_the_picture_of_a_moment_is_saved(engine, tmp_path):
    import imageio.v3

    path, period = tmp_path / "run.jsonl", engine.contract.control_period
    shown = drive(engine, path)
    (file,) = save_picture(path, 4.4 * period)
    assert file == tmp_path / "run-frame-3.png"
    np.testing.assert_array_equal(imageio.v3.imread(file), shown[2])
    assert save_picture(path, 1e9, out=tmp_path / "last.png") == [tmp_path / "last.png"]
    with pytest.raises(ValueError, match="the pictures in run.jsonl begin at .* s, after moment=0"):
        save_picture(path, 0.0)
    (frames,) = frames_beside(path).iterdir()
    frames.unlink()
    with pytest.raises(ValueError, match=r"the picture 11 of run.jsonl was overwritten: none is left; raise Telemetry"):
        save_picture(path, 1e9)


def test_two_runs_share_the_ring_and_a_log_without_one_says_so(engine, tmp_path):
    path = tmp_path / "run.jsonl"
    drive(engine, path)
    second = drive(engine, path, steps=5)
    assert replay_log(path, engine, run=1).frames.same == 11 and replay_log(path, engine).frames.same == 4
    np.testing.assert_array_equal(StoredFrames(frames_beside(path)).get(15).pictures["camera"], second[-1])
    bare = tmp_path / "bare.jsonl"
    drive(engine, bare, frame_bytes=0)
    assert not frames_beside(bare).exists() and all("frames" not in line for line in read_lines(bare))
    with pytest.raises(ValueError, match="bare.jsonl refers to no pictures"):
        save_picture(bare, 1.0)
    with pytest.raises(ValueError, match="frame_bytes must be a whole number, 0 or more"):
        Telemetry(bare, frame_bytes=-1)


def test_frames_that_are_dropped_are_said_in_the_log(engine, tmp_path):
    path = tmp_path / "run.jsonl"
    drive(engine, path, frame_bytes=100)
    assert sum(line["frames"] for line in read_lines(path) if line["kind"] == "missing_frames") == 11
    result = replay_log(path, engine)
    assert not result.different and result.frames.missing == 11


def test_without_a_camera_there_are_no_frames(tmp_path):
    rig = Rig(make_engine(), planning=Planning(log=True), telemetry=str(tmp_path / "run.jsonl"))
    for _ in range(3):
        rig.step()
    rig.control.stop()
    assert [file.name for file in tmp_path.iterdir()] == ["run.jsonl"]
    assert all(line["frame"] is None for line in read_lines(tmp_path / "run.jsonl") if line["kind"] == "step")


def test_late_pictures_are_refused_and_the_log_names_the_sensor_and_the_fix(engine, caplog):
    period, now = engine.contract.control_period, [100.0]
    control = RealtimeController(engine, Loop(frozen_after=None), worker="inline", clock=lambda: now[0])
    with control:
        control.reset(GOAL)
        assert control.notify_observation(SEEN, stamps={"camera": 100.0 - 2 * period}) == Reason.OK
        now[0] += period
        late = {"camera": now[0] - 4 * period}
        assert control.notify_observation(SEEN, stamps=late) == Reason.STALE_OBSERVATION
        assert control.notify_observation(SEEN, now[0], stamps={"speed": np.nan}) == Reason.STALE_OBSERVATION
        now[0] += period
        assert control.notify_observation(SEEN) == Reason.OK
        now[0] += 5 * period
        assert control.notify_observation(SEEN, now[0] - 3.5 * period) == Reason.STALE_OBSERVATION
        control.get_action()
        assert Reason.STALE_OBSERVATION in control.command.wrong
        assert control.notify_observation({**SEEN, "camera": SEEN["camera"] / 255.0}) == Reason.MALFORMED_OBSERVATION
    age, most = 4 * period, 3 * period
    assert f"the reading of the sensor camera is {age:.3f} s old, and at most {most:g} s is allowed" in caplog.text
    assert "of the sensor camera must be an array of uint8 [64, 64, 3]; got float64 [64, 64, 3]: give" in caplog.text


def test_a_frozen_camera_stops_the_robot_until_it_shows_something_else():
    engine = LiveEngine(seeing(), sensor_low=(-1.0, -1.0, 0.0), sensor_high=(1.0, 1.0, 360.0))
    now, period = [0.0], engine.contract.control_period
    control = RealtimeController(engine, Loop(frozen_after=4 * period), worker="inline", clock=lambda: now[0])
    with control:
        control.reset(GOAL)
        reasons = []
        for step in range(9):
            now[0] += period
            seen = moment(0) if step == 8 else {**SEEN, "heading": [10.0 + 30 * step]}
            control.notify_observation(seen)
            control.get_action()
            reasons.append(Reason.STUCK_OBSERVATION in control.command.wrong)
        assert reasons == [False] * 4 + [True] * 4 + [False]


def test_reversed_channels_are_refused_at_the_start_by_both_controllers():
    from planning.control import Controller

    from .engine.test_pictures import scene

    mean = np.zeros((SIDE, SIDE, 3))
    small = np.mean([scene() for _ in range(20)], axis=0)
    mean[:16, :16] = small
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture[:16, :16] = scene()
    right, wrong = {**SEEN, "camera": picture}, {**SEEN, "camera": picture[..., ::-1].copy()}
    engine = LiveEngine(seeing(), pictures={"camera": mean})
    control = Controller(engine)
    with pytest.raises(ValueError, match="the picture of the sensor camera fits the training data with its channels"):
        control.reset(goal=wrong)
    control.reset(goal=right, seed=0)
    with pytest.raises(ValueError, match="the picture of the sensor camera fits the training data with its channels"):
        control.act(wrong)
    control.act(right)
    loop = RealtimeController(engine, Loop(), worker="inline", clock=lambda: 0.0)
    with pytest.raises(ValueError, match="with its channels reversed alone"):
        loop.reset(wrong)
    with loop:
        loop.reset(right)
        assert loop.notify_observation(wrong, 0.0) == Reason.OUT_OF_RANGE_OBSERVATION
        assert loop.notify_observation(right, 0.0) == Reason.OK
