"""What holds for every driver: it names codecs and proofs, and no bytes make a codec raise but a named refusal."""

from __future__ import annotations

import inspect
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from bench.fuzz import break_codec
from drivers.device import Access, OracleKind
from firmware_py.reference import independent, parts

ROOT = Path(__file__).resolve().parents[2]
PARTS = parts()
STRINGS = 4000

by_part = pytest.mark.parametrize(("part", "module"), PARTS, ids=[name for name, _ in PARTS])


@by_part
def test_no_bytes_make_a_codec_raise_anything_but_a_refusal(part: str, module: ModuleType) -> None:
    for codec in module.CODECS:
        _, _, error = break_codec(codec, Random(f"{part} {codec.name}"), STRINGS)
        assert error is None, f"{codec.name}: {error!r}"


@by_part
def test_a_codec_of_fixed_length_refuses_every_other_length(part: str, module: ModuleType) -> None:
    for codec in module.CODECS:
        if codec.length is None:
            continue
        for size in {0, codec.length - 1, codec.length + 1} - {codec.length, -1}:
            for fill in (0x00, 0x5A, 0xFF):
                with pytest.raises(Exception) as refused:  # noqa: PT011 - the type is what is asserted
                    codec.decode(bytes((fill,)) * size)
                assert type(refused.value).__name__ == "DeviceError", f"{codec.name} with {size} bytes"


@by_part
def test_a_driver_says_what_it_was_held_against_and_names_its_codecs_once(part: str, module: ModuleType) -> None:
    assert module.ORACLES
    assert all(oracle.what.strip() for oracle in module.ORACLES)
    names = [codec.name for codec in module.CODECS]
    assert len(names) == len(set(names))
    assert ":" in (module.__doc__ or "").split("\n")[0], "the first line says what it is: what it guarantees"


@by_part
def test_a_proof_that_is_claimed_exists(part: str, module: ModuleType) -> None:
    kinds = {oracle.kind for oracle in module.ORACLES}
    if OracleKind.QEMU in kinds:
        assert (ROOT / "tests" / "qemu" / f"test_qemu_{part}.py").is_file()
    if OracleKind.NOTHING in kinds:
        assert kinds == {OracleKind.NOTHING}
    if independent(module):
        tests = (ROOT / "tests" / "drivers" / f"test_{part}.py").read_text(encoding="utf-8")
        assert "def test_" in tests


@by_part
def test_registers_have_names_and_room(part: str, module: ModuleType) -> None:
    registers = getattr(module, "REGISTERS", ())
    names = [register.name for register in registers]
    assert len(names) == len(set(names))
    assert all(register.length >= 1 and isinstance(register.access, Access) for register in registers)


@by_part
def test_what_is_asked_identifies_itself(part: str, module: ModuleType) -> None:
    device = getattr(module, "Device", None)
    if device is not None and hasattr(device, "acquire"):
        assert inspect.isgeneratorfunction(device.identify)
        assert inspect.isgeneratorfunction(device.initialise)


def test_at_least_twenty_parts_were_held_against_something_independent() -> None:
    assert sum(independent(module) for _, module in PARTS) >= 20
