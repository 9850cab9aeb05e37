"""Makes and checks a wheelhouse: all that an installation needs, for one architecture and one Python, with digests.

A wheelhouse is one folder: wheels, source archives of what has none, the lock, ``install.sh``, ``MANIFEST.json`` with
size and SHA-256 of each file, and ``SHA256SUMS`` of the manifest and all files for ``sha256sum --check``. A manifest
in the same folder tells damage, not malice: whoever may change a file may change both. Against that its own digest,
which making it prints, is given to the installer (``--manifest-sha256``).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from hal.nonvolatile import FolderFiles, replace_file

__all__ = [
    "BUDGET_BYTES", "GLIBC", "MACHINES", "SOURCE_ONLY", "Wheelhouse", "WheelhouseError", "host_arch", "lock_text",
    "make", "open_wheelhouse",
]

BUDGET_BYTES = 40_000_000
"""Largest wheel that may come along: it has to go over a slow line to a small card."""
MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}
GLIBC = ("2_28", "2_27", "2_26", "2_24", "2_17")
"""manylinux tags that Debian 10 and newer can load, best first (PEP 600)."""
SOURCE_ONLY = ("spidev",)
"""Packages without wheels: they come as source, and where they can be built at once also as a wheel."""
MANIFEST, SUMS = "MANIFEST.json", "SHA256SUMS"
MOST_FILES = 500
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")


class WheelhouseError(Exception):
    """A wheelhouse that will not be used: why, and what to do."""

    def __init__(self, why: str, next_step: str = "copy it anew from where it was made") -> None:
        super().__init__(why)
        self.next_step = next_step


@dataclass(frozen=True, slots=True)
class Wheelhouse:
    """A checked wheelhouse. ``python`` is a version such as 3.11; ``digest`` is the SHA-256 of its manifest."""

    folder: Path
    arch: str
    python: str
    version: str
    digest: str
    sizes: dict[str, int]

    @property
    def wheels(self) -> list[Path]:
        """Its wheels."""
        return [self.folder / name for name in sorted(self.sizes) if name.endswith(".whl")]

    @property
    def total_bytes(self) -> int:
        """Size of everything."""
        return sum(self.sizes.values())

    def source(self, package: str) -> Path | None:
        """Source archive of a package; ``None`` if it has none here."""
        found = [name for name in sorted(self.sizes) if name.startswith(f"{package}-") and name.endswith(".tar.gz")]
        return self.folder / found[0] if found else None

    def has_wheel(self, package: str) -> bool:
        """Whether a package is here as a wheel."""
        return any(path.name.startswith(f"{package}-") for path in self.wheels)


def host_arch() -> str:
    """Architecture of this computer as Debian calls it; its own word if it is neither of the two."""
    machine = platform.machine()
    return next((name for name, word in MACHINES.items() if word == machine), machine)


def lock_text() -> str:
    """Exact versions of everything that a board installs, one a line."""
    return (Path(str(resources.files("firmware_py.install"))) / "board.lock").read_text("ascii")


def open_wheelhouse(folder: Path, pinned: str | None = None) -> Wheelhouse:
    """Read the manifest and hold every file against it.

    Args:
        folder: of the wheelhouse.
        pinned: SHA-256 that the manifest must have.

    Raises:
        WheelhouseError: a file is missing, changed, or not named by the manifest; or there is no manifest.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise WheelhouseError(
            f"{folder / MANIFEST}: {error.strerror}", "give the folder that make wheelhouse wrote, such as "
            "wheelhouse/arm64-py3.11",
        ) from None
    digest = hashlib.sha256(text).hexdigest()
    if pinned is not None and digest != pinned.lower():
        raise WheelhouseError(f"{folder / MANIFEST} has the digest {digest}, {pinned} was asked for")
    found = _read_manifest(folder / MANIFEST, text)
    sizes = {name: int(entry["bytes"]) for name, entry in found["files"].items()}
    strangers = sorted(set(os.listdir(folder)) - set(sizes) - {MANIFEST, SUMS})
    if strangers:
        raise WheelhouseError(f"{folder / strangers[0]} is not named by its manifest")
    for name, entry in sorted(found["files"].items()):
        _check_file(folder / name, int(entry["bytes"]), str(entry["sha256"]))
    return Wheelhouse(folder, found["arch"], found["python"], found["version"], digest, sizes)


def _read_manifest(path: Path, text: bytes) -> dict[str, Any]:
    bad = WheelhouseError(f"{path} is no manifest of a wheelhouse")
    try:
        found = json.loads(text)
        files = found["files"]
        if found["format"] != 1 or not isinstance(files, dict) or not 1 <= len(files) <= MOST_FILES:
            raise bad
        if not all(isinstance(found[key], str) for key in ("arch", "python", "version")):
            raise bad
        for name, entry in files.items():
            if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(entry["sha256"]) or type(entry["bytes"]) is not int:
                raise bad
    except (ValueError, KeyError, TypeError, RecursionError):
        raise bad from None
    return dict(found)


def _check_file(path: Path, size: int, digest: str) -> None:
    if path.is_symlink() or not path.is_file():
        raise WheelhouseError(f"{path} is missing")
    if path.stat().st_size != size:
        raise WheelhouseError(f"{path} has {path.stat().st_size} bytes, its manifest says {size}")
    if _digest(path) != digest:
        raise WheelhouseError(f"{path} is not what its manifest says (SHA-256 differs)")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


Call = Callable[[list[str]], None]


def _call(words: list[str]) -> None:
    """Run pip. Raises WheelhouseError with the end of what it said."""
    # The same sources make the same wheel, to the byte: no times of today in it.
    environment = {"SOURCE_DATE_EPOCH": "315532800", **os.environ}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise WheelhouseError(
            "pip could not get what is needed: " + " | ".join(line for line in said[-4:]),
            "look at pip's settings (pip config list) and the network",
        )


def make(
    project: str, folder: Path, arch: str, python: str, call: Call = _call, native: tuple[str, str] | None = None,
) -> Wheelhouse:
    """Make a wheelhouse through pip, with pip's own settings, in a folder beside and then at once in place.

    Args:
        project: what pip takes for this project: its folder, a wheel, or a requirement.
        folder: of the wheelhouse; one that is there is replaced.
        arch: ``arm64`` or ``amd64``.
        python: version such as ``3.11``.
        call: runs a command or raises WheelhouseError.
        native: architecture and Python that this process could build for; its own if not given.

    Raises:
        WheelhouseError: pip cannot get something, or a wheel is above the budget.
    """
    if arch not in MACHINES or not re.fullmatch(r"3\.\d{1,2}", python):
        raise WheelhouseError(f"no wheelhouse for {arch} and Python {python}", "arm64 or amd64, and such as 3.11")
    native = native or (host_arch(), f"{sys.version_info[0]}.{sys.version_info[1]}")
    work = folder.with_name(folder.name + ".new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        _own_wheel(project, work, lambda source: call([*pip, "wheel", "--no-deps", "--wheel-dir", str(work), source]))
        wanted = [line for line in lock_text().splitlines() if line and not line.startswith("#")]
        wheels = [line for line in wanted if line.split("==")[0] not in SOURCE_ONLY]
        call([*pip, "download", *_target(arch, python), "--no-deps", "--dest", str(work), *wheels])
        for line in sorted(set(wanted) - set(wheels)):
            call([*pip, "download", "--no-deps", "--no-binary", ":all:", "--dest", str(work), line])
            if native == (arch, python):
                call([*pip, "wheel", "--no-deps", "--wheel-dir", str(work), line])
        (work / "board.lock").write_text(lock_text(), "ascii")
        source = Path(str(resources.files("firmware_py.install"))) / "install.sh"
        shutil.copyfile(source, work / "install.sh")
        (work / "install.sh").chmod(0o755)
        _write_manifest(work, arch, python)
        _check_budget(work)
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return open_wheelhouse(folder)


def _own_wheel(project: str, work: Path, build: Callable[[str], None]) -> None:
    """This project's own wheel. A checkout is copied first: what an earlier build left in it must not get in."""
    checkout = Path(project)
    if not (checkout / "pyproject.toml").is_file():
        build(project)
        return
    copy = work.with_name(work.name + ".source")
    shutil.rmtree(copy, ignore_errors=True)
    try:
        left_out = shutil.ignore_patterns(
            ".*", "build", "dist", "flights", "wheelhouse", "tests", "bench", "*.egg-info", "__pycache__",
        )
        shutil.copytree(checkout, copy, symlinks=True, ignore=left_out)
        build(str(copy))
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _target(arch: str, python: str) -> list[str]:
    tags = [f"manylinux_{glibc}_{MACHINES[arch]}" for glibc in GLIBC] + [f"manylinux2014_{MACHINES[arch]}"]
    words = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python]
    return words + [word for tag in tags for word in ("--platform", tag)]


def _write_manifest(folder: Path, arch: str, python: str) -> None:
    names = sorted(os.listdir(folder))
    ours = [name for name in names if name.startswith("qiki_flight-") and name.endswith(".whl")]
    if len(ours) != 1:
        raise WheelhouseError(f"{len(ours)} wheels of this project were made, one was expected")
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": _digest(folder / name)} for name in names
    }
    manifest = {"format": 1, "arch": arch, "python": python, "version": ours[0].split("-")[1], "files": files}
    keeper = FolderFiles(folder)
    replace_file(keeper, MANIFEST, (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
    lines = [f"{_digest(folder / name)}  {name}\n" for name in sorted([*names, MANIFEST])]
    replace_file(keeper, SUMS, "".join(lines).encode())


def _check_budget(folder: Path) -> None:
    for path in sorted(folder.glob("*.whl")):
        if path.stat().st_size > BUDGET_BYTES:
            raise WheelhouseError(
                f"{path.name} has {path.stat().st_size / 1e6:.1f} MB, {BUDGET_BYTES / 1e6:.0f} MB are allowed",
                "lock a smaller version, or do without it",
            )


def main() -> int:
    """Command line of ``make wheelhouse``."""
    parser = argparse.ArgumentParser(prog="python -m firmware_py.install.wheelhouse")
    parser.add_argument("--arch", nargs="+", default=sorted(MACHINES, reverse=True), choices=sorted(MACHINES))
    parser.add_argument("--python", nargs="+", default=["3.11"])
    parser.add_argument("--output", type=Path, default=Path("wheelhouse"))
    parser.add_argument("--project", default=".")
    given = parser.parse_args()
    for python in given.python:
        for arch in given.arch:
            try:
                made = make(given.project, given.output / f"{arch}-py{python}", arch, python)
            except (WheelhouseError, OSError) as error:
                sys.stderr.write(f"wheelhouse: {error}\n            {getattr(error, 'next_step', '')}\n")
                return 1
            largest = max(made.wheels, key=lambda path: made.sizes[path.name])
            sys.stdout.write(
                f"{made.folder}: {len(made.sizes)} files, {made.total_bytes / 1e6:.1f} MB; largest wheel "
                f"{largest.name.split('-')[0]} {made.sizes[largest.name] / 1e6:.1f} MB of {BUDGET_BYTES / 1e6:.0f} MB\n"
                f"  manifest {made.digest}\n"
            )
            for name in SOURCE_ONLY:
                if not made.has_wheel(name):
                    sys.stdout.write(f"  {name} as source: the board takes Debian's python3-{name}, or builds it\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
