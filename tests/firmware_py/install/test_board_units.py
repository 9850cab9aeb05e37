"""Drop-ins of a board: what its file says, and nothing that would keep a unit from starting."""

from __future__ import annotations

import msgspec

from firmware_py.install.board_units import drop_ins
from hal.profile import load_board

BOARD = load_board("qiki-rpi")
FOUR = frozenset(range(4))


def test_the_flight_program_gets_its_processor_and_the_others_the_rest() -> None:
    made = drop_ins(BOARD, FOUR)
    assert "CPUAffinity=3\n" in made["system/qiki-flight.service.d/10-board.conf"]
    assert "CPUSchedulingPriority=50\n" in made["system/qiki-flight.service.d/10-board.conf"]
    for unit in ("comms", "recorder", "perception"):
        assert "CPUAffinity=0 1 2\n" in made[f"system/qiki-{unit}.service.d/10-board.conf"]


def test_a_processor_that_is_not_there_binds_nobody() -> None:
    for processors in (None, frozenset({0, 1})):
        assert not any("CPUAffinity" in text for text in drop_ins(BOARD, processors).values())


def test_a_single_processor_is_shared() -> None:
    board = msgspec.structs.replace(BOARD, realtime=msgspec.structs.replace(BOARD.realtime, cpu=0))
    made = drop_ins(board, frozenset({0}))
    assert "CPUAffinity=0\n" in made["system/qiki-flight.service.d/10-board.conf"]
    assert "system/qiki-comms.service.d/10-board.conf" not in made


def test_the_valve_lines_are_held_and_the_kick_is_not() -> None:
    text = drop_ins(BOARD, FOUR)["system/qiki-safe.service.d/10-board.conf"]
    assert 'Environment="QIKI_SAFE_CHIP=pinctrl-bcm2711"' in text
    assert 'Environment="QIKI_SAFE_LINES=GPIO24 GPIO27"' in text
    assert "GPIO22" not in text


def test_each_can_interface_has_its_bit_rate() -> None:
    board = msgspec.structs.replace(BOARD, buses={
        **BOARD.buses, "can1": msgspec.structs.replace(BOARD.buses["can1"], speed_hz=250_000),
        "far": msgspec.structs.replace(BOARD.buses["can1"], device="udp://239.0.0.1:4311"),
    })
    made = drop_ins(board, FOUR)
    assert "QIKI_CAN_BITRATE=500000" in made["system/qiki-can@can0.service.d/10-board.conf"]
    assert "QIKI_CAN_BITRATE=250000" in made["system/qiki-can@can1.service.d/10-board.conf"]
    assert not any("udp" in name for name in made)


def test_a_board_with_a_watchdog_takes_it_from_the_manager() -> None:
    assert "manager/50-qiki.conf" not in drop_ins(BOARD, FOUR)
    made = drop_ins(msgspec.structs.replace(BOARD, watchdog={}), FOUR)
    assert "[Manager]\nRuntimeWatchdogSec=0\n" in made["manager/50-qiki.conf"]
