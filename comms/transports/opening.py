"""Opens the line that a modem profile describes, or says what is missing and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comms.transports.can_line import CanTransport
from comms.transports.isotp import IsoTpConfig
from comms.transports.memory import MemoryTransport, Pipe
from comms.transports.modem import ModemProfile, line_bytes, make_pacer
from comms.transports.paced import PacedTransport
from comms.transports.pty_line import PtyPort
from comms.transports.serial_line import SerialTransport
from comms.transports.udp import UdpTransport
from drivers.bus.can_open import open_can
from drivers.bus.protocol import CanBus, SerialBus
from drivers.bus.serial_port import SerialPort
from drivers.errors import Cause, DeviceError

__all__ = ["ABOARD", "ON_GROUND", "open_over_pipe", "open_transport"]

ABOARD, ON_GROUND = "craft", "ground"
"""Sides of a line."""
WRITE_MS = 20
"""Deadline of a write. The pacer keeps the port's buffer from filling, so it is hardly ever met."""
ANY_PORT = "0.0.0.0:0"


def open_transport(
    name: str, profile: ModemProfile, side: str, now_ns: Callable[[], int], *, device: str | None = None,
    bind: str | None = None, bus: Any = None,
) -> PacedTransport:
    """Open one line.

    Args:
        name: for people and events.
        profile: of the modem.
        side: ``craft`` or ``ground``; CAN identifiers are turned round on the ground.
        now_ns: monotonic clock, for the deadline of the serial port's writes.
        device: instead of the profile's: node, ``address:port`` of the peer, or CAN device string.
        bind: own address and port over UDP; any port if not given.
        bus: an open SerialBus or CanBus to be used, simulated ones above all.

    Raises:
        ValueError: a side, device or address that is none, or a device is needed and neither gives one.
        DeviceError: the device can't be opened: ABSENT, PERMISSION, PROTOCOL.
    """
    if side not in (ABOARD, ON_GROUND):
        raise ValueError(f"{name}: side {side!r}; {ABOARD} or {ON_GROUND} is allowed")
    target = device if device is not None else profile.device
    if profile.kind == "udp":
        line: PacedTransport = UdpTransport(name, bind or ANY_PORT, peer=target or "", mtu=profile.mtu,
                                            pacer=make_pacer(profile))
    elif profile.kind == "can":
        line = _open_can(name, profile, side, bus, target)
    else:
        line = _open_serial(name, profile, bus, target, now_ns)
    return _as_profiled(line, profile)


def open_over_pipe(name: str, profile: ModemProfile, pipe: Pipe, side: int) -> PacedTransport:
    """A line of this profile's pace, size and manners through a pipe, such as a simulated line: for rig and tests."""
    line = MemoryTransport(name, pipe, side, mtu=profile.mtu, pacer=make_pacer(profile))
    return _as_profiled(line, profile)


def _open_serial(
    name: str, profile: ModemProfile, bus: SerialBus | None, target: str | None, now_ns: Callable[[], int]
) -> SerialTransport:
    port: SerialBus
    if bus is not None:
        port = bus
    elif profile.kind == "pty" and target is None:
        port = PtyPort(name)
    else:
        if target is None:
            raise ValueError(f"{name}: give the device of the serial port, such as /dev/serial/by-id/...")
        port = SerialPort(name, target, profile.baud or 115_200, WRITE_MS, now_ns)
    return SerialTransport(name, port, mtu=profile.mtu, pacer=make_pacer(profile), framed=profile.framing == "cobs")


def _open_can(name: str, profile: ModemProfile, side: str, bus: CanBus | None, target: str | None) -> CanTransport:
    ids = profile.can
    if ids is None:
        raise DeviceError(name, None, Cause.PROTOCOL, "the profile has no CAN identifiers")
    tx_id, rx_id = (ids.down, ids.up) if side == ABOARD else (ids.up, ids.down)
    if bus is None:
        if target is None:
            raise ValueError(f"{name}: give the CAN device, such as can0 or udp://239.74.163.2:43113")
        bus = open_can(name, target, None, WRITE_MS, None if ids.extended else [rx_id])
    return CanTransport(name, bus, tx_id, rx_id, pacer=make_pacer(profile), extended=ids.extended, mtu=profile.mtu,
                        config=IsoTpConfig(st_min=profile.st_min_ms))


def _as_profiled(line: PacedTransport, profile: ModemProfile) -> PacedTransport:
    """Count what a record takes on the line as the profile says, which may be more than the transport's framing."""
    line.line_bytes = line_bytes(profile)
    return line
