"""The transports on a real kernel's device nodes; needs QIKI_KERNEL=1, because it boots a guest (half a minute)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hil.kernel import transports
from hil.kernel.guest import DEFAULT_CACHE
from hil.kernel.transports_in_guest import Outcome, collect

pytestmark = pytest.mark.skipif(
    os.environ.get("QIKI_KERNEL") != "1",
    reason="boots a Linux guest under QEMU: set QIKI_KERNEL=1 (and QIKI_KERNEL_CACHE for its folder)",
)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """All checks of one guest."""
    cache = Path(os.environ.get("QIKI_KERNEL_CACHE", DEFAULT_CACHE))
    return {outcome.check: outcome for outcome in collect(cache)}


@pytest.mark.parametrize("check", transports.CHECKS)
def test_transport_on_a_real_node(outcomes: dict[str, Outcome], check: str) -> None:
    outcome = outcomes[check]
    if outcome.outcome == "skipped":
        pytest.skip(outcome.detail)
    assert outcome.outcome == "passed", outcome.detail
