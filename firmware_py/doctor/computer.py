"""Looks at a computer and says what a flight would find; changes nothing."""

from __future__ import annotations

from pathlib import Path

from firmware_py.clock import Clock, RealClock
from firmware_py.doctor.machine import Check, Machine, Status
from firmware_py.doctor.nodes import check_board, check_libraries
from firmware_py.scheduler import Histogram
from hal.profile.board import BoardConfig

__all__ = ["inspect", "inspect_computer", "wakeup_jitter"]

CAP_IPC_LOCK = 14
CAP_SYS_NICE = 23
"""Bits of the capability mask (linux/capability.h)."""

_STEADY_CLOCKS = ("tsc", "arch_sys_counter", "kvm-clock", "riscv_clocksource", "hyperv_clocksource_tsc_page")
_CPU_ZONES = ("cpu", "soc", "x86_pkg_temp", "coretemp")
_GIB = 1 << 30
_NO_RT_UNIT = "start it from the systemd unit of this project, or give the user 'rtprio 99' in /etc/security/limits.d"


def inspect(
    board: BoardConfig | None,
    machine: Machine | None = None,
    clock: Clock | None = None,
    data_folder: Path = Path(),
) -> list[Check]:
    """All checks, in the order in which they are worth mending.

    Takes about 0.2 s, nearly all of it the wake-ups.

    Args:
        board: the board file to hold the computer against; ``None`` leaves the devices out.
        machine: the computer; ``None`` means this one.
        clock: clock whose wake-ups are measured; ``None`` means the machine's, without polling.
        data_folder: where the recorder will write.
    """
    machine = Machine() if machine is None else machine
    checks = inspect_computer(board, machine, RealClock(epoch_ns=0, spin_us=0) if clock is None else clock, data_folder)
    if board is not None:
        checks += check_board(board, machine)
    checks += check_libraries(board, machine)
    return checks


def inspect_computer(board: BoardConfig | None, machine: Machine, clock: Clock, data_folder: Path) -> list[Check]:
    """The checks of the computer alone; arguments as of :func:`inspect`."""
    return [
        check_python(machine),
        check_realtime_rights(machine, board.realtime.priority if board else 1),
        check_memory_lock(machine),
        check_throttling(machine),
        check_cpu(machine, board.realtime.cpu if board else None),
        check_isolation(machine, board.realtime.cpu if board else None),
        check_preemption(machine),
        check_governor(machine, board.realtime.cpu if board else None),
        check_clock_source(machine),
        check_timer_resolution(machine),
        check_wakeups(clock),
        check_time_sync(machine),
        check_disk(machine, data_folder),
        check_temperature(machine),
    ]


def check_python(machine: Machine) -> Check:
    """Python 3.11 is the oldest whose ``time.sleep`` waits for an absolute instant (CPython 3.11 release notes)."""
    found = ".".join(map(str, machine.python))
    if machine.python >= (3, 11):
        return Check("python", Status.PASS, found)
    return Check("python", Status.FAIL, found, "install Python 3.11 or newer")


def check_realtime_rights(machine: Machine, priority: int) -> Check:
    """Whether SCHED_FIFO at ``priority`` would be granted: CAP_SYS_NICE, or RLIMIT_RTPRIO high enough (sched(7))."""
    name = "real-time rights"
    allowed = f"CAP_SYS_NICE, or RLIMIT_RTPRIO of {priority}"
    if _has_capability(machine, CAP_SYS_NICE):
        return Check(name, Status.PASS, "CAP_SYS_NICE", allowed=allowed)
    limit = _limit(machine, "Max realtime priority")
    if limit is None:
        return Check(name, Status.MISSING, "neither capabilities nor limits are visible", _NO_RT_UNIT)
    if limit >= priority:
        return Check(name, Status.PASS, f"RLIMIT_RTPRIO {_limit_text(limit)}", allowed=allowed)
    return Check(name, Status.WARN, f"RLIMIT_RTPRIO {_limit_text(limit)}, {priority} needed", _NO_RT_UNIT, allowed)


def check_memory_lock(machine: Machine) -> Check:
    """Whether mlockall would hold: CAP_IPC_LOCK, or RLIMIT_MEMLOCK with room for the process (mlock(2))."""
    name = "memory lock"
    allowed = "CAP_IPC_LOCK, or RLIMIT_MEMLOCK of 1 GiB"
    if _has_capability(machine, CAP_IPC_LOCK):
        return Check(name, Status.PASS, "CAP_IPC_LOCK", allowed=allowed)
    limit = _limit(machine, "Max locked memory")
    if limit is None:
        return Check(name, Status.MISSING, "neither capabilities nor limits are visible")
    if limit >= _GIB:
        return Check(name, Status.PASS, f"RLIMIT_MEMLOCK {_limit_text(limit)} bytes", allowed=allowed)
    step = "set LimitMEMLOCK=infinity in the unit, or 'memlock unlimited' in limits.d"
    return Check(name, Status.WARN, f"RLIMIT_MEMLOCK {limit:.0f} bytes", step, allowed)


def check_throttling(machine: Machine) -> Check:
    """Share of each second that real-time threads may use (sched(7), sched_rt_runtime_us)."""
    name = "real-time throttling"
    runtime = machine.text("proc/sys/kernel/sched_rt_runtime_us")
    period = machine.text("proc/sys/kernel/sched_rt_period_us")
    if runtime is None or period is None:
        return Check(name, Status.MISSING, "not visible")
    try:
        share = 1.0 if int(runtime) < 0 else int(runtime) / int(period)
    except (ValueError, ZeroDivisionError):
        return Check(name, Status.MISSING, f"{runtime} of {period}")
    found = f"{100.0 * share:.0f} % of the time allowed"
    if share >= 0.9:
        return Check(name, Status.PASS, found, allowed="at least 90 %")
    return Check(name, Status.WARN, found, "raise kernel.sched_rt_runtime_us to 950000", "at least 90 %")


def check_cpu(machine: Machine, cpu: int | None) -> Check:
    """Whether the processor that the board file names is there."""
    online = _cpu_list(machine.text("sys/devices/system/cpu/online"))
    if online is None:
        return Check("processor", Status.MISSING, "list of processors not visible")
    found = f"{len(online)} online"
    if cpu is None or cpu in online:
        return Check("processor", Status.PASS, found if cpu is None else f"{found}, number {cpu} among them")
    step = f"set realtime.cpu to one of 0..{max(online, default=0)}"
    return Check("processor", Status.WARN, f"{found}, no number {cpu}", step)


def check_isolation(machine: Machine, cpu: int | None) -> Check:
    """Whether the flight processor is kept free of other work (kernel parameter isolcpus)."""
    isolated = _cpu_list(machine.text("sys/devices/system/cpu/isolated"))
    if isolated is None:
        return Check("isolated processors", Status.MISSING, "not visible")
    found = ", ".join(map(str, sorted(isolated))) or "none"
    if (cpu is not None and cpu in isolated) or (cpu is None and isolated):
        return Check("isolated processors", Status.PASS, found)
    wanted = "the highest core" if cpu is None else str(cpu)
    step = f"add isolcpus= and nohz_full= for {wanted} to the kernel command line"
    return Check("isolated processors", Status.WARN, found, step)


def check_preemption(machine: Machine) -> Check:
    """Preemption model of the kernel."""
    if machine.text("sys/kernel/realtime") == "1" or "PREEMPT_RT" in machine.kernel_version:
        return Check("preemption", Status.PASS, "PREEMPT_RT")
    step = "a PREEMPT_RT kernel bounds wake-ups; without one boot with preempt=full"
    model = next((word for word in machine.kernel_version.split() if word.startswith("PREEMPT")), None)
    if model is None:
        return Check("preemption", Status.MISSING, machine.kernel_version or "not visible", step)
    return Check("preemption", Status.WARN, model, step)


def check_governor(machine: Machine, cpu: int | None) -> Check:
    """Frequency governor of the flight processor."""
    governor = machine.text(f"sys/devices/system/cpu/cpu{cpu or 0}/cpufreq/scaling_governor")
    if governor is None:
        return Check("cpu governor", Status.MISSING, "no frequency scaling visible")
    if governor == "performance":
        return Check("cpu governor", Status.PASS, governor, allowed="performance")
    return Check("cpu governor", Status.WARN, governor, "cpupower frequency-set -g performance", "performance")


def check_clock_source(machine: Machine) -> Check:
    """Hardware counter behind the clock: some are read in nanoseconds, others over a slow bus."""
    source = machine.text("sys/devices/system/clocksource/clocksource0/current_clocksource")
    if source is None:
        return Check("clock source", Status.MISSING, "not visible")
    if source in _STEADY_CLOCKS:
        return Check("clock source", Status.PASS, source)
    step = "a slow counter makes each reading cost microseconds; dmesg says why it was chosen"
    return Check("clock source", Status.WARN, source, step)


def check_timer_resolution(machine: Machine) -> Check:
    """Stated resolution of the monotonic clock."""
    resolution = machine.resolution_ns()
    if resolution <= 1000:
        return Check("timer resolution", Status.PASS, f"{resolution} ns")
    step = "the kernel needs high resolution timers (CONFIG_HIGH_RES_TIMERS)"
    return Check("timer resolution", Status.FAIL, f"{resolution} ns", step)


def wakeup_jitter(clock: Clock, count: int = 200, period_ns: int = 1_000_000) -> Histogram:
    """Sleep to ``count`` instants ``period_ns`` apart; returns how late each wake-up was."""
    histogram = Histogram()
    first = clock.now_ns() + period_ns
    for number in range(count):
        histogram.add(clock.sleep_until_ns(first + number * period_ns))
    return histogram


def check_wakeups(clock: Clock) -> Check:
    """Measured lateness of 200 wake-ups, 1 ms apart. CANON 8 wants the 99.9th percentile of a tick under 1 ms."""
    histogram = wakeup_jitter(clock)
    p50, p99 = histogram.percentile_ns(50.0) or 0, histogram.percentile_ns(99.0) or 0
    worst = histogram.max_ns
    found = f"p50 {p50 / 1000:.0f} us, p99 {p99 / 1000:.0f} us, worst {worst / 1000:.0f} us of {histogram.count}"
    if worst < 500_000:
        return Check("wake-up jitter", Status.PASS, found, allowed="worst under 500 us")
    step = "free the processor of other work; then real-time rights, isolation and governor above"
    return Check("wake-up jitter", Status.WARN, found, step, "worst under 500 us")


def check_time_sync(machine: Machine) -> Check:
    """Whether the calendar clock is disciplined. Only UTC stamps depend on it, no control loop does."""
    if (machine.root / "run/systemd/timesync/synchronized").exists():
        return Check("time sync", Status.PASS, "systemd-timesyncd reports synchronised")
    state = machine.synchronised()
    if state is None:
        return Check("time sync", Status.MISSING, "not visible")
    if state:
        return Check("time sync", Status.PASS, "kernel clock disciplined")
    step = "enable systemd-timesyncd or chrony; until then UTC stamps may be off"
    return Check("time sync", Status.WARN, "kernel clock not disciplined", step)


def check_disk(machine: Machine, folder: Path) -> Check:
    """Free space where the recorder writes: the ring is 64 MiB (CANON 17), flights and crash records come on top."""
    try:
        free = machine.free_bytes(folder)
    except OSError as error:
        return Check("disk space", Status.FAIL, f"{folder}: {error.strerror}", "make the folder, or name another")
    found = f"{free / _GIB:.1f} GiB free"
    allowed = "at least 1 GiB"
    if free >= _GIB:
        return Check("disk space", Status.PASS, found, allowed=allowed)
    status = Status.WARN if free >= _GIB // 4 else Status.FAIL
    step = "make room: 1 GiB lets the recorder keep its ring and several flights"
    return Check("disk space", status, found, step, allowed)


def check_temperature(machine: Machine) -> Check:
    """Hottest zone that belongs to the processor, deg C. Limits: CANON 6 (warn 75, throttle 80, SAFE request 85)."""
    hottest: float | None = None
    for zone in sorted((machine.root / "sys/class/thermal").glob("thermal_zone*")):
        kind = machine.text(f"sys/class/thermal/{zone.name}/type") or ""
        if not any(word in kind for word in _CPU_ZONES):
            continue
        text = machine.text(f"sys/class/thermal/{zone.name}/temp")
        try:
            value = int(text) / 1000.0 if text is not None else None
        except ValueError:
            value = None
        if value is not None and (hottest is None or value > hottest):
            hottest = value
    if hottest is None:
        return Check("cpu temperature", Status.MISSING, "no processor thermal zone answers")
    found, allowed = f"{hottest:.1f} deg C", "below 75 deg C"
    if hottest < 75.0:
        return Check("cpu temperature", Status.PASS, found, allowed=allowed)
    status = Status.FAIL if hottest >= 85.0 else Status.WARN
    return Check("cpu temperature", status, found, "the clock slows from 80 deg C: cool the board", allowed)


def _has_capability(machine: Machine, bit: int) -> bool:
    for line in (machine.text("proc/self/status") or "").splitlines():
        if line.startswith("CapEff:"):
            try:
                return bool(int(line.split()[1], 16) >> bit & 1)
            except (IndexError, ValueError):
                return False
    return False


def _limit(machine: Machine, title: str) -> float | None:
    """Soft limit from /proc/self/limits (proc(5)); infinite for ``unlimited``."""
    for line in (machine.text("proc/self/limits") or "").splitlines():
        if line.startswith(title):
            words = line[len(title):].split()
            if words and words[0] == "unlimited":
                return float("inf")
            if words and words[0].isdigit():
                return float(words[0])
    return None


def _limit_text(limit: float) -> str:
    return "unlimited" if limit == float("inf") else f"{limit:.0f}"


def _cpu_list(text: str | None) -> set[int] | None:
    """Processor list of the kernel, such as ``0-2,5``; an empty one is an empty set."""
    if text is None:
        return None
    cpus: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        try:
            cpus.update(range(int(first), int(last or first) + 1))
        except ValueError:
            return None
    return cpus
