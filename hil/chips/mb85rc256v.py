"""Plays an MB85RC256V: 32 KiB that keep every acknowledged byte at once, through a power cut at any byte.

Facts: Fujitsu DS501-00017 (MB85RC256V), "Command": two address bytes, the highest bit of the first is not used; a write
or a read that runs past 7FFFh goes on at 0000h; a read without an address goes on where the last access ended; no
polling after a write. With WP high nothing is written.

Not played: the device identity at the reserved slave address F8h/F9h.
"""

from __future__ import annotations

__all__ = ["SIZE", "Mb85rc256v"]

SIZE = 32768
_MASK = SIZE - 1
_IDLE = 0xFF


class Mb85rc256v:
    """An MB85RC256V, zeroed as delivered here.

    Attributes:
        memory: the cells, which survive ``reset``.
        write_protected: level of the WP pin.
        dies_after: data bytes that are still stored before the supply fails, ``None`` for a good supply. The byte that
            finds it at 0 is lost and not acknowledged, and from then on nothing answers until ``reset``.
        powered: whether the supply is there.
        written: data bytes stored since the chip was made.
    """

    def __init__(self) -> None:
        self.memory = bytearray(SIZE)
        self.write_protected = False
        self.dies_after: int | None = None
        self.written = 0
        self.reset()

    def reset(self) -> None:
        """Power comes (back): the cells hold what was stored, the address counter starts at 0, the supply is good."""
        self.powered = True
        self.dies_after = None
        self._pointer = 0

    def upset(self, address: int, bit: int) -> None:
        """Flip one bit of one cell, as radiation does."""
        self.memory[address] ^= 1 << bit

    def write(self, data: bytes) -> bool:
        """Two address bytes, then data to store. False when a byte isn't acknowledged because the supply failed.

        A write that ends within the address leaves the address counter as it was.
        """
        if not self.powered:
            return False
        if len(data) < 2:
            return True
        self._pointer = (data[0] << 8 | data[1]) & _MASK
        payload = data[2:]
        if self.dies_after is not None:
            stored = payload[: self.dies_after]
            self._store(stored)
            self.dies_after -= len(stored)
            if len(stored) < len(payload):
                self.powered = False
                return False
        else:
            self._store(payload)
        return True

    def read(self, count: int) -> bytes:
        """The next ``count`` cells; ones without a supply."""
        if not self.powered:
            return bytes((_IDLE,)) * count
        start = self._pointer
        self._pointer = (start + count) & _MASK
        if start + count <= SIZE:
            return bytes(self.memory[start : start + count])
        return bytes(self.memory[(start + i) & _MASK] for i in range(count))

    def _store(self, payload: bytes) -> None:
        start, count = self._pointer, len(payload)
        self._pointer = (start + count) & _MASK
        if self.write_protected:
            return
        self.written += count
        if start + count <= SIZE:
            self.memory[start : start + count] = payload
        else:
            for offset, byte in enumerate(payload):
                self.memory[(start + offset) & _MASK] = byte
