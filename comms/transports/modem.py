"""Profiles of modems, as data: what a line can do, what it costs, what it radiates. A profile that loads can be opened.

``board_configs/modems.yaml`` has those that come with the project; a file of your own has the same schema. Unknown keys
are refused with file, line and path, as in every configuration file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from comms.emcon import Transmitter
from comms.transports.can_line import can_bytes
from comms.transports.paced import plain_bytes
from comms.transports.pacer import HalfDuplex, Pacer
from comms.transports.serial_frame import framed_bytes
from hal.profile.loader import Lines, check_finite, load_yaml

__all__ = ["CanIds", "ModemFile", "ModemProfile", "Timing", "line_bytes", "load_modems", "make_pacer", "shipped_modems"]

MS = 1_000_000
UDP_MOST = 65_507
TTY_BUFFER_BYTES = 4096
Kind = Literal["serial", "udp", "can", "pty"]
Framing = Literal["none", "cobs", "isotp"]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]
Watts = Annotated[float, Meta(ge=0.0, le=1000.0)]
Milliseconds = Annotated[float, Meta(ge=0.0, le=600_000.0)]


class Timing(Struct, frozen=True, forbid_unknown_fields=True):
    """Manners of a half-duplex modem: quiet after hearing, longest talk (0: no bound), pause after it."""

    turnaround_ms: Milliseconds = 0.0
    talk_ms: Milliseconds = 0.0
    listen_ms: Milliseconds = 0.0


class CanIds(Struct, frozen=True, forbid_unknown_fields=True):
    """Identifiers of the two ways over CAN, as the craft sees them up and down."""

    up: Annotated[int, Meta(ge=0, le=0x1FFF_FFFF)]
    down: Annotated[int, Meta(ge=0, le=0x1FFF_FFFF)]
    extended: bool = False


class ModemProfile(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of line.

    Attributes:
        kind: how it is reached.
        text: what it is, for people.
        bit_rate: bits a second that go on the line, framing included.
        mtu: longest record, bytes.
        framing: what keeps records apart: ``cobs`` on a stream, ``isotp`` on CAN, ``none`` where the line does it.
        device: default device: a node, ``address:port`` of the peer, a CAN device string; asked for if not given.
        baud: of a serial port.
        air_overhead_bytes: what the modem itself adds to each record on the air; ``None``: nothing beyond ``framing``.
        half_duplex: manners of a modem that can't hear while it talks.
        duty_pct: air time allowed in any hour, percent; ``None`` for no limit.
        transmitter: what bytes leave through, where emission is controlled. A cable and a bridge radiate nothing.
        transmit_w: drawn while it sends, W.
        idle_w: drawn while it listens, W.
        slot_bytes: a record takes the air time of so many bytes, however short it is; ``None``: that of its own.
        can: identifiers.
        st_min_ms: separation time that is asked of the peer over ISO-TP.
    """

    kind: Kind
    text: Annotated[str, Meta(min_length=1, max_length=120)]
    bit_rate: Annotated[float, Meta(gt=0.0, le=1e10)]
    mtu: Annotated[int, Meta(ge=24, le=UDP_MOST)]
    transmitter: Transmitter
    framing: Framing = "none"
    device: str | None = None
    baud: Annotated[int, Meta(ge=50, le=12_000_000)] | None = None
    air_overhead_bytes: Annotated[int, Meta(ge=0, le=512)] | None = None
    half_duplex: Timing | None = None
    duty_pct: Annotated[float, Meta(gt=0.0, le=100.0)] | None = None
    transmit_w: Watts = 0.0
    idle_w: Watts = 0.0
    slot_bytes: Annotated[int, Meta(ge=24, le=UDP_MOST)] | None = None
    can: CanIds | None = None
    st_min_ms: Annotated[int, Meta(ge=0, le=127)] = 0

    @property
    def joules_per_byte(self) -> float:
        """Energy of the transmitter for a byte on the line, J."""
        return self.transmit_w * 8.0 / self.bit_rate


class ModemFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A file of profiles."""

    schema_version: Literal[1]
    modems: dict[Name, ModemProfile]


def load_modems(path: Path | None = None) -> Mapping[str, ModemProfile]:
    """The profiles of a file by name; of the one that comes with the project if none is given.

    Raises:
        ConfigError: file, line, key and what is allowed.
    """
    file, lines = load_yaml(path or shipped_modems(), ModemFile)
    check_finite(file, lines)
    if not file.modems:
        raise lines.error(["modems"], "at least one modem is needed")
    for name, profile in file.modems.items():
        _check(name, profile, lines)
    return file.modems


def shipped_modems() -> Path:
    """The file of profiles that comes with the project."""
    return Path(str(resources.files("board_configs") / "modems.yaml"))


def line_bytes(profile: ModemProfile) -> Callable[[int], int]:
    """How many bytes a record of so many bytes takes on the line, at most."""
    if profile.slot_bytes is not None:
        return partial(_slot, profile.slot_bytes + (profile.air_overhead_bytes or 0))
    if profile.air_overhead_bytes is not None:
        return partial(_added, profile.air_overhead_bytes)
    return {"cobs": framed_bytes, "isotp": can_bytes, "none": plain_bytes}[profile.framing]


def make_pacer(profile: ModemProfile) -> Pacer:
    """The pace of a line of this profile. ValueError if its duty limit doesn't let one record through."""
    timing = profile.half_duplex
    manners = None
    if timing is not None:
        manners = HalfDuplex(round(timing.turnaround_ms * MS), round(timing.talk_ms * MS),
                             round(timing.listen_ms * MS))
    duty = None if profile.duty_pct is None else profile.duty_pct / 100.0
    return Pacer(profile.bit_rate, line_bytes(profile)(profile.mtu), half_duplex=manners, duty=duty)


def _slot(slot_bytes: int, length: int) -> int:  # noqa: ARG001 - a slot takes its time whatever is in it
    return slot_bytes


def _added(overhead: int, length: int) -> int:
    return length + overhead


def _check(name: str, profile: ModemProfile, lines: Lines) -> None:
    """What the schema can't say. Raises ConfigError."""
    at: list[str | int] = ["modems", name]
    wanted: dict[str, tuple[str, ...]] = {
        "serial": ("cobs", "none"), "pty": ("cobs",), "udp": ("none",), "can": ("isotp",),
    }
    if profile.framing not in wanted[profile.kind]:
        allowed = ", ".join(wanted[profile.kind])
        raise lines.error([*at, "framing"], f"{profile.framing} on {profile.kind}; allowed: {allowed}")
    if profile.kind == "serial" and profile.baud is None:
        raise lines.error([*at, "baud"], "a serial line needs its baud rate")
    if profile.kind != "serial" and profile.baud is not None:
        raise lines.error([*at, "baud"], f"a line of kind {profile.kind} has no baud rate")
    if (profile.kind == "can") != (profile.can is not None):
        raise lines.error([*at, "can"], "a CAN line, and only that, has identifiers up and down")
    if profile.can is not None:
        _check_ids(profile.can, [*at, "can"], lines)
    if profile.kind in ("serial", "pty") and line_bytes(profile)(profile.mtu) > TTY_BUFFER_BYTES:
        raise lines.error([*at, "mtu"], f"{profile.mtu} with framing is more than a port holds ({TTY_BUFFER_BYTES})")
    if profile.slot_bytes is not None and profile.mtu > profile.slot_bytes:
        raise lines.error([*at, "mtu"], f"{profile.mtu} is more than the slot of {profile.slot_bytes} bytes")
    if profile.transmitter in (Transmitter.CABLE, Transmitter.BRIDGE) and profile.transmit_w:
        raise lines.error([*at, "transmit_w"], "a line that radiates nothing has no transmitting power")
    try:
        pacer = make_pacer(profile)
    except ValueError as error:
        raise lines.error([*at, "duty_pct"], str(error)) from None
    timing = profile.half_duplex
    longest_ms = pacer.duration_ns(line_bytes(profile)(profile.mtu)) / MS
    if timing is not None and 0.0 < timing.talk_ms < longest_ms:
        raise lines.error([*at, "half_duplex", "talk_ms"],
                          f"{timing.talk_ms:g} ms; the longest record takes {longest_ms:.0f} ms")


def _check_ids(ids: CanIds, at: list[str | int], lines: Lines) -> None:
    if ids.up == ids.down:
        raise lines.error([*at, "down"], "the two ways need different identifiers")
    if not ids.extended and max(ids.up, ids.down) > 0x7FF:
        raise lines.error([*at, "extended"], "identifiers above 7FFh are extended ones: set it to true")
