"""Checks before an installation: every refusal has a next step; what the installation itself brings is no reason."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from firmware_py.doctor import Status
from firmware_py.install import checks
from firmware_py.install.checks import Subject, all_checks, needs_of, refusals
from firmware_py.install.slots import Interpreter
from firmware_py.install.system import Ran
from hal.profile import load_board
from tests.firmware_py.install.board import Board, machine, new_board, wheelhouse

BOARD = load_board("qiki-rpi")


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return new_board(tmp_path / "root")


@pytest.fixture
def subject(board: Board, tmp_path: Path) -> Subject:
    return Subject(
        board, board.layout, wheelhouse(tmp_path / "house", "1.0"), Interpreter("/usr/bin/python3.11", "3.11", True),
        BOARD, board.trial, machine(board.root), rights=lambda path: True,
    )


def failed(subject: Subject, **changed: object) -> dict[str, str]:
    """Names and next steps of what stands in the way."""
    checks = all_checks(dataclasses.replace(subject, **changed))
    return {check.name: check.next_step for check in refusals(checks)}


def test_a_board_as_it_should_be_passes(subject: Subject) -> None:
    assert {check.status for check in all_checks(subject)} == {Status.PASS}


@pytest.mark.parametrize(("path", "name", "step"), [
    ("dev/i2c-1", "bus i2c_a (i2c)", "dtparam=i2c_arm=on"),
    ("dev/i2c-6", "bus i2c_c (i2c)", "dtoverlay=i2c6,baudrate=400000"),
    ("dev/spidev0.0", "bus spi0 (spi) select 0", "dtparam=spi=on"),
    ("dev/spidev1.4", "bus spi1 (spi) select 4", "dtoverlay=spi1-3cs"),
    ("dev/ttyUSB2", "bus usb2 (serial)", "/dev/serial/by-id"),
    ("sys/class/net/can1/type", "bus can1 (can)", "mcp251xfd"),
    ("dev/gpiochip0", "bus gpio (gpio)", "gpiodetect"),
])
def test_a_bus_that_is_missing_is_refused_with_its_line(subject: Subject, board: Board, path, name, step) -> None:
    (board.root / path).unlink()
    found = failed(subject)
    assert list(found) == [name]
    assert step in found[name]
    assert "--anyway" in found[name]
    assert failed(subject, anyway=True) == {}


def test_a_line_that_is_there_already_asks_for_a_restart(subject: Subject, board: Board) -> None:
    board.at("/dev/spidev0.0").unlink()
    board.write("/boot/firmware/config.txt", b"[all]\ndtparam=spi=on  # buses\n")
    assert "restart" in failed(subject)["bus spi0 (spi) select 0"]
    board.write("/boot/firmware/config.txt", b"#dtparam=spi=on\n")
    assert "put dtparam=spi=on into /boot/firmware/config.txt" in failed(subject)["bus spi0 (spi) select 0"]


def test_a_node_that_comes_with_the_module_is_no_reason(subject: Subject, board: Board) -> None:
    board.at("/dev/i2c-1").unlink()
    board.at("/sys/bus/i2c/devices/i2c-1").mkdir(parents=True)
    assert failed(subject) == {}


@pytest.mark.parametrize(("changed", "name", "step"), [
    ({"rights": lambda path: False}, "rights", "sudo"),
    ({"arch": lambda: "arm64"}, "wheelhouse", "ARCH=arm64"),
    ({"interpreter": Interpreter("/usr/bin/python3.11", "3.13", True)}, "wheelhouse", "PY=3.13"),
    ({"interpreter": Interpreter("/home/pi/python3.11", "3.11", True)}, "python", "/usr/bin/python3"),
    ({"interpreter": Interpreter("/usr/local/bin/python3.11", "3.11", True)}, "python", "install python3"),
])
def test_what_does_not_fit_is_refused(subject: Subject, changed, name: str, step: str) -> None:
    found = failed(subject, **changed)
    assert step in found[name]


@pytest.mark.parametrize("library", ["libstdc++.so.6", "libgcc_s.so.1"])
def test_a_system_without_the_libraries_of_the_wheels_is_refused(subject: Subject, board: Board, library: str) -> None:
    path = board.at(f"/usr/lib/aarch64-linux-gnu/{library}")
    path.unlink()
    assert failed(subject) == {"shared libraries": "sudo apt install libstdc++6"}
    board.write(f"/usr/lib64/{library}", b"library")
    assert failed(subject) == {}


def test_the_script_of_a_wheelhouse_names_the_library_before_anything_is_made(tmp_path: Path) -> None:
    script = tmp_path / "install.sh"
    script.write_bytes((Path(checks.__file__).parent / "install.sh").read_bytes())
    digest = hashlib.sha256(script.read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  install.sh\n")
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$2" in *libstdc++*) exit 1;; esac\necho "$@" >> "$0.ran"\n')
    python.chmod(0o755)
    ran = subprocess.run(["sh", str(script)], env={**os.environ, "PYTHON": str(python)}, capture_output=True, text=True,
                         check=False)
    assert ran.returncode == 2
    assert "apt install libstdc++6" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "python.ran").exists()


def test_no_space(subject: Subject, board: Board) -> None:
    assert "make room" in failed(subject, machine=machine(board.root, 100_000_000))["disk space"]


def test_spidev_comes_from_a_wheel_or_debian_or_a_compiler(subject: Subject, board: Board, tmp_path: Path) -> None:
    bare = wheelhouse(tmp_path / "bare", "1.0", spidev=False)
    assert "apt install python3-spidev" in failed(subject, wheelhouse=bare)["packages without wheels"]
    board.write("/usr/bin/cc", b"")
    board.write("/usr/include/python3.11/Python.h", b"")
    assert failed(subject, wheelhouse=bare) == {}
    board.at("/usr/bin/cc").unlink()
    board.write("/usr/lib/python3/dist-packages/spidev.cpython-311-aarch64-linux-gnu.so", b"")
    assert failed(subject, wheelhouse=bare) == {}
    without = msgspec.structs.replace(
        BOARD, buses={name: bus for name, bus in BOARD.buses.items() if bus.kind != "spi"},
    )
    assert needs_of(without) == ()


@pytest.mark.parametrize(("command", "said", "name"), [
    ("uname -r", "4.19.0\n", "kernel"), ("systemctl --version", "systemd 241 (241)\n", "systemd"),
    ("systemctl --version", "", "systemd"),
])
def test_what_is_too_old_is_refused(subject: Subject, board: Board, monkeypatch, command, said, name) -> None:
    run = board.run
    monkeypatch.setattr(
        board, "run", lambda words, timeout_s=60.0: Ran(0, said) if " ".join(words) == command else run(words),
    )
    assert list(failed(subject)) == [name]


def test_systemd_must_be_what_runs(subject: Subject, board: Board) -> None:
    board.at("/run/systemd/system").rmdir()
    assert "--root" in failed(subject)["systemd"]


def test_a_watchdog_with_two_owners_is_told(subject: Subject, board: Board, monkeypatch) -> None:
    run = board.run
    monkeypatch.setattr(
        board, "run",
        lambda words, timeout_s=60.0: Ran(0, "RuntimeWatchdogUSec=1min\n") if "RuntimeWatchdogUSec" in words[-1]
        else run(words),
    )
    both = dataclasses.replace(subject, board=msgspec.structs.replace(BOARD, watchdog={}))
    found = {check.name: check for check in all_checks(both)}["watchdog"]
    assert (found.status, "1min" in found.found) == (Status.WARN, True)
    assert {check.name: check for check in all_checks(subject)}["watchdog"].status is Status.PASS


def test_a_bus_over_the_network_is_told(subject: Subject) -> None:
    buses = {**BOARD.buses, "can1": msgspec.structs.replace(BOARD.buses["can1"], device="udp://239.0.0.1:4311")}
    changed = dataclasses.replace(subject, board=msgspec.structs.replace(BOARD, buses=buses))
    found = {check.name: check for check in all_checks(changed)}["bus can1 (can)"]
    assert found.status is Status.WARN
    assert "network" in found.found
    assert not refusals([found])


def test_groups_that_are_missing_are_made(subject: Subject) -> None:
    found = {check.name: check for check in all_checks(subject)}["groups"]
    assert found.found == "dialout will be made"
