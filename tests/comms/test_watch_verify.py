"""The verifier names every damage to a log, and the first bad record."""

from __future__ import annotations

import cbor2
import numpy as np
import pytest

from comms.watch.audit_files import MAGIC
from comms.watch.audit_record import Head, digest_of, entry_bytes, read_entry
from comms.watch.signing import AuditSigner
from comms.watch.verify import Damage, Verdict, verify
from firmware_py.cli.link_campaign.audit_damage import WrittenLog, as_bytes, written_log

LOG = written_log(np.random.default_rng(4), 700)
Files = list[tuple[str, list[bytes]]]


def files() -> Files:
    return [(name, list(entries)) for name, entries in LOG.files]


def judged(damaged: Files, *heads: Head, log: WrittenLog = LOG, key: bytes | None = LOG.public_key) -> Verdict:
    return verify(as_bytes(damaged), key, heads)


def found(damaged: Files, *heads: Head) -> tuple[Damage | None, int | None]:
    finding = judged(damaged, *heads).finding
    return (None, None) if finding is None else (finding.damage, finding.number)


def changed(entry: bytes) -> bytes:
    record, _, signature = cbor2.loads(entry)
    body = cbor2.loads(record)
    body[2][1] += 1
    return entry_bytes(cbor2.dumps(body, canonical=True), signature)


def rechained(damaged: Files, start: int) -> None:
    """Every record from this one on is numbered and chained anew, without the key."""
    number, digest = start - 1, b""
    for _, entries in damaged:
        for place, entry in enumerate(entries):
            record, _, signature = cbor2.loads(entry)
            found_number, _, fields = cbor2.loads(record)
            if found_number >= start:
                number += 1
                record = cbor2.dumps([number, digest, fields], canonical=True)
                entries[place] = entry_bytes(record, signature)
            digest = digest_of(record)


def test_there_is_more_than_one_file():
    assert len(LOG.files) > 1


def test_an_intact_log_is_intact_with_and_without_key_and_head():
    verdict = judged(files(), LOG.head)
    assert (verdict.intact, verdict.records, verdict.first, verdict.heads) == (True, LOG.records, 0, 1)
    assert verdict.signed == LOG.records // 64 * 64 - 1
    without = judged(files(), key=None)
    assert without.intact
    assert (without.signed, without.notes) == (None, ("no key was given: signatures were not checked",))


@pytest.mark.parametrize("place", [0, 1, 62, 63, 64, 100])
def test_a_deleted_record_is_found(place: int):
    damaged = files()
    del damaged[0][1][place]
    if place == 0:
        assert found(damaged)[0] is Damage.UNREADABLE
    else:
        assert found(damaged) == (Damage.DELETED, place)


def test_a_deleted_last_record_of_a_file_is_found():
    damaged = files()
    last = len(damaged[0][1]) - 1
    del damaged[0][1][last]
    assert found(damaged) == (Damage.DELETED, last)


@pytest.mark.parametrize("place", [1, 62, 63, 64, 100])
def test_a_changed_bit_is_found(place: int):
    damaged = files()
    entry = damaged[0][1][place]
    damaged[0][1][place] = entry[:40] + bytes((entry[40] ^ 1,)) + entry[41:]
    assert found(damaged) == (Damage.EDITED, place)


@pytest.mark.parametrize("place", [1, 62, 64, 100])
def test_a_changed_record_with_its_check_made_right_is_found(place: int):
    damaged = files()
    damaged[0][1][place] = changed(damaged[0][1][place])
    assert found(damaged) == (Damage.EDITED, place)


def test_a_changed_signed_record_is_found_by_its_signature():
    damaged = files()
    damaged[0][1][63] = changed(damaged[0][1][63])
    assert found(damaged) == (Damage.FORGED, 63)


def test_a_log_chained_anew_fails_at_the_next_signature():
    damaged = files()
    damaged[0][1][70] = changed(damaged[0][1][70])
    rechained(damaged, 71)
    assert found(damaged) == (Damage.FORGED, 127)


def test_a_signature_left_out_or_put_where_none_belongs_is_found():
    damaged = files()
    record, _, signature = cbor2.loads(damaged[0][1][63])
    damaged[0][1][63] = entry_bytes(record, b"")
    assert found(damaged) == (Damage.FORGED, 63)
    damaged = files()
    record, _, _ = cbor2.loads(damaged[0][1][5])
    damaged[0][1][5] = entry_bytes(record, signature)
    assert found(damaged) == (Damage.FORGED, 5)


def test_swapped_records_are_found():
    damaged = files()
    entries = damaged[0][1]
    entries[20], entries[30] = entries[30], entries[20]
    assert found(damaged) == (Damage.REORDERED, 20)


def test_a_repeated_record_is_found():
    damaged = files()
    damaged[0][1].insert(21, damaged[0][1][20])
    assert found(damaged) == (Damage.REORDERED, 20)


def test_a_cut_is_found_from_the_last_head():
    damaged = files()
    removed = damaged[-1][1].pop()
    assert found(damaged)[0] is None
    assert found(damaged, LOG.head) == (Damage.TRUNCATED, LOG.records - 1)
    damaged[-1][1].append(removed[:-3])
    verdict = judged(damaged)
    assert verdict.intact
    assert "no whole record" in verdict.notes[0]
    assert found(damaged, LOG.head) == (Damage.TRUNCATED, LOG.records - 1)


def test_a_rewrite_behind_the_last_signature_is_found_from_a_head():
    damaged = files()
    damaged[-1][1][-1] = changed(damaged[-1][1][-1])
    assert found(damaged)[0] is None
    assert found(damaged, LOG.head) == (Damage.FORGED, LOG.records - 1)


def test_a_missing_file_is_found_wherever_it_was():
    for index in range(len(LOG.files) - 1):
        damaged = files()
        del damaged[index]
        assert found(damaged)[0] is Damage.DELETED
    assert found(files()[:-1], LOG.head)[0] is Damage.TRUNCATED
    assert found([], LOG.head) == (Damage.TRUNCATED, 0)


def test_names_and_order_of_files_do_not_matter():
    damaged = [(f"copy{index}", entries) for index, (_, entries) in enumerate(reversed(files()))]
    assert judged(damaged, LOG.head).intact


def test_a_file_that_is_there_twice_is_found():
    assert found([*files(), files()[0]])[0] is Damage.REORDERED


def test_bytes_before_a_whole_record_are_found():
    damaged = files()
    damaged[0][1].insert(10, b"\x00junk")
    assert found(damaged) == (Damage.EDITED, 10)


def test_a_torn_end_in_front_of_another_file_is_no_damage():
    damaged = files()
    damaged[0][1].append(b"\x83\x59\x00torn")
    verdict = judged(damaged, LOG.head)
    assert verdict.intact
    assert "torn" in verdict.notes[0]


def test_another_key_is_not_the_logs():
    other = AuditSigner(bytes(32)).public_key
    finding = judged(files(), key=other).finding
    assert finding is not None
    assert (finding.damage, finding.number) == (Damage.FORGED, 0)


def test_a_head_that_is_not_signed_is_refused():
    bad = Head(LOG.head.number, LOG.head.digest, bytes(64))
    assert found(files(), bad) == (Damage.FORGED, LOG.head.number)


def test_heads_come_back_from_their_bytes_and_nothing_else_does():
    assert Head.decode(LOG.head.encode()) == LOG.head
    for data in (b"", b"\x00", LOG.head.encode()[:-1], cbor2.dumps([1, b"", b""]), cbor2.dumps(["a", bytes(32), b""])):
        assert Head.decode(data) is None


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x83\x40\x40\x40", bytes(5000), b"\x9f", b"\x83" * 5000])
def test_bytes_that_are_no_entry_are_none(data: bytes):
    assert read_entry(data, 0) is None
    assert verify([("x", MAGIC + data)]).finding is not None
