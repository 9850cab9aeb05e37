"""Bundles outlive a restart: whatever byte the power cut falls on, each is there whole or not at all."""

from __future__ import annotations

from binascii import crc32
from dataclasses import replace

import cbor2
import numpy as np
import pytest

from comms.bundles import BundleNode, DropReason, Eid, Neighbour, NodeSettings
from hil.disk import PowerCut, SimDisk

SECOND, MINUTE = 10**9, 60 * 10**9
SETTINGS = NodeSettings(Eid.ipn(5, 0), frozenset({1}), gateways=(6,), bundles=8, source_bundles=8)


def started(disk: SimDisk, start: int = 1, now_ns: int = 0, settings: NodeSettings = SETTINGS) -> BundleNode:
    made = BundleNode(settings, start, now_ns, disk)
    made.dock((Neighbour(6, 0.001, 4096),))
    return made


def send(node: BundleNode, text: bytes, now_ns: int = 0) -> DropReason | None:
    return node.send(node.make(Eid.ipn(9, 1), 1, 3600.0), text, 3, now_ns)


def payloads(node: BundleNode, now_ns: int = 0) -> list[bytes]:
    found = []
    while (outgoing := node.next_for(6, now_ns)) is not None:
        node.sent(outgoing, True)
        found.append(outgoing.data)
    return found


@pytest.fixture
def disk() -> SimDisk:
    return SimDisk(np.random.default_rng(3))


def test_stored_bundles_are_there_after_a_restart(disk: SimDisk):
    before = started(disk)
    for number in range(3):
        assert send(before, b"sealed %d" % number) is None
    disk.restart()
    after = started(disk, 2)
    assert (after.waiting, after.counts.resumed) == (3, 3)
    sent = payloads(after)
    assert [b"sealed %d" % number in data for number, data in enumerate(sent)] == [True] * 3


def test_a_sent_bundle_does_not_come_back_once_its_place_is_emptied(disk: SimDisk):
    before = started(disk)
    send(before, b"one")
    payloads(before)
    before.step(SECOND)
    disk.restart()
    assert started(disk, 2).waiting == 0


def test_ages_and_memories_and_energy_outlive_a_restart(disk: SimDisk):
    before = started(disk)
    send(before, b"old")
    outgoing = before.next_for(6, 0)
    assert outgoing is not None
    before.sent(outgoing, True)
    assert before.receive(outgoing.data, 7, 0) is DropReason.OWN_RETURNED
    send(before, b"waits")
    before.step(30 * MINUTE)
    left_j = before.budget.left_j(30 * MINUTE)
    disk.restart()
    after = started(disk, 2)
    assert after.budget.left_j(0) == pytest.approx(left_j)
    assert after.next_for(6, 30 * MINUTE - 1) is not None
    after.step(32 * MINUTE)
    assert after.next_for(6, 30 * MINUTE) is None
    assert after.dropped[DropReason.EXPIRED] == 1


def test_a_medium_that_refuses_means_not_taken(disk: SimDisk):
    node = started(disk)
    disk.full = True
    assert send(node, b"one") is DropReason.NOT_KEPT
    assert node.keep_failures == 1
    disk.full = False
    assert send(node, b"one") is None


def test_broken_places_are_counted_and_left(disk: SimDisk):
    node = started(disk)
    send(node, b"one")
    send(node, b"two")
    handle = disk.create("bundle0000.bin")
    disk.write(handle, b"QBN1 nonsense")
    disk.close(handle)
    handle = disk.create("bundles.bin")
    disk.close(handle)
    after = started(disk, 2)
    assert after.waiting == 1
    assert after.keep_failures == 2


@pytest.mark.parametrize("item", [
    [1, 1, None, 0, b"no bundle"], [1, -1, None, 0, b""], [1, 1, "a", 0, b""], [1, 1, None, 0, 5], [2], "text", 7,
    [1, 1, None, 2**60, b"\x9f\xff"],
])
def test_what_a_medium_says_is_judged_again(disk: SimDisk, item: object):
    for name in ("bundle0003.bin", "bundles.bin"):
        body = cbor2.dumps(item)
        handle = disk.create(name)
        disk.write(handle, b"QBN1" + crc32(body).to_bytes(4, "big") + body)
        disk.close(handle)
    node = started(disk)
    assert node.waiting == 0
    assert node.keep_failures + node.dropped[DropReason.MALFORMED] >= 1
    assert send(node, b"one") is None


@pytest.mark.parametrize("state", [
    [1, [], [], []], [1, [[1]], [], []], [1, [], [b"short"], []], [1, [], [], [[0, "a"]]], [1, [["a", 1]], [], []],
    [1, 5, [], []],
])
def test_a_state_that_makes_no_sense_is_left(disk: SimDisk, state: object):
    body = cbor2.dumps(state)
    handle = disk.create("bundles.bin")
    disk.write(handle, b"QBN1" + crc32(body).to_bytes(4, "big") + body)
    disk.close(handle)
    node = started(disk)
    assert send(node, b"one") is None
    assert len(payloads(node)) == 1


def test_a_store_that_has_become_smaller_gives_up_what_has_no_room(disk: SimDisk):
    before = started(disk)
    for _ in range(4):
        send(before, bytes(1000))
    after = started(disk, 2, settings=replace(SETTINGS, store_bytes=2500, source_bytes=2500))
    assert (after.waiting, after.dropped[DropReason.STORE_FULL]) == (2, 2)


def test_what_expired_on_the_medium_is_given_up(disk: SimDisk):
    before = started(disk)
    send(before, b"one")
    before.step(3599 * SECOND)
    after = started(disk, 2)
    assert after.waiting == 1
    after.step(SECOND)
    assert after.waiting == 0
    before.step(4000 * SECOND)
    assert started(disk, 3).waiting == 0


def test_a_power_cut_at_any_call_leaves_every_bundle_whole_or_absent():
    """What was taken before the cut is there; what was sent may come back once; nothing else ever shows."""
    for dies_at in range(60):
        disk = SimDisk(np.random.default_rng(dies_at))
        taken: set[bytes] = set()
        gone: set[bytes] = set()
        node = started(disk)
        disk.dies_at = disk.calls + dies_at
        try:
            for number in range(6):
                text = b"sealed payload %03d " % number * 40
                if send(node, text, number * MINUTE) is None:
                    taken.add(text)
                if number % 2:
                    outgoing = node.next_for(6, number * MINUTE)
                    assert outgoing is not None
                    gone |= {text for text in taken if text in outgoing.data}
                    node.sent(outgoing, True)
                node.step(number * MINUTE + SECOND)
        except PowerCut:
            text = b"sealed payload %03d " % number * 40
        disk.restart()
        after = started(disk, 2)
        found = payloads(after)
        for data in found:
            assert any(known in data for known in taken | {text})
        for known in taken - gone:
            assert any(known in data for data in found), f"lost at call {dies_at}"
        assert send(after, b"next") is None


def test_files_on_the_medium_are_bounded(disk: SimDisk):
    node = started(disk)
    for number in range(40):
        send(node, b"x" * number, number * MINUTE)
        payloads(node, number * MINUTE)
        node.step(number * MINUTE)
    assert len(disk.names()) <= SETTINGS.bundles + 1
