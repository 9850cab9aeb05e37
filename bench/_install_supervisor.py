"""A service manager as small as it can be: starts processes, hears sd_notify, starts again what died or fell silent.

What systemd does with Type=notify, WatchdogSec and Restart=on-failure, without root and without a cgroup; for measuring
how long a craft's processes are away. Times are s of this machine's steady clock.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

__all__ = ["Service", "Start", "Supervisor", "cpu_seconds", "resident_mb", "share_mb"]

STEP_S = 0.005
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Start:
    """One start of a service: when it began, was ready, said what, and ended with which code (below 0: signal)."""

    pid: int
    began_s: float
    ready_s: float | None = None
    signs: int = 0
    last_sign_s: float | None = None
    watchdog_s: float | None = None
    """How long it may be silent, by its own last word."""
    status: list[tuple[float, str]] = field(default_factory=list)
    ended_s: float | None = None
    code: int | None = None
    killed_by_watchdog: bool = False


class Service:
    """One process under supervision.

    Args:
        name: of it.
        command: as for subprocess.
        folder: where its socket and its output go.
        watchdog_s: how long it may be silent once it is ready; ``None``: it need not speak.
        restart_s: pause before it is started again; ``None``: it is not.
        environment: more variables.
        priority: FIFO priority from its first instruction on, as CPUSchedulingPolicy=fifo gives it; ordinary scheduling
            where this machine refuses that.
    """

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, watchdog_s: float | None = None,
        restart_s: float | None = 0.1, environment: dict[str, str] | None = None, priority: int | None = None,
    ) -> None:
        self.name = name
        self._priority = priority
        self.starts: list[Start] = []
        self._command = list(command)
        self._watchdog_s = watchdog_s
        self._restart_s = restart_s
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._again_s: float | None = None
        self.output = folder / f"{name}.log"
        self._address = folder / f"{name}.notify"
        self._address.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(self._address))

    @property
    def now(self) -> Start:
        """The last start."""
        return self.starts[-1]

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None

    @property
    def ready(self) -> bool:
        """Whether its present start has said so."""
        return self.running and self.now.ready_s is not None

    def start(self) -> None:
        """Start the process."""
        variables = {**os.environ, **self._environment, "NOTIFY_SOCKET": str(self._address), "COLUMNS": "80"}
        if self._watchdog_s is not None:
            variables["WATCHDOG_USEC"] = str(round(self._watchdog_s * 1e6))
        self._again_s = None
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=variables,
                start_new_session=True, preexec_fn=None if self._priority is None else self._quicken,
            )
        self.starts.append(Start(self._process.pid, monotonic()))

    def kill(self, number: int = signal.SIGKILL) -> float:
        """Send a signal to the process; returns when."""
        at = monotonic()
        if self._process is not None:
            self._process.send_signal(number)
        return at

    def stop(self, wait_s: float = 5.0) -> int | None:
        """Ask it to end, end it if it does not, and do not start it again; returns its code."""
        self._restart_s = None
        self._again_s = None
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(wait_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self.step()
        return self.starts[-1].code if self.starts else None

    def close(self) -> None:
        """Stop it and let its socket go."""
        self.stop()
        self._socket.close()
        self._address.unlink(missing_ok=True)

    def step(self) -> None:
        """Hear what it says, see whether it lives, start it again."""
        self._hear()
        process = self._process
        if process is not None and process.poll() is not None:
            self.now.ended_s, self.now.code, self._process = monotonic(), process.returncode, None
            if process.returncode != 0 and self._restart_s is not None:
                self._again_s = monotonic() + self._restart_s
        elif process is not None and self._silent():
            self.now.killed_by_watchdog = True
            process.send_signal(signal.SIGCONT)
            process.kill()
        if self._process is None and self._again_s is not None and monotonic() >= self._again_s:
            self.start()

    def _quicken(self) -> None:
        """In the child, before it becomes the program."""
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(self._priority or 1))

    def _silent(self) -> bool:
        start = self.now
        if self._watchdog_s is None or start.ready_s is None:
            return False
        last_s = start.ready_s if start.last_sign_s is None else start.last_sign_s
        return monotonic() - last_s > (self._watchdog_s if start.watchdog_s is None else start.watchdog_s)

    def _hear(self) -> None:
        while True:
            try:
                words = self._socket.recv(4096).decode(errors="replace")
            except BlockingIOError:
                return
            at, start = monotonic(), self.now
            for word in words.splitlines():
                if word == "READY=1":
                    start.ready_s = at
                elif word == "WATCHDOG=1":
                    start.signs += 1
                    start.last_sign_s = at
                elif word.startswith("WATCHDOG_USEC="):
                    start.watchdog_s, start.last_sign_s = int(word[14:]) * 1e-6, at
                elif word.startswith("STATUS="):
                    start.status.append((at, word[7:]))


class Supervisor:
    """Services that are looked after together; a context manager that ends them all."""

    def __init__(self) -> None:
        self.services: list[Service] = []

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_error: object) -> None:
        for service in reversed(self.services):
            service.close()

    def add(self, service: Service) -> Service:
        """Start one and look after it."""
        self.services.append(service)
        service.start()
        return service

    def run(self, seconds: float) -> None:
        """Look after all of them for a while."""
        end_s = monotonic() + seconds
        while monotonic() < end_s:
            self.step()

    def until(self, condition: Callable[[], bool], limit_s: float) -> float:
        """Look after them until the condition holds; returns how long that took, s.

        Raises:
            TimeoutError: it does not; with the last lines of every service.
        """
        began_s = monotonic()
        while not condition():
            if monotonic() - began_s > limit_s:
                raise TimeoutError(f"not within {limit_s} s\n{self.last_lines()}")
            self.step()
        return monotonic() - began_s

    def step(self) -> None:
        """One look."""
        for service in self.services:
            service.step()
        sleep(STEP_S)

    def last_lines(self) -> str:
        """What each service has said last."""
        lines = []
        for service in self.services:
            text = service.output.read_text(errors="replace")[-600:] if service.output.exists() else ""
            said = [status for start in service.starts for status in start.status][-2:]
            codes = [start.code for start in service.starts]
            lines.append(f"{service.name}: codes {codes}, status {said}\n{text}")
        return "\n".join(lines)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, s (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid: int) -> float:
    """Resident memory of a process now, MB; what it shares with others is counted in full."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


def share_mb(pid: int) -> float:
    """What a process adds to the memory in use, MB: of a page that n share each has a nth (proc(5), Pss)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)
