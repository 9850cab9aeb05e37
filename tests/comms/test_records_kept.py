"""Kept contexts: emergency packets and sealed bundles, over restarts of both ends."""

from __future__ import annotations

import numpy as np
import pytest

from comms.channel_plan import Direction, channel_named
from comms.records.faults import RecordFault
from comms.records.kept import MOST_STARTS, NBL_LONGEST, TRIES, KeptReceiver, KeptSender, NblReceiver
from comms.records.record import Opened
from comms.records.reservation import BLOCK, CounterStore, Reason
from hil.disk import SimDisk

ROOT, LABEL = bytes(range(1, 33)), b"craft 1"
NBL, BUNDLES = channel_named("nbl"), channel_named("bundles")


class Craft:
    """A craft that is started again and again."""

    def __init__(self) -> None:
        self.disk = SimDisk(np.random.default_rng(3))
        for name in ("nbl", "bundles"):
            CounterStore(self.disk, 0).provision(name)

    def start(self, boot_id: int | None, nbl: bool = True) -> KeptSender:
        store = CounterStore(self.disk, boot_id)
        spec = NBL if nbl else BUNDLES
        return KeptSender(ROOT, LABEL, Direction.DOWN, spec, store, "nbl" if nbl else "bundles")


def ground(boot_id: int = 0, floor: int = 0) -> NblReceiver:
    return NblReceiver(ROOT, LABEL, Direction.DOWN, NBL, boot_id, floor)


def sealed(sender: KeptSender, plaintext: bytes = b"distress") -> bytes:
    record = sender.seal(plaintext)
    assert isinstance(record, bytes)
    return record


def test_an_nbl_record_takes_eleven_bytes_more_at_most() -> None:
    sender, receiver = Craft().start(1), ground()
    for counter in range(3 * BLOCK):
        record = sealed(sender)
        assert len(record) - len(b"distress") == (10 if counter < 256 else 11)
        assert receiver.open(record) == Opened(31, b"distress", 1, counter)
        assert receiver.open(record) is RecordFault.REPLAYED


def test_an_nbl_packet_is_of_128_bytes_at_most() -> None:
    sender = Craft().start(1)
    assert sender.prepare() is None
    assert sender.overhead == 10
    assert sender.seal(bytes(NBL_LONGEST - 9)) is RecordFault.TOO_LONG
    record = sealed(sender, bytes(NBL_LONGEST - 10))
    assert len(record) == NBL_LONGEST
    assert ground().open(record + b"\0") is RecordFault.TOO_LONG


def test_starts_are_found_forward_up_to_64_tries() -> None:
    craft, receiver = Craft(), ground(10)
    for boot_id in (11, 14, 14 + 4 * (TRIES - 1)):
        found = receiver.open(sealed(craft.start(boot_id)))
        assert isinstance(found, Opened)
        assert (found.epoch, receiver.boot_id) == (boot_id, boot_id)
    far = receiver.boot_id + 4 * TRIES
    record = sealed(craft.start(far))
    assert isinstance(receiver.open(record), RecordFault)
    receiver.expect(far)
    assert isinstance(receiver.open(record), Opened)


def test_records_of_earlier_starts_are_refused_after_a_later_one() -> None:
    craft, receiver = Craft(), ground()
    early = sealed(craft.start(1))
    assert isinstance(receiver.open(sealed(craft.start(5))), Opened)
    assert receiver.open(early) is RecordFault.REPLAYED
    late = craft.start(6)
    first, second = sealed(late), sealed(late)
    assert isinstance(receiver.open(second), Opened)
    assert isinstance(receiver.open(first), Opened)


def test_nothing_is_taken_twice_over_a_restart_of_the_receiver() -> None:
    sender, receiver = Craft().start(7), ground()
    records = [sealed(sender) for _ in range(5)]
    for record in records:
        assert isinstance(receiver.open(record), Opened)
    again = ground(*receiver.progress)
    for record in records:
        assert again.open(record) is RecordFault.REPLAYED
    assert isinstance(again.open(sealed(sender)), Opened)


@pytest.mark.parametrize("raw", [b"", b"\0", b"\1", b"\xc6" + bytes(30), bytes(200), b"\x01\x00" + bytes(20)])
def test_noise_is_refused(raw: bytes) -> None:
    assert isinstance(ground().open(raw), RecordFault)


def test_false_tags_shut_keys_and_an_authenticated_boot_id_leads_past_them() -> None:
    last = 2**32 - 1
    craft, receiver = Craft(), ground(last - 6)
    genuine = sealed(craft.start(last - 6))
    forged = genuine[:-1] + bytes((genuine[-1] ^ 1,))
    for _ in range(2**14):
        assert receiver.intrusions == 0
        assert receiver.open(forged) is RecordFault.FORGED
    assert receiver.intrusions == 2
    assert isinstance(receiver.open(genuine), RecordFault)
    receiver.expect(last - 7)
    assert receiver.boot_id == last - 6
    receiver.expect(last - 1)
    assert receiver.intrusions == 0
    assert isinstance(receiver.open(sealed(craft.start(last))), Opened)


def test_what_is_not_usable_is_not_sent() -> None:
    craft = Craft()
    sender = craft.start(None)
    assert not sender.usable
    assert sender.seal(b"distress") is RecordFault.NOT_USABLE
    assert sender.reason is Reason.NO_BOOT_ID
    assert craft.start(9).prepare() is None
    back = craft.start(8)
    assert not back.usable
    assert back.seal(b"distress") is RecordFault.NOT_USABLE
    assert back.reason is Reason.BOOT_ROLLED_BACK


def test_a_refused_block_stops_sending_until_the_next_one_is_stored() -> None:
    craft = Craft()
    sender, receiver = craft.start(1), ground()
    for _ in range(BLOCK):
        sealed(sender)
    craft.disk.full = True
    assert sender.seal(b"distress") is RecordFault.NOT_USABLE
    assert sender.reason is Reason.STORE_FAILED
    craft.disk.full = False
    found = receiver.open(sealed(sender))
    assert isinstance(found, Opened)
    assert found.counter >= BLOCK


def test_bundles_open_in_any_order_over_starts() -> None:
    craft = Craft()
    sent = [sealed(sender, bytes((boot_id,))) for boot_id in range(1, 6) for sender in (craft.start(boot_id, False),)]
    receiver = KeptReceiver(ROOT, LABEL, Direction.DOWN, BUNDLES)
    for index in (3, 0, 4, 2, 1):
        assert receiver.open(sent[index]) == Opened(7, bytes((index + 1,)), index + 1, 0)
    for record in sent:
        assert receiver.open(record) is RecordFault.REPLAYED
        changed = bytes((record[0] ^ 1,)) + record[1:]
        assert isinstance(receiver.open(changed), RecordFault)
    again = KeptReceiver(ROOT, LABEL, Direction.DOWN, BUNDLES, receiver.marks)
    assert all(again.open(record) is RecordFault.REPLAYED for record in sent)


def test_starts_long_ago_open_no_more() -> None:
    craft = Craft()
    receiver = KeptReceiver(ROOT, LABEL, Direction.DOWN, BUNDLES)
    sent = [sealed(craft.start(boot_id, False)) for boot_id in range(1, MOST_STARTS + 3)]
    for record in sent[1:]:
        assert isinstance(receiver.open(record), Opened)
    assert receiver.open(sent[0]) is RecordFault.WRONG_EPOCH
    assert receiver.open(sent[1]) is RecordFault.WRONG_EPOCH
    assert len(receiver.marks) == MOST_STARTS


def test_nothing_is_kept_of_starts_that_somebody_only_names() -> None:
    receiver = KeptReceiver(ROOT, LABEL, Direction.DOWN, BUNDLES)
    for boot_id in range(100):
        flag = (boot_id & 3) << 6 | 7 << 3 | 1
        assert receiver.open(boot_id.to_bytes(4, "big") + bytes((flag, 7, 0)) + bytes(20)) is RecordFault.FORGED
    assert receiver.marks == {}


def test_closed_ends_do_nothing_more() -> None:
    sender, receiver = Craft().start(1), ground()
    record = sealed(sender)
    sender.close()
    receiver.close()
    assert sender.seal(b"distress") is RecordFault.CLOSED
    assert receiver.open(record) is RecordFault.CLOSED
    receiver.expect(5)
    assert receiver.open(record) is RecordFault.CLOSED


def test_other_roots_labels_and_directions_open_nothing() -> None:
    record = sealed(Craft().start(1))
    for root, label, direction in (
        (bytes(31) + b"\1", LABEL, Direction.DOWN), (ROOT, b"craft 2", Direction.DOWN), (ROOT, LABEL, Direction.UP),
    ):
        assert NblReceiver(root, label, direction, NBL).open(record) is RecordFault.FORGED


@pytest.mark.parametrize(("root", "label"), [(bytes(32), LABEL), (ROOT[:31], LABEL), (ROOT, b"")])
def test_keys_that_cannot_be_are_refused(root: bytes, label: bytes) -> None:
    with pytest.raises(ValueError, match=r"root key|label"):
        NblReceiver(root, label, Direction.DOWN, NBL)


def test_kinds_of_channels_are_not_confused() -> None:
    with pytest.raises(ValueError, match="no NBL"):
        NblReceiver(ROOT, LABEL, Direction.DOWN, BUNDLES)
    with pytest.raises(ValueError, match="NblReceiver"):
        KeptReceiver(ROOT, LABEL, Direction.DOWN, NBL)


def test_no_secret_is_shown() -> None:
    sender, receiver = Craft().start(1), ground()
    for shown in (sender, receiver, KeptReceiver(ROOT, LABEL, Direction.DOWN, BUNDLES)):
        assert ROOT.hex()[:8] not in repr(shown)
