"""Linux watchdog: identity without starting it, time-out read back, kicks, and never the letter that stops it."""

from __future__ import annotations

import errno
import struct
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from drivers import linux_watchdog
from drivers.bus.counted import InUse
from drivers.errors import Cause, DeviceError
from drivers.linux_watchdog import Device, Settings, WatchdogSample, watchdog_info

MAGIC_CLOSE, SETS, RESETS = 0x0100, 0x0080, 0x0020


class Dog:
    """A watchdog as the kernel shows it: node, sysfs folder and ioctls, by the kernel header's numbers."""

    def __init__(self, folder: Path, identity: str = "Broadcom BCM2835 Watchdog timer") -> None:
        self.node = folder / "dev/watchdog"
        self.sys = folder / "sys"
        self.attributes = self.sys / "class/watchdog/watchdog0"
        self.attributes.mkdir(parents=True)
        self.node.parent.mkdir()
        self.node.touch()
        self.identity = identity
        self.options = MAGIC_CLOSE | SETS | 0x8000
        self.timeout = 15
        self.rounds_to: int | None = None
        self.boot_status = 0
        self.time_left: int | None = 9
        self.calls: list[int] = []
        self.fault: int | None = None
        for name, text in (("identity", identity), ("state", "inactive"), ("timeout", "15"), ("nowayout", "0")):
            (self.attributes / name).write_text(text + "\n")

    def ioctl(self, fd: int, request: int, data: bytearray) -> int:
        self.calls.append(request)
        if self.fault is not None:
            raise OSError(self.fault, "told to")
        if request == 0x80285700:  # WDIOC_GETSUPPORT
            data[:] = struct.pack("=II32s", self.options, 7, self.identity.encode())
        elif request == 0xC0045706:  # WDIOC_SETTIMEOUT
            self.timeout = self.rounds_to or struct.unpack("=i", data)[0]
            data[:] = struct.pack("=i", self.timeout)
        elif request == 0x80045707:  # WDIOC_GETTIMEOUT
            data[:] = struct.pack("=i", self.timeout)
        elif request == 0x80045702:  # WDIOC_GETBOOTSTATUS
            data[:] = struct.pack("=i", self.boot_status)
        elif request == 0x8004570A:  # WDIOC_GETTIMELEFT
            if self.time_left is None:
                raise OSError(errno.EOPNOTSUPP, "not supported")
            data[:] = struct.pack("=i", self.time_left)
        else:
            assert request == 0x80045705  # WDIOC_KEEPALIVE
        return 0

    @property
    def kicks(self) -> int:
        return self.calls.count(0x80045705)

    def device(self, **changes: Any) -> Device:
        return Device(None, None, Settings(path=str(self.node), **changes), sys=self.sys, ioctl=self.ioctl)


@pytest.fixture
def dog(tmp_path: Path) -> Dog:
    return Dog(tmp_path)


def run(steps: Generator[None, None, Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def refusal(steps: Generator[None, None, Any]) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        run(steps)
    return caught.value


def test_it_is_identified_without_being_started(dog: Dog) -> None:
    dog.node.unlink()  # whoever opens it would fail
    device = dog.device()
    assert run(device.identify()) == "Broadcom BCM2835 Watchdog timer, inactive, time-out 15 s"
    assert dog.calls == []
    assert not device.running


def test_a_kernel_that_tells_nothing_of_it_is_said_to(dog: Dog) -> None:
    for file in dog.attributes.iterdir():
        file.unlink()
    assert "CONFIG_WATCHDOG_SYSFS" in run(dog.device().identify())


def test_a_numbered_node_is_looked_up_by_its_number(dog: Dog) -> None:
    device = Device(None, None, Settings(path="/dev/watchdog1"), sys=dog.sys)
    assert refusal(device.identify()).cause is Cause.ABSENT
    device = Device(None, None, Settings(path="/dev/watchdog0"), sys=dog.sys)
    assert "BCM2835" in run(device.identify())


def test_no_watchdog_is_absent_and_nothing_is_opened(dog: Dog) -> None:
    device = Device(None, None, Settings(path=str(dog.node)), sys=dog.node.parent, ioctl=dog.ioctl)
    for steps in (device.identify(), device.initialise(), device.acquire()):
        assert refusal(steps).cause is Cause.ABSENT
    assert dog.calls == []


def test_initialise_starts_it_with_the_time_out_asked_for(dog: Dog) -> None:
    device = dog.device(timeout_s=12)
    run(device.initialise())
    assert device.running
    assert dog.timeout == 12
    assert dog.kicks >= 1
    assert run(device.acquire()) == WatchdogSample(12, 9, None, device.kicks)
    device.close()


def test_kicks_are_system_calls_and_counted(dog: Dog) -> None:
    device = dog.device()
    run(device.initialise())
    before = dog.kicks
    for _ in range(5):
        device.kick()
    assert dog.kicks == before + 5 == device.kicks
    device.close()


def test_nothing_is_ever_written_to_the_node_so_closing_leaves_it_running(dog: Dog) -> None:
    device = dog.device()
    run(device.initialise())
    device.kick()
    device.close()
    assert dog.node.read_bytes() == b""
    assert not device.running
    with pytest.raises(DeviceError) as caught:
        device.kick()
    assert caught.value.cause is Cause.ABSENT


def test_initialising_again_does_not_open_it_twice(dog: Dog) -> None:
    device = dog.device()
    run(device.initialise())
    dog.node.unlink()
    run(device.initialise())
    assert device.running
    device.close()


def test_one_that_stops_when_its_owner_dies_is_refused(dog: Dog) -> None:
    dog.options &= ~MAGIC_CLOSE
    device = dog.device()
    error = refusal(device.initialise())
    assert error.cause is Cause.PROTOCOL
    assert not device.running
    (dog.attributes / "nowayout").write_text("1\n")
    run(device.initialise())
    device.close()


def test_one_in_software_is_refused_unless_the_settings_allow_it(tmp_path: Path) -> None:
    dog = Dog(tmp_path, "Software Watchdog")
    assert refusal(dog.device().identify()).cause is Cause.WRONG_ID
    assert refusal(dog.device().initialise()).cause is Cause.WRONG_ID
    assert dog.calls == []
    device = dog.device(software_allowed=True)
    run(device.initialise())
    device.close()


def test_another_time_out_than_asked_for_is_refused_but_kicks_go_on(dog: Dog) -> None:
    dog.rounds_to = 60
    device = dog.device()
    assert refusal(device.initialise()).cause is Cause.IMPLAUSIBLE
    device.kick()
    device.close()


def test_a_time_out_that_somebody_changed_is_noticed(dog: Dog) -> None:
    device = dog.device()
    run(device.initialise())
    dog.timeout = 3
    assert refusal(device.acquire()).cause is Cause.RESET
    run(device.initialise())
    assert run(device.acquire()).timeout_s == 10
    device.close()


@pytest.mark.parametrize(("options", "status", "caused"), [
    (0, RESETS, None), (RESETS, 0, False), (RESETS, RESETS, True), (RESETS, 0x0001, False),
])
def test_it_tells_whether_it_caused_the_last_reset_if_it_can(
    dog: Dog, options: int, status: int, caused: bool | None
) -> None:
    dog.options |= options
    dog.boot_status = status
    device = dog.device()
    run(device.initialise())
    assert run(device.acquire()).caused_last_reset is caused
    device.close()


def test_time_left_is_none_where_it_is_not_told(dog: Dog) -> None:
    dog.time_left = None
    device = dog.device()
    run(device.initialise())
    assert run(device.acquire()).time_left_s is None
    device.close()


def test_a_time_out_that_cannot_be_set_is_refused(dog: Dog) -> None:
    dog.options &= ~SETS
    device = dog.device()
    assert refusal(device.initialise()).cause is Cause.PROTOCOL
    device.close()


def test_an_owner_before_us_is_named_as_one(dog: Dog, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(path: str, flags: int) -> int:
        raise OSError(errno.EBUSY, "busy")

    with monkeypatch.context() as patch:
        patch.setattr(linux_watchdog.os, "open", taken)
        assert isinstance(refusal(dog.device(software_allowed=True).initialise()), InUse)


def test_a_device_that_fails_is_absent(dog: Dog) -> None:
    device = dog.device()
    run(device.initialise())
    dog.fault = errno.ENODEV
    with pytest.raises(DeviceError) as caught:
        device.kick()
    assert caught.value.cause is Cause.ABSENT
    assert refusal(device.acquire()).cause is Cause.ABSENT
    device.close()


@pytest.mark.parametrize("fields", [{"timeout_s": 16}, {"timeout_s": 0}, {"path": ""}, {"magic_close": True}])
def test_settings_out_of_bounds_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, type=Settings, strict=True)


@pytest.mark.parametrize("data", [bytes(40), b"\xff" * 40, b"", bytes(39), bytes(41), bytes(8) + b"\x01" * 32])
def test_bytes_that_are_no_description_are_refused(data: bytes) -> None:
    with pytest.raises(DeviceError):
        watchdog_info(data)


@hypothesis_settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=48))
def test_any_bytes_are_a_description_or_a_refusal(data: bytes) -> None:
    with suppress(DeviceError):
        assert watchdog_info(data).identity
