"""What tests of the shell share: a craft that answers nothing by itself, readers that keep what they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comms.dictionary import Authority
from comms.flight_port import CommandStage, EventNote, Snapshot, UplinkRequest
from comms.shell import Craft, CraftView, Limits, Mode, ShellServer, ShellSession
from fdir.codes import Code

__all__ = ["ROW", "STEP_NS", "Desk", "Reader"]

NS = 1_000_000_000
STEP_NS = NS // 50
ROW: dict[str, Any] = {
    "t_s": 12.5, "motion": "Manoeuvre", "emission": "open", "safe": "safe_inactive", "step": "slew", "phase": "slew",
    "quaternion": (1.0, 0.0, 0.0, 0.0), "rate_rad_s": (0.01, -0.02, 0.03), "position_error_m": None,
    "attitude_error_rad": 0.1, "soc_battery": 0.81, "soc_supercap": 0.7, "bus_voltage_v": 26.8, "bus_current_a": 3.7,
    "temperature_c": {"core": 21.5, "battery": None}, "armed": True, "attitude_known": True, "masked_nozzles": [3],
    "propellant_kg": 11.1, "devices": {"sun_px": "LOST"}, "bus_failures": 2, "faults": ["battery-low"],
    "fault_trips": {"battery-low": 2}, "fault_worst": {"battery-low": 0.12, "node-hot": -4.0}, "power_faults": [],
    "flows_w": {"array": 17.0, "dock": 0.0, "loads": 101.0}, "shed": [], "loads": {"lidar": "load_allowed"},
    "heat_states": {}, "computer_c": 33.0, "start": 4, "safe_reasons": [], "peak_level": "boost",
    "time_to_empty_s": 17048.6, "soc_trust": {"battery": "trusted", "supercap": "trusted"},
}


class Reader:
    """One end of a session. ``takes``: bytes that it reads at once; ``None`` is all."""

    def __init__(self) -> None:
        self.typed = b""
        self.seen = b""
        self.takes: int | None = None
        self.gone = False
        self.closed = False
        self.largest_read = 0
        self.largest_write = 0

    def read(self, most: int) -> bytes | None:
        if self.gone:
            return None
        data, self.typed = self.typed[:most], self.typed[most:]
        self.largest_read = max(self.largest_read, len(data))
        return data

    def write(self, data: bytes) -> int:
        self.largest_write = max(self.largest_write, len(data))
        taken = data if self.takes is None else data[:self.takes]
        self.seen += taken
        return len(taken)

    def close(self) -> None:
        self.closed = True

    @property
    def text(self) -> str:
        return self.seen.decode("utf-8", "replace")


class Desk:
    """A server with a craft before it, and time that only passes by ``run``."""

    def __init__(
        self, *, orders: bool = True, limits: Limits | None = None, craft: Craft | None = None,
        refusal: tuple[Code, ...] = (),
    ) -> None:
        self.now_ns = 100 * NS
        self.requests: list[UplinkRequest] = []
        self.room = True
        self._refusal = refusal
        self.view = CraftView(Craft("testcraft", faults=("node-hot", "battery-low")) if craft is None else craft)
        self.server = ShellServer(self.view, self._submit if orders else None, limits)

    def _submit(self, request: UplinkRequest) -> bool | tuple[Code, ...]:
        if self._refusal:
            return self._refusal
        if self.room:
            self.requests.append(request)
        return self.room

    def open(
        self, *, peer: str | None = None, authority: Authority = Authority.VIEWER, mode: Mode = Mode.LINES,
    ) -> tuple[Reader, ShellSession]:
        reader = Reader()
        session = self.server.open(reader, self.now_ns, how="test", peer=peer, authority=authority, mode=mode)
        assert session is not None
        return reader, session

    def run(self, steps: int = 100, step_ns: int = STEP_NS) -> None:
        for _ in range(steps):
            self.now_ns += step_ns
            self.server.step(self.now_ns)

    def ask(self, reader: Reader, line: str, steps: int = 150) -> str:
        """The answer to one line."""
        before = len(reader.seen)
        reader.typed += line.encode() + b"\n"
        self.run(steps)
        return reader.seen[before:].decode("utf-8", "replace")

    def snapshot(self, values: Mapping[str, Any] | None = None, **changed: Any) -> None:
        row = {**(ROW if values is None else values), **changed}
        self.server.feed(Snapshot(self.now_ns - 90 * NS, row), self.now_ns)

    def event(self, code: str = "DEVICE_STATE", severity: str = "info", text: str = "mux: OK") -> None:
        self.server.feed(EventNote(self.now_ns, code, severity, text), self.now_ns)

    def stage(self, request: UplinkRequest, stage: str, *codes: str, detail: str = "", number: int = 7) -> None:
        self.server.feed(CommandStage(
            self.now_ns, number, request.command_id, request.sender, request.name, stage, codes, detail,
        ), self.now_ns)
