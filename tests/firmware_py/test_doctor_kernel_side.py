"""Overlays, modules, groups, supply and battery clock: each row from files of a root that the test makes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from firmware_py.doctor import Check, Machine, Status
from firmware_py.doctor.kernel_side import check_clock, check_groups, check_modules, check_overlays, check_supply
from hal.profile import BoardConfig, BusConfig, load_board

BOARD = load_board("qiki-rpi")
CONFIG = """# firmware
dtparam=i2c_arm=on
dtparam=i2c_arm_baudrate=100000
dtoverlay=i2c3,baudrate=400000
dtoverlay=i2c6,pins_0_1,baudrate=400000
dtparam=spi=on   # inertial units
dtoverlay=spi1-3cs
dtoverlay=mcp251xfd,spi5-0,interrupt=23
"""


def put(root: Path, path: str, text: str = "") -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def machine(root: Path, *groups: str, is_root: bool = False, flags: bytes | None = None) -> Machine:
    return Machine(
        root=root, groups=lambda: frozenset(groups), is_root=lambda: is_root, firmware_flags=lambda: flags,
    )


def by_name(checks: list[Check]) -> dict[str, Check]:
    assert len({check.name for check in checks}) == len(checks)
    return {check.name: check for check in checks}


def with_buses(**buses: BusConfig) -> BoardConfig:
    return msgspec.structs.replace(BOARD, buses=buses)


SERVED = with_buses(
    i2c_a=BusConfig("i2c", "unix:///run/rig/i2c_a.sock"), can0=BusConfig("can", "udp://239.74.163.2:43113"),
    usb0=BusConfig("serial", "/run/rig/usb0"), gpio=BusConfig("gpio", "unix:///run/rig/gpio.sock"),
)


# -- overlays


def test_a_config_txt_with_every_line_passes(tmp_path: Path) -> None:
    put(tmp_path, "boot/firmware/config.txt", CONFIG)
    checks = by_name(check_overlays(BOARD, machine(tmp_path)))
    assert set(checks) == {f"overlay of {name}" for name in ("i2c_a", "i2c_b", "i2c_c", "spi0", "spi1", "can0", "can1")}
    assert {check.status for check in checks.values()} == {Status.PASS}
    assert checks["overlay of i2c_b"].allowed == "dtoverlay=i2c3,baudrate=400000"


@pytest.mark.parametrize(
    ("line", "bus", "step"),
    [
        ("dtoverlay=i2c3,baudrate=400000", "i2c_b", "dtoverlay=i2c3"),
        ("dtparam=i2c_arm=on", "i2c_a", "dtparam=i2c_arm=on"),
        ("dtoverlay=spi1-3cs", "spi1", "dtoverlay=spi1-3cs"),
    ],
)
def test_a_missing_line_fails_with_the_line_and_the_file(tmp_path: Path, line: str, bus: str, step: str) -> None:
    put(tmp_path, "boot/firmware/config.txt", CONFIG.replace(line, f"#{line}"))
    check = by_name(check_overlays(BOARD, machine(tmp_path)))[f"overlay of {bus}"]
    assert check.status is Status.FAIL
    assert check.next_step == f"put {step} into /boot/firmware/config.txt, then restart"


def test_a_node_that_is_there_needs_no_line(tmp_path: Path) -> None:
    put(tmp_path, "boot/config.txt", "")
    put(tmp_path, "dev/i2c-3")
    put(tmp_path, "dev/spidev1.2")
    put(tmp_path, "sys/class/net/can0/type")
    checks = by_name(check_overlays(BOARD, machine(tmp_path)))
    good = {name for name, check in checks.items() if check.status is Status.PASS}
    assert good == {"overlay of i2c_b", "overlay of spi1", "overlay of can0"}
    assert "/boot/config.txt" in checks["overlay of i2c_a"].found


def test_a_computer_without_config_txt_is_not_judged(tmp_path: Path) -> None:
    checks = check_overlays(BOARD, machine(tmp_path))
    assert {check.status for check in checks} == {Status.SKIP}


def test_uarts_have_overlays_of_their_own(tmp_path: Path) -> None:
    put(tmp_path, "boot/firmware/config.txt", "enable_uart=1\n")
    board = with_buses(a=BusConfig("serial", "/dev/ttyAMA2"), b=BusConfig("serial", "/dev/serial0"),
                       c=BusConfig("serial", "/dev/ttyUSB0"))
    checks = by_name(check_overlays(board, machine(tmp_path)))
    assert {name: check.status for name, check in checks.items()} == {
        "overlay of a": Status.FAIL, "overlay of b": Status.PASS
    }
    assert "dtoverlay=uart2" in checks["overlay of a"].next_step


def test_buses_that_a_rig_plays_need_nothing_of_the_kernel(tmp_path: Path) -> None:
    bare = machine(tmp_path)
    assert check_overlays(SERVED, bare) == []
    assert check_modules(SERVED, bare) == []
    assert check_groups(SERVED, bare).status is Status.SKIP


# -- modules and groups


def test_modules_are_loaded_built_in_or_missing(tmp_path: Path) -> None:
    put(tmp_path, "proc/modules", "i2c_dev 20480 0 - Live 0x0\ncan 28672 1 can_raw, Live 0x0\n")
    put(tmp_path, "sys/module/can_raw/parameters/x")
    put(tmp_path, "dev/spidev0.0")
    checks = by_name(check_modules(BOARD, machine(tmp_path)))
    assert [check.status for check in checks.values()] == [Status.PASS] * 4
    assert "built in" in checks["module spidev"].found
    (tmp_path / "dev/spidev0.0").unlink()
    check = by_name(check_modules(BOARD, machine(tmp_path)))["module spidev"]
    assert (check.status, check.next_step.partition(";")[0]) == (Status.FAIL, "sudo modprobe spidev")


def test_groups_that_are_missing_are_named(tmp_path: Path) -> None:
    assert check_groups(BOARD, machine(tmp_path, "i2c", "spi", "gpio", "dialout", "users")).status is Status.PASS
    assert check_groups(BOARD, machine(tmp_path, is_root=True)).status is Status.PASS
    check = check_groups(BOARD, machine(tmp_path, "i2c", "gpio"))
    assert check.status is Status.FAIL
    assert check.next_step.startswith("sudo usermod -aG dialout,spi $USER")
    assert check.allowed == "dialout, gpio, i2c, spi"


# -- supply and clock


@pytest.mark.parametrize(
    ("word", "status", "found"),
    [
        ("0x0", Status.PASS, "good now and since the start"), ("50000", Status.WARN, "not always"),
        ("0x1", Status.FAIL, "under-voltage now"), ("0x5", Status.FAIL, "under-voltage and throttled now"),
        ("0xffffffff", Status.MISSING, "no word of flags"), ("", Status.MISSING, "no word of flags"),
    ],
)
def test_the_firmware_s_word_on_the_supply(tmp_path: Path, word: str, status: Status, found: str) -> None:
    put(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", word + "\n")
    check = check_supply(machine(tmp_path))
    assert check.status is status
    assert found in check.found
    assert bool(check.next_step) == (status is not Status.PASS)


def test_without_the_file_vcgencmd_is_asked_and_without_both_nothing_is_said(tmp_path: Path) -> None:
    assert check_supply(machine(tmp_path, flags=b"0x50005")).status is Status.FAIL
    assert check_supply(machine(tmp_path)).status is Status.SKIP


def test_a_battery_clock_is_the_kernels_or_the_boards(tmp_path: Path) -> None:
    bare = machine(tmp_path)
    assert "rtc of the board" in check_clock(BOARD, bare).found
    without = msgspec.structs.replace(BOARD, devices=tuple(d for d in BOARD.devices if d.role != "clock"))
    assert check_clock(without, bare).status is Status.WARN
    put(tmp_path, "sys/class/rtc/rtc0/name", "rtc-ds3231")
    assert check_clock(without, bare).found == "rtc0 of the kernel"


def test_the_calls_of_this_computer_answer() -> None:
    here = Machine()
    assert all(isinstance(name, str) for name in here.groups())
    assert here.is_root() in (True, False)
    assert here.firmware_flags() is None or here.firmware_flags()
