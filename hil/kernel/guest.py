"""Boots Debian's stock kernel under QEMU and runs one Python module of this project in it; every run ends by itself.

The guest has no disk image: its root is this machine's own file system, shared read-only over 9P, so the guest runs
the same interpreter, libraries and checkout as the host. Kernel, headers and sources are Debian packages, fetched with
``apt-get download`` and unpacked into a cache folder; nothing is installed. Modules that Debian doesn't build are
compiled out of tree from Debian's own ``linux-source`` and from ``modules/``.

Needs: Debian 12 on amd64, qemu-system-x86, gcc, make, kmod, about 700 MB of cache. Emulation only (``-accel tcg``):
nothing here says anything about time on a board.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hil.kernel.inside import RESULT

__all__ = ["DEFAULT_CACHE", "GuestError", "GuestKernel", "prepare", "run"]

DEFAULT_CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "qiki-kernel"
QEMU = "qemu-system-x86_64"
TOOLS = (QEMU, "apt-get", "apt-cache", "dpkg-deb", "gcc", "make", "strip", "depmod", "modprobe")
MEMORY_MB = 768
CONSOLE_SHOWN = 3000
KERNEL_LINE = "console=ttyS0 loglevel=5 tsc=unstable no_timer_check mitigations=off random.trust_cpu=1 panic=-1"
ROOT = Path(__file__).resolve().parents[2]
MODULES = Path(__file__).resolve().parent / "modules"
BOOT_MODULES = ("virtio_pci", "9pnet_virtio", "9p")
OWN_MODULES = ("busim", "i2c_glue", "i2c_node")
FROM_SOURCE = {
    "gpio-sim-core.c": "drivers/gpio/gpio-sim.c",
    "gpiolib.h": "drivers/gpio/gpiolib.h",
    "irq_sim.c": "kernel/irq/irq_sim.c",
    "inv_icm42600.h": "drivers/iio/imu/inv_icm42600/inv_icm42600.h",
    "inv_icm42600_buffer.h": "drivers/iio/imu/inv_icm42600/inv_icm42600_buffer.h",
    "rm3100.h": "drivers/iio/magnetometer/rm3100.h",
    "ina2xx.c": "drivers/hwmon/ina2xx.c",
    "ltc4162-l-charger.c": "drivers/power/supply/ltc4162-l-charger.c",
    "max34440.c": "drivers/hwmon/pmbus/max34440.c",
    "pmbus.h": "drivers/hwmon/pmbus/pmbus.h",
    "pmbus_core.c": "drivers/hwmon/pmbus/pmbus_core.c",
    "rtc-ds1307.c": "drivers/rtc/rtc-ds1307.c",
}
"""In-tree sources of what Debian leaves out for amd64, unchanged but for irq_sim.c (see ``_build_modules``)."""
MAKEFILE = """\
CFLAGS_rtc-ds1307.o := -DCONFIG_RTC_DRV_DS1307_HWMON=1 -DCONFIG_RTC_DRV_DS1307_CENTURY=1
obj-m := busim.o i2c_glue.o i2c_node.o ina2xx.o ltc4162-l-charger.o pmbus_core.o max34440.o rtc-ds1307.o gpio-sim.o
gpio-sim-y := gpio-sim-core.o irq_sim.o
"""

INIT = """\
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sysfs /sys; $b mount -t devtmpfs dev /dev
for m in {modules}; do $b insmod /modules/$m || echo "insmod $m failed"; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro host /root || $b poweroff -f
for d in proc sys dev; do $b mount --bind /$d /root/$d; done
$b mkdir -p /dev/pts /dev/shm; $b mount -t devpts devpts /dev/pts; $b mount -t tmpfs shm /dev/shm
for d in pts shm; do $b mount --bind /dev/$d /root/dev/$d; done
for d in tmp run; do $b mount -t tmpfs tmpfs /root/$d; done
$b ip link set lo up
$b stty -F /dev/ttyS1 raw
$b chroot /root /usr/bin/env -i {command} > /dev/ttyS1 2> /dev/console < /dev/null
echo "{result}exit $?" > /dev/ttyS1
$b poweroff -f
"""


class GuestError(RuntimeError):
    """The guest could not be made or did not end well; the text says what was seen."""


@dataclass(frozen=True, slots=True)
class GuestKernel:
    """A kernel ready to boot.

    Attributes:
        release: ``uname -r``.
        image: compressed kernel.
        busybox: static busybox for the first process.
        tree: folder whose ``lib/modules`` belongs to the kernel (``modprobe -d``).
    """

    release: str
    image: Path
    busybox: Path
    tree: Path


def prepare(cache: Path = DEFAULT_CACHE) -> GuestKernel:
    """Fetch, unpack and compile what a guest needs; what is in the cache already is used again.

    Raises:
        GuestError: a tool is missing, a package can't be had, or a module doesn't compile.
    """
    missing = [tool for tool in TOOLS if _tool(tool) is None]
    if missing:
        raise GuestError(f"not on this machine: {', '.join(missing)}")
    cache = cache.expanduser().resolve()
    stamp = cache / "stamp"
    recipe = hashlib.sha256(repr((FROM_SOURCE, MAKEFILE)).encode())
    for name in OWN_MODULES:
        recipe.update((MODULES / f"{name}.c").read_bytes())
    if not stamp.exists() or stamp.read_text().split()[0] != recipe.hexdigest():
        release = _unpack(cache)
        _build_modules(cache, release)
        stamp.write_text(f"{recipe.hexdigest()} {release}\n")
    release = stamp.read_text().split()[1]
    tree = cache / "kernel"
    return GuestKernel(release, tree / f"boot/vmlinuz-{release}", cache / "busybox/bin/busybox", tree)


def run(kernel: GuestKernel, module: str, arguments: Sequence[str] = (), timeout_s: float = 600.0) -> list[str]:
    """Boot, run ``python -m module`` as root of the guest, power off; the lines that it printed with ``RESULT``.

    The machine has two SJA1000 controllers on one CAN bus and, beside console and results, two UARTs tied together.

    Raises:
        GuestError: the guest didn't end in time, or the module ended with another status than 0.
    """
    words = [
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"PYTHONPATH={ROOT}", "PYTHONDONTWRITEBYTECODE=1",
        f"QIKI_GUEST_TREE={kernel.tree}", "HOME=/tmp", sys.executable, "-m", module, *arguments,
    ]
    with tempfile.TemporaryDirectory(prefix="qiki-guest-") as folder:
        initrd, console, port = Path(folder, "initrd"), Path(folder, "console"), Path(folder, "port")
        cable = Path(folder, "cable")
        initrd.write_bytes(_initrd(kernel, shlex.join(words)))
        command = [
            QEMU, "-accel", "tcg,thread=multi,tb-size=256", "-M", "q35", "-cpu", "max", "-smp", "2",
            "-m", str(MEMORY_MB), "-nodefaults", "-display", "none", "-no-reboot",
            "-kernel", str(kernel.image), "-initrd", str(initrd),
            "-append", KERNEL_LINE,
            "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
            "-serial", f"file:{console}", "-serial", f"file:{port}",
            "-chardev", f"socket,id=s2,path={cable},server=on,wait=off", "-chardev", f"socket,id=s3,path={cable}",
            "-serial", "chardev:s2", "-serial", "chardev:s3",
            "-object", "can-bus,id=can", "-device", "kvaser_pci,canbus=can", "-device", "kvaser_pci,canbus=can",
        ]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True,
        )
        late = threading.Timer(timeout_s, os.killpg, (process.pid, signal.SIGKILL))
        late.start()
        try:
            _, errors = process.communicate()
        finally:
            late.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        said = console.read_text(errors="replace") if console.exists() else ""
        lines = port.read_text(errors="replace").splitlines() if port.exists() else []
    results = [line.removeprefix(RESULT).strip() for line in lines if line.startswith(RESULT)]
    if not results or results[-1] != "exit 0":
        seen = "\n".join((*results[-5:], said[-CONSOLE_SHOWN:], errors.decode(errors="replace")))
        raise GuestError(f"the guest did not end with success; last seen:\n{seen}")
    return results[:-1]


def _tool(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _call(*command: str, cwd: Path | None = None) -> str:
    tool = _tool(command[0])
    done = subprocess.run([tool or command[0], *command[1:]], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GuestError(f"{shlex.join(command)}: {(done.stderr + done.stdout)[-CONSOLE_SHOWN:]}")
    return done.stdout


def _unpack(cache: Path) -> str:
    """Kernel, headers, kbuild and busybox from their packages; the release."""
    found = re.search(r"Depends: linux-image-(\S+-amd64)$", _call("apt-cache", "depends", "linux-image-amd64"), re.M)
    if found is None:
        raise GuestError("apt knows no linux-image-amd64; apt-get update?")
    release = found[1]
    common, series = release.removesuffix("-amd64"), ".".join(release.split(".")[:2])
    packages = {
        f"linux-image-{release}": "kernel", f"linux-headers-{release}": "headers",
        f"linux-headers-{common}-common": "headers", f"linux-kbuild-{series}": "headers",
        "busybox-static": "busybox", f"linux-source-{series}": "",
    }
    debs = cache / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    for folder in ("kernel", "headers", "busybox", "source", "build"):
        shutil.rmtree(cache / folder, ignore_errors=True)
    for package, folder in packages.items():
        files = sorted(debs.glob(f"{package}_*.deb"))
        if not files:
            _call("apt-get", "-qq", "download", package, cwd=debs)
            files = sorted(debs.glob(f"{package}_*.deb"))
        if folder:
            _call("dpkg-deb", "-x", str(files[-1]), str(cache / folder))
        else:
            _unpack_source(files[-1], cache / "source", series)
    return release


def _unpack_source(package: Path, folder: Path, series: str) -> None:
    """The few files of Debian's kernel source that are compiled here."""
    inner = f"linux-source-{series}"
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as outer:
        with tarfile.open(fileobj=outer.stdout, mode="r|") as archive:
            for member in archive:
                if member.name.endswith(f"{inner}.tar.xz"):
                    packed = archive.extractfile(member)
                    break
            else:
                raise GuestError(f"{package.name} holds no {inner}.tar.xz")
            wanted = {f"{inner}/{path}": Path(path).name for path in FROM_SOURCE.values()}
            folder.mkdir(parents=True, exist_ok=True)
            with tarfile.open(fileobj=packed, mode="r|xz") as sources:
                for member in sources:
                    content = sources.extractfile(member) if member.name in wanted else None
                    if content is not None:
                        (folder / wanted.pop(member.name)).write_bytes(content.read())
                        if not wanted:
                            break
        outer.kill()
    if wanted:
        raise GuestError(f"{package.name} lacks {', '.join(wanted)}")


def _build_modules(cache: Path, release: str) -> None:
    """Compile out-of-tree modules against Debian's headers and put them where modprobe finds them."""
    sources = cache / "headers/usr/src"
    header = sources / f"linux-headers-{release}"
    common = sources / f"linux-headers-{release.removesuffix('-amd64')}-common"
    kbuild = next((cache / "headers/usr/lib").glob("linux-kbuild-*"))
    makefile = header / "Makefile"
    # The packages name each other by absolute paths; these copies live elsewhere.
    makefile.write_text(makefile.read_text().replace("include /usr/src/", f"include {sources}/"))
    for folder in (header, common):
        for link in ("scripts", "tools"):
            (folder / link).unlink(missing_ok=True)
            (folder / link).symlink_to(kbuild / link)
    build = cache / "build"
    build.mkdir(parents=True, exist_ok=True)
    for name, path in FROM_SOURCE.items():
        text = (cache / "source" / Path(path).name).read_text()
        if name == "irq_sim.c":
            # It is linked into gpio-sim; Debian's image lacks it and doesn't export irq_to_desc.
            text = text.replace("handle_simple_irq(irq_to_desc(irqnum))", "generic_handle_irq(irqnum)")
            text = re.sub(r"^EXPORT_SYMBOL_GPL.*$", "", text, flags=re.M)
        (build / name).write_text(text)
    for name in OWN_MODULES:
        shutil.copy(MODULES / f"{name}.c", build)
    (build / "Makefile").write_text(MAKEFILE)
    _call("make", "-s", "-j2", "-C", str(header), f"M={build}", "modules")
    updates = cache / "kernel/lib/modules" / release / "updates"
    updates.mkdir(exist_ok=True)
    for module in build.glob("*.ko"):
        _call("strip", "--strip-debug", "-o", str(updates / module.name), str(module))
    _call("depmod", "-b", str(cache / "kernel"), release)


def _initrd(kernel: GuestKernel, command: str) -> bytes:
    """First file system: busybox, the modules that reach the shared root, in order, and what to do."""
    folder = kernel.tree / "lib/modules" / kernel.release
    needs: dict[str, list[str]] = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    order: list[str] = []
    for name in BOOT_MODULES:
        for path in needs:  # none matches what is built in
            if Path(path).stem.replace("-", "_") == name:
                order += [p for p in (*reversed(needs[path]), path) if p not in order]
    init = INIT.format(modules=" ".join(Path(p).name for p in order), command=command, result=RESULT)
    files = {"init": init.encode(), "bin/busybox": kernel.busybox.read_bytes()}
    files |= {f"modules/{Path(p).name}": (folder / p).read_bytes() for p in order}
    return cpio(("bin", "modules", "proc", "sys", "dev", "root"), files)


def cpio(folders: Sequence[str], files: dict[str, bytes]) -> bytes:
    """An archive as the kernel takes it (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    out = io.BytesIO()
    entries = [(name, 0o040755, b"") for name in folders] + [(name, 0o100755, data) for name, data in files.items()]
    for number, (name, mode, data) in enumerate((*entries, ("TRAILER!!!", 0, b"")), 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0")
        out.write(bytes(-out.tell() % 4) + data)
        out.write(bytes(-out.tell() % 4))
    return out.getvalue()
