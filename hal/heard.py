"""Parts that speak by themselves, on a serial port or a shared CAN bus: heard instead of asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from drivers.errors import Cause, DeviceError
from hal.device_health import (
    AT_ONCE,
    REINITIALISATIONS_TO_LOST,
    DeviceCounters,
    DeviceState,
    HealthEvent,
    as_of,
)
from hal.reading import Quality, Reading, absent

__all__ = ["HeardDevice"]

T = TypeVar("T")

SILENT_PAUSE_NS = 60_000_000_000
"""Longest time between two attempts to make a silent part speak."""


class HeardDevice(Generic[T]):
    """One device that speaks by itself: last reading, health and counters, and what is done when it falls silent.

    Args:
        name: name in the board description.
        device: the driver; ``initialise()`` makes it speak.
        timeout_ns: age at which its reading is stale and the device counts as silent.
        events: where changes of state are told.
        poll: asks the driver for what has arrived; ``None`` for a device whose frames are handed in.
        reopen: opens its port anew, if that can be done.
    """

    __slots__ = (
        "_doubt", "_heard_ns", "_last", "_poll", "_reopen", "_sequence", "_setup_ns", "_setups", "_timeout_ns",
        "counters", "device", "events", "name", "state",
    )

    def __init__(
        self, name: str, device: Any, timeout_ns: int, events: deque[HealthEvent],
        poll: Callable[[int], T | None] | None, reopen: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.device = device
        self.counters = DeviceCounters()
        self.events = events
        self.state = DeviceState.INIT
        self._poll = poll
        self._reopen = reopen
        self._timeout_ns = timeout_ns
        self._last: Reading[T] = absent()
        self._doubt: Quality | None = None
        self._heard_ns: int | None = None
        self._setup_ns = 0
        self._setups = 0
        self._sequence: Generator[None, None, None] | None = self._speak()

    def service(self, now_ns: int) -> None:
        """Set up, hear what has arrived, notice silence. Never blocks, never raises DeviceError."""
        if self._heard_ns is None:
            self._heard_ns = now_ns  # silence counts from the first look, whatever the clock shows then
        try:
            if self._sequence is not None:
                try:
                    next(self._sequence)
                except StopIteration:
                    self._sequence = None
            elif self._poll is not None:
                self.counters.transactions += 1
                sample = self._poll(now_ns)
                if sample is not None:
                    self.hear(sample, now_ns)
        except DeviceError as error:
            self._sequence = None
            self.refuse(error.cause, now_ns)
        # The pause between two set-ups doubles: a part that is not there is asked less and less.
        quiet_ns = now_ns - max(self._heard_ns, self._setup_ns)
        if quiet_ns > self._timeout_ns and self._sequence is None:
            self._silent(now_ns)

    def hear(self, sample: T, now_ns: int) -> None:
        """A whole sample has arrived."""
        self.counters.samples += 1
        self._heard_ns = now_ns
        self._setup_ns = self._setups = 0
        self._doubt = None
        self._last = Reading(sample, now_ns, Quality.OK)
        if self.state is not DeviceState.OK:
            self._set_state(DeviceState.OK, now_ns, None)

    def retry(self, now_ns: int) -> bool:
        """Make it speak at once, and begin the pauses anew. False: there is nothing that would make it speak."""
        if self._sequence is not None or not hasattr(self.device, "initialise"):
            return False
        self._setup_ns, self._setups = now_ns, 0
        self._sequence = self._speak()
        return True

    @property
    def reachable(self) -> bool:
        """Whether anything can be done to make it speak."""
        return self._reopen is not None or hasattr(self.device, "initialise")

    def restart(self, now_ns: int) -> bool:
        """Open its port anew and make it speak; its silence counts from now on. False: the port can't be opened."""
        self._setup_ns, self._setups = now_ns, 0
        self._sequence = None
        if self.state is not DeviceState.INIT:
            self._set_state(DeviceState.INIT, now_ns, Cause.RESET)
        if not self._open_anew():
            return False
        self._sequence = self._speak()
        return True

    def refuse(self, cause: Cause, now_ns: int) -> None:
        """Something has arrived that is no sample, or the port failed."""
        self.counters.fail(cause)
        self._doubt = AT_ONCE.get(cause, self._doubt)
        if self.state is DeviceState.OK:
            self._set_state(DeviceState.DEGRADED, now_ns, cause)

    def reading(self, now_ns: int) -> Reading[T]:
        """Last sample with its quality as of ``now_ns``."""
        return as_of(self._last, self.state, self._doubt, self._timeout_ns, now_ns)

    def _silent(self, now_ns: int) -> None:
        self.counters.fail(Cause.SILENT)
        self._setups += 1
        if self._setups > REINITIALISATIONS_TO_LOST:
            if self.state is not DeviceState.LOST:
                self._set_state(DeviceState.LOST, now_ns, Cause.SILENT)
        elif self.state is DeviceState.OK:
            self._set_state(DeviceState.DEGRADED, now_ns, Cause.SILENT)
        # Waits one more time-out before the next set-up, and longer each time.
        self._setup_ns = now_ns + min((1 << min(self._setups, 6)) * self._timeout_ns, SILENT_PAUSE_NS)
        if self._open_anew():
            self._sequence = self._speak()

    def _open_anew(self) -> bool:
        """Whether the port is open, as far as is known."""
        if self._reopen is None:
            return True
        try:
            self._reopen()
        except DeviceError as error:
            # A port that knows no reopening may be well: then speaking to the part is all that can be done.
            if error.cause is not Cause.PROTOCOL:
                self.counters.fail(error.cause)
                return False
        return True

    def _speak(self) -> Generator[None, None, None] | None:
        self.counters.initialisations += 1
        start = getattr(self.device, "initialise", None)
        sequence: Generator[None, None, None] | None = start() if start is not None else None
        return sequence

    def _set_state(self, state: DeviceState, now_ns: int, cause: Cause | None) -> None:
        self.state = state
        self.events.append(HealthEvent(now_ns, self.name, state, cause))
