"""Versions of bundles and contracts: what may be missing, what is refused, and what is upgraded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise

from planning.control import Bundle, BundleError
from planning.control.bundle.bundle import digest
from planning.control.engine import formats
from planning.control.engine.contract import Contract

OLD = Path(__file__).parents[3] / "data" / "formats" / "1" / "two_room.bundle"


@pytest.fixture(scope="module")
def fields():
    return header_of(OLD)["contract"]


def header_of(path):
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["jepa-mpc"])


def changed(path, change):
    """The old bundle with another header, and the hash that belongs to it."""
    header, tensors = header_of(OLD), parse(OLD.read_bytes())
    change(header)
    header["sha256"] = digest(header, tensors)
    path.write_bytes(serialise(tensors, {"jepa-mpc": json.dumps(header)}))
    return path


def count_to_size(contract):
    """A made-up upgrade: what is `latent_size` now was called `code_size`."""
    return {
        **{name: value for name, value in contract.items() if name != "code_size"},
        "latent_size": contract["code_size"],
    }


def as_older(contract, version=0):
    """The contract as an earlier version would have written it, for `count_to_size`."""
    contract["format"], contract["code_size"] = version, contract.pop("latent_size")
    return contract


def test_a_newer_contract_is_refused_with_the_fix(fields, tmp_path):
    newer = formats.FORMAT + 1
    words = f"it has the newer format {newer}, and this version reads {formats.FORMAT}: update jepa-mpc, or export"
    with pytest.raises(ValueError, match=words):
        Contract.from_json({**fields, "format": newer, "whatever": 1})
    for change in (
        lambda header: header.update(format=newer, whatever=1),
        lambda header: header["contract"].update(format=newer),
    ):
        with pytest.raises(BundleError, match=f"newer.bundle cannot be used: {words}"):
            Bundle.load(changed(tmp_path / "newer.bundle", change))


def test_an_unknown_field_is_named_with_both_versions(fields):
    with pytest.raises(ValueError) as raised:
        Contract.from_json({**fields, "flavour": 1})
    assert str(raised.value) == (
        "the contract has unknown fields: 'flavour', which a newer jepa-mpc may have written (it has format 1, and "
        f"this version reads {formats.FORMAT}): update jepa-mpc, or export it again"
    )


@pytest.mark.parametrize("version", [None, "1", True, 1.0, -(10**30), [1]])
def test_a_version_that_there_never_was_is_refused(fields, tmp_path, version):
    with pytest.raises(ValueError, match="it has another format than"):
        Contract.from_json({**fields, "format": version})
    with pytest.raises(BundleError, match="it has another format than"):
        Bundle.load(changed(tmp_path / "b", lambda header: header.update(format=version)))


def test_fields_of_the_header_with_a_default_may_be_missing(tmp_path):
    assert Bundle.load(changed(tmp_path / "b", lambda header: header.pop("guards"))).guards == {}
    with pytest.raises(BundleError, match="it has missing fields: platforms, state: take an intact copy"):
        Bundle.load(changed(tmp_path / "b", lambda header: [header.pop(name) for name in ("state", "platforms")]))


def test_upgrades_are_applied_in_their_order(fields, tmp_path, monkeypatch):
    known, seen = Contract.from_json(fields), []

    def first(contract):
        seen.append("code_size" in contract)
        return {**contract, "format": 0}

    monkeypatch.setitem(formats.UPGRADES, -1, first)
    with pytest.raises(ValueError, match="another format than"):  # there is a gap
        Contract.from_json(as_older({**fields}, -1))
    monkeypatch.setitem(formats.UPGRADES, 0, count_to_size)
    assert Contract.from_json(as_older({**fields}, -1)) == known and seen == [True]

    def older(header):
        header["format"] = -1
        as_older(header["contract"], -1)

    bundle = Bundle.load(changed(tmp_path / "old.bundle", older))
    assert bundle.contract == known and bundle.contract.format == formats.FORMAT
    bundle.save(tmp_path / "new.bundle")
    assert header_of(tmp_path / "new.bundle")["contract"] == known.to_json()


def test_an_upgrade_that_meets_another_contract_is_one_sentence(fields, monkeypatch):
    monkeypatch.setitem(formats.UPGRADES, 0, count_to_size)
    words = f"the contract of format 0 cannot be upgraded to {formats.FORMAT} .count_to_size: KeyError"
    with pytest.raises(ValueError, match=words):
        Contract.from_json({**fields, "format": 0})
