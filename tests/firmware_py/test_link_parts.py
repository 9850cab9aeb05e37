"""The joined parts of a craft's link: whose keys, what is sealed when, and what stays shut without certain counters."""

from __future__ import annotations

import numpy as np
import pytest

from comms.cfdp import MemoryStore
from comms.channel_plan import Direction
from comms.dictionary import Authority
from comms.emcon import Transmitter
from comms.flight_port import LocalPort
from comms.keys.keyring import KeyStore, new_craft, new_operator
from comms.keys.pairing import pair
from comms.keys.vault import Lock
from comms.link.end import Line
from comms.records.faults import RecordFault
from comms.records.kept import NblReceiver
from comms.transports.memory import memory_pair
from firmware_py.link_parts import NBL_SPEC, KeptSeal, LinkFiles, make_link, provision
from hil.disk import SimDisk


def disk(seed: int = 1) -> SimDisk:
    return SimDisk(np.random.default_rng(seed))


def keys() -> tuple[KeyStore, KeyStore]:
    rng = np.random.default_rng(4)
    lock = Lock.from_sealing_key(bytes(range(32)))
    craft = KeyStore(disk(), lock, rng.bytes, new_craft("QIKI-1", rng.bytes))
    ground = KeyStore(disk(), lock, rng.bytes, new_operator("ann", Authority.SAFETY, rng.bytes))
    pair(craft, ground, rng.bytes)
    return craft, ground


class Radio:
    """An emergency transmitter."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def start(self, frame: bytes, now_ns: int) -> bool:
        self.frames.append(frame)
        return True

    def stop(self, now_ns: int) -> None:
        """Nothing is under way."""


def made(store: KeyStore, transmitter: Radio | None = None) -> object:
    line = Line(memory_pair("radio").a, Transmitter.RADIO)
    files = LinkFiles(MemoryStore(), disk(2))
    return make_link(store, {"radio": line}, LocalPort().link, files, np.random.default_rng(9).bytes, 0, 1, transmitter)


def test_only_the_keys_of_a_craft_make_a_craft() -> None:
    craft, ground = keys()
    assert made(craft) is not None
    with pytest.raises(ValueError, match="a craft's are needed"):
        made(ground)


def test_there_is_an_emergency_channel_where_there_is_a_transmitter() -> None:
    craft, _ = keys()
    assert made(craft).emergency is None  # type: ignore[attr-defined]
    assert made(craft, Radio()).emergency is not None  # type: ignore[attr-defined]


def test_nothing_is_sealed_before_the_number_of_the_start_is_known() -> None:
    craft, _ = keys()
    counters = disk(3)
    provision(counters)
    start: list[int | None] = [None]
    seal = KeptSeal(craft, counters, lambda: start[0])
    assert seal(b"distress") is RecordFault.NOT_USABLE
    start[0] = 1
    record = seal(b"distress")
    assert isinstance(record, bytes)
    assert b"distress" not in record


def test_a_pinned_peer_can_read_it_and_no_two_records_are_alike() -> None:
    craft, ground = keys()
    counters = disk(3)
    provision(counters)
    seal = KeptSeal(craft, counters, lambda: 1)
    records = [seal(b"distress") for _ in range(300)]
    records += [KeptSeal(craft, counters, lambda: 2)(b"distress")]
    assert len(set(records)) == 301
    root = ground.ring.peers[0].nbl_root
    assert root is not None
    receiver = NblReceiver(root, b"qiki nbl QIKI-1", Direction.DOWN, NBL_SPEC)
    for record in records:
        assert isinstance(record, bytes)
        assert len(record) - len(b"distress") <= 11
        opened = receiver.open(record)
        assert getattr(opened, "plaintext", None) == b"distress"
    assert receiver.boot_id == 2


def test_counters_that_were_never_made_or_are_gone_keep_it_shut() -> None:
    craft, _ = keys()
    assert not isinstance(KeptSeal(craft, disk(3), lambda: 1)(b"distress"), bytes)


def test_another_process_of_the_same_start_goes_on_behind_and_an_earlier_start_is_shut() -> None:
    craft, _ = keys()
    counters = disk(3)
    provision(counters)
    first = KeptSeal(craft, counters, lambda: 5)(b"x")
    second = KeptSeal(craft, counters, lambda: 5)(b"x")
    assert isinstance(first, bytes)
    assert isinstance(second, bytes)
    assert first != second
    assert not isinstance(KeptSeal(craft, counters, lambda: 4)(b"x"), bytes)
    assert isinstance(KeptSeal(craft, counters, lambda: 6)(b"x"), bytes)
