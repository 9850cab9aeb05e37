"""What is checked in a guest, what must happen, and how fast: one table for host and guest.

Standard library only: the guest runs this with its own Python before anything is installed.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CHECKS", "SLOWER", "Check", "chosen", "limit_of"]


class Check(NamedTuple):
    """One check: its boot, what must happen, and the limit in ``unit`` (``None``: only that it does).

    ``board`` is the figure that is asked of a board, where a guest's processor does not allow the same.
    """

    name: str
    boot: str
    what: str
    limit: float | None
    unit: str = "s"
    board: float | None = None


CHECKS = (
    Check("install", "install", "install.sh from the wheelhouse ends well, with every check of the installer", 240.0),
    Check("nodes-i2c", "install", "smbus2 reads a monitor's maker on /dev/i2c-1; a missing address is ENXIO", None),
    Check("nodes-spi", "install", "spidev reads the inertial unit's product number on /dev/spidev0.0", None),
    Check("nodes-can", "install", "both valve nodes' heartbeats are heard on can0", 3.0),
    Check("nodes-gpio", "install", "a line driven by label and name reads back, and frees", None),
    Check("nodes-serial", "install", "the solar charger's lines come over the port", 4.0),
    Check("nodes-watchdog", "install", "the watchdog tells its identity and takes a time-out", None),
    Check("ready", "install", "qiki.target: exec of the flight program to READY=1", 10.0, board=2.0),
    Check("boot", "fly", "from switching the guest on to flying (READY and a motion mode)", 30.0),
    Check("units", "fly", "flight and recorder run, none of the project's units has failed", None),
    Check("mission", "fly", "the mission is flown to its last step; the world has turned as commanded", 120.0),
    Check("rate", "fly", "ticks that came late or were lost, of those of the mission", 0.05, "share"),
    Check("resources", "fly", "resident memory of all units (PSS)", 300.0, "MB"),
    Check("kill-flight", "fly", "killed: valves shut meanwhile, back in control", 15.0, board=3.0),
    Check("hang-flight", "fly", "stopped with SIGSTOP: the watchdog's line shuts the valves", 0.15, board=0.1),
    Check("replace-flight", "fly", "stopped with SIGSTOP: another process is in control", 20.0, board=2.0),
    Check("kill-recorder", "fly", "killed: flight goes on unmoved, recorder is back", 15.0, board=3.0),
    Check("kill-perception", "fly", "killed: flight goes on unmoved, perception is back", 30.0, board=3.0),
    Check("lose-can", "fly", "can0 down and up again: flight goes on, its devices are well again", 15.0),
    Check("lose-spi", "fly", "spidev unbound and bound again: flight goes on, the inertial unit is well again", 15.0),
    Check("lose-i2c", "fly", "one I2C adapter hangs for 2 s: flight goes on, its devices are well again", 15.0),
    Check("fill-disk", "fly", "disk full: flight goes on unmoved, and after room was made records again", 30.0),
    Check("fill-journal", "fly", "40,000 lines flood it: flight goes on, the journal keeps its limit", 64.0, "MB"),
    Check("clock-jump", "fly", "the clock jumps a day ahead and back: flight goes on in its mode", None),
    Check("no-realtime", "fly", "without real-time rights: it starts, says so, and reaches Idle", 50.0, board=10.0),
    Check("bad-update", "fly", "an update that can't fly: the old version is back in control, nothing lost", 60.0),
    Check("ending", "fly", "systemctl stop qiki.target: the black box has the flight's last event and row", None),
    Check("black-box", "fly", "the black box read by qiki report on the host", None),
    Check("power-cut", "cut", "power cut in flight: flying again by itself after the next start", 30.0),
    Check("cut-record", "cut", "power cut in flight: seconds of its flight that the black box lacks", 10.0),
    Check("watchdog-reset", "hang", "a board whose programs hang is reset by its watchdog of 5 s", 8.0),
)

SLOWER = {"uml": 1.0, "amd64": 10.0, "arm64": 10.0}
"""An emulated processor is so much slower: limits of what a processor does are so much wider there."""
EMULATED = {"boot": {"amd64": 60.0, "arm64": 60.0}, "power-cut": {"amd64": 90.0, "arm64": 90.0}}
SCALED = frozenset({
    "install", "ready", "nodes-can", "nodes-serial", "mission", "kill-flight", "replace-flight", "kill-recorder",
    "kill-perception", "lose-can", "lose-spi", "lose-i2c", "fill-disk", "no-realtime", "bad-update", "hang-flight",
    "cut-record",
})


def limit_of(check: Check, arch: str) -> float | None:
    """The limit of a check on a rig."""
    if check.limit is None:
        return None
    own = EMULATED.get(check.name, {}).get(arch)
    if own is not None:
        return own
    return check.limit * (SLOWER[arch] if check.name in SCALED else 1.0)


def chosen(words: str) -> tuple[Check, ...]:
    """Checks by names with commas, in the table's order; all for no name. Raises ValueError for a name nobody knows."""
    names = [word.strip() for word in words.split(",") if word.strip()]
    known = {check.name: check for check in CHECKS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no check {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(check for check in CHECKS if not names or check.name in names)
