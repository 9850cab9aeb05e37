"""Device strings of CAN buses: each opens its transport, and what is missing is said with what to do."""

from __future__ import annotations

import socket
import sys

import pytest

from drivers.bus.can_open import open_can
from drivers.bus.can_python import PythonCanBus
from drivers.bus.can_udp import UdpCanBus
from drivers.bus.counted import MissingLibrary
from drivers.bus.protocol import CanFrame
from drivers.errors import Cause, DeviceError


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_interface_name_is_socketcan() -> None:
    with pytest.raises(DeviceError) as refused:
        open_can("can_a", "nosuchcan0", 500_000, 10)
    assert refused.value.cause is Cause.ABSENT
    assert any(word in refused.value.detail for word in ("nosuchcan0", "modprobe"))


@pytest.mark.parametrize("query", ["", "?interface=127.0.0.1"])
def test_a_multicast_group_is_a_udp_bus(query: str) -> None:
    device = f"udp://239.74.163.2:{free_port()}{query}"
    one, two = open_can("a", device, 500_000, 10), open_can("b", device, None, 10, filters={0x7FF})
    assert isinstance(one, UdpCanBus)
    assert isinstance(two, UdpCanBus)
    one.send(CanFrame(1, b""))
    one.send(CanFrame(0x7FF, b"x"))
    frames = [two.receive() for _ in range(100)]
    assert [frame for frame in frames if frame] == [CanFrame(0x7FF, b"x")]
    one.close()
    two.close()


def test_virtual_is_python_can_s_bus_inside_one_process() -> None:
    pytest.importorskip("can")
    one, two = open_can("a", "virtual://open_can", 500_000, 10), open_can("b", "virtual:open_can", None, 10, {2})
    assert isinstance(one, PythonCanBus)
    assert isinstance(two, PythonCanBus)
    for frame in (CanFrame(1, b""), CanFrame(2, b"", True), CanFrame(2, b"x")):
        one.send(frame)
    assert two.receive() == CanFrame(2, b"x")
    assert two.receive() is None
    one.close()
    two.close()


@pytest.mark.parametrize("device", [
    "", "can0/1", "can://can0", "udp://", "udp://239.74.163.2:43113/x", "udp://239.74.163.2?iface=eth0",
    "udp://239.74.163.2:43113?interface=1.2.3.4&interface=1.2.3.5", "udp://192.168.0.1:43113", "udp://239.1.1.1:99999",
    "virtual://", ":x", "pcan:",
])
def test_a_string_that_names_no_bus_is_the_board_s_error(device: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  each has its own words
        open_can("can_a", device, 500_000, 10)


def test_an_interface_that_python_can_lacks_is_absent() -> None:
    pytest.importorskip("can")
    with pytest.raises(DeviceError) as refused:
        open_can("can_a", "nosuchadapter:0", 500_000, 10)
    assert refused.value.cause is Cause.ABSENT
    assert "nosuchadapter" in refused.value.detail


def test_an_adapter_that_is_not_plugged_in_is_absent() -> None:
    pytest.importorskip("can")
    with pytest.raises(DeviceError) as refused:
        open_can("can_a", "slcan:/dev/nosuchtty", 500_000, 10)
    assert refused.value.cause is Cause.ABSENT


def test_without_python_can_its_buses_say_which_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "can", None)
    with pytest.raises(MissingLibrary) as refused:
        open_can("can_a", "virtual://x", None, 10)
    assert refused.value.library == "python-can"
    udp = open_can("can_a", f"udp://239.74.163.2:{free_port()}", None, 10)
    assert isinstance(udp, UdpCanBus)
    udp.close()
