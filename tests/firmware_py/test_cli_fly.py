"""``qiki fly`` and ``qiki record serve``: help, refusals with a next step, and exit codes that a manager can act on."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench._install_craft import QIKI
from bench._install_supervisor import Service, Supervisor
from comms.packet_socket import PacketServer
from firmware_py.recorder.blackbox import REQUIRED_HEADER
from firmware_py.recorder.reader import read_flight
from firmware_py.recorder.remote import RemoteBox
from firmware_py.recorder.shelf import Shelf


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qk", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as looked_after:
        yield looked_after


def ended(supervisor: Supervisor, folder: Path, *words: str) -> tuple[int | None, str]:
    service = supervisor.add(Service("qiki", [*QIKI, *words], folder, restart_s=None))
    supervisor.until(lambda: not service.running, 60.0)
    return service.now.code, service.output.read_text()


@pytest.mark.parametrize(("words", "says"), [
    (["--board", "nowhere", "--body", "qiki-t"], "nowhere"),
    (["--board", "qiki-rpi", "--body", "qiki-t", "--mission", "bench-move"], "bench-12kg"),
    (["--board", "qiki-rpi", "--body", "qiki-t", "--link-port", "/nowhere/link.sock"], "make its folder"),
    (["--board", "qiki-rpi", "--body", "qiki-t", "--link-port", "l.sock", "--link-user", "nobody-such"], "nobody-such"),
    (["--board", "qiki-rpi", "--body", "qiki-t", "--record-user", "nobody-such"], "no user nobody-such"),
    (["--board", "qiki-rpi", "--body", "qiki-t", "--perception-user", "nobody-such"], "leave the option out"),
])
def test_what_makes_no_sense_is_refused_with_code_2(
    supervisor: Supervisor, folder: Path, words: list[str], says: str
) -> None:
    code, said = ended(supervisor, folder, "fly", *words, "--state", str(folder / "state"))
    assert code == 2
    assert says in said
    assert "Traceback" not in said


def test_a_board_without_buses_flies_until_it_is_told_to_stop(supervisor: Supervisor, folder: Path) -> None:
    flight = supervisor.add(Service("flight", [
        *QIKI, "fly", "--board", "bench-rpi", "--body", "bench-12kg", "--state", str(folder / "state"),
        "--no-realtime",
    ], folder))
    supervisor.until(lambda: flight.ready, 30.0)
    flight.kill(signal.SIGHUP)
    supervisor.run(0.3)
    assert flight.running
    assert flight.stop() == 0
    [kept] = Shelf(folder / "state" / "flights", None).folders()
    assert read_flight(kept.path / "flight.mcap").complete


def test_the_recorder_serves_until_it_is_told_to_stop_and_says_that_it_lives(
    supervisor: Supervisor, folder: Path
) -> None:
    recorder = supervisor.add(Service("recorder", [
        *QIKI, "record", "serve", "--port", str(folder / "r.sock"), "--output", str(folder / "flights"),
    ], folder, watchdog_s=5.0))
    supervisor.until(lambda: recorder.ready and recorder.now.signs > 0, 30.0)
    server = PacketServer(folder / "r.sock")
    box = RemoteBox(server, "s", {**dict.fromkeys(REQUIRED_HEADER), "mission": "m"}, 0)
    row = 0

    def flown() -> bool:
        nonlocal row
        box.bus(row * 5_000_000, [])
        row += 1
        return box.confirmed > 50

    supervisor.until(flown, 30.0)
    assert recorder.stop() == 0
    server.close()
    [kept] = Shelf(folder / "flights", None).folders()
    flight = read_flight(kept.path / "flight.mcap")
    assert flight.complete
    assert flight.counts["/bus"] > 50


def test_a_place_that_cannot_be_written_is_refused(supervisor: Supervisor, folder: Path) -> None:
    code, said = ended(
        supervisor, folder, "record", "serve", "--port", str(folder / "r.sock"), "--output", "/proc/nowhere"
    )
    assert code == 2
    assert "/proc/nowhere" in said
