"""CANopen valve nodes: a node takes pulses only by command, after reset, identity, settings and read-back have passed.

Each node times its own pulses; this driver tells it when they open and close, and watches what it says of itself.
:class:`ValveBus` owns one CAN bus with its nodes, :class:`ValveNode` walks one node through :data:`TRANSITIONS`.
Nothing waits: every step is taken in :meth:`ValveBus.service`, and nothing that arrives from the wire raises there.

Sources: docs/protocols/valve-node.md; CiA 301 version 4.2.0; CiA 401 version 3.0 (6200h, 6206h, 6207h).
Checked against a peer nobody here wrote: the LocalNode of the ``canopen`` package (SDO server, NMT, heartbeat, EMCY).
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, unique
from functools import partial
from operator import itemgetter
from types import MappingProxyType
from typing import Annotated

from msgspec import Meta, Struct

from drivers.bus.protocol import CanBus, CanFrame
from drivers.canopen import (
    EMCY_BASE,
    HEARTBEAT_BASE,
    NEVER_NS,
    RPDO1_BASE,
    RPDO2_BASE,
    RPDO3_BASE,
    SDO_ANSWER_BASE,
    SYNC_FRAME,
    TPDO1_BASE,
    TPDO2_BASE,
    Emergency,
    NmtCommand,
    NmtState,
    Rejection,
    SdoClient,
    SdoOutcome,
    SdoStatus,
    abort_name,
    consumer_heartbeat,
    decode_emergency,
    decode_heartbeat,
    encode_nmt,
    heartbeat_frame,
)
from drivers.device import NOWHERE, Codec, Oracle, OracleKind
from drivers.errors import Cause, DeviceError
from drivers.samples import ValveNodeSample

__all__ = [
    "CODECS", "FLIGHT_COMPUTER_ID", "ORACLES", "TRANSITIONS", "BusCounters", "Event", "NodeCounters", "NodeState",
    "ObjectStep", "PulseRules", "Settings", "SetupFailure", "SetupState", "ValveBus", "ValveNode",
    "configuration_steps", "decode_on_times", "decode_state", "identity_steps",
]

ORACLES = (Oracle(OracleKind.PEER, "the LocalNode of the canopen package: SDO server, NMT, heartbeat, EMCY"),)

MS = 1_000_000

FLIGHT_COMPUTER_ID = 0x01
OUTPUTS = 8
HEARTBEAT_PERIOD_NS = 40 * MS
"""The flight computer's own heartbeat: two may be late before a node that waits 100 ms gives up."""

RECEIVE_LIMIT = 32
"""Frames taken in one service. A 500 kbit/s bus brings at most about 23 full frames in 5 ms."""

SDO_TIMEOUT_NS = 50 * MS
SDO_REPEATS = 3
BOOT_TIMEOUT_NS = 1000 * MS
RESET_GUARD_NS = 50 * MS
"""A heartbeat younger than this after a reset command may have been sent before the node obeyed it."""

START_TIMEOUT_NS = 250 * MS
START_REPEATS = 3
MISSED_HEARTBEATS = 3
BACKOFF_MIN_NS = 100 * MS
BACKOFF_MAX_NS = 5000 * MS
EMERGENCIES_KEPT = 16

# Identity and device type, docs/protocols/valve-node.md.
DEVICE_TYPE = 0x0002_0191
VENDOR = 0
PRODUCT = 0x5149_4B56
REVISION = 1

_ARM_INDEX = 0x2100
_FLAG_ARMED = 0x01
_FLAG_ENABLED = 0x02
_FLAG_HEARTBEAT_SEEN = 0x04
_FLAG_SCHEDULE_RUNNING = 0x08
_STATE = struct.Struct("<BBBBHxx")


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What the board says of one node: the body nozzle that each output drives, in output order."""

    nozzles: Annotated[list[int], Meta(min_length=1, max_length=OUTPUTS)]


@dataclass(frozen=True, slots=True)
class PulseRules:
    """Rules that the nodes hold for every pulse, and the heartbeat times, all in ms.

    Raises:
        ValueError: a value that its object (2101h..2105h, 1016h, 1017h) cannot carry, or a consumer heartbeat that
            two of the flight computer's heartbeats do not fit into.
    """

    window_ms: int
    min_on_ms: int
    min_off_ms: int
    max_burn_ms: int
    cooldown_ms: int
    consumer_heartbeat_ms: int = 100
    producer_heartbeat_ms: int = 100

    def __post_init__(self) -> None:
        if not 50 <= self.window_ms <= 250:
            raise ValueError(f"window of {self.window_ms} ms is not in 50..250")
        for name, value, limit in (
            ("min_on_ms", self.min_on_ms, 0xFF), ("min_off_ms", self.min_off_ms, 0xFF),
            ("max_burn_ms", self.max_burn_ms, 0xFFFF), ("cooldown_ms", self.cooldown_ms, 0xFFFF),
            ("consumer_heartbeat_ms", self.consumer_heartbeat_ms, 0xFFFF),
        ):
            if not 0 <= value <= limit:
                raise ValueError(f"{name} of {value} is not in 0..{limit}")
        if not 1 <= self.producer_heartbeat_ms <= 0xFFFF:
            raise ValueError(f"producer_heartbeat_ms of {self.producer_heartbeat_ms} is not in 1..65535")
        if self.consumer_heartbeat_ms * MS < 2 * HEARTBEAT_PERIOD_NS:
            raise ValueError(f"consumer_heartbeat_ms of {self.consumer_heartbeat_ms} leaves no late heartbeat room")


@dataclass(frozen=True, slots=True)
class NodeState:
    """TPDO1 of a node: outputs driven now (bit n is output n), flags, counts."""

    outputs: int
    flags: int
    rejected_pulses: int
    error_register: int
    windows_started: int


def decode_state(data: bytes) -> NodeState | Rejection:
    """TPDO1: what the node says of itself."""
    if len(data) != _STATE.size:
        return Rejection.WRONG_LENGTH
    outputs, flags, rejected, register, windows = _STATE.unpack(data)
    return NodeState(outputs, flags, rejected, register, windows)


def decode_on_times(data: bytes) -> tuple[int, ...] | Rejection:
    """TPDO2: ms that each of the eight outputs was driven in the window that ended."""
    return tuple(data) if len(data) == OUTPUTS else Rejection.WRONG_LENGTH


def _raising(decode: Callable[[bytes], object], data: bytes) -> object:
    """A decoder of this bus as others call it: the bus itself counts rejections and catches nothing."""
    value = decode(data)
    if isinstance(value, Rejection):
        cause = Cause.SHORT_READ if value is Rejection.WRONG_LENGTH else Cause.PROTOCOL
        raise NOWHERE.error(cause, str(value.value))
    return value


CODECS = (
    Codec("TPDO1, state", partial(_raising, decode_state), 8),
    Codec("TPDO2, on-times", partial(_raising, decode_on_times), 8),
    Codec("heartbeat", partial(_raising, decode_heartbeat), 1),
    Codec("EMCY", partial(_raising, partial(decode_emergency, t_ns=0)), 8),
)


@dataclass(frozen=True, slots=True)
class ObjectStep:
    """One access in a list of set-up steps. A read compares with ``value`` unless that is ``None``."""

    index: int
    subindex: int
    size: int
    value: int | None
    write: bool = False


def identity_steps() -> tuple[ObjectStep, ...]:
    """What must be read before anything is written: device type and identity; the serial number is only kept."""
    return (
        ObjectStep(0x1000, 0, 4, DEVICE_TYPE),
        ObjectStep(0x1018, 1, 4, VENDOR),
        ObjectStep(0x1018, 2, 4, PRODUCT),
        ObjectStep(0x1018, 3, 4, REVISION),
        ObjectStep(0x1018, 4, 4, None),
    )


def configuration_steps(rules: PulseRules) -> tuple[ObjectStep, ...]:
    """What is written, each followed by its read-back. Disarm comes first; the heartbeats last, as 1016h may bite."""
    writes = (
        (_ARM_INDEX, 0, 1, 0),
        (0x2101, 0, 1, rules.window_ms),
        (0x2102, 0, 1, rules.min_on_ms),
        (0x2103, 0, 1, rules.min_off_ms),
        (0x2104, 0, 2, rules.max_burn_ms),
        (0x2105, 0, 2, rules.cooldown_ms),
        (0x6206, 1, 1, 0xFF),
        (0x6207, 1, 1, 0x00),
        (0x1017, 0, 2, rules.producer_heartbeat_ms),
        (0x1016, 1, 4, consumer_heartbeat(FLIGHT_COMPUTER_ID, rules.consumer_heartbeat_ms)),
    )
    steps: list[ObjectStep] = []
    for index, subindex, size, value in writes:
        steps.append(ObjectStep(index, subindex, size, value, write=True))
        steps.append(ObjectStep(index, subindex, size, value))
    return tuple(steps)


@unique
class SetupState(Enum):
    """Where a node is on its way to taking pulses."""

    BACKOFF = "backoff"
    """Nothing is asked until a timer ends."""
    BOOT = "boot"
    """Reset was commanded; waits for the boot-up message or a heartbeat."""
    IDENTITY = "identity"
    CONFIGURE = "configure"
    START = "start"
    """NMT start was sent; waits for a sign that the node is operational."""
    OPERATIONAL = "operational"
    HELD = "held"
    """The node left operational by itself (it missed our heartbeat); waits until the heartbeat is fed again."""


@unique
class Event(Enum):
    """What moves the set-up machine."""

    EXPIRED = "expired"
    BOOTED = "booted"
    PAUSED = "paused"
    """The node's heartbeat says pre-operational or stopped."""
    RUNNING = "running"
    """The node's heartbeat says operational, or it sends TPDO1."""
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"
    """Three heartbeats of the node are missing."""
    FED = "fed"
    """The flight computer's heartbeat runs."""
    BUS_LOST = "bus_lost"


TRANSITIONS: Mapping[tuple[SetupState, Event], SetupState] = MappingProxyType({
    (SetupState.BACKOFF, Event.EXPIRED): SetupState.BOOT,
    (SetupState.BOOT, Event.PAUSED): SetupState.IDENTITY,
    (SetupState.BOOT, Event.RUNNING): SetupState.IDENTITY,
    (SetupState.BOOT, Event.EXPIRED): SetupState.BACKOFF,
    (SetupState.IDENTITY, Event.DONE): SetupState.CONFIGURE,
    (SetupState.IDENTITY, Event.FAILED): SetupState.BACKOFF,
    (SetupState.CONFIGURE, Event.DONE): SetupState.START,
    (SetupState.CONFIGURE, Event.FAILED): SetupState.BACKOFF,
    (SetupState.START, Event.RUNNING): SetupState.OPERATIONAL,
    (SetupState.START, Event.EXPIRED): SetupState.BACKOFF,
    (SetupState.OPERATIONAL, Event.PAUSED): SetupState.HELD,
    (SetupState.OPERATIONAL, Event.LOST): SetupState.BACKOFF,
    # A disarm that the node does not confirm: the reset disarms it.
    (SetupState.OPERATIONAL, Event.FAILED): SetupState.BOOT,
    (SetupState.HELD, Event.FED): SetupState.CONFIGURE,
    (SetupState.HELD, Event.LOST): SetupState.BACKOFF,
    # From anywhere: a node that booted has forgotten all, a bus that is gone takes every node with it.
    **{(state, Event.BOOTED): SetupState.IDENTITY for state in SetupState},
    **{(state, Event.BUS_LOST): SetupState.BACKOFF for state in SetupState},
})
"""The set-up machine: what is not here does not happen."""

_NMT_EVENTS: Mapping[NmtState, Event] = MappingProxyType({
    NmtState.BOOT_UP: Event.BOOTED,
    NmtState.STOPPED: Event.PAUSED,
    NmtState.PRE_OPERATIONAL: Event.PAUSED,
    NmtState.OPERATIONAL: Event.RUNNING,
})


@dataclass(frozen=True, slots=True)
class SetupFailure:
    """Why a node last fell back: in which state, with which cause, at which object and abort code if there was one."""

    t_ns: int
    state: SetupState
    cause: Cause
    index: int | None = None
    subindex: int | None = None
    abort_code: int | None = None


def _rejections() -> dict[Rejection, int]:
    return dict.fromkeys(Rejection, 0)


@dataclass(slots=True)
class NodeCounters:
    """Counts of one node since start. ``aborts`` is by name of the abort code."""

    rx: int = 0
    heartbeats: int = 0
    heartbeat_losses: int = 0
    resets_seen: int = 0
    """Boot-up messages that no reset command explains: brown-outs."""
    setups: int = 0
    setup_failures: int = 0
    held: int = 0
    emergencies: int = 0
    """EMCY frames, those that report an error as gone (code 0) included."""
    sdo_repeats: int = 0
    sdo_timeouts: int = 0
    sdo_mismatches: int = 0
    arm_refused: int = 0
    arm_failures: int = 0
    disarm_failures: int = 0
    aborts: dict[str, int] = field(default_factory=dict)
    rejected: dict[Rejection, int] = field(default_factory=_rejections)


@dataclass(slots=True)
class BusCounters:
    """Counts of the bus since start. ``rx_limit_hits`` are services that left frames for the next one."""

    rx: int = 0
    tx: int = 0
    rx_limit_hits: int = 0
    plans: int = 0
    losses: int = 0
    errors: dict[Cause, int] = field(default_factory=dict)
    rejected: dict[Rejection, int] = field(default_factory=_rejections)


class ValveNode:
    """One node: its set-up machine, its arming, and what it last said of itself.

    Args:
        node_id: 1..127, not the flight computer's.
        settings: nozzles of the outputs.
        rules: what is written into the node.
        send: takes a frame to the bus; raises DeviceError, which passes through.

    ``state_ns``, ``heartbeat_ns`` and ``on_time_ns`` are the arrival times of the last TPDO1, heartbeat and TPDO2,
    ``None`` before the first.
    """

    def __init__(
        self, node_id: int, settings: Settings, rules: PulseRules, send: Callable[[CanFrame], None]
    ) -> None:
        self.node_id = node_id
        self.nozzles = tuple(settings.nozzles)
        self.counters = NodeCounters()
        self.state = SetupState.BACKOFF
        self.failure: SetupFailure | None = None
        self.emergencies: deque[Emergency] = deque(maxlen=EMERGENCIES_KEPT)
        self.serial: int | None = None
        self.said: NodeState | None = None
        self.state_ns: int | None = None
        self.heartbeat_ns: int | None = None
        self.on_time_ns: int | None = None
        self._send = send
        self._sdo = SdoClient(node_id, send, SDO_TIMEOUT_NS)
        self._steps: Mapping[SetupState, tuple[ObjectStep, ...]] = {
            SetupState.IDENTITY: identity_steps(),
            SetupState.CONFIGURE: configuration_steps(rules),
        }
        self._position = 0
        self._timer_ns = 0
        self._backoff_ns = BACKOFF_MIN_NS
        self._reset_ns = 0
        # Until the first boot-up message: the one of power-on needs no explanation.
        self._reset_pending = True
        self._starts_left = 0
        self._order: bool | None = None
        self._order_reading = False
        self._armed = False
        self._on_time_ms: tuple[int, ...] | None = None
        self._window_counter = 0
        self._heartbeat_ok = False
        self._heartbeat_age_ns = MISSED_HEARTBEATS * rules.producer_heartbeat_ms * MS
        self._heartbeat_due_ns = NEVER_NS
        self._sample: ValveNodeSample | None = None
        self._enter: Mapping[SetupState, Callable[[int], None]] = {
            SetupState.BACKOFF: self._enter_backoff,
            SetupState.BOOT: self._enter_boot,
            SetupState.IDENTITY: self._enter_steps,
            SetupState.CONFIGURE: self._enter_steps,
            SetupState.START: self._enter_start,
            SetupState.OPERATIONAL: self._enter_operational,
            SetupState.HELD: self._enter_held,
        }

    def handlers(self) -> dict[int, Callable[[bytes, int], None]]:
        """Frame id to the method that takes its data and arrival time."""
        return {
            EMCY_BASE + self.node_id: self._on_emergency,
            TPDO1_BASE + self.node_id: self._on_state,
            TPDO2_BASE + self.node_id: self._on_on_times,
            SDO_ANSWER_BASE + self.node_id: self._on_sdo,
            HEARTBEAT_BASE + self.node_id: self._on_heartbeat,
        }

    def sample(self) -> ValveNodeSample:
        """What the node last said, the same object until something changes."""
        sample = self._sample
        if sample is None:
            said = self.said
            flags = 0 if said is None else said.flags
            sample = self._sample = ValveNodeSample(
                node_id=self.node_id,
                operational=self.state is SetupState.OPERATIONAL,
                armed=self._armed,
                enabled=bool(flags & _FLAG_ENABLED),
                heartbeat_ok=self._heartbeat_ok,
                outputs=0 if said is None else said.outputs,
                rejected_pulses=0 if said is None else said.rejected_pulses,
                window_counter=self._window_counter,
                on_time_ms=self._on_time_ms,
                last_emergency=self.emergencies[-1].code if self.emergencies else None,
            )
        return sample

    @property
    def sees_flight_computer(self) -> bool:
        """Whether the node says that it hears the flight computer's heartbeat."""
        return self.said is not None and bool(self.said.flags & _FLAG_HEARTBEAT_SEEN)

    @property
    def schedule_running(self) -> bool:
        """Whether the node says that a window runs."""
        return self.said is not None and bool(self.said.flags & _FLAG_SCHEDULE_RUNNING)

    def service(self, now_ns: int, fed: bool) -> None:
        """Act on what is due. ``fed`` tells whether the flight computer's heartbeat runs. Raises the bus's errors."""
        if now_ns > self._heartbeat_due_ns:
            self._lose_heartbeat(now_ns)
        if now_ns >= self._sdo.due_ns:
            outcome = self._sdo.on_time(now_ns)
            self.counters.sdo_repeats = self._sdo.repeats
            if outcome is not None:
                self.counters.sdo_timeouts += 1
                self._on_outcome(outcome, now_ns)
        if now_ns >= self._timer_ns:
            self._on_timer(now_ns)
        if fed and self.state is SetupState.HELD:
            self._fire(Event.FED, now_ns)

    def order(self, armed: bool, now_ns: int) -> None:
        """Arm or disarm at the next service; replaces an order that is under way.

        Arming a node that is not operational is refused and counted. Such a node is disarmed already, or will be by
        the reset or the first write of its set-up; disarming it has nothing to add.
        """
        if self.state is not SetupState.OPERATIONAL:
            self.counters.arm_refused += armed
            return
        if self._order is armed:
            return
        self._sdo.cancel()
        self._order = armed
        self._timer_ns = now_ns

    def bus_lost(self, now_ns: int, until_ns: int) -> None:
        """Forget the way so far and begin with a reset once the bus is tried again."""
        self._heartbeat_ok = False
        self._heartbeat_due_ns = NEVER_NS
        self._fire(Event.BUS_LOST, now_ns)
        self._backoff_ns = BACKOFF_MIN_NS
        self._timer_ns = until_ns

    # --- the machine ------------------------------------------------------------------------------------------------

    def _fire(self, event: Event, now_ns: int) -> bool:
        target = TRANSITIONS.get((self.state, event))
        if target is None:
            return False
        self.state = target
        self._sample = None
        self._sdo.cancel()
        self._order = None
        self._timer_ns = NEVER_NS
        self._enter[target](now_ns)
        return True

    def _fail(self, event: Event, failure: SetupFailure) -> None:
        self.failure = failure
        self.counters.setup_failures += 1
        self._fire(event, failure.t_ns)

    def _enter_backoff(self, now_ns: int) -> None:
        self._timer_ns = now_ns + self._backoff_ns
        self._backoff_ns = min(2 * self._backoff_ns, BACKOFF_MAX_NS)

    def _enter_boot(self, now_ns: int) -> None:
        self._forget()
        self._reset_ns = now_ns
        self._reset_pending = True
        self._timer_ns = now_ns + BOOT_TIMEOUT_NS
        self._send(encode_nmt(NmtCommand.RESET_NODE, self.node_id))

    def _enter_steps(self, now_ns: int) -> None:
        self._position = 0
        self._next_step(now_ns)

    def _enter_start(self, now_ns: int) -> None:
        self._starts_left = START_REPEATS
        self._send_start(now_ns)

    def _enter_operational(self, _now_ns: int) -> None:
        self.counters.setups += 1
        self._backoff_ns = BACKOFF_MIN_NS

    def _enter_held(self, _now_ns: int) -> None:
        # A node that is not operational drives nothing and takes no pulses; it sends no TPDO1 to say so.
        self.counters.held += 1
        self._armed = False
        if self.said is not None:
            flags = self.said.flags & ~(_FLAG_ARMED | _FLAG_SCHEDULE_RUNNING)
            self.said = NodeState(
                0, flags, self.said.rejected_pulses, self.said.error_register, self.said.windows_started
            )

    def _forget(self) -> None:
        self.said = None
        self._armed = False
        self._on_time_ms = None
        self._sample = None

    def _send_start(self, now_ns: int) -> None:
        self._timer_ns = now_ns + START_TIMEOUT_NS
        self._send(encode_nmt(NmtCommand.START, self.node_id))

    def _on_timer(self, now_ns: int) -> None:
        state = self.state
        if state is SetupState.OPERATIONAL:
            self._timer_ns = NEVER_NS
            self._write_order(now_ns)
        elif state is SetupState.START and self._starts_left > 0:
            self._starts_left -= 1
            self._send_start(now_ns)
        elif state is SetupState.BACKOFF:
            self._fire(Event.EXPIRED, now_ns)
        else:
            cause = Cause.SILENT if state is SetupState.BOOT else Cause.TIMEOUT
            self._fail(Event.EXPIRED, SetupFailure(now_ns, state, cause))

    def _lose_heartbeat(self, now_ns: int) -> None:
        self._heartbeat_ok = False
        self._heartbeat_due_ns = NEVER_NS
        self._sample = None
        if (self.state, Event.LOST) in TRANSITIONS:
            self.counters.heartbeat_losses += 1
            self._fail(Event.LOST, SetupFailure(now_ns, self.state, Cause.SILENT))

    # --- lists of objects -------------------------------------------------------------------------------------------

    def _next_step(self, now_ns: int) -> None:
        steps = self._steps[self.state]
        if self._position == len(steps):
            self._fire(Event.DONE, now_ns)
            return
        step = steps[self._position]
        if step.write and step.value is not None:
            self._sdo.write(now_ns, step.index, step.subindex, step.value, step.size, SDO_REPEATS)
        else:
            self._sdo.read(now_ns, step.index, step.subindex, step.size, SDO_REPEATS)

    def _on_step(self, outcome: SdoOutcome, now_ns: int) -> None:
        step = self._steps[self.state][self._position]
        cause = self._judge(step, outcome)
        if cause is not None:
            self._fail(Event.FAILED, SetupFailure(
                now_ns, self.state, cause, outcome.index, outcome.subindex, outcome.abort_code
            ))
            return
        if step.index == 0x1018 and step.subindex == 4:
            self.serial = outcome.value
        self._position += 1
        self._next_step(now_ns)

    def _judge(self, step: ObjectStep, outcome: SdoOutcome) -> Cause | None:
        if outcome.status is SdoStatus.TIMED_OUT:
            return Cause.TIMEOUT
        if outcome.status is SdoStatus.ABORTED:
            return Cause.PROTOCOL
        if step.write or step.value is None or outcome.value == step.value:
            return None
        self.counters.sdo_mismatches += 1
        return Cause.WRONG_ID if self.state is SetupState.IDENTITY else Cause.PROTOCOL

    # --- arming -----------------------------------------------------------------------------------------------------

    def _write_order(self, now_ns: int) -> None:
        armed = bool(self._order)
        self._order_reading = False
        # To arm is never repeated blindly; to disarm may be.
        self._sdo.write(now_ns, _ARM_INDEX, 0, int(armed), 1, 0 if armed else SDO_REPEATS)

    def _on_order(self, outcome: SdoOutcome, now_ns: int) -> None:
        order = self._order
        status = outcome.status
        if self._order_reading:
            if status is SdoStatus.DONE and outcome.value == order:
                self._armed = bool(order)
                self._order = None
                self._sample = None
                return
            self.counters.sdo_mismatches += status is SdoStatus.DONE
        elif status is SdoStatus.DONE or (order and status is SdoStatus.TIMED_OUT):
            # An arm whose answer was lost may have been obeyed: what the node says decides.
            self._order_reading = True
            self._sdo.read(now_ns, _ARM_INDEX, 0, 1, SDO_REPEATS)
            return
        self._fail_order(outcome, now_ns)

    def _fail_order(self, outcome: SdoOutcome, now_ns: int) -> None:
        order, self._order = self._order, None
        if order:
            self.counters.arm_failures += 1
            return
        self.counters.disarm_failures += 1
        cause = Cause.TIMEOUT if outcome.status is SdoStatus.TIMED_OUT else Cause.PROTOCOL
        self._fail(Event.FAILED, SetupFailure(
            now_ns, self.state, cause, outcome.index, outcome.subindex, outcome.abort_code
        ))

    # --- frames from the node ---------------------------------------------------------------------------------------

    def _on_heartbeat(self, data: bytes, now_ns: int) -> None:
        self.counters.rx += 1
        nmt_state = decode_heartbeat(data)
        if isinstance(nmt_state, Rejection):
            self.counters.rejected[nmt_state] += 1
            return
        self.counters.heartbeats += 1
        self.heartbeat_ns = now_ns
        self._heartbeat_due_ns = now_ns + self._heartbeat_age_ns
        if not self._heartbeat_ok:
            self._heartbeat_ok = True
            self._sample = None
        event = _NMT_EVENTS[nmt_state]
        if event is Event.BOOTED:
            self.counters.resets_seen += not self._reset_pending
            self._reset_pending = False
            self._forget()
        elif self.state is SetupState.BOOT and now_ns - self._reset_ns < RESET_GUARD_NS:
            return
        self._fire(event, now_ns)

    def _on_state(self, data: bytes, now_ns: int) -> None:
        self.counters.rx += 1
        said = decode_state(data)
        if isinstance(said, Rejection):
            self.counters.rejected[said] += 1
            return
        self.said = said
        self.state_ns = now_ns
        self._armed = bool(said.flags & _FLAG_ARMED)
        self._sample = None
        if self.state is SetupState.START:
            # PDOs are sent in operational only (CiA 301 7.3.2.2.4), so this is earlier news than the heartbeat.
            self._fire(Event.RUNNING, now_ns)

    def _on_on_times(self, data: bytes, now_ns: int) -> None:
        self.counters.rx += 1
        times = decode_on_times(data)
        if isinstance(times, Rejection):
            self.counters.rejected[times] += 1
            return
        self._on_time_ms = times[: len(self.nozzles)]
        self.on_time_ns = now_ns
        self._window_counter += 1
        self._sample = None

    def _on_emergency(self, data: bytes, now_ns: int) -> None:
        self.counters.rx += 1
        emergency = decode_emergency(data, now_ns)
        if isinstance(emergency, Rejection):
            self.counters.rejected[emergency] += 1
            return
        self.emergencies.append(emergency)
        self.counters.emergencies += 1
        self._sample = None

    def _on_sdo(self, data: bytes, now_ns: int) -> None:
        self.counters.rx += 1
        outcome = self._sdo.on_answer(data)
        if isinstance(outcome, Rejection):
            self.counters.rejected[outcome] += 1
            return
        if outcome.abort_code is not None:
            name = abort_name(outcome.abort_code)
            self.counters.aborts[name] = self.counters.aborts.get(name, 0) + 1
        self._on_outcome(outcome, now_ns)

    def _on_outcome(self, outcome: SdoOutcome, now_ns: int) -> None:
        if self.state is SetupState.OPERATIONAL:
            self._on_order(outcome, now_ns)
        else:
            self._on_step(outcome, now_ns)


class ValveBus:
    """All valve nodes of one CAN bus, as the propulsion plane sees them. The bus has no other owner.

    Args:
        bus: transport.
        nodes: (node id, settings) of every node.
        window_ms, min_on_ms, min_off_ms, max_burn_ms, cooldown_ms: pulse rules of the body, written into the nodes.
        consumer_heartbeat_ms: how long a node waits for the flight computer's heartbeat before it shuts.
        producer_heartbeat_ms: how often a node must send its own.

    Attributes:
        heartbeat: while true, the flight computer's heartbeat is sent every 40 ms. False at start; without it the nodes
            shut, disarm and leave operational, and are set up again once it runs again.
        nodes: node id to :class:`ValveNode`, for counters, times and set-up state.
        counters: of the bus.

    Raises:
        ValueError: ids that repeat or are impossible, a nozzle driven twice, a rule out of range.
    """

    def __init__(
        self,
        bus: CanBus,
        nodes: Sequence[tuple[int, Settings]],
        *,
        window_ms: int,
        min_on_ms: int,
        min_off_ms: int,
        max_burn_ms: int,
        cooldown_ms: int,
        consumer_heartbeat_ms: int = 100,
        producer_heartbeat_ms: int = 100,
    ) -> None:
        self.rules = PulseRules(
            window_ms, min_on_ms, min_off_ms, max_burn_ms, cooldown_ms, consumer_heartbeat_ms, producer_heartbeat_ms
        )
        _check_nodes(nodes)
        self.name = bus.name
        self.heartbeat = False
        self.counters = BusCounters()
        self.nodes: Mapping[int, ValveNode] = MappingProxyType({
            node_id: ValveNode(node_id, settings, self.rules, self._send) for node_id, settings in nodes
        })
        self._bus = bus
        self._window_ms = window_ms
        self._serviced = tuple(self.nodes.values())
        self._handlers: dict[int, Callable[[bytes, int], None]] = {
            HEARTBEAT_BASE + FLIGHT_COMPUTER_ID: self._on_own_id
        }
        for node in self._serviced:
            self._handlers.update(node.handlers())
        self._own_heartbeat = heartbeat_frame(FLIGHT_COMPUTER_ID, NmtState.OPERATIONAL)
        self._shut_frames = tuple((node_id, CanFrame(RPDO1_BASE + node_id, b"\x00")) for node_id in self.nodes)
        self._nozzles = 1 + max(max(node.nozzles) for node in self._serviced)
        # Outputs without a nozzle take the entry -1: a zero is put behind the plan's last.
        self._picks = tuple(
            (
                itemgetter(*node.nozzles, *(-1,) * (OUTPUTS - len(node.nozzles))),
                RPDO2_BASE + node.node_id,
                RPDO3_BASE + node.node_id,
            )
            for node in self._serviced
        )
        self._now_ns = 0
        self._heartbeat_due_ns = 0
        self._retry_ns = 0
        self._backoff_ns = BACKOFF_MIN_NS
        self._lost_by = Cause.BUS_OFF

    def service(self, now_ns: int) -> None:
        """Take what arrived, send the heartbeat, advance every node; once a fast tick. Never raises for the wire.

        An error of the bus is counted by its cause; the bus then sits out 0.1..5 s and every node begins with a reset.
        """
        self._now_ns = now_ns
        if now_ns < self._retry_ns:
            return
        try:
            if self.heartbeat and now_ns >= self._heartbeat_due_ns:
                following = self._heartbeat_due_ns + HEARTBEAT_PERIOD_NS
                self._heartbeat_due_ns = following if following > now_ns else now_ns + HEARTBEAT_PERIOD_NS
                self._send(self._own_heartbeat)
            self._receive(now_ns)
            fed = self.heartbeat
            for node in self._serviced:
                node.service(now_ns, fed)
        except DeviceError as error:
            self._lose_bus(error.cause, now_ns)

    def arm(self, now_ns: int) -> None:
        """Ask every node to take pulses; seen in the samples. A node that is not operational refuses, counted."""
        for node in self._serviced:
            node.order(True, now_ns)

    def disarm(self, now_ns: int) -> None:
        """Ask every node to take none. A node that does not confirm is reset."""
        for node in self._serviced:
            node.order(False, now_ns)

    def send_plan(self, open_ms: Sequence[int], close_ms: Sequence[int]) -> None:
        """Send the times of one window to every node, then SYNC, which starts it.

        Args:
            open_ms: ms after SYNC at which each nozzle opens, in body order.
            close_ms: ms at which it closes; the same as ``open_ms`` for no pulse.

        Raises:
            DeviceError: PROTOCOL for a value outside 0..window or too few of them, nothing was sent then; the bus's
                cause if it refused a frame or sits out: no SYNC was sent then.
        """
        count = len(open_ms)
        window = self._window_ms
        if count < self._nozzles or len(close_ms) != count:
            raise DeviceError(self.name, None, Cause.PROTOCOL, "plan does not fit the nozzles")
        if min(open_ms) < 0 or max(open_ms) > window or min(close_ms) < 0 or max(close_ms) > window:
            raise DeviceError(self.name, None, Cause.PROTOCOL, "pulse time outside the window")
        if self._now_ns < self._retry_ns:
            raise DeviceError(self.name, None, self._lost_by, "bus sits out")
        opens = (*open_ms, 0)
        closes = (*close_ms, 0)
        send = self._bus.send
        try:
            for pick, open_id, close_id in self._picks:
                send(CanFrame(open_id, bytes(pick(opens))))
                send(CanFrame(close_id, bytes(pick(closes))))
            send(SYNC_FRAME)
        except DeviceError as error:
            self._lose_bus(error.cause, self._now_ns)
            raise
        self.counters.tx += 2 * len(self._picks) + 1
        self.counters.plans += 1

    def shut(self, now_ns: int) -> None:
        """Shut every valve of every node now (6200h = 0 by RPDO1), whatever state the driver is in.

        Raises:
            DeviceError: the first error, after every node was tried.
        """
        first: DeviceError | None = None
        for node_id, frame in self._shut_frames:
            try:
                self._send(frame)
            except DeviceError as error:
                self._lose_bus(error.cause, now_ns)
                if first is None:
                    first = DeviceError(self.name, node_id, error.cause, "shut was not sent")
        if first is not None:
            raise first

    def node(self, node_id: int) -> ValveNodeSample:
        """What a node last said; its arrival times are in ``nodes``. KeyError for an id the board does not name."""
        return self.nodes[node_id].sample()

    def _send(self, frame: CanFrame) -> None:
        self._bus.send(frame)
        self.counters.tx += 1

    def _receive(self, now_ns: int) -> None:
        receive = self._bus.receive
        taken = 0
        while taken < RECEIVE_LIMIT:
            frame = receive()
            if frame is None:
                break
            taken += 1
            self._dispatch(frame, now_ns)
        else:
            self.counters.rx_limit_hits += 1
        if taken:
            self.counters.rx += taken
            self._backoff_ns = BACKOFF_MIN_NS

    def _dispatch(self, frame: CanFrame, now_ns: int) -> None:
        if frame.extended:
            self.counters.rejected[Rejection.EXTENDED_ID] += 1
            return
        handler = self._handlers.get(frame.can_id)
        if handler is None:
            self.counters.rejected[Rejection.UNKNOWN_ID] += 1
            return
        handler(frame.data, now_ns)

    def _on_own_id(self, _data: bytes, _now_ns: int) -> None:
        self.counters.rejected[Rejection.OWN_ID] += 1

    def _lose_bus(self, cause: Cause, now_ns: int) -> None:
        self.counters.errors[cause] = self.counters.errors.get(cause, 0) + 1
        if now_ns < self._retry_ns:
            return
        self.counters.losses += 1
        self._lost_by = cause
        self._retry_ns = now_ns + self._backoff_ns
        self._backoff_ns = min(2 * self._backoff_ns, BACKOFF_MAX_NS)
        for node in self._serviced:
            node.bus_lost(now_ns, self._retry_ns)


def _check_nodes(nodes: Sequence[tuple[int, Settings]]) -> None:
    ids = [node_id for node_id, _ in nodes]
    if not ids or len(set(ids)) != len(ids):
        raise ValueError(f"node ids {ids} are none or repeat")
    for node_id, settings in nodes:
        if not 1 <= node_id <= 127 or node_id == FLIGHT_COMPUTER_ID:
            raise ValueError(f"node id {node_id} is not in 1..127 or is the flight computer's")
        if not 1 <= len(settings.nozzles) <= OUTPUTS:
            raise ValueError(f"node {node_id} drives {len(settings.nozzles)} nozzles, not 1..{OUTPUTS}")
    nozzles = [nozzle for _, settings in nodes for nozzle in settings.nozzles]
    if len(set(nozzles)) != len(nozzles) or min(nozzles) < 0:
        raise ValueError(f"nozzles {nozzles} repeat or are negative")
