"""The flight computer's own health, twice a second: what it cannot tell is ``None``, never a default.

The sources stand behind a port: the kernel's files on a computer with Linux (drivers/linux_platform.py has their
places), settable values on the rig. Clock and recorder are handed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from drivers.errors import DeviceError
from drivers.linux_platform import Device, Settings
from drivers.samples import PlatformSample
from fdir.facts import ComputerFacts

__all__ = [
    "JUMP_WINDOW_NS", "MB", "ComputerHealth", "HealthMarks", "HealthPort", "HealthSample", "LinuxHealth", "Recorder",
    "RingCounts", "Rings",
]

MB = 1_000_000
"""Bytes."""
JUMP_WINDOW_NS = 10_000_000_000
"""How long a step of UTC is remembered."""
STEPS_KEPT = 64
"""Steps of UTC inside the window: 10 s at the 5 Hz of the fastest slow group, and some."""


class HealthSample(NamedTuple):
    """One look at a computer; see ``ComputerFacts``."""

    throttled: bool | None
    memory_free_mb: float | None
    disk_free_mb: float | None


class HealthPort(Protocol):
    """What a computer can be asked."""

    def look(self) -> HealthSample:
        """Its state now; returns within a few ms and never raises."""


class RingCounts(Protocol):
    """What of one crash ring is needed here."""

    @property
    def failures(self) -> int:
        """Records that the operating system refused."""


class Rings(Protocol):
    """Both crash rings."""

    @property
    def fast(self) -> RingCounts:
        """The ring of the fast rate."""

    @property
    def medium(self) -> RingCounts:
        """The ring of the medium rate."""


class Recorder(Protocol):
    """What of a recorder is needed here (``firmware_py.recorder.flight.FlightRecorder``)."""

    @property
    def stopped(self) -> str | None:
        """Why the black box takes nothing any more; ``None`` while it does."""

    @property
    def dropped(self) -> int:
        """Messages lost since start."""

    @property
    def rings(self) -> Rings:
        """The crash rings."""


@dataclass(slots=True)
class HealthMarks:
    """The worst since the marks were last reset, ``None`` where it was never known; and looks that found throttling."""

    least_memory_mb: float | None = None
    least_disk_mb: float | None = None
    largest_jump_s: float | None = None
    throttled_looks: int = 0


class ComputerHealth:
    """Facts of the flight computer; call ``step`` in the slow group.

    Args:
        port: the computer.
        utc_ns: its calendar clock, ns since 1970. On a real craft the operating system's: flight time has an epoch of
            its own and would never show a step.
        monotonic_ns: a clock that nobody sets, read right after the other.
        recorder: the black box; ``None`` where nothing is recorded.
    """

    def __init__(
        self, port: HealthPort, utc_ns: Callable[[], int], monotonic_ns: Callable[[], int],
        recorder: Recorder | None = None,
    ) -> None:
        self.marks = HealthMarks()
        self.rings_refuse: bool | None = None
        """Both crash rings have refused records since the step before; ``None`` where nothing is recorded."""
        self._port = port
        self._utc_ns = utc_ns
        self._monotonic_ns = monotonic_ns
        self._recorder = recorder
        self._refused = (0, 0) if recorder is None else _failures(recorder.rings)
        self._offset_ns: int | None = None
        self._steps: deque[tuple[int, int]] = deque(maxlen=STEPS_KEPT)

    def step(self, now_ns: int) -> ComputerFacts:
        """Look once. ``now_ns``: flight time."""
        sample = self._port.look()
        jump_s = self._largest_jump_s(now_ns)
        marks, recorder = self.marks, self._recorder
        marks.least_memory_mb = _least(marks.least_memory_mb, sample.memory_free_mb)
        marks.least_disk_mb = _least(marks.least_disk_mb, sample.disk_free_mb)
        if jump_s is not None:
            marks.largest_jump_s = jump_s if marks.largest_jump_s is None else max(marks.largest_jump_s, jump_s)
        marks.throttled_looks += sample.throttled is True
        if recorder is not None:
            before, self._refused = self._refused, _failures(recorder.rings)
            self.rings_refuse = all(now > then for now, then in zip(self._refused, before, strict=True))
        return ComputerFacts(
            throttled=sample.throttled, memory_free_mb=sample.memory_free_mb, disk_free_mb=sample.disk_free_mb,
            clock_jump_s=jump_s, recorder_failed=None if recorder is None else recorder.stopped is not None,
            recorder_dropped=0 if recorder is None else recorder.dropped,
            blackbox_lost=None if recorder is None else bool(self.rings_refuse) and recorder.stopped is not None,
        )

    def reset_marks(self) -> None:
        """Start the marks afresh."""
        self.marks = HealthMarks()

    def _largest_jump_s(self, now_ns: int) -> float | None:
        """Largest step of UTC against the monotonic clock since ten seconds ago; ``None`` at the first look."""
        offset_ns = self._utc_ns() - self._monotonic_ns()
        before_ns, self._offset_ns = self._offset_ns, offset_ns
        if before_ns is None:
            return None
        steps = self._steps
        steps.append((now_ns, abs(offset_ns - before_ns)))
        while now_ns - steps[0][0] >= JUMP_WINDOW_NS:
            steps.popleft()
        return max(step for _, step in steps) * 1e-9


class LinuxHealth:
    """A computer with Linux, by its own files.

    Args:
        folder: where the flight is recorded; the free space of its file system counts.
        root: folder that holds ``proc`` and ``sys``; ``folder`` is taken inside it.

    "Throttled" is the Raspberry Pi firmware's word on heat or supply. A kernel that has only the alarm of the supply
    (hwmon ``rpi_volt``) answers for the supply alone. Another computer answers nothing.
    """

    def __init__(self, folder: Path, root: Path = Path("/")) -> None:
        self._device = Device(None, None, Settings(disk=str(folder.absolute())), root=root)
        # No /proc and no /sys: every file then turns out to be missing, one by one.
        with suppress(DeviceError):
            for _ in self._device.initialise():
                pass

    def look(self) -> HealthSample:
        """See HealthPort."""
        sample = self._sample()
        if sample is None:
            return HealthSample(None, None, None)
        return HealthSample(
            _either(sample.throttled, sample.under_voltage), _mb(sample.memory_available_bytes),
            _mb(sample.disk_free_bytes),
        )

    def _sample(self) -> PlatformSample | None:
        sequence = self._device.acquire()
        try:
            while True:
                next(sequence)
        except StopIteration as end:
            sample: PlatformSample | None = end.value
            return sample


def _failures(rings: Rings) -> tuple[int, int]:
    return rings.fast.failures, rings.medium.failures


def _either(*flags: bool | None) -> bool | None:
    """True if one is; ``None`` if none is known."""
    known = [flag for flag in flags if flag is not None]
    return any(known) if known else None


def _least(before: float | None, now: float | None) -> float | None:
    if before is None or now is None:
        return now if before is None else before
    return min(before, now)


def _mb(count: int | None) -> float | None:
    return None if count is None else count / MB
