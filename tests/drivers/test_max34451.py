"""MAX34451: pages, rails in board order, limits, faults in words, a switch that is read back, exact lengths."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import max34451
from drivers.errors import Cause, DeviceError
from drivers.max34451 import Rail
from tests.drivers.scripted import I2cPart, causes, refusal, run, word

ADDRESS = 0x74
RAILS = (
    Rail(name="bus_28v", page=12, divider=16.0, over_voltage_fault_v=32.0, under_voltage_fault_v=22.0),
    Rail(name="imu_5v", page=3, switched=True, over_voltage_warning_v=5.25, under_voltage_warning_v=4.75),
    Rail(name="imu_5v_current", page=13, kind="current", sense_ohm=0.5),
    Rail(name="rcs_valves", page=0, switched=True),
)
SETTINGS = max34451.Settings(rails=RAILS, temperature_pages=(16, 17, 20))
LENGTHS = {0x00: 1, 0x01: 1, 0x7A: 1, 0x7B: 1, 0x7D: 1, 0x99: 1, 0x9A: 1}
COMMON = {0x99: b"\x4d", 0x9A: b"\x59", 0x9B: b"\x12\x00"}


class Registers(I2cPart):
    """A MAX34451 with its pages; reads and writes of a wrong length fail, as the part would refuse them."""

    address = ADDRESS

    def __init__(self) -> None:
        super().__init__()
        self.obey = True
        self.deaf_page = False
        self.sent: list[int] = []
        self.common = dict(COMMON)
        self.page = 0
        self.pages: dict[int, dict[int, bytes]] = {
            page: {
                0x01: b"\x80", 0x2A: word(0x7FFF), 0x38: word(10), 0x40: word(0x7FFF), 0x42: word(0x7FFF),
                0x43: word(0), 0x44: word(0), 0x7A: b"\x00", 0x7B: b"\x00", 0x8B: word(1000 * page + 500),
                0x8C: word(10 * page),
                0xE4: word(0x0120),
            }
            for page in range(16)
        }
        for page in range(16, 21):
            self.pages[page] = {0x7D: b"\x00", 0x8D: word(2500 + page)}

    def take(self, data: bytes) -> None:
        if len(data) == 1:
            self.sent.append(data[0])
            return
        assert len(data) == 1 + LENGTHS.get(data[0], 2)
        if data[0] == 0x00:
            if not self.deaf_page:
                self.page = data[1]
        elif self.obey:
            self.pages[self.page][data[0]] = bytes(data[1:])

    def answer(self, data: bytes, count: int) -> bytes:
        assert count == LENGTHS.get(data[0], 2)  # a byte more would set the part's communication fault
        if data[0] == 0x00:
            return bytes((self.page,))
        if data[0] in self.common:
            return self.common[data[0]]
        return self.pages[self.page][data[0]]


class Dead(I2cPart):
    """A line that answers everything with equal bits."""

    address = ADDRESS

    def __init__(self, fill: bytes) -> None:
        super().__init__()
        self.fill = fill

    def take(self, data: bytes) -> None:
        """Hear nothing."""

    def answer(self, data: bytes, count: int) -> bytes:
        return self.fill * count


def ready(bus: Registers, with_settings: max34451.Settings = SETTINGS) -> max34451.Device:
    device = max34451.Device(bus, ADDRESS, with_settings)
    run(bus, device.initialise())
    return device


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 32766), st.integers(-5500, 15000))
def test_scales_are_the_kernel_s(raw: int, centi: int) -> None:
    # DIRECT with m = 1, b = 0, R = 3 (V), 2 (A) and 2 (deg C) in Linux's max34440.c.
    assert max34451.voltage_v(word(raw)) == pytest.approx(raw * 10**-3)
    assert max34451.current_a(word(raw)) == pytest.approx(raw * 10**-2)
    if centi:
        assert max34451.temperature_c(word(centi)) == pytest.approx(centi * 10**-2)


@pytest.mark.parametrize("fields", [
    {"name": "a", "page": 16}, {"name": "a", "page": 12, "switched": True},
    {"name": "a", "page": 1, "kind": "current", "over_voltage_fault_v": 5.0},
    {"name": "a", "page": 1, "sense_ohm": 0.1}, {"name": "a", "page": 1, "over_voltage_fault_v": 33.0},
    {"name": "a", "page": 1, "over_voltage_fault_v": 5.0, "under_voltage_fault_v": 6.0}, {"name": "", "page": 1},
])
def test_rails_that_the_chip_cannot_do_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"rails": [fields]}, type=max34451.Settings, strict=True)


@pytest.mark.parametrize("rails", [
    [{"name": "a", "page": 1}, {"name": "b", "page": 1}], [{"name": "a", "page": 1}, {"name": "a", "page": 2}], [],
])
def test_a_page_or_name_used_twice_is_refused(rails: list[dict[str, object]]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"rails": rails}, type=max34451.Settings, strict=True)


def test_identity_is_read_without_a_write() -> None:
    bus = Registers()
    assert run(bus, max34451.Device(bus, ADDRESS, SETTINGS).identify()) == "MAX34451 revision 0012h"
    assert bus.transactions == 3
    assert bus.page == 0


@pytest.mark.parametrize(("command", "data"), [(0x99, b"\x00"), (0x9A, b"\x51"), (0x9A, b"\xff")])
def test_another_chip_is_refused(command: int, data: bytes) -> None:
    bus = Registers()
    bus.common[command] = data
    assert refusal(bus, max34451.Device(bus, ADDRESS, SETTINGS).initialise()) is Cause.WRONG_ID


def test_initialise_writes_what_is_declared_and_nothing_else() -> None:
    bus = Registers()
    before = {page: dict(registers) for page, registers in bus.pages.items()}
    ready(bus)
    changed = {
        (page, command): data
        for page, registers in bus.pages.items() for command, data in registers.items() if before[page][command] != data
    }
    assert changed == {
        (12, 0x2A): word(round(32767 / 16)), (12, 0x40): word(32000), (12, 0x44): word(22000),
        (3, 0x42): word(5250), (3, 0x43): word(4750), (13, 0x38): word(5000),
        (13, 0xE4): word(0x0122),  # was a voltage channel; the other bits stay
    }


def test_a_value_that_does_not_take_is_an_error() -> None:
    bus = Registers()
    bus.obey = False
    assert refusal(bus, max34451.Device(bus, ADDRESS, SETTINGS).initialise()) is Cause.IMPLAUSIBLE


def test_rails_come_in_board_order_each_from_its_page() -> None:
    bus = Registers()
    device = ready(bus)
    bus.pages[0][0x01] = b"\x00"
    sample = run(bus, device.acquire())
    assert sample.voltage_v == (pytest.approx(12.5), pytest.approx(3.5), None, pytest.approx(0.5))
    assert sample.current_a == (None, None, pytest.approx(1.3), None)
    assert sample.on == (None, True, None, False)
    assert sample.temperature_c == (pytest.approx(25.16), pytest.approx(25.17), pytest.approx(25.20))
    assert sample.faults == ()


def test_a_pass_costs_what_it_says() -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    run(bus, device.acquire())
    assert bus.transactions - before == 4 * 3 + 2 + 3 * 3 + 1


def test_faults_name_the_rail_and_the_sensor() -> None:
    bus = Registers()
    device = ready(bus)
    bus.pages[3][0x7A] = b"\x90"
    bus.pages[13][0x7B] = b"\x20"
    bus.pages[17].update({0x7D: b"\x40"})
    bus.pages[20][0x8D] = word(0x7FFF)
    sample = run(bus, device.acquire())
    assert sample.faults == (
        "imu_5v: over-voltage fault", "imu_5v: under-voltage fault", "imu_5v_current: over-current warning",
        "sensor 1: over-temperature warning", "sensor 4: faulty",
    )
    assert sample.temperature_c[2] is None


def test_a_disabled_sensor_has_no_temperature_and_a_cold_one_is_negative() -> None:
    bus = Registers()
    device = ready(bus)
    bus.pages[16][0x8D] = word(0)
    bus.pages[17][0x8D] = word(-1275)
    assert run(bus, device.acquire()).temperature_c[:2] == (None, pytest.approx(-12.75))


def test_switch_turns_to_the_page_looks_at_it_writes_and_reads_back() -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    run(bus, device.switch("imu_5v", on=False))
    assert bus.transactions - before == 4
    assert bus.pages[3][0x01] == b"\x00"
    assert bus.pages[0][0x01] == b"\x80"
    assert run(bus, device.acquire()).on == (None, False, None, True)
    run(bus, device.switch("imu_5v", on=True))
    assert bus.pages[3][0x01] == b"\x80"


def test_a_switch_that_does_not_follow_is_an_error() -> None:
    bus = Registers()
    device = ready(bus)
    bus.obey = False
    assert refusal(bus, device.switch("imu_5v", on=False)) is Cause.PROTOCOL


def test_nothing_is_switched_on_a_page_that_was_not_taken() -> None:
    bus = Registers()
    device = ready(bus)
    bus.page, bus.deaf_page = 0, True
    assert refusal(bus, device.switch("imu_5v", on=False)) is Cause.PROTOCOL
    assert all(bus.pages[page][0x01] == b"\x80" for page in range(16))


@pytest.mark.parametrize("rail", ["bus_28v", "imu_5v_current", "none"])
def test_a_rail_without_a_switch_is_refused_before_the_bus(rail: str) -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    assert refusal(bus, device.switch(rail, on=True)) is Cause.PROTOCOL
    assert bus.transactions == before


def test_a_switch_in_the_middle_of_a_pass_disturbs_neither() -> None:
    bus = Registers()
    device = ready(bus)
    for resumes in range(1, 24):
        steps = device.acquire()
        for _ in range(resumes):
            next(steps)
        run(bus, device.switch("rcs_valves", on=resumes % 2 == 0))
        assert bus.pages[0][0x01] == (b"\x80" if resumes % 2 == 0 else b"\x00")
        sample = run(bus, steps)
        assert sample.voltage_v == (pytest.approx(12.5), pytest.approx(3.5), None, pytest.approx(0.5))
        assert sample.temperature_c[0] == pytest.approx(25.16)


def test_a_switch_in_the_middle_of_the_configuration_disturbs_neither() -> None:
    for resumes in range(1, 20):
        bus = Registers()
        device = max34451.Device(bus, ADDRESS, SETTINGS)
        steps = device.initialise()
        for _ in range(resumes):
            next(steps)
        run(bus, device.switch("rcs_valves", on=False))
        run(bus, steps)
        assert bus.pages[3][0x42] == word(5250)
        assert bus.pages[13][0x38] == word(5000)
        assert bus.pages[0][0x01] == b"\x00"
        assert run(bus, device.acquire()).on == (None, True, None, False)


def test_a_channel_that_answers_all_ones_is_not_configured() -> None:
    bus = Registers()
    bus.pages[13][0xE4] = b"\xff\xff"
    assert refusal(bus, max34451.Device(bus, ADDRESS, SETTINGS).initialise()) is Cause.IMPLAUSIBLE
    assert bus.pages[13][0xE4] == b"\xff\xff"


def test_a_pass_that_overtakes_a_switch_stops_it() -> None:
    bus = Registers()
    device = ready(bus)
    steps = device.switch("rcs_valves", on=False)
    next(steps)
    next(steps)
    run(bus, device.acquire())
    assert refusal(bus, steps) is Cause.PROTOCOL
    assert bus.pages[0][0x01] == b"\x80"


def test_a_chip_that_forgot_its_page_has_restarted() -> None:
    bus = Registers()
    device = ready(bus)
    steps = device.acquire()
    for _ in range(23):
        next(steps)
    bus.page = 0
    assert refusal(bus, steps) is Cause.RESET


def test_a_lost_limit_is_found_and_stays_refused_until_initialised() -> None:
    bus = Registers()
    device = ready(bus)
    bus.pages[3][0x42] = word(0x7FFF)
    found = causes(bus, device, 60)
    assert set(found) == {Cause.RESET}
    assert found[-1] is Cause.RESET
    run(bus, device.initialise())
    assert run(bus, device.acquire()) is not None


def test_all_off_is_believed_only_from_a_chip_that_knows_its_name() -> None:
    bus = Registers()
    device = ready(bus)
    for page in bus.pages.values():
        page.update({command: bytes(len(page[command])) for command in (0x01, 0x8B, 0x8C, 0x8D) if command in page})
    sample = run(bus, device.acquire())
    assert sample.voltage_v == (0.0, 0.0, None, 0.0)
    assert sample.on == (None, False, None, False)
    bus.common[0x99] = b"\x00"  # the data line is held low
    assert refusal(bus, device.acquire()) is Cause.WRONG_ID


@pytest.mark.parametrize("fill", [b"\x00", b"\xff"])
def test_equal_bits_are_no_sample(fill: bytes) -> None:
    bus = Dead(fill)
    device = max34451.Device(bus, ADDRESS, SETTINGS)
    assert refusal(bus, device.acquire()) in (Cause.WRONG_ID, Cause.IMPLAUSIBLE)
    assert refusal(bus, device.initialise()) is Cause.WRONG_ID


def test_clear_faults_is_a_command_without_data() -> None:
    bus = Registers()
    run(bus, ready(bus).clear_faults())
    assert bus.sent == [0x03]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(max34451.CODECS), st.binary(max_size=4))
def test_any_bytes_are_a_number_or_a_refusal(codec: max34451.Codec, data: bytes) -> None:
    with suppress(DeviceError):
        assert isinstance(codec.decode(data), float | int | None)


BIG = max34451.Settings(
    rails=tuple(Rail(name=f"load_{page}", page=page, switched=page < 12) for page in range(14)), scrub_every=0,
)


def test_twelve_rails_switch_each_by_its_own_name() -> None:
    bus = Registers()
    device = ready(bus, BIG)
    for page in range(12):
        run(bus, device.switch(f"load_{page}", on=False))
        assert [bus.pages[p][0x01] for p in range(12)] == [b"\x00"] * (page + 1) + [b"\x80"] * (11 - page)


def test_a_pass_of_fourteen_channels_costs_what_it_says() -> None:
    bus = Registers()
    device = ready(bus, BIG)
    before = bus.transactions
    assert run(bus, device.acquire()) is not None
    assert bus.transactions - before == 58


def in_parts(bus: Registers, channels: int = 2) -> max34451.Device:
    return ready(bus, msgspec.structs.replace(BIG, channels_a_sample=channels))


def test_a_pass_in_parts_holds_the_bus_shortly_and_says_nothing_before_it_is_whole() -> None:
    bus = Registers()
    device = in_parts(bus)
    costs, samples = [], []
    for _ in range(16):
        before = bus.transactions
        samples.append(run(bus, device.acquire()))
        costs.append(bus.transactions - before)
    assert max(costs) == 9
    assert samples[:7] == [None] * 7
    whole = samples[8]
    assert whole.voltage_v == tuple(pytest.approx(page + 0.5) for page in range(14))
    assert whole.on == (True,) * 12 + (None,) * 2
    assert whole.temperature_c == (pytest.approx(25.16),)


@pytest.mark.parametrize("channels", [1, 2, 4, 7, 14, 15, 21])
def test_every_channel_is_read_again_within_a_pass(channels: int) -> None:
    bus = Registers()
    device = in_parts(bus, channels)
    total = 15
    for _ in range(2 * total):
        run(bus, device.acquire())
    for page in range(14):
        bus.pages[page][0x8B] = word(100 + page)
        bus.pages[page][0x7A] = b"\x10"
    sample = [run(bus, device.acquire()) for _ in range(-(-total // channels))][-1]
    assert sample.voltage_v == tuple(pytest.approx(0.1 + 0.001 * page) for page in range(14))
    assert len(sample.faults) == 14


def test_a_rail_that_was_switched_is_read_first_and_shows_so_at_once() -> None:
    bus = Registers()
    device = in_parts(bus)
    for _ in range(9):
        run(bus, device.acquire())
    run(bus, device.switch("load_11", on=False))
    bus.pages[11][0x8B] = word(0)
    sample = run(bus, device.acquire())
    assert (sample.on[11], sample.voltage_v[11]) == (False, 0.0)
    assert sample.on[10] is True


def test_a_channel_that_was_refused_is_read_again_before_the_turn_goes_on() -> None:
    bus = Registers()
    device = in_parts(bus)
    for _ in range(8):
        run(bus, device.acquire())
    bus.pages[5][0x8B] = word(0x8000)
    found = causes(bus, device, 20)
    assert set(found) == {Cause.IMPLAUSIBLE}
    assert len(found) >= 15
    bus.pages[5][0x8B] = word(0x7FFF)
    assert set(causes(bus, device, 20)) == {Cause.OVER_RANGE}, "at full scale"
    bus.pages[5][0x8B] = word(4321)
    assert run(bus, device.acquire()).voltage_v[5] == pytest.approx(4.321)


def test_a_rail_that_nobody_switched_shows_a_restart_within_a_pass() -> None:
    bus = Registers()
    device = in_parts(bus)
    run(bus, device.switch("load_11", on=False))
    for _ in range(9):
        run(bus, device.acquire())
    bus.pages[11][0x01] = b"\x80"  # on at power-up
    assert Cause.RESET in causes(bus, device, 8)
    run(bus, device.initialise())
    assert causes(bus, device, 20) == []
    assert run(bus, device.acquire()).on[11] is True


def test_a_switch_that_was_broken_off_leaves_open_what_the_rail_was_told() -> None:
    bus = Registers()
    device = in_parts(bus)
    for _ in range(9):
        run(bus, device.acquire())
    steps = device.switch("load_11", on=False)
    while bus.pages[11][0x01] == b"\x80":
        next(steps)
    steps.close()
    assert causes(bus, device, 8) == []
    assert run(bus, device.acquire()).on[11] is False


def test_after_a_set_up_nothing_older_is_shown() -> None:
    bus = Registers()
    device = in_parts(bus)
    for _ in range(9):
        run(bus, device.acquire())
    run(bus, device.initialise())
    assert run(bus, device.acquire()) is None
