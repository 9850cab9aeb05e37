"""Rows of the campaign on records: each holds on a slice, and each finds the fault that it is there for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from comms.records import receiving, reservation, schedule, sending
from comms.records import record as record_module
from comms.records.faults import RecordFault
from comms.records.lane import LaneKeys
from comms.records.record import Opened, Opener, Sealer
from comms.records.window import ReplayWindow
from firmware_py.cli.link_campaign.row import Row, RowResult
from firmware_py.cli.link_campaign.rows_records import ROWS

BY_NUMBER = {row.number: row for row in ROWS}


def flown(row: Row, cases: int, seed: int = 7) -> RowResult:
    told: list[tuple[int, int]] = []
    result = row.run(np.random.default_rng(seed), cases, lambda done, of: told.append((done, of)))
    assert told
    assert all(0 <= done <= of for done, of in told)
    return result


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_a_slice_holds(row: Row) -> None:
    cases = {4: 60_000, 5: 222, 1: 20, 2: 40, 3: 2000, 7: 30, 11: 150, 15: 60, 16: 1}[row.number]
    result = flown(row, cases)
    assert result.failures == ()
    assert result.passed
    assert result.cases >= cases


def test_a_seed_repeats_a_run() -> None:
    assert flown(BY_NUMBER[7], 6) == flown(BY_NUMBER[7], 6)
    assert flown(BY_NUMBER[5], 111) == flown(BY_NUMBER[5], 111)


def short_ones_raise(patch: pytest.MonkeyPatch) -> None:
    opened = Opener.open

    def careless(self: Opener, raw: bytes) -> Opened | RecordFault:
        return opened(self, raw) if raw[20] >= 0 else RecordFault.TOO_SHORT

    patch.setattr(Opener, "open", careless)


def equal_is_taken(patch: pytest.MonkeyPatch) -> None:
    """The fault of a peer: the last counter is taken again."""
    check = ReplayWindow.check
    patch.setattr(ReplayWindow, "check", lambda self, counter: (
        None if counter == self.next - 1 else check(self, counter)))
    patch.setattr(ReplayWindow, "commit", lambda self, counter: setattr(self, "next", max(self.next, counter + 1)))


def not_reserved(patch: pytest.MonkeyPatch) -> None:
    """Counters are used that are not on the medium."""
    given: dict[int, int] = {}

    def from_memory(self: reservation.CounterStore, _name: str) -> reservation.Reserved:
        first = given.get(id(self), 0)
        given.clear()
        given[id(self)] = first + reservation.BLOCK
        return reservation.Reserved(first, first + reservation.BLOCK)

    patch.setattr(reservation.CounterStore, "reserve", from_memory)


def old_epoch_shut_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(receiving, "DRAIN_RECORDS", 1)


def suite_and_version_unbound(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(schedule, "external_aad", lambda *_: b"")
    patch.setattr(schedule, "key_info", lambda _name, _context, _suite, kind, _length: kind.encode())


def counter_wraps(patch: pytest.MonkeyPatch) -> None:
    seal = Sealer.seal

    def wrapping(self: Sealer, plaintext: bytes) -> bytes | RecordFault:
        self.next &= 0xFFFF
        return seal(self, plaintext)

    patch.setattr(Sealer, "seal", wrapping)


def epochs_never_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sending, "EPOCH_RECORDS", 1 << 40)
    patch.setattr(sending, "LANE_RECORDS", 1 << 30)


def tags_not_counted(patch: pytest.MonkeyPatch) -> None:
    opened = Opener.open

    def forgetful(self: Opener, raw: bytes) -> Opened | RecordFault:
        self.forged = 0
        return opened(self, raw)

    patch.setattr(Opener, "open", forgetful)


class _Anything:
    """A cipher that believes everything."""

    def __init__(self, lane: LaneKeys) -> None:
        self._tag_bytes = lane.facts.tag_bytes

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        return data + bytes(self._tag_bytes)

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        return data[: -self._tag_bytes]


def nothing_is_verified(patch: pytest.MonkeyPatch) -> None:
    made = LaneKeys.__init__

    def trusting(self: LaneKeys, *args: object, **more: object) -> None:
        made(self, *args, **more)  # type: ignore[arg-type]
        self.aead = _Anything(self)  # type: ignore[assignment]

    patch.setattr(LaneKeys, "__init__", trusting)


@pytest.mark.parametrize(("number", "cases", "spoil"), [
    (1, 3, nothing_is_verified), (2, 3, nothing_is_verified), (2, 3, short_ones_raise), (3, 100, equal_is_taken),
    (4, 100, equal_is_taken), (5, 60, not_reserved), (7, 9, old_epoch_shut_at_once),
    (11, 20, suite_and_version_unbound), (15, 60, counter_wraps), (15, 6, epochs_never_end), (16, 1, tags_not_counted),
])
def test_a_row_finds_its_fault(
    number: int, cases: int, spoil: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoil(monkeypatch)
    result = flown(BY_NUMBER[number], cases)
    assert not result.passed
    assert 1 <= len(result.failures) <= 20
    assert all(result.failures)


def test_an_opener_that_ignores_its_window_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(ReplayWindow):
        def check(self, counter: int) -> None:
            """Everything is new."""

        def commit(self, counter: int) -> None:
            """Nothing is kept."""

    monkeypatch.setattr(record_module, "ReplayWindow", Forgetful)
    assert not flown(BY_NUMBER[3], 50).passed
