"""Isolation valves: a pin is driven until it is seen high, and what the chip forgets is ordered anew."""

from __future__ import annotations

import msgspec
import pytest

from drivers.errors import Cause
from hal.hardware import Hardware
from hal.isolation import AGAIN_NS, SHUT_WITHIN_NS, ClusterIsolation, ValveState
from hal.manager import DeviceState
from hal.profile import ConfigError, Profile
from hal.profile.board import IsolationConfig
from hil.chips.max7310 import Max7310
from hil.faults import Fault, FaultKind
from tests.hal.bench import MS, PROFILE, Bench

TICK_MS = 5
OPEN, SHUTTING, SHUT, FAILED = ValveState.OPEN, ValveState.SHUTTING, ValveState.SHUT, ValveState.FAILED


class Craft(Bench):
    """A board that is up, its expander and what its valves really do."""

    def __init__(self, profile: Profile = PROFILE) -> None:
        super().__init__(profile)
        self.run(1.0)
        self.chip: Max7310 = self.rig.chips["isolation"]
        self.bus = self.rig.buses["i2c_c"]

    def isolate(self, cluster: str) -> bool:
        return self.hardware.isolate(cluster, self.now_ns)

    def state(self, cluster: str) -> ValveState:
        return self.hardware.isolation_states(self.now_ns)[cluster]

    def ticks_until(self, cluster: str, state: ValveState, most: int = 400) -> int:
        for count in range(most):
            if self.state(cluster) is state:
                return count
            self.run(TICK_MS * 1e-3)
        raise AssertionError(f"{cluster} is {self.state(cluster)} after {most} ticks, not {state}")

    @property
    def shut_pins(self) -> int:
        return self.chip.levels & 0xF0

    def told_lost(self) -> bool:
        return self.hardware.states()["isolation"] is not DeviceState.OK


def without_isolation() -> Profile:
    return PROFILE._replace(board=msgspec.structs.replace(PROFILE.board, isolation=None))


# -- at rest


def test_after_boot_every_valve_is_open_and_its_pin_driven_low() -> None:
    craft = Craft()
    assert craft.hardware.isolation_states(craft.now_ns) == dict.fromkeys(
        ("rcs_c01", "rcs_c02", "rcs_c03", "rcs_c04"), OPEN
    )
    assert craft.hardware.isolation_valves == {"rcs_c01", "rcs_c02", "rcs_c03", "rcs_c04"}
    assert (craft.chip.driven & 0xF0, craft.shut_pins) == (0xF0, 0)


def test_a_board_without_valves_shuts_none() -> None:
    bench = Bench(without_isolation())
    bench.run(0.1)
    assert not bench.hardware.isolate("rcs_c01", bench.now_ns)
    assert bench.hardware.isolation_states(bench.now_ns) == {}
    assert bench.hardware.isolation_valves == frozenset()


def test_a_cluster_without_a_valve_is_refused_and_nothing_is_driven() -> None:
    craft = Craft()
    assert not craft.isolate("rcs_c09")
    craft.run(0.1)
    assert craft.shut_pins == 0


# -- shut


def test_a_valve_is_shut_within_40_ms_and_read_back() -> None:
    craft = Craft()
    assert craft.isolate("rcs_c03")
    assert craft.state("rcs_c03") is SHUTTING
    assert craft.shut_pins == 0
    took = craft.ticks_until("rcs_c03", SHUT)
    assert took <= 8
    assert craft.shut_pins == 1 << 6
    assert [craft.state(f"rcs_c0{n}") for n in (1, 2, 4)] == [OPEN] * 3


def test_the_same_order_again_sends_nothing() -> None:
    craft = Craft()
    craft.isolate("rcs_c03")
    craft.ticks_until("rcs_c03", SHUT)
    transactions = craft.hardware.counters()["isolation"].transactions
    assert craft.isolate("rcs_c03")
    craft.run(0.05)
    assert craft.hardware.counters()["isolation"].transactions - transactions <= 4  # its sample
    assert craft.state("rcs_c03") is SHUT


def test_a_second_valve_ordered_while_the_first_is_being_shut_follows_at_once() -> None:
    craft = Craft()
    craft.isolate("rcs_c01")
    craft.run(0.010)
    craft.isolate("rcs_c02")
    assert craft.ticks_until("rcs_c02", SHUT) <= 14
    assert craft.state("rcs_c01") is SHUT
    assert craft.shut_pins == 0b0011_0000


def test_what_was_not_ordered_shut_counts_as_opened() -> None:
    craft = Craft()
    device = craft.hardware.devices["isolation"]
    valves = ClusterIsolation(device, {"a": 4, "b": 7})
    assert valves.opened() == {"a", "b"}
    valves.shut("a", craft.now_ns)
    assert valves.opened() == {"b"}


# -- faults


def test_one_lost_transfer_is_repeated_at_once() -> None:
    craft = Craft()
    craft.bus.inject(Fault(FaultKind.NACK_ADDRESS, address=0x18, count=1))
    craft.isolate("rcs_c03")
    assert craft.ticks_until("rcs_c03", SHUT) <= 12


def test_with_the_chip_dead_the_valve_fails_in_time_and_shuts_once_the_chip_is_back() -> None:
    craft = Craft()
    dead = craft.bus.inject(Fault(FaultKind.NACK_ADDRESS, address=0x18))
    craft.isolate("rcs_c02")
    assert craft.ticks_until("rcs_c02", FAILED) == SHUT_WITHIN_NS // (TICK_MS * MS)
    craft.run(1.0)
    assert craft.state("rcs_c02") is FAILED
    assert craft.told_lost()
    assert craft.shut_pins == 0
    craft.bus.clear(dead)
    craft.ticks_until("rcs_c02", SHUT, 2000)
    assert craft.shut_pins == 1 << 5


def test_a_chip_that_falls_silent_with_a_shut_valve_is_no_longer_believed() -> None:
    craft = Craft()
    craft.isolate("rcs_c02")
    craft.ticks_until("rcs_c02", SHUT)
    craft.bus.inject(Fault(FaultKind.NACK_ADDRESS, address=0x18))
    craft.ticks_until("rcs_c02", FAILED)
    assert craft.shut_pins == 1 << 5, "the chip goes on driving, but nobody can know"


def test_a_chip_that_restarts_opens_the_valve_and_is_ordered_anew() -> None:
    craft = Craft()
    craft.isolate("rcs_c02")
    craft.isolate("rcs_c04")
    craft.ticks_until("rcs_c04", SHUT)
    craft.chip.reset()
    assert craft.shut_pins == 0
    opened = 0
    while craft.shut_pins != 0b1010_0000:
        craft.run(TICK_MS * 1e-3)
        opened += TICK_MS
        assert opened <= 400
    craft.ticks_until("rcs_c02", SHUT)
    craft.ticks_until("rcs_c04", SHUT)


def test_a_pin_that_does_not_follow_is_ordered_again_and_again_and_told_as_failed() -> None:
    craft = Craft()
    craft.chip.stuck = 1 << 5
    craft.isolate("rcs_c02")
    assert craft.ticks_until("rcs_c02", FAILED) == SHUT_WITHIN_NS // (TICK_MS * MS)
    assert not craft.told_lost()
    before = craft.hardware.counters()["isolation"].transactions
    craft.run(1.0)
    assert craft.state("rcs_c02") is FAILED
    # Four transactions or more in every pause and the slots that they take.
    assert craft.hardware.counters()["isolation"].transactions - before >= 4 * 1_000_000_000 // (2 * AGAIN_NS)
    craft.chip.stuck = 0
    assert craft.ticks_until("rcs_c02", SHUT) <= 30


def test_a_pin_that_lets_go_later_is_seen_by_the_next_sample() -> None:
    craft = Craft()
    craft.isolate("rcs_c02")
    craft.ticks_until("rcs_c02", SHUT)
    craft.chip.stuck = 1 << 5
    assert craft.ticks_until("rcs_c02", SHUTTING) <= 45
    craft.chip.stuck = 0
    craft.ticks_until("rcs_c02", SHUT)


def test_an_order_to_a_chip_that_is_not_up_yet_is_carried_out_once_it_is() -> None:
    bench = Bench()
    assert bench.hardware.isolate("rcs_c01", 0)
    bench.run(1.0)
    assert bench.hardware.isolation_states(bench.now_ns)["rcs_c01"] is SHUT


def test_a_new_program_opens_what_the_last_one_had_shut() -> None:
    craft = Craft()
    craft.isolate("rcs_c02")
    craft.ticks_until("rcs_c02", SHUT)
    craft.hardware = Hardware(PROFILE, craft.rig.buses)
    craft.run(1.0)
    assert craft.shut_pins == 0
    assert craft.state("rcs_c02") is OPEN


# -- what does not fit


def test_a_part_that_drives_nothing_is_refused() -> None:
    board = msgspec.structs.replace(PROFILE.board, isolation=IsolationConfig("mag", {"rcs_c01": 4}))
    with pytest.raises(ConfigError, match=r"isolation.device: mag drives no outputs"):
        Bench(PROFILE._replace(board=board))


def test_failures_are_counted_as_those_of_the_chip() -> None:
    craft = Craft()
    craft.bus.inject(Fault(FaultKind.NACK_ADDRESS, address=0x18))
    craft.isolate("rcs_c01")
    craft.run(0.2)
    assert craft.hardware.counters()["isolation"].by_cause[Cause.NACK_ADDRESS.value] >= 3
