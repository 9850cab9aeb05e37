"""Whatever a program sends to a served rig, every request is answered and the rig goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drivers.bus.protocol import CanFrame
from drivers.bus.remote_frames import KINDS, LARGEST, SPI_SETTINGS, VERSION, Operation, pack_request, read_answer
from drivers.errors import DeviceError
from hal.profile import load_profile
from hil.plant.world import InitialState
from hil.rig import Rig
from hil.serve.socket_side import SocketSide

PROFILE = load_profile("qiki-t", "qiki-rpi")
BOARD = PROFILE.board
MS = 1_000_000
LENGTHS = (0, 1, 1, 2, 2, 3, 4, 5, 8, 22, 33, 200)
LINES = (b"GPIO22", b"GPIO24", b"GPIO27", b"GPIO6", b"GPIO99", b"\xff\xfe")


def request(rng: np.random.Generator, kind: str, addresses: list[int], number: int) -> bytes:
    """A request that makes sense most of the time, with bytes that mostly don't."""
    usual = {"i2c": (1, 2, 3, 3, 4), "spi": (6, 7, 7, 7), "gpio": (8, 9)}[kind]
    odd = rng.random() < 0.05
    operation = int(rng.integers(12)) if odd else int(rng.choice(usual))
    known = addresses and rng.random() < 0.95
    place = int(rng.choice(addresses)) if known else int(rng.integers(256))
    data = rng.bytes(int(rng.choice(LENGTHS)))
    count = int(rng.choice((0, 1, 2, 3, 6, 32, 300)))
    if kind == "spi":
        count = len(data) if operation == Operation.TRANSFER else count
        data = SPI_SETTINGS.pack(int(rng.integers(5)), 1_000_000) if operation == Operation.CONFIGURE else data
    if kind == "gpio":
        place, data = int(rng.integers(3)), LINES[int(rng.integers(len(LINES)))]
    return pack_request(number, operation, place, count, data)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_request_to_every_chip_is_answered(seed: int) -> None:
    rig, rng = Rig(PROFILE, InitialState(epoch=0), seed), np.random.default_rng(seed)
    sides = {}
    for name, bus in BOARD.buses.items():
        if bus.kind in KINDS:
            side = sides[name] = SocketSide(name, bus.kind, rig.buses[name], Path("/none"), 50, lambda: None)
            hello = side._answer(pack_request(1, Operation.HELLO, KINDS[bus.kind], 0, VERSION))
            assert hello[8:] == VERSION
    addresses = {name: [d.address for d in BOARD.devices if d.bus == name and d.address is not None] for name in sides}
    names = list(sides)
    for number in range(6000):
        name = names[int(rng.integers(len(names)))]
        packet = request(rng, BOARD.buses[name].kind, addresses[name], number)
        if rng.random() < 0.02:
            packet = rng.bytes(int(rng.integers(20)))
        answer = read_answer(sides[name]._answer(packet))
        assert answer is not None
        assert len(answer.data) <= LARGEST
        if number % 50 == 0:
            rig.advance(rig.now_ns + MS)
    assert all(side.served > 100 and side.refused > 0 for side in sides.values())


def test_every_frame_and_every_byte_is_survived() -> None:
    rig, rng = Rig(PROFILE, InitialState(epoch=0), 3), np.random.default_rng(3)
    can = [rig.buses[name] for name, bus in BOARD.buses.items() if bus.kind == "can"]
    serial = [rig.buses[name] for name, bus in BOARD.buses.items() if bus.kind == "serial"]
    refused = heard = 0
    for number in range(3000):
        extended = rng.random() < 0.1
        frame = CanFrame(int(rng.integers(1 << (29 if extended else 11))), rng.bytes(int(rng.integers(9))), extended)
        if rng.random() < 0.5:  # to a node that is there
            frame = CanFrame(int(rng.choice((0x600, 0x200, 0x300, 0x000))) + int(rng.choice((0x10, 0x11))), frame.data)
        for bus in can:
            bus.send(frame)
        for bus in serial:
            try:
                bus.write(rng.bytes(int(rng.integers(40))))
            except DeviceError:
                refused += 1
            heard += len(bus.read(4096))
        for bus in can:
            while bus.receive() is not None:
                heard += 1
        if number % 10 == 0:
            rig.advance(rig.now_ns + MS)
    assert refused == 0
    assert heard > 0
