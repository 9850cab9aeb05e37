"""A bundle node: what it takes, what it sends, and that no neighbour, known or evil, gets it beyond its bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.bundles import (
    NULL,
    Block,
    BlockFlag,
    BlockKind,
    Bundle,
    BundleEndpoint,
    BundleFlag,
    BundleNode,
    Delivery,
    DropReason,
    Eid,
    Malformed,
    Neighbour,
    NodeSettings,
    Outgoing,
    Primary,
    decode,
    encode,
)
from comms.bundles.block import age_block, hop_block, urgency_block
from comms.bundles.hour_budget import HourBudget

SECOND, MINUTE, HOUR = 10**9, 60 * 10**9, 3600 * 10**9
HERE, NEAR, FAR = Eid.ipn(5, 0), Eid.ipn(6, 0), Eid.ipn(9, 0)
A, B, C = HERE.full_node, NEAR.full_node, FAR.full_node


THERE, ELSEWHERE = Eid.ipn(9, 1), Eid.ipn(7, 1)


def node(
    start: int = 1, energy=None, docked: tuple[int, ...] = (B,), price: float | None = 0.001, **changed
) -> BundleNode:
    settings = NodeSettings(**({"node": HERE, "services": frozenset({1}), "gateways": (B,)} | changed))
    made = BundleNode(settings, start, 0, energy=energy)
    made.dock(tuple(Neighbour(one, price, 4096) for one in docked))
    return made


def foreign(
    destination: Eid = THERE, source: Eid = ELSEWHERE, number: int = 1, payload: bytes = b"x" * 50,
    age_ms: int | None = 0, hops: tuple[int, int] | None = (16, 1), urgency: int | None = None,
    lifetime_ms: int = 60_000, flags: int = BundleFlag.DONT_FRAGMENT, more: tuple[Block, ...] = (),
) -> bytes:
    blocks = [] if age_ms is None else [age_block(2, age_ms)]
    blocks += [] if hops is None else [hop_block(3, *hops)]
    blocks += [] if urgency is None else [urgency_block(4, urgency)]
    primary = Primary(destination, source, NULL, 0, number, lifetime_ms, flags)
    return encode(Bundle(primary, (*blocks, *more, Block(BlockKind.PAYLOAD, 1, payload))))


def out(made: BundleNode, to: int = B, now_ns: int = 0) -> list[Bundle]:
    found = []
    while (outgoing := made.next_for(to, now_ns)) is not None:
        bundle = decode(outgoing.data)
        assert isinstance(bundle, Bundle)
        found.append(bundle)
        made.sent(outgoing, True)
    return found


def test_a_bundle_is_sent_on_with_its_age_one_more_hop_and_this_node_as_the_previous_one():
    made = node()
    assert made.receive(foreign(age_ms=500), C, 0) is None
    (bundle,) = out(made, now_ns=3 * SECOND)
    assert (bundle.age_ms, bundle.hop_limit, bundle.hop_count, bundle.previous) == (3500, 16, 2, HERE)
    original = decode(foreign(age_ms=500))
    assert isinstance(original, Bundle)
    assert (bundle.primary.encode(), bundle.payload) == (original.primary.encode(), original.payload)
    assert made.waiting == 0


def test_a_bundle_without_a_hop_limit_gets_one():
    made = node(hop_limit=7)
    made.receive(foreign(hops=None), C, 0)
    (bundle,) = out(made)
    assert (bundle.hop_limit, bundle.hop_count) == (7, 1)


def test_a_bundle_for_a_service_here_is_delivered_and_not_sent():
    made = node()
    assert made.receive(foreign(destination=Eid.ipn(5, 1), age_ms=100), B, 0) is None
    assert out(made) == []
    (delivery,) = made.deliver(10, SECOND)
    assert (delivery.source, delivery.service, delivery.payload, delivery.age_ms) == (Eid.ipn(7, 1), 1, b"x" * 50, 1100)
    assert made.deliver(10, SECOND) == []


@pytest.mark.parametrize(("changed", "reason"), [
    ({"destination": Eid.ipn(5, 2)}, DropReason.NO_SERVICE),
    ({"destination": Eid.ipn(5, 1), "flags": BundleFlag.ADMINISTRATIVE}, DropReason.ADMINISTRATIVE),
    ({"source": NULL}, DropReason.ANONYMOUS),
    ({"destination": NULL}, DropReason.ANONYMOUS),
    ({"source": Eid.ipn(5, 1)}, DropReason.OWN_RETURNED),
    ({"age_ms": None}, DropReason.NO_AGE),
    ({"age_ms": 60_000}, DropReason.EXPIRED),
    ({"hops": (3, 3)}, DropReason.HOP_LIMIT),
    ({"hops": (3, 9)}, DropReason.HOP_LIMIT),
    ({"payload": bytes(40_000)}, DropReason.TOO_LARGE),
    ({"more": (Block(200, 9, b"", BlockFlag.DELETE_BUNDLE),)}, DropReason.UNKNOWN_BLOCK),
])
def test_what_is_not_taken_has_a_name_and_is_counted(changed: dict, reason: DropReason):
    made = node()
    assert made.receive(foreign(**changed), C, 0) is reason
    assert made.dropped[reason] == 1
    assert made.waiting == 0


def test_malformed_bundles_are_counted_by_what_is_wrong():
    made = node()
    assert made.receive(b"\x9f\xff", C, 0) is DropReason.MALFORMED
    assert made.malformed[Malformed.STRUCTURE] == 1


def test_a_bundle_at_its_last_hop_is_still_delivered():
    made = node()
    assert made.receive(foreign(destination=Eid.ipn(5, 1), hops=(3, 3)), C, 0) is None


def test_unknown_blocks_are_kept_or_discarded_as_their_flags_say():
    made = node()
    keep, discard = Block(200, 8, b"keep"), Block(201, 9, b"go", BlockFlag.DISCARD_BLOCK | BlockFlag.REPORT_UNKNOWN)
    made.receive(foreign(more=(keep, discard)), C, 0)
    (bundle,) = out(made)
    assert keep in bundle.blocks
    assert all(block.kind != 201 for block in bundle.blocks)
    assert (made.counts.blocks_discarded, made.counts.reports_not_made) == (1, 1)


def test_the_same_bundle_is_taken_once_whatever_its_age_and_hops():
    made = node()
    assert made.receive(foreign(age_ms=1), C, 0) is None
    assert made.receive(foreign(age_ms=900, hops=(16, 5)), C, 0) is DropReason.DUPLICATE
    out(made)
    assert made.receive(foreign(), C, 0) is DropReason.DUPLICATE


def test_nobody_blocks_a_bundle_by_sending_another_of_its_name_first():
    made = node()
    assert made.receive(foreign(payload=b"forged"), 66, 0) is None
    assert made.receive(foreign(payload=b"honest"), C, 0) is None


def test_memory_of_seen_bundles_is_bounded():
    made = node(seen=2)
    for number in (1, 2, 3):
        made.receive(foreign(number=number), C, 0)
        out(made)
    assert made.receive(foreign(number=3), C, 0) is DropReason.DUPLICATE
    assert made.receive(foreign(number=1), C, 0) is None


def test_lifetime_runs_by_age_alone():
    made = node()
    made.receive(foreign(age_ms=59_000), C, 100 * HOUR)
    made.step(100 * HOUR + SECOND - 1)
    assert made.waiting == 1
    made.step(100 * HOUR + SECOND)
    assert (made.waiting, made.dropped[DropReason.EXPIRED]) == (0, 1)


def test_nothing_is_kept_longer_than_the_node_keeps_anything():
    made = node(longest_life_s=10.0)
    made.receive(foreign(lifetime_ms=2**50, age_ms=5000), C, 0)
    made.step(10 * SECOND)
    assert made.waiting == 0


def test_an_expired_bundle_is_neither_sent_nor_delivered():
    made = node()
    made.receive(foreign(), C, 0)
    made.receive(foreign(destination=Eid.ipn(5, 1)), C, 0)
    assert made.next_for(B, MINUTE) is None
    assert made.deliver(5, MINUTE) == []
    assert made.dropped[DropReason.EXPIRED] == 2


def test_urgent_bundles_go_first_then_the_older():
    made = node()
    for number, urgency in ((1, 3), (2, 0), (3, None), (4, 0)):
        made.receive(foreign(number=number, urgency=urgency), C, 0)
    assert [bundle.primary.sequence for bundle in out(made)] == [2, 4, 1, 3]


def test_a_bundle_never_goes_back_to_where_it_came_from():
    made = node(docked=(B, C))
    made.receive(foreign(), B, 0)
    assert made.next_for(B, 0) is None
    assert len(out(made, C)) == 1


def test_a_docked_destination_is_reached_directly_and_a_route_stands_before_a_gateway():
    made = node(docked=(B, C, 44), routes={C: (44,)})
    made.receive(foreign(), 70, 0)
    assert made.next_for(B, 0) is None
    assert made.next_for(44, 0) is None
    assert len(out(made, C)) == 1
    made.dock((Neighbour(B, 0.001, 4096), Neighbour(44, 0.001, 4096)))
    made.receive(foreign(number=2), 70, 0)
    assert made.next_for(B, 0) is None
    assert len(out(made, 44)) == 1


def test_what_is_for_nobody_docked_waits():
    made = node(docked=())
    made.receive(foreign(), C, 0)
    assert made.next_for(B, 0) is None
    assert made.waiting == 1


def test_only_sixteen_neighbours_can_be_docked_and_not_the_node_itself():
    with pytest.raises(ValueError, match="16"):
        node(docked=tuple(range(100, 117)))
    with pytest.raises(ValueError, match="none is this node"):
        node(docked=(A,))


def test_one_source_has_a_quota_and_one_neighbour_a_share():
    made = node(bundles=8, source_bundles=2, neighbour_share=0.5)
    reasons = [made.receive(foreign(number=n), C, 0) for n in range(3)]
    assert reasons == [None, None, DropReason.SOURCE_QUOTA]
    reasons = [made.receive(foreign(source=Eid.ipn(100 + n, 1), number=9), C, 0) for n in range(3)]
    assert reasons == [None, None, DropReason.NEIGHBOUR_QUOTA]
    # Another neighbour is untouched, even for the same source.
    assert made.receive(foreign(number=50), 70, 0) is None


def test_bytes_have_quotas_too():
    made = node(store_bytes=4000, source_bytes=1500, neighbour_share=0.5)
    assert made.receive(foreign(payload=bytes(1000)), C, 0) is None
    assert made.receive(foreign(payload=bytes(1000), number=2), C, 0) is DropReason.SOURCE_QUOTA
    assert made.receive(foreign(payload=bytes(1000), source=Eid.ipn(8, 1)), C, 0) is DropReason.NEIGHBOUR_QUOTA
    assert made.receive(foreign(payload=bytes(700), source=Eid.ipn(8, 1)), C, 0) is None


def test_only_something_more_urgent_makes_room_for_itself():
    made = node(bundles=2, source_bundles=2, neighbour_share=1.0)
    made.receive(foreign(number=1, urgency=2), C, 0)
    made.receive(foreign(number=2, urgency=1), 70, 0)
    assert made.receive(foreign(number=3, urgency=2), 71, 0) is DropReason.STORE_FULL
    assert made.receive(foreign(number=4, urgency=1), 71, 0) is None
    assert made.dropped[DropReason.EVICTED] == 1
    assert [bundle.primary.sequence for bundle in out(made)] == [2, 4]


def test_what_is_being_sent_is_not_pushed_out():
    made = node(bundles=1, source_bundles=1, neighbour_share=1.0)
    made.receive(foreign(urgency=3), C, 0)
    outgoing = made.next_for(B, 0)
    assert outgoing is not None
    assert made.receive(foreign(number=2, urgency=0), 70, 0) is DropReason.STORE_FULL
    made.sent(outgoing, True)
    assert made.receive(foreign(number=2, urgency=0), 70, 0) is None


def test_what_was_not_sent_waits_again_and_costs_nothing():
    made = node()
    made.receive(foreign(), C, 0)
    outgoing = made.next_for(B, 0)
    assert outgoing is not None
    assert made.budget.total_j == pytest.approx(len(outgoing.data) * 0.001)
    assert made.next_for(B, 0) is None
    made.sent(outgoing, False)
    assert made.budget.total_j == pytest.approx(0.0)
    assert made.next_for(B, 0) is not None


def test_a_bundle_whose_sending_nobody_tells_of_waits_again_after_a_minute():
    made = node()
    made.receive(foreign(lifetime_ms=600_000), C, 0)
    assert made.next_for(B, 0) is not None
    made.step(MINUTE - 1)
    assert made.next_for(B, MINUTE - 1) is None
    made.step(MINUTE)
    assert made.next_for(B, MINUTE) is not None


def test_energy_is_asked_for_and_bounded_in_every_hour():
    asked: list[tuple[float, int]] = []

    def energy(joules: float, now_ns: int) -> bool:
        asked.append((joules, now_ns))
        return now_ns < 2 * HOUR

    made = node(energy=energy, price=0.01, joules_an_hour=3.0, source_bundles=64, bundles=128, source_bytes=524_288)
    for number in range(60):
        made.receive(foreign(number=number, lifetime_ms=2**40), C, 0)
    first = len(out(made))
    assert sum(joules for joules, _ in asked) <= 3.0
    assert 0 < first < 60
    assert out(made, now_ns=59 * MINUTE) == []
    assert made.counts.energy_denied == 2
    assert len(out(made, now_ns=HOUR + MINUTE)) > 0
    assert out(made, now_ns=3 * HOUR) == []


def test_nothing_is_sent_at_an_unknown_price():
    made = node(price=None)
    made.receive(foreign(), C, 0)
    assert made.next_for(B, 0) is None
    assert made.counts.price_unknown == 1


def test_what_a_neighbour_cannot_take_is_passed_over():
    made = node()
    made.receive(foreign(payload=bytes(5000), urgency=0), C, 0)
    made.receive(foreign(number=2), C, 0)
    assert [bundle.primary.sequence for bundle in out(made)] == [2]
    assert made.waiting == 1


def test_own_bundles_are_numbered_by_start_and_count():
    numbers = [node(start=start).make(FAR, 1, 60.0).sequence for start in (1, 2)]
    made = node(start=2)
    numbers += [made.make(FAR, 1, 60.0).sequence for _ in range(2)][1:]
    assert len(set(numbers)) == 3
    assert numbers[0] < numbers[1] < numbers[2]


def test_an_own_bundle_without_a_claim_needs_no_block_of_private_use():
    made = node()
    made.send(made.make(Eid.ipn(9, 1), 1, 60.0), b"sealed", 3, 0)
    made.send(made.make(Eid.ipn(9, 1), 1, 60.0), b"sealed", 0, 0)
    kinds = [{block.kind for block in bundle.blocks} for bundle in out(made)]
    assert [BlockKind.URGENCY in found for found in kinds] == [True, False]


@pytest.mark.parametrize("wrong", [
    {"destination": NULL}, {"service": 0}, {"lifetime_s": 0.0},
])
def test_an_own_bundle_needs_destination_service_and_lifetime(wrong: dict):
    with pytest.raises(ValueError, match="needs"):
        node().make(**{"destination": FAR, "service": 1, "lifetime_s": 60.0} | wrong)


@pytest.mark.parametrize("wrong", [
    {"node": NULL}, {"node": Eid.ipn(5, 1)}, {"bundles": 0}, {"hop_limit": 256}, {"longest_bytes": 70_000},
    {"source_bundles": 65}, {"neighbour_share": 0.0}, {"joules_an_hour": float("nan")}, {"state_period_s": 0.0},
])
def test_limits_that_make_no_sense_are_refused(wrong: dict):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NodeSettings(**({"node": HERE} | wrong))


def test_endpoints_seal_to_the_primary_block():
    key = b"k"

    def seal(plain: bytes, associated: bytes) -> bytes:
        return key + associated + plain

    def open_sealed(sealed: bytes, associated: bytes) -> bytes | None:
        front = key + associated
        return sealed[len(front):] if sealed.startswith(front) else None

    sender = node()
    receiver = BundleNode(NodeSettings(FAR, frozenset({1})), 1, 0)
    out_end = BundleEndpoint(sender, 1, seal, open_sealed)
    in_end = BundleEndpoint(receiver, 1, seal, open_sealed)
    assert out_end.send(Eid.ipn(9, 1), b"hello", 60.0, 1, 0) is None
    (bundle,) = out(sender)
    changed = replace(bundle.primary, lifetime_ms=bundle.primary.lifetime_ms + 1)
    receiver.receive(encode(Bundle(changed, bundle.blocks)), B, SECOND)
    receiver.receive(encode(bundle), B, SECOND)
    opened = [in_end.open(delivery) for delivery in receiver.deliver(5, SECOND)]
    assert opened[0] is None
    assert opened[1] is not None
    assert (opened[1].content, opened[1].source) == (b"hello", Eid.ipn(5, 1))
    assert in_end.refused == 1
    assert in_end.open(Delivery(FAR, 2, b"", b"", 0)) is None


operations = st.lists(st.one_of(
    st.tuples(st.just("receive"), st.integers(0, 30), st.integers(60, 64), st.integers(0, 3), st.integers(0, 900)),
    st.tuples(st.just("send"), st.integers(0, 3), st.integers(0, 900)),
    st.tuples(st.just("forward"), st.booleans()),
    st.tuples(st.just("time"), st.integers(1, 40)),
    st.tuples(st.just("deliver")),
), max_size=60)


@given(operations)
@settings(max_examples=60, deadline=None)
def test_bounds_hold_whatever_is_done(steps: list):
    made = node(bundles=8, store_bytes=4000, source_bundles=3, source_bytes=2000, neighbour_share=0.5,
                joules_an_hour=2.0)
    now_ns, spent = 0, 0.0
    pending: Outgoing | None = None
    for step in steps:
        if step[0] == "receive":
            _, number, source, urgency, size = step
            destination = Eid.ipn(5, 1) if number % 3 == 0 else Eid.ipn(9, 1)
            data = foreign(destination, Eid.ipn(source, 1), number, bytes(size), urgency=urgency)
            made.receive(data, 70 + source % 2, now_ns)
        elif step[0] == "send":
            made.send(made.make(Eid.ipn(9, 1), 1, 30.0), bytes(step[2]), step[1], now_ns)
        elif step[0] == "forward":
            pending = made.next_for(B, now_ns)
            if pending is not None:
                made.sent(pending, step[1])
                spent += pending.joules if step[1] else 0.0
        elif step[0] == "time":
            now_ns += step[1] * SECOND
            made.step(now_ns)
        else:
            made.deliver(2, now_ns)
        assert made.waiting <= 8
        assert made.stored_bytes <= 4000
        assert spent <= 2.0 + 1e-9
    handled = made.counts.received + made.counts.made
    ended = sum(made.dropped.values()) + made.counts.sent + made.counts.delivered + made.waiting
    assert ended >= handled


@given(st.lists(st.tuples(st.integers(0, 1800), st.floats(0.0, 5.0)), max_size=60))
@settings(max_examples=100, deadline=None)
def test_an_hours_budget_holds_in_every_hour(steps: list[tuple[int, float]]):
    budget, now_ns, spent = HourBudget(10.0), 0, []
    for wait_s, joules in steps:
        now_ns += wait_s * SECOND
        if budget.spend(joules, now_ns):
            spent.append((now_ns, joules))
        kept = HourBudget(10.0)
        kept.resume([(ago, j) for ago, j in budget.kept(now_ns)], now_ns)
        assert kept.left_j(now_ns) == pytest.approx(budget.left_j(now_ns))
    for begin_ns, _ in spent:
        assert sum(j for t, j in spent if begin_ns <= t < begin_ns + HOUR) <= 10.0 + 1e-9
