"""One start of the flight program in this process: what it refuses, what it flies without, what it leaves behind."""

from __future__ import annotations

import gc
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from comms.flight_port import CraftState
from comms.link.socket_port import LinkSocket
from comms.packet_socket import PacketClient, PortError
from drivers.errors import Cause, DeviceError
from fdir.codes import Code
from fdir.fault_table import find_fault_table
from firmware_py import realtime
from firmware_py.clock import MACHINE_TIME, MachineTime
from firmware_py.flight_epoch import epoch_text
from firmware_py.flight_life import Ending
from firmware_py.flight_process import FlightOrder, FlightProcess, FlightRefused, watchdog_of
from firmware_py.perception.port import CODEC, CraftMotion
from firmware_py.program import RESTART_EXIT
from firmware_py.recorder.port import Hello, read_packet
from firmware_py.recorder.reader import Flight, read_flight
from firmware_py.recorder.ring import read_ring
from firmware_py.replay_flight import replay_flight
from hal.profile import ConfigError, hardware_profile_hash, load_board, load_body


def absent(name: str, *_: Any) -> Any:
    raise DeviceError(name, None, Cause.ABSENT, "not here")


NO_BUSES = dict.fromkeys(("i2c", "spi", "can", "serial", "gpio"), absent)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qk", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """The collector as it was."""
    yield
    gc.unfreeze()
    gc.enable()


def order(folder: Path, **more: Any) -> FlightOrder:
    return FlightOrder("qiki-rpi", "qiki-t", folder / "state", **({"real_time": False, "for_s": 1.2} | more))


def flown(made: FlightOrder, machine: MachineTime = MACHINE_TIME) -> tuple[int, Flight]:
    process = FlightProcess(made, {}, machine, NO_BUSES)
    try:
        code = process.fly(lambda: False)
    finally:
        process.close()
    return code, read_flight(process.folder / "flight.mcap")


def texts(flight: Flight, code: Code) -> list[str]:
    return [row.value["text"] for row in flight.rows("/event") if row.value["code"] == code]


def test_a_board_without_any_bus_is_flown_and_told(folder: Path) -> None:
    code, flight = flown(order(folder))
    assert code == 0
    assert flight.complete
    assert (flight.header["mission"], flight.header["seed"], flight.header["clock"]) == ("stand-by", None, "real")
    told = texts(flight, Code.BUS_DEGRADED)
    assert len([text for text in told if "cannot be opened" in text]) == len(load_board("qiki-rpi").buses)
    assert any("not here" in text for text in told)
    assert not [row for row in flight.rows("/event") if row.value["code"] == "MEMBER_FAILED"]
    assert flight.counts["/bus"] > 20
    assert flight.counts["/timing"] == 1
    assert json.loads((folder / "state" / "life.json").read_text())["ending"] == Ending.STOPPED
    # What a busy machine leaves out is the fast row; ticks are never made up for.
    assert 1 <= len(read_ring(flight.path.parent / "ring-fast.bin").records) <= flight.counts["/bus"]


def test_what_was_flown_is_replayed_from_its_first_tick(folder: Path) -> None:
    _, flight = flown(order(folder))
    assert abs(flight.epoch_ns - MACHINE_TIME.utc_ns()) < 60e9
    assert flight.header["epoch"] == epoch_text(flight.epoch_ns)
    first = next(iter(flight.messages("/bus"))).t_ns
    assert first > 0
    result = replay_flight(flight.path)
    assert result.ticks == flight.counts["/bus"]
    # Up to where buses that hang are brought back by threads, whose pace no recording holds.
    assert result.first is None or result.first.t_ns > first


def test_a_calendar_that_cannot_be_right_is_told(folder: Path) -> None:
    _, flight = flown(order(folder), MACHINE_TIME._replace(utc_ns=lambda: 5_000_000_000))
    [told] = [text for text in texts(flight, Code.CLOCK_JUMP) if "the calendar says 1970" in text]
    assert "time is from" in told


def test_ports_are_served_and_nobody_is_waited_for(folder: Path) -> None:
    ports = {f"{name}_port": folder / f"{name}.sock" for name in ("link", "record", "perception")}
    process = FlightProcess(order(folder, **ports), {}, openers=NO_BUSES)
    link, record = LinkSocket(ports["link_port"]), PacketClient(ports["record_port"])
    perception = LinkSocket(ports["perception_port"], CODEC)
    try:
        assert link.receive(1) == []
        assert record.meet()
        assert perception.receive(1) == []
        ticks = iter(range(300))
        assert process.fly(lambda: next(ticks, None) is None) == 0
        assert link.receive(1000)
        hello = read_packet(record.receive() or b"")
        assert isinstance(hello, Hello)
        assert hello.header["mission"] == "stand-by"
        assert hello.header["link"] == "outside"
        assert any(isinstance(message, CraftMotion) for message in perception.receive(1000))
    finally:
        process.close()
        for end in (link, record, perception):
            end.close()
    assert not any(path.exists() for path in ports.values())
    assert process.folder.parent == folder / "state" / "rings"
    assert read_ring(process.folder / "ring-fast.bin").records


def test_a_stranger_at_any_socket_is_not_served_and_told_of_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {f"qiki-{name}": os.getuid() + number for number, name in enumerate(("link", "record", "see"))}
    monkeypatch.setattr(
        "firmware_py.flight_callers.pwd.getpwnam", lambda name: SimpleNamespace(pw_uid=named[name]),
    )
    ports = {f"{name}_port": folder / f"{name}.sock" for name in ("link", "record", "perception")}
    users = {"link_user": "qiki-link", "record_user": "qiki-record", "perception_user": "qiki-see"}
    process = FlightProcess(order(folder, **ports, **users), {}, openers=NO_BUSES)
    link, record = LinkSocket(ports["link_port"]), PacketClient(ports["record_port"])
    perception = LinkSocket(ports["perception_port"], CODEC)
    try:
        ticks = iter(range(400))

        def stop() -> bool:
            # They come again and again.
            record.meet()
            record.receive()
            perception.receive(1)
            return next(ticks, None) is None

        assert link.receive(1) == []
        assert process.fly(stop) == 0
        assert any(isinstance(message, CraftState) for message in link.receive(1000))
        assert record.receive() is None
        assert perception.receive(1) == []
    finally:
        process.close()
        for end in (link, record, perception):
            end.close()
    told = [row.payload.decode(errors="replace") for row in read_ring(process.folder / "ring-medium.bin").records]
    strangers = [text for text in told if Code.INTRUSION_ALERT in text]
    assert len(strangers) == 2
    assert any(f"user {os.getuid()} called at the recorder socket" in text for text in strangers)
    assert any("perception socket" in text for text in strangers)


def test_the_manager_hears_of_the_first_tick_the_state_and_the_end(folder: Path) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(folder / "notify"))
    manager.setblocking(False)
    words: list[str] = []

    def listen() -> bool:
        with suppress(BlockingIOError):
            while True:
                words.append(manager.recv(4096).decode())
        # A machine that is busy with other tests drops such members for a while.
        return words.count("WATCHDOG=1") >= 4 and any(word.startswith("STATUS=motion ") for word in words)

    environment = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "200000"}
    process = FlightProcess(order(folder, for_s=60.0), environment, openers=NO_BUSES)
    assert process.fly(listen) == 0
    process.close()
    listen()
    manager.close()
    assert words[:2] == ["WATCHDOG_USEC=10000000", "READY=1"]
    assert words[-1] == "STOPPING=1"
    assert words.count("WATCHDOG=1") >= 4
    assert [word for word in words if word.startswith("STATUS=motion ")]


def test_an_ordered_restart_has_its_own_exit_code_and_the_next_start_knows(folder: Path) -> None:
    process = FlightProcess(order(folder, mission="first-flight"), {}, openers=NO_BUSES)
    process.program._stuck = True  # what a critical member that hangs leads to
    assert process.fly(lambda: False) == RESTART_EXIT
    process.close()
    again = FlightProcess(order(folder, mission="first-flight", for_s=0.5), {}, openers=NO_BUSES)
    assert again.life.ending is Ending.ORDERED
    assert [step.name for step in again.program.mission.steps] == ["stand by"]
    assert again.fly(lambda: False) == 0
    again.close()
    third = FlightProcess(order(folder, mission="first-flight"), {}, openers=NO_BUSES)
    assert len(third.program.mission.steps) > 1
    third.close()


def test_what_breaks_the_loop_leaves_valves_shut_and_is_raised(folder: Path) -> None:
    process = FlightProcess(order(folder), {}, openers=NO_BUSES)
    ended: list[int] = []
    process.program.watchdogs.close = ended.append  # type: ignore[method-assign]

    def stop() -> bool:
        raise RuntimeError("nobody has foreseen this")

    with pytest.raises(RuntimeError, match="foreseen"):
        process.fly(stop)
    process.close()
    assert ended
    assert json.loads((folder / "state" / "life.json").read_text())["ending"] == Ending.RUNNING


def test_rights_that_are_refused_are_told_and_flown_without(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def enter(config: Any, on_event: Any) -> None:
        seen.append(config)
        on_event(realtime.EVENT_DEGRADED, "fifo", "EPERM")

    monkeypatch.setattr(realtime, "enter", enter)
    code, flight = flown(order(folder, real_time=True, cpu=1, priority=7))
    assert code == 0
    assert (seen[0].cpu, seen[0].priority) == (1, 7)
    assert texts(flight, Code.REALTIME_DEGRADED) == ["fifo refused: EPERM"]


def test_the_fault_table_that_is_flown_is_attached_and_a_bad_one_is_told(folder: Path) -> None:
    mine = folder / "faults.yaml"
    mine.write_text(find_fault_table().read_text() + "# mine\n")
    _, good = flown(order(folder, faults=mine, for_s=0.2))
    assert good.attachments["faults.yaml"].endswith("# mine\n")
    mine.write_text("nonsense: 1\n")
    _, bad = flown(order(folder, faults=mine, for_s=0.2))
    [told] = texts(bad, Code.FAULT_TABLE_REFUSED)
    assert "the last good table is flown" in told
    assert "faults.yaml" not in bad.attachments


def test_two_programs_never_share_a_state_folder(folder: Path) -> None:
    first = FlightProcess(order(folder), {}, openers=NO_BUSES)
    with pytest.raises(FlightRefused, match="another flight program"):
        FlightProcess(order(folder), {}, openers=NO_BUSES)
    first.close()
    FlightProcess(order(folder), {}, openers=NO_BUSES).close()


@pytest.mark.parametrize(("more", "error", "names"), [
    ({"mission": "bench-move"}, ConfigError, "bench-12kg"),
    ({"mission": "nowhere"}, ConfigError, "nowhere"),
    ({"state": Path("/proc/nowhere")}, FlightRefused, "/proc/nowhere"),
    ({"link_port": Path("/nowhere/link.sock")}, PortError, "/nowhere/link.sock"),
    ({"record_port": Path("/nowhere/record.sock")}, PortError, "/nowhere/record.sock"),
    ({"perception_port": Path("/nowhere/eyes.sock")}, PortError, "/nowhere/eyes.sock"),
])
def test_what_makes_no_sense_is_refused_by_name_and_holds_nothing(
    folder: Path, more: dict[str, Any], error: type[Exception], names: str
) -> None:
    with pytest.raises(error, match=names):
        FlightProcess(replace(order(folder), **more), {}, openers=NO_BUSES)
    FlightProcess(order(folder), {}, openers=NO_BUSES).close()


def test_variables_of_a_manager_that_mean_nothing_are_refused(folder: Path) -> None:
    with pytest.raises(FlightRefused, match="WATCHDOG_USEC"):
        FlightProcess(order(folder), {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "-3"}, openers=NO_BUSES)


def test_the_computers_watchdog_is_the_boards_word() -> None:
    board = load_board("qiki-rpi")
    assert watchdog_of(board) is None
    named = watchdog_of(msgspec.structs.replace(board, watchdog={"path": "/dev/watchdog1", "timeout_s": 5}))
    assert named is not None
    assert (named.settings.path, named.settings.timeout_s, named.running) == ("/dev/watchdog1", 5, False)
    other = msgspec.structs.replace(board, watchdog={"timeout_s": 5})
    assert hardware_profile_hash(load_body("qiki-t"), other) != hardware_profile_hash(load_body("qiki-t"), board)
    with pytest.raises(ConfigError, match="watchdog"):
        watchdog_of(msgspec.structs.replace(board, watchdog={"timeout_s": 99}))
