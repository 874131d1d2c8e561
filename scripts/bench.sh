#!/bin/sh
# bench.sh FOLDER REFERENCE: the project beside the same zarr and numpy as the reference has, on
# the same Python: what differs between the two is then the library alone.
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh
folder=$1 reference=$2

if [ -x "$reference/bin/python" ]; then
    python=$("$reference/bin/python" -c 'import sys; print(sys._base_executable)')
    pins=$("$reference/bin/python" -c '
from importlib.metadata import version
print(*(f"{name}=={version(name)}" for name in ("zarr", "numpy", "numcodecs", "zstandard")))')
else
    python=$(find_python 11 99) || die "no Python 3.11 or newer found"
    pins=
fi
[ "$folder/.installed" -nt pyproject.toml ] && exit 0
[ -x "$folder/bin/python" ] || make_venv "$python" "$folder"
# shellcheck disable=SC2086  # the pins are words
pip_install "$folder/bin/python" -e . $pins
touch "$folder/.installed"
