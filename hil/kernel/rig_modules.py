"""Kernel modules that Debian doesn't build, compiled out of tree: for its user-mode kernel also the SPI and GPIO cores.

Sources are Debian's own ``linux-source`` of exactly the kernel's version, and ``modules/busim.c``. Debian's user-mode
Linux has neither CONFIG_SPI nor CONFIG_GPIOLIB, but both cores use only what a kernel exports, and that kernel
has no module versions; so the nodes that come out are those of the real cores. ``irq_sim.c`` is linked into gpio-sim
because Debian's kernels lack it, and asks for the interrupt by number because ``irq_to_desc`` is not exported.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from hil.kernel.guest import GuestError
from hil.kernel.packages import call

__all__ = ["SOURCES", "build_for_headers", "build_for_uml", "closure", "module_name", "unpack_source", "version_of"]

MODULES = Path(__file__).resolve().parent / "modules"
SOURCES = {
    "spi-core.c": "drivers/spi/spi.c", "internals.h": "drivers/spi/internals.h", "spidev.c": "drivers/spi/spidev.c",
    "gpiolib-core.c": "drivers/gpio/gpiolib.c", "gpiolib.h": "drivers/gpio/gpiolib.h",
    "gpiolib-devres.c": "drivers/gpio/gpiolib-devres.c", "gpiolib-legacy.c": "drivers/gpio/gpiolib-legacy.c",
    "gpiolib-cdev.c": "drivers/gpio/gpiolib-cdev.c", "gpiolib-cdev.h": "drivers/gpio/gpiolib-cdev.h",
    "gpiolib-of.h": "drivers/gpio/gpiolib-of.h", "gpiolib-acpi.h": "drivers/gpio/gpiolib-acpi.h",
    "gpiolib-sysfs.h": "drivers/gpio/gpiolib-sysfs.h", "gpio-sim-core.c": "drivers/gpio/gpio-sim.c",
    "irq_sim.c": "kernel/irq/irq_sim.c",
}
TREE = (
    "*Kconfig*", "*Makefile*", "Kbuild", "*/Kbuild*", "include/*", "scripts/*", "arch/um/*", "arch/x86/*", "kernel/*",
    "tools/include/*", "security/selinux/*", "drivers/spi/*", "drivers/gpio/*",
)
"""What of the source is needed to prepare a tree for modules and to compile ours."""
GPIO_SIM = "obj-m := busim.o gpio-sim.o\ngpio-sim-y := gpio-sim-core.o irq_sim.o\n"
WITH_CORES = (
    "ccflags-y := -DCONFIG_SPI=1 -DCONFIG_SPI_MASTER=1 -DCONFIG_GPIOLIB=1 -DCONFIG_GPIO_CDEV=1 -DCONFIG_IRQ_SIM=1 "
    "-DCONFIG_GPIOLIB_FASTPATH_LIMIT=512\n"
    "obj-m := spi.o spidev.o gpiolib.o gpio-sim.o busim.o\nspi-y := spi-core.o\n"
    "gpiolib-y := gpiolib-core.o gpiolib-devres.o gpiolib-legacy.o gpiolib-cdev.o\n"
    "gpio-sim-y := gpio-sim-core.o irq_sim.o\n"
)
LICENCE = '\nMODULE_LICENSE("GPL");\n'


def version_of(release: str, versions: Iterable[str]) -> str:
    """Package version of the source of a kernel release such as 6.1.176. Raises GuestError if none fits."""
    known = list(versions)
    for version in known:
        if version.split("-")[0] == release:
            return version
    raise GuestError(f"no linux-source is of version {release}; apt knows {', '.join(known) or 'none'}")


def unpack_source(package: Path, folder: Path) -> Path:
    """The needed part of Debian's kernel source; its folder. Raises GuestError."""
    folder.mkdir(parents=True, exist_ok=True)
    inner = re.sub(r"_.*", "", package.name)
    streams = [
        ["dpkg-deb", "--fsys-tarfile", str(package)],
        ["tar", "-xO", f"./usr/src/{inner}.tar.xz"],
        ["xz", "-dc", "-T2"],
        ["tar", "-x", "-C", str(folder), "--wildcards", *(f"{inner}/{pattern}" for pattern in TREE)],
    ]
    processes: list[subprocess.Popen[bytes]] = []
    for words in streams:
        before = processes[-1].stdout if processes else None
        last = words is streams[-1]
        processes.append(subprocess.Popen(words, stdin=before, stdout=None if last else subprocess.PIPE))
        if before is not None:
            before.close()
    if processes[-1].wait():
        raise GuestError(f"{package.name} can't be unpacked")
    for process in processes[:-1]:
        process.wait()
    return folder / inner


def build_for_uml(source: Path, config: bytes, work: Path) -> list[Path]:
    """Compile all of ours for a user-mode kernel with this configuration; the modules. Raises GuestError."""
    tree, build = work / "tree", work / "modules"
    _fresh(tree)
    _fresh(build)
    (tree / ".config").write_bytes(config)
    call(["make", "-s", "-C", str(source), f"O={tree}", "ARCH=um", "olddefconfig"])
    call(["make", "-s", "-j2", "-C", str(tree), "ARCH=um", "modules_prepare"])
    _sources(source, build, WITH_CORES)
    # Without the kernel's own Module.symvers modpost can't know what it exports; insmod checks it.
    call(["make", "-s", "-j2", "-C", str(tree), "ARCH=um", f"M={build}", "KBUILD_MODPOST_WARN=1", "modules"])
    return sorted(build.glob("*.ko"))


def build_for_headers(source: Path, header: Path, work: Path, make_words: Iterable[str]) -> list[Path]:
    """Compile busim and gpio-sim against Debian's headers; the modules. Raises GuestError."""
    build = work / "modules"
    _fresh(build)
    _sources(source, build, GPIO_SIM)
    call(["make", "-s", "-j2", "-C", str(header), *make_words, f"M={build}", "modules"])
    return sorted(build.glob("*.ko"))


def module_name(path: str) -> str:
    """Name of a module by its file, as modprobe has it."""
    return re.sub(r"\.ko(\.(xz|zst|gz))?$", "", path.rsplit("/", 1)[-1]).replace("-", "_")


def closure(dependencies: str, wanted: Iterable[str]) -> list[str]:
    """Files of modules with all that they need, each after what it needs; what is built in is left out.

    Args:
        dependencies: text of ``modules.dep``.
        wanted: names of modules.
    """
    needs = {}
    for line in dependencies.splitlines():
        path, _, others = line.partition(":")
        needs[module_name(path)] = (path, others.split())
    order: list[str] = []
    for name in wanted:
        found = needs.get(module_name(name))
        if found is not None:
            order += [path for path in (*reversed(found[1]), found[0]) if path not in order]
    return order


def _fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _sources(source: Path, build: Path, makefile: str) -> None:
    for name, path in SOURCES.items():
        text = (source / path).read_text()
        if name == "irq_sim.c":
            text = text.replace("handle_simple_irq(irq_to_desc(irqnum))", "generic_handle_irq(irqnum)")
            text = re.sub(r"^EXPORT_SYMBOL_GPL.*$", "", text, flags=re.M)
        elif name == "gpiolib-core.c":
            # A module has one entry; what this one would show in debugfs nobody looks at.
            text = text.replace("subsys_initcall(gpiolib_debugfs_init);", "") + LICENCE
        elif name == "spi-core.c":
            text += LICENCE
        (build / name).write_text(text)
    shutil.copy(MODULES / "busim.c", build)
    (build / "Makefile").write_text(makefile)

