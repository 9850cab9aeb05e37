"""A node that stores bundles and sends them on, blind to what they carry: within quotas, lifetimes, hops and joules.

It holds no key and imports none. Time is flight time; lifetimes run by bundle age, so no calendar is needed. There is
no custody: a bundle that was handed to a neighbour's transmitter is gone here, and its sender asks again if it must
arrive.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from comms.bundles.block import Block, BlockFlag, BlockKind, age_block, hop_block, urgency_block
from comms.bundles.bundle import LEAST_URGENT, Bundle, BundleFlag, Malformed, Primary, decode, encode
from comms.bundles.eid import NULL, Eid
from comms.bundles.hour_budget import HourBudget
from comms.bundles.keeper import BundleKeeper, KeptBundle, KeptState
from comms.bundles.onward import KNOWN, digest, outward, without_unknown
from comms.bundles.passing import Delivery, EnergyAsk, Neighbour, Outgoing
from comms.bundles.settings import DropReason, NodeSettings
from comms.bundles.store import BundleStore, Entry
from hal.nonvolatile import Files

__all__ = ["BundleNode"]

MS, NS = 1_000_000, 1_000_000_000
BUSY_NS = 60 * NS
"""Time after which a bundle being sent counts as not sent."""
MOST_DOCKED = 16
TIDY = 4
"""Places emptied in one step."""
START_BITS = 32
COUNTER_BITS = 20
"""Of a bundle's number; the start stands above. A million bundles in one start take longer than any of them lives."""

@dataclass(slots=True)
class _Counts:
    received: int = 0
    sent: int = 0
    delivered: int = 0
    made: int = 0
    resumed: int = 0
    blocks_discarded: int = 0
    reports_not_made: int = 0
    energy_denied: int = 0
    price_unknown: int = 0


class BundleNode:
    """One node.

    Args:
        settings: who it is and what it takes.
        start: number of this start of the craft, strictly rising: it makes own bundles' numbers unique without a clock.
        now_ns: flight time.
        files: where bundles are kept; ``None`` keeps them in memory alone.
        energy: asked before every sending, beside the node's own budget by the hour.

    Attributes:
        dropped: bundles not taken or given up, by reason.
        malformed: of those, the malformed ones by what was wrong.
        counts: everything else that is counted.
    """

    def __init__(
        self, settings: NodeSettings, start: int, now_ns: int, files: Files | None = None,
        energy: EnergyAsk | None = None,
    ) -> None:
        if not 0 <= start < 1 << START_BITS:
            raise ValueError(f"start {start}: 0 to 2^32 - 1 is allowed")
        self.settings = settings
        self.dropped = dict.fromkeys(DropReason, 0)
        self.malformed = dict.fromkeys(Malformed, 0)
        self.counts = _Counts()
        self.budget = HourBudget(settings.joules_an_hour)
        self._energy = energy
        self._store = BundleStore(settings)
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._docked: dict[int, Neighbour] = {}
        self._start = start
        self._made = 0
        self._order = 0
        self._keeper = None if files is None else BundleKeeper(files, settings.longest_bytes)
        self._state_ns = now_ns
        self._changed = False
        if self._keeper is not None:
            self._resume(self._keeper, now_ns)

    # What comes in

    def receive(self, data: bytes, came_from: int, now_ns: int) -> DropReason | None:
        """Take a bundle that a neighbour has sent; the reason if it is not taken. Never raises.

        Args:
            data: the bundle.
            came_from: the neighbour (``Eid.full_node``), as the docking's channel knows it.
            now_ns: flight time.
        """
        self.counts.received += 1
        bundle = decode(data, self.settings.longest_bytes)
        if isinstance(bundle, Malformed):
            self.malformed[bundle] += 1
            return self._drop(DropReason.TOO_LARGE if bundle is Malformed.TOO_LARGE else DropReason.MALFORMED)
        reason = self._refusal(bundle)
        if reason is not None:
            return self._drop(reason)
        seen = digest(bundle)
        if seen in self._seen:
            return self._drop(DropReason.DUPLICATE)
        kept, discarded = without_unknown(bundle)
        self.counts.blocks_discarded += discarded
        reason = self._admit(kept, came_from, now_ns)
        if reason is None:
            self._remember(seen)
        return reason

    def make(self, destination: Eid, service: int, lifetime_s: float) -> Primary:
        """Primary block of an own bundle: what its payload is to be bound to when it is sealed. ValueError for nobody
        as destination, a service below 1 or a lifetime that is none."""
        lifetime_ms = round(lifetime_s * 1000)
        if destination.is_null or service < 1 or lifetime_ms < 1:
            raise ValueError("a bundle needs a destination, a service of its sender from 1 on and a lifetime")
        self._made = (self._made + 1) % (1 << COUNTER_BITS)
        own = self.settings.node
        source = Eid(own.allocator, own.node, service, own.form)
        return Primary(destination, source, NULL, 0, self._start << COUNTER_BITS | self._made, lifetime_ms)

    def send(self, primary: Primary, payload: bytes, urgency: int, now_ns: int) -> DropReason | None:
        """Take an own bundle in: ``primary`` of ``make``, ``payload`` sealed. The reason if it is not taken."""
        if not 0 <= urgency <= LEAST_URGENT:
            raise ValueError(f"urgency {urgency}: 0 to {LEAST_URGENT} is allowed")
        # A bundle without the block of private use is the least urgent one, and every other node can read all of it.
        claim = () if urgency == LEAST_URGENT else (urgency_block(4, urgency),)
        bundle = Bundle(primary, (
            age_block(2, 0), hop_block(3, self.settings.hop_limit, 0), *claim, Block(BlockKind.PAYLOAD, 1, payload),
        ))
        if len(encode(bundle)) > self.settings.longest_bytes:
            return self._drop(DropReason.TOO_LARGE)
        reason = self._admit(bundle, None, now_ns)
        if reason is None:
            self.counts.made += 1
            self._remember(digest(bundle))
        return reason

    # What goes out

    def dock(self, neighbours: tuple[Neighbour, ...]) -> None:
        """Who is docked now; the others have gone. ValueError for more than 16, or for this node itself."""
        docked = {neighbour.node: neighbour for neighbour in neighbours}
        if len(neighbours) > MOST_DOCKED or self.settings.node.full_node in docked:
            raise ValueError(f"at most {MOST_DOCKED} neighbours, and none is this node")
        self._docked = docked

    def next_for(self, node: int, now_ns: int) -> Outgoing | None:
        """The next bundle for a docked neighbour, its energy booked; ``None`` if there is none or no energy for it.
        Tell ``sent`` what became of it."""
        neighbour = self._docked.get(node)
        if neighbour is None:
            return None
        for entry in self._store:
            if entry.busy_ns is not None or not self._goes_to(entry, neighbour.node):
                continue
            age_ms = entry.age_at_ms(now_ns)
            if age_ms >= self._life_ms(entry):
                self._give_up(entry, DropReason.EXPIRED)
                continue
            if neighbour.joules_a_byte is None:
                self.counts.price_unknown += 1
                return None
            data = encode(outward(entry.bundle, self.settings.node, self.settings.hop_limit, age_ms))
            if len(data) > neighbour.longest_bytes:
                continue
            joules = len(data) * neighbour.joules_a_byte
            if not self._pay(joules, now_ns):
                self.counts.energy_denied += 1
                return None
            entry.busy_ns = now_ns
            return Outgoing(entry.order, neighbour.node, data, joules)
        return None

    def sent(self, outgoing: Outgoing, on_the_air: bool) -> None:
        """What became of a bundle: it is gone here if it went on the air, else it waits again and its energy comes
        back."""
        entry = self._store.find(outgoing.order)
        if not on_the_air:
            self.budget.refund(outgoing.joules)
        if entry is None or entry.busy_ns is None:
            return
        entry.busy_ns = None
        if on_the_air:
            self.counts.sent += 1
            self._forget(entry)

    def deliver(self, most: int, now_ns: int) -> list[Delivery]:
        """Up to ``most`` bundles for own services, most urgent first, taken out."""
        out: list[Delivery] = []
        for entry in self._store:
            if len(out) >= most:
                break
            if not entry.local:
                continue
            age_ms = entry.age_at_ms(now_ns)
            if age_ms >= self._life_ms(entry):
                self._give_up(entry, DropReason.EXPIRED)
                continue
            primary = entry.bundle.primary
            out.append(Delivery(primary.source, primary.destination.service, entry.bundle.payload, primary.encode(),
                                age_ms))
            self._forget(entry)
            self.counts.delivered += 1
        return out

    # What time does

    def step(self, now_ns: int) -> None:
        """Give up what has expired, free what was never told to be sent, bring a bounded amount to the medium."""
        for entry in self._store:
            if entry.busy_ns is not None and now_ns - entry.busy_ns >= BUSY_NS:
                entry.busy_ns = None
            if entry.busy_ns is None and entry.age_at_ms(now_ns) >= self._life_ms(entry):
                self._give_up(entry, DropReason.EXPIRED)
        if self._keeper is None:
            return
        self._keeper.tidy(TIDY)
        period_ns = round(self.settings.state_period_s * NS)
        if (self._changed or len(self._store)) and now_ns - self._state_ns >= period_ns:
            self.save(now_ns)

    def save(self, now_ns: int) -> bool:
        """Bring ages, memories and energy to the medium now; ``False`` if it refuses or there is none."""
        if self._keeper is None:
            return False
        self._state_ns = now_ns
        self._changed = False
        ages = {entry.order: entry.age_at_ms(now_ns) for entry in self._store}
        spent = [(pair[0], pair[1]) for pair in self.budget.kept(now_ns)]
        return self._keeper.keep_state(KeptState(ages, list(self._seen), spent))

    @property
    def waiting(self) -> int:
        """Bundles in store."""
        return len(self._store)

    @property
    def stored_bytes(self) -> int:
        """Bytes in store."""
        return self._store.used_bytes

    @property
    def peaks(self) -> tuple[int, int]:
        """Most bundles and most bytes in store since start."""
        return self._store.peak_bundles, self._store.peak_bytes

    @property
    def keep_failures(self) -> int:
        """Times that the medium refused, and places that it gave back broken."""
        return 0 if self._keeper is None else self._keeper.failures + self._keeper.broken

    # Inside

    def _refusal(self, bundle: Bundle) -> DropReason | None:
        primary = bundle.primary
        own = self.settings.node.full_node
        if primary.source.is_null or primary.destination.is_null:
            return DropReason.ANONYMOUS
        if primary.source.full_node == own:
            return DropReason.OWN_RETURNED
        for block in bundle.blocks:
            if block.kind in KNOWN:
                continue
            self.counts.reports_not_made += bool(block.flags & BlockFlag.REPORT_UNKNOWN)
            if block.flags & BlockFlag.DELETE_BUNDLE:
                return DropReason.UNKNOWN_BLOCK
        if bundle.age_ms is None:
            return DropReason.NO_AGE
        if bundle.hop_limit is not None and bundle.hop_count is not None and bundle.hop_count > bundle.hop_limit:
            return DropReason.HOP_LIMIT
        if primary.destination.full_node != own:
            return None
        if primary.flags & BundleFlag.ADMINISTRATIVE:
            return DropReason.ADMINISTRATIVE
        return None if primary.destination.service in self.settings.services else DropReason.NO_SERVICE

    def _admit(self, bundle: Bundle, came_from: int | None, now_ns: int) -> DropReason | None:
        """Into the store, if lifetime, hops, way, quotas, room and medium allow."""
        primary = bundle.primary
        local = primary.destination.full_node == self.settings.node.full_node
        age_ms = bundle.age_ms or 0
        if age_ms >= primary.lifetime_ms:
            return self._drop(DropReason.EXPIRED)
        if not local:
            if bundle.hop_limit is not None and (bundle.hop_count or 0) >= bundle.hop_limit:
                return self._drop(DropReason.HOP_LIMIT)
            if not self._ways(primary.destination.full_node, came_from):
                return self._drop(DropReason.NO_ROUTE)
        data = encode(bundle)
        size = len(data)
        reason = self._store.refusal(primary.source.full_node, came_from, size)
        if reason is not None:
            return self._drop(reason)
        urgency = LEAST_URGENT if bundle.urgency is None else bundle.urgency
        going = self._store.in_the_way(urgency, size)
        if going is None:
            return self._drop(DropReason.STORE_FULL)
        for entry in going:
            self._give_up(entry, DropReason.EVICTED)
        self._order += 1
        entry = Entry(self._order, self._store.free_slot(), bundle, came_from, size, age_ms, now_ns, local)
        kept = KeptBundle(entry.slot, entry.order, came_from, age_ms, data)
        if self._keeper is not None and not self._keeper.keep(kept):
            return self._drop(DropReason.NOT_KEPT)
        self._store.add(entry)
        self._changed = True
        return None

    def _ways(self, destination: int, came_from: int | None) -> tuple[int, ...]:
        """Next nodes, best first; never back to where it came from. A docked destination is its own next node."""
        settings = self.settings
        ways = (destination, *settings.routes.get(destination, settings.gateways))
        return tuple(node for node in ways if node not in (came_from, settings.node.full_node))

    def _goes_to(self, entry: Entry, node: int) -> bool:
        destination = entry.bundle.primary.destination.full_node
        ways = self._ways(destination, entry.came_from)
        return not entry.local and node == next((way for way in ways if way in self._docked), None)

    def _pay(self, joules: float, now_ns: int) -> bool:
        if not self.budget.spend(joules, now_ns):
            return False
        if self._energy is not None and not self._energy(joules, now_ns):
            self.budget.refund(joules)
            return False
        self._changed = True
        return True

    def _life_ms(self, entry: Entry) -> int:
        """Age at which it is given up: its own lifetime, but no longer here than this node keeps anything."""
        return min(entry.bundle.primary.lifetime_ms, entry.age_ms + round(self.settings.longest_life_s * 1000))

    def _drop(self, reason: DropReason) -> DropReason:
        self.dropped[reason] += 1
        return reason

    def _give_up(self, entry: Entry, reason: DropReason) -> None:
        self._drop(reason)
        self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        self._store.remove(entry)
        self._changed = True
        if self._keeper is not None:
            self._keeper.forget(entry.slot)

    def _remember(self, seen: bytes) -> None:
        self._seen[seen] = None
        if len(self._seen) > self.settings.seen:
            self._seen.popitem(last=False)

    def _resume(self, keeper: BundleKeeper, now_ns: int) -> None:
        """Take up what the medium has: everything is judged again, since a medium can be changed."""
        kept, state = keeper.load(self.settings.bundles)
        ages = {} if state is None else state.ages_ms
        self._order = max(ages, default=0)
        for one in [] if state is None else state.seen[-self.settings.seen:]:
            self._remember(one)
        if state is not None:
            self.budget.resume(state.spent, now_ns)
        for place in sorted(kept, key=lambda place: place.order):
            bundle = decode(place.data, self.settings.longest_bytes)
            age_ms = max(place.age_ms, ages.get(place.order, 0))
            if isinstance(bundle, Malformed) or age_ms >= bundle.primary.lifetime_ms:
                keeper.forget(place.slot)
                self._drop(DropReason.EXPIRED if isinstance(bundle, Bundle) else DropReason.MALFORMED)
                continue
            if self._store.used_bytes + len(place.data) > self.settings.store_bytes:
                keeper.forget(place.slot)
                self._drop(DropReason.STORE_FULL)
                continue
            local = bundle.primary.destination.full_node == self.settings.node.full_node
            self._order = max(self._order, place.order)
            self._store.add(Entry(place.order, place.slot, bundle, place.came_from, len(place.data), age_ms, now_ns,
                                  local))
            self._remember(digest(bundle))
            self.counts.resumed += 1
