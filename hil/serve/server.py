"""Runs a rig in real time with its buses played elsewhere: requests first, then the world, then what its chips say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from hil.rig import Rig
from hil.serve.pace import Pace
from hil.serve.side import Poller, Side
from hil.serve.timeline import Timeline
from hil.serve.truth_log import TruthLog

__all__ = ["RigServer"]

LONGEST_WAIT_S = 0.05


class RigServer:
    """One served rig; a context manager that opens the sides and closes them.

    Args:
        rig: world, chips and bus twins.
        sides: what plays each bus elsewhere.
        now_ns: the machine's steady clock.
        timeline: faults by time.
        truth: log of what is true.
        pace: how the rig's time follows the machine's.

    Raises:
        OSError, DeviceError: on entering, when a side can't be opened; those opened before are closed.
    """

    def __init__(
        self, rig: Rig, sides: Sequence[Side], now_ns: Callable[[], int], timeline: Timeline, truth: TruthLog,
        pace: Pace | None = None,
    ) -> None:
        self.rig = rig
        self.sides = tuple(sides)
        self.pace = Pace() if pace is None else pace
        self._now_ns = now_ns
        self._timeline = timeline
        self._truth = truth
        self._poller = Poller()
        self._stack = ExitStack()

    def __enter__(self) -> RigServer:
        with ExitStack() as guard:
            guard.callback(self._poller.close)
            for side in self.sides:
                guard.callback(side.close)
                side.start(self._poller)
            self._stack = guard.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def turn(self) -> None:
        """Wait for requests until the next step is due, answer them, move the world, carry what the chips say."""
        rig, pace = self.rig, self.pace
        self._poller.wait(min(LONGEST_WAIT_S, pace.wait_s(self._now_ns(), rig.now_ns)))
        machine_ns = self._now_ns()
        moves = pace.moves(machine_ns, rig.now_ns)
        for t_ns in moves:
            rig.advance(t_ns)
            self._timeline.step()
            self._truth.step(machine_ns)
        if moves:
            for side in self.sides:
                side.step(rig.now_ns)

    def run(self, stopped: Callable[[], bool]) -> None:
        """Serve until ``stopped`` says so; it is asked once a turn."""
        while not stopped():
            self.turn()

    def counts(self) -> dict[str, dict[str, int]]:
        """What every side carried and refused, by bus."""
        return {side.name: side.counts() for side in self.sides}
