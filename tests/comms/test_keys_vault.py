"""Sealed files of keys: what opens them, what doesn't, what a power cut leaves, and who may read them."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.keys.faults import KeyFault, KeyringError
from comms.keys.vault import Lock, LockKind, ScryptCost, SealedFile, SecretFolder, lock_kind
from hil.disk import PowerCut, SimDisk

CHEAP = ScryptCost(4, 1, 1)
PASSPHRASE = "correct horse battery"
KEY = bytes(range(32))


def disk(seed: int = 1) -> SimDisk:
    return SimDisk(np.random.default_rng(seed))


def sealed(files, lock: Lock | None = None, name: str = "keyring", mirror: bool = True) -> SealedFile:
    return SealedFile(files, name, lock or Lock.from_sealing_key(KEY), np.random.default_rng(7).bytes, mirror=mirror)


def overwrite(files: SimDisk, name: str, data: bytes) -> None:
    handle = files.create(name)
    files.write(handle, data)
    files.close(handle)


@pytest.mark.parametrize("lock", [Lock.from_sealing_key(KEY), Lock.from_passphrase(PASSPHRASE, CHEAP)], ids=str)
def test_what_was_stored_is_found_again_by_a_new_program(lock):
    files = disk()
    sealed(files, lock).save(b"secret")
    assert sealed(files, lock).load() == b"secret"
    assert b"secret" not in b"".join(files.read(name, 10_000) or b"" for name in files.names())


def test_nothing_stored_is_no_error():
    assert sealed(disk()).load() is None


@pytest.mark.parametrize("other", [
    Lock.from_sealing_key(KEY[::-1]), Lock.from_passphrase("another passphrase", CHEAP),
], ids=str)
def test_another_key_or_passphrase_is_told_apart_from_damage(other):
    files = disk()
    sealed(files, Lock.from_passphrase(PASSPHRASE, CHEAP)).save(b"secret")
    with pytest.raises(KeyringError, match="wrong passphrase") as caught:
        sealed(files, other).load()
    assert caught.value.fault is KeyFault.LOCKED
    assert PASSPHRASE not in str(caught.value)


def test_any_changed_byte_of_both_copies_is_found():
    files = disk()
    sealed(files).save(b"secret")
    names = files.names()
    data = {name: files.read(name, 10_000) or b"" for name in names}
    for at in range(len(data[names[0]])):
        for name in names:
            overwrite(files, name, data[name][:at] + bytes([data[name][at] ^ 4]) + data[name][at + 1:])
        with pytest.raises(KeyringError) as caught:
            sealed(files).load()
        assert caught.value.fault in (KeyFault.DAMAGED, KeyFault.LOCKED)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_in_a_file_raise_anything_but_a_named_refusal(data):
    files = disk()
    overwrite(files, "keyring-a.qkey", data)
    with pytest.raises(KeyringError):
        sealed(files).load()


def test_one_damaged_copy_is_made_good_from_the_other():
    files = disk()
    sealed(files).save(b"secret")
    overwrite(files, "keyring-a.qkey", b"rubbish")
    assert sealed(files).load() == b"secret"
    overwrite(files, "keyring-b.qkey", b"rubbish")
    assert sealed(files).load() == b"secret"


def test_one_file_does_not_stand_in_for_another():
    files = disk()
    sealed(files).save(b"secret")
    overwrite(files, "counters-a.qkey", files.read("keyring-a.qkey", 10_000) or b"")
    with pytest.raises(KeyringError, match="damaged"):
        sealed(files, name="counters").load()


def test_a_save_leaves_nothing_of_what_was_before():
    files = disk()
    file = sealed(files)
    file.save(b"old")
    file.save(b"new")
    for name in ("keyring-a.qkey", "keyring-b.qkey"):
        alone = disk()
        overwrite(alone, name, files.read(name, 10_000) or b"")
        assert sealed(alone).load() == b"new"


@pytest.mark.parametrize("mirror", [True, False])
def test_a_power_cut_at_every_system_call_leaves_the_old_or_the_new_payload_whole(mirror):
    for seed in range(20):
        for call in range(14):
            files = disk(seed)
            file = sealed(files, mirror=mirror)
            file.save(b"older" * 200)
            file.save(b"old" * 300)
            files.dies_at = files.calls + call
            try:
                file.save(b"new" * 250)
            except PowerCut:
                files.restart()
            files.dies_at = None
            found = sealed(files, mirror=mirror).load()
            assert found in (b"old" * 300, b"new" * 250)
            # Both copies are alike again, so that the one before it is really gone.
            if mirror:
                assert sealed(files).load() == found


def test_a_full_medium_is_named_and_keeps_what_was_there():
    files = disk()
    file = sealed(files)
    file.save(b"old")
    files.full = True
    with pytest.raises(KeyringError) as caught:
        file.save(b"new")
    assert caught.value.fault is KeyFault.STORAGE
    assert sealed(files).load() == b"old"


def test_what_another_program_stored_is_noticed():
    files = disk()
    file = sealed(files)
    file.save(b"old")
    assert not file.changed()
    other = sealed(files)
    other.load()
    other.save(b"new")
    assert file.changed()
    assert file.load() == b"new"
    assert not file.changed()


def test_the_header_says_what_a_file_is_sealed_with():
    files = disk()
    assert lock_kind(files, "keyring") is None
    sealed(files, Lock.from_passphrase(PASSPHRASE, CHEAP)).save(b"x")
    assert lock_kind(files, "keyring") is LockKind.PASSPHRASE


@pytest.mark.parametrize("cost", [(0, 8, 1), (25, 8, 1), (17, 33, 1), (17, 8, 5), (20, 8, 1), (24, 1, 1)])
def test_a_header_cannot_ask_for_the_machines_memory(cost):
    with pytest.raises(ValueError, match="scrypt"):
        ScryptCost(*cost)


def test_the_shipped_cost_of_a_passphrase_is_128_mib():
    assert 128 * ScryptCost().r << ScryptCost().log2_n == 128 * 2**20


def test_weak_passphrases_and_sealing_keys_are_refused():
    with pytest.raises(KeyringError, match="11 characters"):
        Lock.from_passphrase("elevenchars")
    for key in (b"", bytes(32), b"\xff" * 32, KEY[:31]):
        with pytest.raises(KeyringError):
            Lock.from_sealing_key(key)


def test_files_and_folder_are_for_their_owner_alone(tmp_path):
    files = SecretFolder(tmp_path / "keys")
    sealed(files).save(b"secret")
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    for path in (tmp_path / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sealed(files).load() == b"secret"
    for path in (tmp_path / "keys").iterdir():
        os.chmod(path, 0o640)
    with pytest.raises(KeyringError, match="permissions") as caught:
        sealed(files).load()
    assert "chmod" in caught.value.next_step


def test_nothing_secret_is_shown():
    for lock in (Lock.from_passphrase(PASSPHRASE, CHEAP), Lock.from_sealing_key(KEY)):
        assert PASSPHRASE not in repr(lock)
        assert KEY.hex() not in repr(lock)
        assert repr(KEY) not in repr(lock)
