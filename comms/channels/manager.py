"""Owner of the channels of a link: those of the plan, those that were created, their queues and states.

Nobody can hold a link alone: a creator holds at most a third of the ids, a kind takes no class of service above its
own, and every queue has a bound. An id is not given out again before ``forget_closed``, so that nothing late of a
closed channel is taken for the new one's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from string import ascii_lowercase, digits
from typing import NamedTuple

from comms.channel_plan import FIRST_CREATED, LAST_CREATED, PLAN, ChannelKind, ChannelSpec, QosClass
from comms.channels.channel_queue import ChannelQueue, Drop, rule_for
from comms.channels.states import ChannelCondition, ChannelStanding, ChannelState, judge_channel
from comms.emcon import EmconGate
from fdir.codes import Code

__all__ = ["LONGEST_NAME", "MOST_OF_ONE", "ChannelManager", "ChannelRefusal", "Lane", "StateChange"]

MOST_OF_ONE = 8
"""Channels that one creator may have at a time (P): CANON's eight, a third of the ids."""
LONGEST_NAME = 24
LONGEST_PACKET = 1024
NAME_LETTERS = frozenset(ascii_lowercase + digits + "-_")
CREATED_IDS = range(FIRST_CREATED, LAST_CREATED + 1)
HIGHEST_CLASS = {
    ChannelKind.CONTROL: QosClass.CONTROL,
    ChannelKind.TELEMETRY: QosClass.TELEMETRY,
    ChannelKind.SERVICE: QosClass.TELEMETRY,
    ChannelKind.SCIENCE: QosClass.SCIENCE,
    ChannelKind.BULK: QosClass.BULK,
}
"""Most urgent class that a kind may have: nobody gets files through as control. No emergency channel is created."""


@dataclass(frozen=True, slots=True)
class ChannelRefusal:
    """A channel was not created, adopted or closed, and why."""

    code: Code
    text: str


class StateChange(NamedTuple):
    """A channel's standing has changed."""

    spec: ChannelSpec
    before: ChannelStanding
    now: ChannelStanding


UNJUDGED = ChannelStanding(ChannelState.AUTHORIZATION_MISSING, (Code.COMMS_UNAUTHORIZED,))


@dataclass(slots=True)
class Lane:
    """One live channel. A link that nobody has judged yet is closed: ``judge`` opens it."""

    spec: ChannelSpec
    queue: ChannelQueue
    owner: str = ""
    """Who has created it; empty for one of the plan."""
    standing: ChannelStanding = UNJUDGED
    open: bool = False
    """Whether its packets go out, by its standing."""


class ChannelManager:
    """Channels of one link.

    Args:
        plan: channels that are always there.
        longest_bytes: longest packet that any channel takes.

    Attributes:
        refused: channels that were not created since start.
        unknown: packets for channels that there are not.
    """

    def __init__(self, plan: Iterable[ChannelSpec] = PLAN, longest_bytes: int = LONGEST_PACKET) -> None:
        if longest_bytes < 1:
            raise ValueError(f"longest_bytes {longest_bytes}: must be at least 1")
        self.longest_bytes = longest_bytes
        self.refused = 0
        self.unknown = 0
        self._specs = {spec.id: spec for spec in plan}
        self._lanes: dict[int, Lane] = {}
        for spec in self._specs.values():
            self._open(spec, "")
        self._used: set[int] = set()
        """Ids that were created and closed again."""

    # -- channels

    def create_channel(
        self, kind: str, e2e: bool, qos: int, name: str, owner: str = "craft"
    ) -> ChannelSpec | ChannelRefusal:
        """Create a channel.

        Args:
            kind: a ChannelKind, but not ``nbl``.
            e2e: relays stay blind to it.
            qos: a QosClass no more urgent than the kind's own.
            name: 1 to 24 of a-z, 0-9, ``-`` and ``_``; no other live channel's.
            owner: who creates it.
        """
        found = _kind_and_class(kind, qos)
        if isinstance(found, ChannelRefusal):
            return self._refuse(found.code, found.text)
        free = next((number for number in CREATED_IDS if number not in self._specs and number not in self._used), None)
        if free is None:
            return self._refuse(Code.CHANNEL_REFUSED, "every id is in use, or was in this session")
        return self._adopt(ChannelSpec(free, name, found[0], found[1], f"created by {owner}", e2e), owner)

    def adopt(self, spec: ChannelSpec, owner: str) -> ChannelSpec | ChannelRefusal:
        """Take over a channel that the other end has created, as it told it."""
        found = _kind_and_class(spec.kind, spec.qos)
        if isinstance(found, ChannelRefusal):
            return self._refuse(found.code, found.text)
        if spec.id not in CREATED_IDS or spec.id in self._specs or spec.id in self._used:
            return self._refuse(Code.CHANNEL_REFUSED, f"id {spec.id} is not free")
        return self._adopt(spec, owner)

    def close_channel(self, channel_id: int, owner: str | None = None) -> ChannelSpec | ChannelRefusal:
        """Close a created channel; what waits in it is lost, and counted. ``owner``: who asks; ``None``: the craft
        itself, which may close anybody's. Returns the channel as it was."""
        lane = self._lanes.get(channel_id)
        if channel_id not in CREATED_IDS or lane is None:
            return ChannelRefusal(Code.CHANNEL_REFUSED, f"no created channel {channel_id}")
        if owner is not None and owner != lane.owner:
            return ChannelRefusal(Code.COMMS_UNAUTHORIZED, f"channel {channel_id} belongs to {lane.owner}")
        lane.queue.clear(Drop.CLOSED)
        del self._lanes[channel_id], self._specs[channel_id]
        self._used.add(channel_id)
        return lane.spec

    def forget_closed(self) -> None:
        """New keys are used from now on: nothing of the closed channels can come any more, and their ids are free."""
        self._used.clear()

    def spec(self, channel_id: int) -> ChannelSpec | None:
        """A live channel's declaration, for the record layer; ``None`` if there is none."""
        return self._specs.get(channel_id)

    def named(self, name: str) -> ChannelSpec | None:
        """A live channel by its name."""
        return next((spec for spec in self._specs.values() if spec.name == name), None)

    def specs(self) -> tuple[ChannelSpec, ...]:
        """All live channels, in the order of their ids."""
        return tuple(self._specs[number] for number in sorted(self._specs))

    # -- packets

    def put(self, channel_id: int, payload: bytes, now_ns: int) -> Drop | None:
        """Queue one packet; why not, if not. It is queued while the channel is cut, too: its queue is bounded."""
        lane = self._lanes.get(channel_id)
        if lane is None:
            self.unknown += 1
            return Drop.NO_CHANNEL
        if len(payload) > self.longest_bytes:
            return lane.queue.refuse(Drop.TOO_LONG)
        return lane.queue.put(payload, now_ns)

    def lanes(self) -> Iterable[Lane]:
        """Live channels that have a queue, for the scheduler."""
        return self._lanes.values()

    def lane(self, channel_id: int) -> Lane | None:
        """One of them."""
        return self._lanes.get(channel_id)

    @property
    def waiting_bytes(self) -> int:
        """Bytes in all queues."""
        return sum(lane.queue.size_bytes for lane in self._lanes.values())

    # -- states

    def judge(
        self, condition_of: Callable[[ChannelSpec], ChannelCondition], emcon: EmconGate, now_ns: int
    ) -> tuple[StateChange, ...]:
        """Bring every channel's state up to now; returns those that have changed.

        Args:
            condition_of: what a channel's state depends on, by channel: it may go another way than the others.
        """
        changes = []
        for lane in self._lanes.values():
            standing = judge_channel(lane.spec, condition_of(lane.spec), emcon, now_ns)
            if standing != lane.standing:
                changes.append(StateChange(lane.spec, lane.standing, standing))
                lane.standing, lane.open = standing, standing.open
        return tuple(changes)

    def _adopt(self, spec: ChannelSpec, owner: str) -> ChannelSpec | ChannelRefusal:
        name = spec.name
        if not 1 <= len(name) <= LONGEST_NAME or not NAME_LETTERS.issuperset(name):
            return self._refuse(Code.CHANNEL_REFUSED, f"a name is 1 to {LONGEST_NAME} of a-z, 0-9, - and _")
        if self.named(name) is not None:
            return self._refuse(Code.CHANNEL_REFUSED, f"there is a channel {name} already")
        if sum(lane.owner == owner for lane in self._lanes.values()) >= MOST_OF_ONE:
            return self._refuse(Code.CHANNEL_REFUSED, f"{owner} has {MOST_OF_ONE} channels already")
        self._specs[spec.id] = spec
        self._open(spec, owner)
        return spec

    def _open(self, spec: ChannelSpec, owner: str) -> None:
        rule = rule_for(spec)
        if rule is not None:
            self._lanes[spec.id] = Lane(spec, ChannelQueue(rule), owner)

    def _refuse(self, code: Code, text: str) -> ChannelRefusal:
        self.refused += 1
        return ChannelRefusal(code, text)


def _kind_and_class(kind: str, qos: int) -> tuple[ChannelKind, QosClass] | ChannelRefusal:
    """Kind and class of what was asked for, or why there is no such channel."""
    try:
        of_kind, of_class = ChannelKind(kind), QosClass(qos)
    except ValueError:
        return ChannelRefusal(Code.COMMS_NOT_IMPLEMENTED, f"no kind {kind!r} or no class {qos!r}")
    highest = HIGHEST_CLASS.get(of_kind)
    if highest is None:
        return ChannelRefusal(Code.NBL_RULES_ONLY, "the emergency channel is there, and there is one")
    if of_class < highest:
        text = f"{of_kind} may be of class {highest.name.lower()} at most, not {of_class.name.lower()}"
        return ChannelRefusal(Code.CHANNEL_REFUSED, text)
    return of_kind, of_class
