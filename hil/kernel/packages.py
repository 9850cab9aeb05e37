"""Debian packages for a guest of any architecture, by this machine's own apt sources; nothing is installed here.

An apt of its own (lists, status, cache in a folder) resolves what a list of packages needs from nothing, so the names
and versions that come out identify a guest, and a package that was fetched before is not fetched again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hil.kernel.guest import GuestError

__all__ = ["LISTS_AGE_S", "Packages", "call", "file_names", "missing_tools"]

LISTS_AGE_S = 86_400.0
"""Package lists that are younger are taken as they are."""
SHOWN = 3000
_LINE = re.compile(r"^'[^']+' (\S+_\S+\.deb) \d+")


def call(words: Sequence[str], cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """Run a program; what it printed. Raises GuestError with the end of what it complained of."""
    try:
        done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        raise GuestError(f"{words[0]}: {error.strerror}") from None
    if done.returncode:
        raise GuestError(f"{' '.join(words[:6])}: {(done.stderr + done.stdout)[-SHOWN:]}")
    return done.stdout


def missing_tools(tools: dict[str, str]) -> list[str]:
    """Debian packages of the tools that this machine lacks; ``tools`` gives the package of each."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return sorted({package for tool, package in tools.items() if shutil.which(tool, path=path) is None})


def file_names(plan: str) -> list[str]:
    """File names of packages in what ``apt-get --print-uris`` says, sorted."""
    return sorted(match[1] for line in plan.splitlines() if (match := _LINE.match(line)))


class Packages:
    """An apt of its own.

    Args:
        arch: Debian's name of the guest's architecture.
        folder: for lists, status and packages; it is kept.
    """

    def __init__(self, arch: str, folder: Path) -> None:
        self.arch = arch
        self.debs = folder / "debs"
        self._lists = folder / f"lists-{arch}"
        for place in (self.debs / "partial", self._lists / "partial", folder / "none" / "partial"):
            place.mkdir(parents=True, exist_ok=True)
        status = folder / "status"
        status.touch()
        options = {
            "APT::Architecture": arch, "APT::Architectures": arch, "APT::Sandbox::User": "root",
            "APT::Install-Recommends": "false", "Acquire::Languages": "none", "Dir::State::status": str(status),
            "Dir::State::lists": str(self._lists), "Debug::NoLocking": "true", "DPkg::Lock::Timeout": "60",
        }
        self._options = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        self._none = folder / "none"

    def update(self, now_s: float) -> None:
        """Fetch package lists unless they are young. Raises GuestError."""
        stamp = self._lists / "stamp"
        if stamp.exists() and 0.0 <= now_s - stamp.stat().st_mtime < LISTS_AGE_S:
            return
        self._apt("update")
        stamp.touch()
        os.utime(stamp, (now_s, now_s))

    def resolve(self, packages: Sequence[str]) -> list[str]:
        """Files of the packages with all that they need, from nothing. Raises GuestError."""
        plan = self._apt("install", "--print-uris", "-y", *packages, cache=self._none)
        return file_names(plan)

    def fetch(self, packages: Sequence[str]) -> None:
        """Download packages with all that they need. Raises GuestError."""
        self._apt("install", "--download-only", "-y", *packages, cache=self.debs)

    def fetch_alone(self, package: str) -> Path:
        """Download one package (``name`` or ``name=version``) without what it needs; its file. Raises GuestError."""
        name, _, version = package.partition("=")
        pattern = f"{name}_{version.replace(':', '%3a') or '*'}_*.deb"
        found = sorted(self.debs.glob(pattern)) if version else []
        if not found:
            call(["apt-get", "-qq", *self._options, "download", package], cwd=self.debs)
            found = sorted(self.debs.glob(pattern), key=lambda path: path.stat().st_mtime)
        if not found:
            raise GuestError(f"apt fetched no {package}")
        return found[-1]

    def versions(self, package: str) -> list[str]:
        """Versions that can be had, newest first. Raises GuestError."""
        text = call(["apt-cache", *self._options, "madison", package])
        return list(dict.fromkeys(line.split("|")[1].strip() for line in text.splitlines() if line.count("|") == 2))

    def depends(self, package: str) -> list[str]:
        """Names that a package depends on. Raises GuestError."""
        text = call(["apt-cache", *self._options, "depends", package])
        return re.findall(r"Depends: ([a-z0-9][a-z0-9.+-]*)$", text, re.M)

    def _apt(self, *words: str, cache: Path | None = None) -> str:
        options = list(self._options)
        if cache is not None:
            options += ["-o", f"Dir::Cache::archives={cache}"]
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        return call(["apt-get", "-qq", *options, *words], environment=environment)
