import hashlib

import jax
import pytest

from planning.control import Bundle, BundleEngine
from planning.control.bundle import compile_cache

from ..loops import make_engine


@pytest.fixture(scope="module")
def bundle():
    return Bundle.of(make_engine().agent)


@pytest.fixture(scope="module")
def cold(bundle, tmp_path_factory):
    """The entries of a cache that has been filled once."""
    folder = tmp_path_factory.mktemp("cold")
    BundleEngine(bundle, folder).warmup()
    return contents(folder)


@pytest.fixture
def folder(cold, tmp_path):
    for name, content in cold.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if "atime" not in file.name}


def damage_content(folder, entry):
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 1
    entry.write_bytes(content)


def truncate(folder, entry):
    entry.write_bytes(entry.read_bytes()[:100])


def empty(folder, entry):
    entry.write_bytes(b"")


def lose_seal(folder, entry):
    entry.with_name(entry.name.removesuffix("-cache") + "-sha256").unlink()


def damage_seal(folder, entry):
    entry.with_name(entry.name.removesuffix("-cache") + "-sha256").write_bytes(b"\xff")


@pytest.mark.parametrize("damage", [damage_content, truncate, empty, lose_seal, damage_seal])
def test_a_damaged_entry_is_written_again_and_the_next_start_finds_it(bundle, cold, folder, damage):
    entry = next(folder.glob("*-cache"))
    damage(folder, entry)
    BundleEngine(bundle, folder).warmup()
    healed = contents(folder)
    assert set(healed) == set(cold)
    BundleEngine(bundle, folder).warmup()
    assert contents(folder) == healed
    seal = entry.with_name(entry.name.removesuffix("-cache") + "-sha256")
    assert {name for name in cold if healed[name] != cold[name]} <= {entry.name, seal.name}


def test_a_sound_cache_is_left_as_it_is(bundle, cold, folder):
    BundleEngine(bundle, folder).warmup()
    assert contents(folder) == cold


def test_what_jax_cannot_read_although_its_seal_fits_is_deleted_and_planning_starts(bundle, cold, folder, caplog):
    entry = next(folder.glob("*-cache"))
    entry.write_bytes(b"no machine code")
    seal = entry.with_name(entry.name.removesuffix("-cache") + "-sha256")
    seal.write_text(hashlib.sha256(compile_cache.machine() + b"no machine code").hexdigest())
    engine = BundleEngine(bundle, folder)
    engine.warmup()
    assert "are not usable, and are deleted" in caplog.text and entry.name not in contents(folder)
    BundleEngine(bundle, folder).warmup()
    assert set(contents(folder)) == set(cold)


def test_machine_code_for_another_processor_is_not_read(bundle, cold, folder, monkeypatch):
    monkeypatch.setattr(compile_cache, "machine", lambda: b"another")
    BundleEngine(bundle, folder).warmup()
    new = contents(folder)
    assert set(new) == set(cold) and all(new[name] != cold[name] for name in cold if name.endswith("-sha256"))


def test_a_cache_that_is_no_folder_costs_a_warning(bundle, tmp_path, caplog):
    file = tmp_path / "cache"
    file.write_text("a file of the user's")
    before = jax.config.jax_compilation_cache_dir
    BundleEngine(bundle, file).warmup()
    assert "cannot hold compiled programs" in caplog.text and file.read_text() == "a file of the user's"
    assert jax.config.jax_compilation_cache_dir == before
