"""The audit log: chained and signed as it says, bounded, and found again behind every power cut."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import cbor2
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from comms.watch.audit import AuditLog, AuditSettings
from comms.watch.audit_files import MAGIC
from comms.watch.audit_record import AuditClass, AuditEvent, AuditSeverity, Head, read_entry
from comms.watch.signing import AuditSigner, is_signed
from comms.watch.verify import Damage, verify
from hil.disk import PowerCut, SimDisk

SECOND = 10**9
SIGNER = AuditSigner(bytes(range(32)))
SMALL = AuditSettings(files=4, file_bytes=4096)


def event(kind: AuditClass = AuditClass.ACK, number: int = 0, source: str = "desk", **changed) -> AuditEvent:
    return AuditEvent(kind, number * SECOND, source, command_id=f"c{number}", **changed)


def fill(log: AuditLog, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        assert log.append(event(number=number), number * SECOND)


def files_of(disk: SimDisk) -> list[tuple[str, bytes]]:
    return [(name, disk.read(name, 1 << 30) or b"") for name in disk.names() if name.endswith(".log")]


def events_of(disk: SimDisk) -> list[AuditEvent]:
    found: dict[int, AuditEvent] = {}
    for _, data in files_of(disk):
        at = len(MAGIC)
        while (entry := read_entry(data, at)) is not None:
            assert entry.event is not None
            found[entry.number] = entry.event
            at += entry.size
    return [found[number] for number in sorted(found)]


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk(np.random.default_rng(1))


def test_every_record_is_canonical_and_carries_the_digest_of_the_one_before(disk: SimDisk):
    log = AuditLog(disk, SIGNER, 1, 0)
    fill(log, 200)
    head = log.close(0)
    (_, data), = files_of(disk)
    decoder_input = data[len(MAGIC):]
    before = sha256(b"qiki audit 1 begins" + SIGNER.public_key).digest()
    number, at = 0, 0
    key = Ed25519PublicKey.from_public_bytes(SIGNER.public_key)
    while at < len(decoder_input):
        record, check, signature = cbor2.loads(decoder_input[at:])
        at += len(cbor2.dumps([record, check, signature]))
        body = cbor2.loads(record)
        assert cbor2.dumps(body, canonical=True) == record
        assert body[:2] == [number, before]
        before = sha256(record).digest()
        assert check == before[:4]
        assert len(signature) == (64 if number % 64 == 63 else 0)
        if signature:
            key.verify(signature, b"qiki audit 1 record" + before)
        number += 1
    assert (number, log.records) == (201, 201)
    assert (head.number, head.digest) == (200, before)
    key.verify(head.signature, b"qiki audit 1 head" + (200).to_bytes(9, "big") + before)


def test_all_fields_of_an_event_come_back(disk: SimDisk):
    full = AuditEvent(
        AuditClass.MODULE_ATTACH, 5, "desk", 1_700_000_000_000_000_000, "c1", "free", "docked", ("A", "B"), "ann",
        "arm", "north", "confirmed", AuditSeverity.CRITICAL, True, {"tries": 3, "side": "left"},
    )
    log = AuditLog(disk, SIGNER, None, 0)
    log.append(full, 0)
    log.close(0)
    assert events_of(disk)[-1] == full


def test_long_texts_and_lists_are_cut_so_that_a_record_is_bounded():
    texts = dict.fromkeys(("previous", "new", "operator", "module", "bayonet", "effect"), "ü" * 500)
    long = event(codes=("C" * 500,) * 50, more={f"{n:03d}" + "m" * 200: "v" * 500 for n in range(99)}, **texts)
    back = AuditEvent.from_fields(long.fields())
    assert back is not None
    assert (len(back.codes), len(back.more), len((back.operator or "").encode())) == (8, 24, 95)
    disk = SimDisk(np.random.default_rng(1))
    log = AuditLog(disk, SIGNER, 1, 0)
    log.append(long, 0)
    log.append(event(source="lone \ud800 surrogate", more={"flag": True}), 0)
    head = log.close(0)
    verdict = verify(files_of(disk), SIGNER.public_key, [head])
    assert (verdict.intact, verdict.records) == (True, 3)


def test_strangers_cause_at_most_ten_records_a_second_and_the_rest_is_counted_in_the_log(disk: SimDisk):
    log = AuditLog(disk, SIGNER, 1, 0)
    flood = event(AuditClass.INTRUSION)
    for number in range(50_000):
        log.append(flood, number * 100_000)
        log.step(number * 100_000)
    for extra in range(3):
        log.step((6 + extra) * SECOND)
    log.close(9 * SECOND)
    written = [one for one in events_of(disk) if one.kind.from_outside]
    assert len(written) <= 60
    told = Counter[str]()
    for one in written:
        if one.kind is AuditClass.RECORDS_LEFT_OUT:
            told.update({name: int(count) for name, count in one.more.items()})
    admitted = sum(one.kind is AuditClass.INTRUSION for one in written)
    assert told["intrusion"] + admitted == 50_000
    assert log.left_out[AuditClass.INTRUSION] == told["intrusion"]


def test_a_flood_leaves_room_for_what_the_craft_itself_does(disk: SimDisk):
    log = AuditLog(disk, SIGNER, 1, 0)
    for number in range(1000):
        log.append(event(AuditClass.HANDSHAKE), number)
    assert log.append(event(AuditClass.SAFE_INTERVENTION), 1000)
    for number in range(1000):
        log.append(event(AuditClass.COMMAND_REJECTED), 2000 + number)
    assert log.append(event(AuditClass.NBL_PACKET_ATTEMPT), 4000)


def test_the_ring_of_files_is_bounded_and_what_is_left_is_a_whole_log(disk: SimDisk):
    log = AuditLog(disk, SIGNER, 1, 0, SMALL)
    fill(log, 300)
    head = log.close(0)
    files = files_of(disk)
    assert len(files) == 4
    assert sum(len(data) for _, data in files) < 4 * 4096 + 4 * 400
    verdict = verify(files, SIGNER.public_key, [head])
    assert verdict.intact
    assert (verdict.first or 0) > 0
    assert "rotated out" in verdict.notes[0]


def test_a_restart_goes_on_in_the_same_file_so_that_many_starts_push_nothing_out(disk: SimDisk):
    log = AuditLog(disk, SIGNER, 0, 0)
    fill(log, 10)
    log.close(0)
    for start in range(1, 30):
        log = AuditLog(disk, SIGNER, start, 0)
        log.append(event(number=start), 0)
        head = log.close(0)
        disk.restart()
    assert len(files_of(disk)) == 1
    verdict = verify(files_of(disk), SIGNER.public_key, [head])
    assert (verdict.intact, verdict.records) == (True, 1 + 10 + 29 * 2)


def test_what_a_power_cut_tore_off_is_told_in_the_log(disk: SimDisk):
    log = AuditLog(disk, SIGNER, 1, 0)
    fill(log, 5)
    log.flush(5 * SECOND)
    (name, data), = files_of(disk)
    handle = disk.create(name)
    disk.write(handle, data + data[-50:-10])
    disk.close(handle)
    after = AuditLog(disk, SIGNER, 2, 0)
    assert (after.recovered.records, after.recovered.torn_bytes) == (6, 40)
    resumed = events_of(disk)[-1]
    assert resumed.kind is AuditClass.LOG_RESUMED
    assert resumed.more == {"start": 2, "torn_bytes": 40, "unreadable": 0}
    assert verify(files_of(disk), SIGNER.public_key).intact


def test_a_power_cut_at_any_call_leaves_a_whole_chain_with_all_that_was_synchronised():
    for dies_at in range(0, 160, 3):
        disk = SimDisk(np.random.default_rng(dies_at))
        log = AuditLog(disk, SIGNER, 1, 0, SMALL)
        disk.dies_at = disk.calls + dies_at
        safe: Head | None = None
        try:
            for number in range(60):
                log.append(event(number=number), number * SECOND)
                if log.flush(number * SECOND):
                    safe = log.head()
        except PowerCut:
            pass
        disk.restart()
        after = AuditLog(disk, SIGNER, 2, 0, SMALL)
        fill(after, 5, first=100)
        head = after.close(0)
        verdict = verify(files_of(disk), SIGNER.public_key, [head] if safe is None else [safe, head])
        assert verdict.intact, f"cut at call {dies_at}: {verdict.finding}"
        assert after.head().number >= (-1 if safe is None else safe.number) + 5


def test_a_medium_that_refuses_is_told_and_nothing_in_memory_is_lost(disk: SimDisk):
    log = AuditLog(disk, SIGNER, 1, 0)
    fill(log, 3)
    assert log.writable
    disk.full = True
    for number in range(3, 20):
        assert log.append(event(number=number), number * SECOND)
        log.step(number * SECOND)
    assert not log.writable
    assert (log.waiting, log.failures > 0) == (17, True)
    disk.full = False
    log.step(30 * SECOND)
    assert (log.writable, log.waiting) == (True, 0)
    head = log.close(31 * SECOND)
    kinds = [one.command_id for one in events_of(disk) if one.kind is AuditClass.ACK]
    assert kinds == [f"c{number}" for number in range(20)]
    assert verify(files_of(disk), SIGNER.public_key, [head]).intact


def test_a_medium_that_takes_a_part_leaves_no_torn_record_behind():
    class Halves(SimDisk):
        broken = False

        def write(self, handle: int, data: bytes) -> int:
            if self.broken:
                super().write(handle, data[: len(data) // 2])
                raise OSError("half")
            return super().write(handle, data)

    disk = Halves(np.random.default_rng(1))
    log = AuditLog(disk, SIGNER, 1, 0)
    fill(log, 3)
    disk.broken = True
    log.append(event(number=3), 3 * SECOND)
    disk.broken = False
    log.step(10 * SECOND)
    head = log.close(11 * SECOND)
    verdict = verify(files_of(disk), SIGNER.public_key, [head])
    assert verdict.intact
    assert [one.command_id for one in events_of(disk) if one.kind is AuditClass.ACK] == ["c0", "c1", "c2", "c3"]


def test_a_synchronisation_that_fails_is_tried_again_and_costs_no_record():
    class Unsure(SimDisk):
        broken = False

        def sync(self, handle: int) -> None:
            if self.broken:
                raise OSError("not now")
            super().sync(handle)

    disk = Unsure(np.random.default_rng(1))
    log = AuditLog(disk, SIGNER, 1, 0)
    fill(log, 3)
    disk.broken = True
    assert not log.flush(4 * SECOND)
    assert not log.writable
    assert log.append(event(number=9), 4 * SECOND)
    disk.broken = False
    log.step(6 * SECOND)
    assert log.writable
    head = log.close(7 * SECOND)
    verdict = verify(files_of(disk), SIGNER.public_key, [head])
    assert verdict.intact
    assert [one.command_id for one in events_of(disk) if one.kind is AuditClass.ACK] == ["c0", "c1", "c2", "c9"]


def test_a_medium_that_cannot_be_read_is_told_as_unreadable():
    class Deaf(SimDisk):
        def read(self, name: str, most: int) -> bytes | None:
            raise OSError("no")

    log = AuditLog(Deaf(np.random.default_rng(1)), SIGNER, 1, 0, SMALL)
    assert log.recovered.unreadable == 4
    assert log.append(event(), 0)


def test_waiting_records_are_bounded_and_those_without_room_are_counted(disk: SimDisk):
    log = AuditLog(disk, SIGNER, 1, 0, AuditSettings(waiting=4))
    disk.full = True
    taken = [log.append(event(number=number), number * SECOND) for number in range(10)]
    assert taken.count(True) == 4
    assert log.left_out[AuditClass.ACK] == 6
    disk.full = False
    log.step(100 * SECOND)
    log.step(200 * SECOND)
    log.close(300 * SECOND)
    last = events_of(disk)[-1]
    assert (last.kind, last.more) == (AuditClass.RECORDS_LEFT_OUT, {"ACK": 6})


def test_critical_records_are_synchronised_at_once_and_others_within_a_second(disk: SimDisk):
    log = AuditLog(disk, SIGNER, 1, 0)
    log.append(event(severity=AuditSeverity.CRITICAL), 0)
    disk.restart()
    assert len(events_of(disk)) == 2
    log = AuditLog(disk, SIGNER, 2, 0)
    log.append(event(number=1), 0)
    log.step(SECOND)
    disk.restart()
    assert len(events_of(disk)) == 4


def test_an_unreadable_file_is_told_and_its_number_passed_over(disk: SimDisk):
    log = AuditLog(disk, SIGNER, 1, 0, SMALL)
    fill(log, 40)
    log.close(0)
    handle = disk.create("audit000.log")
    disk.write(handle, b"nonsense")
    disk.close(handle)
    after = AuditLog(disk, SIGNER, 2, 0, SMALL)
    assert after.recovered.unreadable == 1
    after.append(event(number=99), 0)
    after.close(0)
    verdict = verify(files_of(disk), SIGNER.public_key)
    assert verdict.finding is not None
    assert verdict.finding.damage is Damage.UNREADABLE


def test_a_log_without_a_medium_is_chained_in_memory():
    log = AuditLog(None, SIGNER, 1, 0)
    fill(log, 5)
    assert not log.writable
    assert (log.records, len(log.newest)) == (5, 5)
    assert is_signed(SIGNER.public_key, b"qiki audit 1 head" + (4).to_bytes(9, "big") + log.head().digest,
                     log.head().signature)


@pytest.mark.parametrize("wrong", [{"files": 1}, {"file_bytes": 100}, {"waiting": 0}, {"outside_per_s": 1},
                                   {"sync_s": -1.0}])
def test_bounds_that_make_no_sense_are_refused(wrong: dict):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AuditSettings(**wrong)


def test_a_key_never_shows():
    seed = bytes(range(100, 132))
    signer = AuditSigner(seed)
    assert seed.hex() not in repr(signer) + str(signer)
    with pytest.raises(ValueError, match="32 bytes"):
        AuditSigner(b"short")
    assert not is_signed(b"no key", b"", bytes(64))
