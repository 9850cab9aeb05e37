"""What a board file says to the units, as drop-ins: processors, priority, valve lines, bit rates."""

from __future__ import annotations

from hal.profile.board import BoardConfig

__all__ = ["DROP_IN", "drop_ins"]

DROP_IN = "10-board.conf"
_HEAD = "# Made from the board file by the installer, and made anew by the next one: put changes into a file beside.\n"
_BESIDE = ("qiki-comms.service", "qiki-recorder.service", "qiki-perception.service")
"""Units that leave the flight program its processor."""
DEFAULT_BITRATE = 500_000


def drop_ins(board: BoardConfig, processors: frozenset[int] | None) -> dict[str, str]:
    """Name below the folder of units and text of each drop-in.

    Args:
        board: the board file.
        processors: numbers of those that are online; ``None``: not known, then nobody is bound to one, for a unit that
            names a processor which isn't there does not start.
    """
    made = {"qiki-flight.service": [f"CPUSchedulingPriority={board.realtime.priority}"]}
    cpu = board.realtime.cpu
    if cpu is not None and processors is not None and cpu in processors:
        made["qiki-flight.service"].append(f"CPUAffinity={cpu}")
        others = " ".join(str(number) for number in sorted(processors - {cpu}))
        if others:
            made |= {unit: [f"CPUAffinity={others}"] for unit in _BESIDE}
    if board.lines is not None:
        chip = next((bus.device for bus in board.buses.values() if bus.kind == "gpio"), "")
        made["qiki-safe.service"] = [
            f'Environment="QIKI_SAFE_CHIP={chip}"',
            f'Environment="QIKI_SAFE_LINES={board.lines.valve_arm} {board.lines.valve_enable}"',
        ]
    for bus in board.buses.values():
        if bus.kind == "can" and bus.device.isalnum():
            made[f"qiki-can@{bus.device}.service"] = [f"Environment=QIKI_CAN_BITRATE={bus.speed_hz or DEFAULT_BITRATE}"]
    texts = {f"system/{unit}.d/{DROP_IN}": ["[Service]", *lines] for unit, lines in sorted(made.items())}
    if board.watchdog is not None:
        # /dev/watchdog has one owner: the flight program, which feeds it by the progress of the flight.
        texts["manager/50-qiki.conf"] = ["[Manager]", "RuntimeWatchdogSec=0"]
    return {name: _HEAD + "\n".join(lines) + "\n" for name, lines in texts.items()}
