"""A file arrives whole or fails cleanly: every state suspended, cut off, restarted, cancelled; every limit reached."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.cfdp import (
    CfdpEntity,
    ChecksumKind,
    Condition,
    EntityConfig,
    EntityRefusal,
    FaultOverride,
    FileStore,
    FolderStore,
    Handler,
    Indication,
    IndicationKind,
    MemoryStore,
    Mode,
    PduRefusal,
    PeerConfig,
    PutRefusal,
    Response,
    State,
    StoreLimits,
    TransactionId,
)
from comms.cfdp.pdu import (
    Ack,
    AckStatus,
    Delivery,
    Directive,
    Eof,
    FileData,
    FileStatus,
    FilestoreRequest,
    Finished,
    Header,
    KeepAlive,
    Metadata,
    Nak,
    Pdu,
    Prompt,
    decode,
    encode,
)
from firmware_py.cli.link_campaign.cfdp_rig import CutMedium, Line, LineFaults
from hil.disk import PowerCut

SECOND = 1_000_000_000
TICK = SECOND // 20
HOUR = 3600 * SECOND
UNIT = 1038
SENDER = (State.SENDING, State.AWAITING_ACK, State.AWAITING_FINISHED)
RECEIVER = (State.RECEIVING, State.MISSING, State.VERIFYING, State.FINISHING)
STATES = [(0, state) for state in SENDER] + [(1, state) for state in RECEIVER]
Config = dict[str, object]


class Pair:
    """A sender (end 0, entity 1), a receiver (end 1, entity 2) and the line between them."""

    def __init__(
        self, loss: float = 0.0, seed: int = 1, faults: LineFaults | None = None, limits: StoreLimits | None = None,
        work: int = 65_536, peer: Config | None = None, slot: int = 5000, stores: list[FileStore] | None = None,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        faults = LineFaults(loss=loss) if faults is None else faults
        self.lines = (Line(self.rng, faults), Line(self.rng, faults))
        self.stores: list[FileStore] = stores or [MemoryStore(), MemoryStore(limits)]
        self.now = 0
        self.notes: tuple[list[Indication], list[Indication]] = ([], [])
        self.slot = slot
        self._peer = peer or {}
        self._work = work
        self.ends = [self.made(0), self.made(1)]
        self.filter: Callable[[int, Pdu], bool] = lambda end, pdu: True

    def made(self, number: int) -> CfdpEntity:
        config = EntityConfig(number + 1, work_bytes=self._work, checkpoint_bytes=4096)
        peer = PeerConfig(2 - number, **self._peer)  # type: ignore[arg-type]
        return CfdpEntity(config, self.stores[number], [peer], self.rng.bytes, self.now)

    def restart(self, number: int) -> None:
        self.ends[number] = self.made(number)

    def put(self, data: bytes, **more: object) -> TransactionId:
        assert self.stores[0].save("file", data) is None
        started = self.ends[0].put("file", 2, self.now, **more)  # type: ignore[arg-type]
        assert isinstance(started, TransactionId)
        return started

    def tick(self) -> None:
        self.now += TICK
        for number, into, out in ((0, 1, 0), (1, 0, 1)):
            end = self.ends[number]
            for unit in self.lines[into].take(self.now):
                end.receive(unit, self.now)
            end.step(self.now)
            for unit in end.pdus(UNIT, self.now, self.slot):
                pdu = decode(unit)
                assert isinstance(pdu, Pdu)
                if self.filter(number, pdu):
                    self.lines[out].put(unit, self.now)
            self.notes[number].extend(end.indications.take_all())

    def run(self, most_s: int = 3000) -> None:
        stop = self.now + most_s * SECOND
        while any(end.busy for end in self.ends) or any(len(line) for line in self.lines):
            assert self.now < stop, [end.transactions() for end in self.ends]
            self.tick()

    def run_to(self, number: int, state: State) -> bool:
        """Until an end's transaction is in a state; ``False`` if it never is."""
        for _ in range(4000):
            views = self.ends[number].transactions()
            if views and views[0].state is state:
                return True
            self.tick()
            if not any(end.busy for end in self.ends):
                return False
        return False

    def told(self, number: int, kind: IndicationKind) -> list[Indication]:
        return [note for note in self.notes[number] if note.kind is kind]

    def received(self) -> object:
        return self.stores[1].read("file")

    def ended(self, number: int) -> tuple[Condition, bool | None]:
        """How the only transaction of an end ended."""
        (note,) = self.told(number, IndicationKind.FINISHED)
        return note.condition, note.delivered


def some(size: int, seed: int = 5) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def nothing_left(pair: Pair) -> bool:
    """No part and no record is left in either store."""
    return all(set(store.kept_keys()) <= {"sequence"} and not store.sweep(set()) for store in pair.stores)


# -- files arrive


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 50_000])
@pytest.mark.parametrize("mode", list(Mode))
def test_a_file_of_any_length_arrives(size: int, mode: Mode) -> None:
    pair = Pair()
    pair.put(some(size), mode=mode)
    pair.run()
    assert pair.received() == some(size)
    assert pair.ended(1) == (Condition.NO_ERROR, True)
    assert pair.ended(0) == (Condition.NO_ERROR, True if mode is Mode.ACKNOWLEDGED else None)
    assert nothing_left(pair)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 20_000), st.sampled_from([0.0, 0.1, 0.3, 0.5]), st.sampled_from([0.0, 0.2]), st.booleans(),
    st.booleans(), st.sampled_from([ChecksumKind.CRC_32, ChecksumKind.MODULAR, ChecksumKind.NULL]), st.booleans(),
    st.integers(0, 999),
)
def test_losses_doubles_and_any_order_change_nothing(
    size: int, loss: float, doubled: float, mixed: bool, immediate: bool, checksum: ChecksumKind, crc: bool, seed: int,
) -> None:
    faults = LineFaults(loss, doubled, 0.05, 0.5 if mixed else 0.0)
    pair = Pair(seed=seed, faults=faults, peer={
        "immediate_nak": immediate, "checksum": checksum, "crc": crc, "ack_limit": 60, "nak_limit": 60,
    })
    pair.put(some(size))
    pair.run()
    assert pair.received() == some(size)
    assert pair.ended(0) == pair.ended(1) == (Condition.NO_ERROR, True)
    assert nothing_left(pair)


def test_several_files_go_both_ways_at_once() -> None:
    pair = Pair(loss=0.2)
    for end, other in ((0, 2), (1, 1)):
        for number in range(4):
            pair.stores[end].save(f"out{end}{number}", some(9000, number))
            assert isinstance(pair.ends[end].put(f"out{end}{number}", other, 0), TransactionId)
    pair.run()
    for end in (0, 1):
        for number in range(4):
            assert pair.stores[1 - end].read(f"out{end}{number}") == some(9000, number)


def test_a_message_needs_no_file() -> None:
    pair = Pair(loss=0.3)
    assert isinstance(pair.ends[0].put("", 2, 0, messages=(b"hello", b"")), TransactionId)
    pair.run()
    assert pair.told(1, IndicationKind.METADATA)[0].messages == (b"hello", b"")
    assert pair.ended(0) == pair.ended(1) == (Condition.NO_ERROR, True)
    assert pair.stores[1].names() == {}


def test_a_file_may_get_another_name_and_take_the_place_of_an_old_one() -> None:
    pair = Pair()
    pair.stores[1].save("there", b"old")
    pair.put(b"new", destination_name="there")
    pair.run()
    assert pair.stores[1].names() == {"there": 3}
    assert pair.stores[1].read("there") == b"new"


def test_a_class_1_sender_that_asks_is_told_the_end() -> None:
    pair = Pair()
    pair.put(some(5000), mode=Mode.UNACKNOWLEDGED, closure=True)
    pair.run()
    assert pair.ended(0) == (Condition.NO_ERROR, True)


def test_a_class_1_file_with_a_hole_never_appears() -> None:
    pair = Pair()
    pair.filter = lambda end, pdu: not (isinstance(pdu.body, FileData) and pdu.body.offset == 1024)
    pair.put(some(5000), mode=Mode.UNACKNOWLEDGED, closure=True)
    pair.run()
    assert pair.received() == "no_file"
    assert pair.ended(1) == pair.ended(0) == (Condition.CHECK_LIMIT, False)
    assert nothing_left(pair)


def test_a_class_1_file_without_its_end_is_given_up() -> None:
    pair = Pair(peer={"inactivity_ns": 30 * SECOND})
    pair.filter = lambda end, pdu: not isinstance(pdu.body, Eof)
    pair.put(some(5000), mode=Mode.UNACKNOWLEDGED)
    pair.run()
    assert pair.ended(1) == (Condition.INACTIVITY, False)


def test_real_folders_keep_a_transfer_over_restarts(tmp_path: Path) -> None:
    pair = Pair(loss=0.3, slot=2100, stores=[FolderStore(tmp_path / "a"), FolderStore(tmp_path / "b")])
    pair.put(some(40_000))
    for state in (State.RECEIVING, State.MISSING):
        assert pair.run_to(1, state)
        for end, name in ((0, "a"), (1, "b")):
            pair.stores[end] = FolderStore(tmp_path / name)
            pair.restart(end)
    pair.run()
    assert (tmp_path / "b" / "file").read_bytes() == some(40_000)
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["file"]


# -- suspended, cut off, restarted, cancelled: in every state


def at(number: int, state: State, **more: object) -> tuple[Pair, TransactionId]:
    """A transfer that is in a state right now."""
    pair = Pair(work=512, slot=2100, faults=LineFaults(loss=0.3, delay_s=0.3), **more)  # type: ignore[arg-type]
    transaction = pair.put(some(20_000))
    assert pair.run_to(number, state), f"{state} was not met"
    return pair, transaction


@pytest.mark.parametrize(("number", "state"), STATES)
@pytest.mark.parametrize("who", [0, 1])
def test_any_state_can_be_suspended_for_long_and_resumed(number: int, state: State, who: int) -> None:
    pair, transaction = at(number, state)
    if not pair.ends[who].suspend(transaction, pair.now):
        assert not pair.ends[who].transactions()  # this end does not know it yet, or no longer
        return
    said: list[Pdu] = []
    pair.filter = lambda end, pdu: end != who or said.append(pdu) is None
    for _ in range(300):
        pair.tick()
    assert all(isinstance(pdu.body, Ack) for pdu in said)
    pair.now += 5 * HOUR
    pair.filter = lambda end, pdu: True
    if who == 0 and not pair.ends[0].busy:
        pair.run()
        assert pair.ended(0) == (Condition.NO_ERROR, True)  # the other end has said so meanwhile
        return
    assert pair.ends[who].transactions()[0].suspended
    assert pair.ends[who].resume(transaction, pair.now)
    pair.run()
    # What stood still that long may have cost the other end its patience; then both know.
    if pair.ended(1)[1]:
        assert pair.received() == some(20_000)
    else:
        assert pair.ended(0)[1] is False
        assert pair.received() == "no_file"
    assert nothing_left(pair)
    told = [note.kind for note in pair.notes[who] if note.kind in (IndicationKind.SUSPENDED, IndicationKind.RESUMED)]
    assert told == [IndicationKind.SUSPENDED, IndicationKind.RESUMED]


@pytest.mark.parametrize(("number", "state"), STATES)
def test_without_contact_all_timers_stand_still(number: int, state: State) -> None:
    pair, _ = at(number, state)
    for line in pair.lines:
        line.up = False
        line.cut()
    for end in pair.ends:
        end.contact(False, pair.now)
    for _ in range(50):
        pair.now += HOUR
        pair.tick()
        assert not any(end.next_pdu(UNIT, pair.now) for end in pair.ends)
    for line in pair.lines:
        line.up = True
    for end in pair.ends:
        end.contact(True, pair.now)
    pair.run()
    assert pair.received() == some(20_000)
    assert pair.ended(0) == pair.ended(1) == (Condition.NO_ERROR, True)
    assert not pair.told(0, IndicationKind.FAULT) + pair.told(1, IndicationKind.FAULT)


@pytest.mark.parametrize(("number", "state"), STATES)
@pytest.mark.parametrize("who", [(0,), (1,), (0, 1)])
def test_any_state_can_be_restarted(number: int, state: State, who: tuple[int, ...]) -> None:
    pair, _ = at(number, state)
    for end in who:
        pair.restart(end)
    pair.run()
    assert pair.received() == some(20_000)
    assert pair.told(0, IndicationKind.FINISHED)[-1].delivered
    assert nothing_left(pair)


@pytest.mark.parametrize(("number", "state"), STATES)
@pytest.mark.parametrize("who", [0, 1])
def test_any_state_can_be_cancelled(number: int, state: State, who: int) -> None:
    pair, transaction = at(number, state)
    cancelled = pair.ends[who].cancel(transaction, pair.now)
    pair.run()
    condition, delivered = pair.ended(0)
    if delivered:
        assert pair.received() == some(20_000)
    else:
        assert cancelled
        assert condition is Condition.CANCEL_REQUEST
        assert pair.received() == "no_file"
    assert nothing_left(pair)


def test_cancelling_outlives_a_restart() -> None:
    pair, transaction = at(0, State.SENDING)
    assert pair.ends[0].cancel(transaction, pair.now)
    pair.restart(0)
    pair.run()
    assert pair.told(0, IndicationKind.FINISHED)[-1].condition is Condition.CANCEL_REQUEST
    assert pair.received() == "no_file"


def test_a_suspension_outlives_a_restart() -> None:
    for who in (0, 1):
        pair, transaction = at(1, State.RECEIVING)
        pair.ends[who].suspend(transaction, pair.now)
        pair.restart(who)
        assert pair.ends[who].transactions()[0].suspended
        assert pair.ends[who].resume(transaction, pair.now)
        pair.run()
        assert pair.received() == some(20_000)


def test_an_end_of_file_while_suspended_is_remembered() -> None:
    pair = Pair()
    transaction = pair.put(some(20_000))
    assert pair.run_to(1, State.RECEIVING)
    pair.ends[1].suspend(transaction, pair.now)
    assert pair.run_to(0, State.AWAITING_FINISHED)
    assert pair.ends[1].transactions()[0].state is State.MISSING
    for _ in range(100):
        pair.tick()
    assert pair.received() == "no_file"
    assert pair.ends[1].resume(transaction, pair.now)
    pair.run()
    assert pair.received() == some(20_000)


def test_resuming_asks_for_what_is_missing_at_once() -> None:
    pair = Pair()
    pair.filter = lambda end, pdu: not (isinstance(pdu.body, FileData) and 2000 < pdu.body.offset < 6000)
    transaction = pair.put(some(20_000))
    assert pair.run_to(1, State.MISSING)
    pair.ends[1].suspend(transaction, pair.now)
    for _ in range(20):
        pair.tick()
    pair.ends[1].resume(transaction, pair.now)
    unit = pair.ends[1].next_pdu(UNIT, pair.now)
    assert unit is not None
    pdu = decode(unit)
    assert isinstance(pdu, Pdu)
    assert pdu.body == Nak(2048, 20_000, ((2048, 6144),))


def test_contact_that_comes_back_asks_and_tells_again_at_once() -> None:
    pair = Pair()
    pair.filter = lambda end, pdu: end == 0 and not isinstance(pdu.body, FileData)
    pair.put(some(3000))
    assert pair.run_to(0, State.AWAITING_ACK)
    pair.tick()
    for end in pair.ends:
        end.contact(False, pair.now)
        end.contact(True, pair.now)
    assert said(pair.ends[0], pair.now) == [Eof(Condition.NO_ERROR, checksum(some(3000)), 3000)]
    assert said(pair.ends[1], pair.now)[-1] == Nak(0, 3000, ((0, 3000),))


def test_a_receiver_that_has_lost_everything_is_told_again() -> None:
    pair = Pair()
    pair.filter = lambda end, pdu: not isinstance(pdu.body, FileData)
    pair.put(some(20_000))
    assert pair.run_to(0, State.AWAITING_FINISHED)
    pair.stores[1] = MemoryStore()
    pair.restart(1)
    pair.filter = lambda end, pdu: True
    pair.run()
    assert pair.received() == some(20_000)
    assert pair.ended(0) == (Condition.NO_ERROR, True)


# -- power cuts at every system call


@pytest.mark.parametrize("who", [0, 1])
def test_the_power_may_go_in_any_system_call(who: int) -> None:
    data = some(6000)
    done = False
    dies_at = 1
    while not done:
        rng = np.random.default_rng(dies_at)
        media = (CutMedium(rng), CutMedium(rng))
        pair = Pair(seed=dies_at, stores=[FileStore(media[0]), FileStore(media[1])])
        pair.put(data)
        start = media[who].calls
        media[who].dies_at = start + dies_at
        try:
            pair.run()
            media[who].dies_at = None
            done = True
        except PowerCut:
            pair.notes[who].extend(pair.ends[who].indications.take_all())
            media[who].restart()
            pair.stores[who] = FileStore(media[who])
            pair.restart(who)
            pair.run()
        assert pair.received() == data, dies_at
        # Its record may have come back with the power: then it has told the end twice.
        assert pair.told(0, IndicationKind.FINISHED)[-1].delivered, dies_at
        assert nothing_left(pair), dies_at
        dies_at += 1
    assert dies_at > (3 if who == 0 else 20)


# -- limits and faults


def silent(pair: Pair) -> None:
    """Nothing comes back from the receiver."""
    pair.filter = lambda end, pdu: end == 0


def test_a_sender_without_an_answer_cancels_and_then_drops_it() -> None:
    pair = Pair(peer={"ack_limit": 3})
    silent(pair)
    pair.put(some(3000))
    for _ in range(2000):
        pair.tick()
    assert [note.condition for note in pair.told(0, IndicationKind.FAULT)] == [Condition.POSITIVE_ACK_LIMIT] * 2
    assert pair.told(0, IndicationKind.ABANDONED)[0].condition is Condition.POSITIVE_ACK_LIMIT
    assert not pair.ends[0].busy


def test_a_receiver_that_asks_in_vain_gives_up() -> None:
    pair = Pair(peer={"nak_limit": 3})
    pair.filter = lambda end, pdu: not isinstance(pdu.body, FileData)
    pair.put(some(3000))
    pair.run()
    assert pair.ended(1) == pair.ended(0) == (Condition.NAK_LIMIT, False)
    assert pair.told(1, IndicationKind.FAULT)[0].condition is Condition.NAK_LIMIT


def test_a_receiver_whose_end_is_not_confirmed_keeps_the_file() -> None:
    pair = Pair(peer={"ack_limit": 3})
    pair.filter = lambda end, pdu: not isinstance(pdu.body, Ack) or pdu.body.directive is not Directive.FINISHED
    pair.put(some(3000))
    pair.run()
    assert pair.received() == some(3000)
    assert pair.ended(0) == pair.ended(1) == (Condition.NO_ERROR, True)
    assert pair.told(1, IndicationKind.FAULT)[0].condition is Condition.POSITIVE_ACK_LIMIT


@pytest.mark.parametrize("handler", list(Handler))
def test_a_fault_does_what_its_handler_says(handler: Handler) -> None:
    pair = Pair(peer={"nak_limit": 2, "inactivity_ns": 100 * SECOND, "handlers": {Condition.NAK_LIMIT: handler}})
    pair.filter = lambda end, pdu: not isinstance(pdu.body, FileData)
    transaction = pair.put(some(3000))
    for _ in range(300):
        pair.tick()
    assert pair.told(1, IndicationKind.FAULT)[0].condition is Condition.NAK_LIMIT
    if handler is Handler.CANCEL:
        assert pair.ended(1) == (Condition.NAK_LIMIT, False)
    elif handler is Handler.ABANDON:
        assert pair.told(1, IndicationKind.ABANDONED)
        assert not pair.ends[1].busy
        assert nothing_left(Pair(stores=[MemoryStore(), pair.stores[1]]))
    else:
        view = pair.ends[1].transactions()[0]
        assert view.suspended is (handler is Handler.SUSPEND)
        pair.filter = lambda end, pdu: True
        if view.suspended:
            pair.ends[1].resume(transaction, pair.now)
        pair.run()
        assert pair.received() == some(3000)


def test_a_transaction_may_have_handlers_of_its_own_at_both_ends() -> None:
    pair = Pair(peer={"nak_limit": 2})
    pair.filter = lambda end, pdu: not isinstance(pdu.body, FileData)
    pair.put(some(3000), overrides=(FaultOverride(Condition.NAK_LIMIT, Handler.ABANDON),))
    for _ in range(300):
        pair.tick()
    assert pair.told(1, IndicationKind.ABANDONED)[0].condition is Condition.NAK_LIMIT


def test_a_store_that_says_no_is_told_to_the_sender() -> None:
    for limits, name in ((StoreLimits(file_bytes=2000), "there"), (StoreLimits(total_bytes=2000), "there"),
                         (StoreLimits(files=0), "there"), (StoreLimits(), "../there"), (StoreLimits(), ".there"),
                         (StoreLimits(), "n" * 65)):
        pair = Pair(limits=limits)
        pair.put(some(3000), destination_name=name)
        pair.run()
        assert pair.ended(0) == pair.ended(1) == (Condition.FILESTORE_REJECTION, False)
        assert pair.stores[1].names() == {}
        assert nothing_left(pair)


@pytest.mark.parametrize("handler", list(Handler))
def test_a_bad_name_never_gets_a_file_whatever_the_handler(handler: Handler) -> None:
    pair = Pair(peer={"handlers": {Condition.FILESTORE_REJECTION: handler}, "inactivity_ns": 60 * SECOND})
    transaction = pair.put(some(3000), destination_name="../there")
    for _ in range(100):
        pair.tick()
    pair.ends[1].resume(transaction, pair.now)
    for _ in range(100):
        pair.tick()
    assert pair.stores[1].names() == {}


def test_a_medium_without_room_is_a_clean_fault() -> None:
    media = (CutMedium(np.random.default_rng(1)), CutMedium(np.random.default_rng(2)))
    pair = Pair(stores=[FileStore(media[0]), FileStore(media[1])])
    pair.put(some(20_000))
    pair.run_to(1, State.RECEIVING)
    media[1].full = True
    pair.run()
    assert pair.ended(0) == pair.ended(1) == (Condition.FILESTORE_REJECTION, False)


def test_a_file_that_changes_on_its_way_never_appears() -> None:
    pair = Pair(slot=1500)
    pair.filter = lambda end, pdu: not (isinstance(pdu.body, FileData) and pdu.body.offset == 0 and pair.now < SECOND)
    pair.put(some(20_000))
    assert pair.run_to(0, State.AWAITING_ACK)
    pair.stores[0].save("file", some(20_000, 6))
    pair.restart(0)
    pair.run()
    assert pair.ended(1) == (Condition.CHECKSUM_FAILURE, False)
    assert pair.received() == "no_file"


@pytest.mark.parametrize("size", [None, 19_999])
def test_a_file_that_is_gone_or_shorter_after_a_restart_is_cancelled(size: int | None) -> None:
    pair, _ = at(0, State.SENDING)
    pair.stores[0].remove("file")
    if size is not None:
        pair.stores[0].save("file", some(size))
    pair.restart(0)
    pair.run()
    assert pair.told(0, IndicationKind.FINISHED)[-1].delivered is False
    assert pair.received() == "no_file"
    assert nothing_left(pair)


# -- units by hand


FORTH = Header(2, 9, 1)
BACK = Header(2, 9, 1, to_sender=True)


def alone(**more: object) -> CfdpEntity:
    """One entity, 1, with a peer, 2."""
    peer = PeerConfig(2, **more)  # type: ignore[arg-type]
    return CfdpEntity(EntityConfig(1, transactions=2), MemoryStore(), [peer], lambda size: bytes(size), 0)


def said(entity: CfdpEntity, now: int = 0) -> list[object]:
    units = [decode(unit) for unit in entity.pdus(UNIT, now, 99_999)]
    return [unit.body for unit in units if isinstance(unit, Pdu)]


def checksum(data: bytes) -> int:
    return zlib.crc32(data)


def test_units_in_any_order_make_a_file_metadata_last() -> None:
    entity = alone()
    end = Eof(Condition.NO_ERROR, checksum(b"abcdef"), 6)
    for body in (FileData(3, b"def"), end, FileData(0, b"abc")):
        assert entity.receive(encode(FORTH, body), 0) is None
    assert Nak(0, 6, ((0, 0),)) in said(entity)
    assert entity.receive(encode(FORTH, Metadata(6, "a", "b", 3)), 0) is None
    assert said(entity) == [Finished(Condition.NO_ERROR, Delivery.COMPLETE, FileStatus.RETAINED)]
    assert entity.store.read("b") == b"abcdef"


def test_long_sizes_and_ids_of_any_length_are_taken() -> None:
    header = Header(2, 9, 1, large=True, crc=True, entity_bytes=3, sequence_bytes=7)
    entity = alone()
    for body in (Metadata(3, "a", "b", 0), FileData(0, b"abc"), Eof(Condition.NO_ERROR, 0x61626300, 3)):
        assert entity.receive(encode(header, body), 0) is None
    assert entity.store.read("b") == b"abc"


def test_late_units_of_what_is_over_are_answered_and_begin_nothing() -> None:
    entity = alone()
    units = [encode(FORTH, body) for body in (
        Metadata(3, "a", "b", 3), FileData(0, b"abc"), Eof(Condition.NO_ERROR, checksum(b"abc"), 3))]
    for unit in units:
        entity.receive(unit, 0)
    finished = Finished(Condition.NO_ERROR, Delivery.COMPLETE, FileStatus.RETAINED)
    assert finished in said(entity)
    entity.receive(encode(FORTH, Ack(Directive.FINISHED, Condition.NO_ERROR, AckStatus.ACTIVE)), 0)
    assert not entity.busy
    assert [entity.receive(unit, 0) for unit in units] == [EntityRefusal.LATE] * 3
    assert said(entity) == [Ack(Directive.EOF, Condition.NO_ERROR, AckStatus.TERMINATED), finished]
    assert not entity.busy


def test_a_number_used_again_begins_another_file() -> None:
    entity = alone()
    for name, data in (("a", b"first"), ("b", b"second")):
        end = Eof(Condition.NO_ERROR, checksum(data), len(data))
        for body in (Metadata(len(data), "x", name, 3), FileData(0, data), end):
            entity.receive(encode(FORTH, body), 0)
        said(entity)
        entity.receive(encode(FORTH, Ack(Directive.FINISHED, Condition.NO_ERROR, AckStatus.ACTIVE)), 0)
        assert entity.store.read(name) == data
    half = Metadata(5, "x", "c", 3)
    entity.receive(encode(FORTH, half), 0)
    entity.receive(encode(FORTH, FileData(0, b"ab")), 0)
    for body in (Metadata(1, "x", "d", 3), FileData(0, b"d"), Eof(Condition.NO_ERROR, checksum(b"d"), 1)):
        entity.receive(encode(FORTH, body), 0)
    assert entity.store.names() == {"a": 5, "b": 6, "d": 1}
    assert IndicationKind.ABANDONED in [note.kind for note in entity.indications.take_all()]


def test_who_says_that_it_is_over_is_always_answered() -> None:
    entity = alone()
    header = Header(1, 5, 2, to_sender=True)
    over = Finished(Condition.NO_ERROR, Delivery.COMPLETE, FileStatus.RETAINED)
    assert entity.receive(encode(header, over), 0) is EntityRefusal.LATE
    assert said(entity) == [Ack(Directive.FINISHED, Condition.NO_ERROR, AckStatus.UNDEFINED)]
    given_up = Eof(Condition.CANCEL_REQUEST, 0, 0, b"\x02")
    assert entity.receive(encode(FORTH, given_up), 0) is EntityRefusal.UNKNOWN_TRANSACTION
    assert said(entity) == [Ack(Directive.EOF, Condition.CANCEL_REQUEST, AckStatus.UNRECOGNIZED)]


@pytest.mark.parametrize(("header", "body", "refusal"), [
    (Header(2, 9, 3), FileData(0, b"x"), EntityRefusal.NOT_FOR_US),
    (Header(3, 9, 1), FileData(0, b"x"), EntityRefusal.UNKNOWN_PEER),
    (Header(3, 9, 2, to_sender=True), KeepAlive(0), EntityRefusal.NOT_FOR_US),
    (Header(1, 9, 3, to_sender=True), KeepAlive(0), EntityRefusal.UNKNOWN_PEER),
    (Header(1, 9, 2, to_sender=True), KeepAlive(0), EntityRefusal.UNKNOWN_TRANSACTION),
    (FORTH, Prompt(Response.NAK), EntityRefusal.UNKNOWN_TRANSACTION),
    (FORTH, Ack(Directive.FINISHED, Condition.NO_ERROR, AckStatus.ACTIVE), EntityRefusal.UNKNOWN_TRANSACTION),
])
def test_units_that_belong_nowhere_are_named_and_counted(header: Header, body: object, refusal: EntityRefusal) -> None:
    entity = alone()
    assert entity.receive(encode(header, body), 0) is refusal  # type: ignore[arg-type]
    assert entity.counts.refused == {refusal: 1}
    assert entity.receive(b"noise", 0) is PduRefusal.TOO_SHORT


def test_units_that_do_not_fit_the_transaction_are_refused() -> None:
    entity = alone()
    entity.receive(encode(FORTH, FileData(4, b"abcd")), 0)
    mode = replace(FORTH, mode=Mode.UNACKNOWLEDGED)
    assert entity.receive(encode(mode, FileData(0, b"abcd")), 0) is EntityRefusal.MODE
    assert entity.receive(encode(FORTH, FileData(5, b"bc")), 0) is EntityRefusal.DUPLICATE
    ack = Ack(Directive.FINISHED, Condition.NO_ERROR, AckStatus.ACTIVE)
    assert entity.receive(encode(FORTH, ack), 0) is EntityRefusal.UNEXPECTED
    for number in (10, 11):
        refusal = entity.receive(encode(replace(FORTH, sequence=number), FileData(0, b"x")), 0)
    assert refusal is EntityRefusal.TOO_MANY


@pytest.mark.parametrize("handler", list(Handler))
@pytest.mark.parametrize("late", [False, True])
def test_bytes_beyond_the_end_are_a_size_error(handler: Handler, late: bool) -> None:
    entity = alone(handlers={Condition.FILE_SIZE_ERROR: handler})
    bodies = [FileData(0, b"abcdef"), Metadata(3, "a", "b", 3)]
    for body in bodies if late else reversed(bodies):
        entity.receive(encode(FORTH, body), 0)
    kinds = [(note.kind, note.condition) for note in entity.indications.take_all()]
    assert (IndicationKind.FAULT, Condition.FILE_SIZE_ERROR) in kinds
    entity.receive(encode(FORTH, Eof(Condition.NO_ERROR, checksum(b"abc"), 3)), 0)
    entity.receive(encode(FORTH, FileData(0, b"abc")), 0)
    assert entity.store.names() in ({}, {"b": 3})
    assert handler is not Handler.CANCEL or Finished(
        Condition.FILE_SIZE_ERROR, Delivery.INCOMPLETE, FileStatus.DISCARDED, b"\x01") in said(entity)


def test_orders_to_the_filestore_are_refused_aloud() -> None:
    entity = alone()
    entity.receive(encode(FORTH, Metadata(3, "a", "b", 3, options=(FilestoreRequest(b"\x10\x01x"),))), 0)
    assert said(entity) == [Finished(Condition.FILESTORE_REJECTION, Delivery.INCOMPLETE, FileStatus.REJECTED, b"\x01")]


def test_an_unknown_checksum_is_refused_aloud() -> None:
    entity = alone()
    entity.receive(encode(FORTH, Metadata(3, "a", "b", 2)), 0)
    assert said(entity) == [Finished(Condition.UNSUPPORTED_CHECKSUM, Delivery.INCOMPLETE, FileStatus.DISCARDED)]


def test_many_gaps_are_asked_for_in_as_many_units_as_it_takes() -> None:
    entity = alone()
    entity.receive(encode(FORTH, Metadata(1000, "a", "b", 3)), 0)
    for offset in range(1, 1000, 2):
        entity.receive(encode(FORTH, FileData(offset, b"x")), 0)
    entity.receive(encode(FORTH, Eof(Condition.NO_ERROR, checksum(b"x" * 1000), 1000)), 0)
    naks: list[Nak] = []
    while (unit := entity.next_pdu(100, 0)) is not None:
        assert len(unit) <= 100
        pdu = decode(unit)
        if isinstance(pdu, Pdu) and isinstance(pdu.body, Nak):
            naks.append(pdu.body)
    assert [request for nak in naks for request in nak.requests] == [(at, at + 1) for at in range(0, 1000, 2)]
    assert all(nak.start <= low < high <= nak.end for nak in naks for low, high in nak.requests)
    for offset in range(0, 1000, 2):
        entity.receive(encode(FORTH, FileData(offset, b"x")), 0)
    assert entity.store.read("b") == b"x" * 1000


def test_more_gaps_than_the_bound_are_not_taken() -> None:
    config = EntityConfig(1, gaps=5)
    entity = CfdpEntity(config, MemoryStore(), [PeerConfig(2)], lambda size: bytes(size), 0)
    refusals = [entity.receive(encode(FORTH, FileData(at, b"x")), 0) for at in range(1, 20, 2)]
    assert refusals == [None] * 5 + [EntityRefusal.TOO_MANY_GAPS] * 5


def test_immediate_asking_asks_once_for_each_gap() -> None:
    entity = alone(immediate_nak=True)
    entity.receive(encode(FORTH, Metadata(30, "a", "b", 3)), 0)
    entity.receive(encode(FORTH, FileData(10, b"0123456789")), 0)
    assert said(entity) == [Nak(0, 20, ((0, 10),))]
    entity.receive(encode(FORTH, FileData(25, b"01234")), 0)
    assert said(entity) == [Nak(20, 30, ((20, 25),))]
    entity.receive(encode(FORTH, Eof(Condition.NO_ERROR, 0, 30)), 0)
    assert said(entity) == [Ack(Directive.EOF, Condition.NO_ERROR, AckStatus.ACTIVE)]
    entity.step(6 * SECOND)
    assert said(entity, 6 * SECOND) == [Nak(0, 30, ((0, 10), (20, 25)))]


def test_prompts_are_answered() -> None:
    entity = alone()
    entity.receive(encode(FORTH, Metadata(30, "a", "b", 3)), 0)
    entity.receive(encode(FORTH, FileData(0, b"0123")), 0)
    entity.receive(encode(FORTH, Prompt(Response.KEEP_ALIVE)), 0)
    assert said(entity) == [KeepAlive(4)]
    entity.receive(encode(FORTH, Prompt(Response.NAK)), 0)
    assert said(entity) == [Nak(0, 4)]


def test_a_sender_can_prompt_and_hears_how_far_the_receiver_is() -> None:
    pair = Pair(peer={"keep_alive_limit": 10_000})
    pair.filter = lambda end, pdu: not isinstance(pdu.body, FileData) or pdu.body.offset < 3000
    transaction = pair.put(some(30_000))
    assert pair.run_to(0, State.AWAITING_FINISHED)
    assert pair.ends[0].prompt(transaction, Response.KEEP_ALIVE)
    pair.run()
    assert pair.ended(0) == (Condition.KEEP_ALIVE_LIMIT, False)
    assert not pair.ends[0].prompt(transaction, Response.NAK)


def test_a_receiver_tells_regularly_if_it_is_to() -> None:
    entity = alone(keep_alive_ns=10 * SECOND)
    entity.receive(encode(FORTH, Metadata(30, "a", "b", 3)), 0)
    heard = []
    for now in range(0, 60 * SECOND, SECOND):
        entity.step(now)
        heard += said(entity, now)
    assert heard == [KeepAlive(0)] * 5


# -- slots, bounds, requests


def test_a_slot_gets_no_more_than_it_gives() -> None:
    entity = alone()
    entity.store.save("file", some(10_000))
    entity.put("file", 2, 0)
    for room, budget in ((200, 1000), (100, 99), (1038, 3000), (64, 64), (30, 10_000)):
        units = entity.pdus(room, 0, budget)
        assert sum(map(len, units)) <= budget
        assert all(len(unit) <= room for unit in units)
    assert entity.pdus(1038, 0, 0) == []


def test_pieces_are_cut_to_the_link_and_not_to_the_rest_of_a_slot() -> None:
    entity = alone()
    entity.store.save("file", some(10_000))
    entity.put("file", 2, 0)
    units = entity.pdus(200, 0, 1000)
    assert [len(unit) for unit in units[1:]] == [200, 200, 200, 200]
    assert len(entity.pdus(9000, 0, 1100)[0]) == 1024 + 14


def test_metadata_that_fits_into_no_unit_is_counted() -> None:
    entity = alone()
    entity.store.save("file", b"x")
    entity.put("file", 2, 0, messages=(bytes(200),))
    assert entity.next_pdu(100, 0) is None
    assert entity.counts.oversize == 1


def test_puts_that_cannot_be_are_refused_by_name() -> None:
    entity = alone()
    entity.store.save("file", b"x")
    assert entity.put("file", 9, 0) is PutRefusal.UNKNOWN_PEER
    assert entity.put("none", 2, 0) is PutRefusal.NO_FILE
    assert entity.put("../x", 2, 0) is PutRefusal.BAD_NAME
    assert entity.put("file", 2, 0, destination_name="") is PutRefusal.BAD_NAME
    assert entity.put("file", 2, 0, destination_name="n" * 256) is PutRefusal.BAD_NAME
    assert entity.put("file", 2, 0, messages=(bytes(256),)) is PutRefusal.BAD_OPTION
    bad = FaultOverride(Condition.CANCEL_REQUEST, Handler.IGNORE)
    assert entity.put("file", 2, 0, overrides=(bad,)) is PutRefusal.BAD_OPTION
    assert isinstance(entity.put("file", 2, 0), TransactionId)
    assert isinstance(entity.put("file", 2, 0), TransactionId)
    assert entity.put("file", 2, 0) is PutRefusal.TOO_MANY


def test_requests_for_unknown_transactions_are_answered_with_no() -> None:
    entity = alone()
    ghost = TransactionId(1, 1)
    answers = [entity.suspend(ghost, 0), entity.resume(ghost, 0), entity.cancel(ghost, 0), entity.abandon(ghost, 0)]
    assert not any((*answers, entity.prompt(ghost, Response.NAK)))


def test_units_go_to_the_peer_that_is_asked_for() -> None:
    peers = [PeerConfig(2), PeerConfig(3)]
    entity = CfdpEntity(EntityConfig(1), MemoryStore(), peers, lambda size: bytes(size), 0)
    entity.store.save("file", b"x")
    for peer in (2, 3):
        entity.put("file", peer, 0)
    entity.contact(False, 0, peer=3)
    units = [decode(unit) for unit in entity.pdus(UNIT, 0, 9999)]
    assert {unit.header.destination for unit in units if isinstance(unit, Pdu)} == {2}
    entity.contact(True, 0, peer=3)
    assert entity.next_pdu(UNIT, 0, peer=2) is None
    unit = decode(entity.next_pdu(UNIT, 0, peer=3) or b"")
    assert isinstance(unit, Pdu)
    assert unit.header.destination == 3


def test_numbers_are_not_given_twice_over_restarts() -> None:
    store = MemoryStore()
    store.save("file", b"x")
    seen = set()
    for _ in range(5):
        entity = CfdpEntity(EntityConfig(1), store, [PeerConfig(2)], lambda size: bytes(size), 0)
        for _ in range(3):
            started = entity.put("file", 2, 0)
            assert isinstance(started, TransactionId)
            assert started.sequence not in seen
            seen.add(started.sequence)
            entity.abandon(started, 0)


def test_records_that_cannot_be_read_are_counted_and_gone() -> None:
    pair, _ = at(1, State.MISSING)
    store = pair.stores[1]
    (key,) = [key for key in store.kept_keys() if key != "sequence"]
    store.keep(key, b"\x83nonsense")
    pair.restart(1)
    assert pair.ends[1].counts.records_lost == 1
    assert not pair.ends[1].busy
    assert nothing_left(Pair(stores=[MemoryStore(), store]))


def test_indications_are_bounded() -> None:
    config = EntityConfig(1, indications=4)
    entity = CfdpEntity(config, MemoryStore(), [PeerConfig(2)], lambda size: bytes(size), 0)
    entity.store.save("file", b"x")
    started = entity.put("file", 2, 0)
    assert isinstance(started, TransactionId)
    for _ in range(10):
        entity.suspend(started, 0)
        entity.resume(started, 0)
    assert len(entity.indications) == 4
    assert entity.status().indications_dropped == 17
