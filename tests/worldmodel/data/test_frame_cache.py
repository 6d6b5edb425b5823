import os
import resource

import h5py
import numpy as np
import pytest

import envs
from envs.behaviours import ColouredNoise
from envs.collect import collect
from envs.vision.camera import available
from worldmodel.data import stored_episodes
from worldmodel.data.dataset import load
from worldmodel.data.frame_cache import FrameCache
from worldmodel.observation import ObservationSpec, Sensor


@pytest.fixture(scope="module", autouse=True)
def drawing():
    if (reason := available()) is not None:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def task():
    task = envs.make("two_room")
    task.see(["pixels", "proprio"], size=32)
    yield task
    task.close()


@pytest.fixture
def folder(task, tmp_path):
    path = tmp_path / "data"
    collect(task, ColouredNoise(), episodes=3, steps=20, seed=0, path=path)
    return path


def test_pictures_come_back_as_they_were_drawn(task, folder):
    data = load(folder)
    assert [sensor.name for sensor in data.spec.sensors] == ["pixels", "proprio"]
    assert data.spec.sensors[0].shape == (32, 32, 3) and data.spec.sensors[0].dtype == "uint8"
    seen = task.observe(data.states)
    np.testing.assert_array_equal(data.readings["pixels"], seen["pixels"])
    np.testing.assert_array_equal(data.readings["proprio"], seen["proprio"])
    assert data.observations.shape == (63, 3), "vectors and their flag, without pictures"


def test_pictures_are_compressed_without_loss_and_readable_by_minari(folder):
    with h5py.File(folder / "main_data.hdf5") as file:
        stored = file["episode_1/observations/pixels"]
        assert stored.compression == "gzip"
        assert stored.id.get_storage_size() < 0.2 * stored.size
    import minari

    first, *_ = minari.MinariDataset(str(folder)).iterate_episodes()
    np.testing.assert_array_equal(first.observations["pixels"], load(folder).readings["pixels"][:21])


def test_pictures_are_decoded_once_and_mapped(folder, monkeypatch):
    first = load(folder)
    assert isinstance(first.readings["pixels"], np.memmap)
    asked = []
    original = stored_episodes._from_hdf5
    monkeypatch.setattr(stored_episodes, "_from_hdf5", lambda *given: asked.append(given[-1]) or original(*given))
    again = load(folder)
    assert asked == [{"pixels"}], "pictures are left out when reading"
    np.testing.assert_array_equal(first.readings["pixels"], again.readings["pixels"])


def test_changed_data_are_decoded_again(folder):
    load(folder)
    with h5py.File(folder / "main_data.hdf5", "a") as file:
        file["episode_0/observations/pixels"][5] = 7
    os.utime(folder / "main_data.hdf5", ns=(1, 1))
    assert (load(folder).readings["pixels"][5] == 7).all()


def test_a_cache_that_was_interrupted_is_not_used(folder):
    load(folder)
    (folder / "frames" / "key.json").unlink()
    (folder / "frames" / "pixels").write_bytes(b"half")
    assert load(folder).readings["pixels"].shape == (63, 32, 32, 3)


def test_a_folder_that_cannot_be_written_has_its_cache_elsewhere(folder, monkeypatch, caplog):
    import tempfile

    original = tempfile.mkdtemp

    def refused(*args, **kwargs):
        if kwargs.get("dir") == folder:
            raise PermissionError(13, "Permission denied")
        return original(*args, **kwargs)

    monkeypatch.setattr("worldmodel.data.frame_cache.tempfile.mkdtemp", refused)
    assert load(folder).readings["pixels"].shape == (63, 32, 32, 3)
    assert "cannot be written: its pictures are decoded into" in caplog.text


def test_a_full_disk_is_said_in_one_sentence_and_leaves_nothing(folder):
    """A limit on file sizes stands in for it: the same writes fail, and so does the flush when files are closed."""
    before, limits = sorted(folder.iterdir()), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(
            OSError, match=r"^the disk is full, .* MB of pictures decoded into .* picture takes 3.1 kB$"
        ):
            load(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(folder.iterdir()) == before


def test_an_episode_that_cannot_be_used_leaves_no_half_written_pictures(folder):
    with h5py.File(folder / "main_data.hdf5", "a") as file:
        file["episode_2/observations/proprio"][3] = np.inf
    before = sorted(folder.iterdir())
    with pytest.raises(ValueError, match="episode 2"):
        load(folder)
    assert sorted(folder.iterdir()) == before


def test_what_is_still_buffered_on_a_full_disk_hides_no_other_error(tmp_path):
    spec = ObservationSpec((Sensor("pixels", (8, 8, 3), "uint8"),))
    cache, limits = FrameCache(tmp_path, spec, {}), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(ValueError, match="a broken video"), cache.filling():
            cache.write("pixels", np.zeros((2, 8, 8, 3), np.uint8))
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
            raise ValueError("a broken video")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
