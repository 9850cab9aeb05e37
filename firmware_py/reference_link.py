"""Rows of the link's reference page: channels, messages, groups of telemetry, modems, levels of emission control.

Each is read from the table that both ends of a link run on.
"""

from __future__ import annotations

from comms.channel_plan import FIRST_CREATED, LAST_CREATED, PLAN
from comms.dictionary.layouts import LAYOUTS
from comms.dictionary.messages import MESSAGES
from comms.emcon import ALLOWED, RADIATES, EmconLevel, Traffic
from comms.records.schedule import SUITES
from comms.transports.modem import ModemProfile, load_modems

__all__ = ["CREATED_TEXT", "channel_rows", "emission_rows", "group_rows", "message_rows", "modem_rows"]

Row = tuple[object, ...]
CREATED_TEXT = f"`channel_create` gives out ids {FIRST_CREATED} to {LAST_CREATED}; an id is never used again."
LEVEL_TEXT = {
    EmconLevel.OPEN: "open", EmconLevel.RESTRICTED: "no bulk, no science", EmconLevel.RECEIVE: "receive only",
    EmconLevel.SILENT: "full silence",
}


def channel_rows() -> list[Row]:
    """Id, name, kind, class of service, suite, bytes of its tag, end to end, what it carries."""
    return [
        (spec.id, f"`{spec.name}`", spec.kind, spec.qos.name.lower(),
         f"{spec.kind.suite.name} ({int(spec.kind.suite)})",
         SUITES[spec.kind.suite].tag_bytes, "yes" if spec.end_to_end else "no", spec.text)
        for spec in PLAN
    ]


def message_rows() -> list[Row]:
    """Schema id, name, fields in order."""
    return [
        (schema.id, f"`{schema.name}`", "; ".join(f"{name}: {kind}" for name, kind in schema.fields))
        for schema in MESSAGES.values()
    ]


def group_rows() -> list[Row]:
    """Layout id, group, rate, what it is, channels in order."""
    return [
        (layout.id, f"`{layout.name}`", f"{layout.rate_hz:g}", layout.text, ", ".join(layout.names))
        for layout in LAYOUTS.values()
    ]


def modem_rows() -> list[Row]:
    """Name, kind, what it is, bit rate, longest datagram, framing, transmitter, halves of its time, duty, powers."""
    return [
        (f"`{name}`", modem.kind, modem.text, f"{modem.bit_rate:,.0f}", modem.mtu, modem.framing, modem.transmitter,
         _turns(modem), "-" if modem.duty_pct is None else f"{modem.duty_pct:g} %",
         f"{modem.transmit_w:g}, {modem.idle_w:g}")
        for name, modem in load_modems().items()
    ]


def _turns(modem: ModemProfile) -> str:
    half = modem.half_duplex
    return "both ways at once" if half is None else f"{half.talk_ms:g} ms, then listens {half.listen_ms:g} ms"


def emission_rows() -> list[Row]:
    """Level, its name, what may go out, and through which transmitters it is asked."""
    return [
        (int(level), LEVEL_TEXT[level], ", ".join(kind for kind in Traffic if kind in ALLOWED[level]) or "nothing",
         ", ".join(name for name, first in RADIATES.items() if level >= first) or "none")
        for level in EmconLevel
    ]
