"""The small parts of file transfer: checksums, ranges, own time, records, and that nothing here asks for the time."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

import pytest
from cfdppy.crc import calc_modular_checksum
from hypothesis import given, settings
from hypothesis import strategies as st

import comms.cfdp
from comms.cfdp import ChecksumKind, Condition, EntityConfig, Handler, Mode, PeerConfig
from comms.cfdp.checksum import Checksum, checksum_kind
from comms.cfdp.pdu import Eof, FaultOverride, Header, Metadata, UserMessage
from comms.cfdp.ranges import Ranges
from comms.cfdp.records import Phase, ReceiverRecord, SenderRecord, read_record, write_record
from comms.cfdp.stopwatch import Stopwatch

BARRED = {"time", "datetime", "random", "threading", "secrets", "asyncio"}
PAIRS = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair)))


def summed(kind: ChecksumKind, *pieces: bytes) -> int:
    checksum = Checksum(kind)
    for piece in pieces:
        checksum.update(piece)
    return checksum.value


def test_checksums_have_their_published_values() -> None:
    # CRC-32 of "123456789": catalogue of parametrised CRC algorithms; modular: CCSDS 727.0-B-5 section 4.2.2.
    assert summed(ChecksumKind.CRC_32, b"123456789") == 0xCBF43926
    assert summed(ChecksumKind.MODULAR, bytes(range(16))) == 0x00010203 + 0x04050607 + 0x08090A0B + 0x0C0D0E0F
    assert summed(ChecksumKind.MODULAR, b"\x01\x02\x03\x04\x05") == 0x01020304 + 0x05000000
    assert summed(ChecksumKind.NULL, b"anything") == 0


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=30), max_size=8))
def test_a_checksum_does_not_depend_on_the_pieces(pieces: list[bytes]) -> None:
    for kind in ChecksumKind:
        assert summed(kind, *pieces) == summed(kind, b"".join(pieces))


def test_the_modular_checksum_is_cfdp_pys(tmp_path: Path) -> None:
    for size in (0, 1, 3, 4, 5, 4096, 10_007):
        data = bytes((i * 37 + size) & 0xFF for i in range(size))
        (tmp_path / "file").write_bytes(data)
        assert summed(ChecksumKind.MODULAR, data).to_bytes(4, "big") == calc_modular_checksum(tmp_path / "file")


def test_checksums_that_are_not_worked_out_are_none() -> None:
    assert [number for number in range(16) if checksum_kind(number) is not None] == [0, 3, 15]


@settings(max_examples=300)
@given(st.lists(st.tuples(st.booleans(), PAIRS), max_size=25), PAIRS)
def test_ranges_are_the_set_of_their_bytes(
    changes: list[tuple[bool, tuple[int, int]]], window: tuple[int, int]
) -> None:
    ranges, model = Ranges(), set[int]()
    for add, (start, end) in changes:
        if add:
            ranges.add(start, end)
            model |= set(range(start, end))
        else:
            ranges.remove(start, end)
            model -= set(range(start, end))
        pairs = ranges.pairs()
        assert {byte for low, high in pairs for byte in range(low, high)} == model
        assert all(low < high for low, high in pairs)
        assert all(before[1] < after[0] for before, after in pairwise(pairs))
    missing = ranges.gaps(*window)
    assert {byte for low, high in missing for byte in range(low, high)} == set(range(*window)) - model
    assert ranges.total == len(model)
    assert ranges.end == (max(model) + 1 if model else 0)
    assert ranges.head == next(byte for byte in range(99) if byte not in model)


def test_own_time_stands_still_while_it_does_not_run() -> None:
    watch = Stopwatch(100)
    assert watch.read(150) == 50
    watch.run(False, 160)
    assert watch.read(10**18) == 60
    watch.run(True, 10**18)
    watch.run(True, 10**18 + 5)
    assert watch.read(10**18 + 10) == 70
    assert Stopwatch(0, running=False).read(99) == 0


RECORDS = [
    SenderRecord(
        Header(1, 2, 3, mode=Mode.UNACKNOWLEDGED), Metadata(9, "a", "b", 3, True, (
            FaultOverride(Condition.NAK_LIMIT, Handler.SUSPEND), UserMessage(b"hello"),
        )), True, Condition.CANCEL_REQUEST,
    ),
    ReceiverRecord(
        Header(1, 2, 3, to_sender=True, large=True, crc=True, entity_bytes=2), Metadata(2**40, "a", "b", 0),
        Eof(Condition.NO_ERROR, 7, 2**40), ((0, 5), (9, 2**39)), False, Phase.OPEN, Condition.NO_ERROR,
    ),
    ReceiverRecord(Header(1, 2, 3, to_sender=True), None, None, (), True, Phase.CANCELLED, Condition.INACTIVITY),
]


@pytest.mark.parametrize("record", RECORDS)
def test_records_are_read_back_and_damaged_ones_are_none(record: SenderRecord | ReceiverRecord) -> None:
    data = write_record(record)
    assert read_record(data) == record
    for at in range(len(data)):
        assert read_record(data[:at]) is None
        for value in (0x00, 0x1F, 0x80, 0xFF, data[at] ^ 1):
            changed = read_record(data[:at] + bytes((value,)) + data[at + 1 :])
            assert changed is None or isinstance(changed, SenderRecord | ReceiverRecord)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_record_or_none(data: bytes) -> None:
    assert read_record(data) is None or len(data) > 10


def test_configurations_that_cannot_be_are_refused() -> None:
    for wrong in ({"entity_id": 256}, {"entity_id": 1, "transactions": 0}, {"entity_id": -1}):
        with pytest.raises(ValueError, match=r"."):
            EntityConfig(**wrong)
    for wrong in ({"segment_bytes": 0}, {"nak_ns": 0}, {"handlers": {Condition.NO_ERROR: Handler.IGNORE}}):
        with pytest.raises(ValueError, match=r"."):
            PeerConfig(1, **wrong)  # type: ignore[arg-type]


def test_nothing_here_asks_any_clock_draws_or_waits() -> None:
    folder = Path(comms.cfdp.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong = {name.split(".")[0] for name in names} & BARRED
            assert not wrong, f"{path.name} imports {wrong}"
            assert not (isinstance(node, ast.Attribute) and node.attr in ("urandom", "st_mtime", "st_mtime_ns"))
