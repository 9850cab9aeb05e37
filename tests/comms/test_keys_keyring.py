"""The ring of keys: what may be pinned, how a shared key lives, what is kept and what is never shown."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.dictionary import Authority
from comms.keys import psk_life
from comms.keys.counters import CounterBook
from comms.keys.faults import KeyFault, KeyringError
from comms.keys.keyring import KeyStore, new_craft, new_operator
from comms.keys.pairing import pair
from comms.keys.points import LOW_ORDER, ZERO, KeyPair, check_public_key
from comms.keys.ring import MOST_PEERS, Peer, PeerState, RingKind, SlotState, filter_key
from comms.keys.ring_codec import decode_ring, encode_ring
from comms.keys.vault import Lock, SealedFile
from firmware_py.cli.link_campaign.rows_keys_rig import Sides, connect
from hil.disk import SimDisk

KEY = bytes(range(32))
RANDOM = np.random.default_rng(3).bytes
PSK, NEXT = RANDOM(32), RANDOM(32)


def peer(name: str = "ann", **changes) -> Peer:
    slot = psk_life.first_slot(PSK)
    public_key = KeyPair(f"key of {name}".encode().ljust(32, b".")).public
    made = Peer(name, RingKind.OPERATOR, public_key, Authority.CONTROLLER, PeerState.ACTIVE, (slot,), filter_key(PSK))
    return replace(made, **changes)


def store(files: SimDisk | None = None, ring=None) -> KeyStore:
    files = SimDisk(np.random.default_rng(1)) if files is None else files
    return KeyStore(files, Lock.from_sealing_key(KEY), RANDOM, ring)


def fault_of(action) -> KeyFault:
    with pytest.raises(KeyringError) as caught:
        action()
    assert PSK.hex() not in str(caught.value)
    return caught.value.fault


def states(one: Peer) -> list[SlotState]:
    return [slot.state for slot in one.slots]


def test_keys_are_found_again_as_they_were():
    files = SimDisk(np.random.default_rng(1))
    keys = store(files, new_craft("C-1", RANDOM))
    keys.pin(peer(note="first", last_start=9))
    again = store(files)
    assert again.ring == keys.ring
    assert again.identity.public == keys.identity.public


def test_no_keys_and_keys_that_are_there_already_are_told_apart():
    files = SimDisk(np.random.default_rng(1))
    assert fault_of(lambda: store(files)) is KeyFault.MISSING
    first = store(files, new_craft("C-1", RANDOM))
    assert fault_of(lambda: store(files, new_craft("C-2", RANDOM))) is KeyFault.EXISTS
    assert store(files).ring == first.ring


@pytest.mark.parametrize(("key", "fault"), [
    (b"", KeyFault.UNSET), (KEY[:31], KeyFault.LENGTH), (ZERO, KeyFault.ZERO),
    *((point, KeyFault.LOW_ORDER) for point in sorted(LOW_ORDER - {ZERO})),
])
def test_a_public_key_that_gives_nothing_is_not_pinned(key, fault):
    assert fault_of(lambda: store(ring=new_craft("C-1", RANDOM)).pin(peer(public_key=key))) is fault


def test_the_list_of_low_order_points_is_that_of_the_exchange_itself():
    own = KeyPair(KEY)
    assert len(LOW_ORDER) == 14
    assert all(own.exchange(point) is None for point in LOW_ORDER)
    assert check_public_key((9).to_bytes(32, "little"), "base point")


@pytest.mark.parametrize("secret", [None, b"", PSK[:16], ZERO, b"\x01" * 32])
def test_an_unset_short_or_zero_secret_is_no_key(secret):
    fault_of(lambda: psk_life.first_slot(secret))
    fault_of(lambda: psk_life.stage(peer(), secret))


def test_the_own_key_a_taken_name_and_a_taken_key_are_refused():
    keys = store(ring=new_craft("C-1", RANDOM))
    assert fault_of(lambda: keys.pin(peer(public_key=keys.identity.public))) is KeyFault.OWN
    keys.pin(peer())
    assert fault_of(lambda: keys.pin(peer(public_key=KeyPair(KEY).public))) is KeyFault.DUPLICATE
    assert fault_of(lambda: keys.pin(peer("bob", public_key=peer().public_key))) is KeyFault.DUPLICATE
    assert [p.name for p in keys.ring.peers] == ["ann"]


def test_no_more_than_sixteen_peers_are_pinned():
    keys = store(ring=new_craft("C-1", RANDOM))
    for number in range(MOST_PEERS):
        keys.pin(peer(f"op-{number}"))
    assert fault_of(lambda: keys.pin(peer("one more"))) is KeyFault.FULL
    keys.unpin("op-3")
    keys.pin(peer("one more"))


@pytest.mark.parametrize("name", ["", " ann", "a\nb", "x" * 33, "\x1b[31m"])
def test_a_name_is_short_and_printable(name):
    assert fault_of(lambda: new_operator(name, Authority.VIEWER, RANDOM)) is KeyFault.NAME


def test_a_shared_key_is_staged_then_active_and_the_old_one_is_wiped():
    staged = psk_life.stage(peer(), NEXT)
    assert states(staged) == [SlotState.ACTIVE, SlotState.STAGED]
    assert [slot.secret for slot in psk_life.usable(staged)] == [PSK, NEXT]
    done = psk_life.promote(staged, staged.slots[1].id)
    assert states(done) == [SlotState.ACTIVE, SlotState.RETIRED]
    assert [slot.secret for slot in done.slots] == [NEXT, None]
    assert done.filter_key == filter_key(NEXT)
    assert psk_life.promote(done, done.slots[0].id) == done


def test_a_handshake_settles_on_the_key_that_it_was_made_with():
    staged = psk_life.stage(peer(), NEXT)
    assert [slot.secret for slot in psk_life.usable(psk_life.settle(staged, staged.slots[0].id))] == [PSK]
    assert [slot.secret for slot in psk_life.usable(psk_life.settle(staged, staged.slots[1].id))] == [NEXT]
    assert psk_life.settle(peer(), peer().slots[0].id) == peer()


def test_a_key_that_was_never_staged_or_is_the_present_one_does_not_come_in():
    assert fault_of(lambda: psk_life.promote(peer(), b"12345678")) is KeyFault.NOT_STAGED
    assert fault_of(lambda: psk_life.stage(peer(), PSK)) is KeyFault.SAME


def test_a_revoked_peer_keeps_its_name_and_no_secret():
    keys = store(ring=new_craft("C-1", RANDOM))
    keys.pin(peer())
    keys.revoke("ann")
    assert keys.peer("ann").state is PeerState.REVOKED
    assert keys.peer("ann").slots == ()
    for move in (lambda: keys.revoke("ann"), lambda: keys.stage("ann", NEXT), lambda: keys.promote("ann", b"x")):
        assert fault_of(move) is KeyFault.REVOKED
    keys.pin(peer(public_key=KeyPair(KEY).public))
    assert keys.peer("ann").state is PeerState.ACTIVE


def test_a_live_session_ends_with_revocation_another_role_or_expiry():
    sides = Sides(np.random.default_rng(2))
    found = connect(sides)
    assert found is not None
    identity, keys = found[0].peer, sides.craft.keys
    assert keys.allows(identity, None)
    keys.pin(replace(keys.peer("ann"), last_start=5))
    assert keys.allows(identity, 5)
    assert not keys.allows(identity, 6)
    assert not keys.allows(identity, None)
    keys.pin(replace(keys.peer("ann"), last_start=None, role=Authority.VIEWER))
    assert not keys.allows(identity, 5)
    keys.revoke("ann")
    assert not keys.allows(identity, 5)


def test_a_revocation_by_another_program_is_taken_up_and_never_overwritten():
    files = SimDisk(np.random.default_rng(1))
    running = store(files, new_craft("C-1", RANDOM))
    running.pin(peer())
    running.pin(peer("bob"))
    other = store(files)
    other.revoke("ann")
    running.revoke("bob")
    assert {p.state for p in store(files).ring.peers} == {PeerState.REVOKED}
    other.unpin("bob")
    assert running.refresh()
    assert [p.name for p in running.ring.peers] == ["ann"]
    assert not running.refresh()


def test_a_change_that_cannot_be_stored_does_not_count():
    files = SimDisk(np.random.default_rng(1))
    keys = store(files, new_craft("C-1", RANDOM))
    keys.pin(peer())
    before = keys.ring
    files.full = True
    assert fault_of(lambda: keys.stage("ann", NEXT)) is KeyFault.STORAGE
    assert keys.ring == before
    files.full = False
    assert store(files).ring == before


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_ring_changed_anywhere_is_refused_or_is_a_good_ring(data):
    ring = replace(new_craft("C-1", np.random.default_rng(5).bytes), peers=(peer(), peer("bob")))
    good = encode_ring(ring)
    assert decode_ring(good) == ring
    at = data.draw(st.integers(0, len(good) - 1))
    changed = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1:]
    with contextlib.suppress(KeyringError):
        encode_ring(decode_ring(changed))


@pytest.mark.parametrize("item", [
    None, [], {}, [1] * 9, [2, "craft"], b"x", "x" * 100, [1, "craft", 3, 4, 5, 6, 7, 8, 9],
])
def test_what_is_no_ring_is_refused_by_name(item):
    assert fault_of(lambda: decode_ring(cbor2.dumps(item))) is KeyFault.FORMAT


@pytest.mark.parametrize("change", [
    {"slots": ()}, {"public_key": ZERO}, {"filter_key": ZERO}, {"name": ""},
    {"slots": (replace(psk_life.first_slot(PSK), secret=NEXT),)},
    {"slots": (replace(psk_life.first_slot(PSK), state=SlotState.STAGED),)},
    {"state": PeerState.REVOKED},
])
def test_a_stored_peer_that_must_not_be_used_is_refused(change):
    ring = replace(new_craft("C-1", RANDOM), peers=(peer(**change),))
    fault_of(lambda: decode_ring(encode_ring(ring)))


def test_counters_rise_and_outlive_a_restart():
    files = SimDisk(np.random.default_rng(1))
    keys = store(files, new_craft("C-1", RANDOM))
    book, key = keys.counters, b"12345678"
    assert book.take(key, 7)
    assert not book.take(key, 7)
    assert not book.take(key, 6)
    assert book.next(key) == 8
    assert store(files).counters.highest(key) == 8


def test_lost_counters_are_told_and_begin_anew():
    files = SimDisk(np.random.default_rng(1))
    keys = store(files, new_craft("C-1", RANDOM))
    keys.counters.take(b"12345678", 7)
    keys.counters.take(b"12345678", 8)
    for which in "ab":
        handle = files.create(f"counters-{which}.qkey")
        files.write(handle, b"rubbish")
    again = store(files).counters
    assert again.lost
    assert again.take(b"12345678", 1)
    assert not again.lost


def test_a_counter_that_cannot_be_stored_is_used_by_the_responder_and_not_by_the_initiator():
    files = SimDisk(np.random.default_rng(1))
    book = CounterBook(SealedFile(files, "counters", Lock.from_sealing_key(KEY), RANDOM, mirror=False))
    files.full = True
    assert book.take(b"12345678", 3)
    assert book.unsaved == 1
    assert fault_of(lambda: book.next(b"12345678")) is KeyFault.STORAGE


def test_a_counter_at_its_end_is_not_wrapped():
    book = store(ring=new_craft("C-1", RANDOM)).counters
    assert book.take(b"12345678", 2**64 - 1)
    assert fault_of(lambda: book.next(b"12345678")) is KeyFault.EXHAUSTED


def test_nothing_secret_is_shown():
    sides = Sides(np.random.default_rng(2))
    pair(sides.craft.keys, sides.operator.keys, sides.random)
    found = connect(sides)
    assert found is not None
    for keys in (sides.craft.keys, sides.operator.keys):
        ring = keys.ring
        secrets = [ring.identity, ring.wrap_seed, ring.nbl_root, ring.audit_seed, ring.peers[0].slots[0].secret,
                   ring.peers[0].filter_key, ring.peers[0].nbl_root, found[0].up_chain, found[0].down_chain]
        shown = "".join(repr(thing) + str(thing) for thing in (keys, ring, ring.peers[0], found[0], keys.identity))
        for secret in secrets:
            assert secret is None or (repr(secret)[2:-1] not in shown and secret.hex() not in shown)


def test_a_craft_has_an_audit_key_and_an_operator_none():
    sides = Sides(np.random.default_rng(2))
    public = sides.craft.keys.audit_key().public_key().public_bytes_raw()
    assert sides.operator.keys.peer("C-1").audit_public == public
    assert sides.operator.keys.peer("C-1").nbl_root == sides.craft.keys.ring.nbl_root
    assert fault_of(sides.operator.keys.audit_key) is KeyFault.MISSING
