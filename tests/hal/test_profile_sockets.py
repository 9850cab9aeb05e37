"""Boards whose buses a rig plays over sockets: accepted where that can be, refused at the line where it can't."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from hal.profile import ConfigError, load_board

SHIPPED = (Path(str(resources.files("board_configs"))) / "boards" / "qiki-rpi.yaml").read_text(encoding="utf-8")


def load(tmp_path: Path, node: str, device: str) -> str:
    path = tmp_path / "board.yaml"
    assert node in SHIPPED
    path.write_text(SHIPPED.replace(f"device: {node},", f'device: "{device}",', 1))
    return next(bus.device for bus in load_board(str(path)).buses.values() if bus.device == device)


@pytest.mark.parametrize("node", ["/dev/i2c-1", "/dev/spidev0", "pinctrl-bcm2711"])
def test_i2c_spi_and_gpio_go_over_a_socket(tmp_path: Path, node: str) -> None:
    assert load(tmp_path, node, "unix:///run/rig/bus.sock?patience_ms=50")


@pytest.mark.parametrize(
    ("node", "device", "why"),
    [
        ("can0", "unix:///run/rig/can0.sock", "can0 is can; over a socket go i2c, spi, gpio"),
        ("/dev/ttyUSB0", "unix:///run/rig/usb0.sock", "usb0 is serial; over a socket go"),
        ("/dev/i2c-1", "unix://run/rig/bus.sock", "unix:///PATH[?patience_ms=1..1000]"),
        ("/dev/i2c-1", "unix:///run/bus.sock?patience_ms=0", "unix:///PATH[?patience_ms=1..1000]"),
        ("/dev/i2c-1", "unix:///run/bus.sock?baud=9600", "unix:///PATH[?patience_ms=1..1000]"),
    ],
)
def test_what_can_not_be_reached_so_is_refused_at_its_line(tmp_path: Path, node: str, device: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, node, device)
    assert why in str(caught.value)
    assert caught.value.line is not None
    assert caught.value.key.endswith(".device")
