"""The computer's own health: what the files say, None for what is missing or nonsense, and the running kernel."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import linux_platform
from drivers.errors import Cause, DeviceError
from drivers.linux_platform import Device, FrequencyLimit, Settings, frequency_steps_hz, throttle_flags
from drivers.samples import PlatformSample
from tests.drivers.scripted import finish

NOTHING = PlatformSample(*[None] * 10)
FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
ALARM = "sys/class/hwmon/hwmon1/in0_lcrit_alarm"
PI: dict[str, str] = {
    "proc/sys/kernel/osrelease": "6.12.25+rpt-rpi-v8\n",
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\x00",
    "proc/loadavg": "0.52 0.41 0.30 1/234 5678\n",
    "proc/uptime": "12345.67 40000.00\n",
    "proc/meminfo": "MemTotal: 3884360 kB\nMemFree:   200000 kB\nMemAvailable:    3141592 kB\nBuffers:  1 kB\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48312\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
    FIRMWARE: "0\n",
}


class Root:
    """A file tree that plays /proc and /sys."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.folder = folder
        for name, text in files.items():
            self.put(name, text)

    def put(self, name: str, text: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def device(self, **changes: Any) -> Device:
        device = Device(None, None, Settings(**changes), root=self.folder)
        finish(device.initialise())
        return device


@pytest.fixture
def pi(tmp_path: Path) -> Root:
    return Root(tmp_path, PI)


def test_everything_of_a_raspberry_pi(pi: Root) -> None:
    sample = finish(pi.device().acquire())
    room = os.statvfs(pi.folder)
    assert sample.disk_free_bytes == pytest.approx(room.f_bavail * room.f_frsize, rel=0.05)
    assert (sample.temperature_c, sample.cpu_hz, sample.load, sample.uptime_s) == (48.312, 1.8e9, 0.52, 12345.67)
    assert sample.memory_available_bytes == 3141592 * 1024
    assert (sample.under_voltage, sample.throttled) == (False, False)
    assert (sample.under_voltage_seen, sample.throttled_seen) == (False, False)


def test_it_names_model_and_kernel(pi: Root) -> None:
    assert finish(pi.device().identify()) == "Raspberry Pi 4 Model B Rev 1.4, Linux 6.12.25+rpt-rpi-v8"
    (pi.folder / "proc/device-tree/model").unlink()
    pi.put("sys/class/dmi/id/product_name", "Standard PC\n")
    assert finish(pi.device().identify()).startswith("Standard PC, Linux")
    pi.put("sys/class/dmi/id/product_name", b"\xff\xfe\x01")
    assert finish(pi.device().identify()).startswith("computer of unknown model")
    pi.put("sys/class/dmi/id/product_name", "Standard PC\n")
    (pi.folder / "proc/sys/kernel/osrelease").unlink()
    assert finish(pi.device().identify()) == "Standard PC, Linux of unknown release"


def test_no_linux_is_absent(tmp_path: Path) -> None:
    device = Device(None, None, Settings(), root=tmp_path)
    for steps in (device.identify(), device.initialise()):
        with pytest.raises(DeviceError) as caught:
            finish(steps)
        assert caught.value.cause is Cause.ABSENT


def test_what_is_missing_is_none_and_never_a_default(tmp_path: Path) -> None:
    root = Root(tmp_path, {"proc/sys/kernel/osrelease": "6.1\n"})
    device = root.device(disk="/not/there")
    assert finish(device.acquire()) == NOTHING
    assert device.counters.refused == 0
    assert device.counters.samples == 1


@pytest.mark.parametrize("garbage", [
    b"", b"\n", b"\x00" * 20, b"\xff" * 20, b"nan\n", b"inf", b"1e999\n", b"--5", b"0x", b"zzz", b"1_000", b"9" * 5000,
    "٣٤".encode(), b"-1\n",
])
def test_garbage_in_any_file_is_none_and_counted(pi: Root, garbage: bytes) -> None:
    device = pi.device()
    before = finish(device.acquire())
    files = {
        "sys/class/thermal/thermal_zone0/temp": ("temperature_c",),
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": ("cpu_hz",),
        "proc/loadavg": ("load",), "proc/uptime": ("uptime_s",), "proc/meminfo": ("memory_available_bytes",),
        FIRMWARE: ("under_voltage", "throttled", "under_voltage_seen", "throttled_seen"),
    }
    refused = 0
    for name, fields in files.items():
        if garbage == b"-1\n" and "thermal" in name:
            continue  # -0.001 deg C is no garbage
        pi.put(name, garbage)
        refused += 1
        sample = finish(device.acquire())
        for field in PlatformSample.__dataclass_fields__:
            if field in fields:
                assert getattr(sample, field) is None, (name, field)
            elif field != "disk_free_bytes":
                assert getattr(sample, field) == getattr(before, field), (name, field)
        pi.put(name, PI[name])
    assert device.counters.refused == refused


def test_a_file_that_cannot_be_read_is_none(pi: Root) -> None:
    device = pi.device()
    path = pi.folder / "proc/loadavg"
    path.unlink()
    path.mkdir()
    assert finish(device.acquire()).load is None


@pytest.mark.parametrize(("word", "flags"), [
    ("0", (False, False, False, False)), ("1", (True, False, False, False)), ("2", (False, True, False, False)),
    ("4", (False, True, False, False)), ("8", (False, True, False, False)), ("50000", (False, False, True, True)),
    ("50005", (True, True, True, True)), ("d0000", (False, False, True, True)), ("10000", (False, False, True, False)),
    ("80008", (False, True, False, True)), ("0x20002", (False, True, False, True)), ("F000F", (True, True, True, True)),
])
def test_flags_of_the_firmware(word: str, flags: tuple[bool, ...]) -> None:
    assert throttle_flags(f"{word}\n".encode()) == flags


@pytest.mark.parametrize("word", ["ffffffff", "ffff", "10", "100000", "f00000000", "-1", "", "throttled=0x0"])
def test_words_with_bits_that_mean_nothing_are_refused(word: str) -> None:
    with pytest.raises(DeviceError) as caught:
        throttle_flags(word.encode())
    assert caught.value.cause is Cause.IMPLAUSIBLE


def test_what_was_seen_stays_though_the_kernel_clears_it(pi: Root) -> None:
    device = pi.device()
    pi.put(FIRMWARE, "50005\n")
    sample = finish(device.acquire())
    assert (sample.under_voltage, sample.throttled) == (True, True)
    pi.put(FIRMWARE, "0\n")
    sample = finish(device.acquire())
    assert (sample.under_voltage, sample.throttled) == (False, False)
    assert (sample.under_voltage_seen, sample.throttled_seen) == (True, True)


def test_the_hwmon_alarm_stands_in_for_the_firmware_s_file(pi: Root) -> None:
    (pi.folder / FIRMWARE).unlink()
    pi.put("sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    pi.put("sys/class/hwmon/hwmon0/in0_lcrit_alarm", "1\n")  # of another device
    pi.put("sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    pi.put(ALARM, "0\n")
    device = pi.device()
    sample = finish(device.acquire())
    assert (sample.under_voltage, sample.under_voltage_seen) == (False, False)
    assert (sample.throttled, sample.throttled_seen) == (None, None)
    pi.put(ALARM, "1\n")
    assert finish(device.acquire()).under_voltage is True
    pi.put(ALARM, "0\n")
    sample = finish(device.acquire())
    assert (sample.under_voltage, sample.under_voltage_seen) == (False, True)
    pi.put(ALARM, "7\n")
    sample = finish(device.acquire())
    assert (sample.under_voltage, sample.under_voltage_seen) == (None, None)


def test_the_firmware_of_other_models_is_found(pi: Root) -> None:
    (pi.folder / FIRMWARE).unlink()
    pi.put("sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "1\n")
    assert finish(pi.device().acquire()).under_voltage is True


def test_the_hottest_zone_counts_or_the_one_asked_for(pi: Root) -> None:
    pi.put("sys/class/thermal/thermal_zone1/type", "rp1_adc\n")
    pi.put("sys/class/thermal/thermal_zone1/temp", "61000\n")
    assert finish(pi.device().acquire()).temperature_c == 61.0
    assert finish(pi.device(thermal_zone="cpu-thermal").acquire()).temperature_c == 48.312
    assert finish(pi.device(thermal_zone="gpu-thermal").acquire()).temperature_c is None
    pi.put("sys/class/thermal/thermal_zone1/temp", "-274000\n")
    assert finish(pi.device().acquire()).temperature_c == 48.312


def test_a_sample_pauses_between_its_sources(pi: Root) -> None:
    assert len(list(pi.device().acquire())) >= 5


POLICIES = "sys/devices/system/cpu/cpufreq"
CLOCKS = {"cpuinfo_min_freq": "600000\n", "cpuinfo_max_freq": "1800000\n", "scaling_max_freq": "1800000\n"}


def policy(root: Root, number: int = 0, **changes: str) -> Path:
    for name, text in (CLOCKS | changes).items():
        root.put(f"{POLICIES}/policy{number}/{name}", text)
    return root.folder / POLICIES / f"policy{number}" / "scaling_max_freq"


def test_the_clock_is_limited_at_a_step_that_is_not_faster(pi: Root) -> None:
    path = policy(pi, scaling_available_frequencies="1800000 600000 1000000 1400000 \n")
    limit = FrequencyLimit(pi.folder)
    for share, khz in ((1.0, 1_800_000), (0.9, 1_400_000), (0.6, 1_000_000), (0.4, 600_000), (0.1, 600_000)):
        assert limit.set_share(share)
        assert path.read_text() == f"{khz}\n"


def test_a_clock_without_steps_is_limited_to_the_kilohertz(pi: Root) -> None:
    path = policy(pi, cpuinfo_max_freq="1800001\n")
    limit = FrequencyLimit(pi.folder)
    for _ in range(3):
        assert limit.set_share(0.7)
    assert path.read_text() == "1260000\n"
    assert limit.counters.samples == 1


def test_all_groups_of_cores_are_limited_each_by_its_own_clock(pi: Root) -> None:
    slow, fast = policy(pi), policy(pi, 4, cpuinfo_max_freq="2400000\n", scaling_max_freq="2400000\n")
    limit = FrequencyLimit(pi.folder)
    assert limit.set_share(0.5)
    assert (slow.read_text(), fast.read_text()) == ("900000\n", "1200000\n")
    assert limit.restore()
    assert (slow.read_text(), fast.read_text()) == ("1800000\n", "2400000\n")
    fast.unlink()
    assert not limit.set_share(0.5)
    assert slow.read_text() == "900000\n"
    assert limit.counters.refused == 1


def test_a_limit_that_somebody_has_set_before_is_never_raised(pi: Root) -> None:
    path = policy(pi, scaling_max_freq="1200000\n", scaling_available_frequencies="600000 1000000 1400000 1800000 \n")
    limit = FrequencyLimit(pi.folder)
    for share, khz in ((1.0, 1_200_000), (0.7, 1_200_000), (0.6, 1_000_000), (1.0, 1_200_000)):
        assert limit.set_share(share)
        assert path.read_text() == f"{khz}\n"


@pytest.mark.parametrize("share", [float("nan"), float("inf"), -0.1, 1.01])
def test_a_share_that_is_none_writes_nothing(pi: Root, share: float) -> None:
    path = policy(pi)
    limit = FrequencyLimit(pi.folder)
    assert not limit.set_share(share)
    assert path.read_text() == "1800000\n"
    assert limit.counters.samples == 0


@pytest.mark.parametrize("name", CLOCKS)
@pytest.mark.parametrize("garbage", ["", "nan", "-1", "0", "9" * 30, "fast"])
def test_a_group_whose_clocks_are_nonsense_is_left_alone(pi: Root, name: str, garbage: str) -> None:
    path = policy(pi, **{name: garbage})
    before = path.read_text()
    limit = FrequencyLimit(pi.folder)
    assert not limit.available
    assert not limit.set_share(0.5)
    assert path.read_text() == before


def test_a_kernel_that_sets_a_faster_clock_has_not_obeyed(pi: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    policy(pi)
    limit = FrequencyLimit(pi.folder)
    written = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: written(fd, b"1800000\n") and len(data))
    assert not limit.set_share(0.5)


@pytest.mark.parametrize("text", [b"", b"\n", b"600000 fast", b"600000 0", b"-600000"])
def test_steps_with_nonsense_are_refused(text: bytes) -> None:
    with pytest.raises(DeviceError) as caught:
        frequency_steps_hz(text)
    assert caught.value.cause is Cause.IMPLAUSIBLE


def test_the_running_kernel_agrees_with_the_c_library() -> None:
    if not Path("/proc/uptime").exists():
        pytest.skip("no /proc here")
    device = Device(None, None, Settings())
    finish(device.initialise())
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    sample = finish(device.acquire())
    after = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before - 0.02 <= sample.uptime_s <= after + 0.02
    assert sample.load == pytest.approx(os.getloadavg()[0], abs=0.5)
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    assert 0 < sample.memory_available_bytes <= pages * page
    room = os.statvfs("/")
    assert sample.disk_free_bytes == pytest.approx(room.f_bavail * room.f_frsize, rel=0.05)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from([codec.decode for codec in linux_platform.CODECS]), st.binary(max_size=40))
def test_any_bytes_are_a_value_or_a_refusal(decode: Callable[[bytes], object], data: bytes) -> None:
    with suppress(DeviceError):
        assert decode(data) is not None
