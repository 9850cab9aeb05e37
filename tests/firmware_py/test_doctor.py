"""Doctor: every check says what it found, gives a next step when it is not good, and guesses nothing."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from firmware_py import doctor
from firmware_py.clock import SimClock
from firmware_py.doctor import Check, Machine, Status, inspect
from hal.profile import load_board

GIB = 1 << 30
LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max locked memory         {memlock}              {memlock}              bytes
Max realtime priority     {rtprio}                    {rtprio}
"""
GOOD = {
    "proc/self/status": "Name:\tqiki\nCapEff:\t0000000000000000\n",
    "proc/self/limits": LIMITS.format(memlock="unlimited", rtprio="99"),
    "proc/sys/kernel/sched_rt_runtime_us": "950000",
    "proc/sys/kernel/sched_rt_period_us": "1000000",
    "sys/devices/system/cpu/online": "0-3",
    "sys/devices/system/cpu/isolated": "3",
    "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor": "performance",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "arch_sys_counter",
    "sys/kernel/realtime": "1",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": "51300",
    "sys/class/net/can0/type": "280",
    "sys/class/net/can0/flags": "0x40081",
    "run/systemd/timesync/synchronized": "",
    "sys/class/net/can1/type": "280",
    "sys/class/net/can1/flags": "0x40081",
    **dict.fromkeys((
        "dev/i2c-1", "dev/i2c-3", "dev/i2c-6", "dev/spidev0.0", "dev/spidev0.1", "dev/spidev1.0", "dev/spidev1.1",
        "dev/spidev1.2", "dev/spidev1.3", "dev/spidev1.4", "dev/ttyUSB0", "dev/ttyUSB1", "dev/ttyUSB2", "dev/ttyUSB3",
        "dev/gpiochip0",
    ), ""),
}
BOARD = load_board("qiki-rpi")


def computer(tmp_path: Path, **replaced: object) -> Machine:
    """A Raspberry Pi as it should be."""
    for path, text in GOOD.items():
        put(tmp_path, path, text)
    machine = Machine(
        root=tmp_path, python=(3, 11), kernel_version="6.6.31-rt SMP PREEMPT_RT", module_present=lambda name: True,
        gpio_label=lambda path: "pinctrl-bcm2711", synchronised=lambda: False, free_bytes=lambda folder: 8 * GIB,
        resolution_ns=lambda: 1,
    )
    return dataclasses.replace(machine, **replaced)


def put(root: Path, path: str, text: str | None) -> None:
    target = root / path
    if text is None:
        target.unlink()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def by_name(checks: list[Check]) -> dict[str, Check]:
    assert len({check.name for check in checks}) == len(checks)
    return {check.name: check for check in checks}


def test_a_board_as_it_should_be_passes_every_check(tmp_path: Path) -> None:
    checks = inspect(BOARD, computer(tmp_path), SimClock())
    assert [check for check in checks if check.status is not Status.PASS] == []
    assert len(checks) == 14 + 17 + 5


def test_whatever_is_not_good_names_a_next_step(tmp_path: Path) -> None:
    bare = Machine(
        root=tmp_path, python=(3, 9), kernel_version="", module_present=lambda name: False,
        gpio_label=lambda path: "", synchronised=lambda: None, free_bytes=lambda folder: 0,
        resolution_ns=lambda: 4_000_000,
    )
    checks = inspect(BOARD, bare, SimClock())
    assert all(check.found for check in checks)
    assert all(check.next_step for check in checks if check.status in (Status.FAIL, Status.WARN))
    assert all(not check.next_step for check in checks if check.status is Status.PASS)


def test_a_computer_that_shows_nothing_is_missing_not_passed(tmp_path: Path) -> None:
    bare = Machine(root=tmp_path, kernel_version="", synchronised=lambda: None)
    found = by_name(inspect(None, bare, SimClock()))
    for name in ("real-time rights", "memory lock", "real-time throttling", "processor", "isolated processors",
                 "preemption", "cpu governor", "clock source", "time sync", "cpu temperature"):
        assert found[name].status is Status.MISSING, name


def test_without_a_board_no_device_is_looked_for_and_no_library_is_demanded(tmp_path: Path) -> None:
    found = by_name(inspect(None, computer(tmp_path, module_present=lambda name: False), SimClock()))
    assert not any(name.startswith("bus ") for name in found)
    assert found["library smbus2"].status is Status.MISSING


@pytest.mark.parametrize(
    ("check", "path", "text", "status"),
    [
        ("real-time throttling", "proc/sys/kernel/sched_rt_runtime_us", "-1", Status.PASS),
        ("real-time throttling", "proc/sys/kernel/sched_rt_runtime_us", "500000", Status.WARN),
        ("real-time throttling", "proc/sys/kernel/sched_rt_period_us", "0", Status.MISSING),
        ("processor", "sys/devices/system/cpu/online", "0-1", Status.WARN),
        ("processor", "sys/devices/system/cpu/online", "0,2-3", Status.PASS),
        ("processor", "sys/devices/system/cpu/online", "?", Status.MISSING),
        ("isolated processors", "sys/devices/system/cpu/isolated", "", Status.WARN),
        ("isolated processors", "sys/devices/system/cpu/isolated", "2", Status.WARN),
        ("cpu governor", "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "ondemand", Status.WARN),
        ("clock source", "sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet", Status.WARN),
        ("cpu temperature", "sys/class/thermal/thermal_zone0/temp", "74999", Status.PASS),
        ("cpu temperature", "sys/class/thermal/thermal_zone0/temp", "75000", Status.WARN),
        ("cpu temperature", "sys/class/thermal/thermal_zone0/temp", "85000", Status.FAIL),
        ("cpu temperature", "sys/class/thermal/thermal_zone0/temp", "hot", Status.MISSING),
        ("cpu temperature", "sys/class/thermal/thermal_zone0/type", "battery", Status.MISSING),
        ("bus can0 (can)", "sys/class/net/can0/flags", "0x40080", Status.FAIL),
        ("bus can0 (can)", "sys/class/net/can0/flags", "", Status.FAIL),
        ("bus can0 (can)", "sys/class/net/can0/type", "1", Status.FAIL),
        ("bus can0 (can)", "sys/class/net/can0/type", None, Status.MISSING),
        ("bus i2c_a (i2c)", "dev/i2c-1", None, Status.MISSING),
        ("bus spi0 (spi) select 0", "dev/spidev0.0", None, Status.MISSING),
        ("bus usb3 (serial)", "dev/ttyUSB3", None, Status.MISSING),
        ("bus gpio (gpio)", "dev/gpiochip0", None, Status.MISSING),
    ],
)
def test_each_finding_has_its_verdict(tmp_path: Path, check: str, path: str, text: str | None, status: Status) -> None:
    machine = computer(tmp_path)
    put(tmp_path, path, text)
    assert by_name(inspect(BOARD, machine, SimClock()))[check].status is status


@pytest.mark.parametrize(
    ("rtprio", "capabilities", "status"),
    [("0", "0", Status.WARN), ("49", "0", Status.WARN), ("50", "0", Status.PASS), ("unlimited", "0", Status.PASS),
     ("0", "800000", Status.PASS), ("0", "7fffff", Status.WARN)],
)
def test_real_time_rights_come_from_limit_or_capability(
    tmp_path: Path, rtprio: str, capabilities: str, status: Status
) -> None:
    machine = computer(tmp_path)
    put(tmp_path, "proc/self/limits", LIMITS.format(memlock="unlimited", rtprio=rtprio))
    put(tmp_path, "proc/self/status", f"CapEff:\t{capabilities}\n")
    assert doctor.check_realtime_rights(machine, 50).status is status


@pytest.mark.parametrize(
    ("memlock", "capabilities", "status"),
    [("8388608", "0", Status.WARN), ("unlimited", "0", Status.PASS), ("8388608", "4000", Status.PASS)],
)
def test_memory_lock_comes_from_limit_or_capability(
    tmp_path: Path, memlock: str, capabilities: str, status: Status
) -> None:
    machine = computer(tmp_path)
    put(tmp_path, "proc/self/limits", LIMITS.format(memlock=memlock, rtprio="0"))
    put(tmp_path, "proc/self/status", f"CapEff:\t{capabilities}\n")
    assert doctor.check_memory_lock(machine).status is status


def test_python_older_than_3_11_fails(tmp_path: Path) -> None:
    assert doctor.check_python(computer(tmp_path, python=(3, 10))).status is Status.FAIL
    assert doctor.check_python(computer(tmp_path, python=(3, 12))).status is Status.PASS


@pytest.mark.parametrize(
    ("version", "model"), [("6.1 SMP PREEMPT_DYNAMIC Debian", "PREEMPT_DYNAMIC"), ("6.6 SMP PREEMPT Tue", "PREEMPT")]
)
def test_an_ordinary_kernel_is_named_and_warned_about(tmp_path: Path, version: str, model: str) -> None:
    machine = computer(tmp_path, kernel_version=version)
    put(tmp_path, "sys/kernel/realtime", None)
    check = doctor.check_preemption(machine)
    assert (check.status, check.found) == (Status.WARN, model)


@pytest.mark.parametrize(
    ("free", "status"),
    [(GIB, Status.PASS), (GIB - 1, Status.WARN), (GIB // 4, Status.WARN), (GIB // 4 - 1, Status.FAIL)],
)
def test_disk_space_has_two_limits(tmp_path: Path, free: int, status: Status) -> None:
    assert doctor.check_disk(computer(tmp_path, free_bytes=lambda folder: free), tmp_path).status is status


def test_a_recorder_folder_that_is_not_there_fails(tmp_path: Path) -> None:
    check = doctor.check_disk(Machine(), tmp_path / "nowhere")
    assert check.status is Status.FAIL
    assert "nowhere" in check.found


@pytest.mark.parametrize(("state", "status"), [(True, Status.PASS), (False, Status.WARN), (None, Status.MISSING)])
def test_time_sync_asks_the_kernel_when_systemd_says_nothing(
    tmp_path: Path, state: bool | None, status: Status
) -> None:
    machine = computer(tmp_path, synchronised=lambda: state)
    put(tmp_path, "run/systemd/timesync/synchronized", None)
    assert doctor.check_time_sync(machine).status is status


def test_wake_ups_are_measured_on_the_clock_given() -> None:
    clock = SimClock()
    histogram = doctor.wakeup_jitter(clock, count=200, period_ns=1_000_000)
    assert histogram.count == 200
    assert histogram.max_ns == 0
    assert clock.now_ns() == 200_000_000


class SlowClock(SimClock):
    """Wakes 600 us late."""

    def sleep_until_ns(self, t_ns: int) -> int:
        return super().sleep_until_ns(t_ns) + 600_000


def test_late_wake_ups_are_warned_about_with_their_figures() -> None:
    check = doctor.check_wakeups(SlowClock())
    assert check.status is Status.WARN
    assert "worst 600 us of 200" in check.found


def test_a_gpio_chip_is_found_by_its_label_among_others(tmp_path: Path) -> None:
    put(tmp_path, "dev/gpiochip1", "")
    labels = {"gpiochip0": "raspberrypi-exp-gpio", "gpiochip1": "pinctrl-bcm2711"}
    machine = computer(tmp_path, gpio_label=lambda path: labels[path.name])
    found = by_name(doctor.check_board(BOARD, machine))["bus gpio (gpio)"]
    assert (found.status, found.found) == (Status.PASS, "gpiochip1 (pinctrl-bcm2711)")


def test_a_gpio_chip_without_permission_fails_rather_than_missing(tmp_path: Path) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError

    found = by_name(doctor.check_board(BOARD, computer(tmp_path, gpio_label=refuse)))["bus gpio (gpio)"]
    assert found.status is Status.FAIL
    assert "permission" in found.found


def test_other_gpio_labels_are_listed(tmp_path: Path) -> None:
    found = by_name(doctor.check_board(BOARD, computer(tmp_path, gpio_label=lambda path: "pinctrl-rp1")))
    assert "pinctrl-rp1" in found["bus gpio (gpio)"].found


def test_a_file_that_is_no_gpio_chip_has_no_label(tmp_path: Path) -> None:
    put(tmp_path, "dev/gpiochip0", "")
    with pytest.raises(OSError, match=r"."):
        doctor.gpio_chip_label(tmp_path / "dev/gpiochip0")


def test_a_device_node_that_may_not_be_opened_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = by_name(doctor.check_board(BOARD, computer(tmp_path)))["bus i2c_a (i2c)"]
    assert found.status is Status.FAIL
    assert "permission" in found.found


@pytest.mark.parametrize("module", ["smbus2", "spidev", "can", "serial", "gpiod"])
def test_a_library_that_the_board_needs_fails_when_absent(tmp_path: Path, module: str) -> None:
    machine = computer(tmp_path, module_present=lambda name: name != module)
    checks = by_name(doctor.check_libraries(BOARD, machine))
    assert [name for name, check in checks.items() if check.status is Status.FAIL] == [f"library {module}"]


def test_this_machine_can_be_inspected_without_an_exception(tmp_path: Path) -> None:
    checks = inspect(BOARD, clock=SimClock(), data_folder=tmp_path)
    assert by_name(checks)["python"].status is Status.PASS
