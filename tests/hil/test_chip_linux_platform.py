"""The simulated computer's files read as those of a Raspberry Pi, and what it lacks is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.chips.linux_platform import (
    CPUFREQ,
    HWMON,
    LOADAVG,
    MEMINFO,
    MODEL,
    THERMAL,
    THROTTLED,
    UPTIME,
    LinuxPlatform,
    Throttle,
)

SECOND = 1_000_000_000


class Bench:
    """A computer under a temporary folder and a clock."""

    def __init__(self, root: Path, **options: object) -> None:
        self.now_ns = 5 * SECOND
        self.root = root
        self.computer = LinuxPlatform(root, lambda: self.now_ns, **options)  # type: ignore[arg-type]

    def text(self, path: str) -> str:
        return (self.root / path).read_text(encoding="ascii")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_files_are_there_from_the_start(bench: Bench) -> None:
    assert bench.text(f"{THERMAL}/temp") == "45000\n"
    assert bench.text(f"{THERMAL}/type") == "cpu-thermal\n"
    assert bench.text(THROTTLED) == "0\n"
    assert bench.text(f"{CPUFREQ}/scaling_cur_freq") == "1500000\n"
    assert bench.text(f"{HWMON}/name") == "rpi_volt\n"
    assert bench.text(LOADAVG).split()[:3] == ["0.20", "0.15", "0.10"]
    assert bench.text(UPTIME).split()[0] == "0.00"
    assert bench.text(MODEL).startswith("Raspberry Pi")


def test_attributes_show_after_publish(bench: Bench) -> None:
    computer = bench.computer
    computer.temperature_c, computer.cpu_hz, computer.load = -12.345, 600e6, (3.5, 2.0, 1.0)
    computer.memory_available_bytes = 123_456 * 1024
    assert bench.text(f"{THERMAL}/temp") == "45000\n"
    bench.now_ns += 90 * SECOND
    computer.publish()
    assert bench.text(f"{THERMAL}/temp") == "-12345\n"
    assert bench.text(f"{CPUFREQ}/scaling_cur_freq") == "600000\n"
    assert bench.text(LOADAVG).startswith("3.50 2.00 1.00 ")
    assert bench.text(UPTIME).startswith("90.00 ")
    memory = dict(line.split(":") for line in bench.text(MEMINFO).splitlines())
    assert memory["MemAvailable"].split() == ["123456", "kB"]
    assert memory["MemTotal"].split() == [str(4 * 1024**2), "kB"]


def test_throttling_is_remembered_until_a_reboot(bench: Bench) -> None:
    computer = bench.computer
    computer.throttle = Throttle.UNDER_VOLTAGE | Throttle.THROTTLED
    computer.publish()
    assert bench.text(THROTTLED) == "50005\n"
    assert bench.text(f"{HWMON}/in0_lcrit_alarm") == "1\n"
    computer.throttle = Throttle.SOFT_TEMPERATURE_LIMIT
    computer.publish()
    assert bench.text(THROTTLED) == "d0008\n"
    assert computer.seen == Throttle.UNDER_VOLTAGE | Throttle.THROTTLED | Throttle.SOFT_TEMPERATURE_LIMIT
    computer.throttle = Throttle(0)
    bench.now_ns += 10 * SECOND
    computer.reset()
    assert bench.text(THROTTLED) == "0\n"
    assert bench.text(UPTIME).startswith("0.00 ")


def test_another_computer_lacks_files(tmp_path: Path) -> None:
    bench = Bench(tmp_path, absent=(THROTTLED, HWMON))
    assert not (tmp_path / THROTTLED).exists()
    assert not (tmp_path / HWMON).exists()
    bench.computer.absent = {THERMAL}
    bench.computer.publish()
    assert not (tmp_path / THERMAL / "temp").exists()
    assert bench.text(THROTTLED) == "0\n"
    bench.computer.absent = set()
    bench.computer.publish()
    assert bench.text(f"{THERMAL}/temp") == "45000\n"


def test_a_file_may_hold_nonsense_for_a_while(bench: Bench) -> None:
    computer = bench.computer
    computer.unreadable, computer.garbage = {f"{THERMAL}/temp"}, "nan\n"
    computer.publish()
    assert bench.text(f"{THERMAL}/temp") == "nan\n"
    computer.unreadable = set()
    computer.publish()
    assert bench.text(f"{THERMAL}/temp") == "45000\n"


def test_only_what_changed_is_written(bench: Bench) -> None:
    before = {path: path.stat().st_mtime_ns for path in bench.root.rglob("*") if path.is_file()}
    (bench.root / MODEL).write_text("touched", encoding="ascii")
    bench.computer.temperature_c = 50.0
    bench.computer.publish()
    assert bench.text(MODEL) == "touched"
    assert bench.text(f"{THERMAL}/temp") == "50000\n"
    assert len(before) == 13
