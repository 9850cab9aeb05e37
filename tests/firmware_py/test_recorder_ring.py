"""The ring: cut or corrupted at any byte it is read, and at most the record being written and the oldest are lost."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from firmware_py.recorder import RecordError
from firmware_py.recorder.ring import DATA_OFFSET, Flusher, RingFile, RingPair, RingRecord, read_ring

SLOT = 128
SLOTS = 8


def payload(number: int) -> bytes:
    return bytes((number * 7 + index) & 0xFF for index in range(60 + number % 30))


def record(number: int) -> RingRecord:
    return RingRecord(number, number * 5_000_000, number % 3, payload(number))


def write(ring: RingFile, numbers: range) -> None:
    for number in numbers:
        assert ring.write(payload(number), number * 5_000_000, number % 3)


def made(path: Path, records: int, slots: int = SLOTS) -> bytes:
    """Bytes of a ring after so many records."""
    ring = RingFile.create(path, SLOT, slots, 99, "fast")
    write(ring, range(records))
    ring.close()
    return path.read_bytes()


def test_records_come_back_in_order_with_their_times_and_kinds(tmp_path: Path) -> None:
    made(tmp_path / "r.bin", 5)
    contents = read_ring(tmp_path / "r.bin")
    assert (contents.label, contents.epoch_ns, contents.slots) == ("fast", 99, SLOTS)
    assert contents.records == tuple(record(number) for number in range(5))
    assert (contents.corrupt, contents.missing, contents.cut) == (0, 0, 0)


def test_a_full_ring_keeps_the_newest(tmp_path: Path) -> None:
    made(tmp_path / "r.bin", 3 * SLOTS + 3)
    contents = read_ring(tmp_path / "r.bin")
    assert contents.records == tuple(record(number) for number in range(2 * SLOTS + 3, 3 * SLOTS + 3))
    assert (contents.corrupt, contents.missing) == (0, 0)


def test_an_empty_ring_is_readable(tmp_path: Path) -> None:
    made(tmp_path / "r.bin", 0)
    assert read_ring(tmp_path / "r.bin").records == ()


@pytest.mark.parametrize("lap", [0, 1, 3])
def test_a_write_cut_at_every_byte_costs_at_most_itself_and_the_record_it_replaces(tmp_path: Path, lap: int) -> None:
    last = lap * SLOTS + 5
    before = made(tmp_path / "before.bin", last)
    after = made(tmp_path / "after.bin", last + 1)
    start = DATA_OFFSET + 5 * SLOT
    oldest = max(0, last - SLOTS)
    torn = tmp_path / "torn.bin"
    outcomes = set()
    for cut in range(SLOT + 1):
        torn.write_bytes(before[:start] + after[start : start + cut] + before[start + cut :])
        contents = read_ring(torn)
        kept = contents.records
        must = tuple(record(number) for number in range(oldest if lap == 0 else oldest + 1, last))
        complete = (*must, record(last))
        untouched = must if lap == 0 else (record(oldest), *must)
        assert kept in (must, complete, untouched)
        assert contents.corrupt <= 1
        assert contents.corrupt == 1 or kept != must or lap == 0
        outcomes.add(kept)
    assert complete in outcomes
    assert untouched in outcomes


def test_a_write_that_lands_back_to_front_is_tolerated_too(tmp_path: Path) -> None:
    before = made(tmp_path / "before.bin", SLOTS + 5)
    after = made(tmp_path / "after.bin", SLOTS + 6)
    start = DATA_OFFSET + 5 * SLOT
    torn = tmp_path / "torn.bin"
    must = [record(number) for number in range(6, SLOTS + 5)]
    for cut in range(SLOT + 1):
        torn.write_bytes(before[: start + cut] + after[start + cut :])
        kept = list(read_ring(torn).records)
        assert [entry for entry in kept if 6 <= entry.sequence < SLOTS + 5] == must
        assert set(kept) - set(must) <= {record(5), record(SLOTS + 5)}


def test_a_creation_cut_at_every_byte_is_refused_or_empty_and_never_raises_otherwise(tmp_path: Path) -> None:
    cut = tmp_path / "r.bin"
    size = len(made(cut, 0))
    refused = []
    for length in reversed(range(size)):
        os.truncate(cut, length)
        try:
            contents = read_ring(cut)
        except RecordError:
            refused.append(length)
            continue
        assert contents.records == ()
        assert contents.cut == size - length
    # The first copy of the header takes 100 bytes.
    assert refused == list(reversed(range(100)))


def test_a_ring_appears_under_its_name_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RecordError, match="Input/output error"):
        RingFile.create(tmp_path / "r.bin", SLOT, SLOTS)
    assert list(tmp_path.iterdir()) == []


def test_a_file_cut_at_every_byte_gives_every_record_before_the_cut(tmp_path: Path) -> None:
    data = made(tmp_path / "r.bin", SLOTS)
    cut = tmp_path / "cut.bin"
    for length in range(DATA_OFFSET, len(data)):
        cut.write_bytes(data[:length])
        contents = read_ring(cut)
        whole = (length - DATA_OFFSET) // SLOT
        assert contents.records[:whole] == tuple(record(number) for number in range(whole))
        assert len(contents.records) <= whole + 1


def test_random_corruption_costs_only_the_slots_it_hits(tmp_path: Path) -> None:
    data = made(tmp_path / "r.bin", 2 * SLOTS)
    rng = np.random.default_rng(17)
    broken = tmp_path / "broken.bin"
    for _ in range(300):
        copy = bytearray(data)
        hit = set()
        for position in rng.integers(DATA_OFFSET, len(data), size=int(rng.integers(1, 12))):
            copy[position] ^= int(rng.integers(1, 256))
            hit.add((int(position) - DATA_OFFSET) // SLOT)
        broken.write_bytes(copy)
        contents = read_ring(broken)
        safe = [record(number) for number in range(SLOTS, 2 * SLOTS) if number % SLOTS not in hit]
        assert [entry for entry in contents.records if entry.sequence % SLOTS not in hit] == safe
        assert all(entry == record(entry.sequence) for entry in contents.records)
        assert contents.corrupt == SLOTS - len(contents.records)
        assert contents.corrupt <= len(hit)


def test_missing_numbers_are_counted(tmp_path: Path) -> None:
    data = bytearray(made(tmp_path / "r.bin", 2 * SLOTS))
    data[DATA_OFFSET + 3 * SLOT + 30] ^= 1
    (tmp_path / "r.bin").write_bytes(data)
    contents = read_ring(tmp_path / "r.bin")
    assert (contents.corrupt, contents.missing) == (1, 1)


@pytest.mark.parametrize("position", [0, 17, 99])
def test_either_copy_of_the_header_is_enough(tmp_path: Path, position: int) -> None:
    data = made(tmp_path / "r.bin", 5)
    for copies in ((0,), (4096,), (0, 4096)):
        broken = bytearray(data)
        for offset in copies:
            broken[offset + position] ^= 0x40
        (tmp_path / "broken.bin").write_bytes(broken)
        if len(copies) == 2:
            with pytest.raises(RecordError, match="neither copy"):
                read_ring(tmp_path / "broken.bin")
        else:
            assert len(read_ring(tmp_path / "broken.bin").records) == 5


def test_slots_of_another_ring_are_not_taken_for_ours(tmp_path: Path) -> None:
    ours = made(tmp_path / "a.bin", 4)
    other = RingFile.create(tmp_path / "b.bin", SLOT, SLOTS, 100, "fast")
    write(other, range(SLOTS))
    other.close()
    theirs = (tmp_path / "b.bin").read_bytes()
    (tmp_path / "c.bin").write_bytes(ours[: DATA_OFFSET + 4 * SLOT] + theirs[DATA_OFFSET + 4 * SLOT :])
    contents = read_ring(tmp_path / "c.bin")
    assert contents.records == tuple(record(number) for number in range(4))
    assert contents.corrupt == 4


def test_a_slot_in_the_wrong_place_is_not_counted_twice(tmp_path: Path) -> None:
    data = bytearray(made(tmp_path / "r.bin", SLOTS))
    data[DATA_OFFSET + 5 * SLOT : DATA_OFFSET + 6 * SLOT] = data[DATA_OFFSET + 2 * SLOT : DATA_OFFSET + 3 * SLOT]
    (tmp_path / "r.bin").write_bytes(data)
    contents = read_ring(tmp_path / "r.bin")
    assert contents.records == tuple(record(number) for number in range(SLOTS) if number != 5)
    assert (contents.corrupt, contents.missing) == (1, 1)


def test_bad_sizes_long_payloads_and_existing_files_are_refused(tmp_path: Path) -> None:
    for slot_size in (32, 100, 131072):
        with pytest.raises(ValueError, match="power of two"):
            RingFile.create(tmp_path / "r.bin", slot_size, SLOTS)
    with pytest.raises(ValueError, match="slots is 1"):
        RingFile.create(tmp_path / "r.bin", SLOT, 1)
    with pytest.raises(ValueError, match="label"):
        RingFile.create(tmp_path / "r.bin", SLOT, SLOTS, label="x" * 65)
    ring = RingFile.create(tmp_path / "r.bin", SLOT, SLOTS)
    assert ring.write(bytes(ring.capacity), 0)
    with pytest.raises(ValueError, match="payload of 101 bytes"):
        ring.write(bytes(ring.capacity + 1), 0)
    ring.close()
    with pytest.raises(RecordError, match="exists"):
        RingFile.create(tmp_path / "r.bin", SLOT, SLOTS)


def test_files_that_are_no_ring_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for name, problem in (("none", "does not exist"), (".", "is a folder"), ("text", "no ring")):
        with pytest.raises(RecordError, match=problem):
            read_ring(tmp_path / name)


def test_a_refused_write_is_counted_and_its_number_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = RingFile.create(tmp_path / "r.bin", SLOT, SLOTS, 99, "fast")
    write(ring, range(2))

    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pwrite", fail)
    assert not ring.write(b"lost", 0)
    monkeypatch.undo()
    write(ring, range(2, 4))
    ring.close()
    assert ring.failures == 1
    assert read_ring(tmp_path / "r.bin").records == tuple(record(number) for number in range(4))


def test_the_pair_holds_30_s_fast_and_ten_minutes_medium_within_64_mib(tmp_path: Path) -> None:
    pair = RingPair.create(tmp_path, synchronise=False)
    for number in range(200 * 31):
        pair.fast.write(b"row", number * 5_000_000)
    pair.medium.write(b"row", 0)
    pair.event(b"BAT_LOW", 1)
    pair.flush()
    pair.close()
    fast = read_ring(tmp_path / "ring-fast.bin")
    assert fast.records[-1].t_ns - fast.records[0].t_ns == 30_000_000_000 - 5_000_000
    medium = read_ring(tmp_path / "ring-medium.bin")
    assert medium.slots >= 600 * 20
    assert [entry.kind for entry in medium.records] == [RingPair.ROW, RingPair.EVENT]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 64 * 1024 * 1024


def test_a_pair_beyond_64_mib_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="67108864 are allowed"):
        RingPair.create(tmp_path, fast_hz=500, slot_size=4096)


def test_the_flusher_serves_every_request_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = RingFile.create(tmp_path / "r.bin", SLOT, SLOTS)
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    flusher = Flusher([ring.fileno()])
    for _ in range(100_000):
        flusher.request()
    flusher.close()
    assert 1 <= flusher.completed == len(synced)
    assert set(synced) == {ring.fileno()}
    assert flusher.failures == 0
    ring.close()


def test_a_synchronisation_that_fails_is_counted(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    flusher = Flusher([writer])
    flusher.request()
    flusher.close()
    os.close(reader)
    os.close(writer)
    assert flusher.failures == flusher.completed
