"""Propulsion plane: pulse plans in, what the valve nodes say of themselves out.

Nothing here judges a plan; that is done above, by fdir's final gate. A node that does not answer, or is not armed,
shows in the state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from drivers.errors import DeviceError
from drivers.samples import ValveNodeSample

__all__ = ["BoardPropulsionPlane", "PropulsionPlane", "PropulsionState", "PulsePlan", "ValveDriver"]


@dataclass(frozen=True, slots=True)
class PulsePlan:
    """Pulses of one window, ms after its start, one entry a nozzle in body order.

    ``open_ms[n] == close_ms[n]`` means no pulse. ``close_ms[n] == window_ms`` means open at the window's end; the
    valve then shuts unless the next plan opens it at 0.
    """

    window_ms: int
    open_ms: tuple[int, ...]
    close_ms: tuple[int, ...]

    @property
    def on_ms(self) -> tuple[int, ...]:
        """Driven time of each nozzle in this window."""
        return tuple(close - open_ for open_, close in zip(self.open_ms, self.close_ms, strict=True))

    @staticmethod
    def shut(count: int, window_ms: int) -> PulsePlan:
        """A plan without pulses."""
        zeros = (0,) * count
        return PulsePlan(window_ms, zeros, zeros)


@dataclass(frozen=True, slots=True)
class PropulsionState:
    """The valve nodes at one instant. ``on_ms`` is what was really driven in the last finished window, body order;
    ``None`` for a nozzle whose node has not said so."""

    ready: bool
    armed: bool
    enabled: bool
    window_counter: int
    on_ms: tuple[int | None, ...]
    nodes: tuple[ValveNodeSample, ...]

    @property
    def some_ready(self) -> bool:
        """Whether at least one node is set up."""
        return any(node.operational for node in self.nodes)

    @property
    def some_unarmed(self) -> bool:
        """Whether a node that is set up takes no pulses: it was reset, or has not been asked yet."""
        return any(node.operational and not node.armed for node in self.nodes)


class ValveDriver(Protocol):
    """The driver of all valve nodes of one bus (drivers/cia401_valves.py)."""

    heartbeat: bool

    def service(self, now_ns: int) -> None:
        """Take what arrived, advance set-up, send the heartbeat."""

    def arm(self, now_ns: int) -> None:
        """Ask every node to take pulses."""

    def disarm(self, now_ns: int) -> None:
        """Ask every node to take none."""

    def send_plan(self, open_ms: Sequence[int], close_ms: Sequence[int]) -> None:
        """Send a window's times to every node and start it."""

    def shut(self, now_ns: int) -> None:
        """Shut every valve now."""

    def node(self, node_id: int) -> ValveNodeSample:
        """What a node last said."""


class PropulsionPlane(Protocol):
    """What the gate drives and the monitors read."""

    def service(self, now_ns: int) -> None:
        """Serve the nodes; once a fast tick."""

    def command(self, plan: PulsePlan) -> bool:
        """Start a window; returns whether the bus took it."""

    def shut(self, now_ns: int) -> None:
        """Shut every valve now, without waiting for the shortest pulse."""

    def state(self) -> PropulsionState:
        """The nodes at this instant."""


class BoardPropulsionPlane:
    """Propulsion plane over CANopen valve nodes.

    Args:
        driver: the valve bus.
        nodes: (node id, nozzles it drives, in output order).
        nozzle_count: nozzles of the body.
    """

    def __init__(self, driver: ValveDriver, nodes: Sequence[tuple[int, Sequence[int]]], nozzle_count: int) -> None:
        self._driver = driver
        self._nodes = tuple((node_id, tuple(nozzles)) for node_id, nozzles in nodes)
        self._count = nozzle_count
        self._armed = False
        self.failures: Counter[str] = Counter()
        self.windows = 0

    @property
    def armed(self) -> bool:
        """Whether arming was asked for and not withdrawn."""
        return self._armed

    def unavailable(self) -> int:
        """Mask of the nozzles whose node takes no pulses now: silent, being set up, or not armed."""
        mask = 0
        for node_id, nozzles in self._nodes:
            sample = self._driver.node(node_id)
            if not (sample.operational and sample.armed):
                for nozzle in nozzles:
                    mask |= 1 << nozzle
        return mask

    def service(self, now_ns: int) -> None:
        """See PropulsionPlane."""
        self._driver.service(now_ns)

    def set_heartbeat(self, on: bool) -> None:
        """Start or stop the flight computer's heartbeat; without it the nodes shut within their consumer time."""
        self._driver.heartbeat = on

    def arm(self, now_ns: int) -> None:
        """Ask the nodes to take pulses; again after a node was reset."""
        self._armed = True
        self._driver.arm(now_ns)

    def disarm(self, now_ns: int) -> None:
        """Ask the nodes to take no pulses."""
        self._armed = False
        self._driver.disarm(now_ns)

    def command(self, plan: PulsePlan) -> bool:
        """See PropulsionPlane."""
        try:
            self._driver.send_plan(plan.open_ms, plan.close_ms)
        except DeviceError as error:
            self.failures[error.cause.value] += 1
            return False
        self.windows += 1
        return True

    def shut(self, now_ns: int) -> None:
        """See PropulsionPlane."""
        try:
            self._driver.shut(now_ns)
        except DeviceError as error:
            self.failures[error.cause.value] += 1

    def state(self) -> PropulsionState:
        """See PropulsionPlane."""
        samples = tuple(self._driver.node(node_id) for node_id, _ in self._nodes)
        on_ms: list[int | None] = [None] * self._count
        for sample, (_, nozzles) in zip(samples, self._nodes, strict=True):
            if sample.on_time_ms is not None:
                for nozzle, value in zip(nozzles, sample.on_time_ms, strict=False):
                    on_ms[nozzle] = value
        return PropulsionState(
            ready=bool(samples) and all(s.operational for s in samples),
            armed=all(s.armed for s in samples),
            enabled=all(s.enabled for s in samples),
            window_counter=min((s.window_counter for s in samples), default=0),
            on_ms=tuple(on_ms),
            nodes=samples,
        )
