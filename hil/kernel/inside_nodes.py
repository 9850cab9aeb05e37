"""Makes a board's device nodes in a guest and the unit that plays the chips behind them, before the flight program.

Standard library only; runs as root of the guest: ``python3 inside_nodes.py`` at each of its starts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

__all__ = ["LABEL", "LINES", "RIG_UNIT", "install_units", "make_nodes"]

LABEL = "pinctrl-bcm2711"
LINES = 28
CONFIG = Path("/sys/kernel/config")
FOLDER = Path("/usr/lib/qiki-inside")
SYSTEM = Path("/etc/systemd/system")
NODES_UNIT = """\
[Unit]
Description=Device nodes of the rig
After=systemd-udevd.service
Before=qiki-rig.service qiki-flight.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/python3 -B {folder}/inside_nodes.py

[Install]
WantedBy=multi-user.target
"""
RIG_UNIT = """\
[Unit]
Description=Chips and world of the rig
After=qiki-nodes.service
Requires=qiki-nodes.service
Before=qiki-flight.service
ConditionPathExists=/opt/qiki/current

[Service]
Type=exec
ExecStartPre=/bin/rm -f /run/qiki-rig/board.yaml
ExecStart=/opt/qiki/current/bin/qiki rig serve --board {folder}/board.yaml --bench {folder}/bench.yaml \
--mission {folder}/mission.yaml --folder /run/qiki-rig --priority 60 --step-ms {step_ms} --headless --json
ExecStartPost=/bin/sh -c 'until [ -e /run/qiki-rig/board.yaml ]; do sleep 0.1; done'
TimeoutStartSec=120
LimitRTPRIO=99
Environment=PYTHONUNBUFFERED=1 OPENBLAS_NUM_THREADS=1
OOMScoreAdjust=-900

[Install]
WantedBy=multi-user.target
"""

FLIGHT_DROP_IN = """\
# A guest's processor is shared with the chips of the rig and is slower than a board's: its program starts slower too.
[Service]
WatchdogSec=5
TimeoutStartSec=300
"""


def make_nodes() -> None:
    """Load the modules and make the nodes that a board file names; what is there is left. Raises OSError."""
    for words in (
        ("vcan",), ("can-raw",), ("i2c-dev",), ("spidev",), ("softdog", "soft_margin=30", "nowayout=0"),
        ("busim", "i2c_buses=3", "i2c_first=1", "spi_buses=1", "spi_cs=2"), ("configfs",), ("gpio-sim",),
    ):
        # What a kernel has built in, or has not, shows below.
        subprocess.run(["modprobe", *words], check=False)
    if not Path("/sys/class/net/can0").exists():
        subprocess.run(["ip", "link", "add", "dev", "can0", "type", "vcan"], check=True)
    subprocess.run(["ip", "link", "set", "can0", "txqueuelen", "1000", "up"], check=True)
    if not os.path.ismount(CONFIG):
        subprocess.run(["mount", "-t", "configfs", "none", str(CONFIG)], check=True)
    _make_lines()
    # The rig's end of a serial line is root's; the flight program is not root.
    subprocess.run(["mount", "-o", "remount,mode=666,ptmxmode=666", "/dev/pts"], check=True)
    end = time.monotonic() + 20.0
    wanted = [Path(name) for name in ("/dev/i2c-1", "/dev/i2c-3", "/dev/spidev0.0", "/dev/busim")]
    while not all(path.exists() for path in wanted) and time.monotonic() < end:
        time.sleep(0.05)


def install_units(share: Path, board: bytes, root: Path = Path("/")) -> None:
    """Put the units, this file and the rig's files where the guest's starts find them. Raises OSError.

    Args:
        share: folder with ``bench.yaml``, ``mission.yaml`` and ``step_ms``, the step of the rig's world.
        board: the board file's bytes.
        root: of the guest; another one is the tree of a guest that does not run.
    """
    folder = root / FOLDER.relative_to("/")
    system = root / SYSTEM.relative_to("/")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__), folder / "inside_nodes.py")
    for name in ("bench.yaml", "mission.yaml"):
        shutil.copy(share / name, folder / name)
    (folder / "board.yaml").write_bytes(board)
    step_ms = int((share / "step_ms").read_text())
    wants = system / "multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    for name, text in (("qiki-nodes.service", NODES_UNIT), ("qiki-rig.service", RIG_UNIT)):
        (system / name).write_text(text.format(folder=FOLDER, step_ms=step_ms))
        link = wants / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"../{name}")
    drop_in = system / "qiki-flight.service.d/80-guest.conf"
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text(FLIGHT_DROP_IN)
    if root == Path("/"):
        subprocess.run(["systemctl", "daemon-reload"], check=True)


def _make_lines() -> None:
    """One simulated chip with the lines of a single-board computer's header."""
    chip = CONFIG / "gpio-sim/board"
    if chip.exists():
        return
    bank = chip / "bank0"
    bank.mkdir(parents=True)
    (bank / "num_lines").write_text(str(LINES))
    (bank / "label").write_text(LABEL)
    for number in range(LINES):
        (bank / f"line{number}").mkdir()
        (bank / f"line{number}/name").write_text(f"GPIO{number}")
    (chip / "live").write_text("1")


if __name__ == "__main__":
    make_nodes()
