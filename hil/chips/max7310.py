"""Plays a MAX7310 port expander: eight pins with direction and polarity, read without a fight between drivers.

Facts: Maxim 19-2698 (MAX7310), "Register Address/Command Byte": 00h input port, read only; 01h output port, 00h after
reset; 02h polarity inversion of the input port, F0h; 03h configuration, 1 is an input, FFh; 04h bus time-out, bit 0,
01h. I/O0 drives low only (open drain); the other outputs drive both ways. A command byte stays until the next; every
further byte of a write goes to, and every byte of a read comes from, the same register. Registers above 04h are
reserved.

The input port shows the levels at the pins, whatever drives them: an output's own level, on other pins the level that
the rig puts there. Not played: the bus time-out itself and the /RESET pin, which is :meth:`Max7310.reset`.
"""

from __future__ import annotations

__all__ = ["Max7310"]

_INPUT = 0x00
_OUTPUT = 0x01
_POLARITY = 0x02
_DIRECTION = 0x03
_TIMEOUT = 0x04
_OPEN_DRAIN = 0x01


class Max7310:
    """A MAX7310.

    Attributes:
        external: mask of levels that the world puts on the pins; open pins are whatever their pull resistors say.
        stuck: pins that do not follow their own driver (a broken bond), and stay at the world's level.
    """

    def __init__(self, external: int = 0xFF) -> None:
        """A chip after power-on, with ``external`` on its pins."""
        self.external = external
        self.stuck = 0
        self.reset()

    def reset(self) -> None:
        """Power-on, brown-out or /RESET: all pins are inputs, the upper four inverted."""
        self._registers = [0, 0x00, 0xF0, 0xFF, 0x01]
        self._pointer = _INPUT

    def set_external(self, pin: int, level: bool) -> None:
        """Level that the world puts on one pin, 0..7. Raises ValueError for another pin."""
        if not 0 <= pin <= 7:
            raise ValueError(f"pin is {pin}; 0..7 is allowed")
        self.external = self.external | 1 << pin if level else self.external & ~(1 << pin)

    @property
    def driven(self) -> int:
        """Mask of the pins that the chip drives now."""
        driven = ~self._registers[_DIRECTION] & 0xFF
        if self._registers[_OUTPUT] & _OPEN_DRAIN:
            driven &= ~_OPEN_DRAIN
        return driven & ~self.stuck

    @property
    def levels(self) -> int:
        """Mask of the levels at the pins."""
        driven = self.driven
        return (self._registers[_OUTPUT] & driven | self.external & ~driven) & 0xFF

    def write(self, data: bytes) -> bool:
        """Command byte, then any number of bytes to its register."""
        if data:
            self._pointer = data[0]
        if len(data) > 1 and _OUTPUT <= self._pointer <= _TIMEOUT:
            self._registers[self._pointer] = data[-1] & (0x01 if self._pointer == _TIMEOUT else 0xFF)
        return True

    def read(self, count: int) -> bytes:
        """The register of the last command byte, as often as it is clocked; ones for a reserved one."""
        pointer = self._pointer
        if pointer == _INPUT:
            value = self.levels ^ self._registers[_POLARITY]
        elif pointer <= _TIMEOUT:
            value = self._registers[pointer]
        else:
            value = 0xFF
        return bytes((value,)) * count
