"""Plays a TMP423: one local and three remote temperatures of 12 bits, with the diode faults of its data sheet.

Facts: Texas Instruments SBOS398 (TMP421/422/423): 00h-03h high and 10h-13h low bytes, local first; 08h status, 09h
configuration 1 (RANGE bit 2, shutdown bit 6), 0Ah configuration 2 (7Ch: all channels, resistance correction), 0Bh rate
(07h), 0Fh one-shot, 21h-23h ideality, FCh reset, FEh 55h, FFh 23h. Table 1: RANGE adds 64 deg C; -64 deg C is the
lowest code. An open diode sets OPEN, bit 0 of the low byte, and the other bits mean nothing; a shorted one reads
-64 deg C ("Sensor fault"). Two bytes read from 00h-03h are high and low byte.

Conversions take no time; a channel that is switched off keeps its last value. Ideality is kept, not applied.
"""

from __future__ import annotations

__all__ = ["Tmp423"]

CHANNELS = 4

_LOW_BYTES = 0x10
_CONFIG_1 = 0x09
_CONFIG_2 = 0x0A
_RATE = 0x0B
_ONE_SHOT = 0x0F
_RESET = 0xFC
_MANUFACTURER = 0xFE
_DEVICE = 0xFF

_RESET_VALUES = {_CONFIG_1: 0x00, _CONFIG_2: 0x7C, _RATE: 0x07, 0x21: 0x00, 0x22: 0x00, 0x23: 0x00}
_MASKS = {_CONFIG_1: 0x44, _CONFIG_2: 0x7C, _RATE: 0x07}
_RANGE = 1 << 2
_SHUTDOWN = 1 << 6
_LOCAL_ENABLED = 1 << 3
_OPEN = 1
_FULL_SCALE = 0x7FF0
_IDLE = 0xFF


class Tmp423:
    """A TMP423.

    ``celsius`` holds the four temperatures, local first; ``open_diode`` and ``shorted_diode`` the state of the remote
    diodes (element 0 is not used). The rig sets their elements whenever it likes.
    """

    def __init__(self) -> None:
        """A chip after power-on, at 25 deg C everywhere."""
        self.celsius = [25.0] * CHANNELS
        self.open_diode = [False] * CHANNELS
        self.shorted_diode = [False] * CHANNELS
        self.reset()

    def reset(self) -> None:
        """Power-on, brown-out or a write to FCh: registers at their reset values."""
        self._registers = dict(_RESET_VALUES)
        self._pointer = 0
        self._held = [0] * CHANNELS

    def set_celsius(self, channel: int, celsius: float) -> None:
        """Temperature of one channel, 0 the local one."""
        self.celsius[channel] = celsius

    def write(self, data: bytes) -> bool:
        """Pointer, then one register."""
        if data:
            self._pointer = data[0]
        if len(data) >= 2:
            self._store(data[0], data[1])
        return True

    def read(self, count: int) -> bytes:
        """The register under the pointer; its low byte after a high byte; ones after that."""
        pointer = self._pointer
        if pointer < CHANNELS:
            answer = self._word(pointer).to_bytes(2, "big")
        else:
            answer = bytes((self._load(pointer),))
        return answer[:count].ljust(count, bytes((_IDLE,)))

    def _store(self, register: int, value: int) -> None:
        if register == _RESET:
            self.reset()
        elif register == _ONE_SHOT:
            if self._registers[_CONFIG_1] & _SHUTDOWN:
                self._held = [self._convert(i) if self._enabled(i) else self._held[i] for i in range(CHANNELS)]
        elif register in self._registers:
            if register in (_CONFIG_1, _CONFIG_2):
                self._held = [self._word(i) for i in range(CHANNELS)]
            self._registers[register] = value & _MASKS.get(register, 0xFF)

    def _load(self, register: int) -> int:
        # Status, 08h: BUSY never shows, conversions take no time.
        if register in self._registers:
            return self._registers[register]
        if _LOW_BYTES <= register < _LOW_BYTES + CHANNELS:
            return self._word(register - _LOW_BYTES) & 0xFF
        if register == _MANUFACTURER:
            return 0x55
        if register == _DEVICE:
            return 0x23
        return 0

    def _enabled(self, channel: int) -> bool:
        return bool(self._registers[_CONFIG_2] & _LOCAL_ENABLED << channel)

    def _word(self, channel: int) -> int:
        if self._registers[_CONFIG_1] & _SHUTDOWN or not self._enabled(channel):
            return self._held[channel]
        return self._convert(channel)

    def _convert(self, channel: int) -> int:
        if channel and self.open_diode[channel]:
            return _FULL_SCALE | _OPEN
        celsius = -64.0 if channel and self.shorted_diode[channel] else self.celsius[channel]
        sixteenths = round(celsius * 16.0)
        if self._registers[_CONFIG_1] & _RANGE:
            return max(0, min(0xFFF, sixteenths + 64 * 16)) << 4
        return (max(-64 * 16, min(0x7FF, sixteenths)) & 0xFFF) << 4
