"""Fills one of the two slots: an environment of its own, the units, and last the word that it is whole.

The environment is laid out as PEP 405 says, and pip fills it from outside with the wheels of one wheelhouse: so it is
made the same way on the board itself, in the tree of an image, and for another architecture.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from firmware_py.install.layout import LINKS, Layout
from firmware_py.install.system import System
from firmware_py.install.wheelhouse import GLIBC, MACHINES, SOURCE_ONLY, Wheelhouse, host_arch

__all__ = ["Interpreter", "SlotError", "SlotPlan", "build", "debian_module", "identity", "prove", "slot_record"]

DEBIAN = "/usr/lib/python3/dist-packages"
PIP_TIMEOUT_S = 900.0
PROOF = (
    "import sys; from hal.profile import load_profile; from firmware_py.mission import load_mission; "
    "from firmware_py.cli import main; load_profile(sys.argv[1], sys.argv[2]); load_mission(sys.argv[3])"
)


class SlotError(Exception):
    """A slot cannot be filled, or what is in it does not work: why, and what to do."""

    def __init__(self, why: str, next_step: str) -> None:
        super().__init__(why)
        self.next_step = next_step


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that the slots are made for. ``path`` as the installed system names it; ``version`` such as 3.11."""

    path: str
    version: str
    native: bool
    """Whether this process could run it."""

    @property
    def tag(self) -> str:
        """Its tag in names of extension modules."""
        return "cpython-" + self.version.replace(".", "")


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """What goes into a slot."""

    name: str
    wheelhouse: Wheelhouse
    interpreter: Interpreter
    drop_ins: dict[str, str]
    config: dict[str, bytes]
    """The owner's files as the software will read them."""
    needs: tuple[str, ...] = ()
    """Source-only packages that the board can't do without."""


def identity(plan: SlotPlan, layout: Layout) -> str:
    """Digest of all that makes up a slot, except which of the two it is."""
    parts = [plan.wheelhouse.digest, plan.interpreter.path, plan.interpreter.version, layout.prefix]
    parts += [f"{name}\n{text}" for name, text in sorted(plan.drop_ins.items())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def slot_record(system: System, layout: Layout, name: str) -> dict[str, str] | None:
    """Version and identity of a whole slot; ``None`` if it is empty, half filled or not to be read."""
    try:
        found = json.loads(system.read(f"{layout.slot(name)}/SLOT.json") or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("identity"), str) else None


def debian_module(system: System, package: str, interpreter: Interpreter) -> str | None:
    """Debian's own extension module of a package for this Python; ``None`` if it isn't installed."""
    for name in system.names(DEBIAN):
        if name.startswith(f"{package}.{interpreter.tag}") and name.endswith(".so"):
            return f"{DEBIAN}/{name}"
    return None


def build(system: System, layout: Layout, plan: SlotPlan) -> None:
    """Fill a slot from nothing. Raises SlotError, OSError; then it is not whole, and nobody uses it."""
    slot = layout.slot(plan.name)
    system.remove(slot)
    site = f"{slot}/lib/python{plan.interpreter.version}/site-packages"
    system.folder(site)
    home = str(Path(plan.interpreter.path).parent)
    config = f"home = {home}\ninclude-system-site-packages = false\nversion = {plan.interpreter.version}\n"
    system.write(f"{slot}/pyvenv.cfg", config.encode())
    system.link(f"{slot}/bin/python", plan.interpreter.path)
    system.link(f"{slot}/bin/python3", "python")
    _pip(system, plan, site, [str(path) for path in plan.wheelhouse.wheels])
    for package in SOURCE_ONLY:
        if not plan.wheelhouse.has_wheel(package):
            _from_source(system, plan, site, package)
    script = f"#!{slot}/bin/python\nimport sys\n\nfrom firmware_py.cli.start import main\n\nsys.exit(main())\n"
    system.write(f"{slot}/bin/qiki", script.encode(), 0o755)
    _units(system, layout, plan, site)
    for name, content in sorted(plan.config.items()):
        system.write(f"{slot}/share/config/{name}", content)
    word = {"version": plan.wheelhouse.version, "identity": identity(plan, layout), "python": plan.interpreter.version}
    # pip does not wait for the medium; a slot counts as whole only when all of it is there.
    system.sync()
    system.write(f"{slot}/SLOT.json", json.dumps(word, sort_keys=True).encode() + b"\n")


def prove(system: System, layout: Layout, plan: SlotPlan) -> None:
    """Let the new version itself import its parts and read the owner's files. Raises SlotError."""
    if not plan.interpreter.native:
        return
    slot = system.at(layout.slot(plan.name))
    files = [str(slot / "share" / "config" / f"{name}.yaml") for name in ("body", "board", "mission")]
    ran = system.run([str(slot / "bin" / "python"), "-I", "-c", PROOF, *files], 120.0)
    if ran.code:
        said = ran.err.strip().splitlines() or ["it said nothing"]
        raise SlotError(
            f"version {plan.wheelhouse.version} does not work with these files: {said[-1]}",
            "mend what it names; what ran before still runs",
        )


def _pip(system: System, plan: SlotPlan, site: str, what: list[str], index: bool = False) -> None:
    words = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps"]
    words += [] if index else ["--no-index"]
    if not _same(plan):
        words += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", plan.interpreter.version]
        machine = MACHINES[plan.wheelhouse.arch]
        for tag in [f"manylinux_{glibc}" for glibc in GLIBC] + ["manylinux2014", "linux"]:
            words += ["--platform", f"{tag}_{machine}"]
        if plan.interpreter.version != _running():
            # Byte code of another Python would never be read.
            words.append("--no-compile")
    ran = system.run([*words, "--target", str(system.at(site)), *what], PIP_TIMEOUT_S)
    if ran.code:
        said = ran.err.strip().splitlines() or ["it said nothing"]
        raise SlotError(f"pip did not fill slot {plan.name}: {said[-1]}", "free space, or make the wheelhouse anew")


def _running() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _same(plan: SlotPlan) -> bool:
    return plan.wheelhouse.arch == host_arch() and plan.interpreter.version == _running()


def _from_source(system: System, plan: SlotPlan, site: str, package: str) -> None:
    """A package that has no wheel: Debian's module if it is there, else built here if there is what it takes."""
    module = debian_module(system, package, plan.interpreter)
    if module is not None:
        system.write(f"{site}/{Path(module).name}", system.read(module) or b"")
        return
    source = plan.wheelhouse.source(package)
    try:
        if source is None or not _same(plan):
            raise SlotError(f"{package} has no wheel here, and is not built for another computer", "")
        _pip(system, plan, site, [str(source)], index=True)
    except SlotError as error:
        if package in plan.needs:
            raise SlotError(f"{package}: {error}", f"sudo apt install python3-{package}") from None


def _units(system: System, layout: Layout, plan: SlotPlan, site: str) -> None:
    """Units as the new version ships them, for this prefix, with the board's drop-ins."""
    source = f"{site}/firmware_py/install/units"
    target = f"{layout.slot(plan.name)}/share/units"
    for folder in [*LINKS, "keep"]:
        for name in system.names(f"{source}/{folder}"):
            text = system.read(f"{source}/{folder}/{name}") if not name.startswith("__") else None
            if text is not None:
                system.write(f"{target}/{folder}/{name}", text.replace(b"/opt/qiki", layout.prefix.encode()))
    for name, words in sorted(plan.drop_ins.items()):
        system.write(f"{target}/{name}", words.encode())
