"""Nodes of a board's buses: those of the kernel, those that a rig plays, and the libraries that only the first need."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec
import pytest

from firmware_py.doctor import Check, Machine, Status, check_board, check_libraries
from hal.profile import BoardConfig, BusConfig, load_board

SERVED = {
    "i2c_a": BusConfig("i2c", "unix:///run/rig/i2c_a.sock?patience_ms=50"),
    "can0": BusConfig("can", "udp://239.74.163.2:43113"),
    "gpio": BusConfig("gpio", "unix:///run/rig/gpio.sock"),
}


def board(**buses: BusConfig) -> BoardConfig:
    return msgspec.structs.replace(load_board("qiki-rpi"), buses={**SERVED, **buses}, devices=())


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "run/rig").mkdir(parents=True)
    return tmp_path


def test_a_served_bus_is_a_socket_that_is_there(root: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(root / "run/rig/i2c_a.sock"))
        checks = by_name(check_board(board(), Machine(root=root)))
    assert checks["bus i2c_a (i2c)"].status is Status.PASS
    assert checks["bus gpio (gpio)"].status is Status.MISSING
    assert "qiki rig serve" in checks["bus gpio (gpio)"].next_step
    assert checks["bus can0 (can)"].status is Status.PASS


def test_a_socket_of_somebody_else_fails(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(root / "run/rig/i2c_a.sock"))
        monkeypatch.setattr("os.access", lambda path, mode: False)
        check = by_name(check_board(board(), Machine(root=root)))["bus i2c_a (i2c)"]
    assert (check.status, check.next_step) == (Status.FAIL, "run as the user who serves it, or in its group")


def test_libraries_are_demanded_of_the_kernels_buses_alone(root: Path) -> None:
    bare = Machine(root=root, module_present=lambda name: False)
    assert {check.status for check in check_libraries(board(), bare)} == {Status.MISSING}
    real = board(i2c_b=BusConfig("i2c", "/dev/i2c-3"), can1=BusConfig("can", "can0"))
    failed = {check.name for check in check_libraries(real, bare) if check.status is Status.FAIL}
    assert failed == {"library smbus2", "library can"}
