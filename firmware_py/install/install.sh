#!/bin/sh
# Installs the flight software from the wheelhouse that this file lies in: sudo sh install.sh --board my-board.yaml
# Checks every file first; changes nothing but a temporary folder before the installer itself has checked the computer.
set -eu
here=$(dirname "$(readlink -f "$0")")
(cd "$here" && sha256sum --check --quiet --strict SHA256SUMS) || {
    echo "qiki: the wheelhouse $here is damaged; copy it anew" >&2
    exit 2
}
python=${PYTHON:-/usr/bin/python3}
"$python" -c 'import ctypes
for name in ("libstdc++.so.6", "libgcc_s.so.1"): ctypes.CDLL(name)' 2>/dev/null || {
    echo "qiki: $python does not load libstdc++.so.6, which numpy needs: sudo apt install libstdc++6 python3-venv" >&2
    exit 2
}
work=$(mktemp -d /var/tmp/qiki-install.XXXXXX)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv" || {
    echo "qiki: $python makes no virtual environment: sudo apt install python3-venv" >&2
    exit 2
}
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --find-links "$here" qiki-flight
"$work/venv/bin/qiki" install --wheelhouse "$here" --python "$python" "$@"
