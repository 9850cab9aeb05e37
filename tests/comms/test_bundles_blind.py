"""The relay is blind: neither the node nor intrusion detection can reach a key, because no key code is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

KEY_CODE = ("cryptography", "comms.keys", "comms.records", "nacl", "Crypto")


@pytest.mark.parametrize("module", ["comms.bundles", "comms.watch.intrusion"])
def test_no_key_code_is_in_the_module_graph(module: str):
    script = f"import sys, {module}; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert module in loaded
    assert [name for name in loaded if name.startswith(KEY_CODE)] == []
