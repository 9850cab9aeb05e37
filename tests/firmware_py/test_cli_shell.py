"""``qiki shell``: scripts at a recorded flight and a socket, exit codes, JSON, and a terminal that is given back."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from comms.dictionary import Authority
from comms.flight_port import LinkReport, LocalPort, Snapshot
from comms.keys.keyring import KeyStore, new_operator
from comms.keys.vault import Lock, SecretFolder
from comms.shell import CraftView, ShellServer, SocketDoor
from comms.shell.answers import WORDS
from comms.shell.channel import ChunkPipe
from comms.shell.words import OPTIONS
from firmware_py.cli.link_station import Station
from firmware_py.cli.session import RigFlight
from firmware_py.cli.shell import EPILOG, shell
from firmware_py.cli.shell_flight import RecordedCraft, RecordedPipe
from firmware_py.cli.shell_pipe import LinkPipe, ShellUnavailableError, link_pipe, serial_pipe, socket_pipe
from firmware_py.cli.shell_terminal import converse, raw_terminal, script
from firmware_py.mission import load_mission
from firmware_py.recorder import RecordError
from firmware_py.recorder.blackbox import REQUIRED_HEADER, BlackBox
from hal.profile import load_profile
from tests.comms.shell_craft import Reader

NS = 1_000_000_000
app = typer.Typer(rich_markup_mode="rich")
app.command(epilog=EPILOG)(shell)


@pytest.fixture
def flight(tmp_path: Path) -> Path:
    """A flight of 20 s with a snapshot each tenth of a second."""
    header = {**dict.fromkeys(REQUIRED_HEADER), "body": "qiki-t", "mission": "test-flight"}
    with BlackBox(tmp_path / "flight.mcap", header) as box:
        for tenth in range(200):
            t_ns = tenth * NS // 10
            box.snapshot(t_ns, {"t_s": t_ns / NS, "motion": "Idle" if tenth < 100 else "Manoeuvre", "start": 1,
                                "soc_battery": 0.9 - tenth * 1e-3, "position_error_m": None})
            if tenth == 50:
                box.event(t_ns, "BAT_LOW", "warning", "battery is low")
            if tenth == 60:
                box.command(t_ns, 1, "slew", "script", "effect_confirmed", ["EFFECT_CONFIRMED"], "", {})
    return tmp_path


def run(*arguments: str, text: str | None = None, columns: int = 100) -> Any:
    return CliRunner().invoke(app, list(arguments), input=text, env={"COLUMNS": str(columns)})


def test_help_has_examples() -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    assert "--flight" in shown.output
    assert "Ctrl-]" in shown.output


def test_one_line_about_a_recorded_flight_is_about_its_end(flight: Path) -> None:
    result = run("--flight", str(flight), "--command", "get motion soc_battery position_error_m")
    assert result.exit_code == 0
    assert result.output == (
        "motion            Manoeuvre\nsoc_battery       0.701\nposition_error_m  missing\n"
    )


def test_a_recorded_flight_can_be_looked_at_at_any_moment(flight: Path) -> None:
    result = run("--flight", str(flight / "flight.mcap"), "--at", "7", "--command", "get motion t_s", "--command",
                 "events", "--command", "orders", "--command", "status")
    assert result.exit_code == 0
    for words in ("Idle", "7 s", "BAT_LOW  battery is low", "effect_confirmed EFFECT_CONFIRMED",
                  "qiki-t, recorded flight test-flight"):
        assert words in result.output
    assert "BAT_LOW" not in run("--flight", str(flight), "--at", "4", "--command", "events").output


def test_answers_as_json_are_one_object_a_line(flight: Path) -> None:
    result = run("--flight", str(flight), "--json", "--command", "get motion position_error_m", "--command", "events")
    first, second = result.output.splitlines()
    assert json.loads(first) == {"motion": "Manoeuvre", "position_error_m": None}
    assert json.loads(second)[0]["code"] == "BAT_LOW"


def test_lines_may_come_through_a_pipe(flight: Path) -> None:
    result = run("--flight", str(flight), text="get motion\n\n# nothing\nwhoami\n")
    assert result.exit_code == 0
    assert "Manoeuvre" in result.output
    assert "read only" in result.output


def test_a_refused_line_is_exit_code_1_and_the_others_are_answered(flight: Path) -> None:
    result = run("--flight", str(flight), "--command", "hold", "--command", "get motion")
    assert result.exit_code == 1
    assert "recorded flight: it takes no orders" in result.output
    assert "Manoeuvre" in result.output


@pytest.mark.parametrize(("arguments", "words"), [
    ((), "say where the craft is"), (("--socket", "a", "--serial", "b"), "say where the craft is"),
    (("--socket", "/no/such.sock"), "No such file"), (("--serial", "/dev/no/such"), "plugged in"),
    (("--flight", "/no/such.mcap"), "does not exist"), (("--to", "udp:a:1"), "qiki keys new"),
])
def test_bad_input_is_exit_code_2_with_a_next_step(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments, "--command", "status")
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_a_file_that_is_no_black_box_is_refused(tmp_path: Path) -> None:
    (tmp_path / "flight.mcap").write_text("hello")
    result = run("--flight", str(tmp_path), "--command", "status")
    assert result.exit_code == 2
    with pytest.raises(RecordError):
        RecordedCraft(tmp_path / "flight.mcap", None, 1.0, lambda: 0)


def test_a_recording_plays_at_its_pace_and_stands_still_at_its_end(flight: Path) -> None:
    wall = [0]
    craft = RecordedCraft(flight / "flight.mcap", 5.0, 2.0, lambda: wall[0])
    assert craft.server.view.value("t_s") == 5.0
    wall[0] = 3 * NS
    craft.step()
    assert craft.server.view.value("t_s") == 11.0
    wall[0] = 1000 * NS
    craft.step()
    assert craft.now_ns == 199 * NS // 10
    assert craft.server.view.age_ns(craft.now_ns) == 0


def test_a_script_that_gets_no_answer_in_time_says_so() -> None:
    class Silent:
        closed = False

        def send(self, data: bytes) -> None: ...

        def receive(self) -> bytes:
            return b""

        def close(self) -> None: ...

    seconds = [0.0]

    def wait(length: float) -> None:
        seconds[0] += length

    verdicts = list(script(Silent(), ["status"], 2.0, lambda: seconds[0], wait))
    assert [verdict.late for verdict in verdicts] == [True]
    assert 2.0 <= seconds[0] < 2.1


class Craft:
    """A craft with a socket in a thread of its own, as a process beside the command would be."""

    def __init__(self, path: Path) -> None:
        self.server = ShellServer(CraftView(), None)
        self.server.feed(Snapshot(0, {"motion": "Idle", "soc_battery": 0.5}), 0)
        self.door = SocketDoor(path, self.server)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        now_ns = 0
        while not self._stop.wait(0.001):
            now_ns += NS // 1000
            self.door.step(now_ns)
            self.server.step(now_ns)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.door.close()


@pytest.fixture
def craft(tmp_path: Path) -> Iterator[Craft]:
    made = Craft(tmp_path / "shell.sock")
    yield made
    made.close()


def test_a_script_at_a_socket(craft: Craft) -> None:
    result = run("--socket", str(craft.door.path), "--command", "get motion", "--command", "hold")
    assert result.exit_code == 1
    assert "motion  Idle" in result.output
    assert "no orders" in result.output


def test_a_pipe_says_when_the_other_end_is_gone(craft: Craft) -> None:
    pipe = socket_pipe(craft.door.path)
    pipe.send(b"quit\n")
    text = b""
    for _ in range(2000):
        text += pipe.receive()
        if pipe.closed:
            break
        select.select([], [], [], 0.001)
    assert pipe.closed
    assert b"session ended" in text
    pipe.close()


def operator_keys(folder: Path) -> KeyStore:
    """Keys of an operator who has not been paired."""
    lock = Lock.from_sealing_key(bytes(range(32)))
    return KeyStore(SecretFolder(folder / "ann"), lock, os.urandom, new_operator("ann", Authority.SAFETY, os.urandom))


def test_ways_that_lead_nowhere_say_what_to_do(tmp_path: Path) -> None:
    for way in (lambda: socket_pipe(tmp_path / "none"), lambda: serial_pipe(str(tmp_path / "none"), 9600),
                lambda: link_pipe(operator_keys(tmp_path), "udp:127.0.0.1:9")):
        with pytest.raises(ShellUnavailableError) as refused:
            way()
        assert refused.value.next_step


class FakeLink:
    """A connected station: its end of the shell's channel, and how often it was kept going."""

    def __init__(self) -> None:
        self.station = self
        self.pipe = ChunkPipe(64, lines=False)
        self.steps = 0
        self.open = True

    def shell(self) -> ChunkPipe:
        return self.pipe

    def step(self) -> None:
        self.steps += 1

    def close(self) -> None:
        self.open = False


def test_a_shell_over_the_link_carries_text_both_ways_and_keeps_the_station_going() -> None:
    link, craft = FakeLink(), ChunkPipe(64, lines=True)
    pipe = LinkPipe(cast(Station, link))
    pipe.send(b"get motion\n")
    for chunk in link.pipe.chunks(9):
        craft.take(chunk)
    assert craft.read(99) == b"get motion\n"
    craft.write(b"motion  Coast\r\n")
    for chunk in craft.chunks(9):
        link.pipe.take(chunk)
    before = link.steps
    assert pipe.receive() == b"motion  Coast\r\n"
    assert link.steps > before


def test_a_session_that_took_the_place_of_another_is_told_and_text_that_waited_goes_over_it() -> None:
    link = FakeLink()
    pipe = LinkPipe(cast(Station, link))
    assert pipe.receive() == b""
    link.pipe = ChunkPipe(64, lines=False)
    assert b"connected anew" in pipe.receive()
    pipe.send(b"uptime\n")
    assert link.pipe.waiting == len(b"uptime\n")
    assert pipe.receive() == b""
    pipe.close()
    assert not link.open
    assert pipe.closed
    assert pipe.receive() == b""


# -- at a terminal


def at_a_terminal(flight: Path, keys: list[bytes], end: int | None = None) -> tuple[str, int, list[Any], list[Any]]:
    """Run the command at a pseudo-terminal: what it wrote, its exit code, the terminal's settings before and after."""
    far, near = os.openpty()
    before = termios.tcgetattr(near)
    code = "from tests.firmware_py.test_cli_shell import app; app()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--flight", str(flight), "--at", "12"], stdin=near, stdout=near, stderr=near,
    )
    seen = b""

    def read_until(mark: bytes, start: int) -> None:
        nonlocal seen
        while mark not in seen[start:] and select.select([far], [], [], 20.0)[0]:
            seen += os.read(far, 65536)

    read_until(b"qiki> \x1b[K", 0)
    for key in keys:
        start = len(seen)
        os.write(far, key)
        read_until(b"qiki> \x1b[K", start)
    if end is None:
        os.write(far, b"\x1d")
    else:
        process.send_signal(end)
    exit_code = process.wait(20)
    while select.select([far], [], [], 0.0)[0]:
        seen += os.read(far, 65536)
    after = termios.tcgetattr(near)
    os.close(near)
    os.close(far)
    return seen.decode(), exit_code, before, after


def test_a_person_at_a_terminal_has_completion_and_gets_it_back(flight: Path) -> None:
    text, code, before, after = at_a_terminal(flight, [b"get mot\t\r", b"slew 0,0,1 90\r"])
    assert "get motion" in text
    assert "motion  Manoeuvre" in text
    assert "takes no orders" in text
    assert code == 0
    assert after == before


def test_a_terminal_is_given_back_when_the_program_is_told_to_end(flight: Path) -> None:
    _, code, before, after = at_a_terminal(flight, [], signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    assert after == before


def test_a_raw_terminal_is_given_back_after_an_error() -> None:
    far, near = pty.openpty()
    before = termios.tcgetattr(near)
    with suppress(ZeroDivisionError), raw_terminal(near):
        assert termios.tcgetattr(near) != before
        raise ZeroDivisionError
    assert termios.tcgetattr(near) == before
    os.close(near)
    os.close(far)


def test_over_a_link_lines_are_edited_here_and_sent_whole() -> None:
    """Each byte of a record has its price, so keys don't go over the air one by one."""
    sent: list[bytes] = []

    class Far:
        closed = False
        answers = [b"motion  Idle\nstep  -\n"]

        def send(self, data: bytes) -> None:
            sent.append(data)

        def receive(self) -> bytes:
            return self.answers.pop() if self.answers and len(sent) > 1 else b""

        def close(self) -> None: ...

    far, near = os.openpty()
    with raw_terminal(near):
        os.write(far, b"get mot\x7f\x7f\x7fmoti\t step\r")
        thread = threading.Timer(0.3, lambda: os.write(far, b"\x1d"))
        thread.start()
        converse(Far(), near, near, local=True)
        thread.join()
    assert sent[-1].startswith(b"get motion")
    assert sent[-1].endswith(b"step\n")
    shown = b""
    while select.select([far], [], [], 0.0)[0]:
        shown += os.read(far, 65536)
    assert b"motion  Idle\r\nstep  -\r\n" in shown
    os.close(near)
    os.close(far)


def test_a_recorded_pipe_is_a_viewer_whatever_is_asked(flight: Path) -> None:
    pipe = RecordedPipe(RecordedCraft(flight / "flight.mcap", None, 0.0, lambda: 0))
    pipe.send(b"whoami\n")
    assert b"viewer, read only" in pipe.receive() + pipe.receive()


# -- at a craft that flies


class ShellLink:
    """A link that is nothing but the shell: what the flight loop sees is the port alone."""

    def __init__(self, lines: dict[float, str]) -> None:
        self.reader = Reader()
        self._lines = dict(sorted(lines.items()))
        self._port = LocalPort(512)
        self.server = ShellServer(CraftView(), self._port.link.send)
        self.server.open(self.reader, 0, how="test", peer="maria", authority=Authority.CONTROLLER)

    def start(self, rig_ns: int, faults: tuple[str, ...]) -> Any:
        return self._port.flight

    def step(self, now_ns: int) -> None:
        for message in self._port.link.receive(256):
            self.server.feed(message, now_ns)
        for at_s in [at_s for at_s in self._lines if now_ns >= at_s * NS]:
            self.reader.typed += self._lines.pop(at_s).encode() + b"\n"
        self._port.link.send(LinkReport(now_ns))
        self.server.step(now_ns)

    def ground_step(self, rig_ns: int) -> None:
        """Nobody is there."""


def test_orders_reach_a_craft_that_flies_and_their_life_comes_back(tmp_path: Path) -> None:
    mission = load_mission("ground-contact")
    # The star tracker looks into the Sun, so that the attitude is not known.
    blinded = msgspec.structs.replace(mission.initial, attitude_deg=(0.0, 0.0, 0.0))
    mission = msgspec.structs.replace(mission, link=None, expect=(), duration_s=12.0, initial=blinded)
    link = ShellLink({
        4.0: "emission restricted", 5.0: "get emission start", 6.0: "slew 0,0,1 5", 8.0: "boost_burn 1 20 +x",
        8.5: "yes", 9.0: "orders", 11.0: "uptime",
    })
    RigFlight(mission, load_profile(mission.body, mission.board), tmp_path / "flight", 1, link=link).run()
    text = " ".join(link.reader.text.split())
    assert "emission #1: requested > validation_pending > allowed > publish_pending > published > ACK_accepted" in text
    assert "emission #1: effect_confirmed > audited EFFECT_CONFIRMED" in text
    assert "emission restricted start 1" in text
    assert "slew #2: requested > validation_pending > allowed" in text
    assert "boost_burn #3: requested > validation_pending > rejected" in text
    assert "ATTITUDE_UNKNOWN" in text
    assert "maria/shell" in text
    assert link.server.counts.failed == 0
    assert link.server.counts.orders == 3


def test_the_guide_knows_every_word_and_every_option() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "shell.md").read_text(encoding="utf-8")
    assert [word for word in WORDS if f"`{word}" not in guide] == []
    assert [option for option in OPTIONS if f"`{option}=" not in guide] == []
