"""Safe lines: output and low in one request, by name, on the board's own chip; what is not held is named."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from firmware_py.install.units.keep.safe_lines import (
    CHIP,
    GET_CHIP,
    GET_LINE,
    GET_LINE_INFO,
    LINE_INFO,
    LINE_REQUEST,
    hold_all,
)


class Kernel:
    """Chips by node: label and names of lines. Answers as linux/gpio.h lays it out, written from the header."""

    def __init__(self, folder: Path, chips: dict[str, tuple[str, list[str]]], busy: tuple[str, ...] = ()) -> None:
        self.chips = chips
        self.busy = busy
        self.driven: list[tuple[str, int, int]] = []
        for name in chips:
            (folder / name).write_text("")

    def __call__(self, handle: int, request: int, data: bytearray) -> None:
        node = Path(os.readlink(f"/proc/self/fd/{handle}")).name
        label, lines = self.chips[node]
        if request == 0x8044B401:
            data[:] = node.encode().ljust(32, b"\0") + label.encode().ljust(32, b"\0") + struct.pack("I", len(lines))
        elif request == 0xC100B405:
            offset = struct.unpack_from("I", data, 64)[0]
            data[0:32] = lines[offset].encode().ljust(32, b"\0")
        elif request == 0xC250B407:
            offset, flags, attributes = (struct.unpack_from(kind, data, at)[0] for kind, at in (("I", 0), ("Q", 288),
                                                                                                ("I", 296)))
            count = struct.unpack_from("I", data, 560)[0]
            assert (attributes, count) == (0, 1)
            if lines[offset] in self.busy:
                raise OSError(16, "Device or resource busy")
            self.driven.append((lines[offset], flags, count))
            struct.pack_into("i", data, 588, 100 + offset)
        else:
            raise AssertionError(hex(request))


def test_sizes_and_numbers_are_the_kernels() -> None:
    # _IOR and _IOWR of linux/ioctl.h: direction, size, 0xB4, number.
    assert (CHIP.size, LINE_INFO.size, LINE_REQUEST.size) == (68, 256, 592)
    assert GET_CHIP == 2 << 30 | 68 << 16 | 0xB4 << 8 | 0x01
    assert GET_LINE_INFO == 3 << 30 | 256 << 16 | 0xB4 << 8 | 0x05
    assert GET_LINE == 3 << 30 | 592 << 16 | 0xB4 << 8 | 0x07


def test_lines_of_the_boards_chip_are_driven_low(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, {
        "gpiochip0": ("expander", ["GPIO24"]), "gpiochip4": ("pinctrl-bcm2711", ["ID_SD", "GPIO27", "GPIO24"]),
    })
    held, missed = hold_all(["GPIO24", "GPIO27"], "pinctrl-bcm2711", tmp_path, kernel)
    assert missed == {}
    assert held == {"GPIO27": 101, "GPIO24": 102}
    # 8 is GPIO_V2_LINE_FLAG_OUTPUT; with no attribute the value of an output is 0, low.
    assert kernel.driven == [("GPIO27", 8, 1), ("GPIO24", 8, 1)]


def test_without_a_label_any_chip_will_do(tmp_path: Path) -> None:
    held, missed = hold_all(["GPIO24"], "", tmp_path, Kernel(tmp_path, {"gpiochip2": ("x", ["GPIO24"])}))
    assert set(held) == {"GPIO24"}
    assert missed == {}


def test_what_cannot_be_held_is_named_and_the_rest_is_held(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, {"gpiochip0": ("chip", ["GPIO24", "GPIO27"])}, busy=("GPIO24",))
    held, missed = hold_all(["GPIO24", "GPIO27", "GPIO99"], "chip", tmp_path, kernel)
    assert set(held) == {"GPIO27"}
    assert "busy" in missed["GPIO24"]
    assert "no chip" in missed["GPIO99"]


def test_no_chip_at_all(tmp_path: Path) -> None:
    held, missed = hold_all(["GPIO24"], "chip", tmp_path, Kernel(tmp_path, {}))
    assert (held, set(missed)) == ({}, {"GPIO24"})
