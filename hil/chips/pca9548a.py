"""Plays a PCA9548A: eight downstream segments of an I2C bus, each joined only while its bit is set.

Facts: NXP PCA9548A rev. 5.1, section 7.2 (one control register, no pointer; bit n joins channel n; 00h after
power-on or RESET) and 7.3.
"""

from __future__ import annotations

from collections.abc import Callable

from hil.bus.i2c import I2cChip

__all__ = ["Pca9548a"]

CHANNELS = 8


class Pca9548a:
    """An eight-channel I2C switch.

    Any number of channels may be open at once. The same address may live on several channels; the bus refuses it
    only while two of those are open. ``enabled`` is the control register.
    """

    def __init__(self) -> None:
        self.segments: tuple[dict[int, I2cChip], ...] = tuple({} for _ in range(CHANNELS))
        self.enabled = 0
        self._changed: Callable[[], None] | None = None

    def attach(self, channel: int, address: int, chip: I2cChip) -> None:
        """Put a chip on a channel. Raises ValueError for a taken or reserved address, there or before the switch."""
        if not 0 <= channel < CHANNELS:
            raise ValueError(f"channel {channel}; 0..{CHANNELS - 1} is allowed")
        if not 0x08 <= address <= 0x77:
            raise ValueError(f"0x{address:02x} is reserved; 0x08..0x77 is allowed")
        segment = self.segments[channel]
        if address in segment:
            raise ValueError(f"channel {channel}: 0x{address:02x} is already taken")
        segment[address] = chip
        try:
            self._notify()
        except ValueError:
            del segment[address]
            self._notify()
            raise

    def on_routing(self, changed: Callable[[], None]) -> None:
        """Take the function to call whenever the joined segments change. The bus does this."""
        self._changed = changed

    def reset(self) -> None:
        """Power-on, or a low pulse on the RESET pin: every channel closed."""
        self._select(0)

    def write(self, data: bytes) -> bool:
        """Control bytes; the last one written holds."""
        if data:
            self._select(data[-1])
        return True

    def read(self, count: int) -> bytes:
        """The control register, repeated."""
        return bytes((self.enabled,)) * count

    def _select(self, mask: int) -> None:
        if mask != self.enabled:
            self.enabled = mask
            self._notify()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed()
