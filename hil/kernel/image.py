"""Builds a guest with a real kernel and systemd from Debian packages: the same packages and recipe, the same guest.

The root file system is an extracted, never configured Debian tree, made bootable here by the few things that package
scripts would have done: no foreign code runs while building, so a guest of another architecture costs no emulation.
Everything is kept in a cache folder under a key of package versions and recipe, and built again only when that changes.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

from hil.kernel.guest import GuestError
from hil.kernel.packages import Packages, call, missing_tools
from hil.kernel.rig_kernel import Kernel, make_kernel, plan_kernel
from hil.kernel.root_tree import DEVICES_SETTLED, make_bootable

__all__ = ["ARCHES", "PACKAGES", "Image", "build", "key_of", "make_disk", "tools_for", "work_folder"]

ARCHES = ("uml", "amd64", "arm64")
ESSENTIAL = (
    "base-files", "base-passwd", "bash", "bsdutils", "coreutils", "dash", "debianutils", "diffutils", "findutils",
    "grep", "gzip", "hostname", "init-system-helpers", "libc-bin", "login", "mawk", "mount", "ncurses-base",
    "ncurses-bin", "passwd", "perl-base", "sed", "sysvinit-utils", "tar", "util-linux",
)
"""What every package may take for granted, and none names."""
PACKAGES = (
    *ESSENTIAL, "systemd", "systemd-sysv", "udev", "kmod", "dbus", "libpam-systemd", "python3", "python3-venv",
    "iproute2", "procps", "e2fsprogs", "ca-certificates", "libstdc++6", "libgomp1",
)
EMULATED_PACKAGES = ("python3-spidev",)
"""What has no wheel and can't be compiled for another processor here."""
DISK_BYTES = 3 << 30
"""Sparse; room for two versions of the software."""
COMMON_TOOLS = {
    "apt-get": "apt", "dpkg-deb": "dpkg", "mke2fs": "e2fsprogs", "depmod": "kmod", "gcc": "gcc", "make": "make",
    "flex": "flex", "bison": "bison", "bc": "bc", "xz": "xz-utils", "strip": "binutils",
    "taskset": "util-linux",
}
QEMU_TOOLS = {
    "amd64": {"qemu-system-x86_64": "qemu-system-x86"},
    "arm64": {"qemu-system-aarch64": "qemu-system-arm", "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu"},
}
MEMORY, WORK_BYTES = Path("/dev/shm"), 2 << 30
NOT_NEEDED = ("./usr/share/man/*", "./usr/share/doc/*", "./usr/share/locale/*", "./usr/share/info/*")


@dataclass(frozen=True, slots=True)
class Image:
    """A guest ready to boot.

    Attributes:
        arch: one of ``ARCHES``.
        kernel: its file.
        initrd: first file system; ``None`` where the kernel reaches its disk by itself.
        disk: ext4 file system; a copy is booted, never this.
        tree: the same as an archive, for what is put into it without booting it.
        release: of the kernel.
        packages: files of the packages in it.
        built: whether it was built just now; otherwise it came from the cache.
    """

    arch: str
    kernel: Path
    initrd: Path | None
    disk: Path
    tree: Path
    release: str
    packages: tuple[str, ...]
    built: bool


def tools_for(arch: str) -> dict[str, str]:
    """Tools of this machine that building and booting a guest takes, with their Debian packages."""
    return COMMON_TOOLS | QEMU_TOOLS.get(arch, {})


def key_of(packages: Sequence[str], recipe: Sequence[bytes]) -> str:
    """Key of an image: what goes into it and how it is made."""
    digest = hashlib.sha256()
    for part in (*(name.encode() for name in packages), *recipe):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def build(arch: str, cache: Path, now_s: float, tell: Callable[[str], None]) -> Image:
    """A guest from the cache, or a new one.

    Args:
        arch: one of ``ARCHES``.
        cache: folder that is kept.
        now_s: Unix time: package lists that are older than a day are fetched anew.
        tell: gets a line for each stage.

    Raises:
        GuestError: a tool is missing, a package can't be had, or something doesn't compile; the text says what to do.
    """
    if arch not in ARCHES:
        raise GuestError(f"no rig {arch}; there are {', '.join(ARCHES)}")
    if os.geteuid() != 0:
        raise GuestError("a guest's files belong to its root: build it as root")
    missing = missing_tools(tools_for(arch))
    if missing:
        raise GuestError(f"not on this machine: apt-get install --no-install-recommends {' '.join(missing)}")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        return _build(arch, cache, now_s, tell)


def _build(arch: str, cache: Path, now_s: float, tell: Callable[[str], None]) -> Image:
    deb_arch = "amd64" if arch == "uml" else arch
    packages = Packages(deb_arch, cache)
    packages.update(now_s)
    host = packages if deb_arch == "amd64" else Packages("amd64", cache)
    if host is not packages:
        host.update(now_s)
    wanted = PACKAGES if arch == "uml" else (*PACKAGES, *EMULATED_PACKAGES)
    names = packages.resolve(wanted)
    plan = plan_kernel(arch, packages, host)
    folder = Path(__file__).resolve().parent
    recipe = [
        (folder / name).read_bytes()
        for name in ("image.py", "root_tree.py", "rig_kernel.py", "rig_modules.py", "modules/busim.c")
    ]
    key = key_of([*names, *plan.identity], recipe)
    place = cache / "images" / f"{arch}-{key}"
    if not (place / "manifest.json").exists():
        _make(arch, cache, packages, host, wanted, names, place, tell)
        built = True
    else:
        tell(f"from the cache: {place}")
        built = False
    about = json.loads((place / "manifest.json").read_text())
    initrd = place / "initrd"
    return Image(
        arch, place / "kernel", initrd if initrd.exists() else None, place / "disk.ext4", place / "tree.tar",
        about["release"], tuple(about["packages"]), built,
    )


def _make(
    arch: str, cache: Path, packages: Packages, host: Packages, wanted: Sequence[str], names: Sequence[str],
    place: Path, tell: Callable[[str], None],
) -> None:
    for old in (cache / "images").glob(f"{arch}-*"):
        shutil.rmtree(old, ignore_errors=True)
    with work_folder(cache) as work:
        # The kernel compiles on one processor while the tree is unpacked on another.
        with ThreadPoolExecutor(1) as beside:
            waiting = beside.submit(make_kernel, arch, packages, host, work / "kernel")
            packages.fetch(wanted)
            root = work / "root"
            _extract([packages.debs / name for name in names], root)
            make_bootable(root, DEVICES_SETTLED)
            tell(f"root file system of {len(names)} packages")
            kernel = waiting.result()
        tell(f"kernel {kernel.release}")
        _install_kernel(kernel, root)
        fresh = place.with_name(f"new-{place.name}")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        make_disk(root, fresh / "disk.ext4")
        call(["tar", "-C", str(root), "-cf", str(fresh / "tree.tar"), "."])
        shutil.copy(kernel.image, fresh / "kernel")
        (fresh / "kernel").chmod(0o755)
        if kernel.initrd is not None:
            (fresh / "initrd").write_bytes(gzip.compress(kernel.initrd, 1, mtime=0))
        about = {"release": kernel.release, "packages": list(names)}
        (fresh / "manifest.json").write_text(json.dumps(about, indent=1))
        fresh.rename(place)
        tell(f"disk of {disk_blocks(place / 'disk.ext4') >> 20} MB")


def make_disk(root: Path, disk: Path) -> None:
    """An ext4 file system of a tree. Raises GuestError."""
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
    options = "lazy_itable_init=1,lazy_journal_init=1"
    call(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", str(root), "-E", options, str(disk)])


@contextmanager
def work_folder(cache: Path) -> Iterator[Path]:
    """A folder for some ten thousand small files: in memory where there is room, for a disk is minutes slower."""
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > WORK_BYTES
    with tempfile.TemporaryDirectory(prefix="qiki-guest-", dir=MEMORY if in_memory else cache) as folder:
        yield Path(folder)


def disk_blocks(path: Path) -> int:
    """Bytes that a sparse file really takes."""
    return path.stat().st_blocks * 512


def _extract(files: Sequence[Path], root: Path) -> None:
    """All packages into one tree with merged /usr."""
    root.mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for file in files:
        _extract_one(file, root)


def _extract_one(file: Path, root: Path) -> None:
    exclusions = [f"--exclude={pattern}" for pattern in NOT_NEEDED]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(file)], stdout=subprocess.PIPE) as outer:
        done = subprocess.run(
            ["tar", "-x", "-p", "--keep-directory-symlink", "--wildcards", *exclusions, "-C", str(root)],
            stdin=outer.stdout, capture_output=True, text=True, check=False,
        )
    if done.returncode or outer.returncode:
        raise GuestError(f"{file.name}: {done.stderr[-500:]}")


def _install_kernel(kernel: Kernel, root: Path) -> None:
    target = root / "usr/lib/modules" / kernel.release
    shutil.copytree(kernel.modules, target, symlinks=True)
    call(["/sbin/depmod", "-b", str(root), kernel.release])
