"""Renewal of a shared key inside a session: all four messages, each lost, doubled, changed or cut off."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.keys import renewal as module
from comms.keys.faults import RenewalFault
from comms.keys.renewal import CraftRenewal, OperatorRenewal, RenewalState
from comms.keys.responder import Responder
from comms.keys.ring import SlotState
from comms.keys.xwing import PUBLIC_BYTES, SEALED_OVERHEAD, SEED_BYTES, XWingKey, seal_to
from firmware_py.cli.link_campaign.rows_keys_rig import Sides, connect

SECOND = 1_000_000_000


@pytest.fixture
def sides() -> Sides:
    return Sides(np.random.default_rng(21))


def renewals(sides: Sides) -> tuple[OperatorRenewal, CraftRenewal]:
    found = connect(sides)
    assert found is not None
    return (OperatorRenewal(sides.operator.keys, found[1], sides.random),
            CraftRenewal(sides.craft.keys, found[0], sides.random))


def sealed(operator: OperatorRenewal, craft: CraftRenewal, now_ns: int = 0) -> bytes:
    """Message 2."""
    assert operator.start(now_ns) is None
    answer = craft.receive(operator.step(now_ns) or b"", allowed=True).answer
    assert answer is not None
    return answer


def test_four_messages_give_both_a_new_key_and_wipe_the_old(sides):
    operator, craft = renewals(sides)
    (old,), _ = sides.psk_ids()
    second = sealed(operator, craft)
    assert len(sides.psk_ids()[0]) == 2
    assert operator.receive(second, 0).fault is None
    assert len(sides.psk_ids()[1]) == 2
    done = craft.receive(operator.step(0) or b"", allowed=True)
    assert done.done
    assert operator.receive(done.answer or b"", 0).done
    assert (operator.state, craft.state) == (RenewalState.DONE, RenewalState.DONE)
    craft_ids, operator_ids = sides.psk_ids()
    assert craft_ids == operator_ids != {old}
    assert len(craft_ids) == 1
    for side, name in ((sides.craft, "ann"), (sides.operator, "C-1")):
        for copy in ("keyring-a.qkey", "keyring-b.qkey"):
            assert [s.secret is None for s in side.reopened(copy).peer(name).slots] == [False, True]
    found = connect(sides)
    assert found is not None
    assert {found[0].psk_id} == craft_ids


def test_the_messages_are_as_long_as_the_published_sizes_say(sides):
    operator, craft = renewals(sides)
    assert operator.start(0) is None
    offer = operator.step(0) or b""
    answer = craft.receive(offer, allowed=True).answer or b""
    assert (len(offer) - 9, len(answer) - 9 - 16) == (1216, 1168)
    assert (PUBLIC_BYTES, 32 + SEALED_OVERHEAD) == (1216, 1168)


def test_lost_messages_are_asked_for_again_and_doubled_ones_change_nothing(sides):
    operator, craft = renewals(sides)
    assert operator.start(0) is None
    offer = operator.step(0) or b""
    assert operator.step(SECOND) is None
    assert operator.step(2 * SECOND) == offer
    second = craft.receive(offer, allowed=True).answer
    assert craft.receive(offer, allowed=True).answer == second
    assert operator.receive(second or b"", 3 * SECOND).fault is None
    assert operator.receive(second or b"", 3 * SECOND).fault is RenewalFault.NOT_AWAITED
    confirm = operator.step(3 * SECOND) or b""
    commit = craft.receive(confirm, allowed=False)
    again = craft.receive(confirm, allowed=False)
    assert (commit.answer, commit.done, again.answer, again.done) == (again.answer, True, commit.answer, False)
    assert operator.receive(again.answer or b"", 4 * SECOND).done
    assert operator.receive(again.answer or b"", 4 * SECOND).fault is RenewalFault.NOT_AWAITED


def test_without_an_answer_it_ends_and_the_next_handshake_decides(sides):
    operator, craft = renewals(sides)
    operator.receive(sealed(operator, craft), 0)
    sent = [now for now in range(0, 60 * SECOND, SECOND) if operator.step(now) is not None]
    assert len(sent) == 8
    assert operator.state is RenewalState.FAILED
    assert operator.refused[RenewalFault.NO_ANSWER] == 1
    assert operator.start(60 * SECOND) is RenewalFault.UNRESOLVED
    assert all(len(ids) == 2 for ids in sides.psk_ids())
    assert connect(sides) is not None
    assert sides.psk_ids()[0] == sides.psk_ids()[1]
    assert len(sides.psk_ids()[0]) == 1


def test_away_from_dock_and_bench_nothing_is_begun(sides):
    operator, craft = renewals(sides)
    assert operator.start(0) is None
    assert craft.receive(operator.step(0) or b"", allowed=False).fault is RenewalFault.NOT_ALLOWED
    assert len(sides.psk_ids()[0]) == 1


def test_every_changed_byte_of_every_message_is_refused_and_the_old_key_stays(sides):
    operator, craft = renewals(sides)
    second = sealed(operator, craft)
    for at in (*range(9), *range(9, len(second), 37), *range(len(second) - 17, len(second))):
        wrong = second[:at] + bytes([second[at] ^ 2]) + second[at + 1:]
        assert operator.receive(wrong, 0).fault is not None
    assert len(sides.psk_ids()[1]) == 1
    operator.receive(second, 0)
    confirm = operator.step(0) or b""
    for at in range(len(confirm)):
        assert craft.receive(confirm[:at] + bytes([confirm[at] ^ 1]) + confirm[at + 1:], True).fault is not None
    assert len(sides.psk_ids()[0]) == 2
    commit = craft.receive(confirm, True).answer or b""
    for at in range(len(commit)):
        assert operator.receive(commit[:at] + bytes([commit[at] ^ 1]) + commit[at + 1:], 0).fault is not None
    assert operator.receive(commit, 0).done


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([0, 1225, 1193, 25]), st.booleans())
def test_no_bytes_raise_on_either_side(data, length, allowed):
    sides = Sides(np.random.default_rng(21))
    operator, craft = renewals(sides)
    assert operator.start(0) is None
    message = data.ljust(length, b"\x5a")
    first = craft.receive(message, allowed)
    assert first.fault is not None or message[0] == 1
    assert operator.receive(message, 0).fault is not None


def test_an_offer_of_a_key_of_low_order_is_refused(sides):
    operator, craft = renewals(sides)
    assert operator.start(0) is None
    offer = operator.step(0) or b""
    for point in (bytes(32), b"\1" + bytes(31)):
        assert craft.receive(offer[:-32] + point, allowed=True).fault is RenewalFault.KEY
    assert len(sides.psk_ids()[0]) == 1


def test_a_confirmation_from_before_a_new_handshake_wipes_nothing(sides):
    """The operator may have settled on the old key meanwhile: its word of before must not lock it out."""
    operator, craft = renewals(sides)
    operator.receive(sealed(operator, craft), 0)
    late = operator.step(0) or b""
    found = connect(sides)
    assert found is not None
    old = found[0].psk_id
    assert craft.receive(late, allowed=True).fault is RenewalFault.NOT_AWAITED
    assert old in sides.psk_ids()[0]
    assert sides.psk_ids()[1] == {old}
    assert connect(sides) is not None


def test_a_full_disk_leaves_both_with_what_they_had(sides):
    operator, craft = renewals(sides)
    sides.craft.disk.full = True
    assert operator.start(0) is None
    assert craft.receive(operator.step(0) or b"", allowed=True).fault is RenewalFault.STORAGE
    sides.craft.disk.full = False
    operator, craft = renewals(sides)
    second = sealed(operator, craft)
    sides.operator.disk.full = True
    assert operator.receive(second, 0).fault is RenewalFault.STORAGE
    sides.operator.disk.full = False
    assert connect(sides) is not None
    assert all(len(ids) == 1 for ids in sides.psk_ids())


def test_a_build_without_ml_kem_says_so(sides, monkeypatch):
    from cryptography.exceptions import UnsupportedAlgorithm

    def missing(*_):
        raise UnsupportedAlgorithm("no ML-KEM")

    operator, craft = renewals(sides)
    assert operator.start(0) is None
    monkeypatch.setattr(module, "seal_to", missing)
    assert craft.receive(operator.step(0) or b"", allowed=True).fault is RenewalFault.UNSUPPORTED
    monkeypatch.setattr(module, "XWingKey", missing)
    other, _ = renewals(sides)
    assert other.start(0) is RenewalFault.UNSUPPORTED


def test_a_renewal_of_a_peer_that_was_revoked_meanwhile_comes_to_nothing(sides):
    operator, craft = renewals(sides)
    assert operator.start(0) is None
    sides.craft.keys.revoke("ann")
    assert craft.receive(operator.step(0) or b"", allowed=True).fault is RenewalFault.KEY
    assert sides.psk_ids()[0] == set()


def test_the_new_key_needs_the_old_one_too(sides):
    """Whoever opens the sealed secret, but does not know the present key, gets another one."""
    operator, craft = renewals(sides)
    second = sealed(operator, craft)
    keys = sides.operator.keys
    keys.stage("C-1", sides.random(32))
    staged = keys.peer("C-1").slot(SlotState.STAGED)
    assert staged is not None
    keys.promote("C-1", staged.id)
    assert operator.receive(second, 0).fault is RenewalFault.CONFIRM


def test_renewed_keys_are_the_same_in_every_run_of_a_simulation():
    ids = []
    for _ in range(2):
        sides = Sides(np.random.default_rng(21))
        operator, craft = renewals(sides)
        operator.receive(sealed(operator, craft), 0)
        craft.receive(operator.step(0) or b"", allowed=True)
        ids.append(sides.psk_ids()[0])
    assert ids[0] == ids[1]


def test_a_hybrid_key_opens_what_was_sealed_to_it_and_nothing_else():
    key, other = XWingKey(bytes(range(96))), XWingKey(bytes(range(1, 97)))
    box = seal_to(key.public, b"secret", b"info")
    assert key.open(box, b"info") == b"secret"
    for opener, info in ((other, b"info"), (key, b"other")):
        with pytest.raises(InvalidTag):
            opener.open(box, info)
    with pytest.raises(ValueError, match=str(SEED_BYTES)):
        XWingKey(b"short")
    with pytest.raises(ValueError, match=str(PUBLIC_BYTES)):
        seal_to(b"short", b"x", b"")
    assert "range" not in repr(key)


def test_the_craft_answers_no_message_that_only_it_sends(sides):
    operator, craft = renewals(sides)
    second = sealed(operator, craft)
    assert craft.receive(second, allowed=True).fault is RenewalFault.NOT_AWAITED
    assert Responder(sides.craft.keys, sides.random).states == 0
