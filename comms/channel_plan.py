"""Channels of a link, declared once: id, kind, class of service, direction. Both ends have this table.

A channel's kind binds its cipher suite, so nothing is negotiated on the air. Ids 0 to 6 fit into a record's first byte;
from 7 on the id takes a byte of its own. Ids are never used again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum, unique

__all__ = [
    "FIRST_CREATED", "LAST_CREATED", "NBL_CHANNEL", "PLAN", "ChannelKind", "ChannelSpec", "Direction", "QosClass",
    "Suite", "channel_named",
]


@unique
class Direction(IntEnum):
    """Way of a record. Each has keys of its own, so that nothing can be sent back to its sender."""

    UP = 0
    """To the craft."""
    DOWN = 1
    """From the craft."""


@unique
class Suite(IntEnum):
    """Cipher suites by their COSE algorithm number (RFC 9053 section 4)."""

    AES_CCM_16_64_128 = 10
    CHACHA20_POLY1305 = 24


@unique
class QosClass(IntEnum):
    """Class of service, most urgent first (CANON section 11): control strictly first up to 20 % of the line, then the
    others by weight 5, 2, 1."""

    CONTROL = 0
    TELEMETRY = 1
    SCIENCE = 2
    BULK = 3


@unique
class ChannelKind(StrEnum):
    """What a channel is for."""

    CONTROL = "control"
    TELEMETRY = "telemetry"
    SCIENCE = "science"
    BULK = "bulk"
    SERVICE = "service"
    NBL = "nbl"

    @property
    def suite(self) -> Suite:
        """The suite that is bound to this kind: short tags only where a byte costs 19 J."""
        return Suite.AES_CCM_16_64_128 if self is ChannelKind.NBL else Suite.CHACHA20_POLY1305


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """One channel. ``end_to_end``: its records are opened by craft and ground alone, relays stay blind."""

    id: int
    name: str
    kind: ChannelKind
    qos: QosClass
    text: str
    end_to_end: bool = True


PLAN: tuple[ChannelSpec, ...] = (
    ChannelSpec(0, "control", ChannelKind.CONTROL, QosClass.CONTROL, "commands up, their life down"),
    ChannelSpec(1, "telemetry", ChannelKind.TELEMETRY, QosClass.TELEMETRY, "telemetry by budget"),
    ChannelSpec(2, "events", ChannelKind.TELEMETRY, QosClass.TELEMETRY, "events of the craft"),
    ChannelSpec(3, "files", ChannelKind.BULK, QosClass.BULK, "files, both ways (CFDP)"),
    ChannelSpec(4, "science", ChannelKind.SCIENCE, QosClass.SCIENCE, "science data"),
    ChannelSpec(5, "service", ChannelKind.SERVICE, QosClass.TELEMETRY, "time, parameters, renewal of keys"),
    ChannelSpec(6, "shell", ChannelKind.SERVICE, QosClass.TELEMETRY, "lines of the debug shell"),
    ChannelSpec(7, "bundles", ChannelKind.BULK, QosClass.BULK, "bundles for others, opened by nobody on the way"),
    ChannelSpec(31, "nbl", ChannelKind.NBL, QosClass.CONTROL, "emergency packets"),
)
"""Channels that every link has."""
NBL_CHANNEL = 31
FIRST_CREATED, LAST_CREATED = 8, 30
"""Ids that ``create_channel`` gives out."""


def channel_named(name: str) -> ChannelSpec:
    """A channel of the plan. KeyError for a name that it doesn't have."""
    for spec in PLAN:
        if spec.name == name:
            return spec
    raise KeyError(f"no channel {name!r}; channels: {', '.join(spec.name for spec in PLAN)}")
