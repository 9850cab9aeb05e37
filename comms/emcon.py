"""Emission control: nothing leaves through any transmitter that the present level forbids, not even after a restart.

The level is the strictest of three: what the craft's emission region asks for, what was ordered, and what was kept from
before a restart. A retry, an acknowledgement and a relayed packet are judged like any other at the moment they are to
go out, since a packet that was allowed when it was made may be forbidden by then. Levels: CANON section 11.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import IntEnum, StrEnum, unique
from typing import NamedTuple

from comms.channel_plan import QosClass
from comms.channels.kept_record import KeptRecord
from fdir.codes import Code
from fdir.modes import Emission
from hal.nonvolatile import Files

__all__ = [
    "ALLOWED", "LEAST_LEVEL", "ON_RELEASE", "RADIATES", "RELEASE_NS", "TRAFFIC", "EmconEvent", "EmconGate",
    "EmconLevel", "Traffic", "Transmitter", "TransponderMode",
]

SECOND = 1_000_000_000
RELEASE_NS = 600 * SECOND
"""How long a release waits for its packet: five pauses between packets of the emergency channel (P)."""
LONGEST_RELEASE_NS = 3600 * SECOND
STORE_AGAIN_NS = SECOND
MOST_EVENTS = 16
VERSION = 1


@unique
class EmconLevel(IntEnum):
    """How much the craft radiates; higher is stricter."""

    OPEN = 0
    RESTRICTED = 1
    """No bulk, no science."""
    RECEIVE = 2
    """Nothing is sent; the transponder is SILENT."""
    SILENT = 3
    """Full silence; the transponder is off, and no neighbour gets anything that it might send on."""


@unique
class Transmitter(StrEnum):
    """What bytes leave the craft through. A serial line to a modem counts as what the modem is."""

    RADIO = "radio"
    OPTICAL = "optical"
    TRANSPONDER = "transponder"
    NBL = "nbl"
    BRIDGE = "bridge"
    """Data lines of the docking joint."""
    CABLE = "cable"
    """A line that ends at a person: bench, service socket."""


@unique
class Traffic(StrEnum):
    """What a packet is, whoever made it and however often it was sent before."""

    CONTROL = "control"
    TELEMETRY = "telemetry"
    SCIENCE = "science"
    BULK = "bulk"
    BEACON = "beacon"
    """Answers and pulses of the transponder."""
    NBL = "nbl"
    NBL_CRITICAL = "nbl critical"
    """A sealed packet of the emergency channel whose criticality is critical."""


@unique
class TransponderMode(IntEnum):
    """Modes of the transponder, numbered as on the wire."""

    OFF = 0
    ON = 1
    SILENT = 2
    SPOOF = 3


TRAFFIC: Mapping[QosClass, Traffic] = {
    QosClass.CONTROL: Traffic.CONTROL,
    QosClass.TELEMETRY: Traffic.TELEMETRY,
    QosClass.SCIENCE: Traffic.SCIENCE,
    QosClass.BULK: Traffic.BULK,
}
"""Traffic of a channel by its class of service: its retries, acknowledgements and relayed packets are the same."""
RADIATES: Mapping[Transmitter, EmconLevel] = {
    Transmitter.RADIO: EmconLevel.RESTRICTED,
    Transmitter.OPTICAL: EmconLevel.RESTRICTED,
    Transmitter.TRANSPONDER: EmconLevel.RESTRICTED,
    Transmitter.NBL: EmconLevel.RESTRICTED,
    Transmitter.BRIDGE: EmconLevel.SILENT,
}
"""Level from which on a transmitter is governed. A wire radiates nothing; a docked neighbour might send on what it is
given, which full silence does not leave to it. What is not listed is free at every level."""
ALLOWED: Mapping[EmconLevel, frozenset[Traffic]] = {
    EmconLevel.OPEN: frozenset(Traffic),
    EmconLevel.RESTRICTED: frozenset(Traffic) - {Traffic.SCIENCE, Traffic.BULK},
    EmconLevel.RECEIVE: frozenset(),
    EmconLevel.SILENT: frozenset(),
}
"""What may go out at each level through a transmitter that is governed."""
ON_RELEASE = frozenset({Traffic.NBL_CRITICAL})
"""What may go out through the emergency transmitter above that, once, when an operator has released it."""
LEAST_LEVEL: Mapping[Emission, EmconLevel] = {
    Emission.OPEN: EmconLevel.OPEN,
    Emission.RESTRICTED: EmconLevel.RESTRICTED,
    Emission.SILENT: EmconLevel.SILENT,
}
"""What an emission region asks for at least."""
_TRANSPONDER_LIMIT = {EmconLevel.RECEIVE: TransponderMode.SILENT, EmconLevel.SILENT: TransponderMode.OFF}


class EmconEvent(NamedTuple):
    """The level has changed: EMCON_ENTER to a stricter one, EMCON_EXIT to one less strict."""

    t_ns: int
    code: Code
    before: EmconLevel
    level: EmconLevel


class EmconGate:
    """Stands before every transmitter.

    Args:
        files: where the level is kept over a restart; ``None``: nowhere (a ground station).
        unreadable: level that a kept record which cannot be read stands for: it may have said anything.

    Attributes:
        blocked: packets held back since start, by transmitter.
        passed_bytes: bytes let out since start, by transmitter.
        stored: whether the level that holds now is on the medium.
        dropped_events: changes that nobody fetched in time.

    Until the emission region is known for the first time, a craft that has kept nothing is silent.
    """

    __slots__ = (
        "_emission", "_events", "_floor", "_last_try_ns", "_level", "_ordered", "_provisional", "_record",
        "_release_until_ns", "blocked", "dropped_events", "passed_bytes", "stored",
    )

    def __init__(self, files: Files | None = None, unreadable: EmconLevel = EmconLevel.SILENT) -> None:
        self._record = None if files is None else KeptRecord(files, "emcon.bin")
        self._ordered = EmconLevel.OPEN
        self._emission: EmconLevel | None = None
        self._floor = EmconLevel.SILENT
        self._provisional = True
        """The floor stands only until the emission region is known."""
        self._release_until_ns: int | None = None
        self._last_try_ns: int | None = None
        self._events: deque[EmconEvent] = deque(maxlen=MOST_EVENTS)
        self.dropped_events = 0
        self.blocked = dict.fromkeys(Transmitter, 0)
        self.passed_bytes = dict.fromkeys(Transmitter, 0)
        self.stored = True
        if self._record is not None:
            found = self._record.load()
            if found.payload is not None or found.broken:
                self._ordered, self._floor = _decode(found.payload) or (unreadable, unreadable)
                self._provisional = False
        self._level = self._strictest()

    @property
    def level(self) -> EmconLevel:
        """The level that holds now."""
        return self._level

    @property
    def ordered(self) -> EmconLevel:
        """What was ordered last; the level is never lower."""
        return self._ordered

    def follow(self, emission: Emission | None, now_ns: int) -> EmconLevel:
        """Take the craft's emission region; ``None``, not known, changes nothing. Returns the level that holds.

        What was kept from before a restart stands until the region has been at least as strict once, or a level is
        ordered: a region that starts out open does not open what was shut.
        """
        if emission is None:
            return self._level
        asked = LEAST_LEVEL[emission]
        ends_floor = self._provisional or asked >= self._floor
        if asked == self._emission and not (ends_floor and self._floor):
            return self._level
        self._emission = asked
        if ends_floor:
            self._floor, self._provisional = EmconLevel.OPEN, False
        self._change(now_ns)
        return self._level

    def set_level(self, level: EmconLevel, now_ns: int) -> EmconLevel:
        """Order a level (``set_emcon``); it can only make stricter what the emission region asks for. What was kept
        from before a restart ends, at the latest when the region is known. Returns the level that holds."""
        self._ordered = level
        if self._emission is None:
            self._provisional = True
        else:
            self._floor = EmconLevel.OPEN
        self._change(now_ns)
        return self._level

    def release(self, now_ns: int, lifetime_ns: int = RELEASE_NS) -> None:
        """An operator lets one critical packet of the emergency channel out of a silence, once, within this time.
        ValueError for a time that is not above 0 or above an hour."""
        if not 0 < lifetime_ns <= LONGEST_RELEASE_NS:
            raise ValueError(f"lifetime_ns {lifetime_ns}: 1..{LONGEST_RELEASE_NS} is allowed")
        self._release_until_ns = now_ns + lifetime_ns

    def withdraw(self) -> None:
        """Take an unused release back."""
        self._release_until_ns = None

    def released(self, now_ns: int) -> bool:
        """Whether an unused release stands; the end of its time is inclusive."""
        return self._release_until_ns is not None and now_ns <= self._release_until_ns

    def may(self, transmitter: Transmitter, traffic: Traffic, now_ns: int) -> Code | None:
        """Whether such a packet may go out now: ``None``, or EMCON_BLOCK. Changes nothing."""
        if self._free(transmitter, traffic) or self._by_release(transmitter, traffic, now_ns):
            return None
        return Code.EMCON_BLOCK

    def admit(self, transmitter: Transmitter, traffic: Traffic, size_bytes: int, now_ns: int) -> Code | None:
        """Judge a packet at the moment of sending, count it, and use the release up if it goes out by that."""
        if self._free(transmitter, traffic):
            self.passed_bytes[transmitter] += size_bytes
            return None
        if self._by_release(transmitter, traffic, now_ns):
            self._release_until_ns = None
            self.passed_bytes[transmitter] += size_bytes
            return None
        self.blocked[transmitter] += 1
        return Code.EMCON_BLOCK

    def transponder(self, wanted: TransponderMode) -> TransponderMode:
        """The mode that the transponder may take: SILENT while the craft only receives, OFF in silence."""
        limit = _TRANSPONDER_LIMIT.get(self._level)
        if limit is None or wanted is TransponderMode.OFF:
            return wanted
        return limit

    def step(self, now_ns: int) -> None:
        """Try again to keep the level, if the medium refused it; at most once a second."""
        last = self._last_try_ns
        if not self.stored and (last is None or now_ns - last >= STORE_AGAIN_NS):
            self._store(now_ns)

    def take_events(self) -> tuple[EmconEvent, ...]:
        """Changes since this was last asked, oldest first."""
        events = tuple(self._events)
        self._events.clear()
        return events

    def _free(self, transmitter: Transmitter, traffic: Traffic) -> bool:
        level = self._level
        governed = RADIATES.get(transmitter)
        return governed is None or level < governed or traffic in ALLOWED[level]

    def _by_release(self, transmitter: Transmitter, traffic: Traffic, now_ns: int) -> bool:
        return transmitter is Transmitter.NBL and traffic in ON_RELEASE and self.released(now_ns)

    def _strictest(self) -> EmconLevel:
        return max(self._ordered, self._floor, self._emission or EmconLevel.OPEN)

    def _change(self, now_ns: int) -> None:
        before, self._level = self._level, self._strictest()
        if self._level != before:
            if len(self._events) == MOST_EVENTS:
                self.dropped_events += 1
            code = Code.EMCON_ENTER if self._level > before else Code.EMCON_EXIT
            self._events.append(EmconEvent(now_ns, code, before, self._level))
        self._store(now_ns)

    def _store(self, now_ns: int) -> None:
        self._last_try_ns = now_ns
        if self._record is not None:
            asked = max(self._floor, self._emission or EmconLevel.OPEN)
            self.stored = self._record.store(bytes((VERSION, self._ordered, asked)))


def _decode(payload: bytes | None) -> tuple[EmconLevel, EmconLevel] | None:
    """Ordered level and that of the emission region; ``None`` for what is no record of this version."""
    if payload is None or len(payload) != 3 or payload[0] != VERSION:
        return None
    try:
        return EmconLevel(payload[1]), EmconLevel(payload[2])
    except ValueError:
        return None
