"""Ways and power: the least score wins without flutter, forbidden ways say why, power falls before anything is cut."""

from __future__ import annotations

from dataclasses import replace

import pytest

from comms.channel_plan import QosClass
from comms.channels.routes import HOLD_NS, LinkState, LossEstimate, Router, score
from comms.channels.transmit_level import CALM_NS, STEPS, TransmitLevel, TransmitLimits
from comms.emcon import EmconGate, EmconLevel, Transmitter
from fdir.codes import Code
from fdir.modes import Emission

S = 1_000_000_000
RADIO = LinkState("radio", Transmitter.RADIO, True, 9600.0, loss=0.05, energy_j_byte=0.02, exposure=1.0)
OPTICAL = LinkState("optical", Transmitter.OPTICAL, True, 1e6, loss=0.02, energy_j_byte=0.005, exposure=0.1)
BRIDGE = LinkState("bridge", Transmitter.BRIDGE, True, 1e6, loss=0.0, energy_j_byte=0.001, exposure=0.0, neighbour=True)
NBL = LinkState("nbl", Transmitter.NBL, True, 64.0, loss=0.1, energy_j_byte=18.75)
L = TransmitLevel


def emission(level: EmconLevel = EmconLevel.OPEN) -> EmconGate:
    gate = EmconGate()
    gate.follow(Emission.OPEN, 0)
    gate.set_level(level, 0)
    return gate


@pytest.mark.parametrize("qos", list(QosClass))
def test_the_better_way_wins_and_the_order_of_the_list_does_not_matter(qos: QosClass) -> None:
    for links in ([RADIO, OPTICAL], [OPTICAL, RADIO]):
        assert Router().choose(qos, 200, links, emission(), 0).name == "optical"


def test_control_goes_straight_and_bulk_goes_cheap() -> None:
    direct = replace(OPTICAL, loss=0.0, energy_j_byte=0.05)
    assert Router().choose(QosClass.CONTROL, 100, [direct, BRIDGE], emission(), 0).name == "optical"
    assert Router().choose(QosClass.BULK, 100, [direct, BRIDGE], emission(), 0).name == "bridge"


def test_the_emergency_transmitter_is_no_way_for_channels() -> None:
    choice = Router().choose(QosClass.CONTROL, 100, [NBL], emission(), 0)
    assert (choice.name, choice.codes) == (None, (Code.NBL_RULES_ONLY,))


def test_every_reason_against_a_way_is_listed() -> None:
    row = score(replace(NBL, up=False), QosClass.BULK, 200, emission(EmconLevel.SILENT), 0, budget_j=10.0)
    assert row.score is None
    assert row.codes == (
        Code.COMMS_UNAVAILABLE, Code.NBL_RULES_ONLY, Code.EMCON_BLOCK, Code.COMMS_POWER_BLOCK)
    assert score(replace(RADIO, loss=0.99), QosClass.CONTROL, 1, emission(), 0).codes == (Code.COMMS_UNAVAILABLE,)
    assert score(replace(RADIO, bit_rate=0.0), QosClass.CONTROL, 1, emission(), 0).codes == (Code.COMMS_UNAVAILABLE,)


def test_without_any_way_there_is_a_reason() -> None:
    assert Router().choose(QosClass.CONTROL, 1, [], emission(), 0).codes == (Code.COMMS_UNAVAILABLE,)


def test_a_budget_shuts_out_what_is_dear_and_what_has_no_known_price() -> None:
    gate = emission()
    assert Router().choose(QosClass.CONTROL, 200, [RADIO, OPTICAL], gate, 0, budget_j=2.0).name == "optical"
    unknown = replace(OPTICAL, energy_j_byte=None)
    assert Router().choose(QosClass.CONTROL, 200, [RADIO, unknown], gate, 0, budget_j=4.0).name == "radio"
    assert Router().choose(QosClass.CONTROL, 200, [unknown], gate, 0, budget_j=4.0).codes == (Code.COMMS_POWER_BLOCK,)
    assert Router().choose(QosClass.CONTROL, 200, [unknown], gate, 0).name == "optical"


def test_in_silence_only_wires_are_left() -> None:
    cable = LinkState("bench", Transmitter.CABLE, True, 115_200.0)
    links = [RADIO, OPTICAL, BRIDGE, cable]
    assert Router().choose(QosClass.CONTROL, 100, links, emission(EmconLevel.RECEIVE), 0).name in ("bridge", "bench")
    assert Router().choose(QosClass.CONTROL, 100, links, emission(EmconLevel.SILENT), 0).name == "bench"


def test_an_unmeasured_way_is_tried_when_nothing_better_is_known() -> None:
    unknown = replace(RADIO, name="other", loss=None)
    assert Router().choose(QosClass.CONTROL, 100, [unknown, RADIO], emission(), 0).name == "radio"
    assert Router().choose(QosClass.CONTROL, 100, [unknown], emission(), 0).name == "other"


def test_a_held_way_is_left_only_for_one_that_stays_clearly_better() -> None:
    router, gate = Router(), emission()
    twin = replace(RADIO, name="twin", loss=0.06)
    assert router.choose(QosClass.CONTROL, 100, [RADIO, twin], gate, 0).changed
    slightly = replace(RADIO, loss=0.07)
    for at in range(10):
        assert router.choose(QosClass.CONTROL, 100, [slightly, twin], gate, at * S).name == "radio"
    worse = replace(RADIO, loss=0.5)
    assert router.choose(QosClass.CONTROL, 100, [worse, twin], gate, 20 * S).name == "radio"
    assert router.choose(QosClass.CONTROL, 100, [slightly, twin], gate, 21 * S).name == "radio"
    assert router.choose(QosClass.CONTROL, 100, [worse, twin], gate, 22 * S).name == "radio"
    choice = router.choose(QosClass.CONTROL, 100, [worse, twin], gate, 22 * S + HOLD_NS)
    assert (choice.name, choice.changed) == ("twin", True)
    assert router.changes == 2


def test_a_way_that_is_gone_is_left_at_once() -> None:
    router, gate = Router(), emission()
    router.choose(QosClass.CONTROL, 100, [OPTICAL, RADIO], gate, 0)
    assert router.choose(QosClass.CONTROL, 100, [replace(OPTICAL, up=False), RADIO], gate, 1).name == "radio"
    assert router.choose(QosClass.CONTROL, 100, [replace(RADIO, up=False)], gate, 2).name is None


def test_the_loss_of_a_way_is_unknown_before_enough_was_seen() -> None:
    estimate = LossEstimate()
    for lost in [True, False] * 4:
        assert estimate.loss is None
        estimate.add(lost)
    assert estimate.loss == 0.5
    for _ in range(200):
        estimate.add(False)
    assert estimate.loss is not None
    assert estimate.loss < 0.01


# -- power and rate


def settle(limits: TransmitLimits, comms_c: float | None, soc: float | None, seconds: int, at: int = 0) -> L:
    for second in range(seconds):
        limits.step(comms_c, soc, (at + second) * S)
    return limits.present.level


@pytest.mark.parametrize(
    ("comms_c", "soc", "level"),
    [
        (20.0, 0.8, L.FULL), (59.9, 0.36, L.FULL), (60.0, 0.8, L.REDUCED), (65.0, 0.8, L.LOW), (70.0, 0.8, L.NO_BULK),
        (72.5, 0.8, L.CONTROL_ONLY), (75.0, 0.8, L.OFF), (20.0, 0.35, L.REDUCED), (20.0, 0.30, L.LOW),
        (20.0, 0.20, L.NO_BULK), (20.0, 0.10, L.CONTROL_ONLY), (20.0, 0.0, L.CONTROL_ONLY), (66.0, 0.35, L.LOW),
        (None, 0.8, L.REDUCED), (20.0, None, L.REDUCED), (float("nan"), 0.8, L.REDUCED), (200.0, 0.8, L.REDUCED),
    ],
)
def test_heat_and_charge_ask_for_their_steps(comms_c: float | None, soc: float | None, level: L) -> None:
    limits = TransmitLimits()
    settle(limits, 20.0, 0.8, 30)
    assert limits.step(comms_c, soc, 100 * S).level is level


def test_power_falls_before_anything_is_cut_and_control_is_cut_last() -> None:
    cuts = [len(row.cut) for row in STEPS]
    assert cuts == sorted(cuts)
    assert [row.power for row in STEPS] == sorted((row.power for row in STEPS), reverse=True)
    assert STEPS[1].power < 1.0
    assert not STEPS[1].cut
    assert all(QosClass.CONTROL not in row.cut for row in STEPS[:-1])
    assert tuple(row.level for row in STEPS) == tuple(L)


def test_nothing_is_sent_at_full_power_before_anything_was_measured() -> None:
    assert TransmitLimits().present.level is L.REDUCED


def test_it_gets_better_one_step_at_a_time_after_calm() -> None:
    limits = TransmitLimits()
    assert limits.step(75.0, 0.8, 0).level is L.OFF
    calm = CALM_NS // S
    levels = [limits.step(20.0, 0.8, second * S).level for second in range(1, 6 * calm)]
    changes = [level for level, before in zip(levels, [L.OFF, *levels], strict=False) if level is not before]
    assert changes == [L.CONTROL_ONLY, L.NO_BULK, L.LOW, L.REDUCED, L.FULL]
    assert levels[: calm - 1] == [L.OFF] * (calm - 1)


def test_a_temperature_at_the_edge_does_not_flutter() -> None:
    limits = TransmitLimits()
    settle(limits, 20.0, 0.8, 30)
    levels = {limits.step(60.0 - 0.5 * (second % 2), 0.8, (100 + second) * S).level for second in range(200)}
    assert levels == {L.REDUCED}
    assert settle(limits, 57.1, 0.8, 60, 400) is L.REDUCED
    assert settle(limits, 56.9, 0.8, 60, 500) is L.FULL


def test_what_is_no_longer_measured_holds_its_step() -> None:
    limits = TransmitLimits()
    limits.step(75.0, 0.8, 0)
    assert settle(limits, None, 0.8, 100, 1) is L.OFF


def test_each_cut_names_its_reason() -> None:
    limits = TransmitLimits()
    settle(limits, 20.0, 0.8, 30)
    step = limits.step(70.0, 0.10, 100 * S)
    assert step.cut_by_heat == {QosClass.BULK, QosClass.SCIENCE}
    assert step.cut_by_charge == set(QosClass) - {QosClass.CONTROL}
    assert (step.power, step.rate, step.reduced) == (0.1, 0.1, True)
