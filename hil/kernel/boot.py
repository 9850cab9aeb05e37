"""Boots a guest from an image, follows what it says, and ends it by its own process group: nothing is left running.

A guest says what it has to say on its console, one line of JSON after ``@``. Whoever follows it may cut its power at
any line. The disk is a copy of the image's; with ``volatile`` it stands behind a write cache that forgets at the cut
what was never flushed, which ending an emulator alone does not show.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hil.kernel.guest import GuestError
from hil.kernel.image import Image

__all__ = ["CONSOLE_MARK", "Guest", "Said", "command_line", "preference", "read_line"]

CONSOLE_MARK = "@ "
KERNEL_WORDS = (
    "quiet", "loglevel=4", "systemd.show_status=0", "mitigations=off", "random.trust_cpu=1", "panic=-1",
)
MEMORY_MB = 1024
QEMU = {
    "amd64": ("qemu-system-x86_64", "-M", "q35", "-cpu", "max"),
    "arm64": ("qemu-system-aarch64", "-M", "virt,gic-version=2", "-cpu", "cortex-a72"),
}
QEMU_WORDS = {"amd64": ("console=ttyS0", "tsc=unstable", "no_timer_check"), "arm64": ("console=ttyAMA0",)}
PACE = ("-accel", "tcg,thread=single,tb-size=512", "-icount", "shift=0,sleep=on")
"""An emulated guest counts its time in instructions while it works, 1 ns each for both processors together: to its
programs it is as quick as a small board, however long that takes here. With the machine's own time no flight program
would keep its rate there. While it waits its time is the machine's, so that a disk is no slower than it is."""
SHARE = "host"
SHOWN_LINES = 40
REAL_TIME = ("chrt", "--rr", "1")


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a guest: seconds since it was switched on, and what it was."""

    at_s: float
    record: dict[str, Any]


def read_line(line: str) -> dict[str, Any] | None:
    """What a line of the console says to us; ``None``: it is the kernel's or somebody's."""
    _, mark, text = line.partition(CONSOLE_MARK)
    if not mark or not text.startswith("{"):
        return None
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def command_line(
    image: Image, disk: str, share: Path, folder: Path, words: tuple[str, ...] = (), volatile: bool = False
) -> list[str]:
    """The command that is the guest.

    Args:
        image: what is booted.
        disk: path of its disk, or of the socket of a network disk with ``volatile``.
        share: folder that the guest mounts.
        folder: for what the emulator needs.
        words: further words of the kernel's command line.
        volatile: whether ``disk`` is a socket.

    Raises:
        GuestError: user-mode Linux has no network disk.
    """
    if image.arch == "uml":
        if volatile:
            raise GuestError("user-mode Linux has no disk with a volatile cache; take ARCH=amd64 or arm64")
        return [
            str(image.kernel), f"umid=rig{os.getpid()}", f"uml_dir={folder}/", "con=null", "con0=null,fd:1", "ssl=null",
            "console=tty0", *KERNEL_WORDS, f"qiki.share={share}", *words, f"mem={MEMORY_MB}M", f"ubd0={disk}",
            "root=/dev/ubda", "rw",
        ]
    source = f"nbd+unix:///?socket={disk}" if volatile else disk
    cache = "none" if volatile else "writeback"
    kernel_words = (*QEMU_WORDS[image.arch], *KERNEL_WORDS, f"qiki.share={SHARE}", *words)
    return [
        *QEMU[image.arch], *PACE, "-smp", "2", "-m", str(MEMORY_MB), "-nodefaults",
        "-display", "none", "-kernel", str(image.kernel), "-initrd", str(image.initrd),
        "-drive", f"file={source},format=raw,if=none,id=disk,cache={cache}", "-device", "virtio-blk-pci,drive=disk",
        "-device", "virtio-rng-pci", "-device", "i6300esb", "-serial", "stdio",
        "-virtfs", f"local,path={share},mount_tag={SHARE},security_model=none,multidevs=remap",
        "-no-reboot", "-append", " ".join(kernel_words),
    ]


def preference(arch: str) -> list[str]:
    """What user-mode Linux is started with: one processor of its own, before other work where that is granted.

    Its kernel and its programs hand each other every system call and never run at the same time: on two processors each
    such step wakes the other one, which took two to three times as long as on one.
    """
    if arch != "uml":
        return []
    words = ["taskset", "--cpu-list", str(max(os.sched_getaffinity(0)))]
    granted = subprocess.run([*REAL_TIME, "true"], capture_output=True, check=False).returncode == 0
    return [*words, *(REAL_TIME if granted else ())]


class Guest:
    """A running guest; a context manager that ends it.

    Args:
        image: what is booted.
        disk: its disk, which it changes.
        share: folder that it mounts.
        folder: for sockets and the console's log.
        clock: steady, in seconds.
        words: see :func:`command_line`.
        volatile: the disk forgets what was not flushed when the power is cut; not for user-mode Linux.
        seed: of what of it survives.
    """

    def __init__(
        self, image: Image, disk: Path, share: Path, folder: Path, clock: Callable[[], float], *,
        words: tuple[str, ...] = (), volatile: bool = False, seed: int = 1,
    ) -> None:
        self._image, self._disk, self._share, self._folder = image, disk, share, folder
        self._clock = clock
        self._words, self._volatile, self._seed = words, volatile, seed
        self._process: subprocess.Popen[bytes] | None = None
        self._cache: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._tail: list[str] = []
        self.console = folder / "console.log"

    def __enter__(self) -> Self:
        disk = str(self._disk)
        if self._volatile:
            disk = self._start_cache()
        words = command_line(self._image, disk, self._share, self._folder, self._words, self._volatile)
        words = [*preference(self._image.arch), *words]
        environment = os.environ | ({"TMPDIR": "/dev/shm"} if self._image.arch == "uml" else {})
        self._began = self._clock()
        self._process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut_power()

    @property
    def lived_s(self) -> float:
        """Seconds since it was switched on."""
        return self._clock() - self._began

    @property
    def running(self) -> bool:
        """Whether it is switched on and has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    @property
    def tail(self) -> str:
        """The last lines of the console."""
        return "\n".join(self._tail)

    def follow(self, limit_s: float) -> Iterator[Said]:
        """What the guest says until it ends.

        Args:
            limit_s: seconds from now after which it is ended.

        Raises:
            GuestError: it took longer; the text has the end of its console.
        """
        process = self._process
        if process is None or process.stdout is None:
            raise GuestError("the guest was not started")
        late = threading.Event()

        def end() -> None:
            late.set()
            self._kill()

        timer = threading.Timer(limit_s, end)
        timer.start()
        try:
            with self.console.open("ab") as log:
                for raw in process.stdout:
                    log.write(raw)
                    log.flush()
                    line = raw.decode(errors="replace").rstrip()
                    self._tail = [*self._tail[-SHOWN_LINES:], line]
                    record = read_line(line)
                    if record is not None:
                        yield Said(self._clock() - self._began, record)
        finally:
            timer.cancel()
        if late.is_set():
            raise GuestError(f"the guest did not end within {limit_s:.0f} s; last seen:\n{self.tail}")

    def cut_power(self) -> None:
        """End it at once, and forget what its disk had not flushed."""
        cache, self._cache = self._cache, None
        if cache is not None and cache.poll() is None:
            cache.send_signal(signal.SIGUSR1)
            cache.wait()
        self._kill()

    def _kill(self) -> None:
        process = self._process
        if process is None:
            return
        with suppress(ProcessLookupError):
            # User-mode Linux leaves helpers behind when only its first process is ended.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _start_cache(self) -> str:
        path = self._folder / "disk.sock"
        path.unlink(missing_ok=True)
        cache = subprocess.Popen(
            [sys.executable, "-m", "hil.kernel.volatile_disk", str(self._disk), str(path), str(self._seed)],
            stdout=subprocess.PIPE,
        )
        self._cache = cache
        if cache.stdout is None or not cache.stdout.readline():
            raise GuestError("the disk's cache did not start")
        return str(path)
