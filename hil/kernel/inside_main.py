"""``python3 -m hil.kernel.inside_main``: runs in a guest what its host asks for, and says how each check went.

The job lies in the shared folder: ``{"boot": "install", "checks": [...]}``. Each check is one line to the host, with
what was measured; one that fails does not keep the next from being run. Then the guest is switched off.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from hil.kernel.inside_faults import FAULT_CHECKS
from hil.kernel.inside_flight import FLIGHT_CHECKS, UNITS, await_flight
from hil.kernel.inside_host import FLIGHT, RECORDER, SHARE, CheckFailed, flight_mode, run, say, show, until
from hil.kernel.inside_install import INSTALL_CHECKS, prepare

__all__ = ["main"]

Answer = tuple[float | None, str]
LONGEST_S = 1500.0
WATCHDOG_S = 5
BEAT_S = 0.25
"""Between two signs of life of a flight that is to be cut."""
STOP_S = 120.0
"""Within which all units have stopped; on an emulated processor too."""


def main() -> int:
    """Do the job; 1 if something of it could not even be begun."""
    job = json.loads((SHARE / "job.json").read_text())
    say(up_s=float(Path("/proc/uptime").read_text().split()[0]))
    try:
        _do(job)
    except Exception as error:
        say(lost=f"{type(error).__name__}: {error}", where=traceback.format_exc(limit=-3)[-600:])
        _tell_more()
        return 1
    finally:
        run("sync")
        run("systemctl", "poweroff", "--no-block", check=False)
    return 0


def _do(job: Mapping[str, object]) -> None:
    names = [str(name) for name in job["checks"]]  # type: ignore[attr-defined]
    if job["boot"] == "install":
        prepare()
        _each(names, INSTALL_CHECKS)
    elif job["boot"] == "fly":
        say(flying_s=await_flight(LONGEST_S))
        _each(names, FLIGHT_CHECKS | FAULT_CHECKS)
        say(kept=_keep_record())
    elif job["boot"] == "cut":
        await_flight(LONGEST_S)
        began_s = int(show(FLIGHT, "ExecMainStartTimestampMonotonic")["ExecMainStartTimestampMonotonic"]) / 1e6
        until("a black box of this start grows", lambda: _black_box() is not None, 120.0, 0.5)
        # The host cuts by this clock, for the guest's may be slower than its own.
        end_s = time.monotonic() + LONGEST_S
        while time.monotonic() < end_s:
            say(flying=True, flown_s=time.monotonic() - began_s, black_box=_black_box())
            time.sleep(BEAT_S)
    elif job["boot"] == "again":
        say(flying_s=await_flight(LONGEST_S), mode=flight_mode())
        say(kept=_keep_record())
    elif job["boot"] == "hang":
        _hang()
    else:
        raise CheckFailed(f"no job {job['boot']}")


def _each(names: list[str], checks: Mapping[str, Callable[[], Answer]]) -> None:
    for name in names:
        check = checks.get(name)
        if check is None:
            continue
        began = time.monotonic()
        try:
            measured, seen = check()
            say(check=name, ok=True, measured=measured, seen=seen, took_s=time.monotonic() - began)
        except (CheckFailed, OSError, ValueError, KeyError, IndexError) as error:
            seen = f"{type(error).__name__}: {error}"
            say(check=name, ok=False, measured=None, seen=seen, took_s=time.monotonic() - began)
            _tell_more()
            if name == "install":
                return


def _tell_more() -> None:
    """What the service manager's journal has of our units: to a file of the host."""
    text = run("journalctl", "-b", "--no-pager", "-o", "short-monotonic", "-n", "400", check=False)
    (SHARE / "journal.txt").write_text(text)


def _keep_record() -> list[str]:
    """Stop all as a user would, and bring the newest black boxes to the host; their names, the newest last. The
    recorder has closed its file when it was stopped."""
    run("systemctl", "stop", "qiki.target", check=False)
    try:
        # The command waits for the target alone, which goes before its units.
        until("the target's units have stopped", _all_stopped, STOP_S, 0.2)
    except CheckFailed as error:
        say(lost=str(error))
        run("systemctl", "stop", RECORDER, FLIGHT, check=False)
    folder = SHARE / "flights"
    folder.mkdir(exist_ok=True)
    names = []
    # Folders begin with a number that always rises; the clock of the day was moved.
    for path in sorted(Path("/var/lib/qiki/flights").rglob("*.mcap"))[-8:]:
        name = f"{path.parent.name}-{path.name}"
        (folder / name).write_bytes(path.read_bytes())
        names.append(name)
    _tell_more()
    return names


def _all_stopped() -> bool:
    states = [show(f"{name}.service", "ActiveState").get("ActiveState") for name in UNITS]
    return all(state in ("inactive", "failed") for state in states)


def _black_box() -> str | None:
    """The black box that this start of the computer has begun, as :func:`_keep_record` names it."""
    began = time.time() - float(Path("/proc/uptime").read_text().split()[0])
    found = [path for path in Path("/var/lib/qiki/flights").rglob("*.mcap") if path.stat().st_mtime > began]
    return f"{found[0].parent.name}-{found[0].name}" if found and found[0].stat().st_size else None


def _identity(name: str) -> str:
    """What a watchdog calls itself; nothing where the kernel doesn't tell it in sysfs."""
    path = Path("/sys/class/watchdog") / name / "identity"
    return path.read_text() if path.exists() else ""


def _hang() -> None:
    """Arm the watchdog and feed it no more, as a board whose programs all hang."""
    import fcntl
    import struct

    run("modprobe", "softdog", check=False)
    run("modprobe", "i6300esb", check=False)
    nodes = sorted(Path("/dev").glob("watchdog[0-9]*"))
    hardware = [node for node in nodes if "6300" in _identity(node.name)]
    run("systemctl", "stop", "qiki.target", "qiki-flight.service", check=False)
    node = os.open(str((hardware or nodes)[-1]), os.O_WRONLY)
    fcntl.ioctl(node, 0xC0045706, bytearray(struct.pack("i", WATCHDOG_S)))
    os.write(node, b"\0")
    say(armed=str(show("init.scope", "Id").get("Id")), watchdog=str((hardware or nodes)[-1]))
    time.sleep(12 * WATCHDOG_S)
    say(still_alive=True)


if __name__ == "__main__":
    raise SystemExit(main())
