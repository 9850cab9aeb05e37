"""Makes the side of each bus that a plan plays, by the kind of bus and the place it is played on.

A further place (nodes of a kernel, another adapter) is a further ``Side`` and a line in :func:`make_side`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from drivers.bus.can_open import open_can
from drivers.bus.remote_end import endpoint_of
from drivers.bus.serial_port import SerialPort
from hal.profile import BusConfig
from hil.serve.busim_side import BusimSide, shared_node
from hil.serve.can_side import CanSide
from hil.serve.gpio_side import GpioSimSide
from hil.serve.plan import Play
from hil.serve.serial_side import Line, SerialSide
from hil.serve.side import Side
from hil.serve.socket_side import SocketSide

__all__ = ["make_side"]

BAUD = 115_200


def make_side(
    play: Play, config: BusConfig, twin: Any, open_terminal: Callable[[str], Line], now_ns: Callable[[], int],
    on_contact: Callable[[], None],
) -> Side:
    """The side of one bus, not yet opened.

    Args:
        play: what is played where.
        config: the bus in the board description.
        twin: the bus with its chips.
        open_terminal: opens a pseudo-terminal for a bus of that name.
        now_ns: the machine's steady clock.
        on_contact: called when a program has come to a socket.

    Raises:
        ValueError: a place that can't be one.
    """
    name, kind, on, reach = play
    if kind == "can":
        return CanSide(name, twin, lambda: open_can(name, on, config.speed_hz, config.timeout_ms), reach)
    if kind == "serial":
        if reach == on:
            return SerialSide(name, twin, lambda: open_terminal(name), Path(on))
        baud = config.speed_hz or BAUD
        return SerialSide(name, twin, lambda: SerialPort(name, on, baud, config.timeout_ms, now_ns), None)
    if on.startswith("busim:"):
        return BusimSide(name, kind, twin, int(on.removeprefix("busim:")), reach, shared_node())
    if on.startswith("gpio-sim:"):
        return GpioSimSide(name, twin, on.removeprefix("gpio-sim:"), reach)
    endpoint = endpoint_of(on, config.timeout_ms)
    return SocketSide(name, kind, twin, Path(endpoint.path), endpoint.patience_ms, on_contact)
