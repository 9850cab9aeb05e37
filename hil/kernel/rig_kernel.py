"""The kernel of a guest: Debian's own, with the modules that it lacks, and a first file system where it needs one."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hil.kernel.guest import GuestError, cpio
from hil.kernel.packages import Packages, call
from hil.kernel.rig_modules import build_for_headers, build_for_uml, closure, unpack_source, version_of

__all__ = ["WANTED", "Kernel", "KernelPlan", "first_init", "make_kernel", "plan_kernel"]

WANTED = (
    "vcan", "can-raw", "can-bcm", "can-dev", "slcan", "i2c-dev", "spidev", "softdog", "i6300esb", "configfs", "autofs4",
    "loop", "overlay", "9p", "9pnet_virtio", "virtio_pci", "virtio_blk", "virtio_rng", "kvaser_pci", "dummy",
)
"""Modules of the kernel that a guest may load; those that it hasn't are left out."""
FIRST = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
ROOT_DEVICE = "/dev/vda"
INIT = """\
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sysfs /sys; $b mount -t devtmpfs dev /dev
for m in {modules}; do $b insmod /modules/$m || echo "insmod $m failed"; done
i=0; while [ ! -b {device} ] && [ $i -lt 200 ]; do $b usleep 50000; i=$((i+1)); done
$b mount -t ext4 -o rw,noatime {device} /root || $b poweroff -f
$b mount --move /dev /root/dev; $b umount /proc /sys
exec $b switch_root /root /lib/systemd/systemd
"""


@dataclass(frozen=True, slots=True)
class KernelPlan:
    """What a kernel will be made of; ``identity`` are package names and versions."""

    identity: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel: its file, the folder of its modules (``lib/modules/RELEASE``), and the first file system, if any."""

    release: str
    image: Path
    modules: Path
    initrd: bytes | None


def plan_kernel(arch: str, packages: Packages, host: Packages) -> KernelPlan:
    """Which packages the kernel of a guest is made from. Raises GuestError."""
    if arch == "uml":
        return KernelPlan((f"user-mode-linux={_newest(host, 'user-mode-linux')}",))
    image = _image_package(arch, packages)
    return KernelPlan((f"{image}={_newest(packages, image)}", f"busybox-static={_newest(packages, 'busybox-static')}"))


def make_kernel(arch: str, packages: Packages, host: Packages, work: Path) -> Kernel:
    """Fetch, unpack and compile a guest's kernel.

    Args:
        arch: ``uml``, ``amd64`` or ``arm64``.
        packages: of the guest's architecture.
        host: of this machine's, for the tools that compile.
        work: folder that is not kept.

    Raises:
        GuestError: a package can't be had or a module doesn't compile.
    """
    work.mkdir(parents=True)
    return _user_mode(host, work) if arch == "uml" else _emulated(arch, packages, host, work)


def first_init(modules: Sequence[str]) -> str:
    """The first program of a guest with a disk: loads modules in this order, then changes to the disk."""
    return INIT.format(modules=" ".join(modules), device=ROOT_DEVICE)


def _newest(packages: Packages, name: str) -> str:
    versions = packages.versions(name)
    if not versions:
        raise GuestError(f"apt knows no {name}")
    return versions[0]


def _image_package(arch: str, packages: Packages) -> str:
    found = [name for name in packages.depends(f"linux-image-{arch}") if name.startswith("linux-image-")]
    if not found:
        raise GuestError(f"apt knows no linux-image-{arch}")
    return found[0]


def _user_mode(host: Packages, work: Path) -> Kernel:
    debs = work / "unpacked"
    call(["dpkg-deb", "-x", str(host.fetch_alone(f"user-mode-linux={_newest(host, 'user-mode-linux')}")), str(debs)])
    tree = next((debs / "usr/lib/uml/modules").iterdir())
    release = tree.name
    version = version_of(release, host.versions("linux-source-6.1"))
    source = unpack_source(host.fetch_alone(f"linux-source-6.1={version}"), work / "source")
    config = gzip.decompress((debs / "usr/share/doc/user-mode-linux/config.gz").read_bytes())
    own = build_for_uml(source, config, work)
    modules = _gather(tree, own, work / "gathered" / release, "strip")
    return Kernel(release, debs / "usr/bin/linux.uml", modules, None)


def _emulated(arch: str, packages: Packages, host: Packages, work: Path) -> Kernel:
    image = _image_package(arch, packages)
    release = image.removeprefix("linux-image-")
    common, series = release.removesuffix(f"-{arch}"), ".".join(release.split(".")[:2])
    for package, of, folder in (
        (image, packages, "kernel"), (f"linux-headers-{release}", packages, "headers"),
        ("busybox-static", packages, "b"),
        (f"linux-headers-{common}-common", host, "headers"), (f"linux-kbuild-{series}", host, "headers"),
    ):
        exact = f"{package}={_newest(of, package)}"
        call(["dpkg-deb", "-x", str(of.fetch_alone(exact)), str(work / folder)])
    version = _newest(host, f"linux-source-{series}")
    source = unpack_source(host.fetch_alone(f"linux-source-{series}={version}"), work / "source")
    header = _relocate(work / "headers", release, common)
    words = ["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"] if arch == "arm64" else []
    own = build_for_headers(source, header, work, words)
    tree = work / "kernel/lib/modules" / release
    call(["/sbin/depmod", "-b", str(work / "kernel"), release])
    modules = _gather(tree, own, work / "gathered" / release, "aarch64-linux-gnu-strip" if words else "strip")
    return Kernel(release, work / f"kernel/boot/vmlinuz-{release}", modules, _first(tree, work / "b/bin/busybox"))


def _relocate(headers: Path, release: str, common: str) -> Path:
    """The packages name each other by absolute paths; these copies lie elsewhere."""
    sources = headers / "usr/src"
    header = sources / f"linux-headers-{release}"
    kbuild = next((headers / "usr/lib").glob("linux-kbuild-*"))
    makefile = header / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src/", f"{sources}/"))
    for folder in (header, sources / f"linux-headers-{common}-common"):
        for link in ("scripts", "tools"):
            (folder / link).unlink(missing_ok=True)
            (folder / link).symlink_to(kbuild / link)
    return header


def _gather(tree: Path, own: Sequence[Path], target: Path, strip: str) -> Path:
    """The wanted modules with what they need, and ours."""
    target.mkdir(parents=True)
    for path in closure((tree / "modules.dep").read_text(), WANTED):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(tree / path, target / path)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        if (tree / name).exists():
            shutil.copy2(tree / name, target)
    updates = target / "updates"
    updates.mkdir()
    for module in own:
        call([strip, "--strip-debug", "-o", str(updates / module.name), str(module)])
    return target


def _first(tree: Path, busybox: Path) -> bytes:
    order = closure((tree / "modules.dep").read_text(), FIRST)
    files = {"init": first_init([Path(path).name for path in order]).encode(), "bin/busybox": busybox.read_bytes()}
    files |= {f"modules/{Path(path).name}": (tree / path).read_bytes() for path in order}
    return cpio(("bin", "modules", "proc", "sys", "dev", "root"), files)
