"""A million random byte strings into every codec: a value or a named refusal, and nothing else.

Half of the strings have the codec's own length, so that they get past the first check; the rest have 0 to 64 bytes.
One in eight is made of few distinct bytes, as floating and shorted lines give. ``FUZZ_STRINGS`` sets another number.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random
from time import perf_counter_ns

from bench.harness import Report
from drivers.device import Codec
from drivers.errors import DeviceError
from firmware_py.reference import parts

STRINGS = 1_000_000
BATCH = 4096
LONGEST = 64
SEED = 3


def strings(random: Random, length: int | None, count: int) -> Iterator[bytes]:
    """Random byte strings for a codec of ``length`` bytes, or of any length."""
    usual = LONGEST if length is None else length
    for index in range(count):
        size = usual if index & 1 and length is not None else random.randrange(LONGEST + 1)
        if index & 7 == 5:
            yield bytes(random.choice((0x00, 0xFF, 0x80, 0x7F)) for _ in range(size))
        else:
            yield random.randbytes(size)


def break_codec(codec: Codec, random: Random, count: int) -> tuple[int, int, Exception | None]:
    """Feed ``count`` strings: how many gave a value, how many were refused, and what else was raised first."""
    values = refusals = 0
    decode = codec.decode
    for data in strings(random, codec.length, count):
        try:
            decode(data)
        except DeviceError:
            refusals += 1
        except Exception as error:
            return values, refusals, error
        else:
            values += 1
    return values, refusals, None


def run(report: Report) -> None:
    """Add the figures of this subject; about two minutes."""
    count = int(os.environ.get("FUZZ_STRINGS", STRINGS))
    codecs = total = values = 0
    broken: list[str] = []
    start_ns = perf_counter_ns()
    for part, module in parts():
        for codec in module.CODECS:
            codecs += 1
            good, refused, error = break_codec(codec, Random(f"{SEED} {part} {codec.name}"), count)
            total += good + refused
            values += good
            if error is not None:
                broken.append(f"{part}.{codec.name}: {type(error).__name__}: {error}")
    seconds = (perf_counter_ns() - start_ns) * 1e-9
    for line in broken[:10]:
        print(f"  broken: {line}")
    report.add("codecs that raised anything but a named refusal", len(broken), f"of {codecs}", None, 0, not broken)
    report.add("byte strings into every codec", total // max(1, codecs), "", None, f">= {STRINGS}",
               total >= STRINGS * codecs)
    report.add("share that decoded to a value", 100.0 * values / max(1, total), "%")
    report.add("strings a second", total / seconds, "1/s")
