"""Plays a Victron BlueSolar MPPT charger on VE.Direct: text blocks that sum to 0, HEX answers that sum to 55h.

Facts: Victron "VE.Direct Protocol" (text mode: fields CR LF label TAB value, last field Checksum, the sum of all bytes
of a block is 0 modulo 256; 19200 baud; a block each second; field units), Victron "BlueSolar HEX protocol" (frame
``:`` command nibble, bytes as upper-case hexadecimal, check byte that brings the sum to 55h, LF; ids and values least
significant byte first; commands 1 ping, 3 version, 4 product, 6 restart, 7 get, 8 set, A asynchronous; answers 1 done,
3 unknown command, 4 frame error with AAAAh, 5 ping; flags 01h unknown id, 02h not supported, 04h parameter error), and
the protocol's FAQ (HEX frames are not part of a block's sum).

Firmware before 1.53 puts HEX frames into the middle of a text block and holds text back while it is being asked; from
1.53 on an answer waits for the end of the block ("BlueSolar HEX protocol", change list). How long the old firmware is
silent is not written; a second is played. The line is as slow as the real one: 1920 bytes a second.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, unique

__all__ = ["ChargerState", "Tracker", "VeDirect", "hex_frame"]

_SECOND_NS = 1_000_000_000
_BYTES_PER_S = 1920
_HEX_QUIET_NS = 1_000_000_000
_SETTLED_FIRMWARE = 153
_LONGEST_FRAME = 128
_LONGEST_LINE = 1024  # bytes waiting; what comes on top is lost
_JOULES_PER_COUNT = 36_000.0  # 0.01 kWh

_PING, _VERSION, _PRODUCT, _RESTART, _GET, _SET, _ASYNC = 0x1, 0x3, 0x4, 0x6, 0x7, 0x8, 0xA
_DONE, _UNKNOWN, _ERROR, _PONG = 0x1, 0x3, 0x4, 0x5
_FLAG_UNKNOWN_ID, _FLAG_NOT_SUPPORTED, _FLAG_PARAMETER = 0x01, 0x02, 0x04
_OFF_BY_REGISTER = 0x00000004
"""Off reason, bit 2: remote controller."""


@unique
class ChargerState(IntEnum):
    """State of operation: field CS, register 0201h."""

    OFF = 0
    FAULT = 2
    BULK = 3
    ABSORPTION = 4
    FLOAT = 5
    STORAGE = 6
    EQUALIZE = 7
    STARTING = 245
    EXTERNAL_CONTROL = 252


@unique
class Tracker(IntEnum):
    """What holds the array's working point: field MPPT, register EDB3h."""

    OFF = 0
    LIMITED = 1
    ACTIVE = 2


def hex_frame(command: int, payload: bytes = b"") -> bytes:
    """One HEX frame with its check byte. ``command`` is a nibble."""
    check = (0x55 - command - sum(payload)) & 0xFF
    return b":%X%s%02X\n" % (command, payload.hex().upper().encode(), check)


def _word(value: float, size: int, signed: bool = False) -> bytes:
    """A register's bytes, saturated at what its bytes hold."""
    low, high = (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if signed else (0, (1 << 8 * size) - 1)
    return max(low, min(high, round(value))).to_bytes(size, "little", signed=signed)


class VeDirect:
    """A BlueSolar MPPT. Attach it to a SimSerialBus; the rig sets attributes and calls :meth:`advance`.

    While the register 0200h holds it off, it says so (CS 0, no current, no power) whatever the rig sets.

    Attributes:
        battery_v, battery_a: at its battery terminals; positive into the battery.
        array_v, array_w: at its array terminals.
        temperature_c: inside (HEX only).
        load_on, load_a: its load output.
        state, tracker: see the enums. ``state`` sends an asynchronous frame when it changes, as the part does.
        error: error code of field ERR: 0 none, 2 battery voltage too high, 17 too hot, 18 over-current,
            20 bulk time limit, 33 array voltage too high, 116 calibration lost, 119 settings invalid ...
        off_reason: bits of field OR.
        yield_total_j, yield_today_j, yield_yesterday_j, max_power_today_w, max_power_yesterday_w, day: its history.
        corrupt_checksums: that many next blocks carry a wrong checksum.
        silent: says nothing and hears nothing.
        text_blocks: blocks sent since power-on.
    """

    def __init__(
        self, product_id: int = 0xA04C, firmware: int = 159, serial: str = "HQ1621FRG7Z", start_ns: int = 0
    ) -> None:
        """A charger switched on at ``start_ns``; ``firmware`` 159 is version 1.59. Its first block ends a second."""
        self.battery_v = 26.0
        self.battery_a = 0.0
        self.array_v = 0.0
        self.array_w = 0.0
        self.temperature_c = 25.0
        self.load_on = True
        self.load_a = 0.0
        self.tracker = Tracker.OFF
        self.error = 0
        self.off_reason = 0
        self.yield_total_j = 0.0
        self.yield_today_j = 0.0
        self.yield_yesterday_j = 0.0
        self.max_power_today_w = 0.0
        self.max_power_yesterday_w = 0.0
        self.day = 0
        self.corrupt_checksums = 0
        self.silent = False
        self.product_id = product_id
        self.firmware = firmware
        self.serial = serial
        self.max_current_a = 10.0
        """Battery maximum current, register EDF0h: written by the flight computer, obeyed by the rig."""
        self.absorption_v = 28.8
        self.float_v = 27.6
        self.text_blocks = 0
        self._state = ChargerState.OFF
        self._send: Callable[[bytes], None] | None = None
        self._now_ns = start_ns
        self.reset()

    def reset(self) -> None:
        """Power-on or HEX restart: charger enabled, frame half heard and half sent forgotten; settings kept."""
        self._mode = 1
        self._line = bytearray()
        """Waiting to be sent."""
        self._in_frame = 0
        """Bytes at the head of the line that belong to HEX frames, which nothing may split."""
        self._credit = 0
        self._next_block_ns = self._now_ns + _SECOND_NS
        self._quiet_until_ns = 0
        self._heard: bytearray | None = None
        self._split: bytes | None = None
        self.text_blocks = 0

    @property
    def enabled(self) -> bool:
        """Whether register 0200h lets it charge; the rig must obey."""
        return self._mode != 4

    @property
    def state(self) -> ChargerState:
        """State of operation as it reports it."""
        return self._state if self.enabled else ChargerState.OFF

    @state.setter
    def state(self, state: ChargerState) -> None:
        before = self.state
        self._state = ChargerState(state)
        if self.state is not before:
            self.announce(0x0201)

    def fail(self, error: int) -> None:
        """Charger error: code in ERR, state FAULT, no current; until :meth:`recover`."""
        self.error = error
        self.battery_a = self.array_w = 0.0
        self.tracker = Tracker.OFF
        self.state = ChargerState.FAULT

    def recover(self) -> None:
        """End of a charger error: state BULK."""
        self.error = 0
        self.state = ChargerState.BULK

    def announce(self, register: int, value: bytes | None = None) -> None:
        """Send an asynchronous frame: the register's value, or other bytes. KeyError for an unknown register."""
        if value is None:
            found = self._register(register)
            if found is None:
                raise KeyError(f"register {register:04x}h")
            value = found
        self._queue_hex(hex_frame(_ASYNC, register.to_bytes(2, "little") + b"\0" + value))

    def interleave(self, frame: bytes | None = None) -> None:
        """Put a HEX frame into the middle of the next text block, whatever the firmware; a state frame by default."""
        self._split = frame if frame is not None else hex_frame(_ASYNC, b"\x01\x02\x00" + bytes((self.state,)))

    def connect(self, send: Callable[[bytes], None]) -> None:
        """Take the function that puts bytes on the line."""
        self._send = send

    def receive(self, data: bytes) -> None:
        """HEX frames from the flight computer; anything between them is ignored."""
        if self.silent:
            return
        for byte in data:
            if byte == 0x3A:
                self._heard = bytearray()
            elif self._heard is None:
                continue
            elif byte == 0x0A:
                text, self._heard = bytes(self._heard), None
                self._frame(text.rstrip(b"\r"))
            elif len(self._heard) < _LONGEST_FRAME:
                self._heard.append(byte)
            else:
                self._heard = None

    def advance(self, t_ns: int) -> None:
        """Send what is due until ``t_ns``, no faster than the line."""
        while t_ns >= self._next_block_ns:
            self._flush(self._next_block_ns)
            if not self.silent and self._next_block_ns >= self._quiet_until_ns and len(self._line) < _LONGEST_LINE:
                self._line += self._block()
            self._next_block_ns += _SECOND_NS
        self._flush(t_ns)

    def _flush(self, t_ns: int) -> None:
        """Send what the line can carry until ``t_ns``."""
        passed = t_ns - self._now_ns
        self._now_ns = t_ns
        line = self._line
        if not line:
            self._credit = 0
            return
        self._credit += passed * _BYTES_PER_S
        count = self._credit // _SECOND_NS
        if count:
            self._credit -= count * _SECOND_NS
            part = bytes(line[:count])
            del line[:count]
            self._in_frame = max(0, self._in_frame - count)
            if self._send is not None and not self.silent:
                self._send(part)

    # -- text

    def _block(self) -> bytes:
        on = self.enabled
        error = self.error
        fields = (
            ("PID", f"0x{self.product_id:04X}"),
            ("FW", f"{self.firmware}"),
            ("SER#", self.serial),
            ("V", f"{round(self.battery_v * 1000.0)}"),
            ("I", f"{round(self.battery_a * 1000.0) if on else 0}"),
            ("VPV", f"{round(self.array_v * 1000.0)}"),
            ("PPV", f"{round(self.array_w) if on else 0}"),
            ("CS", f"{int(self.state)}"),
            ("MPPT", f"{int(self.tracker) if on else 0}"),
            ("OR", f"0x{self.off_reason | (0 if on else _OFF_BY_REGISTER):08X}"),
            ("ERR", f"{error}"),
            ("LOAD", "ON" if self.load_on else "OFF"),
            ("IL", f"{round(self.load_a * 1000.0)}"),
            ("H19", f"{round(self.yield_total_j / _JOULES_PER_COUNT)}"),
            ("H20", f"{round(self.yield_today_j / _JOULES_PER_COUNT)}"),
            ("H21", f"{round(self.max_power_today_w)}"),
            ("H22", f"{round(self.yield_yesterday_j / _JOULES_PER_COUNT)}"),
            ("H23", f"{round(self.max_power_yesterday_w)}"),
            ("HSDS", f"{self.day}"),
        )
        body = "".join([f"\r\n{label}\t{value}" for label, value in fields]).encode("ascii") + b"\r\nChecksum\t"
        check = -sum(body) & 0xFF
        if self.corrupt_checksums > 0:
            self.corrupt_checksums -= 1
            check ^= 0xFF
        self.text_blocks += 1
        block = body + bytes((check,))
        if self._split is not None:
            frame, self._split = self._split, None
            middle = len(block) // 2
            block = block[:middle] + frame + block[middle:]
        return block

    # -- HEX

    def _queue_hex(self, frame: bytes) -> None:
        if self.silent or len(self._line) >= _LONGEST_LINE:
            return
        if self.firmware >= _SETTLED_FIRMWARE:
            self._line += frame
        else:
            self._line[self._in_frame : self._in_frame] = frame
            self._in_frame += len(frame)

    def _frame(self, text: bytes) -> None:
        answer = self._answer(text)
        if self.firmware < _SETTLED_FIRMWARE:
            self._quiet_until_ns = self._now_ns + _HEX_QUIET_NS
        if answer is not None:
            self._queue_hex(answer)

    def _answer(self, text: bytes) -> bytes | None:
        try:
            command = int(text[:1], 16)
            body = bytes.fromhex(text[1:].decode("ascii"))
        except ValueError:
            return hex_frame(_ERROR, b"\xaa\xaa")
        if not body or (command + sum(body)) & 0xFF != 0x55:
            return hex_frame(_ERROR, b"\xaa\xaa")
        payload = body[:-1]
        if command == _PING:
            return hex_frame(_PONG, self._version())
        if command == _VERSION:
            return hex_frame(_DONE, self._version())
        if command == _PRODUCT:
            return hex_frame(_DONE, self.product_id.to_bytes(2, "little"))
        if command == _RESTART:
            self.reset()
            return None
        if command == _GET and len(payload) == 3:
            value = self._register(int.from_bytes(payload[:2], "little"))
            flag = _FLAG_UNKNOWN_ID if value is None else 0
            return hex_frame(_GET, payload[:2] + bytes((flag,)) + (value or b""))
        if command == _SET and len(payload) >= 3:
            register = int.from_bytes(payload[:2], "little")
            flag = self._write(register, payload[3:])
            value = self._register(register) or b""
            return hex_frame(_SET, payload[:2] + bytes((flag,)) + value)
        return hex_frame(_UNKNOWN, bytes((command,)))

    def _version(self) -> bytes:
        """Version in binary-coded decimal, bits 15..14 01b for an application."""
        return (0x4000 | int(str(self.firmware % 1000), 16)).to_bytes(2, "little")

    def _register(self, register: int) -> bytes | None:
        """Value of a register, ``None`` for one it does not have."""
        read = _REGISTERS.get(register)
        return None if read is None else read(self)

    def _write(self, register: int, value: bytes) -> int:
        """Flag of the answer to a set."""
        if register not in _REGISTERS:
            return _FLAG_UNKNOWN_ID
        number = int.from_bytes(value, "little")
        if register == 0x0200:
            if len(value) != 1 or number not in (1, 4):
                return _FLAG_PARAMETER
            before = self.state
            self._mode = number
            if self.state is not before:
                self.announce(0x0201)
            return 0
        if register in (0xEDF0, 0xEDF6, 0xEDF7):
            if len(value) != 2:
                return _FLAG_PARAMETER
            if register == 0xEDF0:
                self.max_current_a = number / 10.0
            elif register == 0xEDF6:
                self.float_v = number / 100.0
            else:
                self.absorption_v = number / 100.0
            return 0
        return _FLAG_NOT_SUPPORTED


_REGISTERS: dict[int, Callable[[VeDirect], bytes]] = {
    0x0100: lambda c: b"\0" + c.product_id.to_bytes(2, "little") + b"\xff",
    0x010A: lambda c: c.serial.encode("ascii"),
    0x0200: lambda c: bytes((c._mode,)),
    0x0201: lambda c: bytes((c.state,)),
    0x0207: lambda c: _word(c.off_reason | (0 if c.enabled else _OFF_BY_REGISTER), 4),
    0xEDA8: lambda c: bytes((c.load_on,)),
    0xEDAD: lambda c: _word(c.load_a * 10.0, 2),
    0xEDB3: lambda c: bytes((c.tracker if c.enabled else 0,)),
    0xEDBB: lambda c: _word(c.array_v * 100.0, 2),
    0xEDBC: lambda c: _word(c.array_w * 100.0 if c.enabled else 0.0, 4),
    0xEDD0: lambda c: _word(c.max_power_yesterday_w, 2),
    0xEDD1: lambda c: _word(c.yield_yesterday_j / _JOULES_PER_COUNT, 2),
    0xEDD2: lambda c: _word(c.max_power_today_w, 2),
    0xEDD3: lambda c: _word(c.yield_today_j / _JOULES_PER_COUNT, 2),
    0xEDD5: lambda c: _word(c.battery_v * 100.0, 2),
    0xEDD7: lambda c: _word(c.battery_a * 10.0 if c.enabled else 0.0, 2),
    0xEDDA: lambda c: _word(c.error, 1),
    0xEDDB: lambda c: _word(c.temperature_c * 100.0, 2, signed=True),
    0xEDDC: lambda c: _word(c.yield_total_j / _JOULES_PER_COUNT, 4),
    0xEDF0: lambda c: _word(c.max_current_a * 10.0, 2),
    0xEDF6: lambda c: _word(c.float_v * 100.0, 2),
    0xEDF7: lambda c: _word(c.absorption_v * 100.0, 2),
}
"""Registers of the BlueSolar HEX protocol that are played, with what reads them."""
