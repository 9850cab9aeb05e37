"""Finds what reads a clock, sleeps, starts threads or makes chance of its own in source code, by its syntax tree.

Time and chance are parameters of the link. A tree is looked through for imports of the modules that give either, and
for calls that go round an import: the names on both lists are those of the standard library and of numpy.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

__all__ = ["BARRED_CALLS", "BARRED_MODULES", "clock_reads", "reads_of_package"]

BARRED_MODULES = frozenset({
    "time", "random", "secrets", "uuid", "threading", "_thread", "asyncio", "sched", "signal", "multiprocessing",
    "concurrent", "subprocess",
})
"""Modules that give time or chance, or let something run beside the loop."""
BARRED_CALLS = frozenset({
    "urandom", "getrandom", "utcnow", "today", "sleep", "monotonic", "monotonic_ns", "time_ns", "perf_counter",
    "perf_counter_ns", "clock_gettime", "clock_gettime_ns", "default_rng", "settimeout", "setitimer",
})
"""Names of functions and methods that read a clock, wait, or draw chance from the system."""
_OF_DATETIME = frozenset({"now", "fromtimestamp"})


def clock_reads(source: str, name: str) -> Iterator[str]:
    """Every place of a source text that takes time or chance from elsewhere than its parameters, as file:line: what."""
    for node in ast.walk(ast.parse(source, name)):
        found = _found(node)
        if found:
            yield f"{name}:{getattr(node, 'lineno', 0)}: {found}"


def reads_of_package(package: ModuleType) -> list[str]:
    """The same for all modules of a package, with paths from its folder."""
    folder = Path(next(iter(package.__path__)))
    found: list[str] = []
    for path in sorted(folder.rglob("*.py")):
        found += clock_reads(path.read_text(encoding="utf-8"), str(path.relative_to(folder.parent)))
    return found


def _found(node: ast.AST) -> str:
    if isinstance(node, ast.Import):
        barred = [alias.name for alias in node.names if alias.name.partition(".")[0] in BARRED_MODULES]
        return f"import {', '.join(barred)}" if barred else ""
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        module = node.module or ""
        names = [alias.name for alias in node.names if alias.name in BARRED_CALLS]
        barred_module = module.partition(".")[0] in BARRED_MODULES
        return f"from {module} import ..." if barred_module or (names and not _own(module)) else ""
    if isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Attribute):
            return _called(function)
        if isinstance(function, ast.Name) and function.id == "__import__":
            return "__import__"
    return ""


def _called(function: ast.Attribute) -> str:
    owner = function.value
    owner_name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    if owner_name in ("self", "cls"):
        return ""
    if function.attr in BARRED_CALLS or (owner_name in ("datetime", "date") and function.attr in _OF_DATETIME):
        return f"{owner_name}.{function.attr}()"
    return ""


def _own(module: str) -> bool:
    return module.partition(".")[0] in ("comms", "fdir", "hal", "drivers")
