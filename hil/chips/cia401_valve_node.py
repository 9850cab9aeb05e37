"""Plays a CANopen valve node that times its own pulses and never drives a valve longer than the rules allow.

Written from docs/protocols/valve-node.md with CiA 301 v4.2 (NMT, SDO, heartbeat, EMCY) and CiA 401 v3 (6200h, 6206h,
6207h); clause numbers below are CiA 301's. Times are int nanoseconds of the simulated clock.

Where the protocol leaves room the node does this:

* A pulse that runs to its window's end is held up to 10 ms longer, so that a late SYNC can prolong it without a gap.
  Without a SYNC it shuts then. The held time belongs to no window and is in no TPDO2.
* A pulse that turns out too short at the window's end is stretched to the shortest pulse and refused with reason 3.
* A pulse whose opening falls while the enable line is low is skipped; raising the line never starts half a pulse.
* A falling enable or arm line, RPDO1 with 0 and leaving operational cancel the schedule and both waiting halves; a
  window that is cut this way reports its on-times at that instant if the node is still operational.
* 6200h other than 0 opens outputs at once, under the same rules, until cleared, overtaken by a window or at the limit.
* After a lost heartbeat nothing fires until the heartbeat is back (EMCY 0000h), whatever was armed meanwhile. Watching
  starts with the first heartbeat heard (7.2.8.3.2.2). 6206h and 6207h are kept but cannot hold a valve open.
* NMT reset keeps the pause and cooldown timers of the valves; a loss of power forgets them, and the first pause then
  counts from power-on.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from enum import IntEnum, StrEnum, unique

from drivers.bus.protocol import CanFrame

__all__ = ["FAR_NS", "OUTPUTS", "Cia401ValveNode", "NmtState", "OutputFault", "Refusal", "Transmit"]

Transmit = Callable[[CanFrame, int], None]

OUTPUTS = 8
FAR_NS = 1 << 62
"""Later than anything that happens: 146 years."""

_PAST_NS = -FAR_NS
_MS = 1_000_000
_SEAM_NS = 10 * _MS  # valve-node.md, "A window", 3
_JUST_AFTER_NS = 1  # "within" and "longer than" include the instant itself
_STATE_PERIOD_NS = 50 * _MS
_HISTORY = 8

_EMCY_NONE = 0x0000
_EMCY_HEARTBEAT = 0x8130
_EMCY_PDO_LENGTH = 0x8210
_EMCY_SYNC_LENGTH = 0x8240
_EMCY_HALF_SCHEDULE = 0xFF10
_EMCY_PULSE_REFUSED = 0xFF11

_REGISTER_COMMUNICATION = 0x11  # generic and communication bits of 1001h

_ABORT_COMMAND = 0x05040001
_ABORT_READ_ONLY = 0x06010002
_ABORT_NO_OBJECT = 0x06020000
_ABORT_LENGTH = 0x06070010
_ABORT_NO_SUB_INDEX = 0x06090011
_ABORT_RANGE = 0x06090030
_ABORT_NO_DATA = 0x08000024


@unique
class NmtState(IntEnum):
    """NMT states as the heartbeat tells them (7.2.8.2.2.2)."""

    BOOT_UP = 0x00
    STOPPED = 0x04
    OPERATIONAL = 0x05
    PRE_OPERATIONAL = 0x7F


@unique
class Refusal(IntEnum):
    """Why the node did not drive a pulse as asked: second detail byte of EMCY FF11h."""

    ORDER = 1
    BEYOND_WINDOW = 2
    TOO_SHORT = 3
    TOO_LONG = 4
    COOLDOWN = 5


@unique
class OutputFault(StrEnum):
    """What can break between the node's logic and the coil."""

    OPEN = "open"
    SHORT = "short"


class _ValveBank:
    """Eight outputs, the window that runs, and every rule on pulses; knows nothing of CAN."""

    __slots__ = (
        "_close_at", "_command_end", "_cool_until", "_direct", "_driven_ns", "_fault", "_last_off", "_level",
        "_limit_at", "_on_since", "_open_at", "_plan_close_at", "_plan_to_end", "_short", "_to_end", "_window_end",
        "_window_start", "cooldown_ns", "edges", "enable", "max_burn_ns", "min_off_ns", "min_on_ns", "next_event_ns",
        "on", "refusals", "reports", "running", "safety_shuts",
    )

    def __init__(self) -> None:
        self.min_on_ns = self.min_off_ns = self.max_burn_ns = self.cooldown_ns = 0
        self.enable = False
        self.edges: list[tuple[int, int, bool]] = []
        self.safety_shuts: list[tuple[int, int]] = []
        self.refusals: list[tuple[int, Refusal]] = []
        self.reports: list[bytes] = []
        self._fault: list[OutputFault | None] = [None] * OUTPUTS
        self._level = [False] * OUTPUTS
        self.on = [False] * OUTPUTS
        self.forget(_PAST_NS)

    def forget(self, shut_since_ns: int) -> None:
        """Lose everything a power cycle loses; pauses count from ``shut_since_ns``. All outputs must be off."""
        self.running = False
        self.next_event_ns = FAR_NS
        self._window_start = self._window_end = FAR_NS
        self._direct = 0
        self._on_since = [_PAST_NS] * OUTPUTS
        self._last_off = [shut_since_ns] * OUTPUTS
        self._cool_until = [_PAST_NS] * OUTPUTS
        self._limit_at = [FAR_NS] * OUTPUTS
        self._close_at = [FAR_NS] * OUTPUTS  # when the pulse that runs ends
        self._command_end = [FAR_NS] * OUTPUTS  # when the flight computer asked it to end
        self._to_end = [False] * OUTPUTS  # it was asked to run to its window's end
        self._short = [False] * OUTPUTS  # it is being stretched to the shortest pulse
        self._open_at = [FAR_NS] * OUTPUTS  # the pulse that has not begun yet
        self._plan_close_at = [FAR_NS] * OUTPUTS
        self._plan_to_end = [False] * OUTPUTS
        self._driven_ns = [0] * OUTPUTS
        self.reports.clear()
        self.refusals.clear()

    @property
    def mask(self) -> int:
        """Outputs that the node drives, bit n = output n."""
        bits = 0
        for n, on in enumerate(self.on):
            if on:
                bits |= 1 << n
        return bits

    @property
    def direct(self) -> int:
        """Outputs that 6200h holds open."""
        return self._direct

    @property
    def coils(self) -> int:
        """Outputs whose coil has current, failures included."""
        return sum(1 << n for n, level in enumerate(self._level) if level)

    # -- electrical side

    def set_enable(self, level: bool, t_ns: int) -> None:
        """Supply of the output drivers; losing it cancels the schedule."""
        if level == self.enable:
            return
        if not level:
            self.cancel(t_ns)
        self.enable = level
        for n in range(OUTPUTS):
            self._drive(n, t_ns, exempt=True)

    def set_fault(self, n: int, fault: OutputFault | None, t_ns: int) -> None:
        """Break or mend one output."""
        self._fault[n] = fault
        self._drive(n, t_ns, exempt=True)

    def _drive(self, n: int, t_ns: int, exempt: bool) -> None:
        fault = self._fault[n]
        if fault is None:
            level = self.on[n]
        else:
            level = self.enable and fault is OutputFault.SHORT
        if level is not self._level[n]:
            self._level[n] = level
            self.edges.append((t_ns, n, level))
            if exempt and not level:
                self.safety_shuts.append((t_ns, n))

    # -- pulses

    def _refuse(self, n: int, reason: Refusal) -> None:
        self.refusals.append((n, reason))

    def _begin(self, n: int, t_ns: int) -> None:
        self._open_at[n] = FAR_NS
        if not self.enable:
            return
        self.on[n] = True
        self._on_since[n] = t_ns
        self._limit_at[n] = t_ns + self.max_burn_ns
        self._short[n] = False
        to_end = self._to_end[n] = self._plan_to_end[n]
        self._command_end[n] = self._plan_close_at[n]
        self._close_at[n] = FAR_NS if to_end else self._plan_close_at[n]
        self._drive(n, t_ns, exempt=False)

    def _off(self, n: int, t_ns: int, safety: bool) -> None:
        self.on[n] = False
        self._last_off[n] = t_ns
        since = self._on_since[n]
        if t_ns - since >= self.max_burn_ns:
            self._cool_until[n] = t_ns + self.cooldown_ns
        if self.running:
            self._driven_ns[n] += t_ns - max(since, self._window_start)
        self._direct &= ~(1 << n)
        self._drive(n, t_ns, exempt=safety)

    def _end_pulse(self, n: int, t_ns: int) -> None:
        limit = self._limit_at[n]
        if t_ns >= limit and self._command_end[n] > limit:
            self._refuse(n, Refusal.TOO_LONG)
        if self._short[n]:
            self._refuse(n, Refusal.TOO_SHORT)
        self._off(n, t_ns, safety=False)

    def _cut(self, n: int, t_ns: int) -> None:
        """End the pulse that runs as early as the shortest pulse lets it."""
        shortest = self._on_since[n] + self.min_on_ns
        end = self._command_end[n]
        if self._to_end[n] and t_ns >= end - _SEAM_NS and t_ns < shortest:
            self._short[n] = True
        self._to_end[n] = False
        self._command_end[n] = min(end, t_ns)
        self._close_at[n] = max(t_ns, shortest)
        if self._close_at[n] <= t_ns:
            self._end_pulse(n, t_ns)

    def cancel(self, t_ns: int) -> None:
        """Shut every output now, whatever the shortest pulse; forget the schedule."""
        self._direct = 0
        for n in range(OUTPUTS):
            self._open_at[n] = FAR_NS
            if self.on[n]:
                self._off(n, t_ns, safety=True)
        if self.running:
            self._report(t_ns)
        self._reschedule()

    def direct_write(self, mask: int, t_ns: int) -> None:
        """6200h other than 0: set bits open now, bits cleared since the last write shut."""
        for n in range(OUTPUTS):
            bit = 1 << n
            if not mask & bit:
                if self._direct & bit:
                    self._direct &= ~bit
                    if self.on[n]:
                        self._cut(n, t_ns)
                continue
            self._open_at[n] = FAR_NS
            if self.on[n]:
                self._close_at[n] = self._command_end[n] = FAR_NS
                self._to_end[n] = self._short[n] = False
                self._direct |= bit
            elif t_ns < self._cool_until[n]:
                self._refuse(n, Refusal.COOLDOWN)
            elif t_ns - self._last_off[n] < self.min_off_ns:
                self._refuse(n, Refusal.TOO_SHORT)
            else:
                self._plan_to_end[n] = False
                self._plan_close_at[n] = FAR_NS
                self._begin(n, t_ns)
                if self.on[n]:
                    self._direct |= bit
        self._reschedule()

    def start_window(self, opens: Sequence[int], closes: Sequence[int], window_ms: int, t_ns: int) -> None:
        """Judge eight pulses and start them at ``t_ns``, in place of a window that still runs."""
        if self.running:
            self._report(t_ns)
        self.running = True
        self._window_start = t_ns
        self._window_end = t_ns + window_ms * _MS
        self._direct = 0
        for n in range(OUTPUTS):
            self._driven_ns[n] = 0
            self._open_at[n] = FAR_NS
            self._take(n, opens[n], closes[n], window_ms, t_ns)
        self.step(t_ns)

    def _take(self, n: int, open_ms: int, close_ms: int, window_ms: int, t_ns: int) -> None:
        reason: Refusal | None = None
        if open_ms > close_ms:
            reason = Refusal.ORDER
        elif close_ms > window_ms:
            reason = Refusal.BEYOND_WINDOW
        if reason is not None or open_ms == close_ms:
            if reason is not None:
                self._refuse(n, reason)
            if self.on[n]:
                self._cut(n, t_ns)
            return
        begins = t_ns + open_ms * _MS
        ends = t_ns + close_ms * _MS
        to_end = close_ms == window_ms
        if self.on[n]:
            if open_ms == 0:
                if to_end or ends - self._on_since[n] >= self.min_on_ns:
                    self._command_end[n] = ends
                    self._close_at[n] = FAR_NS if to_end else ends
                    self._to_end[n] = to_end
                    self._short[n] = False
                else:
                    self._refuse(n, Refusal.TOO_SHORT)
                    self._cut(n, t_ns)
                return
            self._cut(n, t_ns)
        shut_at = self._close_at[n] if self.on[n] else self._last_off[n]
        if not to_end and ends - begins < self.min_on_ns:
            self._refuse(n, Refusal.TOO_SHORT)
        elif begins < self._cool_until[n]:
            self._refuse(n, Refusal.COOLDOWN)
        elif begins - shut_at < self.min_off_ns:
            self._refuse(n, Refusal.TOO_SHORT)
        else:
            self._open_at[n] = begins
            self._plan_close_at[n] = ends
            self._plan_to_end[n] = to_end

    def _finish_window(self, t_ns: int) -> None:
        self._report(t_ns)
        for n in range(OUTPUTS):
            if self.on[n] and self._to_end[n]:
                held = t_ns + _SEAM_NS + _JUST_AFTER_NS
                shortest = self._on_since[n] + self.min_on_ns
                self._short[n] = held < shortest
                self._close_at[n] = max(held, shortest)

    def _report(self, t_ns: int) -> None:
        """Close the books of the window: driven time of each output in ms, saturating at 255."""
        start = self._window_start
        times = bytearray(OUTPUTS)
        for n in range(OUTPUTS):
            driven = self._driven_ns[n]
            if self.on[n]:
                driven += t_ns - max(self._on_since[n], start)
            times[n] = min(255, (driven + _MS // 2) // _MS)
        self.reports.append(bytes(times))
        self.running = False
        self._window_end = FAR_NS

    def step(self, t_ns: int) -> None:
        """Everything that is due at ``t_ns``: ends first, then the window's end, then openings."""
        for n in range(OUTPUTS):
            if self.on[n] and (t_ns >= self._close_at[n] or t_ns >= self._limit_at[n]):
                self._end_pulse(n, t_ns)
        if t_ns >= self._window_end:
            self._finish_window(t_ns)
        for n in range(OUTPUTS):
            if t_ns >= self._open_at[n]:
                self._begin(n, t_ns)
        self._reschedule()

    def _reschedule(self) -> None:
        due = min(self._window_end, min(self._open_at))
        for n in range(OUTPUTS):
            if self.on[n]:
                due = min(due, self._close_at[n], self._limit_at[n])
        self.next_event_ns = due


class _Entry:
    """One sub-index of the object dictionary; unsigned, ``size`` bytes."""

    __slots__ = ("highest", "lowest", "size", "value", "writable")

    def __init__(self, size: int, value: int, writable: bool = False, lowest: int = 0, highest: int = -1) -> None:
        self.size = size
        self.value = value
        self.writable = writable
        self.lowest = lowest
        self.highest = highest if highest >= 0 else (1 << 8 * size) - 1


def _array(entries: Sequence[_Entry]) -> dict[int, _Entry]:
    """Sub-index 0 holds the count, the entries follow."""
    return {0: _Entry(1, len(entries)), **dict(enumerate(entries, start=1))}


def _object_dictionary(node_id: int, serial: int) -> dict[int, dict[int, _Entry]]:
    """Power-on values of every object the node has."""

    def pdo(can_id: int, transmission_type: int) -> dict[int, _Entry]:
        return _array([_Entry(4, can_id + node_id), _Entry(1, transmission_type)])

    return {
        0x1000: {0: _Entry(4, 0x00020191)},
        0x1001: {0: _Entry(1, 0)},
        # 7.5.2.6: writing 0 to sub-index 0 empties the history.
        0x1003: {0: _Entry(1, 0, True, 0, 0), **{n: _Entry(4, 0) for n in range(1, _HISTORY + 1)}},
        0x1005: {0: _Entry(4, 0x80)},
        0x1014: {0: _Entry(4, 0x80 + node_id)},
        0x1016: _array([_Entry(4, 0, True, 0, 0x007FFFFF)]),
        0x1017: {0: _Entry(2, 100, True)},
        0x1018: _array([_Entry(4, 0), _Entry(4, 0x51494B56), _Entry(4, 1), _Entry(4, serial)]),
        0x1029: _array([_Entry(1, 0, True, 0, 2)]),
        0x1400: pdo(0x200, 0xFF),
        0x1401: pdo(0x300, 1),
        0x1402: pdo(0x400, 1),
        0x1800: pdo(0x180, 0xFF),
        0x1801: pdo(0x280, 0xFF),
        0x2100: {0: _Entry(1, 0, True, 0, 1)},
        0x2101: {0: _Entry(1, 250, True, 50, 250)},
        0x2102: {0: _Entry(1, 30, True)},
        0x2103: {0: _Entry(1, 30, True)},
        0x2104: {0: _Entry(2, 3000, True)},
        0x2105: {0: _Entry(2, 6000, True)},
        0x2110: _array([_Entry(1, 0, True) for _ in range(OUTPUTS)]),
        0x2111: _array([_Entry(1, 0, True) for _ in range(OUTPUTS)]),
        0x6200: _array([_Entry(1, 0, True)]),
        0x6206: _array([_Entry(1, 0xFF, True)]),
        0x6207: _array([_Entry(1, 0x00, True)]),
    }


class Cia401ValveNode:
    """One valve node. Starts without power, with the enable and arm lines low.

    Args:
        node_id: CANopen node id, 1..127.
        serial: serial number, 1018h:04.

    Attributes:
        next_event_ns: nothing happens inside the node before this instant; :data:`FAR_NS` when nothing is due.

    Every call that carries a time first does all that was due until then; a time before the last one counts as the
    last one.
    """

    __slots__ = (
        "_arm_line", "_bank", "_closes", "_handlers", "_heartbeat_at", "_heartbeat_deadline", "_heartbeat_lost",
        "_heartbeat_seen", "_now", "_objects", "_opens", "_powered", "_refused", "_sent_state", "_serial", "_state",
        "_state_at", "_transmit", "_was_powered", "_windows", "next_event_ns", "node_id",
    )

    def __init__(self, node_id: int, serial: int) -> None:
        if not 1 <= node_id <= 127:
            raise ValueError(f"node id {node_id} is not in 1..127")
        self.node_id = node_id
        self.next_event_ns = FAR_NS
        self._serial = serial
        self._bank = _ValveBank()
        self._transmit: Transmit | None = None
        self._now = 0
        self._powered = self._was_powered = False
        self._arm_line = False
        self._state = NmtState.BOOT_UP
        self._handlers: dict[int, Callable[[bytes, int], None]] = {}
        self._defaults()

    def _defaults(self) -> None:
        """Everything that reset brings back to its power-on value."""
        self._objects = _object_dictionary(self.node_id, self._serial)
        self._load_rules()
        self._opens: bytes | None = None
        self._closes: bytes | None = None
        self._refused = self._windows = 0
        self._sent_state: bytes | None = None
        self._state_at = self._heartbeat_at = self._heartbeat_deadline = FAR_NS
        self._heartbeat_seen = self._heartbeat_lost = False
        self._route()

    def _route(self) -> None:
        """Which frame goes where: predefined connection set and the heartbeat that 1016h names."""
        node_id = self.node_id
        self._handlers = {
            0x000: self._on_nmt,
            0x080: self._on_sync,
            0x200 + node_id: self._on_outputs,
            0x300 + node_id: self._on_opens,
            0x400 + node_id: self._on_closes,
            0x600 + node_id: self._on_sdo,
        }
        watched = self._objects[0x1016][1].value
        if watched >> 16 and watched & 0xFFFF:
            self._handlers[0x700 + (watched >> 16)] = self._on_heartbeat

    # -- what the rig sees

    @property
    def state(self) -> NmtState:
        """NMT state; BOOT_UP while the node has no power."""
        return self._state

    @property
    def powered(self) -> bool:
        """Whether the logic has power."""
        return self._powered

    @property
    def armed(self) -> bool:
        """Object 2100h and the arm line and no lost heartbeat: pulses are taken."""
        return self._arm_line and not self._heartbeat_lost and self._objects[0x2100][0].value == 1

    @property
    def outputs(self) -> int:
        """Outputs the node drives, bit n = output n: byte 0 of TPDO1."""
        return self._bank.mask

    @property
    def coils(self) -> int:
        """Outputs whose valve really has current, failed drivers included."""
        return self._bank.coils

    def take_edges(self) -> list[tuple[int, int, bool]]:
        """Electrical edges at the coils since the last call: ``(t_ns, output, is_on)`` in time order."""
        bank = self._bank
        if not bank.edges:
            return []
        edges, bank.edges = bank.edges, []
        return edges

    def take_safety_shuts(self) -> list[tuple[int, int]]:
        """``(t_ns, output)`` of those falling edges since the last call that no pulse rule binds.

        These are shuts for safety (see the protocol's last section), losses of supply, and failed drivers.
        """
        bank = self._bank
        if not bank.safety_shuts:
            return []
        shuts, bank.safety_shuts = bank.safety_shuts, []
        return shuts

    # -- what the rig does

    def connect(self, transmit: Transmit) -> None:
        """Wire the node's transmitter to a bus; called by the bus."""
        self._transmit = transmit

    def advance(self, t_ns: int) -> None:
        """Do all that is due until and at ``t_ns``, in time order."""
        while self.next_event_ns <= t_ns:
            self._instant(self.next_event_ns)
        if t_ns > self._now:
            self._now = t_ns

    def receive(self, frame: CanFrame, t_ns: int) -> None:
        """Take one frame off the bus at ``t_ns``. Frames for others and extended frames are ignored."""
        handler = self._handlers.get(frame.can_id)
        if handler is None or not self._powered or frame.extended:
            return
        handler(frame.data, self._catch_up(t_ns))

    def set_enable(self, level: bool, t_ns: int) -> None:
        """Level of the enable line, which feeds the output drivers."""
        t_ns = self._catch_up(t_ns)
        if not level:
            self._drop_halves()
        self._bank.set_enable(level, t_ns)
        self._settle(t_ns)

    def set_arm_line(self, level: bool, t_ns: int) -> None:
        """Level of the arm line. Object 2100h keeps its value; both are needed."""
        t_ns = self._catch_up(t_ns)
        self._arm_line = level
        if not level:
            self._shut(t_ns)
        self._settle(t_ns)

    def power_on(self, t_ns: int) -> None:
        """Give the logic power: boot-up message, then pre-operational."""
        if self._powered:
            return
        t_ns = self._catch_up(t_ns)
        self._bank.forget(t_ns if self._was_powered else _PAST_NS)
        self._powered = self._was_powered = True
        self._boot(t_ns)

    def power_off(self, t_ns: int) -> None:
        """Take the logic's power: valves shut, nothing is sent or heard."""
        if not self._powered:
            return
        t_ns = self._catch_up(t_ns)
        self._powered = False
        self._bank.cancel(t_ns)
        self._state = NmtState.BOOT_UP
        self._defaults()
        self.next_event_ns = FAR_NS

    def reset(self, t_ns: int) -> None:
        """NMT reset of the node, as a watchdog inside it would do. Nothing without power."""
        if not self._powered:
            return
        t_ns = self._catch_up(t_ns)
        self._bank.cancel(t_ns)
        self._bank.reports.clear()
        self._bank.refusals.clear()
        self._boot(t_ns)

    def fail_output(self, output: int, fault: OutputFault | str | None, t_ns: int | None = None) -> None:
        """Break one output driver, or mend it with ``None``; at ``t_ns``, by default the last instant the node saw.

        ``open``: the coil never has current. ``short``: it has current whenever the enable line is high. The node
        does not notice: TPDO1 and TPDO2 tell what it drives.
        """
        t_ns = self._catch_up(self._now if t_ns is None else t_ns)
        self._bank.set_fault(output, None if fault is None else OutputFault(fault), t_ns)

    # -- time

    def _catch_up(self, t_ns: int) -> int:
        self.advance(t_ns)
        return self._now

    def _instant(self, t_ns: int) -> None:
        self._now = t_ns
        if t_ns >= self._heartbeat_deadline:
            self._lose_heartbeat(t_ns)
        if t_ns >= self._bank.next_event_ns:
            self._bank.step(t_ns)
        if t_ns >= self._heartbeat_at:
            self._heartbeat_at = t_ns + self._objects[0x1017][0].value * _MS
            self._send(0x700, bytes((self._state,)), t_ns)
        self._settle(t_ns)

    def _settle(self, t_ns: int) -> None:
        """Tell the bus what the instant changed, then find the next one that matters."""
        if not self._powered:
            return
        bank = self._bank
        if bank.refusals:
            self._refused += len(bank.refusals)
            for output, reason in bank.refusals:
                self._emergency(_EMCY_PULSE_REFUSED, bytes((output, reason)), t_ns)
            bank.refusals.clear()
        operational = self._state is NmtState.OPERATIONAL
        if bank.reports:
            if operational:
                for report in bank.reports:
                    self._send(0x280, report, t_ns)
            bank.reports.clear()
        if operational:
            state = self._state_bytes()
            if state != self._sent_state or t_ns >= self._state_at:
                self._sent_state = state
                self._state_at = t_ns + _STATE_PERIOD_NS
                self._send(0x180, state, t_ns)
        self.next_event_ns = min(bank.next_event_ns, self._heartbeat_at, self._heartbeat_deadline, self._state_at)

    def _state_bytes(self) -> bytes:
        bank = self._bank
        flags = self.armed | bank.enable << 1 | self._heartbeat_seen << 2 | bank.running << 3
        windows = self._windows
        register = self._objects[0x1001][0].value
        return bytes(
            (bank.mask, flags, self._refused & 0xFF, register, windows & 0xFF, windows >> 8 & 0xFF, 0, 0)
        )

    def _send(self, base: int, data: bytes, t_ns: int) -> None:
        if self._transmit is not None:
            self._transmit(CanFrame(base + self.node_id, data), t_ns)

    # -- NMT, heartbeat, emergencies

    def _boot(self, t_ns: int) -> None:
        self._defaults()
        self._send(0x700, bytes((NmtState.BOOT_UP,)), t_ns)
        self._state = NmtState.PRE_OPERATIONAL
        self._heartbeat_at = t_ns + self._objects[0x1017][0].value * _MS
        self._settle(t_ns)

    def _on_nmt(self, data: bytes, t_ns: int) -> None:
        if len(data) != 2 or data[1] not in (0, self.node_id):
            return
        command = data[0]
        if command == 0x01:
            self._enter(NmtState.OPERATIONAL, t_ns)
        elif command == 0x02:
            self._enter(NmtState.STOPPED, t_ns)
        elif command == 0x80:
            self._enter(NmtState.PRE_OPERATIONAL, t_ns)
        elif command in (0x81, 0x82):
            # Reset communication (82h) is a whole reset here: every writable object serves the flight computer alone.
            self.reset(t_ns)

    def _enter(self, state: NmtState, t_ns: int) -> None:
        if state is self._state:
            return
        if self._state is NmtState.OPERATIONAL:
            self._state = state
            self._shut(t_ns)
            self._state_at = FAR_NS
            self._sent_state = None
        self._state = state
        self._settle(t_ns)

    def _on_heartbeat(self, data: bytes, t_ns: int) -> None:
        if len(data) != 1:
            return
        allowed_ms = self._objects[0x1016][1].value & 0xFFFF
        self._heartbeat_deadline = t_ns + allowed_ms * _MS + _JUST_AFTER_NS
        if self._heartbeat_seen:
            if self._heartbeat_deadline < self.next_event_ns:
                self.next_event_ns = self._heartbeat_deadline
            return
        self._heartbeat_seen = True
        if self._heartbeat_lost:
            self._heartbeat_lost = False
            self._objects[0x1001][0].value = 0
            self._emergency(_EMCY_NONE, b"", t_ns)
        self._settle(t_ns)

    def _lose_heartbeat(self, t_ns: int) -> None:
        self._heartbeat_deadline = FAR_NS
        self._heartbeat_seen = False
        self._heartbeat_lost = True
        self._objects[0x1001][0].value = _REGISTER_COMMUNICATION
        self._emergency(_EMCY_HEARTBEAT, bytes((self._objects[0x1016][1].value >> 16,)), t_ns)
        self._objects[0x2100][0].value = 0
        self._shut(t_ns)
        behaviour = self._objects[0x1029][1].value  # 7.5.2.32: 0 pre-operational, 1 no change, 2 stopped
        if behaviour == 0 and self._state is NmtState.OPERATIONAL:
            self._enter(NmtState.PRE_OPERATIONAL, t_ns)
        elif behaviour == 2:
            self._enter(NmtState.STOPPED, t_ns)

    def _emergency(self, code: int, detail: bytes, t_ns: int) -> None:
        """Send an EMCY with up to 5 detail bytes and put it on top of the history 1003h."""
        detail = detail.ljust(5, b"\0")
        if code != _EMCY_NONE:
            history = self._objects[0x1003]
            for n in range(_HISTORY, 1, -1):
                history[n].value = history[n - 1].value
            history[1].value = code | detail[0] << 16 | detail[1] << 24
            history[0].value = min(_HISTORY, history[0].value + 1)
        if self._state is not NmtState.STOPPED:
            self._send(0x080, struct.pack("<HB", code, self._objects[0x1001][0].value) + detail, t_ns)

    # -- schedule

    def _drop_halves(self) -> None:
        self._opens = self._closes = None

    def _shut(self, t_ns: int) -> None:
        self._drop_halves()
        self._bank.cancel(t_ns)

    def _whole(self, data: bytes, size: int, t_ns: int) -> bool:
        """Whether a PDO may be taken; one that is too short is an error (7.2.2.5), spare bytes are not."""
        if self._state is not NmtState.OPERATIONAL:
            return False
        if len(data) < size:
            self._emergency(_EMCY_PDO_LENGTH, bytes((len(data), size)), t_ns)
            return False
        return True

    def _on_outputs(self, data: bytes, t_ns: int) -> None:
        if self._whole(data, 1, t_ns):
            self._write_outputs(data[0], t_ns)

    def _write_outputs(self, mask: int, t_ns: int) -> None:
        if mask == 0:
            self._shut(t_ns)
        elif self._state is NmtState.OPERATIONAL and self.armed:
            self._bank.direct_write(mask, t_ns)
        self._settle(t_ns)

    def _on_opens(self, data: bytes, t_ns: int) -> None:
        if self._whole(data, OUTPUTS, t_ns):
            self._opens = data

    def _on_closes(self, data: bytes, t_ns: int) -> None:
        if self._whole(data, OUTPUTS, t_ns):
            self._closes = data

    def _on_sync(self, data: bytes, t_ns: int) -> None:
        if self._state is not NmtState.OPERATIONAL:
            return
        if data:
            self._emergency(_EMCY_SYNC_LENGTH, bytes((len(data),)), t_ns)
            return
        opens, closes = self._opens, self._closes
        if opens is None and closes is None:
            return
        self._drop_halves()
        if opens is None or closes is None:
            self._emergency(_EMCY_HALF_SCHEDULE, b"\x03" if opens is None else b"\x02", t_ns)
            return
        for n in range(OUTPUTS):
            self._objects[0x2110][n + 1].value = opens[n]
            self._objects[0x2111][n + 1].value = closes[n]
        if self.armed:
            self._windows += 1
            self._bank.start_window(opens, closes, self._objects[0x2101][0].value, t_ns)
            self._settle(t_ns)

    # -- SDO server, expedited (7.2.4.3)

    def _on_sdo(self, data: bytes, t_ns: int) -> None:
        if self._state is NmtState.STOPPED or len(data) != 8:
            return
        command, index, sub = struct.unpack_from("<BHB", data)
        specifier = command >> 5
        if specifier == 4:  # the client aborts; nothing is under way
            return
        answer: bytes | int
        if specifier == 2:
            answer = self._upload(index, sub)
        elif specifier == 1:
            answer = self._download(command, index, sub, data[4:], t_ns)
        else:
            answer = _ABORT_COMMAND
        if isinstance(answer, int):
            answer = struct.pack("<BHBI", 0x80, index, sub, answer)
        self._send(0x580, answer, t_ns)

    def _find(self, index: int, sub: int) -> _Entry | int:
        subs = self._objects.get(index)
        if subs is None:
            return _ABORT_NO_OBJECT
        return subs.get(sub, _ABORT_NO_SUB_INDEX)

    def _upload(self, index: int, sub: int) -> bytes | int:
        entry = self._find(index, sub)
        if isinstance(entry, int):
            return entry
        if index == 0x1003 and sub > self._objects[0x1003][0].value:
            return _ABORT_NO_DATA
        value = self._bank.direct if index == 0x6200 and sub == 1 else entry.value
        return struct.pack("<BHBI", 0x43 | (4 - entry.size) << 2, index, sub, value)

    def _download(self, command: int, index: int, sub: int, data: bytes, t_ns: int) -> bytes | int:
        entry = self._find(index, sub)
        if isinstance(entry, int):
            return entry
        if not entry.writable:
            return _ABORT_READ_ONLY
        expedited, sized = command & 2, command & 1
        size = entry.size
        if sized:
            size = 4 - (command >> 2 & 3) if expedited else int.from_bytes(data, "little")
        if size != entry.size:
            return _ABORT_LENGTH
        if not expedited:
            return _ABORT_COMMAND
        value = int.from_bytes(data[: entry.size], "little")
        if not entry.lowest <= value <= entry.highest:
            return _ABORT_RANGE
        if index != 0x6200:
            entry.value = value
        self._written(index, value, t_ns)
        return struct.pack("<BHBI", 0x60, index, sub, 0)

    def _written(self, index: int, value: int, t_ns: int) -> None:
        """What a write sets off beyond the stored value."""
        if index == 0x1016:
            self._heartbeat_deadline = FAR_NS
            self._heartbeat_seen = False
            self._route()
        elif index == 0x1017:
            self._heartbeat_at = t_ns + value * _MS if value else FAR_NS
        elif index == 0x2100 and value == 0:
            self._shut(t_ns)
        elif index == 0x6200:
            self._write_outputs(value, t_ns)
        elif 0x2102 <= index <= 0x2105:
            self._load_rules()
        self._settle(t_ns)

    def _load_rules(self) -> None:
        bank, objects = self._bank, self._objects
        bank.min_on_ns = objects[0x2102][0].value * _MS
        bank.min_off_ns = objects[0x2103][0].value * _MS
        bank.max_burn_ns = objects[0x2104][0].value * _MS
        bank.cooldown_ns = objects[0x2105][0].value * _MS
