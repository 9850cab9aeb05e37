"""The checklist's rows for buses and chips, and its sum: what failed, and each next step once."""

from __future__ import annotations

from drivers.errors import Cause, DeviceError
from firmware_py.doctor import Check, Status
from firmware_py.doctor.bring_up import Section, check_buses, check_chips, failed, failed_first
from firmware_py.probe import Finding, Verdict
from hal.profile import load_board

BOARD = load_board("qiki-rpi")


def finding(verdict: Verdict, device: str | None = "mag", bus: str = "i2c_b", where: str = "0x20") -> Finding:
    return Finding(bus, where, device, "rm3100" if device else None, verdict, "what it said", None, 1, 0, 50.0, "do so")


def test_a_bus_that_was_opened_passes_and_another_says_why_and_what_to_do() -> None:
    refusals = {"i2c_a": (DeviceError("i2c_a", None, Cause.ABSENT, "no such node"), "enable it")}
    checks = {check.name: check for check in check_buses(BOARD, refusals)}
    assert checks["i2c_a (i2c)"] == Check(
        "i2c_a (i2c)", Status.FAIL, "/dev/i2c-1: absent (no such node)", "enable it"
    )
    assert checks["usb0 (serial)"] == Check("usb0 (serial)", Status.PASS, "/dev/ttyUSB0")
    assert len(checks) == len(BOARD.buses)


def test_parts_pass_or_fail_by_what_they_said_of_themselves() -> None:
    checks = list(check_chips([
        finding(Verdict.ANSWERS), finding(Verdict.SPEAKS, "bms", "can1", "0x51"), finding(Verdict.MISSING, "tank"),
        finding(Verdict.WRONG_ID, "rtc"), finding(Verdict.SILENT, "lidar", "usb2", ""), finding(Verdict.FAILS, "fram"),
        finding(Verdict.UNKNOWN, None, "i2c_b", "0x3c"),
    ]))
    assert [(check.name, check.status) for check in checks] == [
        ("mag (0x20)", Status.PASS), ("bms (0x51)", Status.PASS), ("tank (0x20)", Status.FAIL),
        ("rtc (0x20)", Status.FAIL), ("lidar (usb2)", Status.FAIL), ("fram (0x20)", Status.FAIL),
        ("i2c_b 0x3c", Status.WARN),
    ]
    assert checks[3].found == "wrong id: what it said"
    assert all(bool(check.next_step) == (check.status is not Status.PASS) for check in checks)


def test_the_parts_of_a_bus_that_is_not_open_are_one_line() -> None:
    checks = list(check_chips([
        finding(Verdict.NO_BUS, None), finding(Verdict.NO_BUS, "mag"), finding(Verdict.NO_BUS, "tank"),
        finding(Verdict.NO_BUS, "imu", "spi0"),
    ]))
    assert [(check.name, check.status, check.found) for check in checks] == [
        ("parts on i2c_b", Status.SKIP, "the bus is not open: mag, tank"),
        ("parts on spi0", Status.SKIP, "the bus is not open: imu"),
    ]


def test_each_next_step_stands_once_with_all_who_need_it() -> None:
    sections = [
        Section("a", [Check("one", Status.FAIL, "x", "do this"), Check("two", Status.WARN, "x", "maybe that")]),
        Section("b", [Check("three", Status.FAIL, "x", "do this"), Check("four", Status.FAIL, "x", "and that")]),
    ]
    assert failed_first(sections) == [("do this", ["one", "three"]), ("and that", ["four"])]
    assert failed(sections)
    assert not failed([Section("c", [Check("five", Status.WARN, "x"), Check("six", Status.SKIP, "x")])])
