"""From a part's name to its driver: every role of the boards is served, and what does not fit is refused by its key."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hal.parts import ROLE_SAMPLES, load_part
from hal.profile import BoardConfig, ConfigError, DeviceConfig, load_profile
from hal.profile.board import ROLE_BUSES

BOARDS = [load_profile("qiki-t", "qiki-rpi").board, load_profile("bench-12kg", "bench-rpi").board]
DEVICES = [pytest.param(b, device, id=f"{b.board}-{device.name}") for b in BOARDS for device in b.devices]


def changed(name: str, **changes: Any) -> tuple[BoardConfig, DeviceConfig]:
    """The reference board with one device changed."""
    board = BOARDS[0]
    devices = tuple(msgspec.structs.replace(d, **changes) if d.name == name else d for d in board.devices)
    return msgspec.structs.replace(board, devices=devices), next(d for d in devices if d.name == name)


@pytest.mark.parametrize(("board", "device"), DEVICES)
def test_every_device_of_the_boards_has_its_driver_and_its_settings(board: BoardConfig, device: DeviceConfig) -> None:
    module, settings = load_part(board, device)
    assert module.__name__ == f"drivers.{device.part}"
    assert isinstance(settings, module.Settings)


def test_every_role_with_a_sample_is_a_role_of_the_schema() -> None:
    assert set(ROLE_SAMPLES) <= set(ROLE_BUSES)


@pytest.mark.parametrize(("name", "changes", "key", "said"), [
    ("mag", {"part": "rm9999"}, "part", "there is no driver drivers/rm9999.py"),
    ("mag", {"part": "tmp423", "settings": {"nodes": []}}, "role", "tmp423 is no part for the role magnetometer"),
    ("solar", {"part": "ve_direct", "settings": {}}, "role", "ve_direct is no part for a bus of kind i2c"),
    ("mux", {"part": "opt3001"}, "role", "opt3001 is no part for the role mux"),
    ("mag", {"settings": {"volume": 11}}, "settings", "mag: .*volume"),
    ("bus_monitor", {"settings": {"shunt_ohm": "small"}}, "settings", "bus_monitor: .*shunt_ohm"),
])
def test_what_does_not_fit_is_refused_by_its_key(name: str, changes: dict[str, Any], key: str, said: str) -> None:
    board, device = changed(name, **changes)
    with pytest.raises(ConfigError, match=said) as refused:
        load_part(board, device)
    assert refused.value.key == f"devices[{board.devices.index(device)}].{key}"


def test_a_driver_that_lacks_one_of_its_own_modules_is_no_missing_driver() -> None:
    from hal import parts

    board, device = changed("mag")

    def importing(name: str) -> Any:
        raise ModuleNotFoundError("no module named spidev", name="spidev")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "import_module", importing)
        with pytest.raises(ModuleNotFoundError, match="spidev"):
            load_part(board, device)
