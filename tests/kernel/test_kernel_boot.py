"""Command lines of guests, what they say on their console, the disk that forgets, and how a run is judged."""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from hal.profile import load_board
from hil.kernel.boot import Guest, command_line, preference, read_line
from hil.kernel.guest import GuestError
from hil.kernel.image import Image
from hil.kernel.inside_table import CHECKS, chosen, limit_of
from hil.kernel.outcomes import judged, table
from hil.kernel.rig import main
from hil.kernel.rig_project import BOARD, board_text, source_digest
from hil.kernel.volatile_disk import SECTOR, VolatileDisk, serve

BY_NAME = {check.name: check for check in CHECKS}


def image(arch: str, kernel: Path = Path("/image/kernel")) -> Image:
    initrd = None if arch == "uml" else Path("/image/initrd")
    return Image(arch, kernel, initrd, Path("/image/disk.ext4"), Path("/image/tree.tar"), "6.1.0", (), False)


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_emulated_guests_use_no_virtualisation_and_have_a_hardware_watchdog(arch: str) -> None:
    words = command_line(image(arch), "/disk", Path("/share"), Path("/folder"))
    # Time in it is counted in instructions, which takes one thread.
    assert words[words.index("-accel") + 1].startswith("tcg,thread=single")
    assert words[words.index("-icount") + 1].endswith("sleep=on")
    assert "i6300esb" in words
    assert "-no-reboot" in words
    assert any("file=/disk," in word for word in words)
    assert "qiki.share=host" in words[words.index("-append") + 1].split()


def test_a_pi_like_processor_is_what_arm64_means() -> None:
    words = command_line(image("arm64"), "/disk", Path("/share"), Path("/folder"))
    assert words[words.index("-cpu") + 1] == "cortex-a72"


def test_user_mode_linux_gets_its_disk_and_its_share_as_words() -> None:
    words = command_line(image("uml"), "/disk", Path("/share"), Path("/folder"), ("more=1",))
    assert words[0] == "/image/kernel"
    assert {"ubd0=/disk", "qiki.share=/share", "more=1", "root=/dev/ubda"} <= set(words)


def test_a_volatile_disk_is_a_network_disk_and_user_mode_linux_has_none() -> None:
    words = command_line(image("amd64"), "/folder/disk.sock", Path("/share"), Path("/folder"), volatile=True)
    assert any("nbd+unix:///?socket=/folder/disk.sock" in word and "cache=none" in word for word in words)
    with pytest.raises(GuestError, match="no disk with a volatile cache"):
        command_line(image("uml"), "/disk", Path("/share"), Path("/folder"), volatile=True)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('@ {"check": "boot", "ok": true}', {"check": "boot", "ok": True}),
        ('[   12.3] noise @ {"up_s": 4.5}', {"up_s": 4.5}),
        ("@ not json", None), ("@ {broken", None), ("@ [1]", None), ("EXT4-fs mounted", None), ("", None),
    ],
)
def test_only_lines_for_the_host_are_read(line: str, found: dict[str, object] | None) -> None:
    assert read_line(line) == found


def test_user_mode_linux_gets_one_processor_and_emulators_all() -> None:
    assert preference("arm64") == preference("amd64") == []
    words = preference("uml")
    assert words[:2] == ["taskset", "--cpu-list"]
    assert int(words[2]) in os.sched_getaffinity(0)


def test_all_of_a_user_mode_guest_runs_on_its_processor(tmp_path: Path) -> None:
    kernel = script(tmp_path, """printf '@ {"processors": %s}\\n' $(nproc)""")
    with Guest(image("uml", kernel), tmp_path / "disk", tmp_path, tmp_path, lambda: 0.0) as guest:
        assert next(guest.follow(20.0)).record == {"processors": 1}


def script(folder: Path, text: str) -> Path:
    path = folder / "kernel"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_guest_is_followed_until_it_ends(tmp_path: Path) -> None:
    kernel = script(tmp_path, """echo noise; echo '@ {"up_s": 1}'; echo '@ {"check": "x", "ok": true}'""")
    with Guest(image("uml", kernel), tmp_path / "disk", tmp_path, tmp_path, lambda: 0.0) as guest:
        said = [line.record for line in guest.follow(20.0)]
    assert said == [{"up_s": 1}, {"check": "x", "ok": True}]
    assert "noise" in guest.console.read_text()


def test_a_guest_that_hangs_is_ended_with_its_last_words_told(tmp_path: Path) -> None:
    kernel = script(tmp_path, "echo stuck here; sleep 600 & sleep 600")
    guest = Guest(image("uml", kernel), tmp_path / "disk", tmp_path, tmp_path, lambda: 0.0)
    with guest, pytest.raises(GuestError, match="stuck here"):
        list(guest.follow(0.5))


def gone(process: int) -> bool:
    """Whether a process has ended, looked after or not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_cutting_the_power_ends_every_process_of_the_guest(tmp_path: Path) -> None:
    kernel = script(tmp_path, "sleep 600 & echo \"@ {\\\"helper\\\": $!}\"; wait")
    with Guest(image("uml", kernel), tmp_path / "disk", tmp_path, tmp_path, lambda: 0.0) as guest:
        helper = next(guest.follow(20.0)).record["helper"]
        guest.cut_power()
    # The kernel ends it in its own time; whoever inherited it may not have looked yet.
    assert any(gone(int(str(helper))) or time.sleep(0.05) for _ in range(200))


# -- the disk that forgets


def disk(tmp_path: Path, seed: int = 1) -> VolatileDisk:
    path = tmp_path / "medium"
    path.write_bytes(bytes(64 * SECTOR))
    return VolatileDisk(os.open(path, os.O_RDWR), seed)


def sectors(*numbers: int) -> bytes:
    return b"".join(bytes([number]) * SECTOR for number in numbers)


def test_what_was_flushed_or_forced_survives_a_cut_and_of_the_rest_a_half(tmp_path: Path) -> None:
    forgetful = disk(tmp_path)
    forgetful.write(0, sectors(1))
    forgetful.flush()
    forgetful.write(SECTOR, sectors(2), force=True)
    forgetful.write(2 * SECTOR, sectors(*[3] * 20))
    assert forgetful.unflushed == 20
    assert forgetful.read(0, 4 * SECTOR) == sectors(1, 2, 3, 3)
    assert forgetful.cut() == 10
    medium = (tmp_path / "medium").read_bytes()
    assert medium[:2 * SECTOR] == sectors(1, 2)
    assert medium.count(sectors(3)) <= 10
    assert medium.count(b"\3") == 10 * SECTOR


def test_the_same_seed_forgets_the_same(tmp_path: Path) -> None:
    media = []
    for seed in (1, 1, 2):
        forgetful = disk(tmp_path, seed)
        forgetful.write(0, sectors(*range(1, 41)))
        forgetful.cut()
        media.append((tmp_path / "medium").read_bytes())
    assert media[0] == media[1] != media[2]


def test_a_read_across_cached_and_kept_sectors_is_what_was_written(tmp_path: Path) -> None:
    forgetful = disk(tmp_path)
    forgetful.write(0, sectors(1, 2, 3), force=True)
    forgetful.write(SECTOR, sectors(9))
    assert forgetful.read(100, 2 * SECTOR) == sectors(1, 9, 3)[100:100 + 2 * SECTOR]


def test_parts_of_sectors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sectors"):
        disk(tmp_path).write(10, sectors(1))


def test_a_client_negotiates_writes_flushes_and_reads(tmp_path: Path) -> None:
    here, there = socket.socketpair()
    forgetful = disk(tmp_path)
    server = threading.Thread(target=serve, args=(there, forgetful))
    server.start()
    assert here.recv(18, socket.MSG_WAITALL)[:16] == b"NBDMAGICIHAVEOPT"
    here.sendall(struct.pack(">I", 3))
    here.sendall(b"IHAVEOPT" + struct.pack(">II", 99, 0) + b"IHAVEOPT" + struct.pack(">II", 7, 0))
    here.recv(20, socket.MSG_WAITALL)
    answer = here.recv(20 + 12 + 20, socket.MSG_WAITALL)
    assert struct.unpack_from(">HQ", answer, 20) == (0, 64 * SECTOR)

    def ask(kind: int, offset: int, length: int, data: bytes = b"") -> tuple[int, bytes]:
        here.sendall(struct.pack(">IHHQQI", 0x25609513, 0, kind, 7, offset, length) + data)
        magic, error, handle = struct.unpack(">IIQ", here.recv(16, socket.MSG_WAITALL))
        assert (magic, handle) == (0x67446698, 7)
        return error, here.recv(length, socket.MSG_WAITALL) if kind == 0 else b""

    assert ask(1, SECTOR, SECTOR, sectors(5)) == (0, b"")
    assert ask(0, SECTOR, SECTOR) == (0, sectors(5))
    assert ask(3, 0, 0) == (0, b"")
    assert ask(1, 5, SECTOR, sectors(5))[0] == 22
    here.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 2, 7, 0, 0))
    server.join(10.0)
    assert not server.is_alive()
    assert (tmp_path / "medium").read_bytes()[SECTOR:2 * SECTOR] == sectors(5)


# -- the table


def test_checks_are_chosen_by_name_in_the_tables_order() -> None:
    assert [check.name for check in chosen("kill-flight, boot")] == ["boot", "kill-flight"]
    assert chosen("") == CHECKS
    with pytest.raises(ValueError, match="no check nonsense; there are install, "):
        chosen("nonsense")


def test_names_of_checks_are_unique_and_boots_known() -> None:
    assert len(BY_NAME) == len(CHECKS)
    assert {check.boot for check in CHECKS} == {"install", "fly", "cut", "hang"}


def test_limits_of_what_a_processor_does_are_wider_where_it_is_emulated() -> None:
    assert limit_of(BY_NAME["kill-flight"], "uml") == 15.0
    assert limit_of(BY_NAME["kill-flight"], "arm64") == 150.0
    assert limit_of(BY_NAME["resources"], "arm64") == 300.0
    assert limit_of(BY_NAME["boot"], "arm64") == 60.0
    assert limit_of(BY_NAME["units"], "uml") is None


@pytest.mark.parametrize(
    ("record", "held"),
    [
        ({"ok": True, "measured": 14.9}, True), ({"ok": True, "measured": 15.1}, False),
        ({"ok": True, "measured": None}, False), ({"ok": False, "measured": 0.1}, False),
        ({"ok": True, "measured": True}, False), ({}, False),
    ],
)
def test_a_check_with_a_limit_holds_only_when_measured_within_it(record: dict[str, object], held: bool) -> None:
    assert judged(BY_NAME["kill-flight"], "uml", record).held is held


def test_a_check_without_a_limit_holds_when_it_happened() -> None:
    assert judged(BY_NAME["units"], "uml", {"ok": True, "seen": "x"}).held


def test_the_table_names_what_failed_and_what_was_not_run() -> None:
    outcomes = [
        judged(BY_NAME["boot"], "uml", {"ok": True, "measured": 12.34}),
        judged(BY_NAME["kill-flight"], "uml", {"ok": False, "seen": "valves stayed open"}),
    ]
    text = table(outcomes, chosen("boot,kill-flight,mission"))
    assert "12.3 s" in text
    assert re.search(r"15 s +3 s", text), "a board's figure beside the guest's limit"
    assert "kill-flight: valves stayed open" in text
    assert "not run: mission" in text


# -- what is flown


@pytest.mark.parametrize(("arch", "fast_hz", "medium_hz", "patience_ms"), [("uml", 100, 10, 20), ("arm64", 50, 5, 100)])
def test_the_guests_board_is_the_bench_board_at_its_rate(
    tmp_path: Path, arch: str, fast_hz: int, medium_hz: int, patience_ms: int
) -> None:
    text = board_text(arch, BOARD.read_text())
    (tmp_path / "board.yaml").write_text(text)
    board = load_board(str(tmp_path / "board.yaml"))
    assert (board.rates.fast_hz, board.rates.medium_hz) == (fast_hz, medium_hz)
    assert f"rate_hz: {fast_hz}," in text
    assert "cpu: 0, spin_us: 0," in text
    assert f"timeout_ms: {patience_ms}}}" in text


def test_what_can_not_be_changed_is_named() -> None:
    with pytest.raises(GuestError, match="has no"):
        board_text("uml", "rates: {fast_hz: 100,")


def test_what_is_installed_is_known_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "hal").mkdir()
    (tmp_path / "pyproject.toml").write_text("x")
    (tmp_path / "hal/a.py").write_text("1")
    first = source_digest(tmp_path)
    (tmp_path / "hal/__pycache__").mkdir()
    (tmp_path / "hal/__pycache__/a.pyc").write_text("2")
    assert source_digest(tmp_path) == first
    (tmp_path / "hal/a.py").write_text("2")
    assert source_digest(tmp_path) != first


def test_unknown_checks_are_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--checks", "nonsense"]) == 2
    assert "no check nonsense" in capsys.readouterr().err
