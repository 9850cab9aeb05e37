"""The flight loop's end of the perception: what sensors said goes out, contacts come in; every tick, never waiting.

Whatever the perception says is bounded here: so many messages and contacts a step, events of known codes alone, values
of its own channels. A perception that has died leaves the craft flying without eyes, and that is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from comms.flight_port import EventNote, LinkReport, Port
from fdir.brake import speed_in_tank
from fdir.codes import Code, Severity
from fdir.guard_contacts import Contact, TrackStatus
from firmware_py.energy.duty_table import Consumer
from firmware_py.link_guard import MOST_FINISHED, EventBudget, channel_values, printable
from firmware_py.link_orders import LinkOrders
from firmware_py.perception.port import AHEAD_NS, FIELDS, ContactFrame, CraftMotion, Scan
from firmware_py.telemetry_snapshot import PERCEPTION_CHANNELS
from firmware_py.tick import STANDARD_GRAVITY, FlightSoftware
from hal.reading import Quality

__all__ = ["PerceptionExchange"]

SECOND = 1_000_000_000
SILENT_NS = 3 * SECOND
"""Age of its last frame from which on the perception counts as gone; it speaks at least once a second."""
MOTION_NS = 50_000_000
"""How often the craft's motion is told without a scan."""
MOST_MESSAGES = 8
MOST_CONTACTS = 64
"""Contacts of one frame that are taken."""
SEVERITIES = {severity.value: severity for severity in Severity}
CONSUMERS = {consumer.value: consumer for consumer in Consumer}
MOST_ASKED = len(CONSUMERS)


class PerceptionExchange:
    """Owner of the flight loop's end.

    Args:
        software: the flight software.
        port: this end of the port.
    """

    def __init__(self, software: FlightSoftware, port: Port) -> None:
        self._software = software
        self._port: Any = port
        self.orders = LinkOrders(port, Code.PERCEPTION_UNAVAILABLE)
        self.refused = 0
        """Contacts, values and outcomes beyond their bounds, and frames of a time far ahead; not looked at."""
        self.events = EventBudget()
        devices = [d for d in software.profile.board.devices if d.role in FIELDS]
        # The radar is looked at every tick, for it is what a brake waits for; the others take turns.
        self._urgent = tuple((d.name, FIELDS[d.role]) for d in devices if d.role == "radar")
        self._others = tuple((d.name, FIELDS[d.role]) for d in devices if d.role != "radar")
        self._turn = 0
        self._told: dict[str, int] = {}
        self._motion_ns = -MOTION_NS
        self._heard_ns: int | None = None
        self._began_ns = software.now_ns
        self._missed = False
        """Its silence has been told."""
        self._exhaust_m_s = software.profile.body.propulsion.specific_impulse_s * STANDARD_GRAVITY
        software.commander.perception = self.orders

    def step(self, now_ns: int) -> None:
        """One exchange."""
        messages = self._port.receive(MOST_MESSAGES)
        for place, message in enumerate(messages, start=1):
            if isinstance(message, ContactFrame):
                # Of frames ahead of this clock each is still newer than the one before.
                self._hear(message, now_ns, now_ns - len(messages) + place)
        if now_ns - self._motion_ns >= MOTION_NS:
            self._motion_ns = now_ns
            self._port.send(self._motion(now_ns))
            self._watch(now_ns)
        for name, field in self._urgent:
            self._show(name, field, now_ns)
        if self._others:
            self._turn = (self._turn + 1) % len(self._others)
            self._show(*self._others[self._turn], now_ns)

    # -- out

    def _show(self, name: str, field: str, now_ns: int) -> None:
        """Send what a device has said since the last time, if it is good."""
        reading = self._software.hardware.reading(name, now_ns)
        if reading.t_ns == self._told.get(name) or reading.quality is not Quality.OK:
            return
        self._told[name] = reading.t_ns
        nav = self._software.estimator.nav
        sample: dict[str, Any] = {field: reading.value}
        self._port.send(Scan(
            name, reading.t_ns, now_ns, nav.position, nav.velocity, nav.quaternion, nav.rate, **sample,
        ))

    def _motion(self, now_ns: int) -> CraftMotion:
        software = self._software
        nav, energy, mass_kg = software.estimator.nav, software.energy, software.mass_kg
        off = tuple(sorted(name for name, answer in energy.loads.answers.items() if answer.on is False))
        return CraftMotion(
            now_ns, software.commander.desk.start, software.supervisor.modes.motion.value, nav.position, nav.velocity,
            nav.quaternion, nav.rate, nav.sigma_position_m, nav.sigma_velocity_m_s, nav.sigma_attitude_rad,
            nav.attitude_known, {consumer.value: rate for consumer, rate in energy.duties.rates_hz.items()},
            energy.duties.word, off, software.brake_m_s2, mass_kg,
            self._tank_m_s(mass_kg, max(0.0, software.propellant_kg)), software.firing,
        )

    def _tank_m_s(self, mass_kg: float, propellant_kg: float) -> float | None:
        if propellant_kg <= 0.0:
            return 0.0
        return speed_in_tank(mass_kg, propellant_kg, self._exhaust_m_s)

    # -- in

    def _hear(self, frame: ContactFrame, now_ns: int, newest_ns: int) -> None:
        """Take in one frame. What lies a little ahead of this clock is of ``newest_ns``, for the guard takes nothing of
        a time to come."""
        software = self._software
        if not _is_frame(frame) or frame.t_ns > now_ns + AHEAD_NS:
            self.refused += 1
            return
        self._heard_ns = now_ns
        self.orders.answers, self._missed = True, False
        taken = [contact for contact in frame.contacts[:MOST_CONTACTS] if _is_sound(contact)]
        self.refused += len(frame.contacts) - len(taken)
        software.guard.take(_not_ahead(contact, now_ns, newest_ns) for contact in taken)
        notes = tuple(event for event in frame.events if isinstance(event, EventNote) and _is_told(event))
        self.refused += len(frame.events) - len(notes)
        for event in self.events.admit(notes, now_ns):
            severity = SEVERITIES.get(event.severity, Severity.WARNING)
            software.journal.event(now_ns, event.code, severity, printable(event.text))
        for number, well, words in filter(_is_outcome, frame.finished[:MOST_FINISHED]):
            self.refused += not self.orders.finished(number, well, words)
        if frame.telemetry:
            self._show_values(frame)
        software.energy.duties.asked = frozenset(
            CONSUMERS[name] for name in frame.asked[:MOST_ASKED] if isinstance(name, str) and name in CONSUMERS
        )
        if frame.urgent and taken:
            # Not with the next medium tick: what is about to hit is judged now.
            software.watch_contacts(now_ns)

    def _show_values(self, frame: ContactFrame) -> None:
        """Values of its channels into telemetry; what this end did not take of it beside what it refused itself."""
        values, wrong = channel_values(LinkReport(frame.t_ns, telemetry=frame.telemetry), PERCEPTION_CHANNELS)
        self.refused += wrong
        shown = {name: value for name, value in values.items() if name in frame.telemetry}
        own = {"flight_refused": self.refused + self.events.left_out, "flight_dropped": self._port.dropped}
        table = shown.get("perception_refused")
        if table is not None:
            shown["perception_refused"] = {**table, **{name: count for name, count in own.items() if count}}
        self._software.perception_values.update(shown)

    def _watch(self, now_ns: int) -> None:
        """Notice a perception that has fallen silent, or that never said anything; told once."""
        since_ns = self._began_ns if self._heard_ns is None else self._heard_ns
        if self._missed or now_ns - since_ns <= SILENT_NS:
            return
        self._missed, self.orders.answers = True, False
        software = self._software
        software.perception_values = {}
        software.energy.duties.asked = frozenset()
        words = "nobody perceives anything" if self._heard_ns is None else "the perception process is silent"
        software.journal.event(now_ns, Code.PERCEPTION_UNAVAILABLE, Severity.WARNING, words)


def _is_frame(frame: ContactFrame) -> bool:
    """Whether a frame is made of what a frame is made of. A socket's decoder has seen to that; a port in memory not."""
    return (
        type(frame.t_ns) is int and isinstance(frame.telemetry, Mapping)
        and all(isinstance(part, tuple) for part in (frame.contacts, frame.events, frame.finished, frame.asked))
    )


def _is_sound(contact: Any) -> bool:
    """Whether a contact is one, and every number of it is one, or missing."""
    return (
        isinstance(contact, Contact) and type(contact.track_id) is int and type(contact.event_ns) is int
        and isinstance(contact.status, TrackStatus)
        and all(
            value is None or (isinstance(value, int | float) and isfinite(value))
            for value in (contact.range_m, contact.radial_velocity_m_s, contact.quality)
        )
        and (contact.evade_m_s is None or (
            isinstance(contact.evade_m_s, tuple) and len(contact.evade_m_s) == 3
            and all(isinstance(value, int | float) and isfinite(value) for value in contact.evade_m_s)
        ))
    )


def _not_ahead(contact: Contact, now_ns: int, newest_ns: int) -> Contact:
    """A contact whose time is a little ahead as one of ``newest_ns``; others as they are, the guard's to refuse."""
    return replace(contact, event_ns=newest_ns) if now_ns < contact.event_ns <= now_ns + AHEAD_NS else contact


def _is_told(event: EventNote) -> bool:
    return all(isinstance(word, str) for word in (event.code, event.severity, event.text))


def _is_outcome(outcome: Any) -> bool:
    return (
        isinstance(outcome, tuple) and len(outcome) == 3 and type(outcome[0]) is int
        and isinstance(outcome[1], bool) and isinstance(outcome[2], str)
    )
