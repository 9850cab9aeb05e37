"""The twin of one bus of a board, with nothing on it yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hal.profile import BoardConfig, BusConfig
from hil.bus.gpio import SimGpioBus
from hil.bus.i2c import SimI2cBus
from hil.bus.serial import SimSerialBus
from hil.bus.spi import SimSpiBus
from hil.can import SimCanBus

__all__ = ["bus_twin"]


def bus_twin(
    name: str, config: BusConfig, board: BoardConfig, now_ns: Callable[[], int], rng: np.random.Generator
) -> Any:
    """A bus of the kind that ``config`` says; lines of the board idle as they do before the flight software starts."""
    if config.kind == "i2c":
        return SimI2cBus(name, rng, clearable=config.recovery is not None and config.recovery.scl_line is not None)
    if config.kind == "spi":
        return SimSpiBus(name, rng)
    if config.kind == "serial":
        return SimSerialBus(name, rng)
    if config.kind == "can":
        return SimCanBus(name, rng)
    lines = dict.fromkeys((board.lines.valve_arm, board.lines.valve_enable, board.lines.watchdog_kick), False)
    for other in board.buses.values():
        if other.recovery is not None and other.recovery.mux_reset_line is not None:
            lines[other.recovery.mux_reset_line] = True
    return SimGpioBus(name, lines, now_ns, rng)
