"""The simulator's side of ``modules/busim.c``: every transfer on the kernel's I2C and SPI cores is answered here.

It runs in a process of its own, because py-spidev keeps the interpreter's lock during a transfer. Chips are the rig's
twins or anything of their shape; faults are set from the other process through shared memory.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import struct
import time
from collections.abc import Mapping
from typing import Self

from hil.bus.i2c import I2cChip
from hil.bus.spi import SpiChip

__all__ = ["Simulator"]

NODE = "/dev/busim"
I2C, READ = 1, 1
_REQUEST, _SEGMENT, _ANSWER = struct.Struct("<IBBHI"), struct.Struct("<HHIIBBH"), struct.Struct("<Ii")
_LONGEST = 1 << 18


class Simulator:
    """Chips behind bus 0 of either kind. Context manager; the process ends with it.

    Attributes (shared with the process):
        refusal: error number to answer every transfer with; 0 for none.
        delay_ms: wait before answering.
        transfers: how many were asked for.
        mode, hz: clock mode and rate of the last SPI transfer, as the kernel asked for them.
    """

    def __init__(self, i2c: Mapping[int, I2cChip], spi: Mapping[int, SpiChip]) -> None:
        context = multiprocessing.get_context("fork")
        self._i2c, self._spi = i2c, spi
        self.refusal = context.Value("i", 0, lock=False)
        self.delay_ms = context.Value("i", 0, lock=False)
        self.transfers = context.Value("i", 0, lock=False)
        self.mode = context.Value("i", -1, lock=False)
        self.hz = context.Value("i", -1, lock=False)
        self._ready = context.Event()
        self._process = context.Process(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        if not self._ready.wait(10.0):
            raise RuntimeError("the simulator did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def _serve(self) -> None:
        node = os.open(NODE, os.O_RDWR)
        self._ready.set()
        while True:
            request = os.read(node, _LONGEST)
            number, kind, _, segments, _ = _REQUEST.unpack_from(request)
            self.transfers.value += 1
            if self.delay_ms.value:
                time.sleep(self.delay_ms.value / 1000.0)
            result, answer = -self.refusal.value, b""
            if not result:
                try:
                    answer = self._transfer(kind, segments, request)
                except OSError as error:
                    result = -(error.errno or errno.EIO)
            try:
                os.write(node, _ANSWER.pack(number, result) + answer)
            except OSError as error:
                if error.errno != errno.ESTALE:  # the bus gave up waiting
                    raise

    def _transfer(self, kind: int, segments: int, request: bytes) -> bytes:
        offset, answer = _REQUEST.size, bytearray()
        for _ in range(segments):
            where, flags, length, hz, _, _, mode = _SEGMENT.unpack_from(request, offset)
            offset += _SEGMENT.size
            if kind == I2C:
                chip = self._i2c.get(where)
                if chip is None:
                    raise OSError(errno.ENXIO, "no such address")
                if flags & READ:
                    answer += chip.read(length)
                    continue
                if not chip.write(request[offset:offset + length]):
                    raise OSError(errno.EIO, "a data byte was not acknowledged")
                offset += length
            else:
                # Flags: 1 there are bytes to send, 2 the answer is wanted.
                sent = request[offset:offset + length] if flags & 1 else bytes(length)
                offset += length if flags & 1 else 0
                self.mode.value, self.hz.value = mode & 3, hz
                device = self._spi.get(where)
                received = device.transfer(sent) if device is not None else b"\xff" * length
                answer += received if flags & 2 else b""
        return bytes(answer)
