"""Opens the CAN bus that a device string of the board description names, or says what is missing and what to do.

==============================================  ====================================================================
device                                          bus
==============================================  ====================================================================
``can0``                                        SocketCAN interface (drivers/bus/can_socket.py)
``udp://239.74.163.2:43113``                    UDP multicast on the loopback (drivers/bus/can_udp.py)
``udp://239.74.163.2:43113?interface=ADDRESS``  the same through the interface with that address; 0.0.0.0: default route
``virtual://channel``                           python-can's bus inside one process (drivers/bus/can_python.py)
``INTERFACE:CHANNEL``                           any other interface of python-can, such as ``pcan:PCAN_USBBUS1``
==============================================  ====================================================================
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qs, urlsplit

from drivers.bus.can_python import PythonCanBus
from drivers.bus.can_socket import SocketCanBus
from drivers.bus.can_udp import LOOPBACK, UdpCanBus
from drivers.bus.counted import load_library
from drivers.bus.protocol import CanBus
from drivers.errors import Cause, DeviceError

__all__ = ["open_can"]

UDP_PORT = 43113
"""python-can's default."""


def open_can(
    name: str, device: str, speed_hz: int | None, timeout_ms: int, filters: Collection[int] | None = None
) -> CanBus:
    """Open one CAN bus.

    Args:
        name: of the bus in the board description.
        device: what to open, see the module's table.
        speed_hz: bit rate. SocketCAN takes it from ``ip link``; the others that have one are set to it.
        timeout_ms: time-out of the bus, ms.
        filters: 11-bit ids to receive; ``None`` for every frame.

    Raises:
        ValueError: a device string that names no bus.
        DeviceError: ABSENT (no such interface, or a library is missing), PERMISSION, PROTOCOL.
    """
    scheme, separator, rest = device.partition("://")
    if separator:
        if scheme == "udp":
            return _open_udp(name, device, timeout_ms, filters)
        if scheme == "virtual" and rest:
            return _open_python(name, "virtual", rest, speed_hz, timeout_ms, filters)
        raise ValueError(f"{name}: {device} is no CAN bus; there are udp:// and virtual://")
    interface, separator, channel = device.partition(":")
    if separator:
        if not interface or not channel:
            raise ValueError(f"{name}: {device} is no interface:channel")
        return _open_python(name, interface, channel, speed_hz, timeout_ms, filters)
    if not interface or "/" in interface:
        raise ValueError(f"{name}: {device!r} is no network interface such as can0")
    return SocketCanBus(name, interface, timeout_ms, filters=filters, speed_hz=speed_hz)


def _open_udp(name: str, device: str, timeout_ms: int, filters: Collection[int] | None) -> UdpCanBus:
    parts = urlsplit(device)
    options = parse_qs(parts.query, strict_parsing=bool(parts.query))
    interface = options.pop("interface", [LOOPBACK])
    if options or len(interface) != 1 or parts.path or not parts.hostname:
        raise ValueError(f"{name}: {device} is no udp://GROUP:PORT[?interface=ADDRESS]")
    port = UDP_PORT if parts.port is None else parts.port
    return UdpCanBus(name, parts.hostname, port, timeout_ms, interface=interface[0], filters=filters)


def _open_python(
    name: str, interface: str, channel: str, speed_hz: int | None, timeout_ms: int, filters: Collection[int] | None
) -> PythonCanBus:
    library = load_library(name, "can", "python-can")
    arguments: dict[str, Any] = {"interface": interface, "channel": channel}
    if speed_hz is not None and interface != "virtual":
        arguments["bitrate"] = speed_hz
    try:
        bus = library.Bus(**arguments)
    except library.CanInterfaceNotImplementedError as error:
        why = f"python-can has no interface {interface} here: {error}"
        raise DeviceError(name, None, Cause.ABSENT, why) from None
    except (library.CanError, OSError) as error:
        denied = isinstance(error, PermissionError)
        why = f"{interface}:{channel} can't be opened: {error}"
        raise DeviceError(name, None, Cause.PERMISSION if denied else Cause.ABSENT, why) from None
    return PythonCanBus(name, bus, timeout_ms, filters=filters)
