#!/bin/sh
# newest.sh FOLDER REFERENCE: the project on the newest Python and zarr, where a newer Python than
# the oldest supported one exists. Benchmarks run here, beside the same zarr and numpy as the
# reference has: what differs between the two sides is then the library alone.
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh
folder=$1 reference=$2

[ "$folder/.installed" -nt pyproject.toml ] && exit 0
pins=
if [ -x "$reference/bin/python" ]; then
    python=$("$reference/bin/python" -c 'import sys; print(sys._base_executable)')
    pins=$("$reference/bin/python" -c '
from importlib.metadata import version
print(*(f"{name}=={version(name)}" for name in ("zarr", "numpy", "numcodecs")))')
elif ! python=$(find_python 12 14); then
    say "SKIPPED: a second run on Python 3.12 or newer with a newer zarr (none found)"
    exit 0
fi
"$folder/bin/python" -c '' 2>/dev/null || make_venv "$python" "$folder"
# shellcheck disable=SC2086  # the pins are words
pip_install "$folder/bin/python" -e '.[test]' $pins
touch "$folder/.installed"
