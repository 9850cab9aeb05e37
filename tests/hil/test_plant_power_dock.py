"""The dock port: soft start, limits, what may not flow."""

from __future__ import annotations

import pytest

from hal.profile.body import DockFeedConfig
from hil.plant.power_dock import DockPort

CONFIG = DockFeedConfig(28.0, 250.0, 10.0)
BUS = 26.0


def connected(power_max_w: float = 250.0, sink_w: float = 0.0) -> DockPort:
    port = DockPort(CONFIG)
    port.connect(28.0, power_max_w, sink_w)
    return port


def test_limits_rise_linearly_over_the_soft_start() -> None:
    port = connected()
    port.set_switch(True)
    given = [port.take_limits(0.1, BUS)[0] for _ in range(30)]
    assert given[:20] == pytest.approx([250.0 * (k + 0.5) / 20.0 for k in range(20)])
    assert given[20:] == pytest.approx([250.0] * 10)
    # The energy of a line: half of the full power over the soft start.
    assert sum(given[:20]) * 0.1 == pytest.approx(0.5 * 250.0 * 2.0)


@pytest.mark.parametrize(
    ("power_max_w", "share", "limit"), [(100.0, 1.0, 100.0), (400.0, 1.0, 250.0), (400.0, 0.1, 26.0)]
)
def test_least_of_dock_port_and_current_limits(power_max_w: float, share: float, limit: float) -> None:
    port = connected(power_max_w)
    port.set_switch(True, share)
    port.take_limits(10.0, BUS)
    assert port.take_limits(0.1, BUS)[0] == pytest.approx(limit)


def test_soft_start_begins_anew_at_every_closing_and_every_plug() -> None:
    port = connected()
    port.set_switch(True)
    port.take_limits(10.0, BUS)
    assert port.ramp == 1.0
    port.set_switch(True, 0.5)
    assert port.ramp == 1.0
    port.set_switch(False)
    port.set_switch(True)
    assert port.ramp == 0.0
    port.take_limits(10.0, BUS)
    port.disconnect()
    port.connect(28.0, 250.0)
    assert port.ramp == 0.0


def test_nothing_flows_with_an_open_switch_or_nothing_plugged_in() -> None:
    port = connected(sink_w=20.0)
    assert port.take_limits(1.0, BUS) == (0.0, 0.0)
    port.set_switch(True)
    port.disconnect()
    assert port.take_limits(1.0, BUS) == (0.0, 0.0)
    assert port.input_v == 0.0


def test_reversed_or_low_dock_feeds_nothing_and_shows_its_voltage() -> None:
    port = DockPort(CONFIG)
    port.set_switch(True)
    for volts in (-28.0, 0.0, 25.9):
        port.connect(volts, 250.0)
        assert port.take_limits(5.0, BUS) == (0.0, 0.0)
        assert port.input_v == volts


def test_drawing_dock_takes_what_it_draws_at_once() -> None:
    port = connected(sink_w=20.0)
    port.set_switch(True)
    assert port.take_limits(0.05, BUS) == (0.0, 20.0)


def test_impossible_docks_are_refused() -> None:
    port = connected()
    nan = float("nan")
    for arguments in ((nan, 1.0, 0.0), (28.0, -1.0, 0.0), (28.0, 1.0, nan), (1000.0, 1.0, 0.0)):
        with pytest.raises(ValueError, match="dock of"):
            port.connect(*arguments)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        port.set_switch(True, 1.1)
    assert (port.input_v, port.on) == (28.0, False)


def test_body_without_a_port_refuses_to_dock() -> None:
    port = DockPort(None)
    with pytest.raises(ValueError, match="no dock port"):
        port.connect(28.0, 250.0)
    with pytest.raises(ValueError, match="no dock port"):
        port.set_switch(True)
    assert port.take_limits(1.0, BUS) == (0.0, 0.0)
