"""Twin of a CAN bus: every frame reaches every node and the flight computer in the same order in every run.

Frames take no time and are never disturbed unless a fault is injected. What a node sends stands in the flight
computer's receive queue at once; other nodes hear it as soon as the node that is speaking has finished its instant.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np

from drivers.bus.protocol import CanFrame
from drivers.errors import Cause, DeviceError
from hil.faults import ActiveFault, Fault, FaultKind, FaultSet

__all__ = ["CanNode", "SimCanBus"]

_KINDS = frozenset({FaultKind.SILENCE, FaultKind.BIT_FLIP, FaultKind.BUS_OFF, FaultKind.TIMEOUT})
_ON_THE_WIRE = frozenset({FaultKind.SILENCE, FaultKind.BIT_FLIP})


class CanNode(Protocol):
    """A chip on the bus.

    ``next_event_ns`` is the instant before which nothing happens inside it; ``advance`` must move it on.
    """

    node_id: int
    next_event_ns: int

    def connect(self, transmit: Callable[[CanFrame, int], None]) -> None:
        """Take the function that puts a frame on the bus at an instant, ns."""

    def receive(self, frame: CanFrame, t_ns: int) -> None:
        """Hear one frame."""

    def advance(self, t_ns: int) -> None:
        """Do all that is due until and at ``t_ns``."""


def _concerns(frame: CanFrame, node_id: int) -> bool:
    """Whether a node listens to such a frame in CANopen's predefined connection set (CiA 301, 7.3.5)."""
    can_id = frame.can_id
    return can_id < 0x100 or can_id & 0x7F == node_id or can_id & 0x780 == 0x700 or frame.extended


class SimCanBus:
    """One CAN bus seen from the flight computer's controller. Implements drivers.bus.protocol.CanBus.

    Faults, with ``address`` a node id or None for the whole bus:

    * SILENCE: frames are lost without a sign; of one node what it sends and hears, of the whole bus everything. A
      probability below 1 drops single frames.
    * BIT_FLIP: one data bit of a frame arrives changed; frames without data are not hit.
    * BUS_OFF: the flight computer's controller leaves the bus at its next call, hears nothing and raises BUS_OFF
      until :meth:`reopen` or until the fault is cleared. A fault without ``count`` throws it off again.
    * TIMEOUT: ``send`` finds the transmit queue full; with an address, only for frames to that node.

    Args:
        name: name of the bus in the board description.
        rng: needed for faults that leave something to chance.
        queue_limit: frames that the flight computer's receive queue holds.

    Attributes:
        now_ns: simulated time at which frames are sent; set by the rig, itself or through :meth:`advance`.
        sent: frames that the flight computer put on the bus.
        received: frames from nodes that entered the receive queue.
        dropped: frames from nodes that found the receive queue full and are lost.
        queue_high: most frames the receive queue ever held; may be set back.
    """

    def __init__(self, name: str, rng: np.random.Generator | None = None, queue_limit: int = 256) -> None:
        if queue_limit < 1:
            raise ValueError(f"{name}: a receive queue of {queue_limit} frames holds nothing")
        self.name = name
        self.now_ns = 0
        self.sent = self.received = self.dropped = self.queue_high = 0
        self._limit = queue_limit
        self._queue: deque[CanFrame] = deque()
        self._nodes: list[CanNode] = []
        self._overheard: deque[tuple[CanNode, CanFrame, int]] = deque()
        self._faults = FaultSet(name, _KINDS, rng)
        self._active = self._faults.active
        self._off = False

    # -- flight computer's side

    def send(self, frame: CanFrame) -> None:
        """See drivers.bus.protocol.CanBus. ValueError for a frame that classic CAN cannot carry."""
        if len(frame.data) > 8 or not 0 <= frame.can_id <= (0x1FFFFFFF if frame.extended else 0x7FF):
            raise ValueError(f"{self.name}: id {frame.can_id:x}h with {len(frame.data)} bytes is no classic CAN frame")
        if self._off or self._active:
            self._refuse_off()
            self._refuse_full(frame)
            self.sent += 1
            disturbed = self._disturb(frame, None)
            if disturbed is None:
                return
            frame = disturbed
        else:
            self.sent += 1
        now = self.now_ns
        if self._overheard:
            self._spread()
        for node in self._nodes:
            self._hand(node, frame, now)
        if self._overheard:
            self._spread()

    def receive(self) -> CanFrame | None:
        """See drivers.bus.protocol.CanBus."""
        if self._off or self._active:
            self._refuse_off()
        return self._queue.popleft() if self._queue else None

    def reopen(self) -> None:
        """See drivers.bus.protocol.ReopenableBus. The controller is on the bus again, its, receive queue empty."""
        self._off = False
        self._queue.clear()

    # -- rig's side

    @property
    def bus_off(self) -> bool:
        """Whether the flight computer's controller is off the bus."""
        return self._off

    def attach(self, node: CanNode) -> None:
        """Put a node on the bus. ValueError for a node id that is taken."""
        if any(other.node_id == node.node_id for other in self._nodes):
            raise ValueError(f"{self.name}: node id {node.node_id:#04x} is taken")
        self._nodes.append(node)

        def transmit(frame: CanFrame, t_ns: int) -> None:
            self._from_node(node, frame, t_ns)

        node.connect(transmit)

    def advance(self, t_ns: int) -> None:
        """Bring every node to ``t_ns``, events of all nodes in time order. ValueError if time would run backwards."""
        if t_ns < self.now_ns:
            raise ValueError(f"{self.name}: time would run from {self.now_ns} back to {t_ns} ns")
        nodes = self._nodes
        if self._overheard:
            self._spread()
        while True:
            due = t_ns + 1
            first = None
            for node in nodes:
                if node.next_event_ns < due:
                    due = node.next_event_ns
                    first = node
            if first is None:
                break
            first.advance(due)
            if self._overheard:
                self._spread()
        for node in nodes:
            node.advance(t_ns)
        self.now_ns = t_ns

    def inject(self, fault: Fault) -> ActiveFault:
        """Start a fault. ValueError for a kind that CAN cannot show, or for chance without a generator."""
        self._spread()  # what was sent before the fault is not hit by it
        return self._faults.inject(fault)

    def clear(self, handle: ActiveFault | None = None) -> None:
        """End one fault, or all with None; ends bus-off if that was its work."""
        self._spread()
        self._faults.clear(handle)
        if handle is None or handle.fault.kind is FaultKind.BUS_OFF:
            self._off = False

    # -- inside

    def _from_node(self, node: CanNode, frame: CanFrame, t_ns: int) -> None:
        if self._active:
            disturbed = self._disturb(frame, None)
            if disturbed is not None:
                disturbed = self._disturb(disturbed, node.node_id)
            if disturbed is None:
                return
            frame = disturbed
        if len(self._nodes) > 1:
            self._overheard.append((node, frame, t_ns))
        if self._off:
            return
        waiting = len(self._queue)
        if waiting >= self._limit:
            self.dropped += 1
            return
        self._queue.append(frame)
        self.received += 1
        if waiting >= self.queue_high:
            self.queue_high = waiting + 1

    def _spread(self) -> None:
        """Let the other nodes hear what nodes have sent, oldest first."""
        overheard = self._overheard
        while overheard:
            source, frame, t_ns = overheard.popleft()
            for node in self._nodes:
                if node is not source:
                    self._hand(node, frame, t_ns)

    def _hand(self, node: CanNode, frame: CanFrame, t_ns: int) -> None:
        if self._active and _concerns(frame, node.node_id):
            disturbed = self._disturb(frame, node.node_id)
            if disturbed is None:
                return
            frame = disturbed
        node.receive(frame, t_ns)

    def _disturb(self, frame: CanFrame, node_id: int | None) -> CanFrame | None:
        """The frame after the faults of one node's link, or of the whole bus; None when it is lost."""
        hits: list[ActiveFault] = []
        for handle in tuple(self._active):
            fault = handle.fault
            if fault.kind not in _ON_THE_WIRE or fault.address != node_id:
                continue
            if fault.kind is FaultKind.BIT_FLIP and not frame.data:
                continue
            if self._faults.strike(handle):
                if fault.kind is FaultKind.SILENCE:
                    return None
                hits.append(handle)
        if not hits:
            return frame
        return frame._replace(data=self._faults.corrupt(hits, frame.data, (frame.can_id,)))

    def _refuse_off(self) -> None:
        if not self._off:
            for handle in tuple(self._active):
                if handle.fault.kind is FaultKind.BUS_OFF and self._faults.strike(handle):
                    self._off = True
                    self._queue.clear()
                    break
        if self._off:
            raise DeviceError(self.name, None, Cause.BUS_OFF, "injected")

    def _refuse_full(self, frame: CanFrame) -> None:
        node_id = None if frame.extended or frame.can_id < 0x80 else frame.can_id & 0x7F or None
        for handle in tuple(self._active):
            fault = handle.fault
            if fault.kind is FaultKind.TIMEOUT and fault.address in (None, node_id) and self._faults.strike(handle):
                raise DeviceError(self.name, node_id, Cause.TIMEOUT, "transmit queue full")
