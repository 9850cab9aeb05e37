"""Faults of a whole computer, one function each: what is done, what must happen, and how long it took.

Standard library only. Times are of the machine's steady clock, which the clock of the day does not move; whether valves
are open is the rig's word, at its own steps.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from hil.kernel.inside_host import (
    FLIGHT,
    RECORDER,
    SHARE,
    CheckFailed,
    flight_mode,
    process_of,
    run,
    show,
    truth_rows,
    until,
)

__all__ = ["FAULT_CHECKS"]

Answer = tuple[float | None, str]
PATIENCE_S = 60.0
SAID_S = 30.0
"""Within which an event of the flight has come to the journal, by way of the recorder."""
LINES = 40_000
MOST_LEFT = 1 << 20
"""Bytes that a full disk may have left."""
STATUS_S = 1.5
"""How much later the program's status, sent twice a second, may show what was lost."""
MOST_STARTS = 3
"""Starts that did not last, before the next one: five in a row would end in SAFE (fdir/boot.py)."""
SELDOM_S = 0.25
"""Between two looks at units beside: a look is a program of its own, and costs them the guest's processor."""
STATE = Path("/var/lib/qiki")
LOST_ADAPTER = 1 << 2
"""The module's third adapter: magnetometer and temperatures."""
PERCEPTION = "qiki-perception.service"
BROKEN = "firmware_py/flight_process.py"
"""Only the flight program takes it; the command line, which installs, does not."""
KEPT = (Path("/etc/qiki/board.yaml"), Path("/etc/qiki/body.yaml"), Path("/etc/qiki/mission.yaml"))


def kill_flight() -> tuple[float, str]:
    """SIGKILL to the flight program."""
    before = _flying()
    began = time.monotonic()
    os.kill(before, signal.SIGKILL)
    back = until("another flight program is in control", lambda: _other(before), PATIENCE_S)
    _await_idle()
    shut_s = _shut_after(began)
    return back, f"valves shut {_ms(shut_s)} after; then {flight_mode()}"


def hang_flight() -> tuple[float, str]:
    """SIGSTOP: the kicks end, the rig's watchdog takes the enable line away."""
    before = _flying()
    began = time.monotonic()
    os.kill(before, signal.SIGSTOP)
    until("another flight program is in control", lambda: _other(before), PATIENCE_S)
    _await_idle()
    rows = [row for row in truth_rows(began) if "enabled" in row]
    first = next((float(str(row["machine_s"])) for row in rows if not row["enabled"]), None)
    if first is None:
        raise CheckFailed("the enable line stayed")
    shut = _shut_after(began)
    return max(first - began, shut), f"enable taken away {_ms(first - began)} after the stop, valves shut {_ms(shut)}"


def replace_flight() -> tuple[float, str]:
    """SIGSTOP: the service manager's watchdog replaces the program."""
    before = _flying()
    os.kill(before, signal.SIGSTOP)
    back = until("another flight program is in control", lambda: _other(before), PATIENCE_S)
    _await_idle()
    return back, f"restarts {show(FLIGHT, 'NRestarts')['NRestarts']}"


def kill_recorder() -> tuple[float, str]:
    """SIGKILL to the recorder."""
    return _kill_beside(RECORDER)


def kill_perception() -> tuple[float, str]:
    """SIGKILL to perception."""
    return _kill_beside(PERCEPTION)


def lose_can() -> tuple[float, str]:
    """The CAN interface goes down for 3 s."""
    return _lose(
        lambda: run("ip", "link", "set", "can0", "down"), lambda: run("ip", "link", "set", "can0", "up"), 3.0
    )


def lose_spi() -> tuple[float, str]:
    """The inertial unit's node vanishes for 2 s, and another of the same name comes."""
    driver = Path("/sys/bus/spi/drivers/spidev")
    device = next(path.name for path in sorted(driver.iterdir()) if path.name.startswith("spi0.0"))

    def bind() -> None:
        (driver / "bind").write_text(device)

    return _lose(lambda: (driver / "unbind").write_text(device), bind, 2.0)


def lose_i2c() -> tuple[float, str]:
    """One adapter of three hangs for 2 s: each transfer on it runs into the kernel's time-out."""
    hung = Path("/sys/module/busim/parameters/i2c_hung")
    return _lose(lambda: hung.write_text(str(LOST_ADAPTER)), lambda: hung.write_text("0"), 2.0)


def fill_disk() -> tuple[float, str]:
    """Every block taken, then given back."""
    flight = _flying()
    free = shutil.disk_usage("/var/lib").free
    fill = Path("/var/lib/qiki-fill")
    with contextlib.suppress(OSError), fill.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free)
    with contextlib.suppress(OSError), fill.open("ab") as file:
        while file.write(bytes(1 << 16)):
            file.flush()
    try:
        left = shutil.disk_usage("/var/lib").free
        if left > MOST_LEFT:
            raise CheckFailed(f"{left >> 10} kB were left: the disk was not full")
        time.sleep(4.0)
        _unmoved(flight)
        during = show(RECORDER, "ActiveState", "NRestarts")
    finally:
        fill.unlink()
    newest = _newest_size()
    # Of names that only rise: one that was removed for room is no growth.
    took = until("a black box grows again", lambda: _newest_size() > newest, PATIENCE_S, 0.2)
    return took, f"{left >> 10} kB were left; the recorder was {during['ActiveState']}, restarts {during['NRestarts']}"


def fill_journal() -> tuple[float, str]:
    """A program that floods the journal."""
    flight = _flying()
    text = f"i=0; while [ $i -lt {LINES} ]; do echo line $i of a program that has lost its mind; i=$((i+1)); done"
    run("systemd-run", "--quiet", "--wait", "--unit=qiki-flood", "/bin/sh", "-c", text, timeout_s=600.0)
    _unmoved(flight)
    folders = (Path("/run/log/journal"), Path("/var/log/journal"))
    size = sum(path.stat().st_blocks * 512 for folder in folders for path in folder.rglob("*.journal"))
    return size / 1e6, f"{LINES} lines"


def clock_jump() -> tuple[None, str]:
    """The clock of the day, a day ahead and back."""
    flight, mode = _flying(), flight_mode()
    now = time.time()
    try:
        time.clock_settime(time.CLOCK_REALTIME, now + 86400.0)
        time.sleep(3.0)
        _unmoved(flight)
        ahead = flight_mode()
    finally:
        time.clock_settime(time.CLOCK_REALTIME, now + 3.0)
    time.sleep(2.0)
    _unmoved(flight)
    if mode not in (ahead, flight_mode()):
        raise CheckFailed(f"the mode was {mode}, then {ahead}, then {flight_mode()}")
    return None, f"{mode} all the time"


def no_realtime() -> tuple[float, str]:
    """Rights taken by a drop-in, the program started anew."""
    folder = Path(f"/run/systemd/system/{FLIGHT}.d")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "90-check.conf").write_text(
        "[Service]\nCPUSchedulingPolicy=other\nCPUSchedulingPriority=0\nLimitRTPRIO=0\nLimitMEMLOCK=0\n"
    )
    try:
        run("systemctl", "daemon-reload")
        began, since = time.monotonic(), time.time()
        run("systemctl", "restart", FLIGHT, timeout_s=300.0)
        _await_idle()
        took = time.monotonic() - began
        policy = os.sched_getscheduler(process_of(FLIGHT))
        # Events go to the black box, and what is worse than news from there to the journal.
        until("it says that it flies without", lambda: bool(_lines_of(since, "REALTIME_DEGRADED")), SAID_S, 0.5)
        said = _lines_of(since, "REALTIME_DEGRADED")[-1]
    finally:
        shutil.rmtree(folder)
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", FLIGHT, check=False, timeout_s=300.0)
    _await_idle()
    if policy != os.SCHED_OTHER:
        raise CheckFailed(f"its scheduling is still {policy}")
    return took, said[:160]


def _lines_of(since: float, word: str) -> list[str]:
    """Lines of the journal of flight and recorder since then (seconds of the day's clock) that have this word."""
    words = ("journalctl", "-b", "-u", FLIGHT, "-u", RECORDER, "-o", "cat", "--no-pager", f"--since=@{since:.0f}")
    return [line for line in run(*words, check=False).splitlines() if word in line]


def bad_update() -> tuple[float, str]:
    """A version whose flight program ends at once is installed the ordinary way."""
    _stand_by()
    before, kept = os.readlink("/opt/qiki/current"), [_digest(path) for path in KEPT]
    black_boxes = len(list(Path("/var/lib/qiki/flights").rglob("*.mcap")))
    house = _broken_wheelhouse()
    words = ("--board", str(SHARE / "board.yaml"), "--body", "bench-12kg", "--mission", str(KEPT[2]))
    flight = process_of(FLIGHT)
    marker = Path("/opt/qiki/keep/trial.json")
    install = _Beside("sh", str(house / "install.sh"), *words)
    until("the new version is on trial", lambda: marker.exists() or install.over(), 1200.0, 0.05)
    began = time.monotonic()
    until("the verdict", lambda: not marker.exists(), 2.0 * PATIENCE_S, SELDOM_S)
    _flying()
    took = time.monotonic() - began
    code = install.wait()
    shutil.rmtree(house)
    verdict = json.loads(Path("/opt/qiki/keep/verdict.json").read_text())
    if verdict["good"] or os.readlink("/opt/qiki/current") != before or code == 0:
        now = os.readlink("/opt/qiki/current")
        raise CheckFailed(f"verdict {verdict}, now {now}, installer ended with {code}: {install.said}")
    if [_digest(path) for path in KEPT] != kept or process_of(FLIGHT) in (0, flight):
        raise CheckFailed("files of the owner changed, or the program was not started anew")
    if len(list(Path("/var/lib/qiki/flights").rglob("*.mcap"))) < black_boxes:
        raise CheckFailed("black boxes are gone")
    return took, f"{verdict['why'][:100]}; installer ended with {code}"


# -- helpers


class _Beside:
    """A program beside the check."""

    def __init__(self, *words: str) -> None:
        import subprocess

        self.said = ""
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def wait(self) -> int:
        """Its exit code; afterwards ``said`` has its last words."""
        out, _ = self._process.communicate(timeout=300.0)
        self.said = " / ".join(out.splitlines()[-6:])[-500:]
        return self._process.returncode


def _flying() -> int:
    """Process of the flight program once it is in a mode that it can stay in."""
    until("the flight program flies", lambda: flight_mode() not in (None, "Boot"), PATIENCE_S)
    return process_of(FLIGHT)


def _fresh() -> None:
    """A fault before may have left the craft in SAFE, which a restart keeps, and starts in a row end there: begin
    without that history, in Idle."""
    text = show(FLIGHT, "StatusText").get("StatusText", "")
    starts = re.search(r"start (\d+)", text)
    if flight_mode() not in (None, "Boot", "SAFE") and starts is not None and int(starts[1]) <= MOST_STARTS:
        return
    _begin_anew()


def _stand_by() -> None:
    """A mission that ends in Idle: the installer replaces no program that manoeuvres."""
    steps = [line for line in KEPT[2].read_text().splitlines() if not line.startswith("  - {name: ") or "Idle" in line]
    KEPT[2].write_text("\n".join(steps).replace("stay_s: 6}", "stay_s: 3000}") + "\n")
    _begin_anew()


def _begin_anew() -> None:
    run("systemctl", "stop", FLIGHT, timeout_s=60.0)
    for path in (*STATE.glob("slot*.bin"), STATE / "life.json"):
        path.unlink(missing_ok=True)
    run("systemctl", "start", FLIGHT, timeout_s=120.0)
    _await_idle()


def _other(before: int) -> bool:
    return process_of(FLIGHT) not in (0, before) and flight_mode() is not None


def _await_idle() -> None:
    until("Idle", lambda: flight_mode() == "Idle", PATIENCE_S)


def _unmoved(flight: int) -> None:
    """The same process flies, and its watchdog is fed."""
    if process_of(FLIGHT) != flight or flight_mode() in (None, "Boot"):
        raise CheckFailed(f"the flight program was {flight}, is {show(FLIGHT, 'MainPID', 'StatusText', 'Result')}")


def _kill_beside(unit: str) -> tuple[float, str]:
    """Kill what runs beside the flight program; how long until it is active again."""
    flight, before = _flying(), process_of(unit)
    if not before:
        raise CheckFailed(f"{unit} does not run: {show(unit, 'ActiveState', 'Result')}")
    os.kill(before, signal.SIGKILL)

    def back() -> bool:
        return process_of(unit) not in (0, before) and show(unit, "ActiveState").get("ActiveState") == "active"

    took = until(f"{unit} is active again", back, PATIENCE_S, SELDOM_S)
    time.sleep(1.0)
    _unmoved(flight)
    return took, f"flight {flight_mode()}, restarts {show(unit, 'NRestarts').get('NRestarts')}"


def _lose(take: object, give: object, for_s: float) -> tuple[float, str]:
    """Take something away for a while; how long after it came back every device is well again.

    Raises CheckFailed when the program's status never showed that something was away.
    """
    flight = _flying()
    well = _unwell()
    take()  # type: ignore[operator]
    try:
        during = _changed(well, for_s)
    finally:
        give()  # type: ignore[operator]
    began = time.monotonic()
    if during is None:
        during = _changed(well, STATUS_S)
    if during is None:
        raise CheckFailed(f"nothing was seen of it: devices {well or 'all ok'}, before and all the time")
    until("its devices are well again", lambda: _unwell() == well, PATIENCE_S, 0.1)
    took = time.monotonic() - began
    time.sleep(1.0)
    now = process_of(FLIGHT)
    same = "the same process" if now == flight else "another process"
    if now != flight or flight_mode() is None:
        raise CheckFailed(f"{same}: {show(FLIGHT, 'StatusText', 'Result', 'NRestarts')}")
    return took, f"meanwhile: {during}; {same}, {flight_mode()}"


def _changed(well: str, for_s: float) -> str | None:
    """Devices that are not well, as last seen when they were others than before; ``None``: never in ``for_s``."""
    began, seen = time.monotonic(), None
    while True:
        now = _unwell()
        seen = seen if now in (well, "") else now
        left = for_s - (time.monotonic() - began)
        if left <= 0.0:
            return seen
        time.sleep(min(SELDOM_S, left))


def _unwell() -> str:
    """Devices that are not well, by the program's status."""
    text = show(FLIGHT, "StatusText").get("StatusText", "")
    return next((part.strip() for part in text.split(";") if "not ok" in part), "")


def _shut_after(began: float) -> float:
    """Seconds after an instant until every valve was shut and its enable line away; 0 if none was open then.

    Raises CheckFailed when the enable line was never taken away with the valves shut.
    """
    was_open = False
    for row in truth_rows(began - 0.2):
        if "open_mask" not in row:
            continue
        when = float(str(row["machine_s"])) - began
        was_open = was_open or bool(row["open_mask"])
        if when >= 0.0 and not row["enabled"] and not row["open_mask"]:
            return when if was_open else 0.0
    raise CheckFailed("the enable line was not taken away, or valves stayed open")


def _ms(seconds: float) -> str:
    return f"{1000.0 * seconds:.0f} ms"


def _newest_size() -> tuple[str, int]:
    found = sorted(Path("/var/lib/qiki/flights").rglob("*.mcap"))
    try:
        return (str(found[-1]), found[-1].stat().st_size) if found else ("", 0)
    except FileNotFoundError:
        # The recorder has removed it meanwhile.
        return "", 0


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _broken_wheelhouse() -> Path:
    """The wheelhouse with a flight program that ends at once, its manifest in order."""
    house = Path("/var/tmp/broken-wheelhouse")
    shutil.rmtree(house, ignore_errors=True)
    shutil.copytree(SHARE / "wheelhouse", house)
    wheel = next(house.glob("qiki_flight-*.whl"))
    fresh = wheel.with_suffix(".new")
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(fresh, "w", zipfile.ZIP_STORED) as target:
        for name, data in _broken_files(source):
            target.writestr(name, data)
    fresh.replace(wheel)
    manifest = json.loads((house / "MANIFEST.json").read_text())
    manifest["files"][wheel.name] = {"bytes": wheel.stat().st_size, "sha256": _digest(wheel)}
    (house / "MANIFEST.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    names = sorted([*manifest["files"], "MANIFEST.json"])
    (house / "SHA256SUMS").write_text("".join(f"{_digest(house / name)}  {name}\n" for name in names))
    return house


def _broken_files(source: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    for name in source.namelist():
        data = source.read(name)
        yield name, b"raise SystemExit(1)\n" if name == BROKEN else data


def _from_idle(fault: Callable[[], Answer]) -> Callable[[], Answer]:
    def check() -> Answer:
        _fresh()
        return fault()

    return check


FAULT_CHECKS = {
    name: _from_idle(fault) for name, fault in {
        "kill-flight": kill_flight, "hang-flight": hang_flight, "replace-flight": replace_flight,
        "kill-recorder": kill_recorder, "kill-perception": kill_perception, "lose-can": lose_can,
        "lose-spi": lose_spi, "lose-i2c": lose_i2c, "fill-disk": fill_disk, "fill-journal": fill_journal,
        "clock-jump": clock_jump, "no-realtime": no_realtime, "bad-update": bad_update,
    }.items()
}
