"""The simulated Geiger counter answers GQ-RFC1201 and counts what its rate says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hil.bus import SimSerialBus
from hil.chips.gmc_geiger import GmcGeiger
from tests.drivers.scripted import published

SECOND = 1_000_000_000


def line(rate: float = 5.0, rng: object = None, **options: object) -> tuple[SimSerialBus, GmcGeiger]:
    bus = SimSerialBus("uart3")
    counter = GmcGeiger(rng or np.random.default_rng(1), **options)  # type: ignore[arg-type]
    counter.rate_per_s = rate
    bus.attach(counter)
    return bus, counter


class Fixed:
    """A generator that always draws the same."""

    def __init__(self, counts: int) -> None:
        self.counts = counts

    def poisson(self, rate: float) -> int:
        return self.counts


def rows(folder: Path) -> dict[str, dict[str, str]]:
    return {row["registers"]: row for row in published(folder, "GQ GMC")}


def test_published_examples(shared_data: Path) -> None:
    stated = rows(shared_data)
    assert len(stated) == 3
    counts = Fixed(int(stated["<HEARTBEAT1>>"]["expected"]))
    bus, counter = line(rng=counts, model="GMC-300", firmware="Re 2.10")
    counter.battery_v = float(stated["<GETVOLT>>"]["expected"])
    bus.write(b"<GETVOLT>>")
    assert bus.read(10).hex() == stated["<GETVOLT>>"]["bytes"]
    bus.write(b"<GETVER>>")
    version = bytes.fromhex(stated["<GETVER>>"]["bytes"])  # the printed string has one blank too many
    assert bus.read(20) == version[:14]
    # The printed example of 28 counts is 10h 1Ch, which 14 data bits can't give: a bit beyond the count is set.
    counter.reserved_bits = 0x1000
    bus.write(b"<HEARTBEAT1>>")
    counter.advance(SECOND)
    assert bus.read(10).hex() == stated["<HEARTBEAT1>>"]["bytes"]


def test_heartbeat_is_two_bytes_a_second_while_on() -> None:
    bus, counter = line()
    counter.advance(3 * SECOND)
    assert bus.read(100) == b""
    bus.write(b"<HEARTBEAT1>>")
    counter.advance(4 * SECOND - 1)
    assert bus.read(100) == b""
    counter.advance(7 * SECOND)
    assert len(bus.read(100)) == 8
    bus.write(b"<HEARTBEAT0>>")
    counter.advance(9 * SECOND)
    assert bus.read(100) == b""


def test_counts_follow_the_rate_and_the_minute_is_their_sum() -> None:
    bus, counter = line(rate=40.0)
    bus.write(b"<HEARTBEAT1>>")
    counter.advance(600 * SECOND)
    data = bus.read(4096)
    counts = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
    assert len(counts) == 600
    assert np.mean(counts) == pytest.approx(40.0, abs=1.0)
    assert np.var(counts) == pytest.approx(40.0, rel=0.2)
    bus.write(b"<GETCPM>>")
    assert int.from_bytes(bus.read(2), "big") == sum(counts[-60:]) == counter.counts_per_minute


def test_same_seed_gives_the_same_counts() -> None:
    outputs = []
    for _ in range(2):
        bus, counter = line()
        bus.write(b"<HEARTBEAT1>>")
        counter.advance(30 * SECOND)
        outputs.append(bus.read(100))
    assert outputs[0] == outputs[1]


def test_counts_saturate_at_fourteen_bits_and_reserved_bits_are_kept_apart() -> None:
    bus, counter = line(rate=1e6)
    counter.reserved_bits = 0x8000
    bus.write(b"<HEARTBEAT1>>")
    counter.advance(SECOND)
    assert bus.read(2) == b"\xbf\xff"
    counter.advance(60 * SECOND)
    bus.read(4096)
    bus.write(b"<GETCPM>>")
    assert bus.read(2) == b"\xff\xff"


def test_failed_tube_counts_nothing() -> None:
    bus, counter = line(rate=0.0)
    bus.write(b"<HEARTBEAT1>>")
    counter.advance(2 * SECOND)
    assert bus.read(10) == bytes(4)


def test_commands_in_pieces_in_noise_and_unknown() -> None:
    bus, _ = line()
    bus.write(b"xx<GETV")
    bus.write(b"OLT>>")
    assert bus.read(10) == b"\x28"
    bus.write(b"<NOSUCH>><" + b"A" * 200 + b">><GET<GETVOLT>>")
    assert bus.read(10) == b"\x28"
    bus.write(b"<GETSERIAL>>")
    assert len(bus.read(10)) == 7
    bus.write(b"<GETCFG>>")
    assert bus.read(300) == b"\xff" * 256


def test_power_off_and_silence() -> None:
    bus, counter = line()
    bus.write(b"<HEARTBEAT1>>")
    counter.silent = True
    counter.advance(2 * SECOND)
    assert bus.read(10) == b""
    counter.silent = False
    bus.write(b"<POWEROFF>>")
    counter.advance(4 * SECOND)
    bus.write(b"<GETVER>>")
    assert bus.read(20) == b""
    counter.reset()
    bus.write(b"<GETVER>>")
    assert len(bus.read(20)) == 14
    counter.advance(6 * SECOND)
    assert bus.read(10) == b""


def test_names_must_have_their_lengths() -> None:
    with pytest.raises(ValueError, match="7 bytes"):
        line(model="GMC-5000")
