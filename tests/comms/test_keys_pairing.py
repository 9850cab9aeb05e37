"""Pairing on one bench and over two computers: cards, invitations, and what of them is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.dictionary import Authority
from comms.keys.faults import KeyFault, KeyringError
from comms.keys.keyring import KeyStore, new_craft, new_operator
from comms.keys.pairing import accept, card_of, invite, is_invitation, pair, read_card, renew_at_bench, write_card
from comms.keys.points import LOW_ORDER
from comms.keys.ring import RingKind
from comms.keys.vault import Lock
from firmware_py.cli.link_campaign.rows_keys_rig import Sides, connect
from hil.disk import PowerCut, SimDisk

RANDOM = np.random.default_rng(31).bytes


def store(ring) -> KeyStore:
    return KeyStore(SimDisk(np.random.default_rng(1)), Lock.from_sealing_key(RANDOM(32)), RANDOM, ring)


def craft() -> KeyStore:
    return store(new_craft("C-1", RANDOM))


def operator(name: str = "ann", role: Authority = Authority.CONTROLLER) -> KeyStore:
    return store(new_operator(name, role, RANDOM))


def fault_of(action) -> KeyFault:
    with pytest.raises(KeyringError) as caught:
        action()
    return caught.value.fault


def test_the_role_asked_for_is_granted_unless_another_is_given():
    one, ann, bob = craft(), operator(), operator("bob", Authority.SAFETY)
    assert pair(one, ann, RANDOM) is Authority.CONTROLLER
    assert pair(one, bob, RANDOM, Authority.VIEWER, last_start=4, note="guest") is Authority.VIEWER
    assert [peer.role for peer in one.ring.peers] == [Authority.CONTROLLER, Authority.VIEWER]
    assert (one.peer("bob").last_start, one.peer("bob").note) == (4, "guest")
    assert bob.peer("C-1").role is Authority.VIEWER
    assert one.peer("ann").slots != one.peer("bob").slots
    assert one.peer("ann").nbl_root is None
    assert ann.peer("C-1").nbl_root == one.ring.nbl_root


def test_pairing_again_gives_a_new_shared_key_and_the_new_role():
    one, ann = craft(), operator()
    pair(one, ann, RANDOM)
    before = one.peer("ann").slots[0].id
    assert pair(one, ann, RANDOM, Authority.ENGINEER) is Authority.ENGINEER
    assert one.peer("ann").slots[0].id == ann.peer("C-1").slots[0].id != before
    assert one.peer("ann").role is ann.peer("C-1").role is Authority.ENGINEER


def test_pairing_puts_right_what_a_restored_copy_set_apart():
    sides = Sides(np.random.default_rng(3))
    new = sides.random(32)
    sides.craft.keys.stage("ann", new)
    sides.craft.keys.promote("ann", sides.craft.keys.peer("ann").slots[1].id)
    assert connect(sides) is None
    pair(sides.craft.keys, sides.operator.keys, sides.random)
    assert connect(sides) is not None


def test_a_power_cut_at_any_moment_of_a_change_on_the_bench_leaves_a_common_key():
    for call in range(56):
        for side_name in ("craft", "operator"):
            sides = Sides(np.random.default_rng(call))
            side = getattr(sides, side_name)
            side.cut_within(call)
            try:
                renew_at_bench(sides.craft.keys, sides.operator.keys, sides.random)
            except PowerCut:
                side.restart()
            side.disk.dies_at = None
            assert connect(sides) is not None
            assert sides.psk_ids()[0] == sides.psk_ids()[1]
            assert len(sides.psk_ids()[0]) == 1


@pytest.mark.parametrize("wrong", [lambda: (operator(), craft()), lambda: (craft(), craft()),
                                   lambda: (operator(), operator("bob"))])
def test_a_craft_and_an_operator_are_paired_in_this_order(wrong):
    first, second = wrong()
    assert fault_of(lambda: pair(first, second, RANDOM)) is KeyFault.ROLE
    assert first.ring.peers == second.ring.peers == ()


def test_if_one_side_cannot_be_pinned_neither_is():
    one, ann = craft(), operator()
    pair(one, operator(), RANDOM)
    assert fault_of(lambda: pair(one, ann, RANDOM)) is KeyFault.DUPLICATE
    assert ann.ring.peers == ()


def test_a_card_says_who_it_is_of_and_nothing_secret():
    for keys in (craft(), operator()):
        card = card_of(keys)
        text = write_card(card)
        assert read_card(text.encode()) == card
        for secret in (keys.ring.identity, keys.ring.wrap_seed, keys.ring.nbl_root, keys.ring.audit_seed):
            assert secret is None or secret.hex() not in text
    assert card.kind is RingKind.OPERATOR
    assert len(card.fingerprint) == 24
    assert card.fingerprint != card_of(operator()).fingerprint


def test_a_card_and_its_invitation_pair_two_that_never_meet():
    one, ann = craft(), operator()
    invitation = invite(one, read_card(write_card(card_of(ann)).encode()), RANDOM)
    assert is_invitation(invitation)
    assert accept(ann, invitation, card_of(one).fingerprint) == card_of(one)
    assert ann.peer("C-1").slots == one.peer("ann").slots
    assert ann.peer("C-1").nbl_root == one.ring.nbl_root
    assert one.peer("ann").slots[0].secret not in invitation


def test_an_invitation_is_for_one_operator_and_from_the_craft_that_was_told():
    one, ann, bob = craft(), operator(), operator("bob")
    invitation = invite(one, card_of(ann), RANDOM)
    assert fault_of(lambda: accept(bob, invitation)) is KeyFault.DAMAGED
    assert fault_of(lambda: accept(ann, invitation, "0000 0000 0000 0000 0000")) is KeyFault.DAMAGED
    assert ann.ring.peers == ()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1700), st.integers(1, 255))
def test_a_changed_invitation_pins_nobody(at, change):
    one, ann = craft(), operator()
    invitation = invite(one, card_of(ann), RANDOM)
    at = 18 + at % (len(invitation) - 18)
    wrong = invitation[:at] + bytes([invitation[at] ^ change]) + invitation[at + 1:]
    try:
        accept(ann, wrong)
    except KeyringError:
        assert ann.ring.peers == ()
    else:
        # Line ends and the like are no part of what is sealed.
        assert ann.peer("C-1").slots == one.peer("ann").slots


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_are_a_card_by_chance(data):
    fault_of(lambda: read_card(data))


@pytest.mark.parametrize("change", [
    {"version": 2}, {"key": ""}, {"key": "00" * 32}, {"key": "zz"}, {"key": 7}, {"wrap": "AA=="}, {"wrap": 3},
    {"kind": "ship"}, {"role": "king"}, {"name": "a\nb"}, {"audit": "00"}, {"more": 1},
    *({"key": point.hex()} for point in sorted(LOW_ORDER)),
])
def test_a_card_with_a_bad_field_is_refused(change):
    fields = json.loads(write_card(card_of(operator()))) | change
    fault_of(lambda: read_card(json.dumps(fields).encode()))
