import subprocess
import sys

import numpy as np
import pytest

from planning.control import Heartbeat, Reason, Source, read_heartbeat

from ..loops import Rig, make_engine

READ = "import struct, sys; print(*struct.unpack('<QdII', open(sys.argv[1], 'rb').read())[::2])"


def test_it_counts_the_commands_that_were_handed_out_for_another_process(tmp_path):
    heartbeat = Heartbeat(tmp_path / "robot")
    rig = Rig(make_engine(), heartbeat=heartbeat.beat)
    assert read_heartbeat(heartbeat.path).count == 0
    for _ in range(3):
        rig.step()
    beat = read_heartbeat(heartbeat.path)
    assert (beat.count, beat.source, beat.reason) == (3, Source.PLAN, Reason.OK)
    rig.control.stop()
    rig.step()
    said = subprocess.run([sys.executable, "-c", READ, heartbeat.path], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["4", str(int(Source.BRAKE))]
    heartbeat.close()
    with pytest.raises(FileNotFoundError):
        read_heartbeat(heartbeat.path)


def test_another_file_is_none(tmp_path):
    (tmp_path / "other").write_text("words")
    with pytest.raises(ValueError, match="has 5 bytes, and a heartbeat 24"):
        read_heartbeat(tmp_path / "other")


def test_a_callback_that_raises_does_not_stop_the_loop():
    def broken(command):
        raise RuntimeError("the drive is gone")

    rig = Rig(make_engine(), heartbeat=broken)
    assert all(np.isfinite(rig.step().action).all() for _ in range(3))
    assert rig.control.command.source == Source.PLAN
